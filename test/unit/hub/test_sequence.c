/* Sequenced channels: positions, gaps, joining with a position; test_sequence_model.c has all of it at once. */
#include "hub_remote.h"

#include <stdio.h>
#include <string.h>

static void set_bus(struct world *w, enum bus_state state)
{
    const struct bus_status status = {.state = state};

    w->bus.base.callbacks.on_state(w->bus.base.callbacks.userdata, &status);
}

/** Answers the oldest held read by hand: where the log is, and records of one epoch from @from to @to. */
static void answer_read(struct world *w, struct store_position last, uint64_t from, uint64_t to)
{
    struct store_log_read *r = w->store.held_reads[0];
    struct store_record records[16];
    char ids[16][32];
    struct buffer bodies[16] = {0};
    size_t count = 0;

    assert_true(w->store.held_read_count > 0);
    memmove(w->store.held_reads, w->store.held_reads + 1, --w->store.held_read_count * sizeof(w->store.held_reads[0]));
    for (uint64_t offset = from; offset <= to; offset++, count++) {
        struct message m;

        snprintf(ids[count], sizeof(ids[count]), "%d:%d", (int)last.epoch, (int)offset);
        m = world_remote_fields(ids[count]);
        bus_body_begin(&bodies[count], 1);
        bus_body_append(&bodies[count], &m);
        records[count] = (struct store_record){{last.epoch, offset}, buffer_slice(&bodies[count])};
    }
    r->done(r, 0, last, count ? records[0].position : (struct store_position){0}, records, count);
    for (size_t i = 0; i < count; i++)
        buffer_deinit(&bodies[i]);
}

static const struct hub_channel_state *room_of(const struct client *c)
{
    return &c->positions[2];
}

static void assert_message(const struct client *c, size_t index, const char *data, uint64_t epoch, uint64_t offset)
{
    assert_true(c->message_count > index);
    assert_string_equal(c->messages[index].data, data);
    assert_int_equal(c->messages[index].epoch, epoch);
    assert_int_equal(c->messages[index].offset, offset);
}

/* ---- sending ---- */

static void test_positions(void **state base_unused)
{
    struct client a, b;
    struct world w;
    uint64_t epoch;

    world_open_sequenced(&w);
    client_open(&a, &w, 0, "a", "42");
    client_open(&b, &w, 1, "b", "42");
    assert_true(room_of(&a)->epoch > 0);
    assert_int_equal(room_of(&a)->offset, 0);
    assert_false(room_of(&a)->recovered);
    assert_int_equal(client_send(&a, "42", "one", NULL), 0);
    world_settle(&w);
    assert_int_equal(a.last_result, 0);
    epoch = a.sent_epoch;
    assert_true(epoch > 0);
    assert_int_equal(a.sent_offset, 1);
    assert_int_equal(client_send(&b, "42", "two", NULL), 0);
    world_settle(&w);
    assert_int_equal(b.sent_offset, 2);
    assert_message(&a, 0, "one", epoch, 1);
    assert_message(&a, 1, "two", epoch, 2);
    assert_message(&b, 0, "one", epoch, 1);
    assert_message(&b, 1, "two", epoch, 2);
    assert_int_equal(a.message_count + b.message_count, 4);
    assert_int_equal(a.reset_count + b.reset_count, 0);
    client_close(&a);
    client_close(&b);
    world_close(&w);
}

static void test_a_key_has_one_position(void **state base_unused)
{
    struct client a;
    struct world w;
    char id[600];

    world_open_sequenced(&w);
    client_open(&a, &w, 0, "a", "42");
    assert_int_equal(client_send(&a, "42", "one", "k"), 0);
    world_settle(&w);
    strcpy(id, a.last_id);
    assert_int_equal(client_send(&a, "42", "two", NULL), 0);
    assert_int_equal(client_send(&a, "42", "one", "k"), 0);
    world_settle(&w);
    assert_int_equal(a.sent_offset, 1);
    assert_string_equal(a.last_id, id);
    assert_int_equal(a.message_count, 2);
    client_close(&a);
    world_close(&w);
}

static void test_ok_without_the_broker(void **state base_unused)
{
    struct client a;
    struct world w;

    world_open_sequenced(&w);
    client_open(&a, &w, 0, "a", "42");
    set_bus(&w, BUS_STATE_DOWN);
    w.bus.publish_result = BUS_E_UNAVAILABLE;
    assert_int_equal(client_send(&a, "42", "one", NULL), 0);
    world_settle(&w);
    assert_int_equal(a.last_result, 0);
    assert_int_equal(a.sent_offset, 1);
    assert_int_equal(a.message_count, 1);
    client_close(&a);
    world_close(&w);
}

static void test_a_full_bus_is_tried_again(void **state base_unused)
{
    struct client a;
    struct world w;

    world_open_sequenced(&w);
    client_open(&a, &w, 0, "a", "42");
    w.store.interested[w.store.interested_count++] = SLICE_LITERAL("10.0.0.2:8091"); /* or nothing would be published */
    w.bus.publish_result = BUS_E_BUSY;
    assert_int_equal(client_send(&a, "42", "one", NULL), 0);
    world_settle(&w);
    assert_int_equal(a.message_count, 1);
    assert_int_equal(a.answers, 1); /* that of the opening */
    w.bus.publish_result = 0;
    world_until(&w, a.answers == 2);
    assert_int_equal(a.last_result, 0);
    client_close(&a);
    world_close(&w);
}

static void test_store_away(void **state base_unused)
{
    struct client a, b;
    struct world w;
    struct store_position at;

    world_open_sequenced(&w);
    client_open(&a, &w, 0, "a", "42");
    world_store_set_away_for_long(&w);
    assert_int_equal(client_send(&a, "42", "refused", NULL), 0);
    world_settle(&w);
    assert_int_equal(a.last_result, HUB_E_UNAVAILABLE);
    client_open(&b, &w, 1, "b", "7");
    assert_int_equal(room_of(&b)->epoch, 0);
    world_store_set_away(&w, false);
    world_settle(&w);
    at = world_remote_append(&w, "back");
    world_remote_arrives(&w, "back", at);
    world_settle(&w);
    assert_message(&a, 0, "back", at.epoch, at.offset);
    assert_int_equal(client_send(&b, "7", "too", NULL), 0);
    world_settle(&w);
    assert_int_equal(b.last_result, 0);
    assert_message(&b, 0, "too", b.sent_epoch, b.sent_offset);
    client_close(&a);
    client_close(&b);
    world_close(&w);
}

/** A store that is lost for a moment costs those who come meanwhile the moment, and nothing that they missed. */
static void test_store_lost_for_a_moment(void **state base_unused)
{
    struct client a, b, c, d;
    struct store_position first, last;
    struct world w;

    world_open_sequenced(&w);
    first = world_remote_append(&w, "missed by all");
    (void)world_remote_append(&w, "one");
    last = world_remote_append(&w, "two");
    client_open(&a, &w, 0, "a", NULL);
    client_open(&b, &w, 1, "b", NULL);
    w.store.is_away = true; /* requests under way hear it first: of interest, */
    assert_int_equal(client_join_since(&a, "42", first.epoch, first.offset), 0);
    world_settle(&w);
    world_store_set_away(&w, true);
    client_open_begin(&c, &w, 0, "c", NULL); /* and who comes now */
    world_settle(&w);
    assert_int_equal(a.joined.offset, 0);
    assert_false(c.is_open);
    world_store_set_away(&w, false);
    world_settle(&w);
    assert_true(a.joined.recovered && a.joined.offset == last.offset);
    assert_message(&a, 0, "one", first.epoch, first.offset + 1);
    assert_message(&a, 1, "two", last.epoch, last.offset);
    assert_true(c.is_open);
    /* of the log; the node's ring reaches back to where it began to listen */
    w.store.is_away = true;
    assert_int_equal(client_join_since(&b, "42", first.epoch, 0), 0);
    world_settle(&w);
    world_store_set_away(&w, true);
    assert_int_equal(b.joined.offset, 0);
    world_store_set_away(&w, false);
    world_settle(&w);
    assert_true(b.joined.recovered && b.joined.offset == last.offset);
    assert_message(&b, 0, "missed by all", first.epoch, first.offset);
    assert_int_equal(b.message_count, 3);
    /* and with it away for long they go on without. */
    w.store.is_away = true;
    client_open_begin(&d, &w, 0, "d", "7");
    world_settle(&w);
    world_store_set_away(&w, true);
    world_until(&w, d.is_open);
    assert_int_equal(room_of(&d)->epoch, 0);
    client_close(&a);
    client_close(&b);
    client_close(&c);
    client_close(&d);
    world_close(&w);
}

static void test_a_refused_position_is_asked_for_again(void **state base_unused)
{
    struct client a;
    struct world w;

    world_open_sequenced(&w);
    w.store.is_away = true; /* and nobody is told */
    client_open_begin(&a, &w, 0, "a", "42");
    world_until(&w, a.is_open);
    w.store.is_away = false;
    assert_int_equal(room_of(&a)->epoch, 0);
    assert_int_equal(client_send(&a, "42", "one", NULL), 0);
    world_settle(&w);
    assert_int_equal(a.message_count, 0);
    world_sweep(&w);
    world_until(&w, a.message_count == 1);
    assert_message(&a, 0, "one", a.sent_epoch, 1);
    client_close(&a);
    world_close(&w);
}

static void test_who_joins_and_sends_hears_it(void **state base_unused)
{
    struct client a;
    struct world w;

    world_open_sequenced(&w);
    client_open(&a, &w, 0, "a", NULL);
    assert_int_equal(client_join(&a, "42", "join"), 0);
    assert_int_equal(client_send(&a, "42", "one", NULL), 0);
    world_settle(&w);
    assert_int_equal(a.joined.offset, 0);
    assert_int_equal(a.message_count, 1);
    assert_message(&a, 0, "one", a.sent_epoch, 1);
    client_close(&a);
    world_close(&w);
}

/* ---- gaps ---- */

static void test_a_straggler_is_waited_for(void **state base_unused)
{
    struct client a;
    struct world w;
    struct store_position at[4];
    size_t reads;

    world_open_sequenced(&w);
    client_open(&a, &w, 0, "a", "42");
    at[0] = world_remote_append(&w, "0");
    world_remote_arrives(&w, "0", at[0]);
    world_settle(&w);
    reads = w.store.log_reads;
    for (int i = 1; i < 4; i++)
        at[i] = world_remote_append(&w, (char[]){(char)('0' + i), 0});
    world_remote_arrives(&w, "3", at[3]);
    world_remote_arrives(&w, "2", at[2]);
    world_remote_arrives(&w, "1", at[1]);
    world_settle(&w);
    for (size_t i = 0; i < 4; i++)
        assert_message(&a, i, (char[]){(char)('0' + i), 0}, at[0].epoch, i + 1);
    world_pass(&w, 20);
    assert_int_equal(w.store.log_reads, reads);
    assert_int_equal(a.message_count, 4);
    client_close(&a);
    world_close(&w);
}

static void test_what_does_not_come_is_read(void **state base_unused)
{
    struct client a;
    struct world w;
    struct store_position at;

    world_open_sequenced(&w);
    client_open(&a, &w, 0, "a", "42");
    (void)world_remote_append(&w, "lost");
    at = world_remote_append(&w, "came");
    world_remote_arrives(&w, "came", at);
    world_until(&w, a.message_count == 2);
    assert_message(&a, 0, "lost", at.epoch, 1);
    assert_message(&a, 1, "came", at.epoch, 2);
    assert_int_equal(a.reset_count, 0);
    /* and a sweep brings what nothing came behind */
    (void)world_remote_append(&w, "last");
    world_pass(&w, 20);
    assert_int_equal(a.message_count, 2);
    world_sweep(&w);
    world_until(&w, a.message_count == 3);
    assert_message(&a, 2, "last", at.epoch, 3);
    client_close(&a);
    world_close(&w);
}

static void test_what_the_log_lost_is_given_up_aloud(void **state base_unused)
{
    struct client a;
    struct world w;
    struct store_position at;

    world_open_sequenced(&w);
    client_open(&a, &w, 0, "a", "42");
    at = world_remote_append(&w, "1");
    world_remote_arrives(&w, "1", at);
    world_settle(&w);
    w.store.holds_reads = true;
    world_remote_arrives(&w, "6", (struct store_position){at.epoch, 6});
    world_until(&w, w.store.held_read_count == 1);
    answer_read(&w, (struct store_position){at.epoch, 6}, 5, 6);
    world_settle(&w);
    assert_int_equal(a.reset_count, 1);
    assert_int_equal(a.reset_epoch, at.epoch);
    assert_int_equal(a.reset_offset, 4);
    assert_int_equal(a.message_count, 3);
    assert_int_equal(a.messages[1].offset, 5);
    assert_message(&a, 2, a.messages[2].data, at.epoch, 6);
    /* one that comes after all is heard once, out of its place */
    world_remote_arrives(&w, "late", (struct store_position){at.epoch, 3});
    world_remote_arrives(&w, "late", (struct store_position){at.epoch, 3});
    world_remote_arrives(&w, "1", at);
    world_settle(&w);
    assert_int_equal(a.message_count, 4);
    assert_message(&a, 3, "late", 0, 0);
    client_close(&a);
    world_close(&w);
}

static void test_a_new_epoch(void **state base_unused)
{
    struct client a;
    struct world w;
    struct store_position at;
    uint64_t next;

    world_open_sequenced(&w);
    client_open(&a, &w, 0, "a", "42");
    at = world_remote_append(&w, "1");
    world_remote_arrives(&w, "1", at);
    world_settle(&w);
    next = at.epoch + 5;
    w.store.holds_reads = true;
    world_remote_arrives(&w, "second", (struct store_position){next, 2});
    world_settle(&w);
    assert_int_equal(a.message_count, 1);
    answer_read(&w, (struct store_position){next, 2}, 1, 2);
    world_settle(&w);
    assert_int_equal(a.reset_count, 0); /* the store was there all the time */
    assert_int_equal(a.message_count, 3);
    assert_int_equal(a.messages[1].epoch, next);
    assert_int_equal(a.messages[1].offset, 1);
    assert_int_equal(a.messages[2].offset, 2);
    /* of the old one: what was heard is dropped, what is beyond its end has no place */
    world_remote_arrives(&w, "1", at);
    world_remote_arrives(&w, "beyond", (struct store_position){at.epoch, 2});
    world_settle(&w);
    assert_int_equal(a.message_count, 4);
    assert_message(&a, 3, "beyond", 0, 0);
    /* and one whose beginning is gone */
    world_remote_arrives(&w, "later", (struct store_position){next + 1, 4});
    world_settle(&w);
    answer_read(&w, (struct store_position){next + 1, 4}, 3, 4);
    world_settle(&w);
    assert_int_equal(a.reset_count, 1);
    assert_int_equal(a.reset_epoch, next + 1);
    assert_int_equal(a.reset_offset, 2);
    assert_int_equal(a.message_count, 6);
    client_close(&a);
    world_close(&w);
}

static void test_what_is_held_is_not_given_up(void **state base_unused)
{
    struct client a;
    struct world w;

    /* The first messages of a channel come faster than its log is read, and the log is short. */
    world_open_sequenced(&w);
    client_open(&a, &w, 0, "a", "42");
    w.store.holds_reads = true;
    for (uint64_t offset = 1; offset <= 9; offset++) {
        if (offset != 4)
            world_remote_arrives(&w, (char[]){(char)('0' + offset), 0},
                                 (struct store_position){UINT64_MAX / 2, offset});
    }
    world_settle(&w);
    answer_read(&w, (struct store_position){UINT64_MAX / 2, 9}, 8, 9);
    world_settle(&w);
    assert_int_equal(a.message_count, 8);
    assert_int_equal(a.reset_count, 1);
    assert_int_equal(a.reset_offset, 4);
    assert_int_equal(a.messages[2].offset, 3);
    assert_int_equal(a.messages[3].offset, 5);
    client_close(&a);
    world_close(&w);
}

static void test_the_log_decides_about_epochs(void **state base_unused)
{
    struct client a;
    struct world w;
    struct store_position at;

    world_open_sequenced(&w);
    client_open(&a, &w, 0, "a", "42");
    at = world_remote_append(&w, "1");
    world_remote_arrives(&w, "1", at);
    world_settle(&w);
    /* of a life that the log does not have, though its number is larger */
    world_remote_arrives(&w, "ghost", (struct store_position){at.epoch + 100, 1});
    world_settle(&w);
    assert_message(&a, 1, "ghost", 0, 0);
    world_remote_arrives(&w, "ghost", (struct store_position){at.epoch + 100, 1});
    world_settle(&w);
    at = world_remote_append(&w, "2");
    world_remote_arrives(&w, "2", at);
    world_settle(&w);
    assert_message(&a, 2, "2", at.epoch, 2);
    assert_int_equal(a.message_count, 3);
    client_close(&a);
    world_close(&w);
}

/* ---- joining with a position ---- */

static void test_since(void **state base_unused)
{
    struct client a, b;
    struct world w;
    uint64_t epoch;
    size_t reads;
    char text[16];

    world_open_sequenced(&w);
    client_open(&a, &w, 0, "a", "42");
    for (int i = 1; i <= 10; i++) {
        snprintf(text, sizeof(text), "%d", i);
        assert_int_equal(client_send(&a, "42", text, NULL), 0);
        world_settle(&w);
    }
    epoch = a.sent_epoch;
    client_open(&b, &w, 1, "b", NULL);
    /* from the ring */
    reads = w.store.log_reads;
    assert_int_equal(client_join_since(&b, "42", epoch, 7), 0);
    world_settle(&w);
    assert_true(b.joined.recovered);
    assert_int_equal(b.joined.offset, 10);
    assert_int_equal(b.message_count, 3);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(b.messages[i].offset, 8 + i);
    assert_int_equal(w.store.log_reads, reads);
    assert_int_equal(client_send(&a, "42", "live", NULL), 0);
    world_settle(&w);
    assert_message(&b, 3, "live", epoch, 11);
    client_close(&b);
    /* nothing missed */
    client_open(&b, &w, 1, "b", NULL);
    assert_int_equal(client_join_since(&b, "42", epoch, 11), 0);
    world_settle(&w);
    assert_true(b.joined.recovered);
    assert_int_equal(b.message_count, 0);
    client_close(&b);
    /* beyond the end, and of another life: told so, and given what there is */
    client_open(&b, &w, 1, "b", NULL);
    assert_int_equal(client_join_since(&b, "42", epoch, 90), 0);
    world_settle(&w);
    assert_false(b.joined.recovered);
    assert_int_equal(b.joined.offset, 11);
    assert_int_equal(b.message_count, 0);
    client_close(&b);
    client_open(&b, &w, 1, "b", NULL);
    assert_int_equal(client_join_since(&b, "42", epoch - 1, 4), 0);
    world_settle(&w);
    assert_false(b.joined.recovered);
    assert_int_equal(b.message_count, 11);
    client_close(&b);
    client_close(&a);
    /* nobody was here: from the log */
    world_settle(&w);
    client_open(&b, &w, 1, "b", NULL);
    assert_int_equal(client_join_since(&b, "42", epoch, 4), 0);
    world_settle(&w);
    assert_true(b.joined.recovered);
    assert_int_equal(b.joined.offset, 11);
    assert_int_equal(b.message_count, 7);
    for (size_t i = 0; i < 7; i++)
        assert_int_equal(b.messages[i].offset, 5 + i);
    client_close(&b);
    world_close(&w);
}

static void test_since_while_the_store_goes(void **state base_unused)
{
    struct client a;
    struct world w;

    world_open_sequenced(&w);
    client_open(&a, &w, 0, "a", NULL);
    w.store.holds_reads = true;
    for (int i = 0; i < 3; i++)
        (void)world_remote_append(&w, (char[]){(char)('0' + i), 0});
    assert_int_equal(client_join_since(&a, "42", 5, 5), 0);
    world_until(&w, w.store.held_read_count == 1);
    client_close(&a); /* the answer finds nobody */
    world_close(&w);
}

/* ---- memory ---- */

static void test_out_of_memory(void **state base_unused)
{
    /* Each allocation fails in turn while a message is sent and another one is read; the node stays, and what comes
     * later is whole again after a sweep. */
    bool is_over = false;

    for (size_t n = 0; !is_over; n++) {
        struct client a;
        struct world w;
        struct store_position at;

        world_open_sequenced(&w);
        client_open(&a, &w, 0, "a", "42");
        (void)world_remote_append(&w, "lost");
        at = world_remote_append(&w, "came");
        alloc_fail_after(n);
        (void)client_send(&a, "42", "sent", NULL);
        world_turn(w.hub_loop);
        is_over = !alloc_fail_disarm();
        world_remote_arrives(&w, "came", at);
        world_settle(&w);
        world_sweep(&w);
        world_pass(&w, 10);
        at = world_remote_append(&w, "end");
        world_remote_arrives(&w, "end", at);
        world_until(&w, client_count(&a, "end") == 1);
        assert_int_equal(client_count(&a, "came"), 1);
        client_close(&a);
        world_close(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_positions),
        cmocka_unit_test(test_a_key_has_one_position),
        cmocka_unit_test(test_ok_without_the_broker),
        cmocka_unit_test(test_a_full_bus_is_tried_again),
        cmocka_unit_test(test_store_away),
        cmocka_unit_test(test_store_lost_for_a_moment),
        cmocka_unit_test(test_a_refused_position_is_asked_for_again),
        cmocka_unit_test(test_who_joins_and_sends_hears_it),
        cmocka_unit_test(test_a_straggler_is_waited_for),
        cmocka_unit_test(test_what_does_not_come_is_read),
        cmocka_unit_test(test_what_the_log_lost_is_given_up_aloud),
        cmocka_unit_test(test_a_new_epoch),
        cmocka_unit_test(test_what_is_held_is_not_given_up),
        cmocka_unit_test(test_the_log_decides_about_epochs),
        cmocka_unit_test(test_since),
        cmocka_unit_test(test_since_while_the_store_goes),
        cmocka_unit_test(test_out_of_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
