/*
 * The doctor's question to a server: one blocking conversation, apart from the store.
 */
#include "base/clock.h"
#include "base/macros.h"
#include "store/redis/redis_store.h"
#include "store/redis/url.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <sys/time.h>

#define STORAGE_BYTES 256

static redisContext *context_free(redisContext *c)
{
    if (c)
        redisFree(c);
    return NULL;
}
BASE_DEFINE_CLEANUP(redisContext *, context_free)

static redisReply *reply_free(redisReply *reply)
{
    if (reply)
        freeReplyObject(reply);
    return NULL;
}
BASE_DEFINE_CLEANUP(redisReply *, reply_free)

struct probe {
    redisContext *context;
    uint64_t deadline_ms;
    char *storage;
};

/** What is left of the time, at least a millisecond. */
static struct timeval time_left(const struct probe *p)
{
    uint64_t now = clock_monotonic_ms();
    uint64_t left = p->deadline_ms > now ? p->deadline_ms - now : 1;

    return (struct timeval){.tv_sec = (time_t)(left / 1000), .tv_usec = (suseconds_t)(left % 1000 * 1000)};
}

/** Asks; NULL with the reason in storage if there is no reply, or an error and @may_fail is false. */
static redisReply *ask(struct probe *p, const char *what, int argc, const char **argv, bool may_fail)
{
    redisReply *reply = NULL;

    if (redisSetTimeout(p->context, time_left(p)) == REDIS_OK)
        reply = redisCommandArgv(p->context, argc, argv, NULL);
    if (!reply) {
        bool is_late = clock_monotonic_ms() >= p->deadline_ms;

        (void)snprintf(p->storage, STORAGE_BYTES, "%s: %s", what, is_late ? "no answer in time" : p->context->errstr);
        return NULL;
    }
    if (reply->type == REDIS_REPLY_ERROR && !may_fail) {
        (void)snprintf(p->storage, STORAGE_BYTES, "%s: %.200s", what, reply->str);
        return reply_free(reply);
    }
    return reply;
}

/** Return: whether the server let us in and answers. */
static bool enter(struct probe *p, const struct redis_url *url)
{
    char database[16];
    const char *auth[] = {"AUTH", url->password, NULL};
    const char *auth_user[] = {"AUTH", url->user, url->password};
    const char *select[] = {"SELECT", database};
    const char *ping[] = {"PING"};

    (void)snprintf(database, sizeof(database), "%u", url->database);
    if (url->password[0]) {
        base_cleanup(reply_free_p)
        redisReply *reply = url->user[0] ? ask(p, "AUTH", 3, auth_user, false) : ask(p, "AUTH", 2, auth, false);

        if (!reply)
            return false;
    }
    if (url->database) {
        base_cleanup(reply_free_p)
        redisReply *reply = ask(p, "SELECT", 2, select, false);

        if (!reply)
            return false;
    }
    base_cleanup(reply_free_p)
    redisReply *pong = ask(p, "PING", 1, ping, false);
    return pong != NULL;
}

/** Leaves @ret_value alone if the server does not tell. */
static bool read_config(struct probe *p, const char *name, char *ret_value, size_t size)
{
    const char *argv[] = {"CONFIG", "GET", name};
    base_cleanup(reply_free_p)
    redisReply *reply = ask(p, "CONFIG GET", 3, argv, true);

    if (!reply)
        return false;
    if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 && reply->element[1]->type == REDIS_REPLY_STRING)
        (void)snprintf(ret_value, size, "%s", reply->element[1]->str);
    return true;
}

static bool read_version(struct probe *p, char ret_version[32])
{
    const char *argv[] = {"INFO", "server"};
    base_cleanup(reply_free_p)
    redisReply *reply = ask(p, "INFO", 2, argv, true);
    static const char key[] = "redis_version:";
    const char *at;

    if (!reply)
        return false;
    at = reply->type == REDIS_REPLY_STRING ? strstr(reply->str, key) : NULL;
    if (at) {
        at += sizeof(key) - 1;
        (void)snprintf(ret_version, 32, "%.*s", (int)strcspn(at, "\r\n"), at);
    }
    return true;
}

const char *redis_probe(const char *url, int timeout_ms, struct redis_findings *ret_findings, char storage[256])
{
    struct probe p = {.deadline_ms = clock_monotonic_ms() + (uint64_t)timeout_ms, .storage = storage};
    base_cleanup(context_free_p)
    redisContext *context = NULL;
    struct redis_findings found = {0};
    struct redis_url parsed;
    const char *wrong = redis_url_parse(slice_from(url), &parsed);

    if (wrong)
        return wrong;
    if (parsed.path[0])
        context = redisConnectUnixWithTimeout(parsed.path, time_left(&p));
    else
        context = redisConnectWithTimeout(parsed.host, parsed.port, time_left(&p));
    if (!context || context->err) {
        (void)snprintf(storage, STORAGE_BYTES, "connect: %s", context ? context->errstr : "out of memory");
        return storage;
    }
    p.context = context;
    if (!enter(&p, &parsed) || !read_config(&p, "maxmemory-policy", found.policy, sizeof(found.policy)) ||
        !read_config(&p, "stream-node-max-bytes", found.stream_node_bytes, sizeof(found.stream_node_bytes)) ||
        !read_version(&p, found.version))
        return storage;
    *ret_findings = found;
    return NULL;
}
