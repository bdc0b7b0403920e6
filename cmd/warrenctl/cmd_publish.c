/* Publishes as a back end would: POST /v1/rooms/{room}/messages, /v1/users/{user}/messages or /v1/broadcast. */
#include "warrenctl.h"

#include <getopt.h>
#include <stdio.h>

struct arguments {
    struct ctl_channel channel;
    const char *key, *from, *data;
    bool text;
};

static const char *parse(const struct ctl_context *context, struct arguments *a)
{
    static const struct option options[] = {
        {"room", required_argument, NULL, 'r'},
        {"user", required_argument, NULL, 'u'},
        {"all", no_argument, NULL, 'a'},
        {"key", required_argument, NULL, 'k'},
        {"from", required_argument, NULL, 'f'},
        {"text", no_argument, NULL, 't'},
        {NULL, 0, NULL, 0},
    };
    int option;

    optind = 0; /* begin anew: main() has used getopt already */
    while ((option = getopt_long(context->argc, context->argv, "", options, NULL)) != -1) {
        if (option == 'k')
            a->key = optarg;
        else if (option == 'f')
            a->from = optarg;
        else if (option == 't')
            a->text = true;
        else if (!ctl_channel_option(&a->channel, option, optarg))
            return "see above";
    }
    if (optind + 1 != context->argc)
        return "expected one DATA behind the options";
    a->data = context->argv[optind];
    return ctl_channel_check(&a->channel);
}

static void write_request(const struct arguments *a, struct buffer *path, struct buffer *body)
{
    struct json_writer w;

    ctl_channel_path(&a->channel, path);
    json_writer_init(&w, body);
    json_write_object_begin(&w);
    json_write_name(&w, "data");
    if (a->text)
        json_write_string(&w, slice_from(a->data));
    else
        json_write_raw(&w, slice_from(a->data));
    if (a->key)
        json_write_member_text(&w, "key", a->key);
    if (a->from)
        json_write_member_text(&w, "from", a->from);
    json_write_object_end(&w);
}

static int run(const struct ctl_context *context)
{
    struct arguments arguments = {0};
    struct buffer path = {0}, body = {0}, answer = {0};
    const char *fault = parse(context, &arguments);
    size_t offset;
    int code;

    if (fault)
        return ctl_usage(&ctl_publish, fault);
    if (!arguments.text && json_validate(slice_from(arguments.data), 32, &fault, &offset)) {
        (void)fprintf(stderr, "warrenctl publish: DATA is not JSON: %s at byte %zu (for plain text: --text)\n", fault,
                      offset);
        return CTL_USAGE;
    }
    write_request(&arguments, &path, &body);
    code = buffer_error(&path) || buffer_error(&body)
               ? CTL_NO
               : ctl_request(context, "POST", path.data, buffer_slice(&body), &answer);
    if (code == CTL_OK && context->json)
        (void)printf("%.*s\n", SLICE_PRINTF(buffer_slice(&answer)));
    else if (code == CTL_OK) {
        struct json_value sessions = ctl_member(buffer_slice(&answer), "sessions");

        (void)printf("published %.*s", SLICE_PRINTF(json_string_raw(ctl_member(buffer_slice(&answer), "message"))));
        if (sessions.type == JSON_NUMBER)
            (void)printf(" to %.*s sessions", SLICE_PRINTF(sessions.text));
        (void)putchar('\n');
    }
    buffer_deinit(&path);
    buffer_deinit(&body);
    buffer_deinit(&answer);
    return code;
}

const struct ctl_command ctl_publish = {"publish", "--room R|--user U|--all [--key K] [--from F] [--text] DATA",
                                        "publish DATA (JSON, or with --text a string)", run};
