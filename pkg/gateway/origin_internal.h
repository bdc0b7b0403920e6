#ifndef GATEWAY_ORIGIN_INTERNAL_H
#define GATEWAY_ORIGIN_INTERNAL_H

#include "config/config.h"
#include "http/http.h"

/**
 * struct gateway_origins - the pages whose scripts may connect (RFC 6455 section 10.2); immutable
 *
 * An entry is an origin as browsers send it (RFC 6454 section 6.2), such as https://example.com:8443; one whose host
 * begins with "*." stands for any host below the rest, and not for that itself; and "null" is what pages in files and
 * sandboxes send. Capitals do not matter, nor a port that is the scheme's own.
 */
struct gateway_origins {
    bool is_required; /* also of clients that are no browsers */
    size_t count;     /* 0: all are allowed */
    char *items[];
};

/** What is wrong with an entry, or NULL. */
const char *gateway_origin_fault(struct slice entry);
/** Copies the list; NULL when out of memory. */
struct gateway_origins *gateway_origins_new(const struct config_list *list, bool is_required) base_must_check;
/** Accepts NULL, returns NULL. */
struct gateway_origins *gateway_origins_free(struct gateway_origins *o);
/** Whether @request may be served, by its Origin; all of them, where there are several. */
bool gateway_origins_allow(const struct gateway_origins *o, const struct http_message *request);

#endif
