#ifndef WS_WS_H
#define WS_WS_H

#include "base/buffer.h"
#include "base/utf8.h"

struct ws_inflate_pool;
struct ws_inflater;

/** RFC 6455: opcodes, close codes, frames out, frames in. No I/O, no clock. */
enum ws_opcode {
    WS_OPCODE_CONTINUATION = 0,
    WS_OPCODE_TEXT = 1,
    WS_OPCODE_BINARY = 2,
    WS_OPCODE_CLOSE = 8,
    WS_OPCODE_PING = 9,
    WS_OPCODE_PONG = 10,
};

/** Section 7.4.1. */
enum ws_close_code {
    WS_CLOSE_NORMAL = 1000,
    WS_CLOSE_GOING_AWAY = 1001,
    WS_CLOSE_PROTOCOL_ERROR = 1002,
    WS_CLOSE_UNSUPPORTED_DATA = 1003,
    WS_CLOSE_NO_STATUS = 1005, /* never on the wire */
    WS_CLOSE_ABNORMAL = 1006,  /* never on the wire */
    WS_CLOSE_INVALID_PAYLOAD = 1007,
    WS_CLOSE_POLICY_VIOLATION = 1008,
    WS_CLOSE_TOO_BIG = 1009,
    WS_CLOSE_INTERNAL_ERROR = 1011,
    WS_CLOSE_SERVICE_RESTART = 1012,
    WS_CLOSE_TRY_AGAIN_LATER = 1013,
};

/** Bytes of a control frame's payload (section 5.5), of a close reason behind its code, of a header at most. */
#define WS_CONTROL_MAX_BYTES 125
#define WS_REASON_MAX_BYTES 123
#define WS_HEADER_MAX_BYTES 14

/** Whether a peer may send this close code (section 7.4). */
bool ws_close_code_is_sendable(unsigned code);

/** Bytes that the header of a frame with @payload_size bytes takes, without or with a masking key. */
size_t ws_header_size(uint64_t payload_size, bool masked);
/** Writes the header (FIN as told, RSV bits in @rsv as 0x40, 0x20, 0x10) and returns its size. @masking_key: 4 bytes,
 * or NULL. */
size_t ws_header_write(char *out, enum ws_opcode opcode, bool fin, unsigned rsv, uint64_t payload_size,
                       const uint8_t *masking_key);
/** XORs @size bytes with the masking key, beginning @phase bytes into it (section 5.3). */
void ws_mask(void *data, size_t size, const uint8_t masking_key[4], size_t phase);
/** A whole unfragmented frame appended to @out. */
void ws_frame_append(struct buffer *out, enum ws_opcode opcode, struct slice payload, const uint8_t *masking_key);
/** The payload of a close frame; code WS_CLOSE_NO_STATUS gives an empty one; the reason is cut at a character. Returns
 * its size. */
size_t ws_close_payload(unsigned code, struct slice reason, char ret_payload[WS_CONTROL_MAX_BYTES]);

/* ---- frames in ---- */

struct ws_parser_options {
    /**
     * permessage-deflate (ws/deflate.h), with WS_RSV1 in allowed_rsv: messages are inflated with this and come out as
     * they were before they were compressed. NULL: a message with a reserved bit comes out as it came.
     */
    struct ws_inflate_pool *inflate;
    uint32_t max_message_bytes;
    uint32_t max_fragments;    /* frames of one message; 0: no limit */
    bool expect_masked;        /* a server's side: unmasked frames are refused; false: masked ones are (section 5.1) */
    uint8_t allowed_rsv;       /* RSV bits that an extension negotiated; 0 */
    bool inflate_keeps_window; /* context takeover: from the first compressed message on an inflater is held */
    uint8_t inflate_window_bits; /* of a sender that keeps its window */
};

enum ws_event_type {
    WS_EVENT_MESSAGE, /* text or binary, whole and inflated; text is valid UTF-8 */
    WS_EVENT_PING,
    WS_EVENT_PONG,
    WS_EVENT_CLOSE, /* close_code is WS_CLOSE_NO_STATUS if none was given; payload is the reason */
};

struct ws_event {
    enum ws_event_type type;
    enum ws_opcode opcode; /* of a message: WS_OPCODE_TEXT or WS_OPCODE_BINARY */
    uint8_t rsv;           /* of a message's first frame */
    unsigned close_code;
    struct slice payload; /* in the bytes fed, or in the parser: valid until the next call */
};

enum ws_result {
    WS_MORE = 1,    /* all bytes consumed, nothing complete */
    WS_E_CLOSE = 2, /* the peer broke a rule: close with ws_parser_error() */
};

/**
 * struct ws_parser - frames in; embedded, where it stays; resumable at any byte
 *
 * Holds memory only while a message or control frame is incomplete; a frame that lies whole in the bytes fed is
 * unmasked and returned in place. Fails fast: a bad header at its byte, bad UTF-8 at its byte (section 8.1), a too long
 * message at its header, or, inflated, at its first byte too many.
 */
struct ws_parser {
    const struct ws_parser_options *options; /* NULL: memory ran out, for good */
    struct ws_parse *parse;                  /* NULL: between messages */
};

/** Borrows @options. */
void ws_parser_init(struct ws_parser *p, const struct ws_parser_options *options);
void ws_parser_deinit(struct ws_parser *p);
/**
 * ws_parser_feed() - take bytes, which are changed in place
 *
 * Return: 0 and *ret_event (call again with the rest: *ret_consumed says where it begins); WS_MORE; WS_E_CLOSE;
 * -ENOMEM, for good. *ret_consumed is set in every case. After a close frame everything is
 * swallowed (section 1.4). What an event showed goes with the next call, or with ws_parser_settle().
 */
int ws_parser_feed(struct ws_parser *p, char *data, size_t size, size_t *ret_consumed,
                   struct ws_event *ret_event) base_must_check;
/** What the last event showed is not needed any more: a parser between messages then has no memory. */
void ws_parser_settle(struct ws_parser *p);
/** Memory that an unfinished message or control frame takes; 0 between messages. */
size_t ws_parser_held_bytes(const struct ws_parser *p);
/** After WS_E_CLOSE: 1002, 1007 or 1009, and a sentence of static lifetime. */
unsigned ws_parser_error(const struct ws_parser *p, const char **ret_sentence);

/* ---- handshake values (section 4) ---- */

#define WS_KEY_TEXT_SIZE 24
#define WS_ACCEPT_TEXT_SIZE 28

/** Whether the value of Sec-WebSocket-Key is the base64 of 16 bytes. */
bool ws_key_is_valid(struct slice key);
/** The value of Sec-WebSocket-Accept for a valid key; NUL-terminated. Empty if libcrypto could not (out of memory). */
void ws_accept_value(struct slice key, char ret_accept[WS_ACCEPT_TEXT_SIZE + 1]);
/** A fresh Sec-WebSocket-Key for a client; NUL-terminated. */
void ws_key_generate(char ret_key[WS_KEY_TEXT_SIZE + 1]);

#endif
