/*
 * Frames out: as they are, and compressed (RFC 7692).
 *
 * A compressed frame depends on the message and on the window its receiver can take, on nothing else: our side never
 * keeps a window (server_no_context_takeover). So a broadcast is compressed once a loop and window, and windows are
 * rounded down to three, whatever was negotiated: data written for a smaller window is good for a larger one.
 *
 * Compressing is an offer, not a duty (section 6): what is short, what does not shrink, and what there is no memory for
 * leaves as it is. Binary relay, which is voice, is never tried: it is compressed already and wants to be gone.
 */
#include "gateway/gateway_internal.h"

#define SCRATCH_KEEP_BYTES 65536

static const uint8_t window_bits[GATEWAY_WINDOWS] = {
    [GATEWAY_WINDOW_SMALL] = 8,
    [GATEWAY_WINDOW_MIDDLE] = 12,
    [GATEWAY_WINDOW_LARGE] = 15,
};

enum gateway_window gateway_window_of(unsigned server_max_window_bits)
{
    enum gateway_window window = GATEWAY_WINDOW_LARGE;

    while (window_bits[window] > server_max_window_bits)
        window--;
    return window;
}

void gateway_deflate_deinit(struct gateway_deflate *d)
{
    ws_inflate_pool_deinit(&d->pool);
    for (size_t i = 0; i < GATEWAY_WINDOWS; i++)
        ws_deflater_free(d->deflaters[i]);
    buffer_deinit(&d->scratch);
}

void gateway_deflate_count(struct gateway_worker *w)
{
    struct gateway_deflate *d = &w->deflate;
    const struct ws_inflate_pool *now = &d->pool, *told = &d->told;

    gateway_count(w, GATEWAY_METRIC_INFLATED, (int64_t)(now->messages - told->messages));
    gateway_count(w, GATEWAY_METRIC_INFLATED_COMPRESSED, (int64_t)(now->bytes_in - told->bytes_in));
    gateway_count(w, GATEWAY_METRIC_INFLATED_PLAIN, (int64_t)(now->bytes_out - told->bytes_out));
    gateway_count(w, GATEWAY_METRIC_INFLATE_REFUSED, (int64_t)(now->refused - told->refused));
    gateway_count(w, GATEWAY_METRIC_INFLATERS, (int64_t)now->held - (int64_t)told->held);
    d->told = d->pool;
}

/* ---- frames ---- */

static struct net_frame *frame_new(enum ws_opcode opcode, unsigned rsv, struct slice payload)
{
    size_t header_size = ws_header_size(payload.size, false);
    struct net_frame *frame = net_frame_new(header_size + payload.size);

    if (!frame)
        return NULL;
    ws_header_write(frame->data, opcode, true, rsv, payload.size, NULL);
    if (payload.size > 0)
        memcpy(frame->data + header_size, payload.data, payload.size);
    return frame;
}

struct net_frame *gateway_frame_new(enum ws_opcode opcode, struct slice payload)
{
    return frame_new(opcode, 0, payload);
}

struct net_frame *gateway_frame_new_parts(enum ws_opcode opcode, struct slice payload)
{
    struct slice rest = payload.size > 0 ? payload : SLICE_NONE, part;
    struct net_frame *frame;
    size_t size = 0;

    while (slice_split(&rest, '\0', &part))
        size += ws_header_size(part.size, false) + part.size;
    frame = net_frame_new(size);
    if (!frame)
        return NULL;
    size = 0;
    rest = payload.size > 0 ? payload : SLICE_NONE;
    while (slice_split(&rest, '\0', &part)) {
        ws_header_write(frame->data + size, opcode, true, 0, part.size, NULL);
        size += ws_header_size(part.size, false);
        memcpy(frame->data + size, part.data, part.size);
        size += part.size;
    }
    return frame;
}

/** Of this worker and window, made when it is first needed; NULL when out of memory. */
static struct ws_deflater *deflater_of(struct gateway_worker *w, enum gateway_window window)
{
    const struct gateway_config *config = w->config;
    const struct ws_deflate_effort effort = {
        .window_bits = window_bits[window],
        .level = (uint8_t)config->deflate_level,
        .memory_level = (uint8_t)config->deflate_memory_level,
    };

    if (!w->deflate.deflaters[window] && ws_deflater_new(&effort, &w->deflate.deflaters[window]) != 0)
        return NULL;
    return w->deflate.deflaters[window];
}

/** NULL: it leaves as it is. */
static struct net_frame *frame_new_compressed(struct gateway_worker *w, enum gateway_window window,
                                              enum ws_opcode opcode, struct slice payload)
{
    struct buffer *out = &w->deflate.scratch;
    struct ws_deflater *deflater;
    int result;

    if (payload.size < (size_t)w->config->deflate_min_bytes || !(deflater = deflater_of(w, window)))
        return NULL;
    buffer_reset(out, SCRATCH_KEEP_BYTES);
    result = ws_deflater_message(deflater, payload, out);
    if (result != 0) {
        if (result == WS_DEFLATE_E_NO_GAIN)
            gateway_count(w, GATEWAY_METRIC_DEFLATE_SKIPPED, 1);
        return NULL;
    }
    gateway_count(w, GATEWAY_METRIC_DEFLATED, 1);
    gateway_count(w, GATEWAY_METRIC_DEFLATED_PLAIN, (int64_t)payload.size);
    gateway_count(w, GATEWAY_METRIC_DEFLATED_COMPRESSED, (int64_t)out->size);
    return frame_new(opcode, WS_RSV1, buffer_slice(out));
}

struct net_frame *gateway_frame_compress(struct gateway_worker *w, enum gateway_window window, struct net_frame *plain)
{
    unsigned length7 = (uint8_t)plain->data[1];
    size_t header_size = length7 == 127 ? 10 : length7 == 126 ? 4 : 2;
    struct slice payload = slice_make(plain->data + header_size, plain->size - header_size);
    const struct net_place *place = plain->place;
    struct net_frame *compressed = frame_new_compressed(w, window, (enum ws_opcode)(plain->data[0] & 15), payload);

    if (!compressed)
        return net_frame_ref(plain);
    if (place && net_frame_set_place(compressed, place->series, place->epoch, place->from, place->to) < 0) {
        net_frame_unref(compressed);
        return net_frame_ref(plain);
    }
    compressed->delivery = plain->delivery;
    compressed->tag = plain->tag;
    return compressed;
}

struct net_frame *gateway_frame_for(const struct gateway_connection *c, enum ws_opcode opcode, struct slice payload)
{
    struct net_frame *compressed = NULL;

    if (c->window != GATEWAY_WINDOW_NONE && opcode < WS_OPCODE_CLOSE)
        compressed = frame_new_compressed(c->worker, c->window, opcode, payload);
    return compressed ? compressed : gateway_frame_new(opcode, payload);
}
