/* The WebSocket client: messages and ends. */
#include "socket_fixture.h"

/* ---- messages ---- */

static void test_fragments(void **state base_unused)
{
    struct server s = {FRAMES("\x01\x03"
                              "abc"
                              "\x89\x02hi" /* between fragments, section 5.4 */
                              "\x00\x02"
                              "de"
                              "\x80\x01"
                              "f"
                              "\x81\x00" CLOSE_1000)};
    struct user u = {0};

    converse(&s, &u);
    assert_string_equal(messages_of(&u), "abcdef||");
    expect_frame(&s, 0, 10, SLICE_LITERAL("hi"));
    user_end(&u);
}

static void test_ping_is_answered_with_its_payload(void **state base_unused)
{
    struct server s = {FRAMES("\x89\x00\x89\x04ping\x8a\x03xyz" CLOSE_1000)};
    struct user u = {0};
    size_t next;

    converse(&s, &u);
    assert_int_equal(u.count, 0);
    assert_int_equal(u.pinged, 2);
    next = expect_frame(&s, 0, 10, SLICE_LITERAL(""));
    next = expect_frame(&s, next, 10, SLICE_LITERAL("ping"));
    assert_int_equal(expect_frame(&s, next, 8, SLICE_LITERAL("\x03\xe8")), s.got_size);
    user_end(&u);
}

static void test_fragments_out(void **state base_unused)
{
    struct server s = {FRAMES(CLOSE_1000)};
    struct user u = {.sends_fragments = true};
    size_t next;

    converse(&s, &u);
    next = expect_fragment(&s, 0, 0x01, SLICE_LITERAL("ab"));
    next = expect_fragment(&s, next, 0x89, SLICE_LITERAL("?"));
    next = expect_fragment(&s, next, 0x00, SLICE_LITERAL(""));
    next = expect_fragment(&s, next, 0x80, SLICE_LITERAL("c"));
    expect_frame(&s, next, 8, SLICE_LITERAL("\x03\xe8"));
    user_end(&u);
}

static void test_servers_that_break_rules(void **state base_unused)
{
    static const struct {
        const char *frames;
        size_t size;
        unsigned code;
    } rows[] = {
        {"\x81\x85mask\x05\x04\x1f\x07\x02", 11, 1002}, /* masked */
        {"\x91\x00", 2, 1002},                          /* RSV */
        {"\x83\x00", 2, 1002},                          /* opcode */
        {"\x80\x00", 2, 1002},                          /* nothing to continue */
        {"\x81\x01\xff", 3, 1007},                      /* UTF-8 */
        {"\x82\x7e\x00\x80", 4, 1009},                  /* 128 bytes where 100 are allowed */
    };

    for (size_t i = 0; i < BASE_ARRAY_SIZE(rows); i++) {
        struct server s = {.frames = rows[i].frames, .frames_size = rows[i].size};
        struct user u = {0};

        converse_with(&s, &u, (struct client_socket_options){.max_message_bytes = 100});
        assert_int_equal(u.opened, 1);
        assert_int_equal(u.count, 0);
        assert_int_equal(u.code, WS_CLOSE_ABNORMAL); /* the peer gave none */
        assert_true(u.text[0]);
        assert_int_equal(s.got[0], 0x88);
        assert_int_equal((s.got[6] ^ s.got[2]) << 8 | (s.got[7] ^ s.got[3]), rows[i].code);
        user_end(&u);
    }
}

/* ---- ends ---- */

static void test_close_with_reason(void **state base_unused)
{
    struct server s = {FRAMES("\x88\x0a\x10\x04"
                              "draining"
                              "\x81\x01x")};
    struct user u = {0};

    converse(&s, &u);
    assert_int_equal(u.code, 4100);
    assert_string_equal(u.text, "draining");
    assert_int_equal(u.count, 0); /* nothing behind a close frame */
    assert_int_equal(expect_frame(&s, 0, 8, SLICE_LITERAL("\x10\x04")), s.got_size);
    user_end(&u);
}

static void test_close_without_code(void **state base_unused)
{
    struct server s = {FRAMES("\x88\x00")};
    struct user u = {0};

    converse(&s, &u);
    assert_int_equal(u.code, WS_CLOSE_NO_STATUS);
    assert_int_equal(expect_frame(&s, 0, 8, SLICE_LITERAL("")), s.got_size);
    user_end(&u);
}

/* The client closes; what is still under way arrives, until the peer's close frame. */
static void test_close_by_the_client(void **state base_unused)
{
    struct server s = {FRAMES("\x81\x01"
                              "a"
                              "\x81\x01"
                              "b" CLOSE_1000)};
    struct user u = {.closes_at = 1};

    converse(&s, &u);
    assert_string_equal(messages_of(&u), "a|b|");
    assert_int_equal(u.code, 1000);
    assert_int_equal(expect_frame(&s, 0, 8, SLICE_LITERAL("\x03\xe8")), s.got_size); /* one, not two */
    user_end(&u);
}

static void test_close_that_the_peer_ends_without_answer(void **state base_unused)
{
    struct server s = {.ends = true, .waits = true};
    struct user u = {.closes_at_open = true};

    converse(&s, &u);
    assert_int_equal(u.opened, 1);
    assert_int_equal(u.code, WS_CLOSE_ABNORMAL);
    expect_frame(&s, 0, 8, SLICE_LITERAL("\x03\xe8"));
    user_end(&u);
}

static void test_end_without_close(void **state base_unused)
{
    struct server s = {.ends = true, FRAMES("\x81\x05hel")};
    struct user u = {0};

    converse(&s, &u);
    assert_int_equal(u.opened, 1);
    assert_int_equal(u.count, 0);
    assert_int_equal(u.code, WS_CLOSE_ABNORMAL);
    assert_string_equal(u.text, "eof");
    user_end(&u);
}

static void test_abort_from_inside(void **state base_unused)
{
    struct server s = {FRAMES("\x81\x01x")};
    struct user u = {.aborts_at_open = true};

    converse(&s, &u);
    assert_int_equal(u.opened, 1);
    assert_int_equal(u.count, 0);
    assert_int_equal(u.code, WS_CLOSE_ABNORMAL);
    assert_string_equal(u.text, "aborted");
    user_end(&u);
}

static void test_close_before_it_is_open(void **state base_unused)
{
    struct server s = {.response = ""};
    struct user u = {0};
    const char *error;
    char url[64];

    server_start(&s);
    user_begin(&u);
    (void)snprintf(url, sizeof(url), "ws://127.0.0.1:%u/", s.port);
    assert_int_equal(client_socket_new(u.net, &(struct client_socket_options){.url = url}, &ops, &u, &error, &u.socket),
                     0);
    assert_int_equal(client_socket_send(u.socket, WS_OPCODE_TEXT, SLICE_LITERAL("x")), -ENOTCONN);
    client_socket_close(u.socket, 1000);
    assert_int_equal(u.closed, 0); /* never from inside */
    loop_run(u.loop);
    assert_int_equal(u.closed, 1);
    assert_int_equal(u.opened, 0);
    server_join(&s);
    user_end(&u);
}

/* Each of the client's allocations fails in turn: one socket ends, nothing leaks. */
static void test_out_of_memory(void **state base_unused)
{
    unsigned began = 0;

    for (size_t n = 0;; n++) {
        struct server s = {FRAMES("\x01\x01"
                                  "a"
                                  "\x80\x01"
                                  "b" CLOSE_1000)};
        struct user u = {0};
        const struct client_socket_options options = {.subprotocol = "p"};
        struct client_socket_options with_url = options;
        const char *error = NULL;
        bool was_refused;
        char url[64];
        int result;

        server_start(&s);
        user_begin(&u);
        (void)snprintf(url, sizeof(url), "ws://127.0.0.1:%u/", s.port);
        with_url.url = url;
        alloc_fail_after(n);
        result = client_socket_new(u.net, &with_url, &ops, &u, &error, &u.socket);
        if (result == 0)
            loop_run(u.loop);
        was_refused = alloc_fail_disarm();
        if (result) {
            struct sockaddr_in a = {
                .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(s.port)};
            int fd = socket(AF_INET, SOCK_STREAM, 0);

            assert_int_equal(result, -ENOMEM);
            assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0); /* or the server waits for ever */
            close(fd);
        } else {
            began++;
            assert_int_equal(u.closed, 1);
        }
        server_join(&s);
        if (!was_refused)
            assert_int_equal(u.code, 1000);
        user_end(&u);
        if (!was_refused)
            break;
    }
    assert_true(began > 1); /* some failed after the beginning */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fragments),
        cmocka_unit_test(test_ping_is_answered_with_its_payload),
        cmocka_unit_test(test_fragments_out),
        cmocka_unit_test(test_servers_that_break_rules),
        cmocka_unit_test(test_close_with_reason),
        cmocka_unit_test(test_close_without_code),
        cmocka_unit_test(test_close_by_the_client),
        cmocka_unit_test(test_close_that_the_peer_ends_without_answer),
        cmocka_unit_test(test_end_without_close),
        cmocka_unit_test(test_abort_from_inside),
        cmocka_unit_test(test_close_before_it_is_open),
        cmocka_unit_test(test_out_of_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
