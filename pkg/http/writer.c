/*
 * Messages out. Callers build values from what they know; should a control character get into one all the same, it is
 * written as a space (RFC 9110 section 5.5), so that no value can end its line and begin another.
 */
#include "http/http_internal.h"

static void append_value(struct buffer *out, const char *value)
{
    for (; *value; value++)
        buffer_append_char(out, http_character_is(*value, HTTP_CHARACTER_FIELD) ? *value : ' ');
}

static void append_header(struct buffer *out, const char *name, const char *value)
{
    assert(http_characters_are(slice_from(name), HTTP_CHARACTER_TOKEN));
    buffer_append_text(out, name);
    buffer_append(out, ": ", 2);
    append_value(out, value);
    buffer_append(out, "\r\n", 2);
}

static void append_headers(struct buffer *out, const struct http_header_text *headers)
{
    for (; headers && headers->name; headers++)
        append_header(out, headers->name, headers->value);
}

static void append_content_length(struct buffer *out, size_t size)
{
    buffer_append_text(out, "Content-Length: ");
    buffer_append_uint64(out, size);
    buffer_append(out, "\r\n", 2);
}

void http_write_response(struct buffer *out, unsigned status, const struct http_header_text *headers, struct slice body,
                         bool keep_alive, bool head_only)
{
    /* RFC 9110 section 8.6: no Content-Length in 1xx and 204; in 304 it would speak of another body. */
    bool bodyless = status < 200 || status == 204 || status == 304;

    assert(status >= 100 && status <= 999);
    buffer_append_text(out, "HTTP/1.1 ");
    buffer_append_uint64(out, status);
    buffer_append_char(out, ' ');
    buffer_append_text(out, http_status_reason(status));
    buffer_append(out, "\r\n", 2);
    append_headers(out, headers);
    if (!keep_alive)
        append_header(out, "Connection", "close");
    if (!bodyless)
        append_content_length(out, body.size);
    buffer_append(out, "\r\n", 2);
    if (!bodyless && !head_only)
        buffer_append_slice(out, body);
}

void http_write_request(struct buffer *out, const char *method, const char *target, const char *host,
                        const struct http_header_text *headers, struct slice body)
{
    assert(http_characters_are(slice_from(method), HTTP_CHARACTER_TOKEN));
    assert(http_characters_are(slice_from(target), HTTP_CHARACTER_TARGET));
    buffer_append_text(out, method);
    buffer_append_char(out, ' ');
    buffer_append_text(out, target);
    buffer_append_text(out, " HTTP/1.1\r\n");
    append_header(out, "Host", host);
    append_headers(out, headers);
    if (slice_is_set(body))
        append_content_length(out, body.size);
    buffer_append(out, "\r\n", 2);
    buffer_append_slice(out, body);
}
