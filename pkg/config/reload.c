/*
 * Two configurations of the same tables: what differs, and taking over what may change while the process runs.
 *
 * Taking over exchanges: texts, places and values of an option change sides, so nothing can fail half-way, and what was
 * replaced is freed with the other configuration. Sections of a family that only one side has are a difference, and
 * stay where they are.
 */
#include "config/config_internal.h"

/** The same section of another configuration, or NULL. */
static struct config_section *counterpart(const struct config *other, const struct config_section *s)
{
    for (size_t i = 0; i < other->section_count; i++) {
        struct config_section *o = other->sections[i];

        if (o->options != s->options || !o->family != !s->family)
            continue;
        if (!s->family || (strcmp(o->family->prefix, s->family->prefix) == 0 && strcmp(o->name, s->name) == 0))
            return o;
    }
    return NULL;
}

/** Whether two texts mean another value; "60s" is "1m". */
static bool texts_differ(const struct config_option *option, struct slice a, struct slice b)
{
    struct buffer text_a = {0}, text_b = {0};
    bool differ = !slice_equal(a, b);

    if (differ && option->secrecy == CONFIG_PUBLIC) {
        config_write_text(option, a, &text_a);
        config_write_text(option, b, &text_b);
        if (!buffer_error(&text_a) && !buffer_error(&text_b))
            differ = !slice_equal(buffer_slice(&text_a), buffer_slice(&text_b));
    }
    buffer_deinit(&text_a);
    buffer_deinit(&text_b);
    return differ;
}

static bool settings_differ(const struct config_section *a, const struct config_section *b, size_t index)
{
    const struct config_option *option = &a->options[index];

    return texts_differ(option, config_text(&a->settings[index], option), config_text(&b->settings[index], option));
}

/** Texts of one call; the callee borrows them. */
struct telling {
    config_change_fn *tell;
    void *userdata;
    struct buffer key, before, after;
};

static int tell(struct telling *t, bool reloadable, bool has_before, bool has_after)
{
    const struct config_change change = {
        .key = buffer_slice(&t->key),
        .before = has_before ? buffer_slice(&t->before) : SLICE_NONE,
        .after = has_after ? buffer_slice(&t->after) : SLICE_NONE,
        .reloadable = reloadable,
    };

    if (buffer_error(&t->key) || buffer_error(&t->before) || buffer_error(&t->after))
        return -ENOMEM;
    t->tell(t->userdata, &change);
    return 0;
}

static void telling_reset(struct telling *t)
{
    buffer_reset(&t->key, SIZE_MAX);
    buffer_reset(&t->before, SIZE_MAX);
    buffer_reset(&t->after, SIZE_MAX);
}

static int compare_section(struct telling *t, const struct config_section *a, const struct config_section *b)
{
    int result = 0;

    for (size_t i = 0; result == 0 && i < a->count; i++) {
        const struct config_option *option = &a->options[i];

        if (!settings_differ(a, b, i))
            continue;
        telling_reset(t);
        config_write_key(a, option, &t->key);
        config_write_text(option, config_text(&a->settings[i], option), &t->before);
        config_write_text(option, config_text(&b->settings[i], option), &t->after);
        result = tell(t, option->reloadable, true, true);
    }
    return result;
}

/** A section that one side lacks, as a whole. */
static int compare_lone(struct telling *t, const struct config_section *s, bool is_before)
{
    telling_reset(t);
    buffer_printf(&t->key, "[%s.%s]", s->family->prefix, s->name);
    return tell(t, false, is_before, !is_before);
}

int config_compare(const struct config *before, const struct config *after, config_change_fn *callee, void *userdata)
{
    struct telling t = {.tell = callee, .userdata = userdata};
    int result = 0;

    assert(before->is_finished && after->is_finished);
    for (size_t i = 0; result == 0 && i < before->section_count; i++) {
        const struct config_section *other = counterpart(after, before->sections[i]);

        result = other ? compare_section(&t, before->sections[i], other) : compare_lone(&t, before->sections[i], true);
    }
    for (size_t i = 0; result == 0 && i < after->section_count; i++)
        if (!counterpart(before, after->sections[i]))
            result = compare_lone(&t, after->sections[i], false);
    buffer_deinit(&t.key);
    buffer_deinit(&t.before);
    buffer_deinit(&t.after);
    return result;
}

static size_t value_size(enum config_type type)
{
    switch (type) {
    case CONFIG_BOOL:
        return sizeof(bool);
    case CONFIG_INTEGER:
    case CONFIG_BYTES:
    case CONFIG_DURATION:
        return sizeof(int64_t);
    case CONFIG_TEXT:
        return sizeof(char *);
    case CONFIG_LIST:
        return sizeof(struct config_list);
    case CONFIG_CHOICE:
        return sizeof(int);
    }
    return 0;
}

static void exchange(struct config_section *a, struct config_section *b, size_t index)
{
    const struct config_option *option = &a->options[index];
    struct config_setting setting = a->settings[index];
    unsigned char value[sizeof(struct config_list)];
    size_t size = value_size(option->type);
    char *of_a = (char *)a->values + option->offset, *of_b = (char *)b->values + option->offset;

    assert(size <= sizeof(value));
    a->settings[index] = b->settings[index];
    b->settings[index] = setting;
    memcpy(value, of_a, size);
    memcpy(of_a, of_b, size);
    memcpy(of_b, value, size);
}

void config_adopt(struct config *c, struct config *from)
{
    assert(c->is_finished && from->is_finished);
    for (size_t i = 0; i < c->section_count; i++) {
        struct config_section *s = c->sections[i], *other = counterpart(from, s);

        for (size_t k = 0; other && k < s->count; k++)
            if (s->options[k].reloadable && settings_differ(s, other, k))
                exchange(s, other, k);
    }
}
