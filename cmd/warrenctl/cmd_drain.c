/*
 * drain: the node sends its clients to others and ends. --wait stays until it has, with a line a second on how far it
 * is: a script that restarts nodes one after another may go on with the next one then.
 */
#include "warrenctl.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define LOOK_EVERY_MS 250
#define TELL_EVERY 4 /* looks */

static uint64_t number(struct slice json, const char *name)
{
    struct json_value value = ctl_member(json, name);
    int64_t number = 0;

    return value.type == JSON_NUMBER && json_number_int64(value, 0, INT64_MAX, &number) ? (uint64_t)number : 0;
}

static void tell(const struct ctl_context *context, struct slice json)
{
    struct buffer node = {0};
    struct json_value name = ctl_member(json, "node");

    if (context->json) {
        (void)printf("%.*s\n", SLICE_PRINTF(json));
    } else {
        if (name.type == JSON_STRING)
            json_string_decode(json_string_raw(name), &node);
        (void)printf("%s: %llu of %llu clients left, %.1f s of %.1f s\n", node.size ? node.data : "?",
                     (unsigned long long)number(json, "left"), (unsigned long long)number(json, "clients"),
                     (double)number(json, "elapsed_ms") / 1000, (double)number(json, "period_ms") / 1000);
        buffer_deinit(&node);
    }
    (void)fflush(stdout);
}

/** Until nobody answers any more; then it has ended, or is about to. */
static int wait_for_end(const struct ctl_context *context)
{
    static const struct timespec pause = {.tv_nsec = LOOK_EVERY_MS * 1000000L};
    int code = CTL_OK;

    for (unsigned looks = 1; code == CTL_OK; looks++) {
        struct buffer body = {0};

        (void)nanosleep(&pause, NULL);
        code = ctl_request_quiet(context, "GET", "/v1/node/drain", SLICE_NONE, &body);
        if (code == CTL_OK && !ctl_value_is(ctl_member(buffer_slice(&body), "draining"), "true"))
            code = CTL_UNREACHABLE; /* it has ended, and its successor is here already */
        else if (code == CTL_OK && looks % TELL_EVERY == 0)
            tell(context, buffer_slice(&body));
        buffer_deinit(&body);
    }
    if (code != CTL_UNREACHABLE)
        return code;
    if (!context->json)
        (void)puts("drained");
    return CTL_OK;
}

static int run(const struct ctl_context *context)
{
    bool waits = context->argc == 2 && strcmp(context->argv[1], "--wait") == 0;
    struct buffer body = {0};
    int code;

    if (context->argc > 1 && !waits)
        return ctl_usage(&ctl_drain, "unknown argument");
    code = ctl_request(context, "POST", "/v1/node/drain", SLICE_NONE, &body);
    if (code == CTL_OK && !ctl_value_is(ctl_member(buffer_slice(&body), "draining"), "true"))
        code = ctl_bad_answer();
    if (code == CTL_OK) {
        tell(context, buffer_slice(&body));
        if (waits)
            code = wait_for_end(context);
    }
    buffer_deinit(&body);
    return code;
}

const struct ctl_command ctl_drain = {"drain", "[--wait]",
                                      "send the node's clients to others, over drain.period, and end it", run};
