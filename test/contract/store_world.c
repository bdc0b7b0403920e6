#include "contract/store_world.h"

#include "base/clock.h"
#include "base/random.h"

#include <stdio.h>

#define GUARD_MS 60000

static void on_guard(void *userdata base_unused)
{
    fprintf(stderr, "store: no answer within %d ms\n", GUARD_MS);
    abort();
}

static void on_tick(void *userdata)
{
    struct world *w = userdata;

    loop_stop(w->loop);
}

void world_init(struct world *w)
{
    *w = (struct world){0};
    if (loop_new("test", &w->loop) != 0 || !(w->metrics = metrics_new()))
        abort();
    loop_timer_init(&w->guard, w->loop, on_guard, w);
    loop_timer_init(&w->tick, w->loop, on_tick, w);
    (void)snprintf(w->prefix, sizeof(w->prefix), "warren-test-%016llx:", (unsigned long long)random_uint64());
}

void world_deinit(struct world *w)
{
    if (w->open > 0) {
        fprintf(stderr, "store: %u still open: the test broke off, what it had stays as it is\n", w->open);
        return;
    }
    loop_timer_deinit(&w->guard);
    loop_timer_deinit(&w->tick);
    loop_free(w->loop);
    metrics_free(w->metrics);
}

void world_until(struct world *w, const bool *flag)
{
    loop_timer_start(&w->guard, GUARD_MS);
    while (!*flag)
        loop_run(w->loop);
    loop_timer_stop(&w->guard);
}

void world_pass(struct world *w, uint64_t ms)
{
    uint64_t end = world_now_ms() + ms;

    while (world_now_ms() < end) {
        loop_timer_start(&w->tick, end - world_now_ms());
        loop_run(w->loop);
    }
    loop_timer_stop(&w->tick);
}

uint64_t world_now_ms(void)
{
    return clock_monotonic_ms();
}

static void on_state(void *userdata, const struct store_status *status)
{
    struct world_store *ws = userdata;

    ws->is_up = status->is_up;
    ws->changes++;
    loop_stop(ws->world->loop);
}

void world_open_with(struct world *w, struct world_store *ws, const char *url, const struct store_identity *identity,
                     int64_t timeout_ms, int64_t max_pending)
{
    int r;

    *ws = (struct world_store){.world = w};
    w->open++;
    if (url) {
        ws->config.url = strdup(url);
        ws->config.prefix = w->prefix;
        ws->config.timeout_ms = timeout_ms;
        ws->config.max_pending = max_pending;
        r = redis_store_new(w->loop, &ws->config, identity, w->metrics, &ws->store);
    } else {
        r = memory_store_new(w->loop, identity, &ws->store);
    }
    if (r != 0)
        abort();
    ws->store->callbacks = (struct store_callbacks){.on_state = on_state, .userdata = ws};
    if (store_start(ws->store) != 0)
        abort();
}

void world_open(struct world *w, struct world_store *ws, const char *url, const struct store_identity *identity)
{
    world_open_with(w, ws, url, identity, 5000, 100000);
}

void world_until_up(struct world_store *ws)
{
    world_until(ws->world, &ws->is_up);
}

void world_until_down(struct world_store *ws)
{
    loop_timer_start(&ws->world->guard, GUARD_MS);
    while (ws->is_up)
        loop_run(ws->world->loop);
    loop_timer_stop(&ws->world->guard);
}

void world_close(struct world_store *ws)
{
    store_stop(ws->store);
    ws->store = store_free(ws->store);
    free(ws->config.url);
    ws->world->open--;
}

/* ---- requests as calls ---- */

/** What a call waits with; the request comes first. */
struct call {
    struct world_store *ws;
    bool is_done;
    int result;
    void *out;
};

static void finish(struct call *c, int result)
{
    c->is_done = true;
    c->result = result;
    loop_stop(c->ws->world->loop);
}

static int await(struct call *c)
{
    if (c->is_done)
        abort(); /* never from inside the request's function */
    world_until(c->ws->world, &c->is_done);
    return c->result;
}

struct call_seen {
    struct store_seen r;
    struct call call;
};

static void on_seen(struct store_seen *r, int result)
{
    finish(&container_of(r, struct call_seen, r)->call, result);
}

int world_seen(struct world_store *ws, struct slice id, bool *ret_seen)
{
    struct call_seen c = {.r = {.ids = &id, .count = 1, .seen = ret_seen, .done = on_seen}, .call.ws = ws};

    store_seen(ws->store, &c.r);
    return await(&c.call);
}

struct call_likes {
    struct store_likes_add r;
    struct call call;
};

static void on_likes(struct store_likes_add *r, int result)
{
    finish(&container_of(r, struct call_likes, r)->call, result);
}

int world_likes(struct world_store *ws, struct store_likes *item, uint64_t tell_interval_ms)
{
    struct call_likes c = {.r = {.items = item, .count = 1, .tell_interval_ms = tell_interval_ms, .done = on_likes},
                           .call.ws = ws};

    store_likes_add(ws->store, &c.r);
    return await(&c.call);
}

struct call_watch {
    struct store_watch_add r;
    struct call call;
};

static void on_watch(struct store_watch_add *r, int result)
{
    finish(&container_of(r, struct call_watch, r)->call, result);
}

int world_watch(struct world_store *ws, const struct store_watch *items, size_t count)
{
    struct call_watch c = {.r = {.items = items, .count = count, .done = on_watch}, .call.ws = ws};

    store_watch_add(ws->store, &c.r);
    return await(&c.call);
}

struct call_watched {
    struct store_watch_read r;
    struct call call;
};

static void on_watched(struct store_watch_read *r, int result, const struct store_watched *watched, size_t count,
                       struct slice next)
{
    struct call_watched *c = container_of(r, struct call_watched, r);
    struct world_watched *out = c->call.out;

    memset(out, 0, sizeof(*out));
    if (count > BASE_ARRAY_SIZE(out->at))
        abort();
    out->count = count;
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(out->at[i].user, sizeof(out->at[i].user), "%.*s", SLICE_PRINTF(watched[i].user));
        out->at[i].seconds = watched[i].seconds;
    }
    if (slice_is_set(next))
        (void)snprintf(out->next, sizeof(out->next), "%.*s", SLICE_PRINTF(next));
    finish(&c->call, result);
}

int world_watched(struct world_store *ws, const char *room, const char *user, const char *after, size_t limit,
                  struct world_watched *ret_page)
{
    struct call_watched c = {.r = {.room = slice_from(room),
                                   .user = slice_from(user),
                                   .after = slice_from(after),
                                   .limit = limit ? limit : 10,
                                   .done = on_watched},
                             .call = {.ws = ws, .out = ret_page}};

    store_watch_read(ws->store, &c.r);
    return await(&c.call);
}

struct call_lease {
    struct store_lease_put r;
    struct call call;
};

static void on_lease(struct store_lease_put *r, int result)
{
    finish(&container_of(r, struct call_lease, r)->call, result);
}

static int lease_put(struct world_store *ws, const char *node, uint64_t incarnation, uint64_t lease_ms,
                     int64_t started_after_ms, bool takes_over)
{
    struct call_lease c = {.r = {.lease = {.node = node,
                                           .incarnation = incarnation,
                                           .lease_ms = lease_ms,
                                           .is_cut = true,
                                           .sessions = 7,
                                           .rooms = 3,
                                           .started_ms = 1700000000123 + started_after_ms,
                                           .version = "1.2 \"x\"",
                                           .internal = "[::1]:9091"},
                                 .takes_over = takes_over,
                                 .done = on_lease},
                           .call.ws = ws};

    store_lease_put(ws->store, &c.r);
    return await(&c.call);
}

int world_lease(struct world_store *ws, const char *node, uint64_t incarnation, uint64_t lease_ms)
{
    return lease_put(ws, node, incarnation, lease_ms, 0, false);
}

int world_lease_over(struct world_store *ws, const char *node, uint64_t incarnation, uint64_t lease_ms,
                     int64_t started_after_ms)
{
    return lease_put(ws, node, incarnation, lease_ms, started_after_ms, true);
}

struct call_session {
    struct store_session_put r;
    struct call call;
};

static void on_session(struct store_session_put *r, int result)
{
    finish(&container_of(r, struct call_session, r)->call, result);
}

int world_sessions(struct world_store *ws, struct store_session_item *items, size_t count)
{
    struct call_session c = {.r = {.items = items, .count = count, .done = on_session}, .call.ws = ws};

    store_session_put(ws->store, &c.r);
    return await(&c.call);
}

struct store_session_item world_session_item(const char *user, const char *session, const char *device, bool is_end)
{
    return (struct store_session_item){.session = {.user = slice_from(user),
                                                   .session = slice_from(session),
                                                   .device = slice_from(device),
                                                   .since_ms = 1700000000456},
                                       .is_end = is_end,
                                       .result = -1};
}

int world_session(struct world_store *ws, const char *user, const char *session, const char *device, bool is_end)
{
    struct store_session_item item = world_session_item(user, session, device, is_end);
    int result = world_sessions(ws, &item, 1);

    return result ? result : item.result;
}

struct call_room {
    struct store_room_put r;
    struct call call;
};

static void on_room(struct store_room_put *r, int result)
{
    finish(&container_of(r, struct call_room, r)->call, result);
}

int world_room(struct world_store *ws, const char *room, uint64_t connections, const char *const *names, size_t count)
{
    struct slice *slices = calloc(count + 1, sizeof(*slices));
    struct call_room c = {.r = {.room = slice_from(room),
                                .mode = STORE_ROOM_ROSTER,
                                .is_first = true,
                                .version = 1,
                                .connections = connections,
                                .users = count,
                                .joined = slices,
                                .joined_count = count,
                                .done = on_room},
                          .call.ws = ws};
    int result;

    for (size_t i = 0; i < count; i++)
        slices[i] = slice_from(names[i]);
    store_room_put(ws->store, &c.r);
    result = await(&c.call);
    free(slices);
    return result;
}

int world_change(struct world_store *ws, struct store_room_put *put)
{
    struct call_room c = {.r = *put, .call.ws = ws};
    int result;

    c.r.done = on_room;
    store_room_put(ws->store, &c.r);
    result = await(&c.call);
    *put = c.r;
    return result;
}

static void copy(char out[140], struct slice s)
{
    (void)snprintf(out, 140, "%.*s", SLICE_PRINTF(s));
}

struct call_user {
    struct store_user_read r;
    struct call call;
};

static void on_user(struct store_user_read *r, int result, const struct store_session *sessions, size_t count)
{
    struct call_user *c = container_of(r, struct call_user, r);
    struct world_sessions *out = c->call.out;

    out->count = count;
    for (size_t i = 0; i < count; i++) {
        copy(out->at[i].user, sessions[i].user);
        copy(out->at[i].session, sessions[i].session);
        copy(out->at[i].device, sessions[i].device);
        copy(out->at[i].node, sessions[i].node);
        out->at[i].has_device = slice_is_set(sessions[i].device);
        out->at[i].since_ms = sessions[i].since_ms;
    }
    finish(&c->call, result);
}

int world_user(struct world_store *ws, const char *user, struct world_sessions *ret_sessions)
{
    struct call_user c = {.r = {.user = slice_from(user), .done = on_user}, .call = {.ws = ws, .out = ret_sessions}};

    store_user_read(ws->store, &c.r);
    return await(&c.call);
}

struct call_parts {
    struct store_room_read r;
    struct call call;
};

static void on_parts(struct store_room_read *r, int result, const struct store_room *room)
{
    struct call_parts *c = container_of(r, struct call_parts, r);
    struct world_parts *out = c->call.out;

    memset(out, 0, sizeof(*out));
    if (!result) {
        if (room->part_count > BASE_ARRAY_SIZE(out->at) || room->name_count > BASE_ARRAY_SIZE(out->names))
            abort();
        out->users = room->users;
        out->connections = room->connections;
        out->likes = room->likes;
        out->count = room->part_count;
        for (size_t i = 0; i < room->part_count; i++) {
            copy(out->at[i].node, room->parts[i].node);
            out->at[i].connections = room->parts[i].connections;
            out->at[i].users = room->parts[i].users;
        }
        out->name_count = room->name_count;
        for (size_t i = 0; i < room->name_count; i++)
            copy(out->names[i], room->names[i]);
    }
    finish(&c->call, result);
}

int world_names(struct world_store *ws, const char *room, const char *after, size_t limit,
                struct world_parts *ret_parts)
{
    struct call_parts c = {.r = {.room = slice_from(room),
                                 .mode = STORE_ROOM_ROSTER,
                                 .limit = limit,
                                 .after = slice_from(after),
                                 .done = on_parts},
                           .call = {.ws = ws, .out = ret_parts}};

    store_room_read(ws->store, &c.r);
    return await(&c.call);
}

int world_parts(struct world_store *ws, const char *room, bool with_names, struct world_parts *ret_parts)
{
    return world_names(ws, room, NULL, with_names ? STORE_ROOM_NAMES_MAX : 0, ret_parts);
}

struct call_rooms {
    struct store_rooms_read r;
    struct call call;
};

static void on_rooms(struct store_rooms_read *r, int result, const struct store_room_line *lines, size_t count,
                     struct slice next)
{
    struct call_rooms *c = container_of(r, struct call_rooms, r);
    struct world_lines *out = c->call.out;

    memset(out, 0, sizeof(*out));
    if (count > BASE_ARRAY_SIZE(out->at))
        abort();
    out->count = count;
    for (size_t i = 0; i < count; i++) {
        copy(out->at[i].room, lines[i].room);
        out->at[i].users = lines[i].users;
        out->at[i].connections = lines[i].connections;
        out->at[i].nodes = lines[i].nodes;
    }
    if (slice_is_set(next))
        (void)snprintf(out->next, sizeof(out->next), "%.*s", SLICE_PRINTF(next));
    finish(&c->call, result);
}

int world_rooms(struct world_store *ws, const char *after, size_t limit, struct world_lines *ret_page)
{
    struct call_rooms c = {.r = {.after = slice_from(after), .limit = limit, .done = on_rooms},
                           .call = {.ws = ws, .out = ret_page}};

    store_rooms_read(ws->store, &c.r);
    return await(&c.call);
}

struct call_nodes {
    struct store_nodes_read r;
    struct call call;
};

static void on_nodes(struct store_nodes_read *r, int result, const struct store_lease *leases, size_t count)
{
    struct call_nodes *c = container_of(r, struct call_nodes, r);
    struct world_leases *out = c->call.out;

    if (count > BASE_ARRAY_SIZE(out->at))
        abort();
    out->count = count;
    for (size_t i = 0; i < count; i++) {
        out->at[i].lease = leases[i];
        copy(out->at[i].node, slice_from(leases[i].node));
        copy(out->at[i].version, slice_from(leases[i].version));
        copy(out->at[i].internal, slice_from(leases[i].internal));
    }
    finish(&c->call, result);
}

int world_leases(struct world_store *ws, struct world_leases *ret_leases)
{
    struct call_nodes c = {.r = {.done = on_nodes}, .call = {.ws = ws, .out = ret_leases}};

    store_nodes_read(ws->store, &c.r);
    return await(&c.call);
}
