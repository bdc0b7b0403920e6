/*
 * What is said at the beginning of each connection, all of it at once. The replies come in the order of the steps.
 */
#include "store/redis/connection.h"

#include <stdio.h>

/* Each script is a step. */
enum greeting_step {
    STEP_AUTH,
    STEP_SELECT,
    STEP_PING,
    STEP_POLICY,
    STEP_SCRIPTS,
    STEP_LIFE = STEP_SCRIPTS + REDIS_SCRIPTS,
    STEPS,
};

static bool step_is_needed(const struct redis_connection *c, unsigned step)
{
    switch (step) {
    case STEP_AUTH:
        return c->url->password[0] != '\0';
    case STEP_SELECT:
        return c->url->database != 0;
    default:
        return true;
    }
}

static unsigned next_needed(const struct redis_connection *c, unsigned step)
{
    while (!step_is_needed(c, step))
        step++;
    return step;
}

/** Return: 0, -ENOMEM, -EMSGSIZE. */
static int send_step(struct redis_connection *c, unsigned step)
{
    const struct redis_url *url = c->url;

    switch (step) {
    case STEP_AUTH:
        redis_command_begin(c, url->user[0] ? 3 : 2);
        redis_command_add(c, SLICE_LITERAL("AUTH"));
        if (url->user[0])
            redis_command_add(c, slice_from(url->user));
        redis_command_add(c, slice_from(url->password));
        break;
    case STEP_SELECT:
        redis_command_begin(c, 2);
        redis_command_add(c, SLICE_LITERAL("SELECT"));
        redis_command_add_number(c, url->database);
        break;
    case STEP_PING:
        redis_command_begin(c, 1);
        redis_command_add(c, SLICE_LITERAL("PING"));
        break;
    case STEP_POLICY:
        redis_command_begin(c, 3);
        redis_command_add(c, SLICE_LITERAL("CONFIG"));
        redis_command_add(c, SLICE_LITERAL("GET"));
        redis_command_add(c, SLICE_LITERAL("maxmemory-policy"));
        break;
    case STEP_LIFE:
        return redis_life_send(c);
    default:
        redis_command_begin(c, 3);
        redis_command_add(c, SLICE_LITERAL("SCRIPT"));
        redis_command_add(c, SLICE_LITERAL("LOAD"));
        redis_command_add(c, slice_from(redis_script_sources[step - STEP_SCRIPTS]));
        break;
    }
    return redis_command_end(c);
}

int redis_greeting_send(struct redis_connection *c)
{
    c->policy[0] = '\0';
    c->greeting_step = next_needed(c, STEP_AUTH);
    for (unsigned step = c->greeting_step; step < STEPS; step = next_needed(c, step + 1)) {
        int r = send_step(c, step);

        if (r < 0)
            return r;
    }
    return 0;
}

/** What to call a step in an error. */
static const char *step_name(unsigned step)
{
    static const char *const names[] = {
        [STEP_AUTH] = "AUTH", [STEP_SELECT] = "SELECT", [STEP_PING] = "PING", [STEP_POLICY] = "CONFIG GET"};

    return step < STEP_SCRIPTS ? names[step] : "SCRIPT LOAD";
}

/** An administrator may have forbidden CONFIG: then the policy is unknown, and that is all. */
static void take_policy(struct redis_connection *c, const redisReply *reply)
{
    if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 && reply->element[1]->type == REDIS_REPLY_STRING)
        (void)snprintf(c->policy, sizeof(c->policy), "%s", reply->element[1]->str);
}

int redis_greeting_take(struct redis_connection *c, const redisReply *reply)
{
    unsigned step = c->greeting_step;

    if (step == STEP_POLICY) {
        take_policy(c, reply);
    } else if (step == STEP_LIFE) {
        if (redis_life_take(c, reply) < 0)
            return -EPROTO;
    } else if (reply->type == REDIS_REPLY_ERROR) {
        redis_connection_explain(c, step_name(step), reply);
        return -EPROTO;
    } else if (step >= STEP_SCRIPTS) {
        if (reply->type != REDIS_REPLY_STRING || reply->len != sizeof(c->digests[0])) {
            redis_connection_explain(c, step_name(step), NULL);
            return -EPROTO;
        }
        memcpy(c->digests[step - STEP_SCRIPTS], reply->str, sizeof(c->digests[0]));
    }
    c->greeting_step = next_needed(c, step + 1);
    return c->greeting_step == STEPS ? 1 : 0;
}
