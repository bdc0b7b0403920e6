/*
 * Any bytes as requests, as responses and as a URL. A stream means the same however it is cut: it is fed whole, byte by
 * byte and in cuts drawn from its own bytes, and the outcomes must be equal. What is accepted keeps what the header of
 * the parser promises.
 */
#include "base/hash.h"
#include "http/http.h"
#include "http/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum side { REQUEST, RESPONSE, RESPONSE_TO_HEAD };

static const struct http_limits limits = {.head_bytes = 1024, .headers = 8, .body_bytes = 200};

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void record(struct buffer *out, struct slice s)
{
    buffer_append_uint64(out, s.size);
    buffer_append_char(out, slice_is_set(s) ? ':' : '-');
    buffer_append_slice(out, s);
}

static void check_request(const struct http_message *m)
{
    struct buffer decoded = {0};

    require(m->path.size > 0 && (m->path.data[0] == '/' || slice_equal_text(m->path, "*")));
    require(m->minor_version == 0 || http_message_header_count(m, "Host") == 1);
    require(http_message_header_count(m, "Content-Length") == 0 ||
            http_message_header_count(m, "Transfer-Encoding") == 0);
    if (http_percent_decode(m->path, false, &decoded))
        require(decoded.size <= m->path.size);
    (void)http_query_parameter(m->query, "since", 1);
    buffer_deinit(&decoded);
}

static void record_message(const struct http_message *m, enum side side, struct buffer *out)
{
    require(m->header_count <= limits.headers && m->body.size <= limits.body_bytes);
    if (side == REQUEST)
        check_request(m);
    record(out, m->method);
    record(out, m->target);
    record(out, m->path);
    record(out, m->query);
    record(out, m->reason);
    buffer_printf(out, "%u %u %d", m->status, m->minor_version, m->keep_alive);
    for (size_t i = 0; i < m->header_count; i++) {
        const struct http_header *h = &m->headers[i];

        require(h->name.size > 0);
        for (size_t at = 0; at < h->value.size; at++)
            require(h->value.data[at] == '\t' || (unsigned char)h->value.data[at] >= ' ');
        record(out, h->name);
        record(out, h->value);
    }
    record(out, m->body);
}

/* @seed 0: pieces of @piece bytes. */
static void run(enum side side, struct slice bytes, size_t piece, uint64_t seed, struct buffer *out)
{
    struct http_parser *p = NULL;
    const struct http_message *m = NULL;
    const char *sentence = NULL;
    size_t at = 0, end = 0;
    int r = HTTP_MORE;

    require((side == REQUEST ? http_parser_new_request(&limits, &p)
                             : http_parser_new_response(&limits, side == RESPONSE_TO_HEAD, &p)) == 0);
    while (at < bytes.size && r != HTTP_E_BAD) {
        size_t n = 0;

        if (at == end) {
            seed = seed ? hash_bytes_keyed(seed, 0, bytes.data, bytes.size) | 1 : 0;
            end = at + (seed ? 1 + seed % 40 : piece);
            end = end < bytes.size ? end : bytes.size;
        }
        r = http_parser_feed(p, bytes.data + at, end - at, &n, &m);
        require(n <= end - at && (r == 0 || r == HTTP_MORE || r == HTTP_E_BAD) && (r != HTTP_MORE || n == end - at));
        at += n;
        if (r == 0) {
            record_message(m, side, out);
            buffer_printf(out, " until %zu\n", at);
            http_parser_reset(p);
        }
    }
    if (r == HTTP_E_BAD)
        buffer_printf(out, "refused %u", http_parser_error(p, &sentence));
    else if (!http_parser_has_begun(p))
        buffer_append_text(out, "idle");
    else if (side != REQUEST && http_parser_end(p, &m) == 0)
        record_message(m, side, out);
    buffer_append_text(out, sentence ? sentence : "");
    http_parser_free(p);
}

static void check_side(enum side side, struct slice bytes)
{
    struct buffer whole = {0}, other = {0};

    run(side, bytes, bytes.size, 0, &whole);
    for (uint64_t seed = 0; seed < 3; seed++) {
        run(side, bytes, 1, seed, &other);
        require(slice_equal(buffer_slice(&whole), buffer_slice(&other)));
        buffer_reset(&other, 4096);
    }
    require(buffer_error(&whole) == 0 && buffer_error(&other) == 0);
    buffer_deinit(&whole);
    buffer_deinit(&other);
}

static void check_url(struct slice text)
{
    struct http_url url = {.port = 0};

    if (http_url_parse(text, "http,https,ws,wss,amqp,redis", &url))
        return;
    require(url.host.size > 0 && url.target.size > 0 && url.target.data[0] == '/');
    require(slice_is_set(url.user) || !slice_is_set(url.password));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice bytes = slice_make(data, size);

    check_side(REQUEST, bytes);
    check_side(RESPONSE, bytes);
    check_side(RESPONSE_TO_HEAD, bytes);
    check_url(bytes);
    return 0;
}
