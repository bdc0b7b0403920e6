/*
 * The join of the management API's answers with the leases, as plain text in, text out.
 *
 * The answers are read into three small tables (queues, bindings, nodes) whose texts are decoded into one arena; then
 * each page is one walk.
 */
#include "base/json.h"
#include "server/management_internal.h"
#include "server/server_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/** More than this in one virtual host is not read: the page would be of no use to anybody. */
#define ITEMS_MAX 5000

struct queue_row {
    size_t name; /* offsets into the arena, so that it may grow */
    size_t type;
    int64_t ready, unacked;
    uint64_t consumers;
    bool durable, exclusive;
    bool on_fanout, on_node; /* has the binding that a node's queue needs */
};

struct binding_row {
    bool is_fanout;
    size_t queue, routing_key;
};

struct join {
    const struct management_texts *texts;
    struct buffer arena;
    struct queue_row *queues;
    size_t queue_count;
    struct binding_row *bindings;
    size_t binding_count;
    uint64_t problems;
};

static void join_deinit(struct join *j)
{
    buffer_deinit(&j->arena);
    free(j->queues);
    free(j->bindings);
}

static const char *text_at(const struct join *j, size_t offset)
{
    return j->arena.data + offset;
}

/** Decodes a JSON string into the arena; anything else becomes an empty text. */
static size_t keep_text(struct join *j, struct json_value value)
{
    size_t offset = j->arena.size;

    if (value.type == JSON_STRING)
        json_string_decode(json_string_raw(value), &j->arena);
    buffer_append_char(&j->arena, '\0');
    return offset;
}

/* ---- reading ---- */

typedef int item_fn(struct join *j, struct json_reader *item);

/** Calls @take with a reader inside each object of an array. */
static int each_item(struct join *j, struct slice text, item_fn *take)
{
    struct json_reader reader;
    size_t count = 0;
    int result;

    json_reader_init(&reader, text, 16);
    if (json_reader_enter_array(&reader))
        return -EINVAL;
    while ((result = json_reader_element_follows(&reader)) == JSON_OK) {
        if (++count > ITEMS_MAX || json_reader_enter_object(&reader))
            return -EINVAL;
        result = take(j, &reader);
        if (result)
            return result;
    }
    return result == JSON_END ? 0 : -EINVAL;
}

static int64_t to_count(struct json_value value)
{
    int64_t number;

    return value.type == JSON_NUMBER && json_number_int64(value, 0, INT64_MAX, &number) ? number : 0;
}

static int take_queue(struct join *j, struct json_reader *item)
{
    struct queue_row row = {0}, *grown;
    struct json_value value;
    struct slice name;
    bool has_name = false;
    int result;

    while ((result = json_reader_member(item, &name, &value)) == JSON_OK) {
        if (json_string_equal(name, "name")) {
            row.name = keep_text(j, value);
            has_name = true;
        } else if (json_string_equal(name, "type")) {
            row.type = keep_text(j, value);
        } else if (json_string_equal(name, "messages_ready")) {
            row.ready = to_count(value);
        } else if (json_string_equal(name, "messages_unacknowledged")) {
            row.unacked = to_count(value);
        } else if (json_string_equal(name, "durable")) {
            row.durable = slice_equal_text(value.text, "true");
        } else if (json_string_equal(name, "exclusive")) {
            row.exclusive = slice_equal_text(value.text, "true");
        }
    }
    if (result != JSON_END || !has_name)
        return -EINVAL;
    grown = realloc(j->queues, (j->queue_count + 1) * sizeof(*grown));
    if (!grown)
        return -ENOMEM;
    j->queues = grown;
    j->queues[j->queue_count++] = row;
    return 0;
}

static struct queue_row *find_queue(const struct join *j, const char *name)
{
    for (size_t i = 0; i < j->queue_count; i++) {
        if (strcmp(text_at(j, j->queues[i].name), name) == 0)
            return &j->queues[i];
    }
    return NULL;
}

/** {"queue":{"name":"…"},…}: counts the consumer at its queue. */
static int take_consumer(struct join *j, struct json_reader *item)
{
    struct json_value value, inner;
    struct slice name;
    int result;

    while ((result = json_reader_member(item, &name, &value)) == JSON_OK) {
        struct json_reader queue;

        if (!json_string_equal(name, "queue") || value.type != JSON_OBJECT)
            continue;
        json_reader_init(&queue, value.text, 16);
        if (json_reader_enter_object(&queue))
            return -EINVAL;
        while (json_reader_member(&queue, &name, &inner) == JSON_OK) {
            if (json_string_equal(name, "name")) {
                size_t kept = keep_text(j, inner);
                struct queue_row *row;

                if (buffer_error(&j->arena))
                    return -ENOMEM;
                row = find_queue(j, text_at(j, kept));
                if (row)
                    row->consumers++;
            }
        }
    }
    return result == JSON_END ? 0 : -EINVAL;
}

static int take_binding(struct join *j, struct json_reader *item, bool is_fanout)
{
    struct binding_row row = {.is_fanout = is_fanout}, *grown;
    struct json_value value;
    struct slice name;
    bool is_queue = true;
    int result;

    while ((result = json_reader_member(item, &name, &value)) == JSON_OK) {
        if (json_string_equal(name, "destination"))
            row.queue = keep_text(j, value);
        else if (json_string_equal(name, "routing_key"))
            row.routing_key = keep_text(j, value);
        else if (json_string_equal(name, "destination_type"))
            is_queue = json_string_equal(json_string_raw(value), "queue");
    }
    if (result != JSON_END)
        return -EINVAL;
    if (!is_queue)
        return 0;
    grown = realloc(j->bindings, (j->binding_count + 1) * sizeof(*grown));
    if (!grown)
        return -ENOMEM;
    j->bindings = grown;
    j->bindings[j->binding_count++] = row;
    return 0;
}

static int take_fanout_binding(struct join *j, struct json_reader *item)
{
    return take_binding(j, item, true);
}

static int take_node_binding(struct join *j, struct json_reader *item)
{
    return take_binding(j, item, false);
}

/** The node that a queue's name names, or NULL if it is not a node's queue. */
static const char *node_of_queue(const struct join *j, const char *queue)
{
    size_t size = strlen(j->texts->prefix);

    if (strncmp(queue, j->texts->prefix, size) != 0 || strncmp(queue + size, ".node.", 6) != 0)
        return NULL;
    return queue + size + 6;
}

static bool node_lives(const struct join *j, const char *node)
{
    for (size_t i = 0; i < j->texts->node_count; i++) {
        if (strcmp(j->texts->nodes[i].node, node) == 0)
            return j->texts->nodes[i].is_alive;
    }
    return false;
}

/** Reads everything, and marks which queues have the bindings that they need. */
static int join_read(struct join *j, const struct management_texts *texts)
{
    int result;

    j->texts = texts;
    buffer_append_char(&j->arena, '\0'); /* offset 0 is the empty text */
    result = each_item(j, texts->queues, take_queue);
    if (!result)
        result = buffer_error(&j->arena);
    if (!result)
        result = each_item(j, texts->consumers, take_consumer);
    if (!result)
        result = each_item(j, texts->fanout, take_fanout_binding);
    if (!result)
        result = each_item(j, texts->node, take_node_binding);
    if (!result)
        result = buffer_error(&j->arena);
    for (size_t i = 0; !result && i < j->binding_count; i++) {
        struct queue_row *queue = find_queue(j, text_at(j, j->bindings[i].queue));
        const char *node = queue ? node_of_queue(j, text_at(j, queue->name)) : NULL;

        if (!queue)
            continue;
        if (j->bindings[i].is_fanout)
            queue->on_fanout = true;
        else if (node && strcmp(text_at(j, j->bindings[i].routing_key), node) == 0)
            queue->on_node = true;
    }
    return result;
}

/* ---- writing ---- */

struct row {
    const char *exchange, *routing_key; /* NULL in the page of queues */
    const char *queue;
    const char *node;              /* NULL: nobody's */
    const struct queue_row *known; /* NULL: there is no such queue */
    const char *state;
};

static void write_row(struct join *j, struct json_writer *w, const struct row *row)
{
    if (strcmp(row->state, "ok") != 0 && strcmp(row->state, "foreign") != 0)
        j->problems++;
    json_write_object_begin(w);
    if (row->exchange) {
        json_write_member_text(w, "exchange", row->exchange);
        json_write_member_text(w, "routing_key", row->routing_key);
    }
    json_write_member_text(w, "queue", row->queue);
    json_write_member_text(w, "node", row->node);
    json_write_name(w, "alive");
    if (row->node)
        json_write_bool(w, node_lives(j, row->node));
    else
        json_write_null(w); /* it is nobody's */
    if (row->known) {
        if (!row->exchange) {
            json_write_member_text(w, "type", text_at(j, row->known->type));
            json_write_member_bool(w, "durable", row->known->durable);
            json_write_member_bool(w, "exclusive", row->known->exclusive);
        }
        json_write_member_uint64(w, "consumers", row->known->consumers);
        json_write_member_int64(w, "ready", row->known->ready);
        json_write_member_int64(w, "unacked", row->known->unacked);
    }
    json_write_member_text(w, "state", row->state);
    json_write_object_end(w);
}

static const char *state_of(const struct join *j, const char *node)
{
    if (!node)
        return "foreign";
    return node_lives(j, node) ? "ok" : "orphan";
}

/** A living node's binding that is not there. */
static void write_missing(struct join *j, struct json_writer *w, const char *node, bool is_fanout)
{
    char exchange[160], queue[160];
    const struct queue_row *known;
    struct row row = {
        .exchange = exchange, .routing_key = is_fanout ? "" : node, .queue = queue, .node = node, .state = "missing"};

    (void)snprintf(exchange, sizeof(exchange), "%s.%s", j->texts->prefix, is_fanout ? "fanout" : "node");
    (void)snprintf(queue, sizeof(queue), "%s.node.%s", j->texts->prefix, node);
    known = find_queue(j, queue);
    if (known && (is_fanout ? known->on_fanout : known->on_node))
        return;
    row.known = known;
    write_row(j, w, &row);
}

static void write_bindings(struct join *j, struct json_writer *w)
{
    char exchange[160];

    for (size_t i = 0; i < j->binding_count; i++) {
        const struct binding_row *b = &j->bindings[i];
        const char *queue = text_at(j, b->queue), *node = node_of_queue(j, queue);
        const struct row row = {.exchange = exchange,
                                .routing_key = text_at(j, b->routing_key),
                                .queue = queue,
                                .node = node,
                                .known = find_queue(j, queue),
                                .state = state_of(j, node)};

        (void)snprintf(exchange, sizeof(exchange), "%s.%s", j->texts->prefix, b->is_fanout ? "fanout" : "node");
        write_row(j, w, &row);
    }
    for (size_t i = 0; i < j->texts->node_count; i++) {
        if (!j->texts->nodes[i].is_alive)
            continue;
        write_missing(j, w, j->texts->nodes[i].node, true);
        write_missing(j, w, j->texts->nodes[i].node, false);
    }
    /* A node's queue that is bound to nothing would show nowhere else. */
    for (size_t i = 0; i < j->queue_count; i++) {
        const char *queue = text_at(j, j->queues[i].name), *node = node_of_queue(j, queue);
        const struct row row = {
            .exchange = "", .routing_key = "", .queue = queue, .node = node, .known = &j->queues[i], .state = "orphan"};

        if (node && !j->queues[i].on_fanout && !j->queues[i].on_node && !node_lives(j, node))
            write_row(j, w, &row);
    }
}

static void write_queues(struct join *j, struct json_writer *w)
{
    size_t size = strlen(j->texts->prefix);

    for (size_t i = 0; i < j->queue_count; i++) {
        const char *queue = text_at(j, j->queues[i].name), *node = node_of_queue(j, queue);
        const bool is_ours = strncmp(queue, j->texts->prefix, size) == 0 && queue[size] == '.';
        const struct row row = {.queue = queue,
                                .node = node,
                                .known = &j->queues[i],
                                .state = node      ? state_of(j, node)
                                         : is_ours ? "ok"
                                                   : "foreign"};

        if (is_ours || j->queues[i].on_fanout)
            write_row(j, w, &row);
    }
    for (size_t i = 0; i < j->texts->node_count; i++) {
        char queue[160];
        const struct row row = {.queue = queue, .node = j->texts->nodes[i].node, .state = "missing"};

        (void)snprintf(queue, sizeof(queue), "%s.node.%s", j->texts->prefix, j->texts->nodes[i].node);
        if (j->texts->nodes[i].is_alive && !find_queue(j, queue))
            write_row(j, w, &row);
    }
}

static int join_page(const struct management_texts *texts, const char *name,
                     void (*write)(struct join *, struct json_writer *), struct buffer *out)
{
    struct join j = {0};
    struct json_writer w;
    int result = join_read(&j, texts);

    if (!result) {
        json_writer_init(&w, out);
        json_write_object_begin(&w);
        json_write_name(&w, name);
        json_write_array_begin(&w);
        write(&j, &w);
        json_write_array_end(&w);
        json_write_member_uint64(&w, "problems", j.problems);
        json_write_object_end(&w);
        result = buffer_error(out);
    }
    join_deinit(&j);
    return result;
}

int management_join_bindings(const struct management_texts *t, struct buffer *out)
{
    return join_page(t, "bindings", write_bindings, out);
}

int management_join_queues(const struct management_texts *t, struct buffer *out)
{
    return join_page(t, "queues", write_queues, out);
}

static struct management_texts texts_of(const struct management_read *r)
{
    return (struct management_texts){
        .prefix = r->server->settings->amqp.prefix,
        .queues = buffer_slice(&r->parts[MANAGEMENT_QUEUES]),
        .consumers = buffer_slice(&r->parts[MANAGEMENT_CONSUMERS]),
        .fanout = buffer_slice(&r->parts[MANAGEMENT_FANOUT]),
        .node = buffer_slice(&r->parts[MANAGEMENT_NODE]),
        .nodes = r->nodes,
        .node_count = r->node_count,
    };
}

int management_write_bindings(const struct management_read *r, struct buffer *out)
{
    const struct management_texts texts = texts_of(r);

    return management_join_bindings(&texts, out);
}

int management_write_queues(const struct management_read *r, struct buffer *out)
{
    const struct management_texts texts = texts_of(r);

    return management_join_queues(&texts, out);
}
