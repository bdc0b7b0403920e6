/*
 * What dialects of JSON text share, inwards: a frame is one object or an array of them; an element that is refused is
 * consumed to its end, and the next one can follow; only text that is no JSON ends the frame.
 */
#include "proto/proto_internal.h"

#include <stdio.h>

void proto_decoder_init(struct proto_decoder *d, const struct proto_limits *limits, struct slice payload)
{
    *d = (struct proto_decoder){.limits = *limits, .text = payload};
    json_reader_init(&d->reader, payload, limits->depth < JSON_DEPTH_MAX ? limits->depth : JSON_DEPTH_MAX);
}

void proto_decoder_deinit(struct proto_decoder *d)
{
    buffer_deinit(&d->scratch);
}

int proto_refuse(struct proto_decoder *d, enum proto_error_code code, struct slice id, struct proto_event *ret_error,
                 const char *format, ...)
{
    va_list args;

    buffer_reset(&d->scratch, SIZE_MAX);
    va_start(args, format);
    buffer_vprintf(&d->scratch, format, args);
    va_end(args);
    if (buffer_error(&d->scratch))
        return -ENOMEM;
    *ret_error = (struct proto_event){.kind = PROTO_EVENT_ERROR, .id = id};
    ret_error->error.code = code;
    ret_error->error.message = buffer_slice(&d->scratch);
    return PROTO_E_BAD;
}

/** The text is no JSON: nothing behind the fault can be understood. */
static int refuse_syntax(struct proto_decoder *d, struct proto_event *ret_error)
{
    d->ended = true;
    return proto_refuse(d, PROTO_ERROR_BAD_JSON, SLICE_NONE, ret_error, "%s at byte %zu", d->reader.error,
                        d->reader.error_offset);
}

/** To where the next object must stand. 0, PROTO_END, PROTO_E_BAD, -ENOMEM. */
static int advance(struct proto_decoder *d, struct proto_event *ret_error)
{
    enum json_type type;
    int result = JSON_OK;

    if (d->ops == 0 && !d->in_array) {
        result = json_reader_peek(&d->reader, &type);
        if (result == JSON_OK && type != JSON_ARRAY)
            return 0;
        d->in_array = true;
        if (result == JSON_OK)
            result = json_reader_enter_array(&d->reader);
    }
    if (result == JSON_OK)
        result = json_reader_element_follows(&d->reader);
    if (result == JSON_END) {
        d->ended = true;
        result = json_reader_finish(&d->reader);
        if (result == JSON_OK)
            return PROTO_END;
    }
    if (result == JSON_E_SYNTAX)
        return refuse_syntax(d, ret_error);
    if (d->ops >= d->limits.ops_per_frame) {
        d->ended = true;
        return proto_refuse(d, PROTO_ERROR_BAD_REQUEST, SLICE_NONE, ret_error,
                            "expected at most %zu operations in a frame", d->limits.ops_per_frame);
    }
    return 0;
}

int proto_next_object(struct proto_decoder *d, proto_read_fn *read, void *userdata, struct proto_event *ret_error)
{
    struct json_value other;
    enum json_type type;
    size_t offset = 0;
    int result;

    if (d->ended)
        return PROTO_END;
    result = advance(d, ret_error);
    if (result != 0)
        return result;
    d->ops++;
    result = json_reader_peek(&d->reader, &type);
    if (result == JSON_OK) {
        offset = d->reader.offset;
        result = type == JSON_OBJECT ? read(d, userdata) : json_reader_value(&d->reader, &other);
    }
    if (result == JSON_OK && !d->in_array) { /* before the op is handed out: a frame that is no JSON does nothing */
        d->ended = true;
        result = json_reader_finish(&d->reader);
    }
    if (result == JSON_E_SYNTAX)
        return refuse_syntax(d, ret_error);
    if (type != JSON_OBJECT)
        return proto_refuse(d, PROTO_ERROR_BAD_REQUEST, SLICE_NONE, ret_error, "expected an object at byte %zu",
                            offset);
    return 0;
}
