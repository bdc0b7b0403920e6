/* What commands about a channel have in common: its options, its path in the API, and a line a message. */
#include "warrenctl.h"

#include "base/name.h"
#include "client/client.h"

#include <stdio.h>
#include <time.h>

bool ctl_channel_option(struct ctl_channel *c, int option, const char *value)
{
    if (option == 'r')
        c->room = value;
    else if (option == 'u')
        c->user = value;
    else if (option == 'a')
        c->all = true;
    else
        return false;
    return true;
}

const char *ctl_channel_check(const struct ctl_channel *c)
{
    if ((c->room != NULL) + (c->user != NULL) + c->all != 1)
        return "expected one of --room, --user, --all";
    return c->all ? NULL : ctl_name_check(c->room ? c->room : c->user);
}

const char *ctl_name_check(const char *name)
{
    return name_check(slice_from(name)) ? "expected a name of 1 to 128 bytes of UTF-8 without control characters"
                                        : NULL;
}

const char *ctl_limit_check(const char *limit)
{
    uint64_t number;

    return slice_to_uint64(slice_from(limit), 500, &number) ? NULL : "expected a number from 0 to 500";
}

void ctl_channel_path(const struct ctl_channel *c, struct buffer *path)
{
    if (c->all) {
        buffer_append_text(path, "/v1/broadcast");
        return;
    }
    buffer_append_text(path, c->room ? "/v1/rooms/" : "/v1/users/");
    client_path_append(path, slice_from(c->room ? c->room : c->user));
    buffer_append_text(path, "/messages");
}

/** What a terminal would obey is shown as '?'. */
static void print_clean(struct slice text)
{
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];

        (void)putchar(c < 0x20 || c == 0x7f ? '?' : c);
    }
}

void ctl_message_print(void *userdata base_unused, struct slice object)
{
    struct json_value time_value = ctl_member(object, "time"), from = ctl_member(object, "from");
    struct buffer name = {0};
    struct tm tm;
    char text[32] = "-";
    int64_t ms;
    time_t seconds;

    if (time_value.type == JSON_NUMBER && json_number_int64(time_value, 0, INT64_MAX, &ms)) {
        seconds = (time_t)(ms / 1000);
        if (gmtime_r(&seconds, &tm))
            (void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
    }
    if (from.type == JSON_STRING)
        json_string_decode(json_string_raw(from), &name);
    (void)printf("%s %.*s:%.*s ", text, SLICE_PRINTF(json_string_raw(ctl_member(object, "epoch"))),
                 SLICE_PRINTF(ctl_member(object, "offset").text));
    print_clean(name.size ? buffer_slice(&name) : SLICE_LITERAL("-"));
    (void)putchar(' ');
    print_clean(ctl_member(object, "data").text);
    (void)putchar('\n');
    buffer_deinit(&name);
}
