/*
 * Sec-WebSocket-Extensions (RFC 6455 section 9.1) and what permessage-deflate says in it (RFC 7692 sections 5 and 7.1).
 *
 *     extension-list  = 1#extension
 *     extension       = extension-token *( ";" extension-param )
 *     extension-param = token [ "=" (token | quoted-string) ]       a quoted value is a token as well, once unquoted
 *
 * Two ways to be wrong: what is no such list fails the handshake; a list whose offer we do not understand is merely
 * declined. So reading goes on to the end of a line whatever stands in it, and judges on the way. White space may stand
 * between any two parts, as in RFC 2616, which RFC 6455 builds upon; an empty element of the list counts for nothing.
 */
#include "ws/deflate.h"

#include <stdio.h>

#define NAME "permessage-deflate"
/* The longest value that means something has two digits. */
#define VALUE_MAX_BYTES 2

enum param {
    PARAM_SERVER_NO_CONTEXT_TAKEOVER,
    PARAM_CLIENT_NO_CONTEXT_TAKEOVER,
    PARAM_SERVER_MAX_WINDOW_BITS,
    PARAM_CLIENT_MAX_WINDOW_BITS,
    PARAMS,
};

static const struct {
    const char *name;
    bool is_bits; /* its value is a number of bits; else it has none */
} params_known[PARAMS] = {
    [PARAM_SERVER_NO_CONTEXT_TAKEOVER] = {"server_no_context_takeover", false},
    [PARAM_CLIENT_NO_CONTEXT_TAKEOVER] = {"client_no_context_takeover", false},
    [PARAM_SERVER_MAX_WINDOW_BITS] = {"server_max_window_bits", true},
    [PARAM_CLIENT_MAX_WINDOW_BITS] = {"client_max_window_bits", true},
};

/** One extension of the list. */
struct extension {
    bool is_deflate;
    bool has_fault;       /* an unknown or repeated parameter, or a value that is none */
    bool has[PARAMS];     /* the parameter stands there */
    uint8_t bits[PARAMS]; /* its value; 0: without one */
};

/** A parameter's value, as far as it matters. */
struct value {
    bool is_given;
    char text[VALUE_MAX_BYTES];
    size_t size; /* may be larger than what is kept */
};

/* ---- words ---- */

static bool is_token_character(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c));
}

static void skip_space(struct slice *rest)
{
    while (rest->size > 0 && (rest->data[0] == ' ' || rest->data[0] == '\t'))
        *rest = slice_skip(*rest, 1);
}

/** Takes @c with the space around it, if it comes next. */
static bool take(struct slice *rest, char c)
{
    skip_space(rest);
    if (rest->size == 0 || rest->data[0] != c)
        return false;
    *rest = slice_skip(*rest, 1);
    skip_space(rest);
    return true;
}

static bool take_token(struct slice *rest, struct slice *ret_token)
{
    size_t n = 0;

    while (n < rest->size && is_token_character(rest->data[n]))
        n++;
    if (n == 0)
        return false;
    *ret_token = slice_make(rest->data, n);
    *rest = slice_skip(*rest, n);
    return true;
}

static void value_add(struct value *v, char c)
{
    if (v->size < VALUE_MAX_BYTES)
        v->text[v->size] = c;
    v->size++;
}

/** Behind the opening quote: a token in which any character may be escaped, then the closing quote. */
static bool take_quoted(struct slice *rest, struct value *value)
{
    for (;;) {
        char c;

        if (rest->size == 0)
            return false;
        c = rest->data[0];
        *rest = slice_skip(*rest, 1);
        if (c == '"')
            return value->size > 0;
        if (c == '\\') {
            if (rest->size == 0)
                return false;
            c = rest->data[0];
            *rest = slice_skip(*rest, 1);
        }
        if (!is_token_character(c))
            return false;
        value_add(value, c);
    }
}

static bool take_value(struct slice *rest, struct value *value)
{
    struct slice token;

    value->is_given = true;
    if (rest->size > 0 && rest->data[0] == '"') {
        *rest = slice_skip(*rest, 1);
        return take_quoted(rest, value);
    }
    if (!take_token(rest, &token))
        return false;
    for (size_t i = 0; i < token.size; i++)
        value_add(value, token.data[i]);
    return true;
}

/* ---- an extension ---- */

/** 8 to 15 without leading zeros (section 7.1.2.1); 0 for anything else. */
static uint8_t window_bits(const struct value *v)
{
    uint64_t bits;

    if (v->size > VALUE_MAX_BYTES || !slice_to_uint64(slice_make(v->text, v->size), WS_WINDOW_BITS_MAX, &bits))
        return 0;
    return bits < WS_WINDOW_BITS_MIN ? 0 : (uint8_t)bits;
}

static void judge_param(struct extension *e, struct slice name, const struct value *v)
{
    for (size_t i = 0; i < PARAMS; i++) {
        if (!slice_equal_text(name, params_known[i].name))
            continue;
        e->has_fault |= e->has[i] || (v->is_given && !params_known[i].is_bits);
        e->has[i] = true;
        if (v->is_given && params_known[i].is_bits) {
            e->bits[i] = window_bits(v);
            e->has_fault |= e->bits[i] == 0;
        }
        return;
    }
    e->has_fault = true;
}

/** One extension, up to the comma or the end. Return: false if it is none. */
static bool take_extension(struct slice *rest, struct extension *ret_extension)
{
    struct extension e = {0};
    struct slice name;

    if (!take_token(rest, &name))
        return false;
    e.is_deflate = slice_equal_text(name, NAME);
    while (take(rest, ';')) {
        struct value value = {0};

        if (!take_token(rest, &name) || (take(rest, '=') && !take_value(rest, &value)))
            return false;
        judge_param(&e, name, &value);
    }
    *ret_extension = e;
    return true;
}

/** The next extension of a line. Return: 0; -1: the line ends; WS_DEFLATE_E_SYNTAX. */
static int next_extension(struct slice *rest, struct extension *ret_extension)
{
    while (take(rest, ','))
        ;
    if (rest->size == 0)
        return -1;
    if (!take_extension(rest, ret_extension))
        return WS_DEFLATE_E_SYNTAX;
    skip_space(rest);
    return rest->size == 0 || rest->data[0] == ',' ? 0 : WS_DEFLATE_E_SYNTAX;
}

/* ---- a server ---- */

static void accept_offer(const struct extension *e, const struct ws_deflate_policy *policy,
                         struct ws_deflate_params *ret_params)
{
    uint8_t server_bits = e->bits[PARAM_SERVER_MAX_WINDOW_BITS], client_bits = e->bits[PARAM_CLIENT_MAX_WINDOW_BITS];
    uint8_t wanted_bits = policy->client_context ? policy->client_window_bits : WS_WINDOW_BITS_MAX;

    if (client_bits == 0)
        client_bits = WS_WINDOW_BITS_MAX;
    /* A client that did not offer client_max_window_bits cannot be told one (section 7.1.2.2). Without takeover its
     * window is nothing to us. */
    if (e->has[PARAM_CLIENT_MAX_WINDOW_BITS] && client_bits > wanted_bits)
        client_bits = wanted_bits;
    *ret_params = (struct ws_deflate_params){
        .server_no_context_takeover = true, /* also unasked (section 7.1.1.1) */
        .client_no_context_takeover = !policy->client_context || e->has[PARAM_CLIENT_NO_CONTEXT_TAKEOVER],
        .server_window_is_told = server_bits != 0, /* accepting it is saying it again (section 7.1.2.1) */
        .server_max_window_bits = server_bits ? server_bits : WS_WINDOW_BITS_MAX,
        .client_max_window_bits = client_bits,
    };
}

int ws_deflate_offers_read(struct ws_deflate_offers *o, struct slice line)
{
    struct extension e;
    int result;

    while ((result = next_extension(&line, &e)) == 0) {
        bool is_good = e.is_deflate && !e.has_fault &&
                       (!e.has[PARAM_SERVER_MAX_WINDOW_BITS] || e.bits[PARAM_SERVER_MAX_WINDOW_BITS] != 0);

        o->extensions++;
        if (is_good && o->policy && !o->is_accepted) {
            o->is_accepted = true;
            accept_offer(&e, o->policy, &o->params);
        }
    }
    return result == WS_DEFLATE_E_SYNTAX ? result : 0;
}

void ws_deflate_response_write(const struct ws_deflate_params *params, char ret_text[WS_DEFLATE_TEXT_SIZE])
{
    int at = snprintf(ret_text, WS_DEFLATE_TEXT_SIZE, NAME "%s%s",
                      params->server_no_context_takeover ? "; server_no_context_takeover" : "",
                      params->client_no_context_takeover ? "; client_no_context_takeover" : "");

    if (params->server_window_is_told)
        at += snprintf(ret_text + at, WS_DEFLATE_TEXT_SIZE - (size_t)at, "; server_max_window_bits=%u",
                       params->server_max_window_bits);
    /* 15 is what its absence means; it is below 15 only if the client offered the parameter. */
    if (params->client_max_window_bits < WS_WINDOW_BITS_MAX)
        (void)snprintf(ret_text + at, WS_DEFLATE_TEXT_SIZE - (size_t)at, "; client_max_window_bits=%u",
                       params->client_max_window_bits);
}

/* ---- a client ---- */

int ws_deflate_answer_read(struct ws_deflate_answer *a, bool is_offered, struct slice line)
{
    struct extension e;
    int result;

    while ((result = next_extension(&line, &e)) == 0) {
        uint8_t server_bits = e.bits[PARAM_SERVER_MAX_WINDOW_BITS], client_bits = e.bits[PARAM_CLIENT_MAX_WINDOW_BITS];

        /* In a response both numbers have a value (section 7.1.2). One answer to one offer is all there can be. */
        if (!is_offered || !e.is_deflate || e.has_fault || a->extensions++ > 0 ||
            (e.has[PARAM_SERVER_MAX_WINDOW_BITS] && !server_bits) ||
            (e.has[PARAM_CLIENT_MAX_WINDOW_BITS] && !client_bits))
            return WS_DEFLATE_E_RESPONSE;
        a->params = (struct ws_deflate_params){
            .server_no_context_takeover = e.has[PARAM_SERVER_NO_CONTEXT_TAKEOVER],
            .client_no_context_takeover = e.has[PARAM_CLIENT_NO_CONTEXT_TAKEOVER],
            .server_window_is_told = server_bits != 0,
            .server_max_window_bits = server_bits ? server_bits : WS_WINDOW_BITS_MAX,
            .client_max_window_bits = client_bits ? client_bits : WS_WINDOW_BITS_MAX,
        };
    }
    return result == WS_DEFLATE_E_SYNTAX ? result : 0;
}
