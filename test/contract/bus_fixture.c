#include "contract/bus_fixture.h"
#include "base/clock.h"
#include "base/random.h"
#include "bus/local.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
/* after the standard headers it needs */
#include <cmocka.h>

#include <amqp.h>

#define READY_MS 60000
#define POLL_MS 2

enum backend bench_backend;

/* ---- the loop ---- */

static void on_poll(void *userdata)
{
    struct bench *b = userdata;

    if (b->condition && b->condition(b)) {
        b->is_met = true;
        loop_stop(b->loop);
        return;
    }
    loop_timer_start(&b->poll, POLL_MS);
}

static void on_deadline(void *userdata)
{
    struct bench *b = userdata;

    loop_stop(b->loop);
}

bool run_until(struct bench *b, bool (*condition)(struct bench *b), uint64_t timeout_ms)
{
    b->condition = condition;
    b->is_met = false;
    loop_timer_start(&b->poll, 0);
    loop_timer_start(&b->deadline, timeout_ms);
    loop_run(b->loop);
    loop_timer_stop(&b->poll);
    loop_timer_stop(&b->deadline);
    return b->is_met;
}

void run_for(struct bench *b, uint64_t duration_ms)
{
    (void)run_until(b, NULL, duration_ms);
}

/* ---- the broker ---- */

bool bench_has_broker(void)
{
    return getenv("WARREN_TEST_AMQP_URL") && getenv("WARREN_TEST_AMQP_MANAGEMENT_URL");
}

static void expand(char *out, size_t size, const char *pattern, const char *vhost)
{
    const char *at = strstr(pattern, "%s");

    if (at)
        (void)snprintf(out, size, "%.*s%s%s", (int)(at - pattern), pattern, vhost, at + 2);
    else
        (void)snprintf(out, size, "%s", pattern);
}

bool bench_manage(struct bench *b, const char *method, const char *path, const char *body)
{
    char expanded[256], url[512];
    int status = -1;
    pid_t child;

    expand(expanded, sizeof(expanded), path, b->vhost);
    (void)snprintf(url, sizeof(url), "%s/api/%s", getenv("WARREN_TEST_AMQP_MANAGEMENT_URL"), expanded);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        execlp("curl", "curl", "-sf", "-o", "/dev/null", "-m", "60", "-X", method, "-H",
               "content-type: application/json", "-d", body, url, (char *)NULL);
        _exit(127);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void open_vhost(struct bench *b)
{
    struct amqp_connection_info info;
    char *copy = strdup(getenv("WARREN_TEST_AMQP_URL"));
    char path[256], id[ID_TEXT_SIZE + 1];

    assert_non_null(copy);
    assert_int_equal(amqp_parse_url(copy, &info), AMQP_STATUS_OK);
    id_generate(id);
    (void)snprintf(b->vhost, sizeof(b->vhost), "test-%s", id);
    assert_true(bench_manage(b, "PUT", "vhosts/%s", "{}"));
    (void)snprintf(path, sizeof(path), "permissions/%%s/%s", info.user);
    assert_true(bench_manage(b, "PUT", path, "{\"configure\":\".*\",\"write\":\".*\",\"read\":\".*\"}"));
    b->proxy = proxy_new(info.host, info.port);
    assert_non_null(b->proxy);
    (void)snprintf(b->url, sizeof(b->url), "amqp://%s:%s@127.0.0.1:%d/%s", info.user, info.password,
                   proxy_port(b->proxy), b->vhost);
    b->url_item[0] = b->url;
    free(copy);
}

/* ---- nodes ---- */

static void copy_text(char *out, size_t size, struct slice s)
{
    (void)snprintf(out, size, "%.*s", SLICE_PRINTF(s));
}

static void hear(struct node *n, const struct bus_delivery *d, const struct message *m)
{
    struct heard *h = &n->heard[n->heard_count];

    assert_true(n->heard_count < HEARD_MAX);
    n->heard_count++;
    copy_text(h->channel, sizeof(h->channel), m->channel);
    copy_text(h->id, sizeof(h->id), m->id);
    copy_text(h->from, sizeof(h->from), m->from);
    copy_text(h->content_type, sizeof(h->content_type), m->content_type);
    copy_text(h->routing_key, sizeof(h->routing_key), d->routing_key);
    h->data_size = m->data.size;
    copy_text(h->data, sizeof(h->data), m->data);
    h->kind = m->kind;
    h->epoch = m->epoch;
    h->offset = m->offset;
    h->time_ms = m->time_ms;
    h->has_stable_id = m->has_stable_id;
    h->redelivered = d->redelivered;
}

static void done_with(struct node *n, struct bus_delivery *d)
{
    if (n->keeps_deliveries)
        list_append(&n->kept, &d->link);
    else
        bus_delivery_done(n->bus, d);
}

static void on_delivery(void *userdata, struct bus_delivery *d)
{
    struct node *n = userdata;
    struct bus_reader reader;
    struct message fields;
    int result;

    n->bodies++;
    bus_reader_init(&reader, d, 1024 * 1024);
    while ((result = bus_reader_next(&reader, NULL, NULL, &fields)) != BUS_BODY_END) {
        assert_true(result == 0 || result == BUS_E_POISON);
        if (result == 0)
            hear(n, d, &fields);
        else
            n->poison++;
    }
    bus_reader_deinit(&reader);
    done_with(n, d);
}

static void on_ingress(void *userdata, struct bus_delivery *d)
{
    struct node *n = userdata;

    n->ingress_bodies++;
    n->body_bytes = d->body->size;
    n->whole_bytes = d->whole_bytes;
    n->oversized += d->is_oversized;
    if (!d->is_oversized) {
        on_delivery(userdata, d);
        return;
    }
    n->bodies++;
    done_with(n, d);
}

static void on_state(void *userdata, const struct bus_status *status)
{
    struct node *n = userdata;

    n->status = *status;
    n->states_seen[status->state]++;
}

struct node *bench_node(struct bench *b)
{
    struct node *n = &b->nodes[b->node_count];
    static char prefix[] = "warren", no_management[] = "";

    assert_true(b->node_count < NODES_MAX);
    (void)snprintf(n->id, sizeof(n->id), "10.0.0.%zu:8091", ++b->node_count);
    n->bench = b;
    list_init(&n->kept);
    n->heard = calloc(HEARD_MAX, sizeof(*n->heard));
    assert_non_null(n->heard);
    n->config = (struct rabbitmq_config){
        .url = {.items = b->url_item, .count = 1},
        .management_url = no_management,
        .queue = RABBITMQ_QUEUE_EXCLUSIVE,
        .prefix = prefix,
        .heartbeat_ms = 10000,
        .prefetch = 50,
        .confirm_window = 16,
        .max_pending = 10000,
        .max_pending_bytes = 64 * 1024 * 1024,
        .publish_timeout_ms = 10000,
        .max_body_bytes = 100000,
        .queue_expires_ms = 60000,
        .queue_max_length = 100000,
        .ingress_prefetch = 50,
    };
    return n;
}

void node_start(struct node *n)
{
    struct bench *b = n->bench;
    int result;

    if (b->backend == BACKEND_RABBITMQ)
        result = rabbitmq_bus_new(b->loop, &n->config, n->id, b->metrics, &n->bus);
    else
        result = bus_local_new(b->loop, (size_t)n->config.max_pending, &n->bus);
    assert_int_equal(result, 0);
    n->bus->callbacks = (struct bus_callbacks){
        .on_delivery = on_delivery, .on_ingress = on_ingress, .on_state = on_state, .userdata = n};
    assert_int_equal(bus_start(n->bus), 0);
}

static void give_back(struct node *n)
{
    struct list *member;

    while ((member = list_pop(&n->kept)))
        bus_delivery_done(n->bus, container_of(member, struct bus_delivery, link));
}

void node_stop(struct node *n)
{
    uint64_t began = clock_monotonic_ms();

    if (!n->bus)
        return;
    bus_stop(n->bus);
    assert_true(clock_monotonic_ms() - began < 10000);
    give_back(n);
    n->bus = bus_free(n->bus);
}

static bool all_are_ready(struct bench *b)
{
    for (size_t i = 0; i < b->node_count; i++) {
        if (b->nodes[i].bus && b->nodes[i].status.state != BUS_STATE_READY)
            return false;
    }
    return true;
}

bool first_is_ready(struct bench *b)
{
    return b->nodes[0].status.state == BUS_STATE_READY;
}

static struct bus_status status_of_first(struct bench *b)
{
    struct bus_status status;

    bus_status(b->nodes[0].bus, &status);
    return status;
}

void expect_reconnects(struct bench *b, unsigned connections)
{
    b->reconnects_wanted = status_of_first(b).reconnects + connections;
}

bool first_is_ready_again(struct bench *b)
{
    struct bus_status status = status_of_first(b);

    return status.state == BUS_STATE_READY && status.reconnects >= b->reconnects_wanted;
}

unsigned long bench_metric(struct bench *b, const char *name)
{
    struct buffer page = {0};
    unsigned long sum = 0;
    char line[128];

    metrics_write_page(b->metrics, &page);
    (void)snprintf(line, sizeof(line), "\n%s ", name);
    assert_non_null(strstr(page.data, line));
    for (const char *at = page.data; (at = strstr(at, line)); at++)
        sum += strtoul(at + strlen(line), NULL, 10);
    buffer_deinit(&page);
    return sum;
}

void node_start_ready_all(struct bench *b)
{
    assert_true(run_until(b, all_are_ready, READY_MS));
}

void node_start_ready(struct node *n)
{
    node_start(n);
    node_start_ready_all(n->bench);
}

/* ---- publishing ---- */

static void on_done(struct bus_publication *p, int result)
{
    struct sent *s = container_of(p, struct sent, publication);

    assert_false(s->is_done);
    s->is_done = true;
    s->result = result;
    s->bench->done_count++;
    s->bench->failed_count += result != 0;
    p->message = message_unref(p->message);
}

int bench_publish(struct bench *b, struct node *n, const struct message *fields, enum bus_route route,
                  const char *const *nodes, size_t node_count)
{
    struct sent *s = &b->sent[b->sent_count];
    int result;

    assert_true(b->sent_count < SENT_MAX);
    *s = (struct sent){.bench = b};
    s->publication.message = message_copy(fields);
    assert_non_null(s->publication.message);
    s->publication.route = route;
    s->publication.nodes = nodes;
    s->publication.node_count = node_count;
    s->publication.done = on_done;
    result = bus_publish(n->bus, &s->publication);
    if (result == 0)
        b->sent_count++;
    else
        s->publication.message = message_unref(s->publication.message);
    return result;
}

int bench_publish_number_to(struct bench *b, struct node *n, const char *channel, size_t number,
                            const char *const *nodes, size_t node_count)
{
    char text[32];
    struct message fields = {
        .kind = MESSAGE_KIND_MESSAGE,
        .channel = slice_from(channel),
        .time_ms = 1760000000000,
        .content_type = CONTENT_TYPE_JSON,
    };

    (void)snprintf(text, sizeof(text), "%zu", number);
    fields.id = fields.data = slice_from(text);
    return bench_publish(b, n, &fields, node_count ? BUS_ROUTE_NODES : BUS_ROUTE_FANOUT, nodes, node_count);
}

int bench_publish_number(struct bench *b, struct node *n, const char *channel, size_t number)
{
    return bench_publish_number_to(b, n, channel, number, NULL, 0);
}

bool all_done(struct bench *b)
{
    return b->done_count == b->sent_count;
}

bool each_heard_wanted(struct bench *b)
{
    for (size_t i = 0; i < b->node_count; i++) {
        if (b->nodes[i].heard_count < b->nodes[i].wanted)
            return false;
    }
    return true;
}

bool heard_wanted(struct bench *b)
{
    return b->nodes[0].heard_count >= b->wanted;
}

/* ---- setup ---- */

int bench_setup(void **state)
{
    struct bench *b = calloc(1, sizeof(*b));

    assert_non_null(b);
    b->backend = bench_backend;
    assert_int_equal(loop_new("test", &b->loop), 0);
    loop_timer_init(&b->poll, b->loop, on_poll, b);
    loop_timer_init(&b->deadline, b->loop, on_deadline, b);
    b->metrics = metrics_new();
    b->sent = calloc(SENT_MAX, sizeof(*b->sent));
    assert_non_null(b->metrics);
    assert_non_null(b->sent);
    if (b->backend == BACKEND_RABBITMQ)
        open_vhost(b);
    *state = b;
    return 0;
}

int bench_teardown(void **state)
{
    struct bench *b = *state;

    if (b->proxy)
        proxy_freeze(b->proxy, false);
    for (size_t i = 0; i < b->node_count; i++) {
        node_stop(&b->nodes[i]);
        free(b->nodes[i].heard);
    }
    assert_int_equal(b->done_count, b->sent_count);
    if (b->backend == BACKEND_RABBITMQ)
        (void)bench_manage(b, "DELETE", "vhosts/%s", "{}");
    proxy_free(b->proxy);
    loop_timer_deinit(&b->poll);
    loop_timer_deinit(&b->deadline);
    b->loop = loop_free(b->loop);
    b->metrics = metrics_free(b->metrics);
    free(b->sent);
    free(b);
    return 0;
}
