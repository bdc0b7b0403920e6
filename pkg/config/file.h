#ifndef CONFIG_FILE_H
#define CONFIG_FILE_H

#include "base/buffer.h"

/** Outcomes: errno says why it cannot be read; it is longer than the buffer's limit. */
#define CONFIG_FILE_E_UNREADABLE 1
#define CONFIG_FILE_E_TOO_LONG 2

/** Appends the whole file to @out, whose limit bounds it. 0, CONFIG_FILE_E_*, -ENOMEM. */
int config_file_read(const char *path, struct buffer *out) base_must_check;

#endif
