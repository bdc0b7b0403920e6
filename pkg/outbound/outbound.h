#ifndef OUTBOUND_OUTBOUND_H
#define OUTBOUND_OUTBOUND_H

#include "base/slice.h"
#include "loop/loop.h"

/**
 * struct outbound - outgoing HTTP(S) from one loop (libevent's client), with time-out and size limit
 *
 * For the few questions a node asks others: the broker's management API, a back end. One connection a request.
 */
struct outbound;

enum outbound_result {
    OUTBOUND_E_UNREACHABLE = 1, /* name, connect, TLS, or the connection broke */
    OUTBOUND_E_TIMEOUT = 2,
    OUTBOUND_E_TOO_LARGE = 3,   /* the answer is above max_body_bytes */
    OUTBOUND_E_CANCELLED = 4,   /* outbound_free() */
};

int outbound_new(struct loop *l, struct outbound **ret_outbound) base_must_check;
/** Open requests are answered with OUTBOUND_E_CANCELLED. Accepts NULL, returns NULL. */
struct outbound *outbound_free(struct outbound *o);

struct outbound_request {
    const char *method;       /* GET, POST, PUT, DELETE */
    const char *url;          /* http:// or https://, may hold user:password@ (sent as basic authentication) */
    const char *content_type; /* of the body; NULL if none */
    struct slice body;
    const char *bearer;       /* Authorization: Bearer …; NULL if none */
    uint64_t timeout_ms;      /* for the whole request; 0: 5,000 */
    size_t max_body_bytes;    /* of the answer; 0: 4 MiB */
};

/** @error: a sentence when result is not 0. Valid during the call. */
typedef void outbound_done_fn(void *userdata, int result, unsigned status, struct slice body, const char *error);

/** Copies @request. Return: 0: @done comes once, in a later turn; -EINVAL: the URL is none; -ENOMEM. */
int outbound_fetch(struct outbound *o, const struct outbound_request *request, outbound_done_fn *done, void *userdata) base_must_check;

#endif
