/*
 * The first byte chooses the content type, whether there is a routing key and a message id, and whether what nobody
 * wants is passed over; the rest is a body. Own bodies that are read whole must read the same when they are written
 * again.
 */
#include "bus/body.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_wanted(void *userdata, struct slice channel)
{
    return channel.size % 2 == *(const size_t *)userdata % 2;
}

/** What was read, written and read again, is the same. */
static void write_again(const struct message *m, size_t max_data_bytes)
{
    struct buffer out = {0};
    struct bus_delivery d = {.content_type = SLICE_LITERAL(BUS_CONTENT_TYPE)};
    struct bus_reader r;
    struct message again;

    bus_body_begin(&out, 1);
    bus_body_append(&out, m);
    if (buffer_error(&out) || out.size > bus_body_message_bound(m) + 5)
        abort();
    d.body = payload_copy(buffer_slice(&out));
    if (!d.body)
        abort();
    bus_reader_init(&r, &d, max_data_bytes);
    if (bus_reader_next(&r, NULL, NULL, &again) != 0 || again.kind != m->kind || again.time_ms != m->time_ms ||
        !slice_equal(again.channel, m->channel) || !slice_equal(again.id, m->id) || !slice_equal(again.from, m->from) ||
        !slice_equal(again.content_type, m->content_type) || !slice_equal(again.data, m->data) ||
        again.epoch != m->epoch || again.offset != m->offset || !slice_equal(again.meta, m->meta))
        abort();
    bus_reader_deinit(&r);
    (void)payload_unref(d.body);
    buffer_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const types[] = {BUS_CONTENT_TYPE, "application/json", "application/msgpack", NULL};
    const size_t max_data_bytes = 4096;
    struct bus_delivery d = {0};
    struct bus_reader r;
    struct message m;
    size_t parity = size, items = 0;
    int result;

    if (size == 0)
        return 0;
    d.body = payload_copy(slice_make(data + 1, size - 1));
    if (!d.body)
        return 0;
    d.content_type = slice_from(types[data[0] % 4]);
    d.routing_key = data[0] & 4 ? SLICE_LITERAL("room:key") : SLICE_NONE;
    d.message_id = data[0] & 8 ? SLICE_LITERAL("m") : SLICE_NONE;
    bus_reader_init(&r, &d, max_data_bytes);
    while ((result = bus_reader_next(&r, data[0] & 16 ? is_wanted : NULL, &parity, &m)) != BUS_BODY_END) {
        if (result != 0 && result != BUS_E_POISON)
            abort();
        if (++items > BUS_BODY_MAX_MESSAGES + 1)
            abort(); /* it does not end */
        if (result == 0)
            write_again(&m, max_data_bytes);
    }
    bus_reader_deinit(&r);
    (void)payload_unref(d.body);
    return 0;
}
