/*
 * The logs over a Redis that dies, freezes, refuses, or comes back with less than it had. Each test starts a server of
 * its own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "contract/store_world_log.h"
#include "support/redis_server.h"

#include <stdio.h>

#define SKIPPED 77
#define NODE "10.0.0.5:8091"

static const struct store_identity identity = {
    .node = NODE, .incarnation = 1, .seen_window_ms = 60000, .expiry_ms = 60000};
static const struct store_position none;

struct fixture {
    struct world world;
    struct redis_server server;
    struct world_store ws;
    redisContext *meddler;
    char url[256];
};

static void start(struct fixture *f)
{
    redis_server_start(&f->server, NULL);
    f->meddler = redis_server_connect("127.0.0.1", f->server.port);
    (void)snprintf(f->url, sizeof(f->url), "redis://127.0.0.1:%d", f->server.port);
}

static void restart(struct fixture *f)
{
    redis_server_kill(&f->server);
    redis_server_restart(&f->server, NULL);
    redisFree(f->meddler);
    f->meddler = redis_server_connect("127.0.0.1", f->server.port);
    world_until_down(&f->ws);
    world_until_up(&f->ws);
}

static void open_up(struct fixture *f, int64_t timeout_ms)
{
    world_open_with(&f->world, &f->ws, f->url, &identity, timeout_ms, 100000);
    world_until_up(&f->ws);
}

static struct store_status status_of(struct fixture *f)
{
    struct store_status status;

    store_status(f->ws.store, &status);
    return status;
}

static void tell(struct fixture *f, const char *words)
{
    freeReplyObject(redis_server_say(f->meddler, words));
}

/* ---- many messages ---- */

enum { MANY = 600 };

struct many {
    struct world_message at[MANY];
    struct world_batch batch;
    char texts[MANY][16];
};

/** Numbered from @first, to @channels channels in turn. */
static void begin_many(struct fixture *f, struct many *many, unsigned first, unsigned channels, uint64_t deadline_in_ms)
{
    static const char *const names[] = {"a", "b", "c"};

    memset(many, 0, sizeof(*many));
    for (unsigned i = 0; i < MANY; i++) {
        (void)snprintf(many->texts[i], sizeof(many->texts[i]), "%u", first + i);
        many->at[i] = (struct world_message){.channel = names[i % channels],
                                             .key = many->texts[i],
                                             .record = slice_from(many->texts[i]),
                                             .deadline_in_ms = deadline_in_ms};
    }
    world_append_begin(&f->ws, &many->batch, many->at, MANY);
}

static size_t count_results(const struct many *many, int result)
{
    size_t count = 0;

    for (size_t i = 0; i < MANY; i++)
        count += many->at[i].result == result;
    return count;
}

/** Whether the channel has exactly the messages first, first + step, first + 2 * step … and @count of them. */
static void expect_log(struct fixture *f, const char *channel, unsigned first, unsigned step, unsigned count)
{
    static struct world_log log;

    assert_int_equal(world_log_read(&f->ws, channel, none, 1000, 1000000, false, &log), 0);
    assert_int_equal(log.count, count);
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(atoi(log.at[i].text), first + i * step);
        assert_int_equal(log.at[i].position.offset, i + 1);
        assert_int_equal(log.at[i].position.epoch, log.last.epoch);
    }
}

/* ---- what comes back with less ---- */

static void test_came_back_empty(void **state)
{
    static const char *const channels[] = {"r"};
    static struct world_log log;
    struct fixture *f = *state;
    struct store_position old, stand, young;

    start(f);
    open_up(f, 5000);
    old = world_append_numbers(&f->ws, "r", 1, 5, NULL);
    restart(f);
    assert_int_equal(world_log_read(&f->ws, "r", old, 10, 1000, false, &log), 0);
    assert_int_equal(log.last.epoch, 0);
    assert_int_equal(world_interest(&f->ws, channels, 1, false, &stand), 0);
    assert_true(stand.epoch > old.epoch);
    young = world_append_numbers(&f->ws, "r", 6, 1, NULL);
    assert_true(young.epoch >= stand.epoch);
    assert_int_equal(young.offset, 1);
    world_close(&f->ws);
}

static uint64_t life_of(struct fixture *f)
{
    struct store_status status;

    store_status(f->ws.store, &status);
    assert_true(status.is_up && status.life > 0);
    return status.life;
}

static void test_came_back_older(void **state)
{
    static const char *const channels[] = {"r"};
    static struct world_log log;
    struct fixture *f = *state;
    struct store_position old, stand, young;
    bool has_rest;
    uint64_t life;

    start(f);
    open_up(f, 5000);
    life = life_of(f);
    (void)world_append_numbers(&f->ws, "r", 1, 3, NULL);
    tell(f, "SAVE");
    old = world_append_numbers(&f->ws, "r", 4, 2, NULL); /* these are lost */
    assert_int_equal(old.offset, 5);
    restart(f);
    assert_true(life_of(f) > life);
    life = life_of(f);
    assert_int_equal(world_log_read(&f->ws, "r", none, 10, 1000, false, &log), 0);
    assert_int_equal(log.count, 3);
    /* That log has ended: who comes now begins behind it, and what is left of it can be read. */
    assert_int_equal(world_interest_rest(&f->ws, channels, 1, false, &stand, &has_rest), 0);
    assert_true(stand.epoch > old.epoch);
    assert_int_equal(stand.offset, 0);
    assert_true(has_rest);
    young = world_append_numbers(&f->ws, "r", 6, 2, NULL);
    assert_true(young.epoch >= stand.epoch);
    assert_int_equal(young.offset, 2);
    assert_int_equal(world_interest_rest(&f->ws, channels, 1, false, &stand, &has_rest), 0);
    assert_true(stand.epoch == young.epoch && stand.offset == 2);
    assert_false(has_rest);
    assert_int_equal(world_log_read(&f->ws, "r", old, 10, 1000, false, &log), 0);
    assert_int_equal(log.count, 2); /* who stood past the copy's end gets what came since */
    assert_int_equal(log.at[0].position.epoch, young.epoch);
    assert_int_equal(log.at[0].position.offset, 1);
    assert_int_equal(log.first.epoch, old.epoch);

    old = young; /* an interrupted connection to the same process continues */
    tell(f, "CLIENT KILL TYPE normal SKIPME yes");
    world_until_down(&f->ws);
    world_until_up(&f->ws);
    assert_int_equal(life_of(f), life);
    young = world_append_numbers(&f->ws, "r", 8, 1, NULL);
    assert_true(young.epoch == old.epoch);
    assert_int_equal(young.offset, 3);
    world_close(&f->ws);
}

/** The copy's logs began by a clock that was ahead of this server's: they are not continued either. */
static void test_came_back_from_the_future(void **state)
{
    static const char *const channels[] = {"r"};
    static const uint64_t ahead = 9000000000000;
    struct fixture *f = *state;
    const char *prefix = f->world.prefix;
    struct store_position position;

    start(f);
    freeReplyObject(redis_server_ask(f->meddler, "XADD %slog:{r} %llu-7 r x", prefix, (unsigned long long)ahead - 5));
    freeReplyObject(redis_server_ask(f->meddler, "SET %sepoch %llu", prefix, (unsigned long long)ahead));
    freeReplyObject(redis_server_ask(f->meddler, "SET %slife %s", prefix, "another 1700000000000"));
    open_up(f, 5000);
    position = world_append_numbers(&f->ws, "r", 1, 1, NULL);
    assert_true(position.epoch > ahead);
    assert_int_equal(position.offset, 1);
    /* Nor does what ends and begins again get the same epoch twice while the clock has yet to catch up. */
    for (unsigned i = 2; i < 5; i++) {
        struct store_position stand, old = position;

        freeReplyObject(redis_server_ask(f->meddler, "DEL %slog:{r}", prefix));
        assert_int_equal(world_interest(&f->ws, channels, 1, false, &stand), 0);
        assert_true(stand.epoch >= old.epoch);
        position = world_append_numbers(&f->ws, "r", i, 1, NULL);
        assert_true(position.epoch > old.epoch && position.epoch > stand.epoch);
        assert_int_equal(position.offset, 1);
    }
    world_close(&f->ws);
}

/** Nobody is forgotten with a store that comes back empty: until everybody has stated again, all are known. */
static void test_only_known(void **state)
{
    struct fixture *f = *state;
    struct world_message m = {.channel = "user:x", .key = "1", .only_known = true};
    redisReply *info;
    const char *run;
    char life[64];

    start(f);
    open_up(f, 5000);
    assert_int_equal(world_append(&f->ws, &m), 0);
    assert_int_equal(m.position.offset, 1);
    freeReplyObject(redis_server_ask(f->meddler, "FLUSHALL"));
    info = redis_server_ask(f->meddler, "INFO server");
    run = strstr(info->str, "run_id:");
    assert_non_null(run);
    (void)snprintf(life, sizeof(life), "%.40s 1700000000000", run + strlen("run_id:"));
    freeReplyObject(redis_server_ask(f->meddler, "SET %slife %s", f->world.prefix, life));
    freeReplyObject(info);
    world_close(&f->ws);
    open_up(f, 5000);
    world_check_known(&f->ws);
    world_close(&f->ws);
}

/* ---- lost connections ---- */

/** What the server had received of the old connection is carried out when it wakes, perhaps after the new one's. */
static void test_frozen(void **state)
{
    static struct many many;
    struct fixture *f = *state;
    struct world_message m = {.channel = "a", .key = "away", .deadline_in_ms = 60000};

    start(f);
    open_up(f, 1500);
    redis_server_freeze(&f->server);
    begin_many(f, &many, 1, 3, 60000);
    world_until_down(&f->ws);
    assert_false(many.batch.is_done);
    assert_int_equal(many.batch.open, MANY);
    assert_int_equal(status_of(f).pending, MANY);
    assert_int_equal(world_append(&f->ws, &m), STORE_E_UNAVAILABLE); /* what is new is refused meanwhile */
    world_pass(&f->world, 700);
    redis_server_thaw(&f->server);
    world_until(&f->world, &many.batch.is_done);
    assert_int_equal(count_results(&many, 0), MANY);
    assert_int_equal(status_of(f).pending, 0);
    for (unsigned i = 0; i < 3; i++)
        expect_log(f, (const char *const[]){"a", "b", "c"}[i], i + 1, 3, MANY / 3);
    world_close(&f->ws);
}

struct eager {
    struct fixture *f;
    struct world_message message;
    struct world_batch batch;
};

/** Appends as soon as it hears that the store is there. */
static void on_eager(void *userdata, const struct store_status *status)
{
    struct eager *e = userdata;

    e->f->ws.is_up = status->is_up;
    if (status->is_up)
        world_append_begin(&e->f->ws, &e->batch, &e->message, 1);
}

static void test_resent_before_newer(void **state)
{
    static struct many many;
    struct fixture *f = *state;
    struct eager eager = {.f = f, .message = {.channel = "a", .key = "eager", .deadline_in_ms = 60000}};

    start(f);
    open_up(f, 1500);
    redis_server_freeze(&f->server);
    begin_many(f, &many, 1, 1, 60000);
    world_until_down(&f->ws);
    f->ws.store->callbacks = (struct store_callbacks){.on_state = on_eager, .userdata = &eager};
    redis_server_thaw(&f->server);
    world_until(&f->world, &many.batch.is_done);
    world_until(&f->world, &eager.batch.is_done);
    assert_int_equal(eager.message.result, 0);
    assert_int_equal(eager.message.position.offset, MANY + 1);
    world_close(&f->ws);
}

/** Connections are cut over and over while messages are under way. */
static void test_cut_over_and_over(void **state)
{
    enum { ROUNDS = 6 };
    static struct many many[ROUNDS];
    struct fixture *f = *state;

    start(f);
    open_up(f, 1000);
    for (unsigned i = 0; i < ROUNDS; i++) {
        begin_many(f, &many[i], i * MANY, 3, 30000);
        world_pass(&f->world, i % 3); /* so that some are not written, some not read, some not answered */
        tell(f, "CLIENT KILL TYPE normal SKIPME yes");
        world_until_down(&f->ws);
        world_until_up(&f->ws);
    }
    for (unsigned i = 0; i < ROUNDS; i++) {
        world_until(&f->world, &many[i].batch.is_done);
        assert_int_equal(count_results(&many[i], 0), MANY);
        for (unsigned j = 0; j < MANY; j++) {
            const struct world_message *m = &many[i].at[j];

            assert_int_equal(m->position.offset, i * MANY / 3 + j / 3 + 1); /* once each, in order */
            assert_true(m->position.epoch == many[0].at[j % 3].position.epoch);
        }
    }
    assert_true(status_of(f).reconnects >= ROUNDS);
    world_close(&f->ws);
}

static void test_deadline(void **state)
{
    static struct many early, late;
    struct world_message never = {.channel = "a", .key = "never"};
    struct world_batch batch;
    struct fixture *f = *state;
    uint64_t begun;

    start(f);
    open_up(f, 1500);
    redis_server_freeze(&f->server);
    begun = world_now_ms();
    world_append_begin(&f->ws, &batch, &never, 1);
    begin_many(f, &early, 1, 3, 5000);
    begin_many(f, &late, MANY + 1, 3, 60000);
    world_until(&f->world, &batch.is_done);
    assert_int_equal(never.result, STORE_E_UNAVAILABLE); /* with the connection */
    assert_true(world_now_ms() - begun >= 1490);
    assert_false(early.batch.is_done);
    world_until(&f->world, &early.batch.is_done);
    assert_true(world_now_ms() - begun >= 4990);
    assert_int_equal(count_results(&early, STORE_E_UNAVAILABLE), MANY);
    assert_false(late.batch.is_done);
    assert_int_equal(status_of(f).pending, MANY);
    redis_server_thaw(&f->server);
    world_until(&f->world, &late.batch.is_done);
    assert_int_equal(count_results(&late, 0), MANY);
    world_close(&f->ws);
}

/** What was gathered and not yet written when the connection went is sent by the next one. */
static void test_gathered_and_lost(void **state)
{
    static struct many many;
    struct fixture *f = *state;

    start(f);
    open_up(f, 5000);
    tell(f, "CLIENT KILL TYPE normal SKIPME yes"); /* the store has yet to notice */
    begin_many(f, &many, 1, 3, 60000);
    world_until(&f->world, &many.batch.is_done);
    assert_int_equal(count_results(&many, 0), MANY);
    expect_log(f, "b", 2, 3, MANY / 3);
    world_close(&f->ws);
}

static void test_stopped_while_away(void **state)
{
    static struct many many;
    struct fixture *f = *state;

    start(f);
    open_up(f, 1500);
    redis_server_freeze(&f->server);
    begin_many(f, &many, 1, 3, 60000);
    world_until_down(&f->ws);
    store_stop(f->ws.store);
    assert_true(many.batch.is_done);
    assert_int_equal(count_results(&many, STORE_E_UNAVAILABLE), MANY);
    assert_int_equal(status_of(f).pending, 0);
    redis_server_thaw(&f->server);
    world_close(&f->ws);
}

static void test_scripts_are_flushed(void **state)
{
    static struct many many;
    struct fixture *f = *state;

    start(f);
    open_up(f, 5000);
    tell(f, "SCRIPT FLUSH");
    begin_many(f, &many, 1, 3, 60000);
    world_until(&f->world, &many.batch.is_done);
    assert_int_equal(count_results(&many, 0), MANY);
    assert_int_equal(status_of(f).reconnects, 1);
    expect_log(f, "c", 3, 3, MANY / 3);
    world_close(&f->ws);
}

static void test_became_a_replica(void **state)
{
    static struct many many;
    struct fixture *f = *state;

    start(f);
    open_up(f, 5000);
    tell(f, "REPLICAOF 127.0.0.1 1");
    begin_many(f, &many, 1, 3, 60000);
    world_until_down(&f->ws);
    assert_false(many.batch.is_done);
    /* What it has yet to read of the lost connection would be carried out behind what it refused. */
    tell(f, "CLIENT KILL TYPE normal SKIPME yes");
    tell(f, "REPLICAOF NO ONE");
    world_until(&f->world, &many.batch.is_done);
    assert_int_equal(count_results(&many, 0), MANY);
    expect_log(f, "a", 1, 3, MANY / 3);
    world_close(&f->ws);
}

/* ---- refusals ---- */

static void test_out_of_memory(void **state)
{
    static struct many many;
    static struct world_log log;
    struct fixture *f = *state;

    start(f);
    open_up(f, 5000);
    (void)world_append_numbers(&f->ws, "a", 1, 1, NULL);
    tell(f, "CONFIG SET maxmemory 1");
    begin_many(f, &many, 1, 3, 60000);
    world_until(&f->world, &many.batch.is_done);
    assert_int_equal(count_results(&many, STORE_E_UNAVAILABLE), MANY);
    assert_non_null(strstr(status_of(f).detail, "OOM"));
    assert_int_equal(world_log_read(&f->ws, "a", none, 10, 1000, false, &log), 0);
    assert_int_equal(log.count, 1);                          /* reading goes on, and nothing of it was written */
    assert_int_equal(world_lease(&f->ws, NODE, 1, 5000), 0); /* and the node does not look dead */
    tell(f, "CLIENT KILL TYPE normal SKIPME yes");
    world_until_down(&f->ws);
    world_until_up(&f->ws); /* also anew */
    tell(f, "CONFIG SET maxmemory 0");
    begin_many(f, &many, 2, 1, 9000);
    world_until(&f->world, &many.batch.is_done);
    assert_int_equal(count_results(&many, 0), MANY);
    expect_log(f, "a", 1, 1, MANY + 1); /* no key was remembered either */
    world_close(&f->ws);
}

/** A server that is full comes back, and its life can be noted all the same. */
static void test_life_out_of_memory(void **state)
{
    static struct world_log log;
    struct fixture *f = *state;

    start(f);
    tell(f, "CONFIG SET maxmemory 1");
    open_up(f, 5000);
    assert_int_equal(world_log_read(&f->ws, "a", none, 10, 1000, false, &log), 0);
    world_close(&f->ws);
}

static void test_foreign_values(void **state)
{
    struct world_message log = {.channel = "x", .key = "1"}, interest = {.channel = "y", .key = "1"};
    static const char *const channels[] = {"r"};
    struct fixture *f = *state;
    const char *prefix = f->world.prefix;
    struct store_position position;
    static struct world_log read;

    start(f);
    open_up(f, 5000);
    freeReplyObject(redis_server_ask(f->meddler, "SET %slog:{x} text", prefix));
    freeReplyObject(redis_server_ask(f->meddler, "SET %sinterest:{y} text", prefix));
    freeReplyObject(redis_server_ask(f->meddler, "HSET %sacks:7 phone garbage", prefix));
    interest.wants_interest = true;
    assert_int_equal(world_append(&f->ws, &log), STORE_E_UNAVAILABLE);
    assert_int_equal(world_append(&f->ws, &interest), STORE_E_UNAVAILABLE);
    assert_int_equal(world_log_read(&f->ws, "y", none, 10, 1000, false, &read), 0);
    assert_int_equal(read.count, 0); /* what was refused was not written */
    interest.wants_interest = false;
    assert_int_equal(world_append(&f->ws, &interest), 0);
    assert_false(interest.is_repeat);
    assert_int_equal(world_log_read(&f->ws, "x", none, 10, 1000, false, &read), STORE_E_UNAVAILABLE);
    assert_int_equal(world_acked(&f->ws, "7", "phone", &position), 0);
    assert_int_equal(position.epoch, 0);
    assert_int_equal(world_ack(&f->ws, "7", "phone", (struct store_position){5, 6}, 60000), 0);
    assert_int_equal(world_interest(&f->ws, channels, 1, false, &position), 0);
    assert_int_equal(status_of(f).reconnects, 0);
    world_close(&f->ws);
}

/** Nodes that do not state their interest again leave the channel's hash, also while others keep it. */
static void test_interest_is_pruned(void **state)
{
    static const char *const channels[] = {"r"};
    struct fixture *f = *state;
    struct store_position position;
    long long left = 0;

    start(f);
    open_up(f, 5000);
    for (unsigned i = 0; i < 300; i++)
        freeReplyObject(redis_server_ask(f->meddler, "HSET %sinterest:{r} dead-%u 1700000000000", f->world.prefix, i));
    for (unsigned i = 0; i < 400 && left != 1; i++) {
        redisReply *reply;

        assert_int_equal(world_interest(&f->ws, channels, 1, false, &position), 0);
        reply = redis_server_ask(f->meddler, "HLEN %sinterest:{r}", f->world.prefix);
        left = reply->integer;
        freeReplyObject(reply);
    }
    assert_int_equal(left, 1);
    world_close(&f->ws);
}

/** But for life and epoch, everything goes by itself. */
static void test_keys_expire(void **state)
{
    static const struct store_log_limits brief = {.length = 10, .age_ms = 200};
    static const char *const channels[] = {"r"};
    struct world_message m = {.channel = "r", .key = "1", .key_age_ms = 200, .limits = &brief};
    struct store_identity who = identity;
    struct store_position position;
    struct fixture *f = *state;
    long long left = 0;

    who.expiry_ms = 200;
    start(f);
    world_open(&f->world, &f->ws, f->url, &who);
    world_until_up(&f->ws);
    assert_int_equal(world_interest(&f->ws, channels, 1, false, &position), 0);
    assert_int_equal(world_append(&f->ws, &m), 0);
    assert_int_equal(world_ack(&f->ws, "7", "phone", m.position, 200), 0);
    for (unsigned i = 0; i < 500 && left != 2; i++) {
        redisReply *reply = redis_server_say(f->meddler, "DBSIZE");

        left = reply->integer;
        freeReplyObject(reply);
        world_pass(&f->world, 10);
    }
    assert_int_equal(left, 2);
    world_close(&f->ws);
}

static int set_up(void **state)
{
    static struct fixture f;

    f = (struct fixture){0};
    world_init(&f.world);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    if (f->ws.store) /* the test failed half-way */
        world_close(&f->ws);
    if (f->meddler)
        redisFree(f->meddler);
    if (f->server.port)
        redis_server_end(&f->server);
    world_deinit(&f->world);
    return 0;
}

#define FAULT_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FAULT_TEST(test_came_back_empty),
        FAULT_TEST(test_came_back_older),
        FAULT_TEST(test_came_back_from_the_future),
        FAULT_TEST(test_only_known),
        FAULT_TEST(test_frozen),
        FAULT_TEST(test_resent_before_newer),
        FAULT_TEST(test_cut_over_and_over),
        FAULT_TEST(test_deadline),
        FAULT_TEST(test_gathered_and_lost),
        FAULT_TEST(test_stopped_while_away),
        FAULT_TEST(test_scripts_are_flushed),
        FAULT_TEST(test_became_a_replica),
        FAULT_TEST(test_out_of_memory),
        FAULT_TEST(test_life_out_of_memory),
        FAULT_TEST(test_foreign_values),
        FAULT_TEST(test_interest_is_pruned),
        FAULT_TEST(test_keys_expire),
    };

    if (!redis_server_is_installed()) {
        fprintf(stderr, "skipped: there is no redis-server\n");
        return SKIPPED;
    }
    return cmocka_run_group_tests_name("store_log/faults", tests, NULL, NULL);
}
