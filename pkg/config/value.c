/*
 * Texts and what they mean, type by type: check, store, and say what was expected.
 *
 * A check without a value to show for it comes first (all sources, all errors), the store later (once); both go through
 * the same few parsers. No arithmetic can overflow: digits are bounded by INT64_MAX when they are read, and units
 * multiply with a check.
 */
#include "base/utf8.h"
#include "config/config_internal.h"

/** Bytes of a value that an error repeats. */
#define CONFIG_SHOWN_BYTES 80

struct unit {
    const char *suffix;
    int64_t factor;
};

static const struct unit plain_units[] = {{"", 1}, {NULL, 0}};
static const struct unit byte_units[] = {{"", 1}, {"k", 1 << 10}, {"m", 1 << 20}, {"g", 1 << 30}, {NULL, 0}};
static const struct unit duration_units[] = {{"ms", 1},      {"s", 1000},     {"m", 60000},
                                             {"h", 3600000}, {"d", 86400000}, {NULL, 0}};

static const struct unit *units_of(enum config_type type)
{
    if (type == CONFIG_DURATION)
        return duration_units;
    return type == CONFIG_BYTES ? byte_units : plain_units;
}

bool config_value_parse_number(enum config_type type, struct slice text, int64_t *ret_value)
{
    bool is_negative = type == CONFIG_INTEGER && text.size > 0 && text.data[0] == '-';
    struct slice digits = is_negative ? slice_skip(text, 1) : text, suffix;
    uint64_t number;
    size_t size = 0;
    int64_t value;

    while (size < digits.size && digits.data[size] >= '0' && digits.data[size] <= '9')
        size++;
    suffix = slice_skip(digits, size);
    if (!slice_to_uint64(slice_make(digits.data, size), INT64_MAX, &number))
        return false;
    if (type == CONFIG_DURATION && suffix.size == 0 && number == 0) {
        *ret_value = 0; /* the one duration that needs no unit */
        return true;
    }
    for (const struct unit *unit = units_of(type); unit->suffix; unit++) {
        if (!slice_equal_nocase(suffix, slice_from(unit->suffix)))
            continue;
        if (__builtin_mul_overflow((int64_t)number, unit->factor, &value))
            return false;
        *ret_value = is_negative ? -value : value;
        return true;
    }
    return false;
}

void config_value_write_number(enum config_type type, int64_t value, struct buffer *out)
{
    const struct unit *units = units_of(type), *best = units;

    /* The largest unit that divides it; but people say 60s, 60m and 24h, so one of a unit is told in the smaller where
     * that is few. */
    for (const struct unit *unit = units; unit->suffix; unit++) {
        if (value % unit->factor == 0 && (value / unit->factor != 1 || unit == units || value / unit[-1].factor > 60))
            best = unit;
    }
    if (value == 0)
        best = type == CONFIG_DURATION ? &units[1] : units;
    buffer_append_int64(out, value / best->factor);
    buffer_append_text(out, best->suffix);
}

bool config_value_parse_bool(struct slice text, bool *ret_value)
{
    static const char *const words[] = {"no", "yes", "false", "true", "off", "on", "0", "1"};

    for (size_t i = 0; i < BASE_ARRAY_SIZE(words); i++) {
        if (!slice_equal_nocase(text, slice_from(words[i])))
            continue;
        *ret_value = i % 2 == 1;
        return true;
    }
    return false;
}

static bool parse_choice(const struct config_option *option, struct slice text, int *ret_index)
{
    for (int i = 0; option->choices[i]; i++) {
        if (!slice_equal_text(text, option->choices[i]))
            continue;
        *ret_index = i;
        return true;
    }
    return false;
}

/** Bounds as they count: none at all means not negative, a lower one alone has no end. */
static void bounds_of(const struct config_option *option, int64_t *ret_min, int64_t *ret_max)
{
    *ret_min = option->min;
    *ret_max = option->max == 0 && option->min >= 0 ? INT64_MAX : option->max;
}

static bool is_in_bounds(const struct config_option *option, int64_t value)
{
    int64_t min, max;

    bounds_of(option, &min, &max);
    return value >= min && value <= max;
}

static void write_number_expected(const struct config_option *option, const char *noun, const char *example,
                                  struct buffer *out)
{
    struct slice shown = slice_from(example);
    int64_t min, max, value;

    bounds_of(option, &min, &max);
    buffer_append_text(out, noun);
    if (max != INT64_MAX) {
        buffer_append_text(out, " from ");
        config_value_write_number(option->type, min, out);
        buffer_append_text(out, " to ");
        config_value_write_number(option->type, max, out);
    } else if (min > 0) {
        buffer_append_text(out, " of at least ");
        config_value_write_number(option->type, min, out);
    }
    if (!example)
        return;
    if (!config_value_parse_number(option->type, shown, &value) || !is_in_bounds(option, value))
        shown = slice_from(option->default_text);
    if (shown.size > 0) {
        buffer_append_text(out, " such as ");
        buffer_append_slice(out, shown);
    }
}

void config_value_write_expected(const struct config_option *option, struct buffer *out)
{
    switch (option->type) {
    case CONFIG_BOOL:
        buffer_append_text(out, "yes or no");
        break;
    case CONFIG_INTEGER:
        write_number_expected(option, "a whole number", NULL, out);
        break;
    case CONFIG_BYTES:
        write_number_expected(option, "a size", "64k", out);
        break;
    case CONFIG_DURATION:
        write_number_expected(option, "a duration", "25s", out);
        break;
    case CONFIG_TEXT:
        buffer_append_text(out, "a text");
        break;
    case CONFIG_LIST:
        buffer_append_text(out, "a list separated by commas");
        break;
    case CONFIG_CHOICE:
        buffer_append_text(out, "one of ");
        for (size_t i = 0; option->choices[i]; i++) {
            buffer_append_text(out, i > 0 ? ", " : "");
            buffer_append_text(out, option->choices[i]);
        }
        break;
    }
}

void config_write_quoted(struct slice text, struct buffer *out)
{
    struct slice shown = utf8_is_valid(text) ? utf8_prefix(text, CONFIG_SHOWN_BYTES) : SLICE_LITERAL("(not UTF-8)");

    buffer_append_char(out, '"');
    for (size_t i = 0; i < shown.size; i++) {
        unsigned char byte = (unsigned char)shown.data[i];

        if (byte < 0x20 || byte == 0x7f)
            buffer_printf(out, "\\x%02x", byte);
        else
            buffer_append_char(out, (char)byte);
    }
    buffer_append_text(out, shown.size < text.size ? "…\"" : "\"");
}

/** Runs the option's own check over one text, or over each item of a list; NULL or what was expected. */
static const char *run_check(const struct config_option *option, struct slice text)
{
    struct slice rest = text, item;
    const char *expected;

    if (option->type != CONFIG_LIST || text.size == 0)
        return option->check ? option->check(text) : NULL;
    while (slice_split(&rest, ',', &item)) {
        item = slice_trim(item);
        if (item.size == 0)
            return "expected a list separated by commas without an empty item";
        expected = option->check ? option->check(item) : NULL;
        if (expected)
            return expected;
    }
    return NULL;
}

static bool is_of_type(const struct config_option *option, struct slice text)
{
    int64_t number;
    bool boolean;
    int index;

    switch (option->type) {
    case CONFIG_BOOL:
        return config_value_parse_bool(text, &boolean);
    case CONFIG_INTEGER:
    case CONFIG_BYTES:
    case CONFIG_DURATION:
        return config_value_parse_number(option->type, text, &number) && is_in_bounds(option, number);
    case CONFIG_CHOICE:
        return parse_choice(option, text, &index);
    case CONFIG_TEXT:
    case CONFIG_LIST:
        break;
    }
    return true;
}

int config_value_check(const struct config_option *option, struct slice text, struct buffer *reason)
{
    bool is_unset = text.size == 0 && (!option->default_text || !*option->default_text);
    const char *expected = NULL;
    bool is_good = is_of_type(option, text);

    /* An option whose default is empty may be left empty: that is how it is not set. */
    if (is_good && !(is_unset && (option->type == CONFIG_TEXT || option->type == CONFIG_LIST)))
        expected = run_check(option, text);
    if (is_good && !expected)
        return 0;
    if (expected) {
        buffer_append_text(reason, expected);
    } else {
        buffer_append_text(reason, "expected ");
        config_value_write_expected(option, reason);
    }
    if (option->secrecy == CONFIG_PUBLIC) {
        buffer_append_text(reason, ", got ");
        config_write_quoted(text, reason);
    }
    return buffer_error(reason) == -ENOMEM ? -ENOMEM : CONFIG_E_INVALID;
}

static void list_clear(struct config_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i]);
    free(list->items);
    *list = (struct config_list){0};
}

static int list_store(struct slice text, struct config_list *ret_list)
{
    struct config_list list = {0};
    struct slice rest = text, item;
    size_t commas = 0;

    if (text.size == 0) {
        *ret_list = list;
        return 0;
    }
    for (size_t i = 0; i < text.size; i++)
        commas += text.data[i] == ',';
    list.items = calloc(commas + 1, sizeof(*list.items));
    if (!list.items)
        return -ENOMEM;
    while (slice_split(&rest, ',', &item)) {
        list.items[list.count] = slice_dup(slice_trim(item));
        if (!list.items[list.count]) {
            list_clear(&list);
            return -ENOMEM;
        }
        list.count++;
    }
    *ret_list = list;
    return 0;
}

int config_value_store(const struct config_option *option, struct slice text, void *values)
{
    void *member = (char *)values + option->offset;
    bool is_good = true;
    char *copy;

    switch (option->type) {
    case CONFIG_BOOL:
        is_good = config_value_parse_bool(text, member);
        break;
    case CONFIG_INTEGER:
    case CONFIG_BYTES:
    case CONFIG_DURATION:
        is_good = config_value_parse_number(option->type, text, member);
        break;
    case CONFIG_TEXT:
        copy = slice_dup(text);
        if (!copy)
            return -ENOMEM;
        *(char **)member = copy;
        break;
    case CONFIG_LIST:
        return list_store(text, member);
    case CONFIG_CHOICE:
        is_good = parse_choice(option, text, member);
        break;
    }
    assert(is_good); /* it was checked */
    (void)is_good;
    return 0;
}

void config_value_clear(const struct config_option *option, void *values)
{
    void *member = (char *)values + option->offset;

    if (option->type == CONFIG_LIST)
        list_clear(member);
    if (option->type != CONFIG_TEXT)
        return;
    free(*(char **)member);
    *(char **)member = NULL;
}
