/* SPDX-License-Identifier: Apache-2.0 */
/* See systemd.h. */
#include "node/supervisor/systemd.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/checked_math.h"
#include "base/cleanup.h"
#include "base/clock.h"

/* A variable that is a decimal number up to that one. */
static bool read_variable(const char *name, uint64_t maximum, uint64_t *ret)
{
    const char *value = getenv(name);
    char *end;
    if (!value || *value < '0' || *value > '9')
        return false;
    errno = 0;
    unsigned long long number = strtoull(value, &end, 10);
    if (errno || *end || number > maximum)
        return false;
    *ret = number;
    return true;
}

unsigned systemd_listeners(void)
{
    uint64_t pid, count;
    if (!read_variable("LISTEN_PID", INT_MAX, &pid) || (pid_t)pid != getpid() ||
        !read_variable("LISTEN_FDS", INT_MAX - SYSTEMD_FIRST_FD, &count))
        return 0;
    for (unsigned i = 0; i < count; i++)
        if (fcntl(SYSTEMD_FIRST_FD + (int)i, F_SETFD, FD_CLOEXEC) < 0)
            return i;
    return (unsigned)count;
}

void systemd_notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = path ? strlen(path) : 0;
    if (length < 2 || length >= sizeof(address.sun_path) || (*path != '/' && *path != '@'))
        return;
    memcpy(address.sun_path, path, length);
    if (*path == '@') /* a name without a file */
        address.sun_path[0] = '\0';
    cleanup_close int socket_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (socket_fd >= 0)
        (void)sendto(socket_fd, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT,
                     (struct sockaddr *)&address,
                     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length));
}

void systemd_notify_reloading(void)
{
    char state[64];
    (void)snprintf(state, sizeof(state), "RELOADING=1\nMONOTONIC_USEC=%" PRIu64,
                   clock_monotonic_ns() / NS_PER_US);
    systemd_notify(state);
}

uint64_t systemd_watchdog_ns(void)
{
    uint64_t pid, patience_us;
    if (read_variable("WATCHDOG_PID", INT_MAX, &pid) && (pid_t)pid != getpid())
        return UINT64_MAX;
    if (!read_variable("WATCHDOG_USEC", UINT64_MAX, &patience_us) || patience_us == 0)
        return UINT64_MAX;
    return saturating_mul_u64(patience_us, NS_PER_US) / 2;
}
