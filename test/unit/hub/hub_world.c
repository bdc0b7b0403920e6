#include "hub_wall.h"

#include "base/clock.h"

#include <string.h>
#include <time.h>

static void on_fan_done(void *userdata, struct hub_fan *fan base_unused)
{
    struct world *w = userdata;

    atomic_fetch_add(&w->fans_done, 1);
}

static const struct hub_port_ops port_ops = {.fan_done = on_fan_done};

void world_init(struct world *w)
{
    *w = (struct world){.config = {
                            .lease_ms = 6000,
                            .restate_ms = 300000,
                            .dedup_window_ms = 600000,
                            .dedup_local = 20000,
                            .online_interval_ms = 20,
                            .likes_interval_ms = 20,
                            .watch_interval_ms = 50,
                            .watch_gap_ms = 40000,
                            .likes_per_op = 1000,
                            .online_names = 20,
                            .rooms_per_session = 10,
                            .channels = 1000,
                            .sessions = 1000,
                            .sessions_per_user = 100,
                            .message_bytes = 400,
                            .canary_interval_ms = 1000,
                        }};
}

void world_open(struct world *w)
{
    const struct hub_identity identity = {
        .node = WORLD_NODE, .incarnation = 77, .internal = "127.0.0.1:9091", .version = "test"};
    const struct store_identity store_identity = {
        .node = WORLD_NODE, .incarnation = 77, .seen_window_ms = 600000, .expiry_ms = 900000};

    base_cleanup(buffer_deinit)
    struct buffer errors = {0};
    base_cleanup(buffer_deinit)
    struct buffer text = {0};

    assert_int_equal(config_new(&w->sections), 0);
    assert_int_equal(config_add_family(w->sections, HUB_CHANNEL_FAMILY, hub_channel_options, hub_channel_option_count,
                                       sizeof(struct hub_channel_config)),
                     0);
    if (!w->is_sequenced && !w->section)
        assert_int_equal(
            config_load_text(w->sections, SLICE_LITERAL("[channel.every]\nmatch=*\nsequenced=no\n"), "test", &errors),
            0);
    if (w->section) {
        buffer_printf(&text, "[channel.every]\nmatch=*\n%s\n", w->section);
        assert_int_equal(config_load_text(w->sections, buffer_slice(&text), "test", &errors), 0);
    }
    assert_int_equal(config_finish(w->sections, &errors), 0);
    w->config.sections = w->sections;
    assert_int_equal(loop_new("hub", &w->hub_loop), 0);
    w->metrics = metrics_new();
    assert_non_null(w->metrics);
    w->bus.base = (struct bus){.ops = &wall_bus_ops, .owner = w->hub_loop};
    wall_store_init(&w->store, w->hub_loop);
    assert_int_equal(bus_local_new(w->hub_loop, 10000, &w->bus.inner), 0);
    assert_int_equal(memory_store_new(w->hub_loop, &store_identity, &w->store.inner), 0);
    assert_int_equal(hub_new(w->hub_loop, &w->config, &identity, &w->bus.base, &w->store.base, w->metrics, &w->hub), 0);
    for (size_t i = 0; i < WORLD_PORTS; i++) {
        if (w->is_one_loop)
            w->loops[i] = w->hub_loop;
        else
            assert_int_equal(loop_new("port", &w->loops[i]), 0);
        assert_int_equal(hub_port_new(w->hub, w->loops[i], &port_ops, w, &w->ports[i]), 0);
    }
    assert_int_equal(hub_start(w->hub), 0);
    world_settle(w);
}

void world_close(struct world *w)
{
    struct hub_status status;

    hub_stop(w->hub);
    hub_status_read(w->hub, &status);
    assert_int_equal(w->bus.deliveries_out, 0);
    hub_free(w->hub);
    loop_timer_deinit(&w->store.refuse);
    bus_free(&w->bus.base);
    store_free(&w->store.base);
    for (size_t i = 0; i < WORLD_PORTS; i++) {
        if (!w->is_one_loop)
            loop_free(w->loops[i]);
    }
    loop_free(w->hub_loop);
    metrics_free(w->metrics);
    config_free(w->sections);
}

struct turn_end {
    struct loop_task task;
    struct loop *loop;
};

static void end_turn(struct loop_task *task)
{
    loop_stop(container_of(task, struct turn_end, task)->loop);
}

void world_turn(struct loop *l)
{
    struct turn_end end = {.task.run = end_turn, .loop = l};

    loop_post(l, &end.task);
    loop_run(l);
}

void world_settle(struct world *w)
{
    const struct timespec moment = {.tv_nsec = 100000};

    for (int i = 0; i < 8; i++) {
        world_turn(w->hub_loop);
        for (size_t k = 0; k < WORLD_PORTS && !w->is_one_loop; k++)
            world_turn(w->loops[k]);
        nanosleep(&moment, NULL); /* timers of no delay are due a moment later */
    }
}

uint64_t world_deadline(void)
{
    return clock_monotonic_ms() + 60000;
}

bool world_is_over(uint64_t deadline_ms)
{
    return clock_monotonic_ms() > deadline_ms;
}

void world_pass(struct world *w, uint64_t ms)
{
    uint64_t end_ms = clock_monotonic_ms() + ms;

    while (clock_monotonic_ms() < end_ms)
        world_settle(w);
}

int64_t world_metric(struct world *w, const char *name_and_labels)
{
    base_cleanup(buffer_deinit)
    struct buffer page = {0};
    size_t size = strlen(name_and_labels);

    metrics_write_page(w->metrics, &page);
    assert_int_equal(buffer_error(&page), 0);
    for (const char *line = page.data; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name_and_labels, size) == 0 && line[size] == ' ')
            return strtoll(line + size, NULL, 10);
    }
    fail_msg("no metric %s", name_and_labels);
    return -1;
}
