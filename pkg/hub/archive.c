/*
 * The archive: what this node accepted, as envelopes in bodies, in the broker's archive queue.
 *
 *     keep() ─▶ waiting ─▶ body ─▶ deposited, confirmed ─▶ its records are done
 *
 * A body is what waits when there is a place for it; BODIES_MAX of them are under way, so that a lone record leaves at
 * once and many travel together. The bus holds on to a body until the broker has it on disk, also while the broker is
 * away; meanwhile records wait here, up to amqp.archive_pending.
 *
 * Who accepted a message waits for its record before he says so, at most for TICKET_MS: then a node that is killed has
 * archived all that it had confirmed, unless the broker was away or slow.
 */
#include "hub/archive_internal.h"
#include "hub/port_internal.h"

#include "base/clock.h"

#define BODIES_MAX 4
#define BODY_MAX_RECORDS 512
#define BODY_MAX_BYTES ((size_t)256 * 1024)
#define TICKET_MS 500
#define RETRY_MS 200

struct archive_record {
    struct list link;     /* archive->waiting, or body->records */
    struct list due_link; /* archive->tickets */
    struct message *message;
    struct hub_archive_ticket *ticket; /* NULL: nobody waits */
    uint64_t due_ms;
    size_t bytes;
};

struct archive_body {
    struct bus_deposit deposit;
    struct hub *hub;
    struct list records;
};

struct hub_archive {
    struct list waiting;
    struct list tickets; /* records that somebody waits for, oldest first */
    size_t bodies;       /* under way */
    size_t pending, pending_bytes;
    struct loop_deferred send;
    struct loop_timer retry, due;
    struct log_limit full_limit;
};

/* ---- records ---- */

static void set_gauges(struct hub *h)
{
    hub_gauge(h, HUB_METRIC_ARCHIVE_PENDING, h->archive->pending);
    hub_gauge(h, HUB_METRIC_ARCHIVE_PENDING_BYTES, h->archive->pending_bytes);
}

static void tell(struct archive_record *r)
{
    struct hub_archive_ticket *t = base_take(r->ticket);

    list_remove(&r->due_link);
    if (!t)
        return;
    t->record = NULL;
    t->done(t);
}

static void record_end(struct hub *h, struct archive_record *r)
{
    tell(r);
    h->archive->pending--;
    h->archive->pending_bytes -= r->bytes;
    list_remove(&r->link);
    message_unref(r->message);
    free(r);
}

static void not_kept(struct hub *h, const struct message *m, const char *why)
{
    uint64_t suppressed;

    hub_count(h, HUB_METRIC_ARCHIVE_LOST, 1);
    if (log_limit_pass(&h->archive->full_limit, clock_monotonic_ms(), &suppressed))
        log_event(LOG_ERROR, "a message was not archived", LOG_TEXT("why", why), LOG_SLICE("channel", m->channel),
                  LOG_SLICE("id", m->id), LOG_UINT("suppressed", suppressed));
}

static void on_due(void *userdata)
{
    struct hub *h = userdata;
    struct hub_archive *ar = h->archive;
    uint64_t now_ms = loop_now_ms(h->loop);

    while (!list_is_empty(&ar->tickets)) {
        struct archive_record *r = container_of(ar->tickets.next, struct archive_record, due_link);

        if (r->due_ms > now_ms) {
            loop_timer_start(&ar->due, r->due_ms - now_ms);
            return;
        }
        tell(r);
    }
}

/* ---- bodies ---- */

static void on_deposited(struct bus_deposit *d, int result)
{
    struct archive_body *b = container_of(d, struct archive_body, deposit);
    struct hub *h = b->hub;

    h->archive->bodies--;
    while (!list_is_empty(&b->records)) {
        struct archive_record *r = container_of(b->records.next, struct archive_record, link);

        if (result)
            not_kept(h, r->message, "the node ended before the broker had it");
        else
            hub_count(h, HUB_METRIC_ARCHIVE_OK, 1);
        record_end(h, r);
    }
    free(b);
    set_gauges(h);
    if (!h->is_stopped)
        loop_defer(h->loop, &h->archive->send);
}

/** The next records as a body on its way. 0; -ENOMEM; BUS_E_UNAVAILABLE: the bus is stopped. */
static int body_send(struct hub *h)
{
    struct hub_archive *ar = h->archive;
    struct archive_body *b = calloc(1, sizeof(*b));
    base_cleanup(buffer_deinit)
    struct buffer bytes = {0};
    size_t count = 0, size = 0;
    int result;

    if (!b)
        return -ENOMEM;
    b->hub = h;
    list_init(&b->records);
    list_for_each (it, &ar->waiting) {
        size += container_of(it, struct archive_record, link)->bytes;
        if (count > 0 && (count == BODY_MAX_RECORDS || size > BODY_MAX_BYTES))
            break;
        count++;
    }
    bus_body_begin(&bytes, count);
    for (size_t i = 0; i < count; i++) {
        struct list *it = list_pop(&ar->waiting);

        bus_body_append(&bytes, container_of(it, struct archive_record, link)->message);
        list_append(&b->records, it);
    }
    b->deposit = (struct bus_deposit){
        .shelf = BUS_SHELF_ARCHIVE,
        .body = buffer_slice(&bytes),
        .content_type = SLICE_LITERAL(BUS_CONTENT_TYPE),
        .app_id = SLICE_LITERAL("warren"),
        .done = on_deposited,
    };
    result = buffer_error(&bytes) ? -ENOMEM : bus_deposit(h->bus, &b->deposit);
    if (result) {
        list_splice(&b->records, &ar->waiting);
        list_splice(&ar->waiting, &b->records);
        free(b);
        return result;
    }
    ar->bodies++;
    return 0;
}

static void send(void *userdata)
{
    struct hub *h = userdata;
    struct hub_archive *ar = h->archive;

    while (!list_is_empty(&ar->waiting) && ar->bodies < BODIES_MAX) {
        if (body_send(h)) {
            hub_note_out_of_memory(h, "a body for the archive, for now");
            if (!loop_timer_is_pending(&ar->retry))
                loop_timer_start(&ar->retry, RETRY_MS);
            return;
        }
    }
}

/* ---- keeping ---- */

bool hub_archive_keep(struct hub *h, struct message *m, struct hub_archive_ticket *ticket)
{
    struct hub_archive *ar = h->archive;
    size_t bytes = bus_body_message_bound(m);
    struct archive_record *r;
    const char *why = NULL;

    if (!ar)
        return false;
    if (h->is_stopped)
        why = "the node ends";
    else if (ar->pending >= (size_t)h->config.archive_pending ||
             ar->pending_bytes + bytes > (size_t)h->config.archive_pending_bytes)
        why = "too many wait for the broker (amqp.archive_pending)";
    r = why ? NULL : calloc(1, sizeof(*r));
    if (!r) {
        not_kept(h, m, why ? why : "out of memory");
        return false;
    }
    *r = (struct archive_record){.message = message_ref(m), .ticket = ticket, .bytes = bytes};
    list_init(&r->link);
    list_init(&r->due_link);
    list_append(&ar->waiting, &r->link);
    ar->pending++;
    ar->pending_bytes += bytes;
    set_gauges(h);
    loop_defer(h->loop, &ar->send);
    if (!ticket)
        return false;
    ticket->record = r;
    r->due_ms = loop_now_ms(h->loop) + TICKET_MS;
    list_append(&ar->tickets, &r->due_link);
    if (!loop_timer_is_pending(&ar->due))
        loop_timer_start(&ar->due, TICKET_MS);
    return true;
}

void hub_archive_forget(struct hub_archive_ticket *t)
{
    struct archive_record *r = base_take(t->record);

    if (!r)
        return;
    r->ticket = NULL;
    list_remove(&r->due_link);
}

/* ---- records of other kinds, from a port ---- */

struct archive_letter {
    struct hub_letter letter;
    struct message *message;
};

static void on_letter(struct loop_task *task)
{
    base_cleanup(hub_unref_p)
    struct hub *h = hub_of_letter(task);
    struct archive_letter *l = container_of(task, struct archive_letter, letter.task);

    if (h->archive)
        (void)hub_archive_keep(h, l->message, NULL);
    message_unref(l->message);
    free(l);
}

int hub_port_archive(struct hub_port *p, const struct message *record)
{
    char id[ID_TEXT_SIZE + 1];
    struct message fields = *record;
    struct archive_letter *l;

    if (!p->hub->config.archive)
        return HUB_E_UNAVAILABLE;
    if (!slice_is_set(fields.id)) {
        id_generate(id);
        fields.id = slice_make(id, ID_TEXT_SIZE);
    }
    if (!fields.time_ms)
        fields.time_ms = clock_realtime_ms();
    l = calloc(1, sizeof(*l));
    if (!l)
        return -ENOMEM;
    l->message = message_copy(&fields);
    if (!l->message) {
        free(l);
        return -ENOMEM;
    }
    hub_letter_to_hub(p->hub, &l->letter, on_letter);
    return 0;
}

/* ---- life ---- */

int hub_archive_start(struct hub *h)
{
    struct hub_archive *ar;

    if (!h->config.archive)
        return 0;
    ar = calloc(1, sizeof(*ar));
    if (!ar)
        return -ENOMEM;
    list_init(&ar->waiting);
    list_init(&ar->tickets);
    ar->full_limit.period_ms = 10000;
    loop_deferred_init(&ar->send, send, h);
    loop_timer_init(&ar->retry, h->loop, send, h);
    loop_timer_init(&ar->due, h->loop, on_due, h);
    h->archive = ar;
    return 0;
}

void hub_archive_flush(struct hub *h)
{
    while (h->archive && !list_is_empty(&h->archive->waiting) && body_send(h) == 0)
        ;
}

void hub_archive_stop(struct hub *h)
{
    struct hub_archive *ar = h->archive;

    if (!ar)
        return;
    while (!list_is_empty(&ar->waiting)) {
        struct archive_record *r = container_of(ar->waiting.next, struct archive_record, link);

        not_kept(h, r->message, "the node ended before the broker had it");
        record_end(h, r);
    }
    assert(ar->bodies == 0 && ar->pending == 0);
    loop_deferred_cancel(&ar->send);
    loop_timer_deinit(&ar->retry);
    loop_timer_deinit(&ar->due);
    free(ar);
    h->archive = NULL;
}
