#include "support/redis_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARGUMENTS_MAX 32

static void die(const char *what)
{
    fprintf(stderr, "redis_server: %s: %s\n", what, strerror(errno));
    abort();
}

bool redis_server_is_installed(void)
{
    const char *path = getenv("PATH");
    char *copy = strdup(path ? path : "/usr/bin"), *rest = copy, *folder;
    bool found = false;

    while (!found && (folder = strsep(&rest, ":"))) {
        char candidate[4096];

        (void)snprintf(candidate, sizeof(candidate), "%s/redis-server", folder);
        found = access(candidate, X_OK) == 0;
    }
    free(copy);
    return found;
}

static int free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) < 0)
        die("a free port");
    (void)close(fd);
    return ntohs(address.sin_port);
}

static void run(const struct redis_server *s, const char *const *arguments)
{
    char port[8];
    const char *argv[ARGUMENTS_MAX] = {
        "redis-server", "--port", port, "--bind",       "127.0.0.1", "--dir",     s->directory, "--unixsocket",
        s->socket,      "--save", "",   "--appendonly", "no",        "--logfile", "redis.log"};
    int count = 15;

    (void)snprintf(port, sizeof(port), "%d", s->port);
    while (arguments && *arguments && count < ARGUMENTS_MAX - 1)
        argv[count++] = *arguments++;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    {
        char *copy[ARGUMENTS_MAX] = {0};

        for (int i = 0; i < count; i++)
            copy[i] = strdup(argv[i]);
        (void)execvp("redis-server", copy);
    }
    _exit(127);
}

/**
 * Asks until it answers; an error reply (a password is wanted) is an answer. By its Unix socket, which is made when the
 * port is its own: at the port another test's server might answer. false: it has ended.
 */
static bool wait_until_ready(struct redis_server *s)
{
    for (int i = 0; i < 6000; i++) {
        redisContext *c = redisConnectUnix(s->socket);
        redisReply *reply = c && !c->err ? redisCommand(c, "PING") : NULL;
        bool is_ready = reply != NULL;

        if (reply)
            freeReplyObject(reply);
        if (c)
            redisFree(c);
        if (is_ready)
            return true;
        if (waitpid(s->pid, NULL, WNOHANG) == s->pid) {
            s->pid = 0;
            return false;
        }
        (void)usleep(10000);
    }
    die("redis-server does not answer");
    return false;
}

static bool begin(struct redis_server *s, const char *const *arguments)
{
    s->pid = fork();
    if (s->pid < 0)
        die("fork");
    if (s->pid == 0)
        run(s, arguments);
    return wait_until_ready(s);
}

void redis_server_restart(struct redis_server *s, const char *const *arguments)
{
    if (!begin(s, arguments))
        die("redis-server ended");
}

void redis_server_start(struct redis_server *s, const char *const *arguments)
{
    (void)snprintf(s->directory, sizeof(s->directory), "/tmp/warren-redis-XXXXXX");
    if (!mkdtemp(s->directory))
        die("mkdtemp");
    (void)snprintf(s->socket, sizeof(s->socket), "%s/redis.sock", s->directory);
    for (int ports = 0; ports < 5; ports++) {
        s->port = free_port();
        if (begin(s, arguments)) /* else somebody was faster at that port */
            return;
    }
    die("redis-server ends at once");
}

void redis_server_kill(struct redis_server *s)
{
    if (s->pid <= 0)
        return;
    (void)kill(s->pid, SIGKILL);
    (void)waitpid(s->pid, NULL, 0);
    s->pid = 0;
}

void redis_server_freeze(struct redis_server *s)
{
    if (kill(s->pid, SIGSTOP) < 0)
        die("SIGSTOP");
}

void redis_server_thaw(struct redis_server *s)
{
    if (kill(s->pid, SIGCONT) < 0)
        die("SIGCONT");
}

void redis_server_end(struct redis_server *s)
{
    static const char *const files[] = {"redis.log", "dump.rdb"};
    char path[128];

    redis_server_kill(s);
    (void)unlink(s->socket);
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", s->directory, files[i]);
        (void)unlink(path);
    }
    (void)rmdir(s->directory);
}

redisContext *redis_server_connect(const char *host, int port)
{
    redisContext *c = redisConnect(host, port);

    if (!c || c->err)
        die("connect");
    return c;
}

static redisReply *expect_good(redisContext *c, const char *what, redisReply *reply)
{
    if (!reply || reply->type == REDIS_REPLY_ERROR) {
        fprintf(stderr, "redis_server: %s: %s\n", what, reply ? reply->str : c->errstr);
        abort();
    }
    return reply;
}

redisReply *redis_server_say(redisContext *c, const char *words)
{
    char *copy = strdup(words), *rest = copy;
    const char *argv[ARGUMENTS_MAX];
    redisReply *reply;
    int argc = 0;

    for (char *word; argc < ARGUMENTS_MAX && (word = strsep(&rest, " "));)
        argv[argc++] = word;
    reply = redisCommandArgv(c, argc, argv, NULL);
    free(copy);
    return expect_good(c, words, reply);
}

redisReply *redis_server_ask(redisContext *c, const char *format, ...)
{
    va_list args;
    redisReply *reply;

    va_start(args, format);
    reply = redisvCommand(c, format, args);
    va_end(args);
    return expect_good(c, format, reply);
}
