/*
 * Where a message ends, and whether its connection lives on: RFC 9112 sections 3.2, 6 and 9.3.
 *
 * Two parsers in a row that disagree here let a request be smuggled past the first. So what could be understood in two
 * ways is refused, also where the RFC would let a recipient repair it.
 */
#include "http/http_internal.h"

static struct http_refusal host_judge(const struct http_message *m)
{
    struct slice value, host, port;
    size_t count = http_message_header_count(m, "Host");
    uint64_t number;

    if (count == 0)
        return m->minor_version == 0 ? HTTP_ACCEPTED : http_refuse(400, "The Host header is missing.");
    if (count > 1)
        return http_refuse(400, "There is more than one Host header.");
    value = http_message_header(m, "Host");
    if (!http_host_split(value, &host, &port) || !http_host_is_valid(host) ||
        (port.size > 0 && !slice_to_uint64(port, 65535, &number)))
        return http_refuse(400, "The Host header is not a host with an optional port.");
    return HTTP_ACCEPTED;
}

/* Section 6.1. "chunked" alone is understood; the end of any other body cannot be known. */
static struct http_refusal transfer_encoding_judge(const struct http_message *m)
{
    struct slice line, coding;
    bool chunked = false, other = false;
    size_t position = 0;

    if (http_message_header_count(m, "Content-Length") > 0)
        return http_refuse(400, "Content-Length and Transfer-Encoding stand together.");
    if (m->minor_version == 0)
        return http_refuse(400, "HTTP/1.0 has no Transfer-Encoding.");
    while (http_message_each(m, "Transfer-Encoding", &position, &line)) {
        while (slice_split(&line, ',', &coding)) {
            coding = slice_trim(coding);
            if (!http_characters_are(coding, HTTP_CHARACTER_TOKEN))
                return http_refuse(400, "A transfer coding is not a token.");
            if (chunked)
                return http_refuse(400, "The transfer coding \"chunked\" is not the last one.");
            if (slice_equal_nocase(coding, SLICE_LITERAL("chunked")))
                chunked = true;
            else
                other = true;
        }
    }
    return other ? http_refuse(501, "The transfer coding is not known here.") : HTTP_ACCEPTED;
}

/* Section 6.2. Saturates: a length beyond 64 bits is beyond every limit too. */
static struct http_refusal content_length_judge(const struct http_message *m, uint64_t *ret_length)
{
    struct slice line;
    size_t position = 0, lines = 0;
    uint64_t length = 0;

    while (http_message_each(m, "Content-Length", &position, &line)) {
        uint64_t value = 0;

        if (line.size == 0)
            return http_refuse(400, "Content-Length is not a number.");
        for (size_t i = 0; i < line.size; i++) {
            if (line.data[i] < '0' || line.data[i] > '9')
                return http_refuse(400, "Content-Length is not a number.");
            if (__builtin_mul_overflow(value, 10u, &value) ||
                __builtin_add_overflow(value, (unsigned)(line.data[i] - '0'), &value))
                value = UINT64_MAX / 10; /* stays beyond every limit, whatever digits follow */
        }
        if (lines++ > 0 && value != length)
            return http_refuse(400, "There are different values of Content-Length.");
        length = value;
    }
    *ret_length = length;
    return HTTP_ACCEPTED;
}

static struct http_refusal length_judge(const struct http_message *m, size_t body_max, enum http_framing *ret_framing,
                                        uint64_t *ret_length)
{
    struct http_refusal refusal = content_length_judge(m, ret_length);

    if (refusal.status)
        return refusal;
    if (*ret_length > body_max)
        return http_refuse(413, "The body is too long.");
    *ret_framing = *ret_length > 0 ? HTTP_FRAMING_LENGTH : HTTP_FRAMING_NONE;
    return HTTP_ACCEPTED;
}

/* Section 9.3. */
static bool connection_persists(const struct http_message *m)
{
    if (http_message_has_token(m, "Connection", "close"))
        return false;
    return m->minor_version > 0 || http_message_has_token(m, "Connection", "keep-alive");
}

struct http_refusal http_request_framing(struct http_message *m, size_t body_max, enum http_framing *ret_framing,
                                         uint64_t *ret_length)
{
    struct http_refusal refusal = host_judge(m);
    bool is_handshake =
        http_message_has_token(m, "Connection", "upgrade") && http_message_has_token(m, "Upgrade", "websocket");

    if (refusal.status)
        return refusal;
    *ret_framing = HTTP_FRAMING_NONE;
    *ret_length = 0;
    m->keep_alive = connection_persists(m);
    if (is_handshake)
        body_max = SIZE_MAX; /* refused for having a body, not for its length */
    if (http_message_header_count(m, "Transfer-Encoding") > 0) {
        refusal = transfer_encoding_judge(m);
        *ret_framing = HTTP_FRAMING_CHUNKED;
    } else if (http_message_header_count(m, "Content-Length") > 0) {
        refusal = length_judge(m, body_max, ret_framing, ret_length);
    } else if (m->minor_version == 0 && (slice_equal_text(m->method, "POST") || slice_equal_text(m->method, "PUT") ||
                                         slice_equal_text(m->method, "PATCH"))) {
        /* In HTTP/1.1 this means an empty body; in 1.0 one may follow whose end nobody knows. */
        return http_refuse(411, "An HTTP/1.0 request with a body needs a Content-Length.");
    }
    if (refusal.status)
        return refusal;
    /* Behind the head of a WebSocket handshake come frames. Other upgrades are ignored, as section 7.8 of RFC 9110
     * allows: Java's client offers h2c with every POST. */
    if (*ret_framing != HTTP_FRAMING_NONE && is_handshake)
        return http_refuse(400, "A WebSocket handshake has no body.");
    return HTTP_ACCEPTED;
}

struct http_refusal http_response_framing(struct http_message *m, bool to_head, size_t body_max,
                                          enum http_framing *ret_framing, uint64_t *ret_length)
{
    struct http_refusal refusal = HTTP_ACCEPTED;

    *ret_framing = HTTP_FRAMING_NONE;
    *ret_length = 0;
    m->keep_alive = connection_persists(m);
    /* Section 6.3, rule 1: these have no body, whatever length they state. */
    if (to_head || m->status < 200 || m->status == 204 || m->status == 304)
        return HTTP_ACCEPTED;
    if (http_message_header_count(m, "Transfer-Encoding") > 0) {
        refusal = transfer_encoding_judge(m);
        *ret_framing = HTTP_FRAMING_CHUNKED;
    } else if (http_message_header_count(m, "Content-Length") > 0) {
        refusal = length_judge(m, body_max, ret_framing, ret_length);
    } else {
        *ret_framing = HTTP_FRAMING_END_OF_STREAM;
        m->keep_alive = false;
    }
    return refusal;
}
