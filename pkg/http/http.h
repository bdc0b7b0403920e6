#ifndef HTTP_HTTP_H
#define HTTP_HTTP_H

#include "base/buffer.h"

/**
 * HTTP/1.1 messages (RFC 9110, RFC 9112): bytes in, bytes out, no I/O.
 *
 * Strict where looseness has been an attack: CRLF only, no obs-fold, no white space before a colon, exactly one Host in
 * HTTP/1.1, Content-Length and Transfer-Encoding never together, one Content-Length value, chunked only as the last
 * coding, no control characters.
 */
#define HTTP_HEADERS_MAX 64

struct http_header {
    struct slice name;
    struct slice value; /* trimmed */
};

struct http_limits {
    size_t head_bytes; /* start line and headers; beyond: 431 (414 while in the request line) */
    size_t headers;    /* at most HTTP_HEADERS_MAX; beyond: 431 */
    size_t body_bytes; /* beyond: 413 */
};

/** A parsed head (and body), as slices into the parser's memory: valid until the parser is reset or freed. */
struct http_message {
    /* of a request */
    struct slice method;
    struct slice target; /* as sent: origin-form, or absolute-form (its path and query are cut out all the same) */
    struct slice path;   /* not decoded, begins with '/', or is "*" */
    struct slice query;  /* without '?'; not set if there is none */
    /* of a response */
    unsigned status;
    struct slice reason;

    unsigned minor_version; /* HTTP/1.x */
    struct http_header headers[HTTP_HEADERS_MAX];
    size_t header_count;
    struct slice body;
    bool keep_alive; /* by version and Connection */
};

/** The header's value; not set if absent or repeated with different values (use http_message_each for lists). */
struct slice http_message_header(const struct http_message *m, const char *name);
size_t http_message_header_count(const struct http_message *m, const char *name);
/** Whether a comma-separated list header (over all its lines) has @token, case-insensitively. */
bool http_message_has_token(const struct http_message *m, const char *name, const char *token);
/** Whether @s is a token (RFC 9110 section 5.6.2): a name of something, and not empty. */
bool http_is_token(struct slice s);
/** Calls for the next line of @name from *position (start with 0); false at the end. */
bool http_message_each(const struct http_message *m, const char *name, size_t *position, struct slice *ret_value);

enum http_result {
    HTTP_MORE = 1,  /* not complete yet */
    HTTP_E_BAD = 2, /* refuse: see http_parser_error() */
};

/** struct http_parser - reads one message at a time; resumable at any byte */
struct http_parser;

/** For requests (a server), or for responses to @response_to_head = whether the request was HEAD (a client). */
int http_parser_new_request(const struct http_limits *limits, struct http_parser **ret_parser) base_must_check;
int http_parser_new_response(const struct http_limits *limits, bool response_to_head,
                             struct http_parser **ret_parser) base_must_check;
struct http_parser *http_parser_free(struct http_parser *p);
BASE_DEFINE_CLEANUP(struct http_parser *, http_parser_free)

/**
 * http_parser_feed() - take bytes
 *
 * Consumes up to the end of one message and no further: what follows (a pipelined request, frames behind an upgrade)
 * stays the caller's. A request with `Connection: Upgrade` and no body ends with its head; so does a 101 response. A
 * body on a WebSocket handshake is refused; other upgrades are not looked at. After a message, reset before feeding
 * again. Return: 0 and *ret_message: a whole message; HTTP_MORE: all bytes were consumed; HTTP_E_BAD; -ENOMEM.
 * *ret_consumed is set in every case.
 */
int http_parser_feed(struct http_parser *p, const void *data, size_t size, size_t *ret_consumed,
                     const struct http_message **ret_message) base_must_check;
/** The peer ended the stream: completes a response that is delimited by the end. 0, HTTP_E_BAD. */
int http_parser_end(struct http_parser *p, const struct http_message **ret_message) base_must_check;
/** After HTTP_E_BAD: the status to answer (400, 411, 413, 414, 431, 501, 505) and a sentence of static lifetime. */
unsigned http_parser_error(const struct http_parser *p, const char **ret_sentence);
/** Ready for the next message; slices of the last one are void. */
void http_parser_reset(struct http_parser *p);
/** Whether any byte of the next message has come. */
bool http_parser_has_begun(const struct http_parser *p);
/**
 * Whether the sender of a request waits for HTTP_CONTINUE before it sends the body (`Expect: 100-continue`, RFC 9110
 * section 10.1.1): after HTTP_MORE. True once; not if some of the body has come all the same.
 */
bool http_parser_awaits_continue(struct http_parser *p);
#define HTTP_CONTINUE "HTTP/1.1 100 Continue\r\n\r\n"

/** Standard reason phrase, or "Unknown". */
const char *http_status_reason(unsigned status);

/** Percent-decodes a path segment or query value into @out; '+' is a space only if @form. Return: false for a bad
 * escape. */
bool http_percent_decode(struct slice text, bool form, struct buffer *out) base_must_check;
/** Percent-encodes everything but unreserved characters. */
void http_percent_encode(struct slice text, struct buffer *out);
/** The raw value of the @nth (from 0) parameter @name in a query; not set if there is none; empty if it has no '='. */
struct slice http_query_parameter(struct slice query, const char *name, size_t nth);

/**
 * http_write_response() - status line, the given header lines, Content-Length and body
 *
 * @headers: pairs of name and value, ended by a NULL name; may be NULL. @keep_alive false adds `Connection: close`.
 * @head_only: without the body (answer to HEAD), though with its length. No body header for 1xx, 204, 304.
 */
struct http_header_text {
    const char *name;
    const char *value;
};
void http_write_response(struct buffer *out, unsigned status, const struct http_header_text *headers, struct slice body,
                         bool keep_alive, bool head_only);
/** A request: `Host` first; Content-Length if @body is set. */
void http_write_request(struct buffer *out, const char *method, const char *target, const char *host,
                        const struct http_header_text *headers, struct slice body);

#endif
