/*
 * Writing and reading the values. What is read was written by other nodes, perhaps of another version, perhaps by hand:
 * nothing here believes its types or lengths.
 */
#include "store/redis/value.h"

#include "base/json.h"

#include <inttypes.h>
#include <stdio.h>

void redis_incarnation_format(uint64_t incarnation, char ret_text[REDIS_INCARNATION_SIZE + 1])
{
    (void)snprintf(ret_text, REDIS_INCARNATION_SIZE + 1, "%016" PRIx64, incarnation);
}

bool redis_incarnation_parse(struct slice text, uint64_t *ret_incarnation)
{
    uint64_t value = 0;

    if (text.size != REDIS_INCARNATION_SIZE)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];

        if (c >= '0' && c <= '9')
            value = value << 4 | (uint64_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            value = value << 4 | (uint64_t)(c - 'a' + 10);
        else
            return false;
    }
    *ret_incarnation = value;
    return true;
}

bool redis_node_check(struct slice node)
{
    for (size_t i = 0; i < node.size; i++) {
        char c = node.data[i];

        if (c <= ' ' || c > '~' || c == '"' || c == '\\')
            return false;
    }
    return node.size > 0;
}

struct slice redis_position_format(struct store_position position, char storage[REDIS_POSITION_TEXT])
{
    int size = snprintf(storage, REDIS_POSITION_TEXT, "%" PRIu64 "-%" PRIu64, position.epoch, position.offset);

    return slice_make(storage, (size_t)size);
}

bool redis_position_parse(struct slice text, struct store_position *ret_position)
{
    struct store_position position;
    struct slice rest = text, epoch;

    if (!slice_is_set(text) || !slice_split(&rest, '-', &epoch) || !slice_is_set(rest) ||
        !slice_to_uint64(epoch, UINT64_MAX, &position.epoch) || !slice_to_uint64(rest, UINT64_MAX, &position.offset))
        return false;
    *ret_position = position;
    return true;
}

/* ---- writing ---- */

void redis_lease_write(const struct store_lease *lease, struct buffer *out)
{
    struct json_writer w;

    json_writer_init(&w, out);
    json_write_object_begin(&w);
    json_write_member_bool(&w, "cut", lease->is_cut);
    json_write_member_bool(&w, "draining", lease->is_draining);
    json_write_member_uint64(&w, "sessions", lease->sessions);
    json_write_member_uint64(&w, "rooms", lease->rooms);
    json_write_member_int64(&w, "started", lease->started_ms);
    json_write_member_uint64(&w, "lease", lease->lease_ms);
    json_write_member_text(&w, "version", lease->version);
    json_write_member_text(&w, "internal", lease->internal);
    json_write_object_end(&w);
}

void redis_session_write(const struct store_session *session, struct buffer *out)
{
    struct json_writer w;

    json_writer_init(&w, out);
    json_write_object_begin(&w);
    json_write_member_int64(&w, "since", session->since_ms);
    if (slice_is_set(session->device))
        json_write_member_string(&w, "device", session->device);
    json_write_object_end(&w);
}

void redis_counts_write(const struct store_room_put *room, struct buffer *out)
{
    struct json_writer w;

    json_writer_init(&w, out);
    json_write_object_begin(&w);
    json_write_member_uint64(&w, "connections", room->connections);
    json_write_member_uint64(&w, "users", room->users);
    json_write_member_uint64(&w, "version", room->version);
    json_write_object_end(&w);
}

/* ---- reading ---- */

/** A string's text, followed by a NUL; absent if @value is none. Return: 0, -ENOMEM. */
static int read_string(struct json_value value, struct store_arena *arena, struct slice *ret_text)
{
    base_cleanup(buffer_deinit)
    struct buffer decoded = {0};
    struct slice text;

    if (value.type != JSON_STRING)
        return 0;
    json_string_decode(json_string_raw(value), &decoded);
    if (buffer_error(&decoded) < 0)
        return -ENOMEM;
    text = store_arena_copy(arena, buffer_slice(&decoded));
    if (!slice_is_set(text))
        return -ENOMEM;
    *ret_text = text;
    return 0;
}

static int64_t read_int(struct json_value value)
{
    int64_t number;

    return value.type == JSON_NUMBER && json_number_int64(value, 0, INT64_MAX, &number) ? number : 0;
}

static uint64_t read_uint(struct json_value value)
{
    return (uint64_t)read_int(value);
}

static bool read_bool(struct json_value value)
{
    return value.type == JSON_BOOL && slice_equal_text(value.text, "true");
}

static int read_text(struct json_value value, struct store_arena *arena, const char **ret_text)
{
    struct slice text = SLICE_NONE;
    int r = read_string(value, arena, &text);

    if (r == 0 && slice_is_set(text))
        *ret_text = text.data;
    return r;
}

/** What becomes of one member. Return: 0, -ENOMEM, -EBADMSG. */
typedef int member_fn(struct slice name, struct json_value value, struct store_arena *arena, void *object);

/** Gives each member of @text to @member. */
static int read_object(struct slice text, struct store_arena *arena, member_fn *member, void *object)
{
    struct json_reader reader;
    struct json_value value;
    struct slice name;
    int r;

    json_reader_init(&reader, text, 4);
    if (json_reader_enter_object(&reader) != JSON_OK)
        return -EBADMSG;
    while ((r = json_reader_member(&reader, &name, &value)) == JSON_OK) {
        int failed = member(name, value, arena, object);

        if (failed)
            return failed;
    }
    return r == JSON_END && json_reader_finish(&reader) == JSON_OK ? 0 : -EBADMSG;
}

static int lease_member(struct slice name, struct json_value value, struct store_arena *arena, void *object)
{
    struct store_lease *lease = object;
    struct slice text = SLICE_NONE;

    if (json_string_equal(name, "incarnation")) {
        if (value.type == JSON_STRING)
            text = json_string_raw(value);
        return redis_incarnation_parse(text, &lease->incarnation) ? 0 : -EBADMSG;
    }
    if (json_string_equal(name, "until"))
        lease->lease_left_ms = read_int(value);
    else if (json_string_equal(name, "node"))
        return read_text(value, arena, &lease->node);
    else if (json_string_equal(name, "cut"))
        lease->is_cut = read_bool(value);
    else if (json_string_equal(name, "draining"))
        lease->is_draining = read_bool(value);
    else if (json_string_equal(name, "sessions"))
        lease->sessions = read_uint(value);
    else if (json_string_equal(name, "rooms"))
        lease->rooms = read_uint(value);
    else if (json_string_equal(name, "started"))
        lease->started_ms = read_int(value);
    else if (json_string_equal(name, "lease"))
        lease->lease_ms = read_uint(value);
    else if (json_string_equal(name, "version"))
        return read_text(value, arena, &lease->version);
    else if (json_string_equal(name, "internal"))
        return read_text(value, arena, &lease->internal);
    return 0;
}

int redis_lease_parse(struct slice value, int64_t now_ms, struct store_arena *arena, struct store_lease *ret_lease)
{
    struct store_lease lease = {.version = "", .internal = ""};
    int r = read_object(value, arena, lease_member, &lease);

    if (r < 0)
        return r;
    if (!lease.node)
        return -EBADMSG;
    lease.lease_left_ms -= now_ms;
    lease.is_alive = lease.lease_left_ms > 0;
    *ret_lease = lease;
    return 0;
}

static int session_member(struct slice name, struct json_value value, struct store_arena *arena, void *object)
{
    struct store_session *session = object;

    if (json_string_equal(name, "node"))
        return read_string(value, arena, &session->node);
    if (json_string_equal(name, "device"))
        return read_string(value, arena, &session->device);
    if (json_string_equal(name, "since"))
        session->since_ms = read_int(value);
    return 0;
}

int redis_session_parse(struct slice session, struct slice value, struct store_arena *arena,
                        struct store_session *ret_session)
{
    struct store_session result = {.session = session};
    int r = read_object(value, arena, session_member, &result);

    if (r < 0)
        return r;
    if (!slice_is_set(result.node))
        return -EBADMSG;
    *ret_session = result;
    return 0;
}

void redis_counts_parse(struct slice value, struct store_room_part *part)
{
    struct json_reader reader;
    struct json_value member;
    struct slice name;

    part->connections = part->users = 0;
    json_reader_init(&reader, value, 4);
    if (json_reader_enter_object(&reader) != JSON_OK)
        return;
    while (json_reader_member(&reader, &name, &member) == JSON_OK) {
        if (json_string_equal(name, "connections"))
            part->connections = read_uint(member);
        else if (json_string_equal(name, "users"))
            part->users = read_uint(member);
    }
}
