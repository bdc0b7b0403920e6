/* The state as JSON: every option with its value, where that comes from, and what its row says. */
#include "base/json.h"
#include "config/config_internal.h"

/** A value in JSON's own type where it has one; sizes and durations as texts with their unit. */
static void write_json_value(struct json_writer *w, const struct config_option *option, struct slice text,
                             struct buffer *scratch)
{
    struct slice rest = text, item;
    int64_t number = 0;
    bool boolean = false;

    if (option->type == CONFIG_BOOL && config_value_parse_bool(text, &boolean)) {
        json_write_bool(w, boolean);
    } else if (option->type == CONFIG_INTEGER && config_value_parse_number(option->type, text, &number)) {
        json_write_int64(w, number);
    } else if (option->type == CONFIG_LIST) {
        json_write_array_begin(w);
        while (text.size > 0 && slice_split(&rest, ',', &item)) {
            buffer_reset(scratch, SIZE_MAX);
            config_write_shown(option, slice_trim(item), scratch);
            json_write_string(w, buffer_slice(scratch));
        }
        json_write_array_end(w);
    } else {
        buffer_reset(scratch, SIZE_MAX);
        config_write_text(option, text, scratch);
        json_write_string(w, buffer_slice(scratch));
    }
    if (buffer_error(scratch) && !w->out->error)
        w->out->error = buffer_error(scratch);
}

static void write_json_option(struct json_writer *w, const struct config_section *s, size_t index,
                              struct buffer *scratch)
{
    const struct config_option *option = &s->options[index];
    const struct config_setting *setting = &s->settings[index];
    const struct config_slot *winner = config_winner(setting);

    json_write_object_begin(w);
    buffer_reset(scratch, SIZE_MAX);
    config_write_key(s, option, scratch);
    json_write_member_string(w, "key", buffer_slice(scratch));
    json_write_name(w, "value");
    write_json_value(w, option, config_text(setting, option), scratch);
    json_write_member_text(w, "source", winner ? winner->where : "default");
    json_write_name(w, "default");
    write_json_value(w, option, slice_from(option->default_text ? option->default_text : ""), scratch);
    json_write_member_bool(w, "reloadable", option->reloadable);
    json_write_member_text(w, "help", option->help ? option->help : "");
    json_write_object_end(w);
}

void config_write_json(const struct config *c, struct buffer *out)
{
    struct buffer scratch = {0};
    struct json_writer w;

    json_writer_init(&w, out);
    json_write_object_begin(&w);
    json_write_name(&w, "options");
    json_write_array_begin(&w);
    for (size_t i = 0; i < c->section_count; i++) {
        for (size_t k = 0; k < c->sections[i]->count; k++)
            write_json_option(&w, c->sections[i], k, &scratch);
    }
    json_write_array_end(&w);
    json_write_object_end(&w);
    buffer_deinit(&scratch);
}
