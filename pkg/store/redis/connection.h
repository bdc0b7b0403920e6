#ifndef STORE_REDIS_CONNECTION_H
#define STORE_REDIS_CONNECTION_H

#include "base/buffer.h"
#include "loop/loop.h"
#include "store/redis/script.h"
#include "store/redis/url.h"

#include <hiredis/hiredis.h>

/**
 * struct redis_connection - one life after another of a socket to the server
 *
 * CLOSED --open--> CONNECTING --connected--> GREETING --greeted--> OPEN; from each back to CLOSED by
 * redis_connection_close() or a failure.
 *
 * The socket is ours and not hiredis's: what is called in one turn leaves in one send() at its end, replies are counted
 * so that a flood ends the connection, and nothing raises SIGPIPE. hiredis reads the protocol.
 * (Version 0.14 ends the process when it finds no memory; 1.0 and later fail, and the connection is lost.)
 *
 * Names are resolved by getaddrinfo(3), which blocks the loop when the host is no numeric address and the resolver is
 * slow: give addresses, or a local resolver, where that matters. Every address of a name is tried before an attempt
 * counts as failed.
 */
enum redis_connection_state { REDIS_CLOSED, REDIS_CONNECTING, REDIS_GREETING, REDIS_OPEN };

struct redis_connection_callbacks {
    /** The server knows us and the scripts: commands may be called. */
    void (*on_open)(void *userdata);
    /** The answer to the oldest command without one. May close the connection. */
    void (*on_reply)(void *userdata, const redisReply *reply);
    /** It failed and is closed already; @detail is valid until the next opening. */
    void (*on_lost)(void *userdata, const char *detail);
};

struct redis_connection {
    struct loop *loop;
    const struct redis_url *url;
    struct slice prefix; /* of keys */
    const struct redis_connection_callbacks *callbacks;
    void *userdata;
    enum redis_connection_state state;
    unsigned life; /* raised by each close, so that who called out sees it */
    int fd;
    struct loop_io io;
    struct loop_deferred flush;
    struct addrinfo *addresses; /* of the name, while connecting */
    struct addrinfo *next_address;
    redisReader *reader;
    size_t reply_bytes; /* fed since the last whole reply */
    struct buffer out;
    size_t out_sent;        /* of out's bytes */
    size_t command_begin;   /* where the command that is being written began */
    size_t command_left;    /* arguments it still needs */
    unsigned greeting_step; /* the one whose reply is next */
    char digests[REDIS_SCRIPTS][40];
    uint64_t life_ms; /* of the store, see redis/life.c */
    char policy[64];
    char detail[256];
};

/** Borrows @url, @prefix, @callbacks. */
void redis_connection_init(struct redis_connection *c, struct loop *l, const struct redis_url *url, struct slice prefix,
                           const struct redis_connection_callbacks *callbacks, void *userdata);
void redis_connection_deinit(struct redis_connection *c);

/** Begins to connect. Return: 0; -EHOSTUNREACH with c->detail if that failed at once (no callback is called then);
 * -ENOMEM. */
int redis_connection_open(struct redis_connection *c) base_must_check;
/** Without a callback. What was not sent is forgotten. */
void redis_connection_close(struct redis_connection *c);

/* A command is begun, gets exactly @argument_count arguments, and is ended; it leaves at the end of the turn. */
void redis_command_begin(struct redis_connection *c, size_t argument_count);
/** EVALSHA with @key_count keys and @argument_count other arguments, which are to follow. */
void redis_command_begin_script(struct redis_connection *c, enum redis_script script, size_t key_count,
                                size_t argument_count);
void redis_command_add(struct redis_connection *c, struct slice argument);
/** One argument out of several parts. */
void redis_command_add_parts(struct redis_connection *c, const struct slice *parts, size_t count);
void redis_command_add_number(struct redis_connection *c, uint64_t number);
/** Makes redis_command_end() take the command back and return @error: an argument could not be made. */
void redis_command_fail(struct redis_connection *c, int error);
/** Return: 0; -ENOMEM or -EMSGSIZE (too much is waiting already): then the command was taken back. */
int redis_command_end(struct redis_connection *c) base_must_check;

/** Whether bytes wait to be sent. */
bool redis_connection_has_output(const struct redis_connection *c);
/** Reads and writes what can be now. */
void redis_connection_pump(struct redis_connection *c);
/** Blocks up to @timeout_ms until there is something to pump, for the end of a store. */
void redis_connection_wait(struct redis_connection *c, int timeout_ms);

/* ---- the greeting, redis/greeting.c ---- */

/** Writes all commands of the greeting: credentials, database, PING, eviction policy, scripts, life. Return: 0,
 * -ENOMEM. */
int redis_greeting_send(struct redis_connection *c) base_must_check;
/** Takes the next reply. Return: 0 when more are to come; 1 when it was the last; -EPROTO with c->detail if the server
 * refuses us. */
int redis_greeting_take(struct redis_connection *c, const redisReply *reply) base_must_check;

/* ---- the store's life, redis/life.c: a step of the greeting ---- */

/** Return: 0, -ENOMEM. */
int redis_life_send(struct redis_connection *c) base_must_check;
/** Return: 0 and c->life_ms; -EPROTO with c->detail. */
int redis_life_take(struct redis_connection *c, const redisReply *reply) base_must_check;

/** Cuts a server's error text into one line of printable characters. */
void redis_connection_explain(struct redis_connection *c, const char *what, const redisReply *reply);

#endif
