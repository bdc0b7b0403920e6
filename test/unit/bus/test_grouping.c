/* Which publications travel together in one body, and that nothing overtakes what it must not (rabbitmq/body.c). */
#include "bus/body.h"
#include "bus/rabbitmq/rabbitmq_internal.h"
#include "support/prng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define NODES 4
#define SETS (1 << NODES)
#define CHANNELS 5
#define COUNT 4000

static const char *const names[NODES] = {"10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1", "10.0.0.4:1"};

struct item {
    struct bus_publication publication;
    struct message message;
    const char *nodes[NODES];
    char channel[16];
    char id[16];
    size_t number;
    unsigned set; /* a bit a node; 0: fanout */
};

struct line {
    struct item *items;
    size_t count;
    struct list queue, bodies;
    char data[1024];
};

static void line_init(struct line *l, size_t count)
{
    *l = (struct line){.items = calloc(count, sizeof(*l->items))};
    assert_non_null(l->items);
    list_init(&l->queue);
    list_init(&l->bodies);
}

/** Channel "room:@channel", to the nodes of @set, with @size bytes of data. */
static void line_add(struct line *l, size_t channel, unsigned set, size_t size)
{
    struct item *it = &l->items[l->count];

    (void)snprintf(it->channel, sizeof(it->channel), "room:%zu", channel);
    (void)snprintf(it->id, sizeof(it->id), "%zu", l->count);
    it->number = l->count++;
    it->set = set;
    it->message = (struct message){.kind = MESSAGE_KIND_MESSAGE,
                                   .channel = slice_from(it->channel),
                                   .id = slice_from(it->id),
                                   .content_type = CONTENT_TYPE_TEXT,
                                   .data = slice_make(l->data, size)};
    it->publication =
        (struct bus_publication){.message = &it->message, .route = set ? BUS_ROUTE_NODES : BUS_ROUTE_FANOUT};
    for (size_t i = 0; i < NODES; i++) {
        if (set & 1u << i)
            it->nodes[it->publication.node_count++] = names[i];
    }
    it->publication.nodes = it->nodes;
    list_init(&it->publication.link);
    list_append(&l->queue, &it->publication.link);
}

static const struct item *item_of(const struct list *link)
{
    return container_of(container_of(link, struct bus_publication, link), struct item, publication);
}

/** The numbers in the next body as text, "0 2 5"; the body is gone then. */
static const char *next_body(struct line *l, char text[600])
{
    struct list *member = list_pop(&l->bodies);
    struct rabbitmq_body *b;
    size_t at = 0;

    text[0] = '\0';
    if (!member)
        return text;
    b = container_of(member, struct rabbitmq_body, link);
    while ((member = list_pop(&b->publications)))
        at += (size_t)snprintf(text + at, 600 - at, at ? " %zu" : "%zu", item_of(member)->number);
    rabbitmq_body_free(b);
    return text;
}

static void line_deinit(struct line *l)
{
    char text[600];

    assert_string_equal(next_body(l, text), "");
    assert_true(list_is_empty(&l->queue));
    free(l->items);
}

static void test_one_route_is_one_body(base_unused void **state)
{
    struct line l;
    char text[600];

    line_init(&l, 4);
    assert_int_equal(rabbitmq_bodies_form(&l.queue, &l.bodies), 0);
    assert_true(list_is_empty(&l.bodies));
    for (size_t i = 0; i < 4; i++)
        line_add(&l, i, 0, 10);
    assert_int_equal(rabbitmq_bodies_form(&l.queue, &l.bodies), 0);
    assert_string_equal(next_body(&l, text), "0 1 2 3");
    line_deinit(&l);
}

static void test_routes_are_gathered(base_unused void **state)
{
    struct line l;
    char text[600];

    line_init(&l, 8);
    line_add(&l, 1, 1, 10);
    line_add(&l, 2, 2, 10);
    line_add(&l, 3, 1, 10);
    line_add(&l, 4, 6, 10); /* nearly the second one's nodes */
    line_add(&l, 5, 2, 10);
    line_add(&l, 1, 1, 10);
    line_add(&l, 6, 0, 10);
    line_add(&l, 7, 8, 10);
    assert_int_equal(rabbitmq_bodies_form(&l.queue, &l.bodies), 0);
    assert_string_equal(next_body(&l, text), "0 2 5");
    assert_string_equal(next_body(&l, text), "1 3 4");
    assert_string_equal(next_body(&l, text), "6");
    assert_string_equal(next_body(&l, text), "7");
    line_deinit(&l);
}

/** A channel whose nodes change stays in order: what would overtake begins a body of its own. */
static void test_a_channel_is_not_overtaken(base_unused void **state)
{
    struct line l;
    char text[600];

    line_init(&l, 8);
    line_add(&l, 1, 1, 10);
    line_add(&l, 1, 2, 10); /* it went to another node */
    line_add(&l, 1, 1, 10); /* and back */
    line_add(&l, 2, 2, 10);
    line_add(&l, 2, 0, 10); /* too many nodes: to all */
    line_add(&l, 3, 1, 10);
    line_add(&l, 2, 2, 10); /* not with 1 and 3, which left before 4 */
    line_add(&l, 4, 0, 10);
    assert_int_equal(rabbitmq_bodies_form(&l.queue, &l.bodies), 0);
    assert_string_equal(next_body(&l, text), "0");
    assert_string_equal(next_body(&l, text), "1 3");
    assert_string_equal(next_body(&l, text), "2 5");
    assert_string_equal(next_body(&l, text), "4 7");
    assert_string_equal(next_body(&l, text), "6");
    line_deinit(&l);
}

static void test_bodies_are_bounded(base_unused void **state)
{
    struct line l;
    char text[600];
    size_t bodies = 0;

    line_init(&l, 601);
    for (size_t i = 0; i < 600; i++)
        line_add(&l, i % 6, 1 + i % 2, 1000); /* about 30 fit */
    while (!list_is_empty(&l.queue)) {
        assert_int_equal(rabbitmq_bodies_form(&l.queue, &l.bodies), 0);
        while (!list_is_empty(&l.bodies)) {
            const struct rabbitmq_body *b = container_of(l.bodies.next, struct rabbitmq_body, link);

            assert_in_range(b->messages, 1, 32);
            assert_in_range(b->bound, 1, 32768);
            (void)next_body(&l, text);
            bodies++;
        }
    }
    assert_in_range(bodies, 600 / 31, 600 / 31 + 6);
    line_add(&l, 1, 1, 1000);
    l.items[l.count - 1].message.data = slice_make(l.data, 0);
    assert_int_equal(rabbitmq_bodies_form(&l.queue, &l.bodies), 0);
    assert_string_equal(next_body(&l, text), "600");
    line_deinit(&l);
}

/** However many sets of nodes there are, as far as they overlap, they are a few bodies. */
static void test_many_sets_are_few_bodies(base_unused void **state)
{
    struct line l;
    char text[600];
    size_t bodies = 0;

    line_init(&l, 120);
    for (size_t i = 0; i < 120; i++)
        line_add(&l, i, 1 + (unsigned)i % (SETS - 1), 10);
    assert_int_equal(rabbitmq_bodies_form(&l.queue, &l.bodies), 0);
    for (; !list_is_empty(&l.bodies); bodies++)
        (void)next_body(&l, text);
    assert_in_range(bodies, 1, NODES);
    line_deinit(&l);
}

/** What is larger than a body travels alone. */
static void test_a_large_one_travels(base_unused void **state)
{
    static char large[40000];
    struct line l;
    char text[600];

    line_init(&l, 3);
    for (size_t i = 0; i < 3; i++)
        line_add(&l, 1, 1, 10);
    l.items[1].message.data = slice_make(large, sizeof(large));
    for (const char *const *want = (const char *const[]){"0", "1", "2", NULL}; *want; want++) {
        assert_int_equal(rabbitmq_bodies_form(&l.queue, &l.bodies), 0);
        assert_string_equal(next_body(&l, text), *want);
    }
    line_deinit(&l);
}

/** What each node has heard last of a channel, and all nodes of what goes to all. */
struct world {
    long channel[NODES][CHANNELS];
    long to_all;
    bool is_out[COUNT];
    size_t out, skipped;
};

/** To the nodes of @set, a bit a node. */
static void deliver(struct world *w, const struct item *it, unsigned set)
{
    size_t channel = (size_t)(it->channel[5] - '0');

    assert_false(w->is_out[it->number]);
    w->is_out[it->number] = true;
    w->out++;
    if (!it->set) {
        assert_true(w->to_all < (long)it->number);
        w->to_all = (long)it->number;
    }
    for (size_t n = 0; n < NODES; n++) {
        if (set && !(set & 1u << n))
            continue;
        assert_true(w->channel[n][channel] < (long)it->number);
        w->channel[n][channel] = (long)it->number;
        w->skipped += it->set && !(it->set & 1u << n);
    }
}

/** The nodes of a body; 0: all. */
static unsigned nodes_of(const struct rabbitmq_body *b)
{
    const char *id = b->nodes.data;
    unsigned set = 0;

    assert_int_equal(b->route == BUS_ROUTE_FANOUT, b->node_count == 0);
    for (size_t i = 0; i < b->node_count; i++, id += strlen(id) + 1) {
        for (unsigned n = 0; n < NODES; n++) {
            if (strcmp(id, names[n]) == 0) {
                assert_true(set < 1u << n); /* ascending, each once */
                set |= 1u << n;
            }
        }
    }
    return set;
}

/** In random order of channels and nodes, taken while more arrives: every node hears what is for it, and each channel
 * in order; what goes to all keeps its order; and much travels together. */
static void test_random_traffic(base_unused void **state)
{
    struct prng random = {7};
    struct world w;
    struct line l;
    size_t bodies = 0;

    line_init(&l, COUNT);
    memset(&w, 0xff, sizeof(w));
    memset(w.is_out, 0, sizeof(w.is_out));
    w.out = w.skipped = 0;
    while (w.out < COUNT) {
        unsigned set[CHANNELS];

        for (size_t i = 0; i < CHANNELS; i++)
            set[i] = (unsigned)prng_below(&random, SETS);
        for (size_t i = prng_below(&random, 300); i > 0 && l.count < COUNT; i--) {
            size_t channel = prng_below(&random, CHANNELS);

            if (prng_below(&random, 40) == 0)
                set[channel] = (unsigned)prng_below(&random, SETS);
            line_add(&l, channel, set[channel], prng_below(&random, 400));
        }
        assert_int_equal(rabbitmq_bodies_form(&l.queue, &l.bodies), 0);
        for (struct list *it; (it = list_pop(&l.bodies)); bodies++) {
            struct rabbitmq_body *b = container_of(it, struct rabbitmq_body, link);
            unsigned to = nodes_of(b);

            for (struct list *member; (member = list_pop(&b->publications));) {
                assert_int_equal(item_of(member)->set & ~to, 0);
                assert_int_equal(item_of(member)->set == 0, to == 0);
                deliver(&w, item_of(member), to);
            }
            rabbitmq_body_free(b);
        }
    }
    assert_in_range(bodies, 1, COUNT / 12);
    assert_in_range(w.skipped, 1, COUNT * NODES / 2);
    line_deinit(&l);
}

static void test_encoding(base_unused void **state)
{
    struct line l;
    struct rabbitmq_body *b;

    line_init(&l, 4);
    line_add(&l, 1, 7, 10);
    line_add(&l, 2, 7, 10);
    line_add(&l, 3, 0, 10);
    line_add(&l, 3, 0, 10);
    assert_int_equal(rabbitmq_bodies_form(&l.queue, &l.bodies), 0);
    b = container_of(list_pop(&l.bodies), struct rabbitmq_body, link);
    list_remove(b->publications.next); /* nobody waits for the first any more */
    assert_int_equal(rabbitmq_body_encode(b), 0);
    assert_int_equal(b->messages, 1);
    assert_string_equal(b->routing_key, names[0]);
    assert_int_equal(b->node_count, 3);
    assert_memory_equal(b->nodes.data, "10.0.0.1:1\00010.0.0.2:1\00010.0.0.3:1", 33);
    assert_int_equal((unsigned char)b->bytes.data[0], 0x91); /* an array of one */
    list_init(&b->publications);
    rabbitmq_body_free(b);
    b = container_of(list_pop(&l.bodies), struct rabbitmq_body, link);
    assert_int_equal(rabbitmq_body_encode(b), 0);
    assert_string_equal(b->routing_key, "room:3");
    assert_int_equal(b->node_count, 0);
    list_init(&b->publications);
    rabbitmq_body_free(b);
    line_deinit(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_route_is_one_body),
        cmocka_unit_test(test_routes_are_gathered),
        cmocka_unit_test(test_a_channel_is_not_overtaken),
        cmocka_unit_test(test_bodies_are_bounded),
        cmocka_unit_test(test_many_sets_are_few_bodies),
        cmocka_unit_test(test_a_large_one_travels),
        cmocka_unit_test(test_random_traffic),
        cmocka_unit_test(test_encoding),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
