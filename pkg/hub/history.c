/*
 * What a session asks of a log besides joining: pages of a room's past, and how far a device has taken its inbox.
 */
#include "hub/request_internal.h"
#include "hub/sequence_internal.h"

#define HISTORY_BYTES (512u * 1024u)

static int result_of(int store_result)
{
    return store_result > 0 ? HUB_E_UNAVAILABLE : store_result;
}

/** What cannot be read is left out. */
static int page_fill(struct hub *h, struct hub_request *r, const struct store_record *records, size_t count)
{
    r->history.messages = calloc(count + 1, sizeof(*r->history.messages));
    if (!r->history.messages)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        int result = hub_record_open(h, &records[i], &r->history.messages[r->history.count]);

        if (result < 0)
            return result;
        r->history.count += result == 0;
    }
    return 0;
}

static bool is_same(struct store_position a, struct store_position b)
{
    return a.epoch == b.epoch && a.offset == b.offset;
}

static void on_history(struct store_log_read *read, int result, struct store_position last, struct store_position first,
                       const struct store_record *records, size_t count)
{
    struct hub_request *r = container_of(read, struct hub_request, history.read);
    struct hub *h = r->letter.hub;

    if (!result)
        result = page_fill(h, r, records, count);
    r->history.has_more = count > 0 && (r->history.is_forwards ? !is_same(records[count - 1].position, last)
                                                               : !is_same(records[0].position, first));
    r->history.last = last;
    hub_request_answer(h, r, result_of(result));
}

static void history_read(struct hub *h, struct hub_request *r)
{
    r->history.read = (struct store_log_read){
        .channel = slice_from(r->text),
        .after = {.epoch = r->history.before.epoch, .offset = r->history.before.offset},
        .limit = (uint32_t)r->history.limit,
        .max_bytes = HISTORY_BYTES,
        .is_backwards = !r->history.is_forwards,
        .done = on_history,
    };
    store_log_read(h->store, &r->history.read);
}

static void on_acked(struct store_ack_put *put, int result)
{
    struct hub_request *r = container_of(put, struct hub_request, ack.put);

    hub_request_answer(r->letter.hub, r, result_of(result));
}

/** An epoch that was not told is the one that the inbox is in; nobody has taken more than there is. */
static int ack_position(struct hub *h, struct hub_request *r)
{
    const struct hub_channel *c = hub_channel_find(h, slice_from(r->text));
    const struct hub_sequence *s = c ? c->sequence : NULL;
    struct store_position *at = &r->ack.put.position;

    if (!s || s->status != HUB_SEQUENCE_LIVE)
        return HUB_E_UNAVAILABLE;
    if (!at->epoch)
        at->epoch = s->last.epoch;
    if (at->epoch == s->last.epoch && at->offset > s->last.offset)
        at->offset = s->last.offset;
    return 0;
}

void hub_history_handle(struct hub *h, struct hub_request *r)
{
    const struct hub_channel_config *rule = hub_rule_find(h, slice_from(r->text));
    int result = h->is_stopped ? HUB_E_UNAVAILABLE : rule->is_sequenced ? 0 : HUB_E_NO_LOG;

    if (!result && r->kind == HUB_REQUEST_ACK)
        result = ack_position(h, r);
    if (result) {
        hub_request_answer(h, r, result);
    } else if (r->kind == HUB_REQUEST_HISTORY) {
        history_read(h, r);
    } else {
        r->ack.put.age_ms = hub_rule_limits(rule, slice_from(r->text)).age_ms;
        r->ack.put.done = on_acked;
        store_ack_put(h->store, &r->ack.put);
    }
}
