/* One blocking HTTP request for commands: a loop of its own that runs until the answer is there. */
#include "client/client.h"
#include "http/http.h"
#include "outbound/outbound.h"

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
    int result = loop_new("fetch", &f.loop);

    if (result)
        return result;
    result = outbound_new(f.loop, &outbound);
    if (!result)
        result = outbound_fetch(outbound, &request, on_done, &f);
    if (!result) {
        loop_run(f.loop);
        result = f.result;
        if (!result)
            *ret_status = f.status;
    }
    outbound_free(outbound);
    loop_free(f.loop);
    return result;
}

void client_path_append(struct buffer *path, struct slice name)
{
    http_percent_encode(name, path);
}
