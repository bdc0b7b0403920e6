/*
 * Messages in, resumable at any byte.
 *
 *     HEAD ─▶ LENGTH | CHUNKED | TO_END ─▶ DONE ─(reset)─▶ HEAD        any ─▶ BAD
 *       └─(no body)───────────────────────▲
 *
 * Each byte of a head is looked at once, when it comes: the scanner finds the ends of lines, refuses what no line may
 * hold and copies. Only the request line is understood at once, so that a stranger of another protocol is refused at
 * his first line; fields are cut out when the head is whole, because its memory moves while it grows. What is decided
 * depends on the bytes alone, never on how they were cut.
 */
#include "http/http_internal.h"

/* What a parser that is used again may keep of each buffer. */
#define KEEP_BYTES 4096

enum state {
    HEAD,
    LENGTH,
    CHUNKED,
    TO_END,
    DONE,
    BAD,
};

struct http_parser {
    struct http_limits limits;
    enum state state;
    bool response, response_to_head;
    bool seen_cr;         /* the last byte of the head was a CR */
    bool awaits_continue; /* the head said so, and none of the body has come */
    bool seen_empty;      /* the empty line that may precede a request has been skipped */
    size_t line_size;     /* of the line being read, without its CR */
    size_t start_line;    /* size of the start line, 0 until it is whole */
    uint64_t body_left;   /* in LENGTH */
    struct http_chunked chunked;
    struct http_refusal refusal;
    struct buffer head, body;
    struct http_message message;
};

static int parser_new(const struct http_limits *limits, struct http_parser **ret_parser)
{
    struct http_parser *p;

    assert(limits->head_bytes > 0 && limits->headers <= HTTP_HEADERS_MAX);
    p = calloc(1, sizeof(*p));
    if (!p)
        return -ENOMEM;
    p->limits = *limits;
    p->head.limit = limits->head_bytes; /* caps what doubling takes; the sizes themselves are judged before */
    p->body.limit = limits->body_bytes;
    *ret_parser = p;
    return 0;
}

int http_parser_new_request(const struct http_limits *limits, struct http_parser **ret_parser)
{
    return parser_new(limits, ret_parser);
}

int http_parser_new_response(const struct http_limits *limits, bool response_to_head, struct http_parser **ret_parser)
{
    struct http_parser *p = NULL;
    int r = parser_new(limits, &p);

    if (r)
        return r;
    p->response = true;
    p->response_to_head = response_to_head;
    *ret_parser = p;
    return 0;
}

struct http_parser *http_parser_free(struct http_parser *p)
{
    if (p) {
        buffer_deinit(&p->head);
        buffer_deinit(&p->body);
        free(p);
    }
    return NULL;
}

static int parser_refuse(struct http_parser *p, struct http_refusal refusal)
{
    p->state = BAD;
    p->refusal = refusal;
    return HTTP_E_BAD;
}

static struct http_refusal start_line_parse(struct http_parser *p)
{
    struct slice line = slice_make(p->head.data, p->start_line);

    return p->response ? http_status_line_parse(line, &p->message) : http_request_line_parse(line, &p->message);
}

/* The head is whole: cut it up and decide how the body ends. Return: HTTP_MORE when a body follows. */
static int head_finish(struct http_parser *p)
{
    struct slice lines = buffer_slice(&p->head);
    enum http_framing framing = HTTP_FRAMING_NONE;
    struct http_refusal refusal;

    lines = slice_make(lines.data + p->start_line + 2, lines.size - p->start_line - 4);
    refusal = start_line_parse(p);
    if (!refusal.status)
        refusal = http_header_lines_parse(lines, p->limits.headers, &p->message);
    if (!refusal.status && p->response)
        refusal =
            http_response_framing(&p->message, p->response_to_head, p->limits.body_bytes, &framing, &p->body_left);
    else if (!refusal.status)
        refusal = http_request_framing(&p->message, p->limits.body_bytes, &framing, &p->body_left);
    if (refusal.status)
        return parser_refuse(p, refusal);
    p->awaits_continue = !p->response && framing != HTTP_FRAMING_NONE && p->message.minor_version > 0 &&
                         http_message_has_token(&p->message, "Expect", "100-continue");
    switch (framing) {
    case HTTP_FRAMING_LENGTH:
        p->state = LENGTH;
        return HTTP_MORE;
    case HTTP_FRAMING_CHUNKED:
        p->state = CHUNKED;
        return HTTP_MORE;
    case HTTP_FRAMING_END_OF_STREAM:
        p->state = TO_END;
        return HTTP_MORE;
    case HTTP_FRAMING_NONE:
        break;
    }
    p->state = DONE;
    return 0;
}

/* One byte of the head. *ret_line: this byte ended a line. */
static struct http_refusal head_step(struct http_parser *p, char byte, bool *ret_line)
{
    *ret_line = false;
    if (p->seen_cr) {
        if (byte != '\n')
            return http_refuse(400, "A CR is not followed by LF.");
        p->seen_cr = false;
        *ret_line = true;
    } else if (byte == '\r') {
        p->seen_cr = true;
    } else if (http_character_is(byte, HTTP_CHARACTER_FIELD)) {
        p->line_size++;
    } else {
        return http_refuse(400,
                           byte == '\n' ? "An LF does not follow a CR." : "There is a control character in the head.");
    }
    return HTTP_ACCEPTED;
}

/* RFC 9112 section 2.2: one empty line before a request is skipped. Return: whether that is what is being read. */
static bool is_leading_empty_line(const struct http_parser *p)
{
    return !p->response && !p->seen_empty && p->start_line == 0 && p->line_size == 0;
}

/* A line has ended, which the head now holds. Return: HTTP_MORE, or what head_finish() says. */
static int head_line_end(struct http_parser *p)
{
    struct http_refusal refusal;

    if (is_leading_empty_line(p)) {
        p->seen_empty = true;
        buffer_truncate(&p->head, 0);
        return HTTP_MORE;
    }
    if (p->line_size == 0)
        return p->start_line > 0 ? head_finish(p) : parser_refuse(p, http_refuse(400, "The start line is empty."));
    if (p->start_line == 0) {
        p->start_line = p->line_size;
        refusal = start_line_parse(p);
        if (refusal.status)
            return parser_refuse(p, refusal);
    }
    p->line_size = 0;
    return HTTP_MORE;
}

static int head_feed(struct http_parser *p, const char *data, size_t size, size_t *consumed)
{
    size_t i = 0, copied = 0;
    bool line = false;
    int r = HTTP_MORE;

    while (i < size && r == HTTP_MORE && p->state == HEAD) {
        struct http_refusal refusal = HTTP_ACCEPTED;

        if (p->head.size + (i - copied) == p->limits.head_bytes)
            refusal = p->start_line > 0 ? http_refuse(431, "The head is too long.")
                                        : http_refuse(414, "The request line is too long.");
        if (!refusal.status)
            refusal = head_step(p, data[i++], &line);
        if (refusal.status) {
            r = parser_refuse(p, refusal);
        } else if (line || i == size) {
            buffer_append(&p->head, data + copied, i - copied);
            copied = i;
            if (buffer_error(&p->head))
                r = -ENOMEM;
            else if (line)
                r = head_line_end(p);
        }
    }
    *consumed = i;
    return r;
}

/* A body of a stated length, or one that ends with the stream. */
static int body_feed(struct http_parser *p, const char *data, size_t size, size_t *consumed)
{
    size_t n = size;

    if (p->state == LENGTH && n > p->body_left)
        n = (size_t)p->body_left;
    *consumed = n;
    if (n > p->limits.body_bytes - p->body.size)
        return parser_refuse(p, http_refuse(413, "The body is too long."));
    buffer_append(&p->body, data, n);
    if (buffer_error(&p->body))
        return -ENOMEM;
    if (p->state == TO_END)
        return HTTP_MORE;
    p->body_left -= n;
    if (p->body_left > 0)
        return HTTP_MORE;
    p->state = DONE;
    return 0;
}

static int chunked_feed(struct http_parser *p, const char *data, size_t size, size_t *consumed)
{
    struct http_refusal refusal = HTTP_ACCEPTED;
    int r = http_chunked_feed(&p->chunked, slice_make(data, size), p->limits.body_bytes, p->limits.head_bytes, &p->body,
                              consumed, &refusal);

    if (r == HTTP_E_BAD)
        return parser_refuse(p, refusal);
    if (r == 0)
        p->state = DONE;
    return r;
}

static void message_finish(struct http_parser *p, const struct http_message **ret_message)
{
    p->message.body = buffer_slice(&p->body);
    *ret_message = &p->message;
}

int http_parser_feed(struct http_parser *p, const void *data, size_t size, size_t *ret_consumed,
                     const struct http_message **ret_message)
{
    size_t done = 0;
    int r = HTTP_MORE;

    assert(p->state != DONE); /* reset first */
    *ret_consumed = 0;
    if (buffer_error(&p->head) || buffer_error(&p->body)) /* bytes were lost: never again in step with the peer */
        return -ENOMEM;
    while (r == HTTP_MORE && done < size && p->state != DONE) {
        const char *rest = (const char *)data + done;
        size_t n = 0;

        if (p->state != HEAD)
            p->awaits_continue = false;
        switch (p->state) {
        case HEAD:
            r = head_feed(p, rest, size - done, &n);
            break;
        case LENGTH:
        case TO_END:
            r = body_feed(p, rest, size - done, &n);
            break;
        case CHUNKED:
            r = chunked_feed(p, rest, size - done, &n);
            break;
        case DONE:
        case BAD:
            r = HTTP_E_BAD;
            break;
        }
        done += n;
    }
    *ret_consumed = done;
    if (p->state == BAD)
        return HTTP_E_BAD;
    if (r == 0)
        message_finish(p, ret_message);
    return r;
}

int http_parser_end(struct http_parser *p, const struct http_message **ret_message)
{
    if (p->state == BAD)
        return HTTP_E_BAD;
    if (p->state != TO_END)
        return parser_refuse(p, http_refuse(400, "The stream ended within a message."));
    p->state = DONE;
    message_finish(p, ret_message);
    return 0;
}

unsigned http_parser_error(const struct http_parser *p, const char **ret_sentence)
{
    assert(p->state == BAD);
    *ret_sentence = p->refusal.sentence;
    return p->refusal.status;
}

void http_parser_reset(struct http_parser *p)
{
    buffer_reset(&p->head, KEEP_BYTES);
    buffer_reset(&p->body, KEEP_BYTES);
    p->state = HEAD;
    p->seen_cr = p->seen_empty = p->awaits_continue = false;
    p->line_size = p->start_line = 0;
    p->body_left = 0;
    p->chunked = (struct http_chunked){0};
    p->refusal = HTTP_ACCEPTED;
    p->message.header_count = 0; /* the rest is overwritten by the next head */
    p->message.body = SLICE_NONE;
}

bool http_parser_awaits_continue(struct http_parser *p)
{
    bool awaits = p->awaits_continue;

    p->awaits_continue = false;
    return awaits;
}

bool http_parser_has_begun(const struct http_parser *p)
{
    return p->state != HEAD || p->head.size > 0;
}
