/* Whole small files. Read to their end rather than by their size, so that pipes and /proc work as well. */
#include "config/file.h"

#include <fcntl.h>
#include <unistd.h>

#define READ_CHUNK 4096

static int read_all(int fd, struct buffer *out)
{
    char chunk[READ_CHUNK];

    for (;;) {
        ssize_t n = read(fd, chunk, sizeof(chunk));

        if (n == 0)
            return 0;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return CONFIG_FILE_E_UNREADABLE;
        buffer_append(out, chunk, (size_t)n);
        if (buffer_error(out) == -EMSGSIZE)
            return CONFIG_FILE_E_TOO_LONG;
        if (buffer_error(out) != 0)
            return buffer_error(out);
    }
}

int config_file_read(const char *path, struct buffer *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    int result, error;

    if (fd < 0)
        return CONFIG_FILE_E_UNREADABLE;
    result = read_all(fd, out);
    error = errno;
    (void)close(fd);
    errno = error;
    return result;
}
