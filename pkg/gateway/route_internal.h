#ifndef GATEWAY_ROUTE_INTERNAL_H
#define GATEWAY_ROUTE_INTERNAL_H

#include "base/buffer.h"
#include "base/name.h"
#include "config/config.h"
#include "hub/hub.h"
#include "proto/proto.h"

/**
 * Routes: from the path of a URL to who comes, into which room, speaking what.
 *
 * A template is a path whose segments are words or {names}. The table is in order of preference: more words first, then
 * as added. Built once, then shared by all workers without locks.
 */
#define GATEWAY_SEGMENTS_MAX 16

enum gateway_segment_kind {
    GATEWAY_SEGMENT_WORD,
    GATEWAY_SEGMENT_ROOM,
    GATEWAY_SEGMENT_USER,
    GATEWAY_SEGMENT_DEVICE,
    GATEWAY_SEGMENT_IGNORED,
};

struct gateway_segment {
    enum gateway_segment_kind kind;
    struct slice text; /* of a word: into the route's path */
};

struct gateway_route {
    char *path;
    const struct proto_codec *codec; /* NULL: each message is returned (/echo) */
    struct gateway_segment segments[GATEWAY_SEGMENTS_MAX];
    size_t segment_count;
    size_t words;
    struct hub_mirror mirror; /* of the rooms that it leads to */
};

/** {0} is an empty table. */
struct gateway_routes {
    struct gateway_route **items;
    size_t count;
};

void gateway_routes_deinit(struct gateway_routes *r);
/**
 * gateway_routes_add() - one more template, behind those with as many words
 *
 * @origin names it in errors, e.g. "route.chat". Return: 0; CONFIG_E_INVALID with a sentence in @errors; -ENOMEM.
 */
int gateway_routes_add(struct gateway_routes *r, const char *origin, const char *path, const struct proto_codec *codec,
                       struct buffer *errors) base_must_check;
/** The configured routes (@config may be NULL), the defaults that they do not replace, and /echo if @echo. As
 * gateway_routes_add(). */
int gateway_routes_load(struct gateway_routes *r, const struct config *config, bool echo,
                        struct buffer *errors) base_must_check;
/** The first template that fits @path (not decoded); NULL if none does. */
const struct gateway_route *gateway_routes_find(const struct gateway_routes *r, struct slice path);

/** A checked name; size 0 means that there is none. */
struct gateway_name {
    uint16_t size;
    char text[NAME_MAX_BYTES];
};

static inline struct slice gateway_name_slice(const struct gateway_name *n)
{
    return n->size > 0 ? slice_make(n->text, n->size) : SLICE_NONE;
}

/** What a URL says. */
struct gateway_target {
    struct gateway_name user, device, room;
    bool has_since; /* a position in that room */
    struct proto_position since;
    bool has_inbox_since, has_all_since;
    struct proto_position inbox_since, all_since;
    uint64_t history;                /* the last messages of that room that come with the welcome */
    const struct hub_mirror *mirror; /* the route's; NULL: none */
};

/** What is wrong with a URL: "room is empty". */
#define GATEWAY_SENTENCE_SIZE 160
#define GATEWAY_E_BAD_URL 1

/**
 * gateway_route_read() - the names and positions in a URL that @route was found for
 *
 * The path's names win over the query's `user` and `device`; who has no name gets "anon-" and a random one.
 * Return: 0; GATEWAY_E_BAD_URL and a sentence in @sentence; -ENOMEM.
 */
int gateway_route_read(const struct gateway_route *route, struct slice path, struct slice query,
                       char sentence[GATEWAY_SENTENCE_SIZE], struct gateway_target *ret_target) base_must_check;

#endif
