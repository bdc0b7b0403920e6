/*
 * How many appends a second one Redis takes, through the store as the hub uses it: a window of open appends, each
 * answer followed by the next message, with the interest of some nodes in every answer.
 *
 *     measure_append [channels=1000] [window=1024] [seconds=10] [record bytes=200] [nodes=3]
 *
 * Starts a redis-server of its own. The figures per core are what the server's CPU time says: beside it on the same
 * machine runs this program.
 */
#include "base/clock.h"
#include "metrics/metrics.h"
#include "store/redis/redis_store.h"
#include "support/redis_server.h"

#include <inttypes.h>
#include <stdio.h>

#define NODES_MAX 16
#define CHANNELS_MAX 100000
#define WINDOW_MAX 65536
#define RECORD_MAX 65536

static const struct store_log_limits limits = {.length = 1000, .bytes = 1024 * 1024, .age_ms = 600000};
static const struct redis_config config_default = {
    .prefix = (char[]){"warren:"}, .timeout_ms = 5000, .max_pending = 100000};

struct slot {
    struct store_append r;
    char channel[24], key[24];
};

static struct {
    struct loop *loop;
    struct store *stores[NODES_MAX + 1]; /* the last one appends */
    unsigned up;
    struct slot *slots;
    unsigned channels, window, seconds, record_bytes, nodes;
    char record[RECORD_MAX];
    uint64_t made, answered, open, nodes_told;
    uint64_t end_ms;
    bool has_failed;
} bench;

static void append_next(struct slot *slot);

static void on_done(struct store_append *r, int result, const struct slice *nodes, size_t count)
{
    (void)nodes;
    bench.open--;
    bench.answered++;
    bench.nodes_told += count;
    bench.has_failed |= result != 0 || r->is_repeat;
    if (!bench.has_failed && clock_monotonic_ms() < bench.end_ms)
        append_next(container_of(r, struct slot, r));
    else if (bench.open == 0)
        loop_stop(bench.loop);
}

static void append_next(struct slot *slot)
{
    uint64_t number = bench.made++;

    /* A walk through all channels that does not repeat itself in rows. */
    (void)snprintf(slot->channel, sizeof(slot->channel), "room:%" PRIu64, number * 7919 % bench.channels);
    (void)snprintf(slot->key, sizeof(slot->key), "%020" PRIu64, number);
    slot->r = (struct store_append){.channel = slice_from(slot->channel),
                                    .sender = SLICE_LITERAL("user-1234"),
                                    .key = slice_from(slot->key),
                                    .key_age_ms = 600000,
                                    .record = slice_make(bench.record, bench.record_bytes),
                                    .limits = &limits,
                                    .wants_interest = true,
                                    .deadline_ms = UINT64_MAX,
                                    .done = on_done};
    bench.open++;
    store_append(bench.stores[bench.nodes], &slot->r);
}

static void on_state(void *userdata, const struct store_status *status)
{
    (void)userdata;
    bench.up += status->is_up;
    loop_stop(bench.loop);
}

static void on_interest(struct store_interest_put *r, int result)
{
    (void)r;
    bench.has_failed |= result != 0;
    loop_stop(bench.loop);
}

/** One node's interest in all channels. */
static void state_interest(struct store *s)
{
    static char names[STORE_INTEREST_MAX][24];
    static struct slice channels[STORE_INTEREST_MAX];
    static struct store_position positions[STORE_INTEREST_MAX];

    for (unsigned next = 0; next < bench.channels;) {
        struct store_interest_put put = {.channels = channels, .positions = positions, .done = on_interest};

        while (next < bench.channels && put.count < STORE_INTEREST_MAX) {
            (void)snprintf(names[put.count], sizeof(names[0]), "room:%u", next++);
            channels[put.count] = slice_from(names[put.count]);
            put.count++;
        }
        store_interest_put(s, &put);
        loop_run(bench.loop);
    }
}

/** CPU time of the server, microseconds. */
static uint64_t server_cpu_us(redisContext *c)
{
    static const char *const fields[] = {"used_cpu_sys:", "used_cpu_user:"};
    redisReply *reply = redis_server_say(c, "INFO cpu");
    double seconds = 0;

    for (size_t i = 0; i < BASE_ARRAY_SIZE(fields); i++) {
        const char *at = strstr(reply->str, fields[i]);

        seconds += at ? strtod(at + strlen(fields[i]), NULL) : 0;
    }
    freeReplyObject(reply);
    return (uint64_t)(seconds * 1e6);
}

static void open_stores(struct metrics *m, const struct redis_config *config, char names[][32])
{
    for (unsigned i = 0; i <= bench.nodes; i++) {
        struct store_identity identity = {
            .node = names[i], .incarnation = i + 1, .seen_window_ms = 600000, .expiry_ms = 900000};

        (void)snprintf(names[i], sizeof(names[i]), "10.0.0.%u:8091", i + 1);
        if (redis_store_new(bench.loop, config, &identity, m, &bench.stores[i]) != 0)
            abort();
        bench.stores[i]->callbacks.on_state = on_state;
        if (store_start(bench.stores[i]) != 0)
            abort();
    }
    while (bench.up <= bench.nodes)
        loop_run(bench.loop);
    for (unsigned i = 0; i < bench.nodes; i++)
        state_interest(bench.stores[i]);
}

static void measure(redisContext *c)
{
    uint64_t begun_us = clock_monotonic_us(), server_us = server_cpu_us(c), own_us = clock_process_cpu_us(), took_us;
    double count;

    bench.end_ms = clock_monotonic_ms() + bench.seconds * 1000;
    for (unsigned i = 0; i < bench.window; i++)
        append_next(&bench.slots[i]);
    loop_run(bench.loop);
    took_us = clock_monotonic_us() - begun_us;
    server_us = server_cpu_us(c) - server_us;
    own_us = clock_process_cpu_us() - own_us;
    count = (double)bench.answered;
    printf("%u channels, window %u, %u bytes, %.1f nodes an answer: %.0f appends/s; of the server %.2f cpu-s/100k "
           "(%.0f/s a core, %.0f %% of one); of this program %.2f cpu-s/100k%s\n",
           bench.channels, bench.window, bench.record_bytes, (double)bench.nodes_told / count,
           count * 1e6 / (double)took_us, (double)server_us / 10 / count, count * 1e6 / (double)server_us,
           100.0 * (double)server_us / (double)took_us, (double)own_us / 10 / count,
           bench.has_failed ? "; SOME FAILED" : "");
}

static unsigned argument(int argc, char **argv, int index, unsigned fallback, unsigned max)
{
    unsigned long value = argc > index ? strtoul(argv[index], NULL, 10) : fallback;

    return value > max ? max : (unsigned)value;
}

int main(int argc, char **argv)
{
    struct redis_server server = {0};
    struct redis_config config = config_default;
    struct metrics *m = metrics_new();
    static char names[NODES_MAX + 1][32];
    char url[64];
    redisContext *c;

    if (!redis_server_is_installed()) {
        fprintf(stderr, "skipped: there is no redis-server\n");
        return 77;
    }
    bench.channels = argument(argc, argv, 1, 1000, CHANNELS_MAX);
    bench.window = argument(argc, argv, 2, 1024, WINDOW_MAX);
    bench.seconds = argument(argc, argv, 3, 10, 600);
    bench.record_bytes = argument(argc, argv, 4, 200, RECORD_MAX);
    bench.nodes = argument(argc, argv, 5, 3, NODES_MAX);
    bench.slots = calloc(bench.window, sizeof(*bench.slots));
    memset(bench.record, 'x', sizeof(bench.record));
    if (!m || !bench.slots || bench.channels == 0 || bench.window == 0 || loop_new("bench", &bench.loop) != 0)
        return 2;
    redis_server_start(&server, NULL);
    c = redis_server_connect("127.0.0.1", server.port);
    (void)snprintf(url, sizeof(url), "redis://127.0.0.1:%d", server.port);
    config.url = url;
    open_stores(m, &config, names);
    measure(c);
    for (unsigned i = 0; i <= bench.nodes; i++)
        bench.stores[i] = store_free(bench.stores[i]);
    redisFree(c);
    redis_server_end(&server);
    loop_free(bench.loop);
    metrics_free(m);
    free(bench.slots);
    return bench.has_failed;
}
