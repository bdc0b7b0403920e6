/*
 * The hub and two ports on threads of their own: sessions come, talk and go at random, and in the end nothing is left.
 * The thread sanitizer reads along.
 */
#include "hub_world.h"

#include "base/clock.h"
#include "base/random.h"

#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#define SESSIONS 24
#define STEPS 4000
#define ORDERED 500

struct actor {
    struct world *world;
    size_t port;
    struct loop_timer timer;
    struct client clients[SESSIONS];
    struct client watcher;
    unsigned steps;
    atomic_size_t published;
    struct loop_task begin, order, end;
    atomic_bool is_churned, is_ended;
    atomic_size_t is_watched; /* ordered messages that its watcher got, in order */
    size_t watched;
};

static void do_something(struct actor *a)
{
    struct client *c = &a->clients[random_below(SESSIONS)];
    struct hub_send send = send_text("whisper");
    char room[8], user[8];

    snprintf(room, sizeof(room), "r%u", (unsigned)random_below(4));
    snprintf(user, sizeof(user), "u%u", (unsigned)random_below(6));
    if (!c->world || c->is_closed) {
        client_open_begin(c, a->world, a->port, user, random_below(2) ? room : NULL);
        return;
    }
    c->message_count %= 64;
    switch (random_below(8)) {
    case 0:
        client_close(c);
        break;
    case 1:
        (void)!hub_session_leave(&c->session, slice_from(room));
        break;
    case 2:
        c->closes[0] = c;
        break;
    case 3:
        assert_int_equal(hub_session_whisper(&c->session, slice_from(user), &send, SLICE_NONE), 0);
        break;
    case 4:
        assert_int_equal(hub_session_online(&c->session, slice_from(room), 5, SLICE_NONE, SLICE_NONE), 0);
        break;
    case 5:
        assert_int_equal(client_join(c, room, "j"), 0);
        break;
    default:
        if (hub_session_is_joined(&c->session, slice_from(room)))
            assert_int_equal(client_send(c, room, "hello", random_below(3) ? NULL : "key"), 0);
        break;
    }
}

static void on_step(void *userdata)
{
    struct actor *a = userdata;

    for (int i = 0; i < 20; i++)
        do_something(a);
    a->steps += 20;
    if (a->steps < STEPS) {
        loop_timer_start(&a->timer, random_below(2));
        return;
    }
    for (size_t i = 0; i < SESSIONS; i++) {
        if (a->clients[i].world && !a->clients[i].is_closed)
            client_close(&a->clients[i]);
    }
    atomic_store(&a->is_churned, true);
}

static void begin(struct loop_task *task)
{
    struct actor *a = container_of(task, struct actor, begin);

    loop_timer_init(&a->timer, a->world->loops[a->port], on_step, a);
    loop_timer_start(&a->timer, 0);
}

static void watch_open(struct hub_session *s base_unused, int result,
                       const struct hub_channel_state *channels base_unused, size_t count base_unused)
{
    assert_int_equal(result, 0);
}

static void watch_message(struct hub_session *s, struct hub_fan *fan)
{
    struct actor *a = container_of(s, struct actor, watcher.session);
    char expected[16];

    if (!slice_equal_text(fan->message->channel, "room:ordered") || fan->message->kind != MESSAGE_KIND_MESSAGE)
        return;
    snprintf(expected, sizeof(expected), "%zu", a->watched);
    assert_true(slice_equal_text(fan->message->data, expected));
    atomic_store(&a->is_watched, ++a->watched);
}

static const struct hub_sink_ops watch_sink = {.on_open = watch_open, .on_message = watch_message};

static void count_published(void *userdata, int result, const struct hub_published *published base_unused)
{
    struct actor *a = userdata;

    assert_int_equal(result, 0);
    atomic_fetch_add(&a->published, 1);
}

/** Listens on its own loop; the first one's loop also publishes. */
static void watch(struct loop_task *task)
{
    struct actor *a = container_of(task, struct actor, order);
    const struct hub_session_info info = {.user = SLICE_LITERAL("watcher"), .room = SLICE_LITERAL("ordered")};

    assert_int_equal(hub_session_open(&a->watcher.session, a->world->ports[a->port], &info, &watch_sink), 0);
    atomic_store(&a->is_watched, 0);
}

static void publish(struct loop_task *task)
{
    struct actor *a = container_of(task, struct actor, order);
    char data[16];

    for (size_t i = 0; i < ORDERED; i++) {
        struct hub_send send = {.kind = MESSAGE_KIND_MESSAGE, .content_type = CONTENT_TYPE_TEXT};

        send.data = slice_make(data, (size_t)snprintf(data, sizeof(data), "%zu", i));
        assert_int_equal(hub_port_publish(a->world->ports[a->port], SLICE_LITERAL("room:ordered"), SLICE_NONE, &send,
                                          count_published, a),
                         0);
    }
}

static void end(struct loop_task *task)
{
    struct actor *a = container_of(task, struct actor, end);

    loop_timer_deinit(&a->timer);
    hub_session_close(&a->watcher.session);
    atomic_store(&a->is_ended, true);
}

static void wait_until(const atomic_bool *condition)
{
    const struct timespec moment = {.tv_nsec = 1000000};
    uint64_t deadline = clock_monotonic_ms() + 60000;

    while (!atomic_load(condition)) {
        assert_true(clock_monotonic_ms() < deadline);
        nanosleep(&moment, NULL);
    }
}

struct stop {
    struct loop_task task;
    struct hub *hub;
    atomic_bool is_done;
};

static void stop_hub(struct loop_task *task)
{
    struct stop *s = container_of(task, struct stop, task);

    hub_stop(s->hub);
    atomic_store(&s->is_done, true);
}

/** Waits until the hub knows of so many sessions: what was asked before has arrived. */
static void wait_sessions(struct world *w, uint64_t count)
{
    const struct timespec moment = {.tv_nsec = 1000000};
    uint64_t deadline = clock_monotonic_ms() + 60000;
    struct hub_status status;

    do {
        assert_true(clock_monotonic_ms() < deadline);
        nanosleep(&moment, NULL);
        hub_status_read(w->hub, &status);
    } while (status.sessions != count);
}

static void test_threads(void **state base_unused)
{
    static struct actor actors[WORLD_PORTS];
    struct stop stop = {.task.run = stop_hub};
    const struct timespec moment = {.tv_nsec = 1000000};
    uint64_t deadline;
    struct world w;

    world_init(&w);
    world_open(&w);
    for (size_t i = 0; i < WORLD_PORTS; i++) {
        actors[i].world = &w;
        actors[i].port = i;
        actors[i].begin.run = begin;
        actors[i].order.run = watch;
        actors[i].end.run = end;
        assert_int_equal(loop_start(w.loops[i]), 0);
    }
    assert_int_equal(loop_start(w.hub_loop), 0);
    for (size_t i = 0; i < WORLD_PORTS; i++)
        loop_post(w.loops[i], &actors[i].begin);
    for (size_t i = 0; i < WORLD_PORTS; i++)
        wait_until(&actors[i].is_churned);
    wait_sessions(&w, 0);

    for (size_t i = 0; i < WORLD_PORTS; i++)
        loop_post(w.loops[i], &actors[i].order);
    wait_sessions(&w, WORLD_PORTS);
    actors[0].order.run = publish;
    loop_post(w.loops[0], &actors[0].order);
    deadline = clock_monotonic_ms() + 60000;
    for (size_t i = 0; i < WORLD_PORTS; i++) {
        while (atomic_load(&actors[i].is_watched) < ORDERED || atomic_load(&actors[0].published) < ORDERED) {
            assert_true(clock_monotonic_ms() < deadline);
            nanosleep(&moment, NULL);
        }
    }

    for (size_t i = 0; i < WORLD_PORTS; i++)
        loop_post(w.loops[i], &actors[i].end);
    for (size_t i = 0; i < WORLD_PORTS; i++)
        wait_until(&actors[i].is_ended);
    stop.hub = w.hub;
    loop_post(w.hub_loop, &stop.task);
    wait_until(&stop.is_done);
    for (size_t i = 0; i < WORLD_PORTS; i++) {
        loop_stop(w.loops[i]);
        loop_join(w.loops[i]);
    }
    loop_stop(w.hub_loop);
    loop_join(w.hub_loop);
    world_close(&w); /* hub_stop() a second time does nothing; the destructors check that nothing is left */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_threads)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
