/*
 * Frames in (RFC 6455 sections 5.2 to 5.5, 7.1.6, 8.1).
 *
 * A header is taken byte by byte, and each byte is judged when it comes; a payload is taken in pieces as large as they
 * come. A frame whose payload lies whole in the bytes fed is unmasked there and never copied; what comes in pieces is
 * collected in @message (data) or @control. Control frames may stand between the fragments of a message, so the two
 * never share memory. A compressed message (RFC 7692) is inflated as it comes; only what it becomes is kept.
 *
 * What comes out depends on the bytes alone, never on how they were cut. What is known in the middle of a message
 * (struct ws_parse) lives on the heap from one call to the next; a call that begins and ends between messages has it on
 * its stack.
 */
#include "ws/parser_internal.h"

#define FIN 0x80u
#define RSV 0x70u
#define OPCODE 0x0fu
#define MASKED 0x80u
#define LENGTH 0x7fu

/* Inside this file: a step that neither ends the call nor breaks a rule. */
#define GO_ON (-1000000)

void ws_parser_init(struct ws_parser *p, const struct ws_parser_options *options)
{
    *p = (struct ws_parser){.options = options};
}

static void parse_deinit(struct ws_parse *p)
{
    buffer_deinit(&p->message);
    p->inflater = ws_inflater_release(p->options->inflate, p->inflater);
}

void ws_parser_deinit(struct ws_parser *p)
{
    if (p->parse)
        parse_deinit(p->parse);
    free(p->parse);
    p->parse = NULL;
}

static int refuse(struct ws_parse *p, enum ws_close_code code, const char *sentence)
{
    p->error_code = (uint16_t)code;
    p->error = sentence;
    parse_deinit(p);
    return WS_E_CLOSE;
}

unsigned ws_parser_error(const struct ws_parser *p, const char **ret_sentence)
{
    assert(p->parse && p->parse->error);
    *ret_sentence = p->parse->error;
    return p->parse->error_code;
}

static bool is_control(unsigned opcode)
{
    return (opcode & 8) != 0;
}

/* FIN, RSV1 to RSV3, opcode. */
static int first_byte(struct ws_parse *p, unsigned byte)
{
    unsigned opcode = byte & OPCODE, rsv = byte & RSV;
    bool fin = (byte & FIN) != 0;

    /* An extension's bit marks a message, at its first frame (RFC 7692 section 6). */
    if (rsv & ~(unsigned)p->options->allowed_rsv || (rsv && (is_control(opcode) || opcode == WS_OPCODE_CONTINUATION)))
        return refuse(p, WS_CLOSE_PROTOCOL_ERROR, "A reserved bit is set.");
    switch (opcode) {
    case WS_OPCODE_CONTINUATION:
        if (!p->in_message)
            return refuse(p, WS_CLOSE_PROTOCOL_ERROR, "A continuation frame continues nothing.");
        break;
    case WS_OPCODE_TEXT:
    case WS_OPCODE_BINARY:
        if (p->in_message)
            return refuse(p, WS_CLOSE_PROTOCOL_ERROR, "A message begins within another one.");
        break;
    case WS_OPCODE_CLOSE:
    case WS_OPCODE_PING:
    case WS_OPCODE_PONG:
        if (!fin)
            return refuse(p, WS_CLOSE_PROTOCOL_ERROR, "A control frame is fragmented.");
        break;
    default:
        return refuse(p, WS_CLOSE_PROTOCOL_ERROR, "The opcode is not known.");
    }
    p->frame_opcode = (uint8_t)opcode;
    p->fin = fin;
    return GO_ON;
}

/* MASK, and the length or how it is encoded. */
static int second_byte(struct ws_parse *p, unsigned byte)
{
    unsigned length = byte & LENGTH;

    if (p->options->expect_masked && !(byte & MASKED))
        return refuse(p, WS_CLOSE_PROTOCOL_ERROR, "A frame of the client is not masked.");
    if (!p->options->expect_masked && (byte & MASKED))
        return refuse(p, WS_CLOSE_PROTOCOL_ERROR, "A frame of the server is masked.");
    if (is_control(p->frame_opcode) && length > WS_CONTROL_MAX_BYTES)
        return refuse(p, WS_CLOSE_PROTOCOL_ERROR, "A control frame is longer than 125 bytes.");
    if (p->frame_opcode == WS_OPCODE_CLOSE && length == 1)
        return refuse(p, WS_CLOSE_PROTOCOL_ERROR, "A close frame has half a code.");
    /* An empty frame that only ends the message does not count: some libraries know no other end. */
    if (p->frame_opcode == WS_OPCODE_CONTINUATION && p->options->max_fragments &&
        p->fragments >= p->options->max_fragments && !(p->fin && length == 0))
        return refuse(p, WS_CLOSE_TOO_BIG, "The message has too many fragments.");
    p->payload_left = length;
    p->header_need = (uint8_t)(2 + (length == 126 ? 2 : length == 127 ? 8 : 0) + (byte & MASKED ? 4 : 0));
    return GO_ON;
}

/* Of the data frame whose header was read. */
static bool is_compressed(const struct ws_parse *p)
{
    unsigned rsv = p->frame_opcode == WS_OPCODE_CONTINUATION ? p->message_rsv : p->header[0] & RSV;

    return p->options->inflate && (rsv & WS_RSV1);
}

/* Payload bytes that the message may still bring. */
static uint64_t payload_room(const struct ws_parse *p)
{
    uint64_t taken;

    if (!is_compressed(p))
        return p->options->max_message_bytes - p->message.size;
    taken = p->inflater ? ws_inflater_taken(p->inflater) : 0;
    return ws_inflate_budget(p->options->max_message_bytes, p->in_message ? p->fragments + 1 : 1) - taken;
}

/* The length is known: the shortest encoding is the only one, and what is too long is refused before it comes. */
static int length_judge(struct ws_parse *p, size_t encoded_bytes)
{
    if ((encoded_bytes == 2 && p->payload_left < 126) || (encoded_bytes == 8 && p->payload_left <= UINT16_MAX))
        return refuse(p, WS_CLOSE_PROTOCOL_ERROR, "A length is not encoded in the fewest bytes.");
    if (!is_control(p->frame_opcode) && p->payload_left > payload_room(p))
        return refuse(p, WS_CLOSE_TOO_BIG, "The message is too long.");
    return GO_ON;
}

static int header_byte(struct ws_parse *p, uint8_t byte)
{
    size_t at = p->header_have++;
    size_t length_end = (p->header[1] & LENGTH) == 126 ? 4 : (p->header[1] & LENGTH) == 127 ? 10 : 2;
    int r;

    p->header[at] = byte;
    if (at == 0)
        return first_byte(p, byte);
    if (at == 1) {
        r = second_byte(p, byte);
        return r == GO_ON && p->payload_left < 126 ? length_judge(p, 0) : r;
    }
    if (at >= length_end) { /* the masking key */
        p->masking_key[at - length_end] = byte;
        return GO_ON;
    }
    if (at == 2 && length_end == 10 && (byte & 0x80))
        return refuse(p, WS_CLOSE_PROTOCOL_ERROR, "The highest bit of a length is set.");
    p->payload_left = at == 2 ? byte : p->payload_left << 8 | byte;
    return at + 1 == length_end ? length_judge(p, length_end - 2) : GO_ON;
}

static void payload_begin(struct ws_parse *p)
{
    p->in_payload = true;
    p->payload_done = 0;
    p->header_have = 0;
    p->header_need = 2;
    p->control_have = 0;
    if (p->frame_opcode == WS_OPCODE_CLOSE)
        p->utf8 = (struct utf8_state){0}; /* for the reason: an unfinished message is never finished now */
    if (is_control(p->frame_opcode))
        return;
    if (p->frame_opcode == WS_OPCODE_CONTINUATION) {
        p->fragments++;
        return;
    }
    p->in_message = true;
    p->message_opcode = p->frame_opcode;
    p->message_rsv = p->header[0] & RSV;
    p->fragments = 1;
    p->utf8 = (struct utf8_state){0};
}

/* Return: GO_ON when a payload begins; WS_MORE; WS_E_CLOSE. */
static int header_feed(struct ws_parse *p, const char *data, size_t size, size_t *at)
{
    int r = GO_ON;

    while (r == GO_ON && p->header_have < p->header_need) {
        if (*at == size)
            return WS_MORE;
        r = header_byte(p, (uint8_t)data[(*at)++]);
    }
    if (r == GO_ON)
        payload_begin(p);
    return r;
}

static unsigned close_code(struct slice payload)
{
    return (unsigned)(uint8_t)payload.data[0] << 8 | (uint8_t)payload.data[1];
}

/* @payload: of a close frame, as far as it has come; its first @judged bytes have been here before. */
static int close_judge(struct ws_parse *p, struct slice payload, size_t judged)
{
    if (payload.size < 2)
        return GO_ON;
    if (judged < 2 && !ws_close_code_is_sendable(close_code(payload)))
        return refuse(p, WS_CLOSE_PROTOCOL_ERROR, "A close frame has a code that none may send.");
    if (!utf8_feed(&p->utf8, payload.data + (judged < 2 ? 2 : judged), payload.size - (judged < 2 ? 2 : judged)) ||
        (p->payload_left == 0 && !utf8_is_complete(&p->utf8)))
        return refuse(p, WS_CLOSE_INVALID_PAYLOAD, "The reason of a close frame is not UTF-8.");
    return GO_ON;
}

static int close_finish(struct ws_parse *p, struct slice payload, struct ws_event *event)
{
    p->closed = true;
    event->type = WS_EVENT_CLOSE;
    event->close_code = payload.size > 0 ? close_code(payload) : WS_CLOSE_NO_STATUS;
    event->payload = payload.size > 0 ? slice_skip(payload, 2) : payload;
    return 0;
}

/* @data: the next @size bytes of the payload, unmasked. */
static int control_feed(struct ws_parse *p, char *data, size_t size, struct ws_event *event)
{
    struct slice payload = slice_make(data, size);

    if (p->payload_left > 0 || p->control_have > 0) {
        if (size > 0)
            memcpy(p->control + p->control_have, data, size);
        p->control_have = (uint8_t)(p->control_have + size);
        payload = slice_make(p->control, p->control_have);
    }
    if (p->frame_opcode == WS_OPCODE_CLOSE && close_judge(p, payload, payload.size - size) != GO_ON)
        return WS_E_CLOSE;
    if (p->payload_left > 0)
        return WS_MORE;
    p->in_payload = false;
    if (p->frame_opcode == WS_OPCODE_CLOSE)
        return close_finish(p, payload, event);
    event->type = p->frame_opcode == WS_OPCODE_PING ? WS_EVENT_PING : WS_EVENT_PONG;
    event->payload = payload;
    return 0;
}

/* @result of the inflater; what it has appended behind @before is judged first, so that cuts make no difference. */
static int inflate_judge(struct ws_parse *p, int result, size_t before)
{
    size_t appended = p->message.size - before;

    if (result < 0) {
        p->message.error = -ENOMEM; /* for good */
        return -ENOMEM;
    }
    if (p->message_opcode == WS_OPCODE_TEXT && appended > 0 && !utf8_feed(&p->utf8, p->message.data + before, appended))
        return refuse(p, WS_CLOSE_INVALID_PAYLOAD, "A text message is not UTF-8.");
    if (result == WS_INFLATE_E_TOO_BIG)
        return refuse(p, WS_CLOSE_TOO_BIG, "The message is too long.");
    /* 1007 and not 1002: the frames are right, what is in them is not what it claims to be. */
    if (result == WS_INFLATE_E_BAD)
        return refuse(p, WS_CLOSE_INVALID_PAYLOAD, "A compressed message is not DEFLATE data.");
    return GO_ON;
}

/* The next @size bytes of a compressed message; @end: its last ones. */
static int inflate_feed(struct ws_parse *p, const char *data, size_t size, bool end)
{
    const struct ws_parser_options *o = p->options;
    size_t before = p->message.size;
    int r;

    if (!p->inflater)
        p->inflater =
            ws_inflater_acquire(o->inflate, o->inflate_keeps_window ? o->inflate_window_bits : WS_WINDOW_BITS_MAX);
    r = p->inflater ? ws_inflater_feed(p->inflater, slice_make(data, size), &p->message) : -ENOMEM;
    r = inflate_judge(p, r, before);
    if (r != GO_ON || !end)
        return r;
    r = inflate_judge(p, ws_inflater_finish(p->inflater, o->inflate_keeps_window), p->message.size);
    if (r == GO_ON && !o->inflate_keeps_window)
        p->inflater = ws_inflater_release(o->inflate, p->inflater);
    return r;
}

static int data_feed(struct ws_parse *p, char *data, size_t size, bool whole, struct ws_event *event)
{
    bool compressed = is_compressed(p);
    /* Else an extension of the caller's has to decode it first. */
    bool text = p->message_opcode == WS_OPCODE_TEXT && (p->message_rsv == 0 || compressed);
    bool frame_end = p->payload_left == 0;
    struct slice payload = slice_make(data, size);

    if (compressed) {
        int r = inflate_feed(p, data, size, frame_end && p->fin);

        if (r != GO_ON)
            return r;
        payload = buffer_slice(&p->message);
    } else if (text && !utf8_feed(&p->utf8, data, size)) {
        return refuse(p, WS_CLOSE_INVALID_PAYLOAD, "A text message is not UTF-8.");
    }
    if (text && frame_end && p->fin && !utf8_is_complete(&p->utf8))
        return refuse(p, WS_CLOSE_INVALID_PAYLOAD, "A text message ends within a character.");
    if (!whole && !compressed) {
        buffer_append(&p->message, data, size);
        if (buffer_error(&p->message))
            return -ENOMEM;
        payload = buffer_slice(&p->message);
    }
    if (!frame_end)
        return WS_MORE;
    p->in_payload = false;
    if (!p->fin)
        return GO_ON;
    p->in_message = false;
    event->type = WS_EVENT_MESSAGE;
    event->opcode = (enum ws_opcode)p->message_opcode;
    event->rsv = p->message_rsv;
    event->payload = payload;
    return 0;
}

static int payload_feed(struct ws_parse *p, char *data, size_t size, size_t *at, struct ws_event *event)
{
    size_t left = size - *at;
    size_t n = left < p->payload_left ? left : (size_t)p->payload_left;
    char *piece = data + *at;
    bool whole = n == p->payload_left && p->payload_done == 0 && p->fin && p->message.size == 0;

    if (p->options->expect_masked)
        ws_mask(piece, n, p->masking_key, p->payload_done);
    *at += n;
    p->payload_left -= n;
    p->payload_done += (uint32_t)n;
    return is_control(p->frame_opcode) ? control_feed(p, piece, n, event) : data_feed(p, piece, n, whole, event);
}

static int parse_feed(struct ws_parse *p, char *data, size_t size, size_t *ret_consumed, struct ws_event *event)
{
    size_t at = 0;
    int r = GO_ON;

    *ret_consumed = size;
    if (p->error)
        return WS_E_CLOSE;
    if (p->closed)
        return WS_MORE;
    if (buffer_error(&p->message))
        return -ENOMEM;
    while (r == GO_ON) {
        if (!p->in_payload)
            r = header_feed(p, data, size, &at);
        if (r == GO_ON)
            r = payload_feed(p, data, size, &at, event);
    }
    *ret_consumed = at;
    return r;
}

/** Lets go of what the last event showed. */
static void parse_settle(struct ws_parse *p)
{
    if (!p->in_message && !buffer_error(&p->message))
        buffer_deinit(&p->message);
    if (!p->in_payload)
        p->control_have = 0;
}

/** Whether a fresh one would do as well. */
static bool parse_is_idle(const struct ws_parse *p)
{
    return !p->error && !p->closed && p->header_have == 0 && !p->in_payload && !p->in_message && !p->inflater &&
           p->control_have == 0 && !p->message.data && !buffer_error(&p->message);
}

size_t ws_parser_held_bytes(const struct ws_parser *p)
{
    const struct ws_parse *parse = p->parse;

    if (!parse || (!parse->in_message && !parse->in_payload && parse->header_have == 0))
        return 0; /* a window that is kept between messages is another matter */
    return sizeof(*parse) + parse->message.size + (parse->inflater ? WS_INFLATER_BYTES : 0);
}

void ws_parser_settle(struct ws_parser *p)
{
    if (!p->parse)
        return;
    parse_settle(p->parse);
    if (parse_is_idle(p->parse))
        ws_parser_deinit(p);
}

int ws_parser_feed(struct ws_parser *p, char *data, size_t size, size_t *ret_consumed, struct ws_event *ret_event)
{
    struct ws_event event = {.type = WS_EVENT_MESSAGE, .payload = SLICE_NONE};
    /* Most frames come whole: then this is all that there ever was. */
    struct ws_parse fresh, *parse = p->parse;
    int r;

    *ret_consumed = size;
    if (!p->options)
        return -ENOMEM;
    if (parse) {
        parse_settle(parse);
    } else {
        fresh =
            (struct ws_parse){.options = p->options, .header_need = 2, .message.limit = p->options->max_message_bytes};
        parse = &fresh;
    }
    r = parse_feed(parse, data, size, ret_consumed, &event);
    if (parse_is_idle(parse)) {
        ws_parser_deinit(p);
    } else if (!p->parse) {
        p->parse = malloc(sizeof(*p->parse));
        if (!p->parse) {
            parse_deinit(&fresh);
            r = -ENOMEM;
        } else {
            *p->parse = fresh;
        }
    }
    if (r == -ENOMEM)
        p->options = NULL;
    if (r == 0)
        *ret_event = event;
    return r;
}
