/*
 * Draining: the node ends, and its clients go to others, evenly over a period instead of all at once.
 *
 *     acceptor ── begin ──▶ each worker:   untold ─▶ leaving ─▶ (answering) ─▶ connections ─▶ gone
 *
 * Each client that is here gets its own moment, in order of arrival: the n of a worker divide the period into n equal
 * parts, and a client's moment lies somewhere in its part. So the rate is even within any second, not only on average.
 * It is told at once (goodbye, with the time until then) and served as before until then; nobody waits for others.
 *
 * When its moment has come it is not read from any more. What it asked before is still answered, for a second at most;
 * then come the close frame and its end, as in any other close. Goodbyes and closes are done a few hundred a turn, so
 * that messages find their way between them.
 *
 * Those who had not finished their request when the drain began are answered 503 if they still do, and cut off when
 * nobody is left to be waited for. When the last connection is gone the acceptor is told, once.
 */
#include "gateway/gateway_internal.h"

#include "base/random.h"

#define STEPS_PER_TURN 256
/** For the answers to what was asked before its moment. */
#define ANSWERS_MS 1000

static struct gateway_connection *first_of(const struct list *l)
{
    return list_is_empty(l) ? NULL : container_of(l->next, struct gateway_connection, link);
}

static uint64_t elapsed_ms(const struct gateway_worker *w)
{
    return loop_now_ms(w->loop) - w->drain.began_ms;
}

static bool nobody_leaves(const struct gateway_drain *d)
{
    return list_is_empty(&d->untold) && list_is_empty(&d->leaving) && list_is_empty(&d->answering);
}

static void tell_goodbye(struct gateway_connection *c)
{
    uint64_t now = elapsed_ms(c->worker);
    const struct proto_event goodbye = {
        .kind = PROTO_EVENT_GOODBYE,
        .goodbye = {.code = gateway_reason_code(GATEWAY_REASON_GOING_AWAY),
                    .reason = slice_from(gateway_reason_sentence(GATEWAY_REASON_GOING_AWAY)),
                    .retry_after_ms = c->leave_ms > now ? c->leave_ms - now : 0},
    };

    if (c->codec)
        gateway_dialect_tell(c, &goodbye);
}

/** A moment for one of those who were here when it began. */
static void drain_tell(struct gateway_worker *w, struct gateway_connection *c)
{
    struct gateway_drain *d = &w->drain;

    list_remove(&c->link);
    if (c->state != GATEWAY_STATE_OPENING && c->state != GATEWAY_STATE_OPEN) {
        list_append(&w->connections, &c->link);
    } else {
        c->leave_ms = (uint32_t)((d->told * d->period_ms + random_below(d->period_ms + 1)) / d->total);
        c->is_leaving = true;
        list_append(&d->leaving, &c->link);
        if (c->state == GATEWAY_STATE_OPEN) /* else behind its welcome */
            tell_goodbye(c);
    }
    d->told++;
}

static void drain_close(struct gateway_connection *c)
{
    list_remove(&c->link);
    list_append(&c->worker->connections, &c->link);
    if (c->state == GATEWAY_STATE_OPENING)
        tell_goodbye(c);
    gateway_connection_close(c, GATEWAY_REASON_GOING_AWAY);
}

/** Its moment has come. */
static void drain_leave(struct gateway_worker *w, struct gateway_connection *c)
{
    if (c->state == GATEWAY_STATE_OPEN && c->has_session && c->session.open_requests > 0) {
        gateway_connection_hold(c, GATEWAY_HOLD_LEAVING);
        c->leave_ms = (uint32_t)(elapsed_ms(w) + ANSWERS_MS);
        list_remove(&c->link);
        list_append(&w->drain.answering, &c->link);
    } else {
        drain_close(c);
    }
}

void gateway_drain_opened(struct gateway_connection *c)
{
    if (c->is_leaving)
        tell_goodbye(c);
}

void gateway_drain_answered(struct gateway_connection *c)
{
    if ((c->holds & GATEWAY_HOLD_LEAVING) && c->session.open_requests == 0 && c->state == GATEWAY_STATE_OPEN)
        drain_close(c);
}

/* ---- the end ---- */

static void drain_tell_end(struct gateway_worker *w)
{
    if (w->drain.phase != GATEWAY_DRAIN_CLOSING || !list_is_empty(&w->connections))
        return;
    w->drain.phase = GATEWAY_DRAIN_DONE;
    loop_deadline_stop(&w->drain.deadline);
    gateway_worker_finish(w);
}

/** None of them vanishes meanwhile: memory goes at the end of the turn. */
static void drain_on_deadline(struct loop_deadline *d)
{
    struct gateway_worker *w = container_of(d, struct gateway_worker, drain.deadline);

    list_for_each_safe (it, &w->connections)
        gateway_connection_abort(container_of(it, struct gateway_connection, link), GATEWAY_REASON_GOING_AWAY);
}

/** Nobody leaves any more: what is left are requests that were never finished, and closes that wait for their answer.
 */
static void drain_end(struct gateway_worker *w)
{
    w->drain.phase = GATEWAY_DRAIN_CLOSING;
    loop_timer_stop(&w->drain.timer);
    loop_deadline_start(w->loop, &w->drain.deadline, (uint64_t)w->config->close_timeout_ms);
    list_for_each_safe (it, &w->connections) {
        struct gateway_connection *c = container_of(it, struct gateway_connection, link);

        if (c->state != GATEWAY_STATE_HEAD)
            continue;
        gateway_connection_end(c, GATEWAY_REASON_GOING_AWAY, NULL);
        gateway_connection_finish(c);
    }
    drain_tell_end(w);
}

/** Does what is due, and decides when to look again. */
static void drain_run(void *userdata)
{
    struct gateway_worker *w = userdata;
    struct gateway_drain *d = &w->drain;
    uint64_t now = elapsed_ms(w), next = UINT64_MAX;
    struct gateway_connection *c;
    size_t steps = STEPS_PER_TURN;

    for (; steps > 0 && (c = first_of(&d->untold)); steps--)
        drain_tell(w, c);
    for (; steps > 0 && (c = first_of(&d->leaving)) && c->leave_ms <= now; steps--)
        drain_leave(w, c);
    while ((c = first_of(&d->answering)) && c->leave_ms <= now)
        drain_close(c);
    if (nobody_leaves(d)) {
        drain_end(w);
        return;
    }
    if ((c = first_of(&d->leaving)))
        next = c->leave_ms;
    if ((c = first_of(&d->answering)) && c->leave_ms < next)
        next = c->leave_ms;
    loop_timer_start(&d->timer, list_is_empty(&d->untold) && next > now ? next - now : 0);
}

void gateway_drain_connection_gone(struct gateway_worker *w)
{
    if (w->drain.phase == GATEWAY_DRAIN_LEAVING && nobody_leaves(&w->drain))
        loop_timer_start(&w->drain.timer, 0); /* the last one did not wait for its moment */
    drain_tell_end(w);
}

/* ---- the beginning ---- */

static void drain_on_begin(struct loop_task *task)
{
    struct gateway_worker *w = container_of(task, struct gateway_worker, drain.begin);
    struct gateway_drain *d = &w->drain;

    d->phase = GATEWAY_DRAIN_LEAVING;
    d->began_ms = loop_now_ms(w->loop);
    d->total = 0;
    list_for_each (it, &w->connections)
        d->total++;
    list_splice(&d->untold, &w->connections);
    drain_run(w);
}

void gateway_drain_begin(struct gateway_worker *w, uint64_t period_ms)
{
    w->drain.period_ms = period_ms;
    w->drain.begin.run = drain_on_begin;
    loop_post(w->loop, &w->drain.begin);
}

void gateway_drain_init(struct gateway_worker *w)
{
    struct gateway_drain *d = &w->drain;

    list_init(&d->untold);
    list_init(&d->leaving);
    list_init(&d->answering);
    loop_timer_init(&d->timer, w->loop, drain_run, w);
    loop_deadline_init(&d->deadline, drain_on_deadline);
}

void gateway_drain_deinit(struct gateway_worker *w)
{
    if (!w->drain.deadline.run)
        return;
    assert(nobody_leaves(&w->drain));
    loop_timer_deinit(&w->drain.timer);
    loop_deadline_stop(&w->drain.deadline);
}

uint64_t gateway_drain_period_ms(uint64_t period_ms, uint64_t rate, size_t clients)
{
    uint64_t enough_ms = rate ? clients * 1000 / rate : period_ms;

    return enough_ms < period_ms ? enough_ms : period_ms;
}
