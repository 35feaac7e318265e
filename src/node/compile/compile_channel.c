/* SPDX-License-Identifier: Apache-2.0 */
/* See compile_channel.h. */
#include "node/compile/compile_channel.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/cleanup.h"

enum { FIXED_BYTES = offsetof(struct compile_message, text), DESCRIPTORS_MAX = 2 };

void compile_message_set_text(struct compile_message *message, const char *text, size_t capacity)
{
    size_t length = text ? strlen(text) : 0;
    if (text && length >= capacity)
        for (length = capacity - 1; length > 0 && ((unsigned char)text[length] & 0xc0) == 0x80; length--)
            ;
    if (length)
        memcpy(message->text, text, length);
    message->text[length] = '\0';
}

union ancillary {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(DESCRIPTORS_MAX * sizeof(int))];
};

int compile_channel_send(int socket, const struct compile_message *message, int descriptor, int flags)
{
    union ancillary ancillary = {0};
    struct iovec piece = {(void *)(uintptr_t)message,
                          FIXED_BYTES + strnlen(message->text, sizeof(message->text))};
    struct msghdr packet = {.msg_iov = &piece, .msg_iovlen = 1};
    if (descriptor >= 0) {
        packet.msg_control = ancillary.bytes;
        packet.msg_controllen = CMSG_SPACE(sizeof(int));
        ancillary.header = (struct cmsghdr){
            .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
        memcpy(CMSG_DATA(&ancillary.header), &descriptor, sizeof(int));
    }
    ssize_t sent;
    do
        sent = sendmsg(socket, &packet, flags | MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : 0;
}

/* Keeps the first descriptor and closes the others; returns how many came. */
static size_t take_descriptors(struct msghdr *packet, int *ret_first)
{
    size_t count = 0;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(packet); header; header = CMSG_NXTHDR(packet, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
            continue;
        size_t here = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < here; i++, count++) {
            int descriptor;
            memcpy(&descriptor, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
            if (count == 0)
                *ret_first = descriptor;
            else
                close_keeping_errno(descriptor);
        }
    }
    return count;
}

/* What can be said of a message alone. */
static bool is_well_formed(const struct compile_message *message, bool with_descriptor)
{
    switch (message->kind) {
    case COMPILE_MESSAGE_LOOK_UP:
    case COMPILE_MESSAGE_CANCEL:
        return !with_descriptor;
    case COMPILE_MESSAGE_COMPILE:
        return with_descriptor;
    case COMPILE_MESSAGE_ANSWER:
        return message->result <= COMPILE_LOST && with_descriptor == (message->result == COMPILE_READY);
    default:
        return false;
    }
}

int compile_channel_receive(int socket, struct compile_message *ret, int *ret_descriptor, int flags)
{
    union ancillary ancillary;
    struct iovec piece = {ret, sizeof(*ret) - 1};
    struct msghdr packet = {.msg_iov = &piece,
                            .msg_iovlen = 1,
                            .msg_control = ancillary.bytes,
                            .msg_controllen = sizeof(ancillary.bytes)};
    cleanup_close int descriptor = -1;
    ssize_t received;
    *ret_descriptor = -1;
    do
        received = recvmsg(socket, &packet, flags | MSG_CMSG_CLOEXEC);
    while (received < 0 && errno == EINTR);
    if (received == 0 || (received < 0 && errno == ECONNRESET))
        return 1;
    if (received < 0)
        return -errno;
    size_t n_descriptors = take_descriptors(&packet, &descriptor);
    if (n_descriptors > 1 || (packet.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) ||
        (size_t)received < FIXED_BYTES || !is_well_formed(ret, n_descriptors == 1))
        return -EBADMSG;
    size_t length = (size_t)received - FIXED_BYTES;
    if (memchr(ret->text, '\0', length))
        return -EBADMSG;
    ret->text[length] = '\0';
    *ret_descriptor = take_fd(&descriptor);
    return 0;
}

int compile_memory_file(const void *bytes, size_t size_bytes)
{
    const char *at = bytes;
    cleanup_close int fd = memfd_create("berth-module", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return -errno;
    while (size_bytes > 0) {
        ssize_t written = write(fd, at, size_bytes);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return -errno;
        at += written;
        size_bytes -= (size_t)written;
    }
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
        return -errno;
    return take_fd(&fd);
}
