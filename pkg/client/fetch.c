/* One blocking HTTP request for commands: a loop of its own that runs until the answer is there. */
#include "client/client.h"
#include "http/http.h"
#include "outbound/outbound.h"

#include <pthread.h>
#include <signal.h>

struct fetch {
    struct loop *loop;
    int result;
    unsigned status;
    struct buffer *body;
    struct buffer *error;
};

static void on_done(void *userdata, int result, unsigned status, struct slice body, const char *error)
{
    struct fetch *f = userdata;

    f->result = result;
    f->status = status;
    buffer_append_slice(f->body, body);
    if (error)
        buffer_append_text(f->error, error);
    loop_stop(f->loop);
}

/**
 * What goes out goes with writev(2): a peer that ends early would kill the process by SIGPIPE, so that is held back,
 * and taken if it came. Return: whether it was let through before.
 */
static bool sigpipe_hold(sigset_t *sigpipe)
{
    sigset_t before;

    sigemptyset(sigpipe);
    sigaddset(sigpipe, SIGPIPE);
    return pthread_sigmask(SIG_BLOCK, sigpipe, &before) == 0 && sigismember(&before, SIGPIPE) == 0;
}

static void sigpipe_release(const sigset_t *sigpipe)
{
    const struct timespec now = {0};

    while (sigtimedwait(sigpipe, NULL, &now) > 0)
        ;
    (void)pthread_sigmask(SIG_UNBLOCK, sigpipe, NULL);
}

int client_http_fetch(const char *method, const char *url, const char *content_type, struct slice request_body,
                      uint64_t timeout_ms, unsigned *ret_status, struct buffer *body, struct buffer *error)
{
    const struct outbound_request request = {
        .method = method,
        .url = url,
        .content_type = content_type,
        .body = request_body,
        .timeout_ms = timeout_ms,
        .max_body_bytes = 64u << 20,
    };
    struct fetch f = {.body = body, .error = error};
    struct outbound *outbound = NULL;
    sigset_t sigpipe;
    bool was_held;
    int result = loop_new("fetch", &f.loop);

    if (result)
        return result;
    was_held = sigpipe_hold(&sigpipe);
    result = outbound_new(f.loop, &outbound);
    if (!result)
        result = outbound_fetch(outbound, &request, on_done, &f);
    if (!result) {
        loop_run(f.loop);
        result = f.result ? f.result : buffer_error(body);
        if (!result)
            *ret_status = f.status;
    }
    outbound_free(outbound);
    loop_free(f.loop);
    if (was_held)
        sigpipe_release(&sigpipe);
    return result;
}

void client_path_append(struct buffer *path, struct slice name)
{
    http_percent_encode(name, path);
}
