#include "base/slice.h"

static unsigned char ascii_lower(char c)
{
    return (unsigned char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

static bool is_ows(char c)
{
    return c == ' ' || c == '\t';
}

bool slice_equal_nocase(struct slice a, struct slice b)
{
    if (a.size != b.size)
        return false;
    for (size_t i = 0; i < a.size; i++) {
        if (ascii_lower(a.data[i]) != ascii_lower(b.data[i]))
            return false;
    }
    return true;
}

struct slice slice_trim(struct slice s)
{
    while (s.size > 0 && is_ows(s.data[0]))
        s = slice_skip(s, 1);
    while (s.size > 0 && is_ows(s.data[s.size - 1]))
        s.size--;
    return s;
}

bool slice_split(struct slice *rest, char separator, struct slice *ret_part)
{
    struct slice s = *rest;
    const char *found;

    if (!slice_is_set(s))
        return false;
    found = memchr(s.data, separator, s.size);
    if (!found) {
        *rest = SLICE_NONE;
        *ret_part = s;
        return true;
    }
    *ret_part = slice_make(s.data, (size_t)(found - s.data));
    *rest = slice_skip(s, ret_part->size + 1);
    return true;
}

char *slice_dup(struct slice s)
{
    char *copy = malloc(s.size + 1);

    if (!copy)
        return NULL;
    if (s.size > 0)
        memcpy(copy, s.data, s.size);
    copy[s.size] = '\0';
    return copy;
}

bool slice_to_uint64(struct slice s, uint64_t max, uint64_t *ret_value)
{
    uint64_t value = 0;

    if (s.size == 0 || (s.size > 1 && s.data[0] == '0'))
        return false;
    for (size_t i = 0; i < s.size; i++) {
        unsigned digit = (unsigned)(unsigned char)s.data[i] - '0';

        if (digit > 9 || __builtin_mul_overflow(value, (uint64_t)10, &value) ||
            __builtin_add_overflow(value, (uint64_t)digit, &value))
            return false;
    }
    if (value > max)
        return false;
    *ret_value = value;
    return true;
}
