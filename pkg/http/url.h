#ifndef HTTP_URL_H
#define HTTP_URL_H

#include "base/slice.h"

/** The parts of `scheme://[user[:password]@]host[:port][/path][?query]`, as slices of the text (RFC 3986, the forms
 * that Warren takes). */
struct http_url {
    struct slice scheme;
    struct slice user;     /* percent-encoded as it stands; not set if absent */
    struct slice password; /* likewise */
    struct slice host;     /* IPv6 without its brackets */
    uint16_t port;         /* the given one, else @default_port */
    struct slice target;   /* path and query, "/" if empty */
};

/**
 * http_url_parse() - split a URL whose scheme is one of @schemes (comma-separated, e.g. "http,https")
 *
 * The default port is by scheme: http, ws 80; https, wss 443; others 0. Return: NULL, or what was expected, of static
 * lifetime.
 */
const char *http_url_parse(struct slice text, const char *schemes, struct http_url *ret_url);

#endif
