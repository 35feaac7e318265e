/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One control message is one packet: kind and index, each as a native 32-bit number (both ends are the same
 * program), then the text without its NUL. A packet that is longer than a message, carries more than one
 * descriptor, or a text with a NUL in it is not one of ours.
 */
#include "node/process.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/cleanup.h"

enum { HEADER_BYTES = offsetof(struct control_message, text), DESCRIPTORS_MAX = 4 };

static int send_packet(int socket, const struct msghdr *message)
{
    ssize_t sent;
    do
        sent = sendmsg(socket, message, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : 0;
}

int control_send(int socket, uint32_t kind, uint32_t index, const char *text, int descriptor)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } ancillary = {0};
    uint32_t head[2] = {kind, index};
    size_t length = text ? strlen(text) : 0;
    if (length >= CONTROL_TEXT_BYTES)
        return -EMSGSIZE;
    struct iovec pieces[2] = {{head, sizeof(head)}, {(char *)(uintptr_t)text, length}};
    struct msghdr message = {.msg_iov = pieces, .msg_iovlen = 2};
    if (descriptor >= 0) {
        message.msg_control = ancillary.bytes;
        message.msg_controllen = sizeof(ancillary.bytes);
        ancillary.header.cmsg_level = SOL_SOCKET;
        ancillary.header.cmsg_type = SCM_RIGHTS;
        ancillary.header.cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(&ancillary.header), &descriptor, sizeof(int));
    }
    return send_packet(socket, &message);
}

/* Keeps the first descriptor and closes the others; returns how many came. */
static size_t take_descriptors(struct msghdr *message, int *ret_first)
{
    size_t count = 0;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header; header = CMSG_NXTHDR(message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
            continue;
        size_t here = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < here; i++, count++) {
            int descriptor;
            memcpy(&descriptor, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
            if (count == 0)
                *ret_first = descriptor;
            else
                close(descriptor);
        }
    }
    return count;
}

int control_receive(int socket, struct control_message *ret, int *ret_descriptor)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(DESCRIPTORS_MAX * sizeof(int))];
    } ancillary;
    struct iovec piece = {ret, sizeof(*ret) - 1};
    struct msghdr message = {.msg_iov = &piece,
                             .msg_iovlen = 1,
                             .msg_control = ancillary.bytes,
                             .msg_controllen = sizeof(ancillary.bytes)};
    cleanup_close int descriptor = -1;
    ssize_t received;
    *ret_descriptor = -1;
    do
        received = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    while (received < 0 && errno == EINTR);
    if (received == 0 || (received < 0 && errno == ECONNRESET))
        return 1;
    if (received < 0)
        return -errno;
    size_t descriptors = take_descriptors(&message, &descriptor);
    size_t length = (size_t)received < HEADER_BYTES ? 0 : (size_t)received - HEADER_BYTES;
    if (descriptors > 1 || (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) || received < HEADER_BYTES ||
        memchr(ret->text, '\0', length))
        return -EBADMSG;
    ret->text[length] = '\0';
    *ret_descriptor = take_fd(&descriptor);
    return 0;
}
