/* sd_notify(3)'s wire protocol: one datagram to the socket named by NOTIFY_SOCKET. A few lines are less than a library.
 */
#include "server/server_internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void server_notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t size = path ? strlen(path) : 0;
    int fd;

    if (size < 2 || size >= sizeof(address.sun_path) || (path[0] != '/' && path[0] != '@'))
        return;
    memcpy(address.sun_path, path, size);
    if (path[0] == '@')
        address.sun_path[0] = '\0'; /* the abstract namespace */
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    (void)!sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&address,
                  (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size));
    (void)close(fd);
}

uint64_t server_notify_watchdog_ms(void)
{
    const char *interval = getenv("WATCHDOG_USEC");
    const char *pid = getenv("WATCHDOG_PID");
    uint64_t us, wanted_pid;

    if (!interval || !slice_to_uint64(slice_from(interval), UINT64_MAX / 2, &us))
        return 0;
    if (pid && (!slice_to_uint64(slice_from(pid), INT32_MAX, &wanted_pid) || wanted_pid != (uint64_t)getpid()))
        return 0;
    return us / 1000;
}
