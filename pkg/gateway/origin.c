/*
 * Origins. A browser lets the scripts of any page connect to any host and tells that host only whose page it was; so
 * who keeps sessions in cookies, or pays for connections, lists the pages that are welcome.
 */
#include "gateway/origin_internal.h"

#include <string.h>

/** The parts of an origin; @port is empty for the scheme's own one. */
struct origin {
    struct slice scheme, host, port;
};

static const struct {
    const char *scheme, *port;
} own_ports[] = {{"https", "443"}, {"http", "80"}, {"wss", "443"}, {"ws", "80"}};

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

static bool equal_ignoring_case(struct slice a, struct slice b)
{
    if (a.size != b.size)
        return false;
    for (size_t i = 0; i < a.size; i++) {
        if (lower(a.data[i]) != lower(b.data[i]))
            return false;
    }
    return true;
}

static bool is_digits(struct slice s)
{
    for (size_t i = 0; i < s.size; i++) {
        if (s.data[i] < '0' || s.data[i] > '9')
            return false;
    }
    return s.size > 0;
}

/** Whether @text is `scheme://host[:port]` and nothing else. */
static bool origin_read(struct slice text, struct origin *ret_origin)
{
    const char *mark = text.size > 0 ? memmem(text.data, text.size, "://", 3) : NULL;
    struct origin o = {.port = SLICE_LITERAL("")};
    const char *colon;

    if (!mark || mark == text.data)
        return false;
    o.scheme = slice_make(text.data, (size_t)(mark - text.data));
    o.host = slice_skip(text, o.scheme.size + 3);
    /* A colon inside the brackets of an IPv6 address is none of a port. */
    colon = o.host.size > 0 ? memrchr(o.host.data, ':', o.host.size) : NULL;
    if (colon && !memchr(colon, ']', (size_t)(o.host.data + o.host.size - colon))) {
        o.port = slice_skip(o.host, (size_t)(colon - o.host.data) + 1);
        o.host.size = (size_t)(colon - o.host.data);
        if (!is_digits(o.port) || o.port.size > 5)
            return false;
    }
    for (size_t i = 0; i < BASE_ARRAY_SIZE(own_ports); i++) {
        if (equal_ignoring_case(o.scheme, slice_from(own_ports[i].scheme)) &&
            slice_equal_text(o.port, own_ports[i].port))
            o.port = SLICE_LITERAL("");
    }
    for (size_t i = 0; i < o.host.size; i++) {
        if ((unsigned char)o.host.data[i] <= ' ' || strchr("/?#@\\", o.host.data[i]))
            return false;
    }
    if (o.host.size == 0)
        return false;
    *ret_origin = o;
    return true;
}

static bool is_below(struct slice host, struct slice domain)
{
    return host.size > domain.size + 1 && host.data[host.size - domain.size - 1] == '.' &&
           equal_ignoring_case(slice_skip(host, host.size - domain.size), domain);
}

static bool has_wildcard(struct slice host)
{
    return host.size > 2 && host.data[0] == '*' && host.data[1] == '.';
}

const char *gateway_origin_fault(struct slice entry)
{
    struct origin o;

    if (slice_equal_text(entry, "null"))
        return NULL;
    if (!origin_read(entry, &o))
        return "expected an origin such as https://example.com, without a path, or null";
    if (has_wildcard(o.host))
        o.host = slice_skip(o.host, 2);
    return memchr(o.host.data, '*', o.host.size)
               ? "a * may only stand for the first part of a host, as in https://*.example.com"
               : NULL;
}

static bool entry_allows(struct slice entry, struct slice text)
{
    struct origin allowed, o;

    if (!origin_read(entry, &allowed) || !origin_read(text, &o))
        return slice_equal(entry, text); /* null */
    if (!equal_ignoring_case(allowed.scheme, o.scheme) || !slice_equal(allowed.port, o.port))
        return false;
    return has_wildcard(allowed.host) ? is_below(o.host, slice_skip(allowed.host, 2))
                                      : equal_ignoring_case(allowed.host, o.host);
}

static bool is_allowed(const struct gateway_origins *o, struct slice text)
{
    for (size_t i = 0; i < o->count; i++) {
        if (entry_allows(slice_from(o->items[i]), text))
            return true;
    }
    return o->count == 0;
}

bool gateway_origins_allow(const struct gateway_origins *o, const struct http_message *request)
{
    bool is_there = false;
    struct slice line;

    for (size_t position = 0; http_message_each(request, "Origin", &position, &line);) {
        is_there = true;
        if (!is_allowed(o, slice_trim(line)))
            return false;
    }
    return is_there || !o->is_required;
}

struct gateway_origins *gateway_origins_new(const struct config_list *list, bool is_required)
{
    struct gateway_origins *o = calloc(1, sizeof(*o) + list->count * sizeof(o->items[0]));

    if (!o)
        return NULL;
    o->is_required = is_required;
    for (; o->count < list->count; o->count++) {
        o->items[o->count] = strdup(list->items[o->count]);
        if (!o->items[o->count])
            return gateway_origins_free(o);
    }
    return o;
}

struct gateway_origins *gateway_origins_free(struct gateway_origins *o)
{
    if (!o)
        return NULL;
    for (size_t i = 0; i < o->count; i++)
        free(o->items[i]);
    free(o);
    return NULL;
}
