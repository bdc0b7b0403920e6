/*
 * Percent-encoding (RFC 3986 section 2.1) and the parameters of a query.
 */
#include "http/http_internal.h"

bool http_percent_decode(struct slice text, bool form, struct buffer *out)
{
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];

        if (c == '%') {
            if (text.size - i < 3 || !http_character_is(text.data[i + 1], HTTP_CHARACTER_HEX) ||
                !http_character_is(text.data[i + 2], HTTP_CHARACTER_HEX))
                return false;
            c = (char)(http_hex_value(text.data[i + 1]) << 4 | http_hex_value(text.data[i + 2]));
            i += 2;
        } else if (c == '+' && form) {
            c = ' ';
        }
        buffer_append_char(out, c);
    }
    return true;
}

static bool is_unreserved(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
           c == '_' || c == '~';
}

void http_percent_encode(struct slice text, struct buffer *out)
{
    static const char digits[] = "0123456789ABCDEF";

    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        char escape[3] = {'%', digits[c >> 4], digits[c & 15]};

        if (is_unreserved(text.data[i]))
            buffer_append_char(out, text.data[i]);
        else
            buffer_append(out, escape, sizeof(escape));
    }
}

struct slice http_query_parameter(struct slice query, const char *name, size_t nth)
{
    struct slice parameter, wanted = slice_from(name);

    while (slice_split(&query, '&', &parameter)) {
        const char *equals = parameter.size > 0 ? memchr(parameter.data, '=', parameter.size) : NULL;
        size_t name_size = equals ? (size_t)(equals - parameter.data) : parameter.size;

        if (!slice_equal(slice_make(parameter.data, name_size), wanted) || nth-- > 0)
            continue;
        return equals ? slice_skip(parameter, name_size + 1) : SLICE_LITERAL("");
    }
    return SLICE_NONE;
}
