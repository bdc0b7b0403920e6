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
    OUTBOUND_E_TOO_LARGE =
        3, /* the answer is above max_body_bytes (or its chunks are broken: libevent does not say which) */
    OUTBOUND_E_CANCELLED = 4, /* outbound_free() */
};

int outbound_new(struct loop *l, struct outbound **ret_outbound) base_must_check;
/** Open requests are answered with OUTBOUND_E_CANCELLED. May be called from a @done. Of a name
 * that is still being looked up, libevent gives back the memory in the loop's next turn. Accepts NULL, returns NULL. */
struct outbound *outbound_free(struct outbound *o);

struct outbound_request {
    const char *method;       /* GET, POST, PUT, DELETE */
    const char *url;          /* http:// or https://, may hold user:password@ (sent as basic authentication) */
    const char *content_type; /* of the body; NULL if none */
    struct slice body;
    const char *bearer;    /* Authorization: Bearer …; NULL if none */
    uint64_t timeout_ms;   /* for the whole request; 0: 5,000 */
    size_t max_body_bytes; /* of the answer; 0: 4 MiB */
};

/** @error: a sentence when result is not 0. Valid during the call. */
typedef void outbound_done_fn(void *userdata, int result, unsigned status, struct slice body, const char *error);

/**
 * Copies @request. Return: 0: @done comes once, at the end of a turn or from outbound_free(), never from inside this
 * call; -EINVAL: no URL, or a method that is not listed; -ECANCELED: called from a @done that outbound_free() called;
 * -ENOMEM. A process that uses it ignores SIGPIPE.
 */
int outbound_fetch(struct outbound *o, const struct outbound_request *request, outbound_done_fn *done,
                   void *userdata) base_must_check;

#endif
