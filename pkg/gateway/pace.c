/*
 * What a session may bring in: bytes and messages, by two buckets that fill up at a rate and hold a burst.
 *
 * Bytes are paid when they have been read: beyond the burst the session owes, and is not read from until it has paid,
 * so its own socket slows it down and nothing is lost. Messages are paid before they are looked at: one that cannot be
 * paid is refused, and is owed all the same. A client that heeds retry_after_ms is soon out of debt; one that owes a
 * whole burst has heeded nothing, and is closed.
 *
 * What it has brought of a message whose rest is to come is kept, and counted with all other sessions' (/echo's too),
 * as that is what fills memory: parser by parser it may be little.
 *
 * Buckets are filled up when somebody looks, by the time since last_input_ms, so a session costs eight bytes and no
 * timer.
 */
#include "gateway/gateway_internal.h"

/* Messages are counted in thousandths: then a millisecond brings as many as the rate says. */
#define MESSAGE 1000

static int32_t filled(int32_t tokens, int64_t added, int64_t burst)
{
    int64_t sum = tokens + added;

    return (int32_t)(sum < burst ? sum : burst);
}

void gateway_pace_begin(struct gateway_connection *c)
{
    c->bytes_left = (int32_t)c->worker->config->session_bytes_burst;
    c->messages_left = (int32_t)c->worker->config->session_messages_burst * MESSAGE;
}

void gateway_pace_fill(struct gateway_connection *c)
{
    const struct gateway_config *config = c->worker->config;
    uint32_t now_ms = (uint32_t)loop_now_ms(c->worker->loop), past_ms = now_ms - c->last_input_ms;
    int64_t ms = past_ms < 3600000 ? (int64_t)past_ms : 3600000; /* which fills any bucket */

    c->last_input_ms = now_ms;
    c->bytes_left = filled(c->bytes_left, ms * config->session_bytes_rate / 1000, config->session_bytes_burst);
    c->messages_left =
        filled(c->messages_left, ms * config->session_messages_rate, config->session_messages_burst * MESSAGE);
}

void gateway_pace_bytes(struct gateway_connection *c, size_t size)
{
    if (c->worker->config->session_bytes_rate == 0 || !c->codec)
        return;
    c->bytes_left -= (int32_t)size; /* of one read */
    if (c->bytes_left >= 0 || c->state != GATEWAY_STATE_OPEN)
        return;
    if (!(c->holds & GATEWAY_HOLD_PACE))
        gateway_count(c->worker, GATEWAY_METRIC_THROTTLED, 1);
    gateway_connection_hold(c, GATEWAY_HOLD_PACE);
}

uint64_t gateway_pace_debt_ms(const struct gateway_connection *c)
{
    int64_t rate = c->worker->config->session_bytes_rate;

    return c->bytes_left < 0 && rate > 0 ? (uint64_t)(-(int64_t)c->bytes_left * 1000 / rate + 1) : 0;
}

bool gateway_pace_message(struct gateway_connection *c, uint64_t *ret_retry_after_ms)
{
    int64_t rate = c->worker->config->session_messages_rate, burst = c->worker->config->session_messages_burst;
    bool is_paid = c->messages_left >= MESSAGE;

    if (rate == 0 || !c->codec)
        return true;
    c->messages_left -= MESSAGE;
    if (is_paid)
        return true;
    *ret_retry_after_ms = (uint64_t)((MESSAGE - c->messages_left + rate - 1) / rate);
    if (c->messages_left < -burst * MESSAGE)
        gateway_connection_close(c, GATEWAY_REASON_ABUSE);
    return false;
}

size_t gateway_pace_weigh(struct gateway_connection *c, size_t before)
{
    atomic_size_t *all = &c->worker->gateway->unfinished;
    size_t held = ws_parser_held_bytes(&c->ws);

    if (held == before)
        return 0;
    if (before == 0 && c->has_spoken)
        c->awaited_ms = (uint32_t)loop_now_ms(c->worker->loop);
    gateway_count(c->worker, GATEWAY_METRIC_UNFINISHED, (int64_t)held - (int64_t)before);
    atomic_fetch_add_explicit(all, held - before, memory_order_relaxed); /* may wrap, and so subtract */
    return held > before ? atomic_load_explicit(all, memory_order_relaxed) : 0;
}
