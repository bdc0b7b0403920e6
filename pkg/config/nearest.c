/*
 * The nearest known name to one that nobody knows.
 *
 * Distance is that of optimal string alignment: inserting, deleting, replacing a byte or swapping two neighbours costs
 * one. A name is offered when no more than a third of the letters are wrong, and at most four.
 */
#include "config/config_internal.h"

#include <stdio.h>

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/** Three rows of the usual matrix; both names are at most CONFIG_KEY_MAX_BYTES long. */
static size_t distance(struct slice a, struct slice b)
{
    size_t rows[3][CONFIG_KEY_MAX_BYTES + 1];
    size_t *before = rows[0], *previous = rows[1], *current = rows[2];

    for (size_t k = 0; k <= b.size; k++)
        previous[k] = before[k] = k;
    for (size_t i = 1; i <= a.size; i++) {
        size_t *spare = before;

        current[0] = i;
        for (size_t k = 1; k <= b.size; k++) {
            size_t best = previous[k - 1] + (a.data[i - 1] != b.data[k - 1]);

            best = smaller(best, smaller(previous[k], current[k - 1]) + 1);
            if (i > 1 && k > 1 && a.data[i - 1] == b.data[k - 2] && a.data[i - 2] == b.data[k - 1])
                best = smaller(best, before[k - 2] + 1);
            current[k] = best;
        }
        before = previous;
        previous = current;
        current = spare;
    }
    return previous[b.size];
}

/** The best candidate so far. */
struct nearest {
    struct slice wanted;
    size_t best; /* its distance; a candidate must be nearer */
    size_t size;
    char *storage;
};

static struct nearest nearest_make(struct slice wanted, char *storage)
{
    return (struct nearest){
        .wanted = wanted, .best = smaller(wanted.size / 3 > 1 ? wanted.size / 3 : 1, 4) + 1, .storage = storage};
}

base_printf(2, 3) static void consider(struct nearest *n, const char *format, ...)
{
    char candidate[CONFIG_KEY_MAX_BYTES];
    va_list args;
    size_t d;
    int size;

    va_start(args, format);
    size = vsnprintf(candidate, sizeof(candidate), format, args);
    va_end(args);
    if (size < 0 || (size_t)size >= sizeof(candidate) || n->wanted.size > CONFIG_KEY_MAX_BYTES)
        return;
    d = distance(n->wanted, slice_make(candidate, (size_t)size));
    if (d >= n->best)
        return;
    n->best = d;
    n->size = (size_t)size;
    memcpy(n->storage, candidate, n->size);
}

static struct slice nearest_result(const struct nearest *n)
{
    return n->size ? slice_make(n->storage, n->size) : SLICE_NONE;
}

static void consider_options(struct nearest *n, const struct config_option *options, size_t count, struct slice section)
{
    const char *dot = section.size ? "." : "";

    for (size_t i = 0; i < count; i++) {
        consider(n, "%.*s%s%s", SLICE_PRINTF(section), dot, options[i].key);
        if (options[i].secrecy != CONFIG_PUBLIC)
            consider(n, "%.*s%s%s_file", SLICE_PRINTF(section), dot, options[i].key);
    }
}

struct slice config_nearest_key(const struct config *c, struct slice full, char storage[CONFIG_KEY_MAX_BYTES])
{
    struct nearest n = nearest_make(full, storage);
    struct slice section = config_key_section(full), name;
    const struct config_family *family = config_find_family(c, section, &name);

    if (family) { /* the section is right: only its key can be wrong */
        consider_options(&n, family->options, family->count, section);
        return nearest_result(&n);
    }
    for (size_t i = 0; i < c->section_count; i++) {
        if (!c->sections[i]->family)
            consider_options(&n, c->sections[i]->options, c->sections[i]->count, SLICE_NONE);
    }
    return nearest_result(&n);
}

static void consider_variable(struct nearest *n, const struct config_section *s, const struct config_option *option,
                              const char *suffix)
{
    base_cleanup(buffer_deinit)
    struct buffer key = {0};

    config_write_key(s, option, &key);
    buffer_append_text(&key, suffix);
    if (buffer_error(&key))
        return;
    for (size_t i = 0; i < key.size; i++)
        key.data[i] = config_variable_char(key.data[i]);
    consider(n, "%s", key.data);
}

struct slice config_nearest_variable(const struct config *c, struct slice name, char storage[CONFIG_KEY_MAX_BYTES])
{
    struct nearest n = nearest_make(name, storage);

    for (size_t i = 0; i < c->section_count; i++) {
        const struct config_section *s = c->sections[i];

        for (size_t k = 0; k < s->count; k++) {
            consider_variable(&n, s, &s->options[k], "");
            if (s->options[k].secrecy != CONFIG_PUBLIC)
                consider_variable(&n, s, &s->options[k], "_file");
        }
    }
    return nearest_result(&n);
}

struct slice config_nearest_section(const struct config *c, struct slice section, char storage[CONFIG_KEY_MAX_BYTES])
{
    struct nearest n = nearest_make(section, storage);
    const char *dot = section.size ? memchr(section.data, '.', section.size) : NULL;
    struct slice prefix = dot ? slice_make(section.data, (size_t)(dot - section.data)) : section;
    struct slice rest = dot ? slice_skip(section, prefix.size) : SLICE_LITERAL(".<name>");

    for (size_t i = 0; i < c->section_count; i++) {
        const struct config_section *s = c->sections[i];

        for (size_t k = 0; !s->family && k < s->count; k++) {
            struct slice known = config_key_section(slice_from(s->options[k].key));

            consider(&n, "%.*s", SLICE_PRINTF(known));
        }
    }
    for (size_t i = 0; i < c->family_count; i++) {
        /* "[rout.chat]" and "[route]" are both near "[route.<name>]": the name is the user's to choose. */
        struct nearest p = nearest_make(prefix, storage);
        char kept[CONFIG_KEY_MAX_BYTES];
        size_t limit = smaller(p.best, n.best);

        memcpy(kept, storage, n.size);
        p.best = limit;
        consider(&p, "%s", c->families[i]->prefix);
        memcpy(storage, kept, n.size);
        if (p.size && p.size + rest.size <= CONFIG_KEY_MAX_BYTES) {
            n.best = p.best;
            memcpy(storage, c->families[i]->prefix, p.size);
            memcpy(storage + p.size, rest.data, rest.size);
            n.size = p.size + rest.size;
        }
    }
    return nearest_result(&n);
}
