#include "warrenctl.h"

#include "client/client.h"

#include <stdio.h>
#include <string.h>

#define TIMEOUT_MS 20000

/** {"error":{"code","message"}} as a sentence. */
static void say_error(unsigned status, struct slice body)
{
    struct json_value error = ctl_member(body, "error");
    struct buffer text = {0};

    if (error.type == JSON_OBJECT) {
        struct json_value message = ctl_member(error.text, "message");

        if (message.type == JSON_STRING)
            json_string_decode(json_string_raw(message), &text);
    }
    if (text.size)
        (void)fprintf(stderr, "warrenctl: %s (HTTP status %u)\n", text.data, status);
    else
        (void)fprintf(stderr, "warrenctl: HTTP status %u\n", status);
    buffer_deinit(&text);
}

static int request(const struct ctl_context *context, const char *method, const char *path, struct slice request_body,
                   bool quiet, struct buffer *body)
{
    struct buffer url = {0}, error = {0};
    unsigned status = 0;
    int result, code = CTL_OK;

    buffer_printf(&url, "%s%s", context->api, path);
    result = buffer_error(&url) ? -ENOMEM
                                : client_http_fetch(method, url.data, request_body.size ? "application/json" : NULL,
                                                    request_body, TIMEOUT_MS, &status, body, &error);
    if (result == -EINVAL) {
        (void)fprintf(stderr, "warrenctl: --api: expected http://host:port, got \"%s\"\n", context->api);
        code = CTL_USAGE;
    } else if (result) {
        if (!quiet)
            (void)fprintf(stderr, "warrenctl: no node answers at %s: %s\n", context->api,
                          error.size   ? error.data
                          : result < 0 ? strerror(-result)
                                       : "unreachable");
        code = CTL_UNREACHABLE;
    } else if (status >= 300) {
        say_error(status, buffer_slice(body));
        code = CTL_NO;
    }
    buffer_deinit(&url);
    buffer_deinit(&error);
    return code;
}

int ctl_request(const struct ctl_context *context, const char *method, const char *path, struct slice request_body,
                struct buffer *body)
{
    return request(context, method, path, request_body, false, body);
}

int ctl_request_quiet(const struct ctl_context *context, const char *method, const char *path,
                      struct slice request_body, struct buffer *body)
{
    return request(context, method, path, request_body, true, body);
}

int ctl_get(const struct ctl_context *context, const char *path, struct buffer *body)
{
    int code = ctl_request(context, "GET", path, SLICE_NONE, body);

    if (code == CTL_OK && context->json)
        (void)printf("%.*s\n", SLICE_PRINTF(buffer_slice(body)));
    return code;
}

int ctl_usage(const struct ctl_command *command, const char *why)
{
    (void)fprintf(stderr, "warrenctl %s: %s\nUsage: warrenctl %s%s%s\n", command->name, why, command->name,
                  command->usage[0] ? " " : "", command->usage);
    return CTL_USAGE;
}

int ctl_bad_answer(void)
{
    (void)fprintf(stderr,
                  "warrenctl: the answer was not understood; is this the API of a Warren node of this version?\n");
    return CTL_NO;
}
