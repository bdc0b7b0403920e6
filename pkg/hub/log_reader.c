/*
 * Reading a channel's log: one read at a time a channel, for whoever needs it, the sequence with a gap and everybody
 * who comes back, from the smallest position that one of them stands at.
 */
#include "hub/sequence_internal.h"

/** A record was written by a node that had its own limits. */
#define RECORD_DATA_MAX_BYTES (32u * 1024u * 1024u)

void hub_record_write(const struct message *m, struct buffer *out)
{
    bus_body_begin(out, 1);
    bus_body_append(out, m);
}

static int record_read(const struct bus_delivery *body, struct store_position position, struct message **ret_message)
{
    struct bus_reader reader;
    struct message fields;
    struct message *m = NULL;
    int result;

    bus_reader_init(&reader, body, RECORD_DATA_MAX_BYTES);
    result = bus_reader_next(&reader, NULL, NULL, &fields);
    if (result == 0) {
        fields.epoch = position.epoch;
        fields.offset = position.offset;
        m = bus_reader_take(&reader, &fields);
        result = m ? 0 : -ENOMEM;
    } else if (result > 0) {
        result = HUB_RECORD_UNREADABLE;
    }
    bus_reader_deinit(&reader);
    if (!result)
        *ret_message = m;
    return result;
}

int hub_record_open(struct hub *h, const struct store_record *record, struct message **ret_message)
{
    struct bus_delivery body = {.content_type = SLICE_LITERAL(BUS_CONTENT_TYPE)};
    int result;

    body.body = payload_copy(record->record);
    if (!body.body)
        return -ENOMEM;
    result = record_read(&body, record->position, ret_message);
    payload_unref(body.body);
    if (result == HUB_RECORD_UNREADABLE)
        hub_count(h, HUB_METRIC_POISON, 1);
    return result;
}

/** Opens as many as there is memory for; returns how many. Unreadable ones have no message. */
static size_t records_open(struct hub *h, const struct store_record *records, size_t count, struct hub_record *to)
{
    for (size_t i = 0; i < count; i++) {
        to[i] = (struct hub_record){.position = records[i].position};
        if (hub_record_open(h, &records[i], &to[i].message) < 0) {
            hub_note_out_of_memory(h, "a message of the log");
            return i;
        }
    }
    return count;
}

/** A read under way. */
struct log_reading {
    struct store_log_read read;
    struct hub *hub;
    struct hub_channel *channel; /* held */
    uint32_t generation;         /* of the sequence when it was sent */
};

static void take(struct hub *h, struct hub_sequence *s, struct store_position last, const struct store_record *records,
                 size_t count)
{
    bool has_more = count > 0 && hub_position_compare(records[count - 1].position, last) < 0;
    struct hub_record *opened = malloc((count + 1) * sizeof(*opened));
    size_t opened_count = opened ? records_open(h, records, count, opened) : 0;

    /* What there was no memory for is read again, by the next one who asks. */
    if (opened_count == count && opened) {
        hub_sequence_take_log(h, s, last, opened, count);
        hub_join_take_log(s, opened, count, has_more);
        hub_sequence_fill_ring(h, s, opened, count);
    }
    for (size_t i = 0; i < opened_count; i++)
        message_unref(opened[i].message);
    free(opened);
    hub_join_resume(h, s, opened_count < count || !opened);
    if (opened_count == count && opened && s->is_behind)
        hub_log_want(h, s);
}

static void on_log_read(struct store_log_read *read, int result, struct store_position last,
                        struct store_position first base_unused, const struct store_record *records, size_t count)
{
    base_cleanup(base_free_p)
    struct log_reading *reading = container_of(read, struct log_reading, read);
    struct hub_channel *c = reading->channel;
    struct hub_sequence *s = c->sequence;
    struct hub *h = reading->hub;

    s->reading = NULL;
    h->reads--;
    if (s->generation != reading->generation || s->status != HUB_SEQUENCE_LIVE)
        hub_join_resume(h, s, h->is_stopped);
    else if (result || h->is_stopped)
        hub_join_resume(h, s, true);
    else
        take(h, s, last, records, count);
    hub_channel_release(h, c); /* may be the end of the sequence */
    hub_log_pump(h);
}

static int read_start(struct hub *h, struct hub_sequence *s)
{
    struct log_reading *reading = malloc(sizeof(*reading));

    if (!reading)
        return -ENOMEM;
    *reading = (struct log_reading){
        .hub = h,
        .channel = s->channel,
        .generation = s->generation,
    };
    reading->read = (struct store_log_read){
        .channel = hub_channel_name(s->channel),
        .after = hub_join_read_from(s),
        .limit = HUB_READ_RECORDS,
        .max_bytes = HUB_READ_BYTES,
        .done = on_log_read,
    };
    s->reads++;
    s->is_short = false;
    s->reading = reading;
    h->reads++;
    if (s->early)
        list_remove(&s->early->straggler_link);
    hub_channel_hold(s->channel);
    hub_count(h, HUB_METRIC_LOG_READS, 1);
    store_log_read(h->store, &reading->read);
    return 0;
}

void hub_log_pump(struct hub *h)
{
    while (h->reads < HUB_READS_MAX && !h->is_stopped) {
        struct list *it = list_pop(&h->unread);

        if (!it)
            return;
        /* Without memory it waits for the next answer, or the next sweep. */
        if (read_start(h, container_of(it, struct hub_sequence, due_link)) < 0) {
            hub_note_out_of_memory(h, "a read of a log");
            list_prepend(&h->unread, it);
            return;
        }
    }
}

void hub_log_want(struct hub *h, struct hub_sequence *s)
{
    if (s->reading || s->is_resuming || s->status != HUB_SEQUENCE_LIVE || list_is_linked(&s->due_link) || h->is_stopped)
        return;
    list_append(&h->unread, &s->due_link);
    hub_log_pump(h);
}
