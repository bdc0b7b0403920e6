/** Listeners on loopback. */
#include "unit/net/fixture.h"

#include "base/log.h"
#include "net/listener.h"

#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define CLIENTS 150

struct server {
    struct fixture f;
    struct net_listener *listener;
    struct loop_deferred end_of_turn;
    int fds[CLIENTS];
    unsigned accepted, in_turn, most_in_turn;
    unsigned pause_at; /* pauses the listener inside the handler of this one */
    unsigned close_at; /* closes the listener inside the handler of this one */
    unsigned want;
};

static void on_end_of_turn(void *userdata)
{
    struct server *s = userdata;

    if (s->in_turn > s->most_in_turn)
        s->most_in_turn = s->in_turn;
    s->in_turn = 0;
}

static void on_accepted(void *userdata, int fd, const struct net_address *peer)
{
    struct server *s = userdata;

    assert_true(net_address_is_loopback(peer));
    assert_true(net_address_port(peer) > 0);
    assert_true(s->accepted < CLIENTS);
    s->fds[s->accepted++] = fd;
    s->in_turn++;
    loop_defer(s->f.loop, &s->end_of_turn);
    if (s->accepted == s->pause_at)
        net_listener_pause(s->listener);
    if (s->accepted == s->close_at)
        s->listener = net_listener_close(s->listener);
}

static bool has_accepted(void *userdata)
{
    struct server *s = userdata;

    return s->accepted >= s->want;
}

static void server_begin(struct server *s, const char *address_text)
{
    struct net_address address;

    memset(s, 0, sizeof(*s));
    fixture_begin(&s->f);
    loop_deferred_init(&s->end_of_turn, on_end_of_turn, s);
    assert_null(net_address_parse(slice_from(address_text), &address));
    assert_int_equal(net_listener_open(s->f.loop, &address, on_accepted, s, &s->listener), 0);
    assert_true(net_address_port(net_listener_address(s->listener)) > 0);
}

static void server_end(struct server *s)
{
    net_listener_close(s->listener);
    for (unsigned i = 0; i < s->accepted; i++)
        close(s->fds[i]);
    assert_int_equal(fixture_end(&s->f), 0);
}

/** A client in the backlog: the kernel connects it before anybody accepts. */
static int connect_to(const struct net_address *address)
{
    int fd = socket(address->storage.ss_family, SOCK_STREAM, 0);

    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address->storage, address->size), 0);
    return fd;
}

/** How many wait; the kernel may take a moment to put one there whose connect(2) has returned. */
static uint32_t waiting_of(struct server *s, uint32_t expected)
{
    uint64_t give_up_ms = clock_monotonic_ms() + PATIENCE_MS;
    uint32_t waiting, limit;

    do {
        assert_true(net_listener_backlog(s->listener, &waiting, &limit));
        assert_true(limit >= 128);
    } while (waiting < expected && clock_monotonic_ms() < give_up_ms);
    return waiting;
}

static void test_batches(void **state base_unused)
{
    struct server s;
    int clients[CLIENTS], on = 0;
    socklen_t size = sizeof(on);

    server_begin(&s, "127.0.0.1:0");
    for (int i = 0; i < CLIENTS; i++)
        clients[i] = connect_to(net_listener_address(s.listener));
    assert_int_equal(waiting_of(&s, CLIENTS), CLIENTS);
    s.want = CLIENTS;
    run_until(&s.f, has_accepted, &s);
    assert_int_equal(s.accepted, CLIENTS);
    assert_int_equal(s.most_in_turn, 64);
    assert_true(fcntl(s.fds[0], F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(s.fds[0], F_GETFD) & FD_CLOEXEC);
    assert_int_equal(getsockopt(s.fds[0], IPPROTO_TCP, TCP_NODELAY, &on, &size), 0);
    assert_true(on);
    for (int i = 0; i < CLIENTS; i++)
        close(clients[i]);
    server_end(&s);
}

static void test_second_listener_is_refused(void **state base_unused)
{
    struct server s;
    struct net_listener *second = NULL;

    server_begin(&s, "127.0.0.1:0");
    assert_int_equal(net_listener_open(s.f.loop, net_listener_address(s.listener), on_accepted, &s, &second),
                     -EADDRINUSE);
    assert_null(second);
    server_end(&s);
}

static void test_close_in_the_handler(void **state base_unused)
{
    struct server s;
    int clients[10];

    server_begin(&s, "127.0.0.1:0");
    for (int i = 0; i < 10; i++)
        clients[i] = connect_to(net_listener_address(s.listener));
    s.want = s.close_at = 3;
    run_until(&s.f, has_accepted, &s);
    assert_int_equal(s.accepted, 3);
    assert_null(s.listener);
    for (int i = 0; i < 10; i++)
        close(clients[i]);
    server_end(&s);
}

static bool later(void *userdata)
{
    struct server *s = userdata;

    return clock_monotonic_ms() > s->f.give_up_ms - PATIENCE_MS + 50;
}

/** Who comes while the listener pauses, waits in the kernel, which says how many they are. */
static void test_pause(void **state base_unused)
{
    struct server s;
    int clients[10];

    server_begin(&s, "127.0.0.1:0");
    for (int i = 0; i < 10; i++)
        clients[i] = connect_to(net_listener_address(s.listener));
    assert_int_equal(waiting_of(&s, 10), 10);
    s.pause_at = 4;
    run_until(&s.f, later, &s);
    assert_int_equal(s.accepted, 4);
    assert_int_equal(waiting_of(&s, 6), 6);
    s.want = 10;
    net_listener_resume(s.listener);
    run_until(&s.f, has_accepted, &s);
    for (int i = 0; i < 10; i++)
        close(clients[i]);
    server_end(&s);
}

static void test_every_address(void **state base_unused)
{
    struct server s;
    struct net_address v4;
    int fd;

    server_begin(&s, "[::]:0");
    assert_null(net_address_parse(SLICE_LITERAL("127.0.0.1:0"), &v4));
    net_address_set_port(&v4, net_address_port(net_listener_address(s.listener)));
    fd = connect_to(&v4); /* both families */
    s.want = 1;
    run_until(&s.f, has_accepted, &s);
    close(fd);
    server_end(&s);
}

struct exhaustion {
    struct server server;
    int clients[4];
    unsigned refused; /* so many are awaited */
};

static bool has_refused(void *userdata)
{
    struct exhaustion *e = userdata;
    unsigned refused = 0;
    char byte;

    for (int i = 0; i < 4; i++)
        refused += recv(e->clients[i], &byte, 1, MSG_DONTWAIT | MSG_PEEK) == 0;
    return refused >= e->refused;
}

static bool after_rest(void *userdata)
{
    struct exhaustion *e = userdata;

    return clock_monotonic_ms() > e->server.f.give_up_ms - PATIENCE_MS + 250;
}

/** In a process of its own, with as many descriptors as are open. Exits with the number of the check that failed, or 0.
 */
static int exhaust(void)
{
    static struct exhaustion e;
    struct rlimit limit;
    uint64_t cpu_us, began_ms;
    int highest;

    log_set_fd(open("/dev/null", O_WRONLY | O_CLOEXEC));
    server_begin(&e.server, "127.0.0.1:0");
    for (int i = 0; i < 4; i++)
        e.clients[i] = connect_to(net_listener_address(e.server.listener));
    highest = dup(0);
    close(highest);
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = (rlim_t)highest + 1; /* one more can be accepted */
    setrlimit(RLIMIT_NOFILE, &limit);
    began_ms = clock_monotonic_ms();
    e.refused = 1;
    run_until(&e.server.f, has_refused, &e);
    if (e.server.accepted != 1)
        return 1;
    /* Two still wait and are refused, one each time the listener has rested. */
    e.refused = 3;
    run_until(&e.server.f, has_refused, &e);
    if (clock_monotonic_ms() - began_ms < 2 * 100)
        return 4;
    cpu_us = clock_process_cpu_us();
    run_until(&e.server.f, after_rest, &e);
    if (clock_process_cpu_us() - cpu_us > 150000)
        return 2;
    if (e.server.accepted != 1)
        return 3;
    /* A descriptor comes free: newcomers are taken again. */
    limit.rlim_cur = (rlim_t)highest + 10;
    setrlimit(RLIMIT_NOFILE, &limit);
    int late = connect_to(net_listener_address(e.server.listener));
    e.server.want = 2;
    run_until(&e.server.f, has_accepted, &e.server);
    close(late);
    for (int i = 0; i < 4; i++)
        close(e.clients[i]);
    server_end(&e.server);
    return 0;
}

static void test_out_of_descriptors(void **state base_unused)
{
    pid_t child = fork();
    int status;

    assert_true(child >= 0);
    if (child == 0)
        _exit(exhaust());
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_batches),
        cmocka_unit_test(test_second_listener_is_refused),
        cmocka_unit_test(test_close_in_the_handler),
        cmocka_unit_test(test_pause),
        cmocka_unit_test(test_every_address),
        cmocka_unit_test(test_out_of_descriptors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
