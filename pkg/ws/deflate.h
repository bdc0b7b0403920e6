#ifndef WS_DEFLATE_H
#define WS_DEFLATE_H

#include "base/buffer.h"

/**
 * permessage-deflate (RFC 7692): what is negotiated, messages inflated and deflated. No I/O, no clock.
 *
 * Our server never keeps a window from one message to the next when it sends (server_no_context_takeover is always
 * answered): a message is then compressed once and its frame hung on every connection that negotiated the same. What a
 * client may keep is the policy's choice.
 */

/** The bit that marks a compressed message, on its first frame (section 6). */
#define WS_RSV1 0x40u

#define WS_WINDOW_BITS_MIN 8
#define WS_WINDOW_BITS_MAX 15

/* ---- negotiation (sections 5 and 7.1) ---- */

struct ws_deflate_params {
    bool server_no_context_takeover, client_no_context_takeover;
    bool server_window_is_told;                             /* the parameter stands there, also with 15 */
    uint8_t server_max_window_bits, client_max_window_bits; /* WS_WINDOW_BITS_MIN to _MAX */
};

/** What a server grants. */
struct ws_deflate_policy {
    bool client_context; /* a client may keep its window between messages, at the cost of one here */
    uint8_t
        client_window_bits; /* the largest window of a client that lets us say (its offer has client_max_window_bits) */
};

enum ws_deflate_result {
    WS_DEFLATE_E_SYNTAX = 1,   /* not a list of extensions: fail the handshake (RFC 6455 section 9.1) */
    WS_DEFLATE_E_RESPONSE = 2, /* a list, but no answer to our offer: fail the connection (RFC 7692 section 5.1) */
};

/** Bytes of a response or an offer at most, with the NUL. */
#define WS_DEFLATE_TEXT_SIZE 160

/** struct ws_deflate_offers - a server's reading of Sec-WebSocket-Extensions; start with {.policy = …} */
struct ws_deflate_offers {
    const struct ws_deflate_policy *policy; /* NULL: nothing is accepted, the syntax is checked all the same */
    size_t extensions;                      /* read so far; none in a header that is there is a mistake too */
    bool is_accepted;
    struct ws_deflate_params params; /* if accepted */
};

/**
 * ws_deflate_offers_read() - take one line of the header's value; lines are one list (RFC 6455 section 9.1)
 *
 * The first offer that we can serve is accepted. An offer with an unknown or repeated parameter or a bad value is
 * declined, and the next one looked at (section 7.1). Return: 0; WS_DEFLATE_E_SYNTAX.
 */
int ws_deflate_offers_read(struct ws_deflate_offers *o, struct slice line) base_must_check;
/** The response's value for accepted parameters; NUL-terminated. */
void ws_deflate_response_write(const struct ws_deflate_params *params, char ret_text[WS_DEFLATE_TEXT_SIZE]);

/** A client's offer: it does not mind how the server answers. */
#define WS_DEFLATE_OFFER "permessage-deflate; client_max_window_bits"

/** struct ws_deflate_answer - a client's reading of the response; {0} to start */
struct ws_deflate_answer {
    size_t extensions;
    struct ws_deflate_params params; /* with extensions 1 */
};

/**
 * ws_deflate_answer_read() - take one line of the response's value; the server may have declined, then there is none
 *
 * @is_offered: WS_DEFLATE_OFFER was sent; else every extension is wrong.
 * Return: 0; WS_DEFLATE_E_SYNTAX; WS_DEFLATE_E_RESPONSE: not what was offered, or parameters that no server may answer.
 */
int ws_deflate_answer_read(struct ws_deflate_answer *a, bool is_offered, struct slice line) base_must_check;

/* ---- messages in (section 7.2.2) ---- */

/**
 * struct ws_inflate_pool - the inflaters of one loop
 *
 * An inflater, some 40 KiB, is held while a message is incomplete, or as long as its connection where context takeover
 * was negotiated. A few that nobody holds wait here, so that a message in one piece costs no allocation. {0} to start.
 */
struct ws_inflater;
#define WS_INFLATER_BYTES (40 * 1024)
struct ws_inflate_pool {
    struct ws_inflater *idle;
    size_t idle_count, held;
    /* counted for whoever looks */
    uint64_t messages, bytes_in, bytes_out; /* of whole messages, compressed and not */
    uint64_t refused;                       /* messages that would have become longer than allowed */
};

/** All inflaters were released. */
void ws_inflate_pool_deinit(struct ws_inflate_pool *pool);

enum ws_inflate_result {
    WS_INFLATE_E_BAD = 1,     /* not DEFLATE data, or not a message's */
    WS_INFLATE_E_TOO_BIG = 2, /* @out's limit */
};

/** @window_bits: the sender's window at most; larger is fine. NULL: out of memory. */
struct ws_inflater *ws_inflater_acquire(struct ws_inflate_pool *pool, unsigned window_bits) base_must_check;
/** Accepts NULL, returns NULL. */
struct ws_inflater *ws_inflater_release(struct ws_inflate_pool *pool, struct ws_inflater *i);
/**
 * ws_inflater_feed() - take the next bytes of a message, append what they become to @out
 *
 * At most @out->limit bytes (not 0) ever stand in @out: what is beyond is noticed by its first byte, at the cost of
 * one. Return: 0; WS_INFLATE_E_*; -ENOMEM. After anything but 0 the inflater is good for ws_inflater_release() alone.
 */
int ws_inflater_feed(struct ws_inflater *i, struct slice bytes, struct buffer *out) base_must_check;
/** The message ends here; nothing more comes out. @keep_window: the next one goes on with its window (context
 * takeover). Return: 0; WS_INFLATE_E_BAD; -ENOMEM. */
int ws_inflater_finish(struct ws_inflater *i, bool keep_window) base_must_check;
/** Compressed bytes of the message so far. */
uint64_t ws_inflater_taken(const struct ws_inflater *i);
/** Compressed bytes that a message of @message_bytes in @fragments may take: what is beyond serves nothing. */
uint64_t ws_inflate_budget(uint64_t message_bytes, uint64_t fragments);

/* ---- messages out (section 7.2.1) ---- */

/** struct ws_deflater - compresses whole messages, each on its own; one per loop and window is enough */
struct ws_deflater;

struct ws_deflate_effort {
    uint8_t window_bits;  /* what the peer can take, 8 to 15; 8 is served by a window of 9 that looks back no further */
    uint8_t level;        /* 1 (fast) to 9 (small) */
    uint8_t memory_level; /* 1 to 9: the hash table has 2^(level + 7) entries of 2 bytes, which each message clears */
};

/** 0, -ENOMEM. */
int ws_deflater_new(const struct ws_deflate_effort *effort, struct ws_deflater **ret_deflater) base_must_check;
/** Accepts NULL, returns NULL. */
struct ws_deflater *ws_deflater_free(struct ws_deflater *d);

enum ws_deflater_result {
    WS_DEFLATE_E_NO_GAIN = 1, /* it would not become shorter: send it as it is */
};

/** Appends the payload of a frame with WS_RSV1. Return: 0; WS_DEFLATE_E_NO_GAIN; -ENOMEM or -EMSGSIZE (of @out);
 * @out is as before unless 0 is returned. */
int ws_deflater_message(struct ws_deflater *d, struct slice message, struct buffer *out) base_must_check;

#endif
