#ifndef UNIT_OUTBOUND_FIXTURE_H
#define UNIT_OUTBOUND_FIXTURE_H

/** A loop with an outbound on the test's thread, and what a request was answered. */

#include "outbound/outbound.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "support/canned_server.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>

#include <cmocka.h>

struct fixture {
    struct loop *loop;
    struct outbound *outbound;
};

struct answer {
    struct fixture *fixture;
    unsigned times;
    int result;
    unsigned status;
    struct buffer body;
    char error[200];
    bool frees;   /* frees the outbound */
    bool repeats; /* asks again, whatever came */
    const char *url;
};

static inline void on_done(void *userdata, int result, unsigned status, struct slice body, const char *error)
{
    struct answer *a = userdata;

    a->times++;
    a->result = result;
    a->status = status;
    assert_true((result != 0) == (error != NULL));
    (void)snprintf(a->error, sizeof(a->error), "%s", error ? error : "");
    buffer_append_slice(&a->body, body);
    if (a->repeats) {
        const struct outbound_request request = {.method = "GET", .url = a->url};

        assert_int_equal(outbound_fetch(a->fixture->outbound, &request, on_done, a), -ECANCELED);
    }
    if (a->frees)
        a->fixture->outbound = outbound_free(a->fixture->outbound);
    loop_stop(a->fixture->loop);
}

static inline void fixture_begin(struct fixture *f)
{
    signal(SIGPIPE, SIG_IGN);
    assert_int_equal(loop_new("test", &f->loop), 0);
    assert_int_equal(outbound_new(f->loop, &f->outbound), 0);
}

static inline void fixture_end(struct fixture *f)
{
    f->outbound = outbound_free(f->outbound);
    f->loop = loop_free(f->loop);
}

/** Asks and waits. */
static inline struct answer ask(struct fixture *f, const struct outbound_request *request)
{
    struct answer a = {.fixture = f};

    assert_int_equal(outbound_fetch(f->outbound, request, on_done, &a), 0);
    assert_int_equal(a.times, 0); /* never from inside */
    loop_run(f->loop);
    assert_int_equal(a.times, 1);
    return a;
}

/** A GET of the server's "/x", on a fixture of its own. */
static inline struct answer ask_server(struct canned_server *s, struct outbound_request request)
{
    struct fixture f;
    struct answer a;
    char url[128];

    canned_server_start(s);
    fixture_begin(&f);
    (void)snprintf(url, sizeof(url), "%s/x", s->url);
    if (!request.url)
        request.url = url;
    if (!request.method)
        request.method = "GET";
    a = ask(&f, &request);
    fixture_end(&f);
    canned_server_stop(s);
    return a;
}

#endif
