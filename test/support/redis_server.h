#ifndef SUPPORT_REDIS_SERVER_H
#define SUPPORT_REDIS_SERVER_H

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <sys/types.h>

/**
 * struct redis_server - a redis-server of the test's own, on a free port of 127.0.0.1 and a Unix socket, without
 * persistence
 *
 * It dies with the test (PR_SET_PDEATHSIG). Failures end the test with a message on stderr.
 */
struct redis_server {
    pid_t pid;
    int port;
    char directory[64];
    char socket[96];
};

/** Whether there is a redis-server to start. */
bool redis_server_is_installed(void);
/** @arguments: further ones, ended by NULL; may be NULL. Returns when it accepts connections. */
void redis_server_start(struct redis_server *s, const char *const *arguments);
/** Starts again on the same port; empty, or with what a SAVE left. */
void redis_server_restart(struct redis_server *s, const char *const *arguments);
/** kill -9, and waits until it is gone. */
void redis_server_kill(struct redis_server *s);
/** SIGSTOP: connections stay, nothing answers; and SIGCONT. */
void redis_server_freeze(struct redis_server *s);
void redis_server_thaw(struct redis_server *s);
/** Kills and removes the directory. */
void redis_server_end(struct redis_server *s);

/** A blocking connection of the test's own, to look and to meddle. */
redisContext *redis_server_connect(const char *host, int port);
/** Sends a command of which the reply must not be an error. The caller frees it. */
redisReply *redis_server_ask(redisContext *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
/** The same for plain words. */
redisReply *redis_server_say(redisContext *c, const char *words);

#endif
