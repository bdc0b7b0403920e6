#include "warrenctl.h"

#include <stdio.h>
#include <time.h>

void table_add_row(struct table *t)
{
    char **grown;

    if (t->failed)
        return;
    grown = realloc(t->cells, (t->rows + 1) * t->columns * sizeof(*grown));
    if (!grown) {
        t->failed = true;
        return;
    }
    t->cells = grown;
    for (size_t i = 0; i < t->columns; i++)
        t->cells[t->rows * t->columns + i] = NULL;
    t->rows++;
}

/** Characters as a terminal counts them, nearly: code points. */
static size_t width_of(const char *text)
{
    size_t width = 0;

    for (; *text; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

/** Controls become '?', also those of U+0080 to U+009F, which terminals obey as well. */
static void hide_controls(char *text)
{
    char *to = text;

    for (const char *from = text; *from; from++) {
        if ((unsigned char)from[0] == 0xc2 && (unsigned char)from[1] >= 0x80 && (unsigned char)from[1] < 0xa0) {
            *to++ = '?';
            from++;
        } else {
            *to++ = *from;
            if ((unsigned char)*from < 0x20 || *from == 0x7f)
                to[-1] = '?';
        }
    }
    *to = '\0';
}

void table_set(struct table *t, size_t column, struct slice text)
{
    char **cell, *copy;

    if (t->failed)
        return;
    cell = &t->cells[(t->rows - 1) * t->columns + column];
    copy = slice_dup(text);
    if (!copy) {
        t->failed = true;
        return;
    }
    hide_controls(copy);
    free(*cell);
    *cell = copy;
}

void table_set_value(struct table *t, size_t column, struct json_value value)
{
    struct buffer text = {0};

    if (value.type == JSON_STRING)
        json_string_decode(json_string_raw(value), &text);
    else if (value.type == JSON_BOOL)
        buffer_append_text(&text, slice_equal_text(value.text, "true") ? "yes" : "no");
    else if (value.type == JSON_NULL)
        buffer_append_text(&text, "-");
    else
        buffer_append_slice(&text, value.text);
    table_set(t, column, buffer_error(&text) ? SLICE_LITERAL("?") : buffer_slice(&text));
    buffer_deinit(&text);
}

void table_set_time(struct table *t, size_t column, struct json_value value)
{
    char text[32];
    struct tm tm;
    int64_t ms;
    time_t seconds;

    if (value.type != JSON_NUMBER || !json_number_int64(value, 1, INT64_MAX, &ms))
        return;
    seconds = (time_t)(ms / 1000);
    if (gmtime_r(&seconds, &tm) && strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm))
        table_set(t, column, slice_from(text));
}

static const char *cell_text(const struct table *t, size_t row, size_t column)
{
    const char *cell = t->cells[row * t->columns + column];

    return cell && cell[0] ? cell : "-";
}

static void print_cell(const char *text, size_t width, bool is_last)
{
    (void)printf("%s", text);
    for (size_t have = width_of(text); !is_last && have < width + 2; have++)
        (void)putchar(' ');
}

void table_print(struct table *t)
{
    size_t widths[TABLE_COLUMNS_MAX];

    for (size_t column = 0; column < t->columns; column++) {
        widths[column] = width_of(t->headings[column]);
        for (size_t row = 0; row < t->rows; row++) {
            size_t width = width_of(cell_text(t, row, column));

            widths[column] = width > widths[column] ? width : widths[column];
        }
    }
    for (size_t column = 0; column < t->columns; column++)
        print_cell(t->headings[column], widths[column], column + 1 == t->columns);
    (void)putchar('\n');
    for (size_t row = 0; row < t->rows; row++) {
        for (size_t column = 0; column < t->columns; column++)
            print_cell(cell_text(t, row, column), widths[column], column + 1 == t->columns);
        (void)putchar('\n');
    }
    if (t->failed)
        (void)fprintf(stderr, "warrenctl: out of memory; the table is not whole\n");
    for (size_t i = 0; i < t->rows * t->columns; i++)
        free(t->cells[i]);
    free(t->cells);
    t->cells = NULL;
    t->rows = 0;
}

struct json_value ctl_member(struct slice object, const char *name)
{
    const struct json_value nothing = {JSON_NULL, SLICE_NONE};
    struct json_reader reader;
    struct json_value value;
    struct slice member;

    json_reader_init(&reader, object, JSON_DEPTH_MAX);
    if (json_reader_enter_object(&reader))
        return nothing;
    while (json_reader_member(&reader, &member, &value) == JSON_OK) {
        if (json_string_equal(member, name))
            return value;
    }
    return nothing;
}

int ctl_each(struct slice json, const char *name, void (*row)(void *userdata, struct slice object), void *userdata)
{
    struct json_value array = ctl_member(json, name), value;
    struct json_reader reader;
    int result;

    if (array.type != JSON_ARRAY)
        return -EINVAL;
    json_reader_init(&reader, array.text, JSON_DEPTH_MAX);
    result = json_reader_enter_array(&reader);
    while (!result && (result = json_reader_element(&reader, &value)) == JSON_OK)
        row(userdata, value.text);
    return result == JSON_END ? 0 : -EINVAL;
}

bool ctl_value_is(struct json_value value, const char *text)
{
    if (value.type == JSON_STRING)
        return json_string_equal(json_string_raw(value), text);
    return slice_equal_text(value.text, text);
}
