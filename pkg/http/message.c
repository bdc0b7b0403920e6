/*
 * Questions to a parsed message, and the names of the statuses.
 */
#include "http/http_internal.h"

bool http_message_each(const struct http_message *m, const char *name, size_t *position, struct slice *ret_value)
{
    struct slice wanted = slice_from(name);

    for (; *position < m->header_count; (*position)++) {
        if (slice_equal_nocase(m->headers[*position].name, wanted)) {
            *ret_value = m->headers[(*position)++].value;
            return true;
        }
    }
    return false;
}

struct slice http_message_header(const struct http_message *m, const char *name)
{
    struct slice value = SLICE_NONE, further;
    size_t position = 0;

    if (!http_message_each(m, name, &position, &value))
        return SLICE_NONE;
    while (http_message_each(m, name, &position, &further))
        if (!slice_equal(value, further))
            return SLICE_NONE;
    return value;
}

size_t http_message_header_count(const struct http_message *m, const char *name)
{
    struct slice value;
    size_t position = 0, count = 0;

    while (http_message_each(m, name, &position, &value))
        count++;
    return count;
}

bool http_is_token(struct slice s)
{
    return http_characters_are(s, HTTP_CHARACTER_TOKEN);
}

bool http_message_has_token(const struct http_message *m, const char *name, const char *token)
{
    struct slice line, part, wanted = slice_from(token);
    size_t position = 0;

    while (http_message_each(m, name, &position, &line))
        while (slice_split(&line, ',', &part))
            if (slice_equal_nocase(slice_trim(part), wanted))
                return true;
    return false;
}

const char *http_status_reason(unsigned status)
{
    static const struct {
        unsigned status;
        const char *reason;
    } reasons[] = {
        {100, "Continue"},
        {101, "Switching Protocols"},
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {206, "Partial Content"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {303, "See Other"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {410, "Gone"},
        {411, "Length Required"},
        {412, "Precondition Failed"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {417, "Expectation Failed"},
        {421, "Misdirected Request"},
        {422, "Unprocessable Content"},
        {426, "Upgrade Required"},
        {428, "Precondition Required"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
    };

    for (size_t i = 0; i < BASE_ARRAY_SIZE(reasons); i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return "Unknown";
}
