/*
 * URLs as they stand in a configuration: RFC 3986 with an authority, without a fragment.
 *
 * Nothing is repaired: what has two readings (an '@' in a password) is refused with a sentence that tells how to write
 * it.
 */
#include "http/url.h"
#include "http/http_internal.h"

static bool scheme_is_one_of(struct slice scheme, const char *schemes)
{
    struct slice rest = slice_from(schemes), one;

    while (slice_split(&rest, ',', &one))
        if (slice_equal_nocase(scheme, slice_trim(one)))
            return true;
    return false;
}

static uint16_t default_port(struct slice scheme)
{
    if (slice_equal_nocase(scheme, SLICE_LITERAL("http")) || slice_equal_nocase(scheme, SLICE_LITERAL("ws")))
        return 80;
    if (slice_equal_nocase(scheme, SLICE_LITERAL("https")) || slice_equal_nocase(scheme, SLICE_LITERAL("wss")))
        return 443;
    return 0;
}

static const char *userinfo_parse(struct slice *authority, struct http_url *url)
{
    const char *at = authority->size > 0 ? memchr(authority->data, '@', authority->size) : NULL;
    struct slice userinfo;

    if (!at)
        return NULL;
    userinfo = slice_make(authority->data, (size_t)(at - authority->data));
    *authority = slice_skip(*authority, userinfo.size + 1);
    if (authority->size > 0 && memchr(authority->data, '@', authority->size))
        return "expected one '@' (in a user or password it is written %40)";
    (void)slice_split(&userinfo, ':', &url->user);
    url->password = userinfo; /* a further ':' belongs to it */
    return NULL;
}

static const char *host_parse(struct slice authority, struct http_url *url)
{
    struct slice port;
    uint64_t number;

    if (!http_host_split(authority, &url->host, &port) || !http_host_is_valid(url->host))
        return "expected a host name, an IPv4 address, or an IPv6 address in brackets";
    if (url->host.data[0] == '[')
        url->host = slice_make(url->host.data + 1, url->host.size - 2);
    if (!slice_is_set(port))
        return NULL;
    if (!slice_to_uint64(port, 65535, &number) || number == 0)
        return "expected a port from 1 to 65535 after ':'";
    url->port = (uint16_t)number;
    return NULL;
}

const char *http_url_parse(struct slice text, const char *schemes, struct http_url *ret_url)
{
    struct http_url url = {.target = SLICE_LITERAL("/")};
    const char *mark = text.size > 0 ? memmem(text.data, text.size, "://", 3) : NULL;
    const char *expected;
    struct slice rest;
    size_t end = 0;

    if (!mark)
        return "expected scheme://host";
    url.scheme = slice_make(text.data, (size_t)(mark - text.data));
    if (!scheme_is_one_of(url.scheme, schemes))
        return "expected another scheme before ://";
    url.port = default_port(url.scheme);
    if (!http_characters_are(text, HTTP_CHARACTER_TARGET))
        return "expected visible ASCII characters without '#' (others are percent-encoded)";
    rest = slice_skip(text, url.scheme.size + 3);
    while (end < rest.size && rest.data[end] != '/' && rest.data[end] != '?')
        end++;
    if (end < rest.size && rest.data[end] == '?')
        return "expected '/' before '?'";
    if (end < rest.size)
        url.target = slice_skip(rest, end);
    rest = slice_make(rest.data, end);
    expected = userinfo_parse(&rest, &url);
    if (!expected)
        expected = host_parse(rest, &url);
    if (!expected)
        *ret_url = url;
    return expected;
}
