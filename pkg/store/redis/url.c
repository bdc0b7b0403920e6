/*
 * URLs of Redis, as the IANA registration of "redis" and the common clients have them. Everything lands in arrays of
 * fixed size, so that a URL can be parsed on the stack and a password has one place.
 */
#include "store/redis/url.h"

#include <stdio.h>

#define EXPECTED "expected redis://[user:password@]host:port[/database] or unix:///path[?db=number]"
#define DATABASE_MAX 65535
#define PORT_DEFAULT 6379

static int digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/** Percent-decodes @in (RFC 3986, 2.1) into a C string; false if it is too long, badly encoded, or has a NUL. */
static bool decode(struct slice in, char *out, size_t capacity)
{
    size_t size = 0;

    for (size_t i = 0; i < in.size; i++) {
        char c = in.data[i];

        if (c == '%') {
            int high = i + 2 < in.size ? digit_value(in.data[i + 1]) : -1;
            int low = i + 2 < in.size ? digit_value(in.data[i + 2]) : -1;

            if (high < 0 || low < 0)
                return false;
            c = (char)(high * 16 + low);
            i += 2;
        }
        if (c == '\0' || size + 1 >= capacity)
            return false;
        out[size++] = c;
    }
    out[size] = '\0';
    return true;
}

/** Cuts "user:password@" off the front of @rest. */
static bool take_credentials(struct slice *rest, struct redis_url *url)
{
    const char *at = rest->size ? memrchr(rest->data, '@', rest->size) : NULL;
    struct slice credentials, user;

    if (!at)
        return true;
    credentials = slice_make(rest->data, (size_t)(at - rest->data));
    *rest = slice_skip(*rest, credentials.size + 1);
    if (!slice_split(&credentials, ':', &user) || !slice_is_set(credentials) || credentials.size == 0)
        return false; /* a user without a password cannot be told to the server */
    return decode(user, url->user, sizeof(url->user)) && decode(credentials, url->password, sizeof(url->password));
}

/** Letters, digits and what names and addresses have besides; so a query or a fragment is no host. */
static bool is_host(struct slice host, const char *besides)
{
    for (size_t i = 0; i < host.size; i++) {
        char c = host.data[i];

        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') &&
            (!c || !strchr(besides, c)))
            return false;
    }
    return host.size > 0;
}

static bool take_host(struct slice text, struct redis_url *url)
{
    struct slice host = text, port;
    const char *besides = ".-_";
    uint64_t number = PORT_DEFAULT;

    if (text.size > 0 && text.data[0] == '[') { /* RFC 3986, 3.2.2: an IP literal */
        const char *end = memchr(text.data, ']', text.size);
        struct slice after;

        if (!end)
            return false;
        host = slice_make(text.data + 1, (size_t)(end - text.data) - 1);
        besides = ":.%-_"; /* %: a zone */
        after = slice_skip(text, host.size + 2);
        if (after.size > 0 && after.data[0] != ':')
            return false;
        port = after.size > 0 ? slice_skip(after, 1) : SLICE_NONE;
    } else {
        (void)slice_split(&text, ':', &host);
        port = text;
    }
    if (slice_is_set(port) && (!slice_to_uint64(port, UINT16_MAX, &number) || number == 0))
        return false;
    if (!is_host(host, besides) || host.size >= sizeof(url->host))
        return false;
    memcpy(url->host, host.data, host.size); /* the rest of it is zeros */
    url->port = (uint16_t)number;
    return true;
}

static bool take_database(struct slice text, struct redis_url *url)
{
    uint64_t number;

    if (!slice_to_uint64(text, DATABASE_MAX, &number))
        return false;
    url->database = (uint32_t)number;
    return true;
}

static bool parse_tcp(struct slice rest, struct redis_url *url)
{
    struct slice authority;

    if (!slice_split(&rest, '/', &authority))
        return false;
    if (slice_is_set(rest) && rest.size > 0 && !take_database(rest, url))
        return false;
    return take_credentials(&authority, url) && take_host(authority, url);
}

static bool parse_unix(struct slice rest, struct redis_url *url)
{
    const char *slash = rest.size ? memchr(rest.data, '/', rest.size) : NULL;
    struct slice authority, path, query;
    struct slice key = SLICE_LITERAL("db=");

    if (!slash)
        return false;
    authority = slice_make(rest.data, (size_t)(slash - rest.data));
    query = slice_skip(rest, authority.size);
    if (!take_credentials(&authority, url) || authority.size > 0)
        return false;
    (void)slice_split(&query, '?', &path);
    if (slice_is_set(query) && (!slice_starts_with(query, key) || !take_database(slice_skip(query, key.size), url)))
        return false;
    return path.size > 1 && decode(path, url->path, sizeof(url->path));
}

const char *redis_url_parse(struct slice text, struct redis_url *ret_url)
{
    struct slice tcp = SLICE_LITERAL("redis://"), local = SLICE_LITERAL("unix://");
    struct redis_url url = {0};
    bool good = false;

    if (slice_starts_with(text, tcp))
        good = parse_tcp(slice_skip(text, tcp.size), &url);
    else if (slice_starts_with(text, local))
        good = parse_unix(slice_skip(text, local.size), &url);
    if (!good)
        return EXPECTED;
    *ret_url = url;
    return NULL;
}

void redis_url_describe(const struct redis_url *url, char ret_text[REDIS_URL_TEXT])
{
    const char *at = url->user[0] ? "@" : "";
    bool is_ipv6 = strchr(url->host, ':') != NULL;

    if (url->path[0])
        (void)snprintf(ret_text, REDIS_URL_TEXT, "unix://%.100s%s%s?db=%u", url->user, at, url->path, url->database);
    else
        (void)snprintf(ret_text, REDIS_URL_TEXT, "redis://%.64s%s%s%.150s%s:%u/%u", url->user, at, is_ipv6 ? "[" : "",
                       url->host, is_ipv6 ? "]" : "", url->port, url->database);
}
