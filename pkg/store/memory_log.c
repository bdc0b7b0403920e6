/*
 * The logs in memory. A log is a list of entries, oldest first; a channel with interest but without entries is kept
 * too. As with marks, nobody walks the table: whoever appends looks at a few other logs in turn.
 */
#include "base/clock.h"
#include "base/map.h"
#include "store/memory_internal.h"

/** Other logs looked at for each append. */
#define LOOKED_AT 2

struct memory_entry {
    struct list link;
    struct store_position position;
    size_t size;
    char record[];
};

struct memory_log {
    UT_hash_handle hh; /* by channel */
    struct list turn;
    struct list entries; /* of struct memory_entry */
    uint64_t count, bytes;
    uint64_t end_ms;          /* of the entries */
    uint64_t interest_end_ms; /* 0: none was stated */
    size_t size;
    char channel[];
};

static struct memory_entry *entry_from(struct list *link)
{
    return container_of(link, struct memory_entry, link);
}

static size_t entry_bytes(const struct memory_entry *e)
{
    return sizeof(*e) + e->size;
}

static void drop_first(struct memory_log *log)
{
    struct memory_entry *e = entry_from(list_pop(&log->entries));

    log->count--;
    log->bytes -= entry_bytes(e);
    free(e);
}

static void log_free(struct memory_store *s, struct memory_log *log)
{
    while (log->count > 0)
        drop_first(log);
    HASH_DEL(s->logs, log);
    list_remove(&log->turn);
    free(log);
}

/** Drops what of @log is over. Return: NULL if that was all of it. */
static struct memory_log *log_settle(struct memory_store *s, struct memory_log *log)
{
    uint64_t now_ms = memory_now_ms(s);

    if (log->end_ms <= now_ms)
        while (log->count > 0)
            drop_first(log);
    if (log->interest_end_ms <= now_ms)
        log->interest_end_ms = 0;
    if (log->count > 0 || log->interest_end_ms > 0)
        return log;
    log_free(s, log);
    return NULL;
}

static struct memory_log *log_find(struct memory_store *s, struct slice channel)
{
    struct memory_log *log;

    HASH_FIND(hh, s->logs, channel.data, channel.size, log);
    return log ? log_settle(s, log) : NULL;
}

/** The log, made if there is none (then it must get an entry or interest, or be settled); NULL when out of memory. */
static struct memory_log *log_get(struct memory_store *s, struct slice channel)
{
    struct memory_log *log = log_find(s, channel);

    if (log)
        return log;
    log = calloc(1, sizeof(*log) + channel.size);
    if (!log)
        return NULL;
    log->size = channel.size;
    memcpy(log->channel, channel.data, channel.size);
    list_init(&log->entries);
    HASH_ADD_KEYPTR(hh, s->logs, log->channel, log->size, log);
    if (!MAP_ADDED(log)) {
        free(log);
        return NULL;
    }
    list_append(&s->log_turns, &log->turn);
    return log;
}

static void settle_some(struct memory_store *s)
{
    for (unsigned i = 0; i < LOOKED_AT; i++) {
        struct list *first = list_pop(&s->log_turns);

        if (!first)
            return;
        list_append(&s->log_turns, first);
        (void)log_settle(s, container_of(first, struct memory_log, turn));
    }
}

static struct store_position log_first(const struct memory_log *log)
{
    return log && log->count > 0 ? entry_from(log->entries.next)->position : (struct store_position){0};
}

static struct store_position log_last(const struct memory_log *log)
{
    return log && log->count > 0 ? entry_from(log->entries.previous)->position : (struct store_position){0};
}

/** The epoch of what begins now. The clock may go back, epochs do not. */
static uint64_t epoch_now(const struct memory_store *s, bool is_new)
{
    uint64_t now_ms = (uint64_t)clock_realtime_ms();

    return now_ms >= s->last_epoch ? now_ms : s->last_epoch + is_new;
}

/* ---- append ---- */

static void trim(struct memory_log *log, const struct store_log_limits *limits)
{
    while (log->count > limits->length || (limits->bytes > 0 && log->bytes > limits->bytes && log->count > 1))
        drop_first(log);
}

/** Adds an entry for what is no repeat. */
static int add_entry(struct memory_store *s, struct store_append *r, const struct slice key[MEMORY_MARK_PARTS])
{
    struct memory_log *log = log_get(s, r->channel);
    struct memory_entry *e = log ? malloc(sizeof(*e) + r->record.size) : NULL;
    struct store_position position = log_last(log);

    if (position.epoch == 0)
        position.epoch = epoch_now(s, true);
    position.offset++;
    if (!e || memory_mark_set(s, key, position, r->key_age_ms) < 0) {
        free(e);
        if (log)
            (void)log_settle(s, log);
        return STORE_E_UNAVAILABLE;
    }
    s->last_epoch = position.epoch > s->last_epoch ? position.epoch : s->last_epoch;
    *e = (struct memory_entry){.position = position, .size = r->record.size};
    if (r->record.size > 0)
        memcpy(e->record, r->record.data, r->record.size);
    list_append(&log->entries, &e->link);
    log->count++;
    log->bytes += entry_bytes(e);
    trim(log, r->limits);
    log->end_ms = memory_now_ms(s) + r->limits->age_ms;
    if (log->interest_end_ms > log->end_ms)
        log->end_ms = log->interest_end_ms;
    r->position = position;
    r->is_repeat = false;
    return 0;
}

static bool is_known(struct memory_store *s, struct slice channel)
{
    return log_find(s, channel) || memory_is_known(s, channel);
}

int memory_append_run(struct memory_store *s, struct store_append *r)
{
    const struct slice key[MEMORY_MARK_PARTS] = {SLICE_LITERAL("key"), r->channel, r->sender, r->key};

    settle_some(s);
    if (r->only_known && !is_known(s, r->channel)) {
        r->position = (struct store_position){0};
        r->is_repeat = false;
        return 0;
    }
    if (!memory_mark_find(s, key, &r->position))
        return add_entry(s, r, key);
    r->is_repeat = true;
    return 0;
}

/* ---- reading ---- */

/** Collects up to @limit records past @after; @max_bytes as in struct store_log_read. */
static size_t collect_forwards(const struct memory_log *log, struct store_position after, uint32_t limit,
                               uint64_t max_bytes, struct store_record *records)
{
    uint64_t bytes = 0;
    size_t count = 0;

    for (struct list *it = log->entries.next; it != &log->entries && count < limit; it = it->next) {
        const struct memory_entry *e = entry_from(it);

        if (!store_position_is_before(after, e->position))
            continue;
        records[count++] = (struct store_record){e->position, slice_make(e->record, e->size)};
        bytes += e->size;
        if (bytes >= max_bytes)
            break;
    }
    return count;
}

/** The same before @before, from the end of @records; the result's first is at *ret_first. */
static size_t collect_backwards(const struct memory_log *log, struct store_position before, uint32_t limit,
                                uint64_t max_bytes, struct store_record *records, const struct store_record **ret_first)
{
    uint64_t bytes = 0;
    size_t count = 0;

    for (struct list *it = log->entries.previous; it != &log->entries && count < limit; it = it->previous) {
        const struct memory_entry *e = entry_from(it);

        if (before.epoch != 0 && !store_position_is_before(e->position, before))
            continue;
        count++;
        records[limit - count] = (struct store_record){e->position, slice_make(e->record, e->size)};
        bytes += e->size;
        if (bytes >= max_bytes)
            break;
    }
    *ret_first = records + limit - count;
    return count;
}

void memory_log_read_run(struct memory_store *s, struct store_log_read *r)
{
    const struct memory_log *log = log_find(s, r->channel);
    const struct store_position none = {0};
    base_cleanup(base_free_p)
    struct store_record *records = calloc(r->limit, sizeof(*records));
    const struct store_record *first = records;
    size_t count = 0;

    if (!records) {
        r->done(r, STORE_E_UNAVAILABLE, none, none, NULL, 0);
        return;
    }
    if (log && r->is_backwards)
        count = collect_backwards(log, r->after, r->limit, r->max_bytes, records, &first);
    else if (log)
        count = collect_forwards(log, r->after, r->limit, r->max_bytes, records);
    r->done(r, 0, log_last(log), log_first(log), first, count);
}

/** One channel of a sweep. Return: bytes of its records. */
static uint64_t sweep_channel(struct memory_store *s, struct store_sweep *r, size_t index, uint64_t bytes_left,
                              struct store_record *records, uint32_t limit)
{
    const struct memory_log *log = log_find(s, r->channels[index].channel);
    uint64_t bytes = 0;
    size_t count;

    if (!log || !store_position_is_before(r->channels[index].after, log_last(log)))
        return 0;
    if (bytes_left == 0) {
        r->has_more = true;
        return 0;
    }
    count = collect_forwards(log, r->channels[index].after, limit, bytes_left, records);
    if (store_position_is_before(records[count - 1].position, log_last(log)))
        r->has_more = true;
    for (size_t i = 0; i < count; i++)
        bytes += records[i].record.size + 1;
    r->on_records(r, index, records, count);
    return bytes;
}

void memory_sweep_run(struct memory_store *s, struct store_sweep *r)
{
    uint32_t limit = r->limit_per_channel < STORE_LOG_READ_MAX ? r->limit_per_channel : STORE_LOG_READ_MAX;
    base_cleanup(base_free_p)
    struct store_record *records = calloc(limit, sizeof(*records));
    uint64_t bytes_left = STORE_SWEEP_BYTES;

    if (!records) {
        r->done(r, STORE_E_UNAVAILABLE);
        return;
    }
    r->has_more = false;
    for (size_t i = 0; i < r->count; i++) {
        uint64_t bytes = sweep_channel(s, r, i, bytes_left, records, limit);

        bytes_left = bytes < bytes_left ? bytes_left - bytes : 0;
    }
    r->done(r, 0);
}

/* ---- interest ---- */

bool memory_interest_is_stated(struct memory_store *s, struct slice channel)
{
    const struct memory_log *log = log_find(s, channel);

    return log && log->interest_end_ms > 0;
}

static int remember(struct memory_store *s, const struct store_interest_put *r, size_t index)
{
    return r->known_ms && r->known_ms[index] ? memory_know(s, r->channels[index], r->known_ms[index]) : 0;
}

static void end_interest(struct memory_store *s, struct slice channel)
{
    struct memory_log *log = log_find(s, channel);

    if (!log)
        return;
    log->interest_end_ms = 0;
    (void)log_settle(s, log);
}

int memory_interest_put_run(struct memory_store *s, const struct store_interest_put *r)
{
    uint64_t end_ms = memory_now_ms(s) + s->expiry_ms;

    for (size_t i = 0; i < r->count; i++) {
        struct memory_log *log;

        if (remember(s, r, i) < 0)
            return STORE_E_UNAVAILABLE;
        if (r->is_end) {
            end_interest(s, r->channels[i]);
            continue;
        }
        log = log_get(s, r->channels[i]);
        if (!log)
            return STORE_E_UNAVAILABLE;
        log->interest_end_ms = end_ms;
        if (log->end_ms < end_ms)
            log->end_ms = end_ms;
        r->positions[i] = log_last(log);
        if (r->have_rest)
            r->have_rest[i] = false; /* this store has one life */
        if (r->positions[i].epoch == 0)
            r->positions[i].epoch = s->last_epoch = epoch_now(s, false);
    }
    return 0;
}

void memory_logs_clear(struct memory_store *s)
{
    while (!list_is_empty(&s->log_turns))
        log_free(s, container_of(s->log_turns.next, struct memory_log, turn));
}
