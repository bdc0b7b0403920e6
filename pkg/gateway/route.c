/*
 * Routes.
 *
 * Preference is decided when a template is added: the table is kept sorted by the number of words, first come first
 * within the same number, so that finding one is a walk that ends at the first fit. Defaults are added last, and only
 * those whose path nobody configured.
 */
#include "gateway/route_internal.h"

#include "base/random.h"
#include "gateway/gateway.h"
#include "http/http.h"

#include <stdio.h>

static const char *const default_paths[] = {
    "/ws",
    "/websocket/{room}/{user}",
    "/demo/websocket/{room}/{type}/{user}/{token}/{device}",
};

static const struct {
    const char *name;
    enum gateway_segment_kind kind;
} parameters[] = {
    {"{room}", GATEWAY_SEGMENT_ROOM},
    {"{user}", GATEWAY_SEGMENT_USER},
    {"{device}", GATEWAY_SEGMENT_DEVICE},
};

static void buffer_deinit_p(struct buffer *b)
{
    buffer_deinit(b);
}

static struct gateway_route *route_free(struct gateway_route *route)
{
    if (!route)
        return NULL;
    free(route->path);
    free(route);
    return NULL;
}
BASE_DEFINE_CLEANUP(struct gateway_route *, route_free)

void gateway_routes_deinit(struct gateway_routes *r)
{
    for (size_t i = 0; i < r->count; i++)
        route_free(r->items[i]);
    free(r->items);
    *r = (struct gateway_routes){0};
}

/** Cuts "/a/b" into "a", "b", and "/" into nothing. False if it is no path or has too many segments. */
static bool path_split(struct slice path, struct slice segments[GATEWAY_SEGMENTS_MAX], size_t *ret_count)
{
    size_t count = 0;
    struct slice rest, part;

    if (path.size == 0 || path.data[0] != '/')
        return false;
    rest = slice_skip(path, 1);
    if (rest.size == 0)
        rest = SLICE_NONE;
    while (slice_split(&rest, '/', &part)) {
        if (count == GATEWAY_SEGMENTS_MAX)
            return false;
        segments[count++] = part;
    }
    *ret_count = count;
    return true;
}

static bool has_any(struct slice s, const char *characters)
{
    for (size_t i = 0; i < s.size; i++)
        if (s.data[i] == '\0' || strchr(characters, s.data[i]))
            return true;
    return false;
}

/** NULL, or what is wrong. */
static const char *segment_parse(struct slice text, struct gateway_segment *ret)
{
    if (text.size == 0)
        return "has an empty segment";
    if (text.data[0] != '{') {
        if (has_any(text, "{}%?# "))
            return "has a segment with a character that a word cannot have";
        *ret = (struct gateway_segment){GATEWAY_SEGMENT_WORD, text};
        return NULL;
    }
    if (text.size < 3 || text.data[text.size - 1] != '}' || has_any(slice_make(text.data + 1, text.size - 2), "{}%?# "))
        return "has a name that is not of the form {name}";
    *ret = (struct gateway_segment){GATEWAY_SEGMENT_IGNORED, SLICE_NONE};
    for (size_t i = 0; i < BASE_ARRAY_SIZE(parameters); i++)
        if (slice_equal_text(text, parameters[i].name))
            ret->kind = parameters[i].kind;
    return NULL;
}

static const char *route_parse(struct gateway_route *route)
{
    struct slice texts[GATEWAY_SEGMENTS_MAX];
    unsigned kinds_seen = 0;

    if (!path_split(slice_from(route->path), texts, &route->segment_count))
        return "does not begin with '/' or has more than 16 segments";
    for (size_t i = 0; i < route->segment_count; i++) {
        struct gateway_segment *segment = &route->segments[i];
        const char *wrong = segment_parse(texts[i], segment);

        if (wrong)
            return wrong;
        if (segment->kind == GATEWAY_SEGMENT_WORD) {
            route->words++;
        } else if (segment->kind != GATEWAY_SEGMENT_IGNORED) {
            if (kinds_seen & (1u << segment->kind))
                return "has {room}, {user} or {device} twice";
            kinds_seen |= 1u << segment->kind;
        }
    }
    return NULL;
}

static const struct gateway_route *routes_find_template(const struct gateway_routes *r, const char *path)
{
    for (size_t i = 0; i < r->count; i++)
        if (strcmp(r->items[i]->path, path) == 0)
            return r->items[i];
    return NULL;
}

int gateway_routes_add(struct gateway_routes *r, const char *origin, const char *path, const struct proto_codec *codec,
                       struct buffer *errors)
{
    base_cleanup(route_free_p)
    struct gateway_route *route = calloc(1, sizeof(*route));
    struct gateway_route **items;
    const char *wrong;
    size_t position;

    if (!route || !(route->path = strdup(path)))
        return -ENOMEM;
    route->codec = codec;
    wrong = routes_find_template(r, path) ? "is that of another route" : route_parse(route);
    if (wrong) {
        buffer_printf(errors, "%s: path \"%s\" %s\n", origin, path, wrong);
        return CONFIG_E_INVALID;
    }
    items = realloc(r->items, (r->count + 1) * sizeof(struct gateway_route *));
    if (!items)
        return -ENOMEM;
    r->items = items;
    for (position = r->count; position > 0 && items[position - 1]->words < route->words; position--)
        items[position] = items[position - 1];
    items[position] = base_take(route);
    r->count++;
    return 0;
}

/** Empty texts are no keys. */
static void set_mirror(struct gateway_routes *r, const struct gateway_route_config *values)
{
    for (size_t i = 0; i < r->count; i++) {
        if (strcmp(r->items[i]->path, values->path) != 0)
            continue;
        r->items[i]->mirror.online_key = values->online_key[0] ? values->online_key : NULL;
        r->items[i]->mirror.likes_key = values->likes_key[0] ? values->likes_key : NULL;
    }
}

/** Every bad route is told, not only the first. */
static int routes_load_configured(struct gateway_routes *r, const struct config *config, struct buffer *errors)
{
    int outcome = 0;

    for (size_t i = 0; config; i++) {
        const char *name;
        const struct gateway_route_config *values = config_family_at(config, GATEWAY_ROUTE_FAMILY, i, &name);
        char origin[64];
        int result;

        if (!values)
            break;
        snprintf(origin, sizeof(origin), GATEWAY_ROUTE_FAMILY ".%s", name);
        result =
            gateway_routes_add(r, origin, values->path, proto_codec_of_dialect(slice_from(values->dialect)), errors);
        if (result < 0)
            return result;
        if (result > 0)
            outcome = result;
        else
            set_mirror(r, values);
    }
    return outcome;
}

int gateway_routes_load(struct gateway_routes *r, const struct config *config, bool echo, struct buffer *errors)
{
    int outcome = routes_load_configured(r, config, errors);

    for (size_t i = 0; outcome == 0 && i < BASE_ARRAY_SIZE(default_paths); i++)
        if (!routes_find_template(r, default_paths[i]))
            outcome = gateway_routes_add(r, "default route", default_paths[i], &proto_codec_json, errors);
    if (outcome == 0 && echo)
        outcome = gateway_routes_add(r, "listen.echo", "/echo", NULL, errors);
    return outcome;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/** Percent-encoded bytes equal the bytes they stand for (RFC 3986 section 6.2.2.2). */
static bool word_matches(struct slice word, struct slice raw)
{
    size_t position = 0;

    for (size_t i = 0; i < word.size; i++) {
        char c;

        if (position == raw.size)
            return false;
        c = raw.data[position++];
        if (c == '%') {
            int high = raw.size - position >= 2 ? hex_value(raw.data[position]) : -1;
            int low = high >= 0 ? hex_value(raw.data[position + 1]) : -1;

            if (low < 0)
                return false;
            c = (char)(unsigned char)(high * 16 + low);
            position += 2;
        }
        if (c != word.data[i])
            return false;
    }
    return position == raw.size;
}

static bool route_matches(const struct gateway_route *route, const struct slice *raw, size_t count)
{
    if (route->segment_count != count)
        return false;
    for (size_t i = 0; i < count; i++)
        if (route->segments[i].kind == GATEWAY_SEGMENT_WORD && !word_matches(route->segments[i].text, raw[i]))
            return false;
    return true;
}

const struct gateway_route *gateway_routes_find(const struct gateway_routes *r, struct slice path)
{
    struct slice raw[GATEWAY_SEGMENTS_MAX];
    size_t count;

    if (!path_split(path, raw, &count))
        return NULL;
    for (size_t i = 0; i < r->count; i++)
        if (route_matches(r->items[i], raw, count))
            return r->items[i];
    return NULL;
}

/* ---- reading a URL ---- */

static int bad_url(char sentence[GATEWAY_SENTENCE_SIZE], const char *which, const char *wrong)
{
    snprintf(sentence, GATEWAY_SENTENCE_SIZE, "%s %s", which, wrong);
    return GATEWAY_E_BAD_URL;
}

/** 0, GATEWAY_E_BAD_URL for a bad escape, or -ENOMEM. */
static int decode(struct slice raw, bool form, const char *which, char sentence[GATEWAY_SENTENCE_SIZE],
                  struct buffer *out)
{
    bool good = http_percent_decode(raw, form, out);

    if (buffer_error(out))
        return -ENOMEM;
    return good ? 0 : bad_url(sentence, which, "has a bad percent-escape");
}

static int read_name(struct slice raw, bool form, const char *which, char sentence[GATEWAY_SENTENCE_SIZE],
                     struct gateway_name *ret_name)
{
    base_cleanup(buffer_deinit_p)
    struct buffer decoded = {0};
    const char *wrong;
    int result = decode(raw, form, which, sentence, &decoded);

    if (result != 0)
        return result;
    wrong = name_check(buffer_slice(&decoded));
    if (wrong)
        return bad_url(sentence, which, wrong);
    memcpy(ret_name->text, decoded.data, decoded.size);
    ret_name->size = (uint16_t)decoded.size;
    return 0;
}

/** `<epoch>:<offset>` of the route's room, or `<channel>@<epoch>:<offset>`; a channel's name may have an '@' of its
 * own. */
static int read_since(struct slice raw, char sentence[GATEWAY_SENTENCE_SIZE], struct gateway_target *target)
{
    base_cleanup(buffer_deinit_p)
    struct buffer decoded = {0};
    struct slice channel = SLICE_NONE, position, name = SLICE_NONE;
    struct proto_position since;
    int result = decode(raw, true, "since", sentence, &decoded);

    if (result != 0)
        return result;
    position = buffer_slice(&decoded);
    for (size_t i = position.size; i > 0; i--) {
        if (position.data[i - 1] == '@') {
            channel = slice_make(position.data, i - 1);
            position = slice_skip(position, i);
            break;
        }
    }
    if (!proto_position_parse(position, &since))
        return bad_url(sentence, "since", "is not <epoch>:<offset> or <channel>@<epoch>:<offset>");
    if (!slice_is_set(channel)) {
        if (target->room.size == 0)
            return bad_url(sentence, "since", "names no channel, and this URL has no room");
    } else {
        enum channel_kind kind = channel_parse(channel, &name);

        if (kind == CHANNEL_KIND_NONE || (kind != CHANNEL_KIND_ALL && name_check(name)))
            return bad_url(sentence, "since", "does not begin with a channel");
        if (kind == CHANNEL_KIND_ALL) {
            target->has_all_since = true;
            target->all_since = since;
            return 0;
        }
        if (kind == CHANNEL_KIND_USER && slice_equal(name, gateway_name_slice(&target->user))) {
            target->has_inbox_since = true;
            target->inbox_since = since;
            return 0;
        }
        if (kind != CHANNEL_KIND_ROOM || !slice_equal(name, gateway_name_slice(&target->room)))
            return 0; /* not one that this session begins with: a join brings its own */
    }
    target->has_since = true;
    target->since = since;
    return 0;
}

static int read_path(const struct gateway_route *route, struct slice path, char sentence[GATEWAY_SENTENCE_SIZE],
                     struct gateway_target *target)
{
    struct slice raw[GATEWAY_SEGMENTS_MAX];
    size_t count = 0;
    bool is_path = path_split(path, raw, &count);

    assert(is_path && count == route->segment_count);
    (void)is_path;
    for (size_t i = 0; i < count; i++) {
        int result = 0;

        switch (route->segments[i].kind) {
        case GATEWAY_SEGMENT_ROOM:
            result = read_name(raw[i], false, "room", sentence, &target->room);
            break;
        case GATEWAY_SEGMENT_USER:
            result = read_name(raw[i], false, "user", sentence, &target->user);
            break;
        case GATEWAY_SEGMENT_DEVICE:
            result = read_name(raw[i], false, "device", sentence, &target->device);
            break;
        case GATEWAY_SEGMENT_WORD:
        case GATEWAY_SEGMENT_IGNORED:
            break;
        }
        if (result != 0)
            return result;
    }
    return 0;
}

static int read_query_name(struct slice query, const char *which, char sentence[GATEWAY_SENTENCE_SIZE],
                           struct gateway_name *name)
{
    struct slice raw = http_query_parameter(query, which, 0);

    if (name->size > 0 || !slice_is_set(raw))
        return 0;
    return read_name(raw, true, which, sentence, name);
}

static int read_history(struct slice query, char sentence[GATEWAY_SENTENCE_SIZE], uint64_t *ret_history)
{
    struct slice raw = http_query_parameter(query, "history", 0);

    if (slice_is_set(raw) && !slice_to_uint64(raw, INT64_MAX, ret_history))
        return bad_url(sentence, "history", "is no whole number");
    return 0;
}

int gateway_route_read(const struct gateway_route *route, struct slice path, struct slice query,
                       char sentence[GATEWAY_SENTENCE_SIZE], struct gateway_target *ret_target)
{
    struct gateway_target target = {0};
    struct slice since;
    int result = read_path(route, path, sentence, &target);

    if (result == 0)
        result = read_query_name(query, "user", sentence, &target.user);
    if (result == 0)
        result = read_query_name(query, "device", sentence, &target.device);
    if (result == 0)
        result = read_history(query, sentence, &target.history);
    for (size_t n = 0; result == 0 && slice_is_set(since = http_query_parameter(query, "since", n)); n++)
        result = read_since(since, sentence, &target);
    if (result != 0)
        return result;
    if (route->mirror.online_key || route->mirror.likes_key)
        target.mirror = &route->mirror;
    if (target.user.size == 0) {
        char id[ID_TEXT_SIZE + 1];

        id_generate(id);
        target.user.size = (uint16_t)snprintf(target.user.text, sizeof(target.user.text), "anon-%s", id);
    }
    *ret_target = target;
    return 0;
}
