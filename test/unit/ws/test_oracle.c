/*
 * The frame parser beside wslay's on the same random streams, right ones and mutated ones: both must see the same
 * messages and both refuse, or neither.
 *
 * wslay judges a header when it is whole and a payload as it comes, so it may see a violation some bytes later: where
 * ours has refused, wslay is given zeros, which complete what it waits for and are themselves no masked frame. Where it
 * is known to differ:
 *
 *   - a close payload of one byte is no status to it, and a protocol error by section 5.5.1;
 *   - close codes 1012 to 1014 are younger than its list;
 *   - of a close frame with a bad code and a reason that is not UTF-8 it names the latter, we the former, which comes
 * first.
 */
#include "unit/ws/transcript.h"

#include <stdio.h>
#include <sys/types.h>
#include <wslay/wslay.h>

#define MESSAGE_MAX 1000
#define ROUNDS 6000

static uint64_t seed = 0x9e3779b97f4a7c15u;

static uint64_t below(uint64_t bound)
{
    return transcript_random(&seed) % bound;
}

static bool one_in(uint64_t n)
{
    return below(n) == 0;
}

/* ---- wslay's side ---- */

struct oracle {
    struct slice bytes; /* not read yet */
    size_t zeros;       /* behind them */
    struct buffer *out;
};

static ssize_t oracle_recv(wslay_event_context_ptr ctx, uint8_t *to, size_t size, int flags, void *data)
{
    struct oracle *o = data;
    size_t n = size < o->bytes.size ? size : o->bytes.size;

    (void)flags;
    if (n > 0) {
        memcpy(to, o->bytes.data, n);
        o->bytes = slice_skip(o->bytes, n);
        return (ssize_t)n;
    }
    n = size < o->zeros ? size : o->zeros;
    if (n == 0) {
        wslay_event_set_error(ctx, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    memset(to, 0, n);
    o->zeros -= n;
    return (ssize_t)n;
}

static ssize_t oracle_send(wslay_event_context_ptr ctx, const uint8_t *from, size_t size, int flags, void *data)
{
    (void)ctx;
    (void)from;
    (void)flags;
    (void)data;
    return (ssize_t)size;
}

static void oracle_message(wslay_event_context_ptr ctx, const struct wslay_event_on_msg_recv_arg *arg, void *data)
{
    struct oracle *o = data;
    struct ws_event e = {.payload = slice_make(arg->msg ? (const char *)arg->msg : "", arg->msg_length)};

    (void)ctx;
    e.opcode = (enum ws_opcode)arg->opcode;
    e.type = WS_EVENT_MESSAGE;
    if (arg->opcode == WSLAY_PING)
        e.type = WS_EVENT_PING;
    if (arg->opcode == WSLAY_PONG)
        e.type = WS_EVENT_PONG;
    if (arg->opcode == WSLAY_CONNECTION_CLOSE) {
        e.type = WS_EVENT_CLOSE;
        e.close_code = arg->status_code ? arg->status_code : WS_CLOSE_NO_STATUS;
        if (e.payload.size == 1) {
            buffer_append_text(o->out, "refused 1002\n");
            return;
        }
        if (e.payload.size >= 2)
            e.payload = slice_skip(e.payload, 2);
    }
    transcript_event(&e, o->out);
}

/* Its transcript; the code of a refusal is what it then sends. */
static void oracle_feed(struct slice bytes, size_t zeros, struct buffer *out)
{
    struct wslay_event_callbacks callbacks = {
        .recv_callback = oracle_recv, .send_callback = oracle_send, .on_msg_recv_callback = oracle_message};
    struct oracle o = {.bytes = bytes, .zeros = zeros, .out = out};
    wslay_event_context_ptr ctx = NULL;
    int r;

    assert_int_equal(wslay_event_context_server_init(&ctx, &callbacks, &o), 0);
    wslay_event_config_set_max_recv_msg_length(ctx, MESSAGE_MAX);
    do
        r = wslay_event_recv(ctx); /* ends early where a read gave less than a header */
    while (r == 0 && wslay_event_get_read_enabled(ctx) && o.bytes.size + o.zeros > 0);
    assert_true(r == 0 ||
                r == WSLAY_ERR_CALLBACK_FAILURE); /* so it reports a broken header too; our callbacks do not fail */
    if (r) {
        buffer_printf(out, "refused %u\n", WS_CLOSE_PROTOCOL_ERROR);
    } else if (!wslay_event_get_read_enabled(ctx) && !wslay_event_get_close_received(ctx)) {
        assert_int_equal(wslay_event_send(ctx), 0);
        buffer_printf(out, "refused %u\n", wslay_event_get_status_code_sent(ctx));
    }
    wslay_event_context_free(ctx);
}

/* ---- streams ---- */

static size_t random_text(char *to, size_t max)
{
    size_t size = 0;

    while (max - size >= 4 && !one_in(40)) {
        static const uint32_t bounds[] = {0x80, 0x800, 0xd800, 0x110000};
        uint32_t c = (uint32_t)below(bounds[below(4)]);

        if (c >= 0xd800 && c < 0xe000)
            c = 'x';
        size += utf8_encode(c, to + size);
    }
    return size;
}

static bool wasteful; /* whether frames may have longer headers than they need */

static size_t wasteful_header(char *header, unsigned opcode, bool fin, size_t size, const uint8_t *key)
{
    size_t length = one_in(2) ? 2 : 8;

    header[0] = (char)(uint8_t)((fin ? 0x80u : 0) | opcode);
    header[1] = (char)(length == 2 ? 0xfe : 0xff);
    for (size_t i = 0; i < length; i++)
        header[2 + i] = (char)(uint8_t)((uint64_t)size >> (8 * (length - 1 - i)));
    memcpy(header + 2 + length, key, 4);
    return 2 + length + 4;
}

static void append_frame(struct buffer *out, unsigned opcode, bool fin, const char *payload, size_t size)
{
    char header[WS_HEADER_MAX_BYTES];
    uint8_t key[4];
    size_t n;

    for (size_t i = 0; i < sizeof(key); i++)
        key[i] = (uint8_t)below(256);
    n = ws_header_write(header, (enum ws_opcode)opcode, fin, 0, size, key);
    if (wasteful && one_in(20))
        n = wasteful_header(header, opcode, fin, size, key);
    buffer_append(out, header, n);
    buffer_append(out, payload, size);
    assert_int_equal(buffer_error(out), 0);
    ws_mask(out->data + out->size - size, size, key, 0);
}

static void append_control(struct buffer *out)
{
    static const unsigned codes[] = {1000, 1001, 1002, 1003, 1004, 1005, 1006, 1007, 1010, 1011,
                                     1015, 1016, 2999, 3000, 4999, 5000, 0,    999,  65535};
    char payload[WS_CONTROL_MAX_BYTES];
    size_t size = random_text(payload, sizeof(payload));

    if (!one_in(8)) {
        append_frame(out, one_in(2) ? WS_OPCODE_PING : WS_OPCODE_PONG, true, payload, size);
        return;
    }
    if (size >= 2) {
        unsigned code = codes[below(BASE_ARRAY_SIZE(codes))];
        size = 2 + random_text(payload + 2, WS_REASON_MAX_BYTES);
        payload[0] = (char)(uint8_t)(code >> 8);
        payload[1] = (char)(uint8_t)code;
    }
    append_frame(out, WS_OPCODE_CLOSE, true, payload, size);
}

/* A message in one frame or cut anywhere, also within characters, with control frames between the pieces. */
static void append_message(struct buffer *out)
{
    char payload[MESSAGE_MAX + 40];
    bool text = one_in(2);
    size_t size = one_in(4) ? below(sizeof(payload)) : random_text(payload, sizeof(payload)), at = 0;
    unsigned opcode = text ? WS_OPCODE_TEXT : WS_OPCODE_BINARY;

    for (size_t i = 0; size > 0 && !text && i < size; i++)
        payload[i] = (char)(uint8_t)below(256);
    if (text && size > 0)
        size = random_text(payload, size);
    while (one_in(2)) {
        size_t n = below(size - at + 1);

        append_frame(out, opcode, false, payload + at, n);
        at += n;
        opcode = WS_OPCODE_CONTINUATION;
        if (one_in(3))
            append_control(out);
    }
    append_frame(out, opcode, true, payload + at, size - at);
}

static void random_stream(struct buffer *out, bool mutated)
{
    wasteful = mutated && one_in(4);
    for (uint64_t n = 1 + below(6); n > 0; n--) {
        if (one_in(3))
            append_control(out);
        else
            append_message(out);
    }
    for (uint64_t n = mutated && !wasteful ? 1 + below(3) : 0; n > 0; n--)
        out->data[below(one_in(2) && out->size > 16 ? 16 : out->size)] ^= (char)(1u << below(8));
    if (one_in(4))
        buffer_truncate(out, below(out->size + 1));
}

/* ---- both ---- */

/* The stream, and both transcripts from a little before they part. */
static void explain(const struct buffer *stream, const struct buffer *ours, const struct buffer *theirs)
{
    size_t same = 0;

    while (same < ours->size && same < theirs->size && ours->data[same] == theirs->data[same])
        same++;
    same = same > 40 ? same - 40 : 0;
    for (size_t i = 0; i < stream->size; i++)
        (void)fprintf(stderr, "%02x", (unsigned)(uint8_t)stream->data[i]);
    (void)fprintf(stderr, "\n  ours: %.200s\ntheirs: %.200s\n", ours->data ? ours->data + same : "",
                  theirs->data ? theirs->data + same : "");
}

static bool has_refused(const struct buffer *transcript)
{
    return transcript->data && strstr(transcript->data, "refused ");
}

static bool ends_with(const struct buffer *transcript, const char *text)
{
    size_t size = strlen(text);

    return transcript->size >= size && memcmp(transcript->data + transcript->size - size, text, size) == 0;
}

static bool agree(const struct buffer *ours, const struct buffer *theirs)
{
    static const char *const young_codes[] = {"close 1012 ", "close 1013 ", "close 1014 "};

    for (size_t i = 0; i < BASE_ARRAY_SIZE(young_codes); i++)
        if (ours->data && strstr(ours->data, young_codes[i]))
            return ends_with(theirs, "refused 1002\n");
    if (slice_equal(buffer_slice(ours), buffer_slice(theirs)))
        return true;
    return ours->size == theirs->size && ends_with(ours, "refused 1002\n") && ends_with(theirs, "refused 1007\n") &&
           memcmp(ours->data, theirs->data, ours->size - strlen("1002\n")) == 0;
}

static void compare(bool mutated, unsigned *refusals)
{
    const struct ws_parser_options options = {.expect_masked = true, .max_message_bytes = MESSAGE_MAX};

    for (unsigned round = 0; round < ROUNDS; round++) {
        struct buffer stream = {0}, ours = {0}, theirs = {0};
        struct ws_parser p;

        random_stream(&stream, mutated);
        ws_parser_init(&p, &options);
        transcript_feed(&p, buffer_slice(&stream), stream.size, one_in(2) ? 0 : 1 + below(1u << 30), &ours);
        ws_parser_deinit(&p);
        oracle_feed(buffer_slice(&stream), has_refused(&ours) ? MESSAGE_MAX + WS_HEADER_MAX_BYTES : 0, &theirs);
        assert_int_equal(buffer_error(&ours), 0);
        if (!agree(&ours, &theirs)) {
            explain(&stream, &ours, &theirs);
            fail_msg("they differ in round %u", round);
        }
        *refusals += has_refused(&ours);
        buffer_deinit(&stream);
        buffer_deinit(&ours);
        buffer_deinit(&theirs);
    }
}

static void test_right_streams(void **state)
{
    unsigned refusals = 0;

    (void)state;
    compare(false, &refusals);
    assert_in_range(refusals, ROUNDS / 100, ROUNDS / 2); /* too long messages, bad close codes */
}

static void test_mutated_streams(void **state)
{
    unsigned refusals = 0;

    (void)state;
    compare(true, &refusals);
    assert_in_range(refusals, ROUNDS / 4, ROUNDS - ROUNDS / 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_right_streams),
        cmocka_unit_test(test_mutated_streams),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
