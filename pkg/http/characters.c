/*
 * Character classes of HTTP and URIs as one table, and what a host looks like.
 *
 * A target is wider than RFC 3986: browsers leave { } | \ ^ ` and quotes as they are in a query (WHATWG URL, query
 * percent-encode set), so every visible ASCII character may stand there but '#', which begins a fragment and never
 * travels (RFC 9110 section 7.1).
 */
#include "http/http_internal.h"

#include <arpa/inet.h>

#define FIELD HTTP_CHARACTER_FIELD
#define TARGET (FIELD | HTTP_CHARACTER_TARGET)
#define TOKEN (TARGET | HTTP_CHARACTER_TOKEN)
#define HOST (TARGET | HTTP_CHARACTER_HOST)
#define TOKEN_HOST (TOKEN | HTTP_CHARACTER_HOST)
#define TOKEN_HOST_HEX (TOKEN_HOST | HTTP_CHARACTER_HEX)

const uint8_t http_characters[256] = {
    ['\t'] = FIELD,
    [' '] = FIELD,
    ['!'] = TOKEN_HOST,
    ['"'] = TARGET,
    ['#'] = FIELD | HTTP_CHARACTER_TOKEN,
    ['$'] = TOKEN_HOST,
    ['%'] = TOKEN,
    ['&' ... '\''] = TOKEN_HOST,
    ['(' ... ')'] = HOST,
    ['*' ... '+'] = TOKEN_HOST,
    [','] = HOST,
    ['-' ... '.'] = TOKEN_HOST,
    ['/'] = TARGET,
    ['0' ... '9'] = TOKEN_HOST_HEX,
    [':'] = TARGET,
    [';'] = HOST,
    ['<'] = TARGET,
    ['='] = HOST,
    ['>' ... '@'] = TARGET,
    ['A' ... 'F'] = TOKEN_HOST_HEX,
    ['G' ... 'Z'] = TOKEN_HOST,
    ['[' ... ']'] = TARGET,
    ['^'] = TOKEN,
    ['_'] = TOKEN_HOST,
    ['`'] = TOKEN,
    ['a' ... 'f'] = TOKEN_HOST_HEX,
    ['g' ... 'z'] = TOKEN_HOST,
    ['{'] = TARGET,
    ['|'] = TOKEN,
    ['}'] = TARGET,
    ['~'] = TOKEN_HOST,
    [0x80 ... 0xff] = FIELD, /* obs-text */
};

bool http_characters_are(struct slice s, unsigned classes)
{
    for (size_t i = 0; i < s.size; i++)
        if (!http_character_is(s.data[i], classes))
            return false;
    return s.size > 0;
}

static bool registered_name_is_valid(struct slice s)
{
    for (size_t i = 0; i < s.size; i++) {
        if (http_character_is(s.data[i], HTTP_CHARACTER_HOST))
            continue;
        if (s.data[i] != '%' || s.size - i < 3 || !http_character_is(s.data[i + 1], HTTP_CHARACTER_HEX) ||
            !http_character_is(s.data[i + 2], HTTP_CHARACTER_HEX))
            return false;
        i += 2;
    }
    return s.size > 0;
}

bool http_host_is_valid(struct slice s)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr address;

    if (s.size == 0 || s.data[0] != '[')
        return registered_name_is_valid(s);
    if (s.size < 2 || s.size - 2 >= sizeof(text) || s.data[s.size - 1] != ']' || memchr(s.data, '\0', s.size))
        return false;
    memcpy(text, s.data + 1, s.size - 2);
    text[s.size - 2] = '\0';
    return inet_pton(AF_INET6, text, &address) == 1;
}

bool http_host_split(struct slice s, struct slice *ret_host, struct slice *ret_port)
{
    const char *bracket, *colon;
    size_t from = 0;

    if (s.size > 0 && s.data[0] == '[') {
        bracket = memchr(s.data, ']', s.size);
        if (!bracket)
            return false;
        from = (size_t)(bracket - s.data) + 1;
        if (from < s.size && s.data[from] != ':')
            return false;
    }
    colon = s.size > from ? memchr(s.data + from, ':', s.size - from) : NULL;
    if (colon) {
        *ret_host = slice_make(s.data, (size_t)(colon - s.data));
        *ret_port = slice_skip(s, ret_host->size + 1);
    } else {
        *ret_host = s;
        *ret_port = SLICE_NONE;
    }
    return true;
}
