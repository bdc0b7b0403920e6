#ifndef WARREN_BENCH_REPLAY_FILE_H
#define WARREN_BENCH_REPLAY_FILE_H

#include "base/buffer.h"

/** struct replay_file - who said what when: lines of `milliseconds TAB sender TAB text`, in UTF-8 */
struct replay_comment {
    uint64_t at_ms;
    size_t sender; /* number among the senders */
    struct slice text;
};

struct replay_file {
    struct buffer content;           /* what the slices lie in */
    struct replay_comment *comments; /* by time; of one time, as they stand in the file */
    size_t comment_count;
    struct slice *senders; /* by first appearance */
    size_t sender_count;
};

/**
 * replay_file_load() - read and parse @path, "-" for standard input
 *
 * The text is everything behind the second tab and may hold more of them. Empty lines are skipped. Return: 0;
 * -EINVAL or what the kernel said, with a sentence in @error; -ENOMEM.
 */
int replay_file_load(const char *path, struct replay_file *ret_file, struct buffer *error) base_must_check;
/** The same from bytes, which are copied. */
int replay_file_parse(struct slice content, struct replay_file *ret_file, struct buffer *error) base_must_check;
/** Accepts a zeroed one. */
void replay_file_deinit(struct replay_file *f);

#endif
