/*
 * GET /v1/ingress, POST /v1/ingress/requeue and /drop: the ingress queue and its dead letters in people's hands.
 *
 * The work is AMQP and blocks, so it is done on a thread, one order at a time; then, for the page, the management API
 * is asked whose turn it is, which only it knows. Without that the page says so little less.
 */
#include "base/base64.h"
#include "base/json.h"
#include "base/utf8.h"
#include "bus/rabbitmq/dead.h"
#include "http/http.h"
#include "server/server_internal.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONSUMERS_TIMEOUT_MS 3000
#define TAG_PREFIX "warren "

struct server_ingress_work {
    struct server *server;
    struct api_reply *reply; /* NULL: it was answered, the node ends */
    pthread_t thread;
    struct loop_task done;
    enum rabbitmq_dead_act act;
    uint64_t count;
    atomic_bool is_cancelled;
    struct rabbitmq_dead_report report;
    char active[SERVER_NODE_ID_SIZE]; /* empty: nobody's turn, or it is not known */
};

static void work_free(struct server_ingress_work *w)
{
    free(w->report.letters);
    free(w);
}

/* ---- the page ---- */

static void write_optional(struct json_writer *w, const char *name, const char *text, bool is_there)
{
    json_write_member_text(w, name, is_there ? text : NULL);
}

static void write_body(struct json_writer *w, const struct rabbitmq_dead_letter *l)
{
    struct slice body = slice_make(l->preview, l->preview_bytes);
    base_cleanup(buffer_deinit)
    struct buffer octets = {0};

    for (size_t cut = 0; cut < 4 && body.size > 0 && l->bytes > l->preview_bytes && !utf8_is_valid(body); cut++)
        body.size--; /* it may end within a character */
    if (utf8_is_valid(body)) {
        json_write_member_string(w, "body", body);
        return;
    }
    base64_encode(l->preview, l->preview_bytes, &octets);
    json_write_member_string(w, "body", buffer_slice(&octets));
    json_write_member_text(w, "encoding", "base64");
}

static void write_letter(struct json_writer *w, const struct rabbitmq_dead_letter *l)
{
    json_write_object_begin(w);
    json_write_member_text(w, "reason", l->reason);
    write_optional(w, "message_id", l->message_id, l->has_message_id);
    write_optional(w, "app_id", l->app_id, l->has_app_id);
    write_optional(w, "content_type", l->content_type, l->has_content_type);
    write_optional(w, "routing_key", l->routing_key, l->has_routing_key);
    write_optional(w, "node", l->node, l->has_node);
    json_write_member_uint64(w, "time", l->time_s * 1000);
    json_write_member_uint64(w, "bytes", l->bytes);
    json_write_member_bool(w, "cut", l->is_cut);
    write_body(w, l);
    json_write_object_end(w);
}

static void write_queue(struct json_writer *w, const char *name, bool is_there, uint64_t ready)
{
    json_write_name(w, name);
    if (!is_there) {
        json_write_null(w);
        return;
    }
    json_write_object_begin(w);
    json_write_member_uint64(w, "ready", ready);
}

static void write_page(const struct server_ingress_work *work, struct buffer *out)
{
    const struct rabbitmq_dead_report *r = &work->report;
    struct json_writer w;

    json_writer_init(&w, out);
    json_write_object_begin(&w);
    write_queue(&w, "ingress", r->has_ingress, r->ingress_ready);
    if (r->has_ingress) {
        json_write_member_uint64(&w, "consumers", r->consumers);
        write_optional(&w, "active", work->active, work->active[0] != '\0');
        json_write_object_end(&w);
    }
    write_queue(&w, "dead", r->has_dead, r->dead_ready);
    if (r->has_dead) {
        json_write_name(&w, "letters");
        json_write_array_begin(&w);
        for (size_t i = 0; i < r->letter_count; i++)
            write_letter(&w, &r->letters[i]);
        json_write_array_end(&w);
        json_write_object_end(&w);
    }
    write_queue(&w, "archive", r->has_archive, r->archive_ready);
    if (r->has_archive)
        json_write_object_end(&w);
    json_write_object_end(&w);
}

static void write_done(const struct server_ingress_work *work, struct buffer *out)
{
    const struct rabbitmq_dead_report *r = &work->report;
    bool is_requeue = work->act == RABBITMQ_DEAD_REQUEUE;
    struct json_writer w;

    json_writer_init(&w, out);
    json_write_object_begin(&w);
    json_write_member_uint64(&w, is_requeue ? "requeued" : "dropped", r->done);
    if (is_requeue)
        json_write_member_uint64(&w, "cut", r->cut);
    json_write_member_uint64(&w, "left", r->dead_ready > r->done ? r->dead_ready - r->done : 0);
    json_write_member_text(&w, "error", r->error[0] ? r->error : NULL);
    json_write_object_end(&w);
}

static void answer(struct server_ingress_work *work)
{
    const struct rabbitmq_dead_report *r = &work->report;
    base_cleanup(buffer_deinit)
    struct buffer json = {0};

    if (!work->reply) {
        work_free(work);
        return;
    }
    if (work->act == RABBITMQ_DEAD_LOOK)
        write_page(work, &json);
    else
        write_done(work, &json);
    if (r->error[0] && r->done == 0)
        api_reply_error(work->reply, 503, "unavailable", r->error);
    else if (buffer_error(&json))
        api_reply_error(work->reply, 500, "internal", "out of memory");
    else
        api_reply_json(work->reply, 200, buffer_slice(&json));
    work_free(work);
}

/* ---- whose turn it is ---- */

/** {"active":true,"consumer_tag":"warren <node>","queue":{"name":"…"},…} */
static void read_consumer(struct server_ingress_work *work, struct slice object, const char *queue)
{
    struct json_reader reader, inner;
    struct json_value value, name_value;
    struct slice name, inner_name;
    struct buffer tag = BUFFER_WITH_LIMIT(256);
    bool is_active = false, is_ours = false;

    json_reader_init(&reader, object, JSON_DEPTH_MAX);
    if (json_reader_enter_object(&reader))
        return;
    while (json_reader_member(&reader, &name, &value) == JSON_OK) {
        if (json_string_equal(name, "active")) {
            is_active = slice_equal_text(value.text, "true");
        } else if (json_string_equal(name, "consumer_tag") && value.type == JSON_STRING) {
            json_string_decode(json_string_raw(value), &tag);
        } else if (json_string_equal(name, "queue") && value.type == JSON_OBJECT) {
            json_reader_init(&inner, value.text, JSON_DEPTH_MAX);
            if (json_reader_enter_object(&inner))
                continue;
            while (json_reader_member(&inner, &inner_name, &name_value) == JSON_OK)
                is_ours |= json_string_equal(inner_name, "name") && name_value.type == JSON_STRING &&
                           json_string_equal(json_string_raw(name_value), queue);
        }
    }
    if (is_active && is_ours && tag.size > strlen(TAG_PREFIX) && strncmp(tag.data, TAG_PREFIX, strlen(TAG_PREFIX)) == 0)
        (void)snprintf(work->active, sizeof(work->active), "%s", tag.data + strlen(TAG_PREFIX));
    buffer_deinit(&tag);
}

static void on_consumers(void *userdata, int result, unsigned status, struct slice body, const char *error base_unused)
{
    struct server_ingress_work *work = userdata;
    struct json_reader reader;
    struct json_value value;
    char queue[160];

    (void)snprintf(queue, sizeof(queue), "%s.ingress", work->server->settings->amqp.prefix);
    json_reader_init(&reader, body, JSON_DEPTH_MAX);
    if (!result && status == 200 && !json_reader_enter_array(&reader)) {
        while (json_reader_element(&reader, &value) == JSON_OK)
            read_consumer(work, value.text, queue);
    }
    answer(work);
}

static int ask_consumers(struct server_ingress_work *work)
{
    struct outbound_request request = {.method = "GET", .timeout_ms = CONSUMERS_TIMEOUT_MS};
    const struct rabbitmq_config *amqp = &work->server->settings->amqp;
    base_cleanup(buffer_deinit)
    struct buffer url = {0};

    server_management_url(amqp, &url);
    buffer_append_text(&url, "/api/consumers/");
    server_management_vhost(amqp, &url);
    buffer_append_char(&url, '\0');
    if (buffer_error(&url))
        return -ENOMEM;
    request.url = url.data;
    return outbound_fetch(work->server->outbound, &request, on_consumers, work);
}

/* ---- the thread ---- */

static void on_work_done(struct loop_task *task)
{
    struct server_ingress_work *work = container_of(task, struct server_ingress_work, done);
    struct server *s = work->server;

    (void)pthread_join(work->thread, NULL);
    s->ingress_work = NULL;
    server_stop_if_over(s);
    if (work->reply && work->act == RABBITMQ_DEAD_LOOK && !work->report.error[0] && ask_consumers(work) == 0)
        return;
    answer(work);
}

static void *run_work(void *argument)
{
    struct server_ingress_work *work = argument;

    rabbitmq_dead_do(&work->server->settings->amqp, work->act, work->count, &work->is_cancelled, &work->report);
    loop_post(work->server->main_loop, &work->done);
    return NULL;
}

static int start_thread(struct server_ingress_work *work)
{
    sigset_t all, before;
    int result;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the main thread's */
    result = pthread_create(&work->thread, NULL, run_work, work);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -result;
}

static void start(struct server *s, enum rabbitmq_dead_act act, uint64_t count, struct api_reply *reply)
{
    struct server_ingress_work *work;

    if (s->is_standalone) {
        api_reply_error(reply, 409, "standalone", "this node runs alone, without a broker");
        return;
    }
    if (s->is_stopping || s->ingress_work) {
        api_reply_error(reply, 503, s->is_stopping ? "unavailable" : "busy",
                        s->is_stopping ? "the node is ending"
                                       : "another order for the ingress is under way; try again");
        return;
    }
    work = calloc(1, sizeof(*work));
    if (work) {
        *work = (struct server_ingress_work){.server = s, .reply = reply, .act = act, .count = count};
        work->done.run = on_work_done;
    }
    if (!work || start_thread(work)) {
        free(work);
        api_reply_error(reply, 500, "internal", "no memory or no thread for it");
        return;
    }
    s->ingress_work = work;
}

void server_ingress_stop(struct server *s)
{
    struct server_ingress_work *work = s->ingress_work;

    if (!work)
        return;
    atomic_store(&work->is_cancelled, true);
    api_reply_error(base_take(work->reply), 503, "unavailable", "the node is ending");
}

/* ---- what was asked ---- */

void server_ingress_page(void *userdata, const struct api_question *question, struct api_reply *reply)
{
    struct slice text = http_query_parameter(question->query, "peek", 0);
    uint64_t count = 0;

    if (slice_is_set(text) && !slice_to_uint64(text, RABBITMQ_DEAD_PEEK_MAX, &count)) {
        api_reply_error(reply, 400, "bad_request", "peek: expected a number up to 100");
        return;
    }
    start(userdata, RABBITMQ_DEAD_LOOK, count, reply);
}

/** {"count":N}, or nothing for all. */
static bool read_count(struct slice body, uint64_t *ret_count)
{
    struct json_reader reader;
    struct json_value value;
    struct slice name;
    int64_t count = -1;
    int result;

    *ret_count = UINT64_MAX;
    if (body.size == 0)
        return true;
    json_reader_init(&reader, body, JSON_DEPTH_MAX);
    result = json_reader_enter_object(&reader);
    while (!result && (result = json_reader_member(&reader, &name, &value)) == JSON_OK) {
        if (!json_string_equal(name, "count") || value.type != JSON_NUMBER ||
            !json_number_int64(value, 1, INT64_MAX, &count))
            return false;
        *ret_count = (uint64_t)count;
    }
    return result == JSON_END && json_reader_finish(&reader) == JSON_OK;
}

static void start_order(struct server *s, enum rabbitmq_dead_act act, const struct api_question *question,
                        struct api_reply *reply)
{
    uint64_t count;

    if (!read_count(question->body, &count))
        api_reply_error(reply, 400, "bad_request", "expected {\"count\":N} with N at least 1, or no body for all");
    else
        start(s, act, count, reply);
}

void server_ingress_requeue_page(void *userdata, const struct api_question *question, struct api_reply *reply)
{
    start_order(userdata, RABBITMQ_DEAD_REQUEUE, question, reply);
}

void server_ingress_drop_page(void *userdata, const struct api_question *question, struct api_reply *reply)
{
    start_order(userdata, RABBITMQ_DEAD_DROP, question, reply);
}
