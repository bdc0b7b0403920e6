/* Lines of an archive that was drained. They are read by programs: one line a record, whatever its data. */
#include "bus/record.h"
#include "base/base64.h"
#include "base/utf8.h"
#include "bus/body_internal.h"

#include <stdio.h>

static const char *const kinds[] = {
    [MESSAGE_KIND_SIGNAL] = "signal",
    [MESSAGE_KIND_RELAY] = "relay",
    [MESSAGE_KIND_CONTROL] = "control",
};

/** A value on one line: in JSON a raw line feed stands only between tokens. */
static void write_json(struct json_writer *w, struct slice json)
{
    base_cleanup(buffer_deinit)
    struct buffer line = {0};

    buffer_append_slice(&line, json);
    for (size_t i = 0; i < line.size; i++) {
        if (line.data[i] == '\n' || line.data[i] == '\r')
            line.data[i] = ' ';
    }
    if (buffer_error(&line))
        w->out->error = -ENOMEM;
    json_write_raw(w, buffer_slice(&line));
}

static void write_octets(struct json_writer *w, struct slice octets)
{
    base_cleanup(buffer_deinit)
    struct buffer text = {0};

    base64_encode(octets.data, octets.size, &text);
    if (buffer_error(&text))
        w->out->error = -ENOMEM;
    json_write_member_string(w, "data", buffer_slice(&text));
    json_write_member_text(w, "encoding", "base64");
}

static void write_data(struct json_writer *w, const struct message *m)
{
    const char *error;

    if (slice_equal(m->content_type, CONTENT_TYPE_JSON) && !json_validate(m->data, JSON_DEPTH_MAX, &error, NULL)) {
        json_write_name(w, "data");
        write_json(w, m->data);
    } else if (utf8_is_valid(m->data) && slice_starts_with(m->content_type, SLICE_LITERAL("text/"))) {
        json_write_member_string(w, "data", m->data);
    } else {
        write_octets(w, m->data);
    }
}

static void write_meta(struct json_writer *w, struct slice meta)
{
    base_cleanup(buffer_deinit)
    struct buffer json = {0};

    if (body_msgpack_to_json(meta, &json))
        return; /* what cannot be said in JSON; the data stands there all the same */
    if (buffer_error(&json))
        w->out->error = -ENOMEM;
    json_write_name(w, "meta");
    json_write_raw(w, buffer_slice(&json));
}

void bus_record_write(const struct message *m, struct buffer *out)
{
    struct json_writer w;
    char epoch[24];

    json_writer_init(&w, out);
    json_write_object_begin(&w);
    json_write_member_string(&w, "channel", m->channel);
    json_write_member_string(&w, "id", m->id);
    json_write_member_int64(&w, "time", m->time_ms);
    if (slice_is_set(m->from))
        json_write_member_string(&w, "from", m->from);
    json_write_member_string(&w, "content_type", m->content_type);
    write_data(&w, m);
    if (m->epoch) {
        (void)snprintf(epoch, sizeof(epoch), "%llu", (unsigned long long)m->epoch);
        json_write_member_text(&w, "epoch", epoch);
        json_write_member_uint64(&w, "offset", m->offset);
    }
    if (m->kind != MESSAGE_KIND_MESSAGE)
        json_write_member_text(&w, "kind", kinds[m->kind]);
    if (slice_is_set(m->meta))
        write_meta(&w, m->meta);
    json_write_object_end(&w);
    buffer_append_char(out, '\n');
}

void bus_record_write_unreadable(const char *why, struct slice content_type, struct slice body, struct buffer *out)
{
    struct json_writer w;

    json_writer_init(&w, out);
    json_write_object_begin(&w);
    json_write_member_text(&w, "unreadable", why);
    if (slice_is_set(content_type))
        json_write_member_string(&w, "content_type", content_type);
    write_octets(&w, body);
    json_write_object_end(&w);
    buffer_append_char(out, '\n');
}
