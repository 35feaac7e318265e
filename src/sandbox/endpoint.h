/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An endpoint: a descriptor of the embedder, used without ever blocking and without changing it for others.
 *
 * O_NONBLOCK belongs to the open file description, which a shell and its children share, so setting it on
 * stdout would break them. An endpoint therefore opens pipes and terminals a second time, asks sockets per
 * call, and where neither works (a pipe of another user, the master side of a terminal) polls before each
 * transfer and keeps writes below what a ready pipe always takes.
 */
#ifndef BERTH_SANDBOX_ENDPOINT_H
#define BERTH_SANDBOX_ENDPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

enum endpoint_way { ENDPOINT_FILE, ENDPOINT_NONBLOCKING, ENDPOINT_SOCKET, ENDPOINT_POLLED };

struct endpoint {
    int fd;      /* ours: a duplicate or a second opening; -1: none */
    bool writes; /* direction */
    bool terminal;
    bool watched; /* in the schedule's epoll set */
    enum endpoint_way way;
    size_t polled_bytes; /* most that ENDPOINT_POLLED writes at a time */
};

#define ENDPOINT_NONE ((struct endpoint){.fd = -1})

/* 0 or a negative errno. The descriptor stays the caller's. */
int endpoint_open(struct endpoint *endpoint, int descriptor, bool writes);
void endpoint_close(struct endpoint *endpoint);

/* As readv and writev. The number of bytes (0 when reading: the end), or -EAGAIN, or another negative errno.
 */
int64_t endpoint_read(const struct endpoint *endpoint, const struct iovec *vector, int n_vector);
int64_t endpoint_write(const struct endpoint *endpoint, const struct iovec *vector, int n_vector);

/* Whether a transfer would do something now; also true when it would fail. */
bool endpoint_ready(const struct endpoint *endpoint, bool *ret_hangup);

#endif
