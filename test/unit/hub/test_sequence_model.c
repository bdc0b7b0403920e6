/*
 * Sequenced channels against a model: whatever order, loss and repetition the bus has, and whenever somebody joins,
 * each listener gets each position once and in order, from where it began.
 */
#include "hub_remote.h"

#include "support/prng.h"

#include <stdio.h>
#include <string.h>

struct heard {
    struct hub_session session;
    bool is_open, is_in_use;
    uint64_t epoch, last; /* 0: not in the room yet */
    size_t count, resets;
};

static void heard_open(struct hub_session *s, int result, const struct hub_channel_state *channels, size_t count)
{
    struct heard *l = container_of(s, struct heard, session);

    assert_int_equal(result, 0);
    l->is_open = true;
    for (size_t i = 0; i < count; i++) {
        if (!slice_equal_text(channels[i].channel, WORLD_ROOM))
            continue;
        if (l->last > 0 && !channels[i].recovered)
            fail_msg("not recovered from %d", (int)l->last);
        /* with a position the catch-up brings it up to this */
        if (!l->last) {
            l->epoch = channels[i].epoch;
            l->last = channels[i].offset;
        }
    }
}

static void heard_message(struct hub_session *s, struct hub_fan *fan)
{
    struct heard *l = container_of(s, struct heard, session);
    const struct message *m = fan->message;

    if (m->kind != MESSAGE_KIND_MESSAGE)
        return;
    if (m->offset != l->last + 1)
        fail_msg("%d behind %d", (int)m->offset, (int)l->last);
    l->epoch = m->epoch;
    l->last++;
    l->count++;
}

static void heard_reset(struct hub_session *s, struct slice channel base_unused, uint64_t epoch base_unused,
                        uint64_t offset base_unused)
{
    container_of(s, struct heard, session)->resets++;
}

static void heard_sent(struct hub_session *s base_unused, struct slice tag base_unused, int result,
                       struct slice id base_unused, uint64_t epoch base_unused, uint64_t offset base_unused)
{
    assert_int_equal(result, 0);
}

static const struct hub_sink_ops heard_sink = {
    .on_open = heard_open, .on_message = heard_message, .on_reset = heard_reset, .on_sent = heard_sent};

static void heard_begin(struct heard *l, struct world *w, size_t port)
{
    struct hub_session_info info = {.user = SLICE_LITERAL("u"), .room = SLICE_LITERAL("42")};

    info.room_since = (struct hub_since){.is_set = l->last > 0, .epoch = l->epoch, .offset = l->last};
    l->is_open = false;
    l->is_in_use = true;
    assert_int_equal(hub_session_open(&l->session, w->ports[port], &info, &heard_sink), 0);
}

static void heard_end(struct heard *l)
{
    hub_session_close(&l->session);
    l->is_in_use = false;
}

#define LISTENERS 5
#define POOL 32

static bool are_all_at(const struct heard heard[LISTENERS], uint64_t offset)
{
    for (size_t i = 0; i < LISTENERS; i++) {
        if (!heard[i].is_open || heard[i].last < offset)
            return false;
    }
    return true;
}

static void run_model(uint64_t seed)
{
    struct prng random = {.state = seed};
    struct heard heard[LISTENERS] = {0};
    struct store_position pool[POOL];
    char ids[POOL][24];
    size_t pooled = 0;
    uint64_t appended = 0;
    struct world w;

    world_open_sequenced(&w);
    /* So that nobody's position is that of an empty channel. */
    (void)world_remote_append(&w, "first");
    appended++;
    for (int step = 0; step < 300; step++) {
        size_t k = prng_below(&random, LISTENERS), at;

        switch (prng_below(&random, 10)) {
        case 0:
        case 1:
        case 2:
            if (pooled == POOL)
                break;
            snprintf(ids[pooled], sizeof(ids[pooled]), "r%d", step);
            pool[pooled] = world_remote_append(&w, ids[pooled]);
            pooled++;
            appended++;
            break;
        case 3:
        case 4:
        case 5: /* one arrives, perhaps not for the last time; or never */
            if (!pooled)
                break;
            at = prng_below(&random, pooled);
            if (prng_below(&random, 6) > 0)
                world_remote_arrives(&w, ids[at], pool[at]);
            if (prng_below(&random, 4) == 0)
                break;
            pooled--;
            pool[at] = pool[pooled];
            memcpy(ids[at], ids[pooled], sizeof(ids[at]));
            break;
        case 6:
            if (heard[k].is_in_use)
                heard_end(&heard[k]);
            else
                heard_begin(&heard[k], &w, k % WORLD_PORTS);
            break;
        case 7:
            if (heard[k].is_in_use && heard[k].is_open) {
                struct hub_send send = send_text("x");

                assert_int_equal(hub_session_send(&heard[k].session, SLICE_LITERAL("42"), &send, SLICE_LITERAL("s")),
                                 0);
                appended++;
            }
            break;
        case 8:
            world_turn(w.loops[prng_below(&random, WORLD_PORTS)]);
            break;
        case 9:
            if (prng_below(&random, 8) == 0)
                world_sweep(&w);
            else if (prng_below(&random, 4) == 0)
                world_pass(&w, 7);
            else
                world_turn(w.hub_loop);
            break;
        }
    }
    for (size_t i = 0; i < LISTENERS; i++) {
        if (!heard[i].is_in_use)
            heard_begin(&heard[i], &w, i % WORLD_PORTS);
    }
    world_settle(&w);
    world_sweep(&w);
    for (uint64_t deadline = world_deadline(); !are_all_at(heard, appended) && !world_is_over(deadline);)
        world_settle(&w);
    world_pass(&w, 20);
    for (size_t i = 0; i < LISTENERS; i++) {
        assert_true(heard[i].is_open);
        if (heard[i].last != appended)
            fail_msg("seed %d: listener %d is at %d of %d", (int)seed, (int)i, (int)heard[i].last, (int)appended);
        assert_int_equal(heard[i].resets, 0);
        heard_end(&heard[i]);
    }
    world_close(&w);
}

static void test_against_the_model(void **state base_unused)
{
    for (uint64_t seed = 1; seed <= 60; seed++)
        run_model(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_the_model),
    };

    return cmocka_run_group_tests_name("hub/sequence_model", tests, NULL, NULL);
}
