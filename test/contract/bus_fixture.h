#ifndef TEST_CONTRACT_BUS_FIXTURE_H
#define TEST_CONTRACT_BUS_FIXTURE_H

#include "bus/body.h"
#include "bus/rabbitmq/rabbitmq.h"
#include "contract/proxy.h"

/**
 * The bus' test bench: a loop on the test's thread, nodes on it, and what they heard.
 *
 * run_until() turns the loop until a condition holds; nothing here sleeps for a fixed time to see whether something
 * happened.
 */
#define NODES_MAX 4
#define HEARD_MAX 20000
#define SENT_MAX 20000

enum backend { BACKEND_LOCAL, BACKEND_RABBITMQ };

/** A message that a node heard, as text. */
struct heard {
    char channel[CHANNEL_MAX_BYTES + 1];
    char id[300];
    char from[64];
    char content_type[64];
    char data[256];
    size_t data_size;
    enum message_kind kind;
    uint64_t epoch, offset;
    int64_t time_ms;
    bool has_stable_id;
    bool redelivered;
    char routing_key[CHANNEL_MAX_BYTES + 1];
};

struct node {
    struct bench *bench;
    char id[64];
    struct rabbitmq_config config;
    struct bus *bus;
    struct heard *heard;
    size_t heard_count;
    size_t bodies;
    size_t poison;
    size_t wanted;
    bool keeps_deliveries; /* does not give them back */
    struct list kept;
    size_t ingress_bodies;    /* of the ingress queue; they are heard like others */
    size_t oversized;         /* of them, which are not read */
    size_t body_bytes;        /* of the last one */
    uint64_t whole_bytes;     /* likewise */
    struct bus_status status; /* as last told */
    size_t states_seen[BUS_STATE_NAME_LOCKED + 1];
};

struct sent {
    struct bus_publication publication;
    struct bench *bench;
    int result;
    bool is_done;
};

struct bench {
    enum backend backend;
    struct loop *loop;
    struct loop_timer poll;
    struct loop_timer deadline;
    struct metrics *metrics;
    struct proxy *proxy;
    char url[512];
    char *url_item[1];
    char vhost[64];
    struct node nodes[NODES_MAX];
    size_t node_count;
    struct sent *sent;
    size_t sent_count;
    size_t done_count;   /* answers */
    size_t failed_count; /* of them not 0 */
    bool (*condition)(struct bench *b);
    bool is_met;
    size_t wanted;
    uint64_t reconnects_wanted; /* of the first node */
};

extern enum backend bench_backend;

/** cmocka's setup and teardown; with a vhost of its own and a proxy to the broker. */
int bench_setup(void **state);
int bench_teardown(void **state);

/** Whether the broker's variables are set. */
bool bench_has_broker(void);
/** Asks the broker's management API; @method path may contain %s for the vhost. Return: whether it said yes. */
bool bench_manage(struct bench *b, const char *method, const char *path, const char *body);

/** A new node, not started; change its config before. */
struct node *bench_node(struct bench *b);
void node_start(struct node *n);
void node_stop(struct node *n);
/** Starts and waits until it is ready. */
void node_start_ready(struct node *n);

/** Waits until all that were started are ready. */
void node_start_ready_all(struct bench *b);

/** Publishes; the answer is counted. Return: what bus_publish() said. */
int bench_publish(struct bench *b, struct node *n, const struct message *fields, enum bus_route route,
                  const char *const *nodes, size_t node_count);
/** The same to a room, with @number as data and id. */
int bench_publish_number(struct bench *b, struct node *n, const char *channel, size_t number);
/** The same to the named nodes, or with @node_count 0 to all. */
int bench_publish_number_to(struct bench *b, struct node *n, const char *channel, size_t number,
                            const char *const *nodes, size_t node_count);

/** false: it did not come true within @timeout_ms. */
bool run_until(struct bench *b, bool (*condition)(struct bench *b), uint64_t timeout_ms);
void run_for(struct bench *b, uint64_t duration_ms);

bool all_done(struct bench *b);
/** The first node has heard b->wanted messages. */
bool heard_wanted(struct bench *b);
bool first_is_ready(struct bench *b);
/** Before the first node loses connections: it is to make so many of them again. */
void expect_reconnects(struct bench *b, unsigned connections);
/** It has, and is ready. However short the loss was: that it was not ready meanwhile may be told to nobody. */
bool first_is_ready_again(struct bench *b);
/** A row's sum over all nodes. */
unsigned long bench_metric(struct bench *b, const char *name);
/** Every node has heard what it wants. */
bool each_heard_wanted(struct bench *b);

#endif
