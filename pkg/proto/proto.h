#ifndef PROTO_PROTO_H
#define PROTO_PROTO_H

#include "base/buffer.h"
#include "base/json.h"
#include "base/message.h"
#include "base/name.h"

/**
 * What clients speak, behind one codec type: a frame's payload in, operations out; events in, a frame's payload out. No
 * I/O, no clock. docs/protocol.md is the reference.
 */

/** What a client asks for. */
enum proto_op_kind {
    PROTO_OP_JOIN,
    PROTO_OP_LEAVE,
    PROTO_OP_SEND,
    PROTO_OP_WHISPER,
    PROTO_OP_ONLINE,
    PROTO_OP_PING,
    PROTO_OP_HISTORY,
    PROTO_OP_ACK,
    PROTO_OP_LIKE,
};
#define PROTO_OPS (PROTO_OP_LIKE + 1)

/** Bytes at most: of a request id as it stands in the text, of a publish key. */
#define PROTO_ID_MAX_BYTES 64
#define PROTO_KEY_MAX_BYTES 128

/** A position in a channel, <epoch>:<offset>. */
struct proto_position {
    uint64_t epoch;
    uint64_t offset;
};

struct proto_op {
    enum proto_op_kind kind;
    /** As the client wrote it (a JSON number or string), to be given back. Not set: only errors are answered. */
    struct slice id;
    struct slice
        room; /* join, leave, send, online, history, like; not set: that of the URL, in dialects that say none */
    struct slice user; /* whisper */
    struct slice data; /* send, whisper: the value byte for byte */
    struct slice content_type;
    struct slice key; /* send, whisper: not set if none */
    bool has_since;   /* join */
    struct proto_position since;
    bool is_binary;     /* join: binary frames go to this room */
    uint64_t limit;     /* online: users, history: messages at most; 0 = default */
    struct slice after; /* online: names behind this one; not set if none */
    bool has_before;    /* history */
    struct proto_position before;
    struct slice channel; /* ack: checked to be a channel's name */
    uint64_t epoch;       /* ack: 0 if it was not told */
    uint64_t offset;      /* ack */
    uint64_t history;     /* join: the last messages that come with the answer */
    uint64_t likes;       /* like; 0: not told, which means one */
    struct slice meta;    /* send: a msgpack map for back ends only; not set if none */
    struct slice record;  /* send, like, ping: the whole object as it came, for the archive; not set: not kept */
    const char *text;     /* send: the member of JSON data that people read; NULL: the data, if it is a string */
};

/** The error codes of the protocol, one row each: PROTO_ERROR_TABLE(X) with X(symbol, "word", http_status). */
#define PROTO_ERROR_TABLE(X)                                                                                           \
    X(BAD_JSON, "bad_json", 400)                                                                                       \
    X(BAD_REQUEST, "bad_request", 400)                                                                                 \
    X(UNKNOWN_OP, "unknown_op", 400)                                                                                   \
    X(BAD_NAME, "bad_name", 400)                                                                                       \
    X(NOT_JOINED, "not_joined", 409)                                                                                   \
    X(FORBIDDEN, "forbidden", 403)                                                                                     \
    X(UNAUTHORIZED, "unauthorized", 401)                                                                               \
    X(RATE_LIMITED, "rate_limited", 429)                                                                               \
    X(TOO_LARGE, "too_large", 413)                                                                                     \
    X(MUTED, "muted", 403)                                                                                             \
    X(BANNED, "banned", 403)                                                                                           \
    X(QUOTA, "quota", 403)                                                                                             \
    X(UNAVAILABLE, "unavailable", 503)                                                                                 \
    X(BUSY, "busy", 503)                                                                                               \
    X(INTERNAL, "internal", 500)

enum proto_error_code {
#define PROTO_ERROR_SYMBOL(symbol, word, status) PROTO_ERROR_##symbol,
    PROTO_ERROR_TABLE(PROTO_ERROR_SYMBOL)
#undef PROTO_ERROR_SYMBOL
};

const char *proto_error_word(enum proto_error_code code);
unsigned proto_error_http_status(enum proto_error_code code);

/** What is told to a client. Slices and pointers are borrowed for the call. */
enum proto_event_kind {
    PROTO_EVENT_WELCOME,
    PROTO_EVENT_MESSAGE,
    PROTO_EVENT_ONLINE, /* the room's count changed */
    PROTO_EVENT_RESET,  /* messages of a channel are gone */
    PROTO_EVENT_GAP,    /* messages of a channel were left out, since this client reads too slowly for them */
    PROTO_EVENT_GOODBYE,
    PROTO_EVENT_ERROR,
    PROTO_EVENT_OK, /* leave, ping, ack, like: nothing to tell */
    PROTO_EVENT_OK_JOINED,
    PROTO_EVENT_OK_SENT,
    PROTO_EVENT_OK_ONLINE,
    PROTO_EVENT_OK_HISTORY,
};

struct proto_channel_state {
    struct slice channel;
    struct proto_position position; /* epoch 0: the channel has no positions */
    bool recovered;
    /* Of a room, when it is joined. */
    bool has_online, has_likes, has_history;
    uint64_t online, likes;
    struct message *const *messages; /* oldest first */
    size_t message_count;
};

struct proto_event {
    enum proto_event_kind kind;
    struct slice id; /* of OK_* and ERROR: the request's; not set: none */
    union {
        struct {
            struct slice session, user, node;
            uint64_t heartbeat_s;
            const struct proto_channel_state *channels;
            size_t channel_count;
        } welcome;
        const struct message *message;
        struct {
            struct slice room;
            uint64_t count;
            const struct slice *joined;
            size_t joined_count;
            const struct slice *left;
            size_t left_count;
            uint64_t more; /* joins and leaves that are not named */
        } online;
        struct {
            struct slice channel;
            struct proto_position position; /* what comes next stands behind it */
        } reset;
        struct {
            struct slice channel;
            uint64_t epoch, from, to; /* offsets, both included */
        } gap;
        struct {
            unsigned code;
            struct slice reason;
            uint64_t retry_after_ms;
        } goodbye;
        struct {
            enum proto_error_code code;
            struct slice message;
            uint64_t retry_after_ms; /* 0: not told */
        } error;
        struct proto_channel_state joined;
        struct {
            struct slice message;
            struct proto_position position;
        } sent;
        struct {
            uint64_t count, connections;
            const struct slice *users;
            size_t user_count;
            struct slice next; /* pass as "after" to go on; not set: that was all */
        } online_page;
        struct {
            struct message *const *messages; /* oldest first */
            size_t count;
            bool has_more; /* older ones */
        } history;
    };
};

enum proto_result {
    PROTO_END = 1,   /* no more operations in this frame */
    PROTO_E_BAD = 2, /* this operation is refused: tell *ret_error (kind ERROR); the next call goes on behind it where
                        that is possible */
};

struct proto_limits {
    size_t data_bytes;    /* of one op's data; beyond: too_large */
    unsigned depth;       /* JSON nesting */
    size_t ops_per_frame; /* array elements; beyond: bad_request */
};

/** struct proto_decoder - the operations of one frame; on the stack; see proto_codec */
struct proto_decoder {
    struct proto_limits limits;
    struct slice text;
    struct json_reader reader;
    struct buffer scratch; /* decoded names of the current op, and error sentences */
    size_t ops;
    bool in_array, ended;
};

/** A dialect. */
struct proto_codec {
    const char *subprotocol; /* Sec-WebSocket-Protocol's token */
    bool is_text;            /* its frames are text frames (else binary) */
    /** Borrows @payload (valid UTF-8 if is_text). */
    void (*decoder_init)(struct proto_decoder *d, const struct proto_limits *limits, struct slice payload);
    /**
     * 0 and *ret_op (slices valid until the next call or deinit); PROTO_END; PROTO_E_BAD and *ret_error; -ENOMEM.
     * A broken frame gives one PROTO_E_BAD with the byte offset in its message, then PROTO_END.
     */
    int (*decoder_next)(struct proto_decoder *d, struct proto_op *ret_op, struct proto_event *ret_error);
    void (*decoder_deinit)(struct proto_decoder *d);
    /**
     * Appends the frame's payload; errors are the buffer's. @has_parts: an event may be several frames, whose payloads
     * are separated by NUL bytes (no JSON text has one), or none: then nothing is appended.
     */
    bool has_parts;
    void (*encode)(const struct proto_event *event, struct buffer *out);
};

/** The `json` dialect, subprotocol warren.json.v1, also without one. */
extern const struct proto_codec proto_codec_json;

/** The `live` dialect, of old clients of live commerce; only where a route says so. */
extern const struct proto_codec proto_codec_live;

/** By the name that a route says; NULL if there is none of it. */
const struct proto_codec *proto_codec_of_dialect(struct slice name);
/** By subprotocol token; NULL if we do not speak it. */
const struct proto_codec *proto_codec_find(struct slice subprotocol);

/** "<epoch>:<offset>"; false if it is none. */
bool proto_position_parse(struct slice text, struct proto_position *ret_position) base_must_check;

/**
 * The online signal between nodes is a message of kind signal on the room's channel whose data is JSON
 * {"count":n,"joined":[…],"left":[…],"more":n}. Encoded as PROTO_EVENT_MESSAGE, it reads like PROTO_EVENT_ONLINE.
 */
#define PROTO_CONTENT_TYPE_ONLINE_TEXT "application/vnd.warren.online+json"
#define PROTO_CONTENT_TYPE_ONLINE SLICE_LITERAL(PROTO_CONTENT_TYPE_ONLINE_TEXT)

/** The likes signal, likewise: {"total":n}, read as {"event":"likes","room":…,"total":n}. */
#define PROTO_CONTENT_TYPE_LIKES_TEXT "application/vnd.warren.likes+json"
#define PROTO_CONTENT_TYPE_LIKES SLICE_LITERAL(PROTO_CONTENT_TYPE_LIKES_TEXT)

/** Appends the data of the online signal. */
void proto_online_write(const struct proto_event *online, struct buffer *out);

#endif
