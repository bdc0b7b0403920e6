#ifndef WARREN_BENCH_BENCH_FLEET_H
#define WARREN_BENCH_BENCH_FLEET_H

#include "bench_options.h"
#include "bench_pacer.h"
#include "client/client.h"

/**
 * struct bench_fleet - many WebSockets, spread round robin over the nodes and connected at a steady rate
 *
 * Who it is and what is spoken is the scenario's: a member has a number, and its path is asked for when it connects.
 * Thread: its loop's.
 */
struct bench_fleet;

struct bench_member {
    struct bench_fleet *fleet;
    struct client_socket *socket; /* NULL: not yet, or over */
    size_t index;
    size_t node;
    uint64_t due_ns; /* when it was to connect; as fast as it goes: when it began to */
    bool was_open;
    bool deflates; /* offers compression; may be set by the path function */
};

/** Why a member is gone. */
struct bench_end {
    unsigned code;        /* close code; WS_CLOSE_ABNORMAL without one */
    unsigned http_status; /* of a refused upgrade, else 0 */
    struct slice text;
};

struct bench_fleet_ops {
    /** Appends path and query of member @index. */
    void (*path)(void *userdata, size_t index, struct buffer *path);
    void (*on_open)(struct bench_member *m);
    void (*on_message)(struct bench_member *m, enum ws_opcode opcode, struct slice payload);
    /** The node asked for a sign of life, and got it. May be NULL. */
    void (*on_ping)(struct bench_member *m);
    /** It could not connect, or was disconnected; not called once bench_fleet_close() was. */
    void (*on_closed)(struct bench_member *m, const struct bench_end *end);
    /** After bench_fleet_close(): all are gone, the fleet may be freed. At the end of a turn. */
    void (*on_finished)(void *userdata);
};

struct bench_fleet_options {
    const struct bench_nodes *nodes; /* outlives the fleet */
    struct net_tls *tls;             /* for the wss:// ones among them; outlives the fleet */
    struct client_deflate *deflate;  /* for members that compress; outlives the fleet */
    size_t count;
    double rate;         /* connections a second; 0: as fast as it goes */
    uint32_t timeout_ms; /* connect and upgrade */
};

/** Begins to connect with the next turn. 0; -ENOMEM or another errno. */
int bench_fleet_new(struct net_loop *n, const struct bench_fleet_options *options, const struct bench_fleet_ops *ops,
                    void *userdata, struct bench_fleet **ret_fleet) base_must_check;
/** After on_finished. Accepts NULL, returns NULL. */
struct bench_fleet *bench_fleet_free(struct bench_fleet *f);

void *bench_fleet_userdata(const struct bench_fleet *f);
struct bench_member *bench_fleet_member(struct bench_fleet *f, size_t index);
/** Members that are open now. */
size_t bench_fleet_open(const struct bench_fleet *f);
/** A text frame. 0; -ENOTCONN; -ENOMEM. */
int bench_member_send(struct bench_member *m, struct slice text);
/** A binary frame, likewise. */
int bench_member_send_binary(struct bench_member *m, struct slice data);
/** A member whose on_closed has come connects again, now, to node number @node. */
void bench_member_reconnect(struct bench_member *m, size_t node);
/** Closes all with a close handshake; who does not answer in three seconds is dropped. */
void bench_fleet_close(struct bench_fleet *f);

#endif
