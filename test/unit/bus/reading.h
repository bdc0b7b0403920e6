#ifndef TEST_UNIT_BUS_READING_H
#define TEST_UNIT_BUS_READING_H

#include "bus/body.h"

#include <stdio.h>

/** A delivery around bytes of its exact size, so that a sanitizer sees the first byte too far. */
static inline struct bus_delivery delivery_of(struct slice body, const char *content_type)
{
    struct bus_delivery d = {
        .body = payload_copy(body), .content_type = slice_from(content_type), .time_ms = 1700000000000};

    assert(d.body);
    return d;
}

/** Reads to the end. Every slice is looked at, whatever the body. Return: messages; *ret_poison (may be NULL): items
 * that were none. */
static inline size_t read_all(const struct bus_delivery *d, size_t max_data_bytes, size_t *ret_poison)
{
    struct bus_reader r;
    struct message m;
    size_t messages = 0, poison = 0, sum = 0;
    int result;

    bus_reader_init(&r, d, max_data_bytes);
    while ((result = bus_reader_next(&r, NULL, NULL, &m)) != BUS_BODY_END) {
        const struct slice parts[] = {m.channel, m.id, m.content_type, m.data, m.from, m.meta};

        if (result == BUS_E_POISON) {
            assert(r.error);
            poison++;
            continue;
        }
        if (result)
            break;
        messages++;
        for (size_t i = 0; i < BASE_ARRAY_SIZE(parts); i++) {
            for (size_t n = 0; n < parts[i].size; n++)
                sum += (unsigned char)parts[i].data[n];
        }
        assert(m.channel.size > 0 && m.id.size > 0 && m.data.size <= max_data_bytes);
    }
    __asm__ volatile("" : : "r"(sum));
    bus_reader_deinit(&r);
    if (ret_poison)
        *ret_poison = poison;
    return messages;
}

#endif
