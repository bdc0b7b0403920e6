#ifndef HTTP_HTTP_INTERNAL_H
#define HTTP_HTTP_INTERNAL_H

#include "http/http.h"

/* Shared by the sources of pkg/http: character classes, and the steps of reading a head and its body. */

/* ---- characters ---- */

#define HTTP_CHARACTER_TOKEN 0x01u  /* RFC 9110 section 5.6.2, tchar */
#define HTTP_CHARACTER_FIELD 0x02u  /* may stand in a field value: VCHAR, obs-text, space, tab (section 5.5) */
#define HTTP_CHARACTER_TARGET 0x04u /* may stand in a request target; see characters.c */
#define HTTP_CHARACTER_HOST 0x08u   /* RFC 3986 section 3.2.2, reg-name without its percent-encoded bytes */
#define HTTP_CHARACTER_HEX 0x10u

extern const uint8_t http_characters[256];

static inline bool http_character_is(char c, unsigned classes)
{
    return (http_characters[(unsigned char)c] & classes) != 0;
}

/** Whether all of @s, and at least one character, is of one of the classes. */
bool http_characters_are(struct slice s, unsigned classes);

/** The value of a hexadecimal digit. */
static inline unsigned http_hex_value(char c)
{
    return c <= '9' ? (unsigned)(c - '0') : (unsigned)((c | 0x20) - 'a') + 10;
}

/** Whether @s is a host without a port, and not empty: a registered name, an IPv4 address, or an IPv6 address in
 * brackets. */
bool http_host_is_valid(struct slice s);
/** Cuts `host[:port]`; the port is not set if there is no colon. False if the brackets of an IPv6 address do not match.
 */
bool http_host_split(struct slice s, struct slice *ret_host, struct slice *ret_port);

/* ---- reading ---- */

/** Why a message is refused: the status to answer and a sentence; status 0 means that it is not refused. */
struct http_refusal {
    unsigned status;
    const char *sentence;
};

#define HTTP_ACCEPTED ((struct http_refusal){0, NULL})

static inline struct http_refusal http_refuse(unsigned status, const char *sentence)
{
    return (struct http_refusal){status, sentence};
}

/** @line is without its CRLF; the slices of @m point into it. */
struct http_refusal http_request_line_parse(struct slice line, struct http_message *m);
struct http_refusal http_status_line_parse(struct slice line, struct http_message *m);
/** @lines end with CRLF each and hold no control characters but tabs (the scanner saw to that). */
struct http_refusal http_header_lines_parse(struct slice lines, size_t max, struct http_message *m);

/** How the end of a body is found (RFC 9112 section 6.3). */
enum http_framing {
    HTTP_FRAMING_NONE,
    HTTP_FRAMING_LENGTH,
    HTTP_FRAMING_CHUNKED,
    HTTP_FRAMING_END_OF_STREAM,
};

/** Judges Host, Connection, Content-Length and Transfer-Encoding; sets m->keep_alive. */
struct http_refusal http_request_framing(struct http_message *m, size_t body_max, enum http_framing *ret_framing,
                                         uint64_t *ret_length);
struct http_refusal http_response_framing(struct http_message *m, bool to_head, size_t body_max,
                                          enum http_framing *ret_framing, uint64_t *ret_length);

/** The chunked coding (RFC 9112 section 7.1), resumable at any byte. {0} is its beginning. */
struct http_chunked {
    unsigned state;
    unsigned digits; /* of the chunk size being read */
    uint64_t size;   /* of the chunk, later what is left of it */
    size_t overhead; /* bytes of extensions and trailers so far, all of which are dropped */
};

/**
 * Appends decoded bytes to @body; at most @body_max of them and @overhead_max of extensions and trailers.
 * Return: 0 at the end of the last chunk's trailers; HTTP_MORE; HTTP_E_BAD and *refusal; -ENOMEM. *consumed is set in
 * every case.
 */
int http_chunked_feed(struct http_chunked *c, struct slice data, size_t body_max, size_t overhead_max,
                      struct buffer *body, size_t *consumed, struct http_refusal *refusal);

#endif
