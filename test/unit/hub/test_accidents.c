/*
 * Sequenced channels under two accidents at once, each the way that the model in test/model found (in capitals: its
 * name there). The log is the test's: it says where the channel stands, and answers each read by hand.
 */
#include "hub_world.h"

#include <stdio.h>
#include <string.h>

#define ROOM "room:42"
#define PAGE_MAX 320
/** Two epochs. */
#define OLD 1000u
#define NEW 2000u

static struct store_position at(uint64_t epoch, uint64_t offset)
{
    return (struct store_position){epoch, offset};
}

static struct message message_at(struct store_position position, const char *channel, char text[32])
{
    snprintf(text, 32, "%d:%d", (int)position.epoch, (int)position.offset);
    return (struct message){
        .kind = MESSAGE_KIND_MESSAGE,
        .channel = slice_from(channel),
        .id = slice_from(text),
        .time_ms = 1,
        .content_type = CONTENT_TYPE_TEXT,
        .data = slice_from(text),
        .epoch = position.epoch,
        .offset = position.offset,
    };
}

/** A publication of another node arrives; its data and id are "<epoch>:<offset>". */
static void arrives(struct world *w, uint64_t epoch, uint64_t from, uint64_t to)
{
    for (uint64_t offset = from; offset <= to; offset++) {
        char text[32];
        struct message m = message_at(at(epoch, offset), ROOM, text);
        base_cleanup(buffer_deinit)
        struct buffer body = {0};

        bus_body_begin(&body, 1);
        bus_body_append(&body, &m);
        assert_int_equal(buffer_error(&body), 0);
        world_deliver(w, BUS_CONTENT_TYPE, body.data, body.size);
    }
    world_settle(w);
}

/** A page of the log, in making. */
struct page {
    struct store_record records[PAGE_MAX];
    struct buffer bodies[PAGE_MAX];
    size_t count;
};

static void page_add(struct page *p, const char *channel, uint64_t epoch, uint64_t from, uint64_t to)
{
    for (uint64_t offset = from; offset <= to; offset++, p->count++) {
        char text[32];
        struct message m = message_at(at(epoch, offset), channel, text);

        assert_true(p->count < PAGE_MAX);
        bus_body_begin(&p->bodies[p->count], 1);
        bus_body_append(&p->bodies[p->count], &m);
        p->records[p->count] = (struct store_record){at(epoch, offset), buffer_slice(&p->bodies[p->count])};
    }
}

/** The answer to the only read that is under way: @p, and that the log ends at @last. */
static void answer(struct world *w, struct page *p, struct store_position last)
{
    struct store_log_read *r = w->store.held_reads[0];

    assert_int_equal(w->store.held_read_count, 1);
    w->store.held_read_count = 0;
    r->done(r, 0, last, p->count ? p->records[0].position : last, p->records, p->count);
    for (size_t i = 0; i < p->count; i++)
        buffer_deinit(&p->bodies[i]);
    *p = (struct page){0};
    world_settle(w);
}

/** The same with one epoch's records @from to @to. */
static void answer_with(struct world *w, uint64_t epoch, uint64_t from, uint64_t to, struct store_position last)
{
    static struct page p;

    page_add(&p, ROOM, epoch, from, to);
    answer(w, &p, last);
}

static void assert_read_from(struct world *w, struct store_position after)
{
    assert_int_equal(w->store.held_read_count, 1);
    assert_int_equal(w->store.held_reads[0]->after.epoch, after.epoch);
    assert_int_equal(w->store.held_reads[0]->after.offset, after.offset);
}

static void assert_got(const struct client *c, size_t index, uint64_t epoch, uint64_t offset)
{
    assert_true(c->message_count > index);
    assert_int_equal(c->messages[index].epoch, epoch);
    assert_int_equal(c->messages[index].offset, offset);
}

/** The channel stands at @stand when its first listener comes. */
static void open_world(struct world *w, const char *channel, struct store_position stand)
{
    world_init(w);
    w->is_sequenced = true;
    w->config.online_interval_ms = 600000;
    w->store.stands = channel;
    w->store.stand = stand;
    w->store.holds_reads = true;
    world_open(w);
}

/** The store goes and comes back, as another process if @is_another. */
static void restart_store(struct world *w, bool is_another)
{
    world_store_set_away(w, true);
    world_settle(w);
    w->store.life += is_another;
    world_store_set_away(w, false);
    world_settle(w);
}

/* ---- the store came back with less ---- */

/** SUSPECT_CLEARED: that its log stands where this node stands does not show that nothing was behind that. */
static void test_another_life_is_suspect(void **state base_unused)
{
    struct client a;
    struct world w;

    open_world(&w, ROOM, at(OLD, 1));
    client_open(&a, &w, 0, "a", "42");
    restart_store(&w, true);
    arrives(&w, NEW, 1, 1);
    answer_with(&w, NEW, 1, 1, at(NEW, 1));
    assert_int_equal(a.reset_count, 1);
    assert_int_equal(a.reset_epoch, NEW);
    assert_int_equal(a.reset_offset, 0);
    assert_int_equal(a.message_count, 1);
    assert_got(&a, 0, NEW, 1);
    client_close(&a);
    world_close(&w);
}

/** EMPTY_TRUSTED: nor if this node had nothing of the old epoch. */
static void test_an_empty_channel_is_suspect_too(void **state base_unused)
{
    struct client a;
    struct world w;

    open_world(&w, ROOM, at(OLD, 0));
    client_open(&a, &w, 0, "a", "42");
    restart_store(&w, true);
    arrives(&w, NEW, 1, 1);
    answer_with(&w, NEW, 1, 1, at(NEW, 1));
    assert_int_equal(a.reset_count, 1);
    assert_int_equal(a.message_count, 1);
    client_close(&a);
    world_close(&w);
}

static void test_a_lost_connection_is_not(void **state base_unused)
{
    struct client a;
    struct world w;

    open_world(&w, ROOM, at(OLD, 0));
    client_open(&a, &w, 0, "a", "42");
    restart_store(&w, false);
    arrives(&w, NEW, 1, 1);
    answer_with(&w, NEW, 1, 1, at(NEW, 1));
    assert_int_equal(a.reset_count, 0);
    assert_int_equal(a.message_count, 1);
    client_close(&a);
    world_close(&w);
}

/** REST_SKIPPED: what the log still has of the old epoch comes before the new one. */
static void test_the_rest_of_an_epoch_is_delivered(void **state base_unused)
{
    static struct page p;
    struct client a;
    struct world w;

    open_world(&w, ROOM, at(OLD, 1));
    client_open(&a, &w, 0, "a", "42");
    arrives(&w, NEW, 2, 2);
    arrives(&w, OLD, 5, 5); /* the broker had it, the log had not: it has lost its place, and not its listeners */
    page_add(&p, ROOM, OLD, 2, 3);
    page_add(&p, ROOM, NEW, 1, 2);
    answer(&w, &p, at(NEW, 2));
    assert_int_equal(a.message_count, 5);
    assert_got(&a, 0, OLD, 2);
    assert_got(&a, 1, OLD, 3);
    assert_int_equal(a.messages[2].epoch, 0);
    assert_string_equal(a.messages[2].data, "1000:5");
    assert_got(&a, 3, NEW, 1);
    assert_got(&a, 4, NEW, 2);
    assert_int_equal(a.reset_count, 0);
    client_close(&a);
    world_close(&w);
}

/** STALE_POSITION: a channel whose log has ended begins anew; who missed its rest gets that, and is told. */
static void test_the_rest_of_an_ended_log_is_caught_up(void **state base_unused)
{
    struct client a, b;
    struct world w;

    open_world(&w, ROOM, at(NEW, 0));
    w.store.has_rest = true;
    client_open(&a, &w, 0, "a", NULL);
    assert_int_equal(client_join_since(&a, "42", OLD, 3), 0);
    world_settle(&w);
    assert_read_from(&w, at(OLD, 3));
    answer_with(&w, OLD, 4, 5, at(OLD, 8)); /* a page */
    assert_read_from(&w, at(OLD, 5));
    answer_with(&w, OLD, 6, 8, at(OLD, 8));
    answer_with(&w, OLD, 1, 0, at(OLD, 8)); /* nothing: that was all */
    assert_false(a.joined.recovered);
    assert_int_equal(a.joined.epoch, NEW);
    assert_int_equal(a.joined.offset, 0);
    assert_int_equal(a.message_count, 5);
    for (uint64_t i = 0; i < 5; i++)
        assert_got(&a, i, OLD, 4 + i);
    /* and who was not away has missed nothing */
    client_open(&b, &w, 1, "b", "42");
    assert_int_equal(b.message_count, 0);
    client_close(&a);
    client_close(&b);
    world_close(&w);
}

/** Nothing of an inbox is forgotten when its log has ended before anybody took it. */
static void test_the_rest_of_an_inbox(void **state base_unused)
{
    static struct page p;
    struct client a;
    struct world w;

    open_world(&w, "user:a", at(NEW, 0));
    w.store.has_rest = true;
    client_open_begin(&a, &w, 0, "a", NULL);
    world_settle(&w);
    assert_read_from(&w, at(0, 0));
    page_add(&p, "user:a", OLD, 1, 2);
    answer(&w, &p, at(OLD, 2));
    answer(&w, &p, at(OLD, 2));
    assert_true(a.is_open);
    assert_int_equal(a.positions[0].epoch, NEW);
    assert_int_equal(a.message_count, 2);
    assert_got(&a, 0, OLD, 1);
    client_close(&a);
    world_close(&w);
}

/** BEGINNING_IGNORED: what is of an epoch before the node's first position was had, or told, elsewhere. */
static void test_what_was_before_the_beginning_is_old(void **state base_unused)
{
    struct client a;
    struct world w;

    open_world(&w, ROOM, at(NEW, 1));
    client_open(&a, &w, 0, "a", "42");
    arrives(&w, OLD, 5, 5);
    answer_with(&w, NEW, 1, 0, at(NEW, 1));
    assert_int_equal(a.message_count, 0);
    /* but one of a life that was lost again is for all */
    arrives(&w, NEW + 5, 1, 1);
    answer_with(&w, NEW, 1, 0, at(NEW, 1));
    assert_int_equal(a.message_count, 1);
    assert_got(&a, 0, 0, 0);
    client_close(&a);
    world_close(&w);
}

/** Whoever joined without a position had no beginning: nothing is taken for old. */
static void test_who_had_no_beginning(void **state base_unused)
{
    struct client a;
    struct world w;

    open_world(&w, ROOM, at(NEW, 1));
    world_store_set_away_for_long(&w);
    client_open(&a, &w, 0, "a", "42");
    arrives(&w, OLD, 5, 5);
    assert_int_equal(a.message_count, 0);
    world_store_set_away(&w, false);
    world_settle(&w);
    answer_with(&w, NEW, 1, 0, at(NEW, 1));
    assert_int_equal(a.message_count, 1);
    assert_string_equal(a.messages[0].data, "1000:5");
    client_close(&a);
    world_close(&w);
}

/* ---- joins and the reads that they share ---- */

/** FIRST_PAGE_DECIDES: a node may be more than a page behind who comes from elsewhere. */
static void test_the_last_page_decides(void **state base_unused)
{
    struct client a, b;
    struct world w;

    open_world(&w, ROOM, at(OLD, 1));
    client_open(&a, &w, 0, "a", "42");
    client_open(&b, &w, 1, "b", NULL);
    assert_int_equal(client_join_since(&b, "42", OLD, 6), 0);
    world_settle(&w);
    answer_with(&w, OLD, 2, 4, at(OLD, 8));
    answer_with(&w, OLD, 5, 8, at(OLD, 8));
    assert_true(b.joined.recovered);
    assert_int_equal(b.joined.offset, 8);
    assert_int_equal(b.message_count, 2);
    assert_got(&b, 0, OLD, 7);
    assert_int_equal(a.message_count, 7);
    client_close(&a);
    client_close(&b);
    world_close(&w);
}

/** SHARED_PAGE_DECIDES: a page may be full of what another one missed. And who comes meanwhile, from further back, does
 * not hold up those who have waited for a page. */
static void test_a_shared_page_does_not_decide(void **state base_unused)
{
    struct client a, near, far, last;
    struct world w;

    open_world(&w, ROOM, at(OLD, 0));
    client_open(&a, &w, 0, "a", "42");
    arrives(&w, OLD, 1, 100);
    client_open(&far, &w, 0, "far", NULL);
    client_open(&near, &w, 1, "near", NULL);
    client_open(&last, &w, 1, "last", NULL);
    assert_int_equal(client_join_since(&far, "42", OLD, 5), 0);
    world_settle(&w);
    assert_int_equal(client_join_since(&near, "42", OLD, 20), 0);
    world_settle(&w);
    answer_with(&w, OLD, 6, 8, at(OLD, 100)); /* asked for by one alone */
    assert_read_from(&w, at(OLD, 8));
    assert_int_equal(client_join_since(&last, "42", OLD, 2), 0);
    world_settle(&w);
    answer_with(&w, OLD, 9, 12, at(OLD, 100));
    assert_read_from(&w, at(OLD, 12));
    answer_with(&w, OLD, 13, 60, at(OLD, 100));
    assert_true(far.joined.recovered);
    assert_int_equal(far.message_count, 95);
    assert_read_from(&w, at(OLD, 2));
    answer_with(&w, OLD, 3, 15, at(OLD, 100));
    answer_with(&w, OLD, 16, 60, at(OLD, 100));
    assert_true(near.joined.recovered);
    assert_int_equal(near.message_count, 80);
    assert_true(last.joined.recovered);
    assert_int_equal(last.message_count, 98);
    client_close(&a);
    client_close(&far);
    client_close(&near);
    client_close(&last);
    world_close(&w);
}

/** OLD_READ_DECIDES: a read that was sent for what the node lacked does not say what is gone, once it has gone on. */
static void test_an_old_read_does_not_decide(void **state base_unused)
{
    struct client a, b;
    struct world w;

    open_world(&w, ROOM, at(OLD, 0));
    client_open(&a, &w, 0, "a", "42");
    arrives(&w, OLD, 1, 1);
    client_open(&b, &w, 1, "b", NULL);
    assert_int_equal(client_join_since(&b, "42", OLD, 3), 0);
    world_settle(&w);
    arrives(&w, OLD, 2, 100); /* beyond the ring */
    answer_with(&w, OLD, 2, 3, at(OLD, 3));
    assert_read_from(&w, at(OLD, 3));
    answer_with(&w, OLD, 4, 100, at(OLD, 100));
    assert_true(b.joined.recovered);
    assert_int_equal(b.joined.offset, 100);
    assert_int_equal(b.message_count, 97);
    client_close(&a);
    client_close(&b);
    world_close(&w);
}

/** What was read for one that comes back serves the others: the log of a room is read once, not once a client. */
static void test_a_read_serves_who_comes_after(void **state base_unused)
{
    struct client a, b, c;
    struct world w;

    open_world(&w, ROOM, at(OLD, 9));
    client_open(&a, &w, 0, "a", NULL);
    client_open(&b, &w, 1, "b", NULL);
    client_open(&c, &w, 1, "c", NULL);
    assert_int_equal(client_join_since(&a, "42", OLD, 4), 0);
    world_settle(&w);
    answer_with(&w, OLD, 5, 9, at(OLD, 9));
    assert_true(a.joined.recovered);
    assert_int_equal(a.message_count, 5);
    assert_int_equal(client_join_since(&b, "42", OLD, 4), 0);
    world_settle(&w);
    assert_int_equal(w.store.held_read_count, 0);
    assert_true(b.joined.recovered);
    assert_int_equal(b.message_count, 5);
    arrives(&w, OLD, 10, 10);
    assert_int_equal(client_join_since(&c, "42", OLD, 2), 0); /* further back */
    world_settle(&w);
    assert_read_from(&w, at(OLD, 2));
    answer_with(&w, OLD, 3, 10, at(OLD, 10));
    assert_int_equal(c.message_count, 8);
    for (uint64_t i = 0; i < 8; i++)
        assert_got(&c, i, OLD, 3 + i);
    assert_int_equal(a.message_count + b.message_count, 12);
    client_close(&a);
    client_close(&b);
    client_close(&c);
    world_close(&w);
}

/** What is left of a log that was trimmed begins behind a gap, and its first message counts. */
static void test_what_is_left_is_given_whole(void **state base_unused)
{
    struct client a;
    struct world w;

    open_world(&w, ROOM, at(OLD, 7));
    client_open(&a, &w, 0, "a", NULL);
    assert_int_equal(client_join_since(&a, "42", OLD, 2), 0);
    world_settle(&w);
    answer_with(&w, OLD, 5, 7, at(OLD, 7));
    assert_false(a.joined.recovered);
    assert_int_equal(a.message_count, 3);
    assert_got(&a, 0, OLD, 5);
    client_close(&a);
    world_close(&w);
}

/* ---- more than can be held ---- */

static void test_what_was_not_held_is_read(void **state base_unused)
{
    struct client a;
    struct world w;

    open_world(&w, ROOM, at(OLD, 1));
    client_open(&a, &w, 0, "a", "42");
    arrives(&w, OLD, 3, 3);
    world_until(&w, w.store.held_read_count == 1);
    arrives(&w, OLD, 4, 300); /* more than is held, after the read was sent */
    answer_with(&w, OLD, 2, 3, at(OLD, 3));
    assert_true(a.message_count < 299);
    assert_read_from(&w, at(OLD, 1 + a.message_count));
    answer_with(&w, OLD, 2 + a.message_count, 300, at(OLD, 300));
    assert_int_equal(a.message_count, 299);
    assert_int_equal(a.reset_count, 0);
    client_close(&a);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_another_life_is_suspect),
        cmocka_unit_test(test_an_empty_channel_is_suspect_too),
        cmocka_unit_test(test_a_lost_connection_is_not),
        cmocka_unit_test(test_the_rest_of_an_epoch_is_delivered),
        cmocka_unit_test(test_the_rest_of_an_ended_log_is_caught_up),
        cmocka_unit_test(test_the_rest_of_an_inbox),
        cmocka_unit_test(test_what_was_before_the_beginning_is_old),
        cmocka_unit_test(test_who_had_no_beginning),
        cmocka_unit_test(test_the_last_page_decides),
        cmocka_unit_test(test_a_shared_page_does_not_decide),
        cmocka_unit_test(test_an_old_read_does_not_decide),
        cmocka_unit_test(test_a_read_serves_who_comes_after),
        cmocka_unit_test(test_what_is_left_is_given_whole),
        cmocka_unit_test(test_what_was_not_held_is_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
