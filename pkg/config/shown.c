/*
 * Values as they may be shown. A secret's text never gets out: of a URL the password is replaced, anything else is
 * replaced whole.
 */
#include "config/config_internal.h"

#define MASK "***"

/** The password in a URL: what is between the first ':' behind "//" and the last '@'; not set if there is none. */
static struct slice url_password(struct slice url)
{
    const char *scheme = memmem(url.data, url.size, "://", 3);
    size_t start = scheme ? (size_t)(scheme - url.data) + 3 : 0;
    const char *at = url.size > start ? memrchr(url.data + start, '@', url.size - start) : NULL;
    const char *colon = at ? memchr(url.data + start, ':', (size_t)(at - url.data) - start) : NULL;

    /* A password with an unescaped '/' would hide from a stricter reading: better too much masked than too little. */
    return colon ? slice_make(colon + 1, (size_t)(at - colon) - 1) : SLICE_NONE;
}

static void write_masked_url(struct slice url, struct buffer *out)
{
    struct slice password = url_password(url);

    if (!slice_is_set(password)) {
        buffer_append_slice(out, url);
        return;
    }
    buffer_append(out, url.data, (size_t)(password.data - url.data));
    buffer_append_text(out, MASK);
    buffer_append_slice(out, slice_skip(url, (size_t)(password.data + password.size - url.data)));
}

void config_write_shown(const struct config_option *option, struct slice text, struct buffer *out)
{
    if (option->secrecy == CONFIG_SECRET_URL)
        write_masked_url(text, out);
    else if (option->secrecy == CONFIG_SECRET && text.size > 0)
        buffer_append_text(out, MASK);
    else
        buffer_append_slice(out, text);
}

void config_write_text(const struct config_option *option, struct slice text, struct buffer *out)
{
    struct slice rest = text, item;
    const char *comma = "";
    int64_t number;
    bool boolean;

    switch (option->type) {
    case CONFIG_BOOL:
        buffer_append_text(out, config_value_parse_bool(text, &boolean) && boolean ? "yes" : "no");
        break;
    case CONFIG_INTEGER:
    case CONFIG_BYTES:
    case CONFIG_DURATION:
        if (config_value_parse_number(option->type, text, &number))
            config_value_write_number(option->type, number, out);
        break;
    case CONFIG_TEXT:
    case CONFIG_CHOICE:
        config_write_shown(option, text, out);
        break;
    case CONFIG_LIST:
        while (text.size > 0 && slice_split(&rest, ',', &item)) {
            buffer_append_text(out, comma);
            config_write_shown(option, slice_trim(item), out);
            comma = ", ";
        }
        break;
    }
}
