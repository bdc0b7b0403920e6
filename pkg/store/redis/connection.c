#include "store/redis/connection.h"

#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

/** Bytes that may wait to be sent. A server that takes nothing for redis.timeout is given up long before, unless
 * requests are huge. */
#define OUT_MAX_BYTES (64u * 1024 * 1024)
/** Memory kept for the next turn's commands. */
#define OUT_KEEP_BYTES (64u * 1024)
/** One reply at most; the scripts' own bounds are far below. */
#define REPLY_MAX_BYTES (64u * 1024 * 1024)
#define READ_BYTES (16u * 1024)
/** Reads in one turn at most: the loop has other guests. */
#define READS_A_TURN 16

static void on_io(struct loop_io *io, unsigned events);
static void on_flush(void *userdata);

void redis_connection_init(struct redis_connection *c, struct loop *l, const struct redis_url *url, struct slice prefix,
                           const struct redis_connection_callbacks *callbacks, void *userdata)
{
    *c = (struct redis_connection){
        .loop = l, .url = url, .prefix = prefix, .callbacks = callbacks, .userdata = userdata, .fd = -1};
    c->out = BUFFER_WITH_LIMIT(OUT_MAX_BYTES);
    loop_deferred_init(&c->flush, on_flush, c);
}

void redis_connection_deinit(struct redis_connection *c)
{
    redis_connection_close(c);
    buffer_deinit(&c->out);
}

/** Gives up this socket, but not the addresses that are left. */
static void close_socket(struct redis_connection *c)
{
    loop_io_deinit(&c->io);
    if (c->fd >= 0)
        (void)close(c->fd);
    c->fd = -1;
}

static void forget_addresses(struct redis_connection *c)
{
    if (c->addresses)
        freeaddrinfo(c->addresses);
    c->addresses = c->next_address = NULL;
}

void redis_connection_close(struct redis_connection *c)
{
    close_socket(c);
    forget_addresses(c);
    loop_deferred_cancel(&c->flush);
    if (c->reader)
        redisReaderFree(c->reader);
    c->reader = NULL;
    c->reply_bytes = 0;
    buffer_reset(&c->out, OUT_KEEP_BYTES);
    c->out_sent = 0;
    c->state = REDIS_CLOSED;
    c->life++;
}

void redis_connection_explain(struct redis_connection *c, const char *what, const redisReply *reply)
{
    if (reply && reply->type == REDIS_REPLY_ERROR)
        (void)snprintf(c->detail, sizeof(c->detail), "%s: %.200s", what, reply->str);
    else
        (void)snprintf(c->detail, sizeof(c->detail), "%s: unexpected reply", what);
}

/** Ends this life and says so. */
static void lose(struct redis_connection *c)
{
    redis_connection_close(c);
    c->callbacks->on_lost(c->userdata, c->detail);
}

static void lose_for(struct redis_connection *c, const char *what, int error)
{
    if (error)
        (void)snprintf(c->detail, sizeof(c->detail), "%s: %s", what, strerrordesc_np(error));
    else
        (void)snprintf(c->detail, sizeof(c->detail), "%s", what);
    lose(c);
}

/* ---- connecting ---- */

/** Begins to connect to one address. Return: 0 (now or soon, the socket becomes writable) or negative errno. */
static int connect_one(struct redis_connection *c, int family, const struct sockaddr *address, socklen_t size)
{
    int one = 1, r;

    c->fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        return -errno;
    if (family != AF_UNIX)
        (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (connect(c->fd, address, size) < 0 && errno != EINPROGRESS) {
        r = -errno;
        close_socket(c);
        return r;
    }
    loop_io_init(&c->io, c->loop, c->fd, on_io);
    r = loop_io_want(&c->io, LOOP_IO_WRITE);
    if (r < 0)
        close_socket(c);
    return r;
}

/** Goes on with the next address. Return: 0, or negative errno of the last one when none is left (@error if there was
 * none). */
static int connect_next(struct redis_connection *c, int error)
{
    while (c->next_address) {
        struct addrinfo *a = c->next_address;

        c->next_address = a->ai_next;
        error = connect_one(c, a->ai_family, a->ai_addr, a->ai_addrlen);
        if (error == 0)
            return 0;
    }
    return error;
}

/** Return: 0, or what getaddrinfo(3) says. */
static int resolve(struct redis_connection *c)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    char port[8];
    int r;

    (void)snprintf(port, sizeof(port), "%u", c->url->port);
    hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
    r = getaddrinfo(c->url->host, port, &hints, &c->addresses);
    if (r != 0) { /* a name: this may block, see the header */
        hints.ai_flags = AI_NUMERICSERV | AI_ADDRCONFIG;
        r = getaddrinfo(c->url->host, port, &hints, &c->addresses);
    }
    if (r != 0)
        c->addresses = NULL;
    c->next_address = c->addresses;
    return r;
}

static int connect_unix(struct redis_connection *c)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    memcpy(address.sun_path, c->url->path, sizeof(address.sun_path));
    return connect_one(c, AF_UNIX, (const struct sockaddr *)&address, sizeof(address));
}

int redis_connection_open(struct redis_connection *c)
{
    int r;

    assert(c->state == REDIS_CLOSED);
    c->detail[0] = '\0';
    c->reader = redisReaderCreate();
    if (!c->reader)
        return -ENOMEM;
    c->state = REDIS_CONNECTING;
    if (c->url->path[0]) {
        r = connect_unix(c);
    } else {
        r = resolve(c);
        if (r != 0) {
            (void)snprintf(c->detail, sizeof(c->detail), "cannot resolve %.128s: %s", c->url->host, gai_strerror(r));
            redis_connection_close(c);
            return -EHOSTUNREACH;
        }
        r = connect_next(c, -EHOSTUNREACH);
    }
    if (r < 0) {
        (void)snprintf(c->detail, sizeof(c->detail), "connect: %s", strerrordesc_np(-r));
        redis_connection_close(c);
        return -EHOSTUNREACH;
    }
    return 0;
}

/** The socket became writable while connecting. */
static void on_connected(struct redis_connection *c)
{
    socklen_t size = sizeof(int);
    int error = 0;

    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
        error = errno;
    if (error) {
        close_socket(c);
        error = -connect_next(c, -error);
        if (error)
            lose_for(c, "connect", error);
        return;
    }
    forget_addresses(c);
    c->state = REDIS_GREETING;
    if (redis_greeting_send(c) < 0 || loop_io_want(&c->io, LOOP_IO_READ) < 0)
        lose_for(c, "greeting", ENOMEM);
}

/* ---- reading ---- */

/** Hands every whole reply on. Return: false when the connection ended meanwhile. */
static bool take_replies(struct redis_connection *c)
{
    unsigned life = c->life;

    for (;;) {
        void *reply = NULL;
        int r = 0;

        if (redisReaderGetReply(c->reader, &reply) != REDIS_OK) {
            lose_for(c, c->reader->errstr, 0);
            return false;
        }
        if (!reply)
            return true;
        c->reply_bytes = 0;
        if (c->state == REDIS_OPEN)
            c->callbacks->on_reply(c->userdata, reply);
        else
            r = redis_greeting_take(c, reply);
        freeReplyObject(reply);
        if (c->life != life)
            return false;
        if (r < 0) {
            lose(c);
            return false;
        }
        if (r == 1) {
            c->state = REDIS_OPEN;
            c->callbacks->on_open(c->userdata);
            if (c->life != life)
                return false;
        }
    }
}

/** Reads a bounded amount. */
static void read_some(struct redis_connection *c)
{
    char bytes[READ_BYTES];

    for (int i = 0; i < READS_A_TURN; i++) {
        ssize_t n = recv(c->fd, bytes, sizeof(bytes), 0);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n <= 0) {
            lose_for(c, n == 0 ? "closed by the server" : "receive", n < 0 ? errno : 0);
            return;
        }
        c->reply_bytes += (size_t)n;
        if (redisReaderFeed(c->reader, bytes, (size_t)n) != REDIS_OK) {
            lose_for(c, c->reader->errstr, 0);
            return;
        }
        if (!take_replies(c))
            return;
        if (c->reply_bytes > REPLY_MAX_BYTES) {
            lose_for(c, "a reply without end", 0);
            return;
        }
        if ((size_t)n < sizeof(bytes))
            return;
    }
}

/* ---- writing ---- */

bool redis_connection_has_output(const struct redis_connection *c)
{
    return c->out.size > c->out_sent;
}

/** Sends what the socket takes and waits for the rest. */
static void flush_output(struct redis_connection *c)
{
    while (redis_connection_has_output(c)) {
        ssize_t n = send(c->fd, c->out.data + c->out_sent, c->out.size - c->out_sent, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0) {
            lose_for(c, "send", errno);
            return;
        }
        c->out_sent += (size_t)n;
    }
    if (!redis_connection_has_output(c)) {
        buffer_reset(&c->out, OUT_KEEP_BYTES);
        c->out_sent = 0;
    } else if (c->out_sent >= c->out.size / 2) { /* each byte is moved once at most */
        buffer_consume(&c->out, c->out_sent);
        c->out_sent = 0;
    }
    if (loop_io_want(&c->io, LOOP_IO_READ | (redis_connection_has_output(c) ? LOOP_IO_WRITE : 0u)) < 0)
        lose_for(c, "event", ENOMEM);
}

static void on_flush(void *userdata)
{
    struct redis_connection *c = userdata;

    if (c->state == REDIS_GREETING || c->state == REDIS_OPEN)
        flush_output(c);
}

static void on_io(struct loop_io *io, unsigned events)
{
    struct redis_connection *c = container_of(io, struct redis_connection, io);
    unsigned life = c->life;

    if (c->state == REDIS_CONNECTING) {
        on_connected(c);
        return;
    }
    if (events & LOOP_IO_READ)
        read_some(c);
    if (c->life == life && (events & LOOP_IO_WRITE))
        flush_output(c);
}

void redis_connection_pump(struct redis_connection *c)
{
    unsigned life = c->life;

    if (c->state != REDIS_GREETING && c->state != REDIS_OPEN)
        return;
    read_some(c);
    if (c->life == life)
        flush_output(c);
}

void redis_connection_wait(struct redis_connection *c, int timeout_ms)
{
    struct pollfd p = {.fd = c->fd, .events = POLLIN};

    if (redis_connection_has_output(c))
        p.events = POLLIN | POLLOUT;
    (void)poll(&p, 1, timeout_ms);
}

/* ---- commands: arrays of bulk strings (the RESP specification, "Sending commands to a Redis server") ---- */

void redis_command_begin(struct redis_connection *c, size_t argument_count)
{
    assert(c->command_left == 0);
    c->command_begin = c->out.size;
    c->command_left = argument_count;
    buffer_append_char(&c->out, '*');
    buffer_append_uint64(&c->out, argument_count);
    buffer_append(&c->out, "\r\n", 2);
}

void redis_command_begin_script(struct redis_connection *c, enum redis_script script, size_t key_count,
                                size_t argument_count)
{
    redis_command_begin(c, 3 + key_count + argument_count);
    redis_command_add(c, SLICE_LITERAL("EVALSHA"));
    redis_command_add(c, slice_make(c->digests[script], sizeof(c->digests[script])));
    redis_command_add_number(c, key_count);
}

void redis_command_add_parts(struct redis_connection *c, const struct slice *parts, size_t count)
{
    size_t size = 0;

    assert(c->command_left > 0);
    c->command_left--;
    for (size_t i = 0; i < count; i++)
        size += parts[i].size;
    buffer_append_char(&c->out, '$');
    buffer_append_uint64(&c->out, size);
    buffer_append(&c->out, "\r\n", 2);
    for (size_t i = 0; i < count; i++)
        buffer_append_slice(&c->out, parts[i]);
    buffer_append(&c->out, "\r\n", 2);
}

void redis_command_add(struct redis_connection *c, struct slice argument)
{
    redis_command_add_parts(c, &argument, 1);
}

void redis_command_fail(struct redis_connection *c, int error)
{
    c->out.error = error;
}

void redis_command_add_number(struct redis_connection *c, uint64_t number)
{
    char text[24];
    int size = snprintf(text, sizeof(text), "%llu", (unsigned long long)number);

    redis_command_add(c, slice_make(text, (size_t)size));
}

int redis_command_end(struct redis_connection *c)
{
    int r = buffer_error(&c->out);

    assert(c->command_left == 0);
    if (r < 0) {
        /* The earlier commands stand: half of this one goes, and the buffer may be used again. */
        c->out.size = c->command_begin;
        c->out.error = 0;
        return r;
    }
    loop_defer(c->loop, &c->flush);
    return 0;
}
