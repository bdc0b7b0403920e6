/*
 * The last sessions that ended here, for people who ask later why somebody did not get something.
 *
 * A ring, shared by all workers under a lock that is held for a copy. Most ends are the daily coming and going, which
 * the log leaves out (log.level = debug), and those that it has it may count instead of telling (LOG_PERIOD_MS).
 */
#include "base/clock.h"
#include "base/json.h"
#include "gateway/gateway_internal.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define ENDS_KEPT 2048
/** Of one user in an answer. */
#define ENDS_TOLD 20

struct end {
    int64_t time_ms;
    uint64_t age_ms;
    uint8_t reason; /* enum gateway_reason */
    uint8_t session_size, user_size, device_size;
    char names[ID_TEXT_SIZE + 2 * NAME_MAX_BYTES]; /* session, user, device */
    char peer[NET_ADDRESS_TEXT_SIZE];
    char detail[80];
};

struct gateway_ends {
    pthread_mutex_t lock;
    uint64_t count; /* ever; the next one's place is behind */
    struct end ring[ENDS_KEPT];
};

struct gateway_ends *gateway_ends_new(void)
{
    struct gateway_ends *e = calloc(1, sizeof(*e)); /* pages that nobody has ended on yet take no memory */

    if (e)
        (void)pthread_mutex_init(&e->lock, NULL);
    return e;
}

struct gateway_ends *gateway_ends_free(struct gateway_ends *e)
{
    if (!e)
        return NULL;
    (void)pthread_mutex_destroy(&e->lock);
    free(e);
    return NULL;
}

static struct slice session_of(const struct end *end)
{
    return slice_make(end->names, end->session_size);
}

static struct slice user_of(const struct end *end)
{
    return slice_make(end->names + end->session_size, end->user_size);
}

static struct slice device_of(const struct end *end)
{
    return slice_make(end->names + end->session_size + end->user_size, end->device_size);
}

static uint8_t put_name(struct end *end, size_t at, struct slice name)
{
    if (name.size)
        memcpy(end->names + at, name.data, name.size);
    return (uint8_t)name.size;
}

void gateway_ends_note(struct gateway_ends *e, const struct gateway_end *what)
{
    int64_t time_ms = clock_realtime_ms();
    struct end *end;

    (void)pthread_mutex_lock(&e->lock);
    end = &e->ring[e->count++ % ENDS_KEPT];
    end->time_ms = time_ms;
    end->age_ms = what->age_ms;
    end->reason = (uint8_t)what->reason;
    end->session_size = put_name(end, 0, what->session);
    end->user_size = put_name(end, end->session_size, what->user);
    end->device_size = put_name(end, (size_t)end->session_size + end->user_size, what->device);
    (void)snprintf(end->peer, sizeof(end->peer), "%s", what->peer);
    (void)snprintf(end->detail, sizeof(end->detail), "%s", what->detail);
    (void)pthread_mutex_unlock(&e->lock);
}

void gateway_ends_note_connection(struct gateway_connection *c, const char *detail)
{
    char address[NET_ADDRESS_TEXT_SIZE];
    const struct gateway_end end = {
        .session = hub_session_id(&c->session),
        .user = hub_session_user(&c->session),
        .device = hub_session_device(&c->session),
        .reason = c->reason,
        .age_ms = loop_now_ms(c->worker->loop) - c->born_ms,
        .peer = gateway_connection_peer(c, address),
        .detail = detail ? detail : gateway_reason_sentence(c->reason),
    };

    gateway_ends_note(c->worker->gateway->ends, &end);
}

static void write_end(struct json_writer *w, const struct end *end)
{
    json_write_object_begin(w);
    json_write_member_int64(w, "time", end->time_ms);
    json_write_member_string(w, "session", session_of(end));
    if (end->device_size)
        json_write_member_string(w, "device", device_of(end));
    json_write_member_text(w, "peer", end->peer);
    json_write_member_uint64(w, "age_ms", end->age_ms);
    json_write_member_text(w, "reason", gateway_reason_word(end->reason));
    json_write_member_uint64(w, "code", gateway_reason_code(end->reason));
    json_write_member_text(w, "detail", end->detail);
    json_write_object_end(w);
}

void gateway_ends_write(struct gateway *g, struct slice user, struct json_writer *w)
{
    struct gateway_ends *e = g->ends;
    uint64_t kept, told = 0;

    json_write_array_begin(w);
    (void)pthread_mutex_lock(&e->lock);
    kept = e->count < ENDS_KEPT ? e->count : ENDS_KEPT;
    for (uint64_t back = 1; back <= kept && told < ENDS_TOLD; back++) {
        const struct end *end = &e->ring[(e->count - back) % ENDS_KEPT];

        if (!slice_equal(user_of(end), user))
            continue;
        write_end(w, end);
        told++;
    }
    (void)pthread_mutex_unlock(&e->lock);
    json_write_array_end(w);
}
