#ifndef BASE_MESSAGE_H
#define BASE_MESSAGE_H

#include "base/payload.h"

/**
 * struct message - something on its way to the listeners of a channel
 *
 * The one value that store, bus, hub and gateway hand to each other. Immutable once shared, counted with atomics: one
 * reference per thread and queue, never one per delivery. Its slices point into @backing, which may be a whole AMQP
 * body shared by its siblings.
 */
enum message_kind {
    MESSAGE_KIND_MESSAGE = 1, /* must arrive */
    MESSAGE_KIND_SIGNAL = 2,  /* only the newest matters */
    MESSAGE_KIND_RELAY = 3,   /* octets for the others in the room */
    MESSAGE_KIND_CONTROL = 4, /* from node to node */
};

struct message {
    atomic_uint refs;
    enum message_kind kind;
    /** Whether @id names this message beyond this body: only then are later copies duplicates. */
    bool has_stable_id;
    struct slice channel;
    struct slice id;
    int64_t time_ms;
    struct slice from; /* not set: from nobody in particular */
    struct slice content_type;
    struct slice data;
    uint64_t epoch; /* 0: no position */
    uint64_t offset;
    struct slice meta; /* a msgpack map as it came, or not set */
    struct payload *backing;
};

#define CONTENT_TYPE_JSON SLICE_LITERAL("application/json")
#define CONTENT_TYPE_TEXT SLICE_LITERAL("text/plain")
#define CONTENT_TYPE_OCTETS SLICE_LITERAL("application/octet-stream")

/**
 * message_new() - a message whose slices point into @backing
 *
 * Copies the fields of @fields (refs and backing aside) and takes over the caller's reference to @backing, also on
 * failure. Return: the message with one reference, NULL when out of memory.
 */
struct message *message_new(const struct message *fields, struct payload *backing) base_must_check;

/** The same, copying all bytes into a new backing. */
struct message *message_copy(const struct message *fields) base_must_check;

static inline struct message *message_ref(struct message *m)
{
    atomic_fetch_add_explicit(&m->refs, 1, memory_order_relaxed);
    return m;
}

/** Drops a reference; accepts NULL, returns NULL. */
struct message *message_unref(struct message *m);

BASE_DEFINE_CLEANUP(struct message *, message_unref)

#endif
