#include "contract/store_world_log.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <stdio.h>

static const struct store_log_limits default_limits = {.length = 1000, .age_ms = 60000};

static void copy(char *out, size_t room, struct slice s)
{
    (void)snprintf(out, room, "%.*s", SLICE_PRINTF(s));
}

/* ---- append ---- */

static void on_append(struct store_append *r, int result, const struct slice *nodes, size_t count)
{
    struct world_message *m = container_of(r, struct world_message, r);

    if (m->is_done || count > BASE_ARRAY_SIZE(m->nodes))
        abort();
    m->is_done = true;
    m->result = result;
    m->position = r->position;
    m->is_repeat = r->is_repeat;
    m->node_count = count;
    for (size_t i = 0; i < count; i++)
        copy(m->nodes[i], sizeof(m->nodes[i]), nodes[i]);
    if (--m->batch->open > 0)
        return;
    m->batch->is_done = true;
    loop_stop(m->batch->world->loop);
}

void world_append_begin(struct world_store *ws, struct world_batch *batch, struct world_message *messages, size_t count)
{
    uint64_t now_ms = loop_now_ms(ws->world->loop);

    *batch = (struct world_batch){.world = ws->world, .open = count};
    for (size_t i = 0; i < count; i++) {
        struct world_message *m = &messages[i];

        m->batch = batch;
        m->is_done = false;
        m->r = (struct store_append){
            .channel = slice_from(m->channel),
            .sender = slice_from(m->sender ? m->sender : "sender"),
            .key = slice_from(m->key),
            .key_age_ms = m->key_age_ms ? m->key_age_ms : 60000,
            .record = m->record,
            .limits = m->limits ? m->limits : &default_limits,
            .wants_interest = m->wants_interest,
            .only_known = m->only_known,
            .deadline_ms = m->deadline_in_ms ? now_ms + m->deadline_in_ms : 0,
            .done = on_append,
        };
        store_append(ws->store, &m->r);
        if (m->is_done)
            abort(); /* never from inside the request's function */
    }
}

void world_append_all(struct world_store *ws, struct world_message *messages, size_t count)
{
    struct world_batch batch;

    world_append_begin(ws, &batch, messages, count);
    world_until(ws->world, &batch.is_done);
}

int world_append(struct world_store *ws, struct world_message *message)
{
    world_append_all(ws, message, 1);
    return message->result;
}

struct store_position world_append_numbers(struct world_store *ws, const char *channel, unsigned first, unsigned count,
                                           const struct store_log_limits *limits)
{
    struct world_message *messages = calloc(count, sizeof(*messages));
    char(*texts)[16] = calloc(count, sizeof(*texts));
    struct store_position position;

    for (unsigned i = 0; i < count; i++) {
        (void)snprintf(texts[i], sizeof(texts[i]), "%u", first + i);
        messages[i] = (struct world_message){
            .channel = channel, .key = texts[i], .record = slice_from(texts[i]), .limits = limits};
    }
    world_append_all(ws, messages, count);
    for (unsigned i = 0; i < count; i++)
        if (messages[i].result != 0 || messages[i].is_repeat)
            abort();
    position = messages[count - 1].position;
    free(texts);
    free(messages);
    return position;
}

/* ---- reading ---- */

/** A request that is waited for. */
struct call {
    struct world *world;
    bool is_done;
    int result;
    void *out;
};

static void finish(struct call *c, int result)
{
    c->is_done = true;
    c->result = result;
    loop_stop(c->world->loop);
}

static int await(struct call *c)
{
    if (c->is_done)
        abort();
    world_until(c->world, &c->is_done);
    return c->result;
}

struct call_read {
    struct store_log_read r;
    struct call call;
};

static void on_read(struct store_log_read *r, int result, struct store_position last, struct store_position first,
                    const struct store_record *records, size_t count)
{
    struct call_read *c = container_of(r, struct call_read, r);
    struct world_log *log = c->call.out;

    if (count > BASE_ARRAY_SIZE(log->at))
        abort();
    log->last = last;
    log->first = first;
    log->count = count;
    for (size_t i = 0; i < count; i++) {
        log->at[i].position = records[i].position;
        log->at[i].size = records[i].record.size;
        copy(log->at[i].text, WORLD_TEXT, records[i].record);
    }
    finish(&c->call, result);
}

int world_log_read(struct world_store *ws, const char *channel, struct store_position after, uint32_t limit,
                   uint32_t max_bytes, bool is_backwards, struct world_log *ret_log)
{
    struct call_read c = {.r = {.channel = slice_from(channel),
                                .after = after,
                                .limit = limit,
                                .max_bytes = max_bytes,
                                .is_backwards = is_backwards,
                                .done = on_read},
                          .call = {.world = ws->world, .out = ret_log}};

    store_log_read(ws->store, &c.r);
    return await(&c.call);
}

struct call_sweep {
    struct store_sweep r;
    struct call call;
};

static void on_records(struct store_sweep *r, size_t index, const struct store_record *records, size_t count)
{
    struct world_swept *swept = container_of(r, struct call_sweep, r)->call.out;

    if (count == 0 || swept->count == BASE_ARRAY_SIZE(swept->at))
        abort();
    swept->at[swept->count].index = index;
    swept->at[swept->count].count = count;
    swept->at[swept->count].first = records[0].position;
    swept->at[swept->count++].last = records[count - 1].position;
}

static void on_swept(struct store_sweep *r, int result)
{
    struct call_sweep *c = container_of(r, struct call_sweep, r);
    struct world_swept *swept = c->call.out;

    swept->has_more = r->has_more;
    finish(&c->call, result);
}

int world_sweep(struct world_store *ws, const struct store_sweep_channel *channels, size_t count, uint32_t limit,
                struct world_swept *ret_swept)
{
    struct call_sweep c = {.r = {.channels = channels,
                                 .count = count,
                                 .limit_per_channel = limit,
                                 .on_records = on_records,
                                 .done = on_swept},
                           .call = {.world = ws->world, .out = ret_swept}};

    ret_swept->count = 0;
    store_sweep(ws->store, &c.r);
    return await(&c.call);
}

/* ---- interest and acks ---- */

struct call_interest {
    struct store_interest_put r;
    struct call call;
};

static void on_interest(struct store_interest_put *r, int result)
{
    finish(&container_of(r, struct call_interest, r)->call, result);
}

int world_interest(struct world_store *ws, const char *const *channels, size_t count, bool is_end,
                   struct store_position *positions)
{
    return world_interest_rest(ws, channels, count, is_end, positions, NULL);
}

int world_interest_rest(struct world_store *ws, const char *const *channels, size_t count, bool is_end,
                        struct store_position *positions, bool *have_rest)
{
    struct slice slices[STORE_INTEREST_MAX];
    struct call_interest c = {.r = {.channels = slices,
                                    .count = count,
                                    .is_end = is_end,
                                    .positions = positions,
                                    .have_rest = have_rest,
                                    .done = on_interest},
                              .call = {.world = ws->world}};

    for (size_t i = 0; i < count; i++)
        slices[i] = slice_from(channels[i]);
    store_interest_put(ws->store, &c.r);
    return await(&c.call);
}

void world_listen_once(struct world_store *ws, const char *channel, uint64_t known_ms)
{
    struct slice name = slice_from(channel);
    struct store_position position;
    struct call_interest c = {.call = {.world = ws->world}};

    for (int is_end = 0; is_end < 2; is_end++) {
        c.call.is_done = false;
        c.r = (struct store_interest_put){.channels = &name,
                                          .count = 1,
                                          .known_ms = &known_ms,
                                          .is_end = is_end,
                                          .positions = is_end ? NULL : &position,
                                          .done = on_interest};
        store_interest_put(ws->store, &c.r);
        assert_int_equal(await(&c.call), 0);
    }
}

static struct world_message for_known(const char *channel, const char *key)
{
    return (struct world_message){.channel = channel, .key = key, .record = slice_from(key), .only_known = true};
}

static void expect_offset(struct world_store *ws, const char *channel, const char *key, uint64_t offset)
{
    struct world_message m = for_known(channel, key);

    m.wants_interest = true;
    assert_int_equal(world_append(ws, &m), 0);
    assert_int_equal(m.position.offset, offset);
    assert_int_equal(m.position.epoch > 0, offset > 0);
    assert_false(m.is_repeat);
    assert_int_equal(m.node_count, 0);
}

void world_check_known(struct world_store *ws)
{
    static struct world_log log;
    struct world_message both[2] = {for_known("user:x", "2"), for_known("user:x", "3")};

    expect_offset(ws, "user:x", "1", 0);
    assert_int_equal(world_log_read(ws, "user:x", (struct store_position){0}, 10, 1000, false, &log), 0);
    assert_int_equal(log.count, 0);
    /* A back end's message makes the log, and then it is known. */
    both[1].only_known = false;
    world_append_all(ws, both, 2);
    assert_int_equal(both[0].result + both[1].result, 0);
    assert_int_equal(both[0].position.offset, 0);
    assert_int_equal(both[1].position.offset, 1);
    expect_offset(ws, "user:x", "1", 2);
    world_listen_once(ws, "user:y", 60000);
    expect_offset(ws, "user:y", "1", 1);
    world_listen_once(ws, "user:z", 0);
    expect_offset(ws, "user:z", "1", 0);
    world_listen_once(ws, "user:w", 200);
    world_pass(ws->world, 300);
    expect_offset(ws, "user:w", "1", 0);
}

struct call_ack {
    struct store_ack_put r;
    struct call call;
};

static void on_ack(struct store_ack_put *r, int result)
{
    finish(&container_of(r, struct call_ack, r)->call, result);
}

int world_ack(struct world_store *ws, const char *user, const char *device, struct store_position position,
              uint64_t age_ms)
{
    struct call_ack c = {.r = {.user = slice_from(user),
                               .device = slice_from(device),
                               .position = position,
                               .age_ms = age_ms,
                               .done = on_ack},
                         .call = {.world = ws->world}};

    store_ack_put(ws->store, &c.r);
    return await(&c.call);
}

struct call_acked {
    struct store_ack_read r;
    struct call call;
};

static void on_acked(struct store_ack_read *r, int result, struct store_position position)
{
    struct call_acked *c = container_of(r, struct call_acked, r);

    *(struct store_position *)c->call.out = position;
    finish(&c->call, result);
}

int world_acked(struct world_store *ws, const char *user, const char *device, struct store_position *ret_position)
{
    struct call_acked c = {.r = {.user = slice_from(user), .device = slice_from(device), .done = on_acked},
                           .call = {.world = ws->world, .out = ret_position}};

    store_ack_read(ws->store, &c.r);
    return await(&c.call);
}
