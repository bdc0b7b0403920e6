/*
 * The writer knows of each open level whether it has a member yet, and of the place it is at whether a name stands
 * before it: that decides about the comma. Whether the calls make sense (a name before each member, ends that match) is
 * the caller's own structure.
 */
#include "base/json_internal.h"

#include <math.h>
#include <stdio.h>

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

void json_writer_init(struct json_writer *w, struct buffer *out)
{
    *w = (struct json_writer){.out = out};
}

/** Before each value and each name. */
static void separate(struct json_writer *w)
{
    uint64_t level;

    if (w->after_name) {
        w->after_name = false;
        return;
    }
    if (w->depth == 0)
        return;
    level = UINT64_C(1) << (w->depth - 1);
    if (w->has_members & level)
        buffer_append_char(w->out, ',');
    w->has_members |= level;
}

static void begin(struct json_writer *w, char bracket)
{
    assert(w->depth < JSON_DEPTH_MAX);
    separate(w);
    buffer_append_char(w->out, bracket);
    w->has_members &= ~(UINT64_C(1) << w->depth);
    w->depth++;
}

static void end(struct json_writer *w, char bracket)
{
    assert(w->depth > 0 && !w->after_name);
    w->depth--;
    buffer_append_char(w->out, bracket);
}

void json_write_object_begin(struct json_writer *w)
{
    begin(w, '{');
}

void json_write_object_end(struct json_writer *w)
{
    end(w, '}');
}

void json_write_array_begin(struct json_writer *w)
{
    begin(w, '[');
}

void json_write_array_end(struct json_writer *w)
{
    end(w, ']');
}

/** What json_clean_run() stopped at: one byte. */
static void append_special(struct buffer *out, unsigned char c)
{
    static const char letters[0x20] = {['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};

    if (c == '"' || c == '\\') {
        buffer_append_char(out, '\\');
        buffer_append_char(out, (char)c);
    } else if (c >= 0x20) {
        buffer_append_text(out, REPLACEMENT);
    } else if (letters[c]) {
        buffer_append_char(out, '\\');
        buffer_append_char(out, letters[c]);
    } else {
        buffer_printf(out, "\\u%04x", c);
    }
}

static void append_string(struct buffer *out, struct slice s)
{
    buffer_append_char(out, '"');
    while (s.size > 0) {
        size_t clean = json_clean_run(s);

        buffer_append(out, s.data, clean);
        s = slice_skip(s, clean);
        if (s.size > 0) {
            append_special(out, (unsigned char)s.data[0]);
            s = slice_skip(s, 1);
        }
    }
    buffer_append_char(out, '"');
}

void json_write_name(struct json_writer *w, const char *name)
{
    assert(w->depth > 0 && !w->after_name);
    separate(w);
    append_string(w->out, slice_from(name));
    buffer_append_char(w->out, ':');
    w->after_name = true;
}

void json_write_string(struct json_writer *w, struct slice s)
{
    separate(w);
    append_string(w->out, s);
}

void json_write_text(struct json_writer *w, const char *text)
{
    if (!text) {
        json_write_null(w);
        return;
    }
    json_write_string(w, slice_from(text));
}

void json_write_int64(struct json_writer *w, int64_t value)
{
    separate(w);
    buffer_append_int64(w->out, value);
}

void json_write_uint64(struct json_writer *w, uint64_t value)
{
    separate(w);
    buffer_append_uint64(w->out, value);
}

void json_write_double(struct json_writer *w, double value)
{
    char text[32];

    if (!isfinite(value)) {
        json_write_null(w);
        return;
    }
    (void)snprintf(text, sizeof(text), "%.15g",
                   value); /* 0.1, not 0.10000000000000001; the daemon keeps the C locale */
    if (strtod(text, NULL) < value || strtod(text, NULL) > value)
        (void)snprintf(text, sizeof(text), "%.17g", value);
    separate(w);
    buffer_append_text(w->out, text);
}

void json_write_bool(struct json_writer *w, bool value)
{
    separate(w);
    buffer_append_text(w->out, value ? "true" : "false");
}

void json_write_null(struct json_writer *w)
{
    separate(w);
    buffer_append_text(w->out, "null");
}

void json_write_raw(struct json_writer *w, struct slice json)
{
    separate(w);
    buffer_append_slice(w->out, json);
}

void json_write_member_string(struct json_writer *w, const char *name, struct slice s)
{
    json_write_name(w, name);
    json_write_string(w, s);
}

void json_write_member_text(struct json_writer *w, const char *name, const char *text)
{
    json_write_name(w, name);
    json_write_text(w, text);
}

void json_write_member_int64(struct json_writer *w, const char *name, int64_t value)
{
    json_write_name(w, name);
    json_write_int64(w, value);
}

void json_write_member_uint64(struct json_writer *w, const char *name, uint64_t value)
{
    json_write_name(w, name);
    json_write_uint64(w, value);
}

void json_write_member_bool(struct json_writer *w, const char *name, bool value)
{
    json_write_name(w, name);
    json_write_bool(w, value);
}
