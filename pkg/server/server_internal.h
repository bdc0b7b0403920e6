#ifndef SERVER_SERVER_INTERNAL_H
#define SERVER_SERVER_INTERNAL_H

#include "api/api.h"
#include "bus/rabbitmq/rabbitmq.h"
#include "gateway/gateway.h"
#include "hub/port.h"
#include "outbound/outbound.h"
#include "server/server.h"
#include "store/redis/redis_store.h"
#include "wordlist/wordlist.h"

#include <sys/stat.h>

/** loop.scheduling, in the order of its choices. */
enum server_scheduling { SERVER_SCHEDULING_NORMAL, SERVER_SCHEDULING_BATCH };

/** The server's own options. */
struct server_config {
    char *node_address;      /* node.address: without port; empty: determined by the route to the broker */
    int64_t workers;         /* loop.workers: 0: one per core but one, at least one */
    int scheduling;          /* loop.scheduling: enum server_scheduling */
    bool io_uring;           /* loop.io_uring: writes to clients by a ring, where there is one */
    int log_level;           /* log.level: enum log_level */
    int64_t drain_period_ms; /* drain.period: over how long clients are sent away */
    int64_t drain_rate;      /* drain.rate: clients a second that leave at least; 0: the period is taken whole */
    char *words_file;        /* words.file: the word list; empty: none */
    int words_action;        /* words.action: enum wordlist_action */
};

extern const struct config_option server_options[];
extern const size_t server_option_count;

struct server_settings {
    struct config *config;
    struct server_config server;
    struct rabbitmq_config amqp;
    struct redis_config redis;
    struct hub_config hub;
    struct gateway_config gateway;
    struct api_config api;
};

/** The node's id is bounded: IPv6 in brackets and a port. */
#define SERVER_NODE_ID_SIZE 72
#define SERVER_WORKERS_MAX 256
/** Descriptors of a node without its workers and clients, generously. */
#define SERVER_OWN_DESCRIPTORS 64

struct server_doctor_run;
struct server_ingress_work;

/** How a file looked when it was read. */
struct server_file_state {
    ino_t inode;
    off_t size;
    struct timespec changed;
};

struct server {
    struct server_settings *settings;
    const struct server_sources *sources;
    bool is_standalone;
    char node[SERVER_NODE_ID_SIZE];
    uint64_t incarnation;
    int64_t started_ms;

    struct metrics *metrics;
    struct metrics_cells *cells;
    uint64_t cpu_told_us; /* what warren_process_cpu_seconds_total counts so far */
    struct loop *main_loop;
    struct loop *hub_loop;
    struct loop *workers[SERVER_WORKERS_MAX];
    size_t worker_count;
    bool hub_loop_runs;
    size_t workers_running;

    struct bus *bus;
    struct store *store;
    struct hub *hub;
    struct gateway *gateway;
    struct api *api;
    struct hub_port *port; /* the main loop's, for the pages */
    struct outbound *outbound;

    struct loop_signal *signals[3];
    struct loop_timer watchdog, words_timer;
    struct server_file_state words_state;
    uint64_t watchdog_ms; /* half of what the service manager asks for; 0: it does not ask */
    struct loop_task stop_hub, hub_stopped;
    bool is_signalled, is_stopping, is_hub_down;

    struct server_ingress_work *ingress_work; /* one at a time; further askers are told so */
    struct server_doctor_run *doctor;         /* one at a time; further askers wait for the same */
    struct list management_reads;             /* bindings and queues being gathered */
};

/* node_address.c */
/** The node's id by the rule of docs/architecture.md. 0; CONFIG_E_INVALID with a sentence in @errors. */
int server_node_id(const struct server_settings *settings, bool standalone, char ret_node[SERVER_NODE_ID_SIZE],
                   struct buffer *errors) base_must_check;

/* ready.c */
bool server_is_ready(void *userdata, char reason[128]);
bool server_is_alive(void *userdata, char reason[128]);
/** Brings the gauges that others own up to date, for GET /metrics. */
void server_before_metrics(void *userdata);
void server_write_ends(void *userdata, struct slice user, struct json_writer *w);
void server_count_reload(struct server *s, bool good);
/** Registers the server's metrics. 0, -ENOMEM. */
int server_metrics_init(struct server *s) base_must_check;

/* reload.c */
/**
 * server_reload() - read all sources again, and do what may be done without a restart
 *
 * Logs each change, old and new value, or what is wrong; then nothing has changed. @tell may be NULL. Thread: main.
 * Return: 0; CONFIG_E_INVALID; -ENOMEM; -EBUSY when the node is ending.
 */
int server_reload(struct server *s, config_change_fn *tell, void *userdata);
void server_reload_page(void *userdata, struct api_reply *reply);

/* words.c */
/** The words of words.file; NULL: there is no such option. 0; CONFIG_E_INVALID with sentences in @errors; -ENOMEM. */
int server_words_load(const struct server_config *config, struct buffer *errors,
                      struct wordlist **ret_list) base_must_check;
/** From now on in force; takes the reference, NULL: no words. */
void server_words_apply(struct server *s, struct wordlist *list);
/** Loads them and begins to watch the file. As server_words_load(). */
int server_words_start(struct server *s, struct buffer *errors) base_must_check;

/* server.c */
/** The last client is gone: the rest of the end. */
void server_on_gateway_down(void *userdata);

/* drain.c */
/** Begins the node's end, once; further calls do nothing. @why: for the log. Thread: main. */
void server_drain(struct server *s, const char *why);
void server_drain_page(void *userdata, struct api_reply *reply);
void server_drain_read_page(void *userdata, struct api_reply *reply);

/* pages.c */
extern const struct api_page server_pages[];

/* management.c */
void server_bindings_page(void *userdata, struct api_reply *reply);
void server_queues_page(void *userdata, struct api_reply *reply);
/** The management API's base URL: amqp.management_url, else port 15672 of the first broker with its user and password.
 * Appended to @out. */
void server_management_url(const struct rabbitmq_config *amqp, struct buffer *out);
/** Percent-encoded virtual host of the first broker URL, appended to @out. */
void server_management_vhost(const struct rabbitmq_config *amqp, struct buffer *out);

/* doctor.c */
enum server_check_result { SERVER_CHECK_OK, SERVER_CHECK_WARN, SERVER_CHECK_FAIL };

struct server_check {
    const char *name; /* static */
    enum server_check_result result;
    char detail[400];
    char mend[400]; /* empty if all is well */
};
#define SERVER_CHECKS_MAX 24

struct server_checks {
    struct server_check checks[SERVER_CHECKS_MAX];
    size_t count;
    size_t failed;
};

/** All checks; blocks for some seconds. @live: the ports are this process's own, so they need not be free. Thread: any.
 */
void server_checks_run(const struct server_settings *settings, bool standalone, bool live,
                       struct server_checks *ret_checks);
void server_doctor_page(void *userdata, struct api_reply *reply);
/** Waits for a run that is under way; its askers have been answered or are gone. */
void server_doctor_stop(struct server *s);

/* ingress.c */
void server_ingress_page(void *userdata, const struct api_question *question, struct api_reply *reply);
void server_ingress_requeue_page(void *userdata, const struct api_question *question, struct api_reply *reply);
void server_ingress_drop_page(void *userdata, const struct api_question *question, struct api_reply *reply);
/** Has the order that is under way end within seconds; its asker has been answered or is gone. */
void server_ingress_stop(struct server *s);

/* server.c */
/** Ends the run, if the hub is down and no thread is at work that names the server. Thread: main. */
void server_stop_if_over(struct server *s);

/* notify.c */
/** sd_notify(3)'s protocol: tells the service manager @state if there is one. */
void server_notify(const char *state);
/** Milliseconds that the service manager's watchdog allows; 0: none. */
uint64_t server_notify_watchdog_ms(void);

#endif
