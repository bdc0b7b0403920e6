#ifndef WARREN_BENCH_BENCH_OPTIONS_H
#define WARREN_BENCH_BENCH_OPTIONS_H

#include "base/buffer.h"

/** What the scenarios' arguments have in common. */

#define BENCH_NODES_MAX 64

/** The nodes under load, as slices of the argument: ws://host:port without a path. */
struct bench_nodes {
    struct slice urls[BENCH_NODES_MAX];
    size_t count;
};

/** Takes a comma-separated list. Return: NULL, or what was expected, of static lifetime. */
const char *bench_nodes_parse(const char *list, struct bench_nodes *ret_nodes);

/** A plain decimal number, with a fraction if it likes, within [min, max]. */
bool bench_number_parse(const char *text, double min, double max, double *ret_number) base_must_check;

/** Appends @template with {room} and {user} replaced by their percent-encoded names; other braces stay. */
void bench_path_append(struct buffer *path, const char *template, struct slice room, struct slice user);

#endif
