#include "base/message.h"

struct message *message_new(const struct message *fields, struct payload *backing)
{
    struct message *m = malloc(sizeof(*m));

    if (!m) {
        (void)payload_unref(backing);
        return NULL;
    }
    m->kind = fields->kind;
    m->has_stable_id = fields->has_stable_id;
    m->channel = fields->channel;
    m->id = fields->id;
    m->time_ms = fields->time_ms;
    m->from = fields->from;
    m->content_type = fields->content_type;
    m->data = fields->data;
    m->epoch = fields->epoch;
    m->offset = fields->offset;
    m->meta = fields->meta;
    m->backing = backing;
    atomic_init(&m->refs, 1);
    return m;
}

struct message *message_copy(const struct message *fields)
{
    const struct slice *from[] = {&fields->channel,      &fields->id,   &fields->from,
                                  &fields->content_type, &fields->meta, &fields->data};
    struct payload *backing;
    struct message *m;
    size_t size = 0;
    char *at;

    for (size_t i = 0; i < BASE_ARRAY_SIZE(from); i++) {
        if (from[i]->size > PAYLOAD_MAX_BYTES) /* so that the sum cannot wrap around */
            return NULL;
        size += from[i]->size;
    }
    backing = payload_new(size);
    if (!backing)
        return NULL;
    m = message_new(fields, backing);
    if (!m)
        return NULL;
    at = backing->data;
    struct slice *to[BASE_ARRAY_SIZE(from)] = {&m->channel, &m->id, &m->from, &m->content_type, &m->meta, &m->data};
    for (size_t i = 0; i < BASE_ARRAY_SIZE(to); i++) {
        if (!slice_is_set(*to[i])) /* absent stays absent; empty stays set */
            continue;
        if (to[i]->size > 0)
            memcpy(at, to[i]->data, to[i]->size);
        to[i]->data = at;
        at += to[i]->size;
    }
    return m;
}

struct message *message_unref(struct message *m)
{
    if (!m)
        return NULL;
    if (atomic_fetch_sub_explicit(&m->refs, 1, memory_order_acq_rel) == 1) {
        (void)payload_unref(m->backing);
        free(m);
    }
    return NULL;
}
