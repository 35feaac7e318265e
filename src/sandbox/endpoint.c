/* SPDX-License-Identifier: Apache-2.0 */
/* See endpoint.h. */
#include "sandbox/endpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

/* Whether it was opened for this direction. */
static bool is_open_for(int descriptor, bool writes)
{
    int mode = fcntl(descriptor, F_GETFL) & O_ACCMODE;
    return mode == O_RDWR || mode == (writes ? O_WRONLY : O_RDONLY);
}

/* Opening the master side of a terminal makes another terminal. */
static bool is_terminal_master(int descriptor)
{
    unsigned number;
    return ioctl(descriptor, TIOCGPTN, &number) == 0;
}

/* A second description of the same pipe, terminal or device; -1 if it cannot be had. */
static int open_again(int descriptor, bool writes)
{
    char path[32];
    if (is_terminal_master(descriptor))
        return -1;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", descriptor);
    return open(path, (writes ? O_WRONLY : O_RDONLY) | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

int endpoint_open(struct endpoint *endpoint, int descriptor, bool writes)
{
    struct stat status;
    *endpoint = ENDPOINT_NONE;
    if (fstat(descriptor, &status) < 0)
        return -errno;
    endpoint->writes = writes;
    endpoint->terminal = S_ISCHR(status.st_mode) && isatty(descriptor);
    /* What polls as writable takes so much without blocking: a pipe by pipe(7), anything else a byte. */
    endpoint->polled_bytes = S_ISFIFO(status.st_mode) ? PIPE_BUF : 1;
    bool usable = is_open_for(descriptor, writes);
    if (usable && (S_ISFIFO(status.st_mode) || S_ISCHR(status.st_mode))) {
        endpoint->fd = open_again(descriptor, writes);
        endpoint->way = ENDPOINT_NONBLOCKING;
        if (endpoint->fd >= 0)
            return 0;
    }
    endpoint->fd = fcntl(descriptor, F_DUPFD_CLOEXEC, 3);
    if (endpoint->fd < 0)
        return -errno;
    /* What is open the other way never becomes ready; like a file it answers at once, with EBADF. */
    endpoint->way = S_ISREG(status.st_mode) || !usable ? ENDPOINT_FILE
                    : S_ISSOCK(status.st_mode)         ? ENDPOINT_SOCKET
                                                       : ENDPOINT_POLLED;
    return 0;
}

void endpoint_close(struct endpoint *endpoint)
{
    endpoint->fd = close_keeping_errno(endpoint->fd);
}

bool endpoint_ready(const struct endpoint *endpoint, bool *ret_hangup)
{
    struct pollfd poll_fd = {.fd = endpoint->fd, .events = endpoint->writes ? POLLOUT : POLLIN};
    *ret_hangup = false;
    if (endpoint->way == ENDPOINT_FILE)
        return true;
    if (poll(&poll_fd, 1, 0) <= 0)
        return false;
    *ret_hangup = poll_fd.revents & (POLLHUP | POLLERR);
    return true;
}

static int64_t result(ssize_t moved)
{
    return moved < 0 ? -errno : moved;
}

int64_t endpoint_read(const struct endpoint *endpoint, const struct iovec *vector, int n_vector)
{
    bool hangup;
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)vector, .msg_iovlen = (size_t)n_vector};
    if (endpoint->way == ENDPOINT_SOCKET)
        return result(recvmsg(endpoint->fd, &message, MSG_DONTWAIT));
    if (endpoint->way == ENDPOINT_POLLED && !endpoint_ready(endpoint, &hangup))
        return -EAGAIN;
    return result(readv(endpoint->fd, vector, n_vector));
}

int64_t endpoint_write(const struct endpoint *endpoint, const struct iovec *vector, int n_vector)
{
    bool hangup;
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)vector, .msg_iovlen = (size_t)n_vector};
    if (endpoint->way == ENDPOINT_SOCKET)
        return result(sendmsg(endpoint->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL));
    if (endpoint->way != ENDPOINT_POLLED)
        return result(writev(endpoint->fd, vector, n_vector));
    if (!endpoint_ready(endpoint, &hangup))
        return -EAGAIN;
    return result(
        write(endpoint->fd, vector[0].iov_base,
              vector[0].iov_len < endpoint->polled_bytes ? vector[0].iov_len : endpoint->polled_bytes));
}
