#ifndef SERVER_SERVER_H
#define SERVER_SERVER_H

#include "base/buffer.h"
#include "config/config.h"

/**
 * struct server - one node, put together: configuration, loops, bus, store, hub, gateway, API; runs, and takes down in
 * reverse
 */
struct server;

/** struct server_settings - the values of every package's table, and the engine that fills them */
struct server_settings;

/** All tables and families registered, nothing read yet. 0, -ENOMEM. */
int server_settings_new(struct server_settings **ret_settings) base_must_check;
/** To load the file, the environment and assignments into. */
struct config *server_settings_config(struct server_settings *s);
/** Where a configuration comes from, in rising precedence; borrowed for the life of what is made of it. */
struct server_sources {
    const char *path; /* of the file; NULL: none */
    char *const *environment;
    const char *const *assignments; /* section.key=value */
    size_t assignment_count;
    bool standalone;
};

/** Loads all sources, and server_settings_finish(). Results as there; all errors of all sources are told. */
int server_settings_load(struct server_settings *s, const struct server_sources *sources,
                         struct buffer *errors) base_must_check;
/** config_finish(), and what must agree between packages. 0; CONFIG_E_INVALID with sentences in @errors; -ENOMEM. */
int server_settings_finish(struct server_settings *s, bool standalone, struct buffer *errors) base_must_check;
/** What else would keep a node from being built, as far as it can be told without broker, store and network. Results as
 * server_settings_finish(). */
int server_settings_check(const struct server_settings *s, struct buffer *errors) base_must_check;
/** Accepts NULL, returns NULL. */
struct server_settings *server_settings_free(struct server_settings *s);

/** Builds a node: addresses determined, sockets not bound yet. Borrows @settings, and @sources to load them again. 0;
 * CONFIG_E_INVALID with sentences in @errors; negative. */
int server_new(struct server_settings *settings, const struct server_sources *sources, struct buffer *errors,
               struct server **ret_server) base_must_check;
/** Binds, starts everything, and runs until SIGTERM or SIGINT; a second signal ends at once. SIGHUP reloads. Return: 0
 * after a clean end; else as server_new(). */
int server_run(struct server *s, struct buffer *errors) base_must_check;
struct server *server_free(struct server *s);

/**
 * server_doctor() - the doctor's checks without starting: broker, management API, Redis and its eviction policy, ports,
 * file limits, clock
 *
 * Writes a line a check ("ok", "warn" or "FAIL", what, and how to mend it). Blocks for some seconds at most. Return:
 * how many failed.
 */
int server_doctor(struct server_settings *settings, bool standalone, struct buffer *out);

#endif
