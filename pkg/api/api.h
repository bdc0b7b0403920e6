#ifndef API_API_H
#define API_API_H

#include "base/json.h"
#include "config/config.h"
#include "hub/hub.h"
#include "loop/loop.h"
#include "metrics/metrics.h"
#include "net/address.h"

/**
 * struct api - the internal listener: publishing over HTTP, admin endpoints, metrics and health
 *
 * Lives on the main loop. What it cannot know itself (the broker's management API, the doctor, the configuration) comes
 * from pages that the server hands in.
 */
struct api;

struct api_config {
    char *listen;         /* listen.internal: 127.0.0.1:9091 */
    bool listen_anywhere; /* listen.internal_anywhere: allow addresses that are neither loopback nor private */
    int64_t body_bytes;   /* api.body_bytes: 1m */
    int64_t connections;  /* api.connections: 1,000 */
    int64_t timeout_ms;   /* api.timeout: 30s; idle, and for one request */
};

extern const struct config_option api_options[];
extern const size_t api_option_count;

/** struct api_reply - an answer that is owed; answered exactly once, from the main loop, also if the client has gone
 * meanwhile. */
struct api_reply;
void api_reply_json(struct api_reply *r, unsigned status, struct slice json);
void api_reply_text(struct api_reply *r, unsigned status, struct slice text);
/** {"error":{"code","message"}} */
void api_reply_error(struct api_reply *r, unsigned status, const char *code, const char *message);

/** A page that the server produces. */
struct api_question {
    struct slice query, body; /* valid during the call */
};

struct api_page {
    const char *path; /* exact */
    /** One of the two. */
    void (*produce)(void *userdata, struct api_reply *reply);
    void (*consider)(void *userdata, const struct api_question *question, struct api_reply *reply);
    bool is_order; /* POST: it does something; else GET */
};

struct api_environment {
    struct metrics *metrics;
    const char *node;
    const struct api_page *pages; /* ended by a NULL path */
    /** Called with every GET /metrics, to bring gauges up to date. May be NULL. */
    void (*before_metrics)(void *userdata);
    /** Writes one array: the user's sessions that ended here. May be NULL. */
    void (*write_ends)(void *userdata, struct slice user, struct json_writer *w);
    bool (*is_ready)(void *userdata, char reason[128]);
    /** The process lives: false only if a loop has hung for long. */
    bool (*is_alive)(void *userdata, char reason[128]);
    void *userdata;
};

/** What api_new() checks, and nothing else. 0; CONFIG_E_INVALID with a sentence in @errors. */
int api_config_check(const struct api_config *config, struct buffer *errors) base_must_check;

/** Makes the API and its port to the hub, before hub_start(). 0; CONFIG_E_INVALID with sentences in @errors; -ENOMEM.
 */
int api_new(struct loop *main_loop, struct hub *h, const struct api_config *config,
            const struct api_environment *environment, struct buffer *errors, struct api **ret_api) base_must_check;
/** Binds. 0, or -errno with a sentence in @errors. */
int api_listen(struct api *a, struct buffer *errors) base_must_check;
const struct net_address *api_address(const struct api *a);
/** Stops listening and ends every connection; replies that are still owed may come later and are dropped. */
void api_close(struct api *a);
/** Closed; the main loop no longer running, every reply given. Accepts NULL, returns NULL. */
struct api *api_free(struct api *a);

#endif
