/* What the dialects share: the words of errors, positions as text, the online signal's data, and who speaks what. */
#include "proto/proto.h"

#include "proto/proto_internal.h"

static const struct {
    const char *word;
    unsigned http_status;
} errors[] = {
#define PROTO_ERROR_ROW(symbol, word, status) [PROTO_ERROR_##symbol] = {word, status},
    PROTO_ERROR_TABLE(PROTO_ERROR_ROW)
#undef PROTO_ERROR_ROW
};

const char *proto_error_word(enum proto_error_code code)
{
    return errors[code].word;
}

unsigned proto_error_http_status(enum proto_error_code code)
{
    return errors[code].http_status;
}

static const struct proto_codec *const codecs[] = {&proto_codec_json};

const struct proto_codec *proto_codec_find(struct slice subprotocol)
{
    for (size_t i = 0; i < BASE_ARRAY_SIZE(codecs); i++) {
        if (slice_equal_text(subprotocol, codecs[i]->subprotocol))
            return codecs[i];
    }
    return NULL;
}

const struct proto_codec *proto_codec_of_dialect(struct slice name)
{
    static const struct {
        const char *name;
        const struct proto_codec *codec;
    } dialects[] = {{"json", &proto_codec_json}, {"live", &proto_codec_live}};

    for (size_t i = 0; i < BASE_ARRAY_SIZE(dialects); i++) {
        if (slice_equal_text(name, dialects[i].name))
            return dialects[i].codec;
    }
    return NULL;
}

bool proto_position_parse(struct slice text, struct proto_position *ret_position)
{
    struct proto_position position;
    struct slice rest = text, epoch;

    if (!slice_split(&rest, ':', &epoch) || !slice_is_set(rest))
        return false;
    if (!slice_to_uint64(epoch, UINT64_MAX, &position.epoch) || !slice_to_uint64(rest, UINT64_MAX, &position.offset))
        return false;
    *ret_position = position;
    return true;
}

static void write_names(struct json_writer *w, const char *member, const struct slice *names, size_t count)
{
    json_write_name(w, member);
    json_write_array_begin(w);
    for (size_t i = 0; i < count; i++)
        json_write_string(w, names[i]);
    json_write_array_end(w);
}

void proto_online_write_members(struct json_writer *w, const struct proto_event *online)
{
    assert(online->kind == PROTO_EVENT_ONLINE);
    json_write_member_uint64(w, "count", online->online.count);
    write_names(w, "joined", online->online.joined, online->online.joined_count);
    write_names(w, "left", online->online.left, online->online.left_count);
    json_write_member_uint64(w, "more", online->online.more);
}

void proto_online_write(const struct proto_event *online, struct buffer *out)
{
    struct json_writer w;

    json_writer_init(&w, out);
    json_write_object_begin(&w);
    proto_online_write_members(&w, online);
    json_write_object_end(&w);
}
