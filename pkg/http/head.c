/*
 * The head of a message: start line (RFC 9112 sections 3 and 4) and field lines (section 5).
 *
 * Works on whole lines, whose bytes the scanner has already rid of control characters. One space between the parts of a
 * start line and nothing else: the white space that section 3 lets a server tolerate is what parsers have disagreed
 * about.
 */
#include "http/http_internal.h"
#include "http/url.h"

static bool version_is_well_formed(struct slice s)
{
    return s.size == 8 && memcmp(s.data, "HTTP/", 5) == 0 && s.data[5] >= '0' && s.data[5] <= '9' && s.data[6] == '.' &&
           s.data[7] >= '0' && s.data[7] <= '9';
}

static void target_cut(struct slice s, struct http_message *m)
{
    const char *mark = memchr(s.data, '?', s.size);

    m->path = mark ? slice_make(s.data, (size_t)(mark - s.data)) : s;
    m->query = mark ? slice_skip(s, m->path.size + 1) : SLICE_NONE;
}

/* RFC 9112 section 3.2.2: a server takes the absolute form from anyone. The authority is checked and not used. */
static struct http_refusal absolute_form_parse(struct http_message *m)
{
    struct slice rest = m->target, authority, host, port;
    const char *begin = memmem(rest.data, rest.size, "://", 3);
    uint64_t number;
    size_t end = 0;

    if (!begin)
        return http_refuse(400, "The request target is neither a path nor a URL.");
    rest = slice_make(rest.data, (size_t)(begin - rest.data));
    if (!slice_equal_nocase(rest, SLICE_LITERAL("http")) && !slice_equal_nocase(rest, SLICE_LITERAL("https")) &&
        !slice_equal_nocase(rest, SLICE_LITERAL("ws")) && !slice_equal_nocase(rest, SLICE_LITERAL("wss")))
        return http_refuse(400, "The scheme of the request target is not served here.");
    rest = slice_skip(m->target, rest.size + 3);
    while (end < rest.size && rest.data[end] != '/' && rest.data[end] != '?')
        end++;
    authority = slice_make(rest.data, end);
    if (!http_host_split(authority, &host, &port) || !http_host_is_valid(host) ||
        (port.size > 0 && !slice_to_uint64(port, 65535, &number)))
        return http_refuse(400, "The request target has no valid host.");
    rest = slice_skip(rest, end);
    if (rest.size > 0 && rest.data[0] == '/') {
        target_cut(rest, m);
    } else {
        m->path = SLICE_LITERAL("/");
        m->query = rest.size > 0 ? slice_skip(rest, 1) : SLICE_NONE;
    }
    return HTTP_ACCEPTED;
}

struct http_refusal http_request_line_parse(struct slice line, struct http_message *m)
{
    struct slice rest = line, version;

    if (!slice_split(&rest, ' ', &m->method) || !slice_split(&rest, ' ', &m->target) || !slice_is_set(rest))
        return http_refuse(400, "The request line is not a method, a target and a version.");
    version = rest;
    if (!http_characters_are(m->method, HTTP_CHARACTER_TOKEN))
        return http_refuse(400, "The method is not a token.");
    if (!version_is_well_formed(version))
        return http_refuse(400, "The request line does not end with an HTTP version.");
    if (version.data[5] != '1')
        return http_refuse(505, "Only HTTP/1.1 and HTTP/1.0 are spoken here.");
    m->minor_version = (unsigned)(version.data[7] - '0');
    if (!http_characters_are(m->target, HTTP_CHARACTER_TARGET))
        return http_refuse(400, "The request target has a character that must be percent-encoded.");
    if (slice_equal_text(m->method, "CONNECT"))
        return http_refuse(501, "This is not a proxy.");
    if (m->target.data[0] == '/') {
        target_cut(m->target, m);
        return HTTP_ACCEPTED;
    }
    if (slice_equal_text(m->target, "*")) { /* section 3.2.4 */
        m->path = m->target;
        m->query = SLICE_NONE;
        return slice_equal_text(m->method, "OPTIONS") ? HTTP_ACCEPTED
                                                      : http_refuse(400, "The target \"*\" is for OPTIONS alone.");
    }
    return absolute_form_parse(m);
}

struct http_refusal http_status_line_parse(struct slice line, struct http_message *m)
{
    struct slice rest = line, version, status;

    (void)slice_split(&rest, ' ', &version);
    if (!version_is_well_formed(version) || !slice_split(&rest, ' ', &status))
        return http_refuse(400, "The status line is not a version, a status and a reason.");
    if (version.data[5] != '1')
        return http_refuse(505, "The response is not HTTP/1.1 or HTTP/1.0.");
    m->minor_version = (unsigned)(version.data[7] - '0');
    if (status.size != 3 || status.data[0] < '1' || status.data[0] > '9' || status.data[1] < '0' ||
        status.data[1] > '9' || status.data[2] < '0' || status.data[2] > '9')
        return http_refuse(400, "The status is not a number of three digits.");
    m->status = (unsigned)(status.data[0] - '0') * 100 + (unsigned)(status.data[1] - '0') * 10 +
                (unsigned)(status.data[2] - '0');
    m->reason = slice_is_set(rest) ? rest : SLICE_LITERAL("");
    return HTTP_ACCEPTED;
}

static struct http_refusal header_line_parse(struct slice line, struct http_header *ret_header)
{
    const char *colon;

    if (line.data[0] == ' ' || line.data[0] == '\t') /* RFC 9112 section 5.2 */
        return http_refuse(400, "A header line begins with white space.");
    colon = memchr(line.data, ':', line.size);
    if (!colon)
        return http_refuse(400, "A header line has no colon.");
    ret_header->name = slice_make(line.data, (size_t)(colon - line.data));
    /* Section 5.1: white space before the colon has been used to hide a header from one of two parsers. */
    if (!http_characters_are(ret_header->name, HTTP_CHARACTER_TOKEN))
        return http_refuse(400, "A header's name is not a token.");
    ret_header->value = slice_trim(slice_skip(line, ret_header->name.size + 1));
    return HTTP_ACCEPTED;
}

struct http_refusal http_header_lines_parse(struct slice lines, size_t max, struct http_message *m)
{
    struct http_refusal refusal;

    m->header_count = 0;
    while (lines.size > 0) {
        const char *end = memmem(lines.data, lines.size, "\r\n", 2);
        struct slice line;

        assert(end && end > lines.data);
        line = slice_make(lines.data, (size_t)(end - lines.data));
        if (m->header_count == max)
            return http_refuse(431, "There are too many header lines.");
        refusal = header_line_parse(line, &m->headers[m->header_count]);
        if (refusal.status)
            return refusal;
        m->header_count++;
        lines = slice_skip(lines, line.size + 2);
    }
    return HTTP_ACCEPTED;
}
