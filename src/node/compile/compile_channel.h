/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the front and the compiler process say to each other: one message is one packet of a SOCK_SEQPACKET
 * socket, a fixed structure in the machine's own byte order (both ends are the same program), with at most
 * one descriptor.
 *
 *    front                                          compiler
 *    LOOK_UP id, hash, name                    ->
 *    COMPILE id, hash, name; module            ->
 *    CANCEL id                                 ->
 *                                              <-   ANSWER id, result, sentence; artifact if it is READY
 *
 * The front chooses ids and never uses one twice. Every LOOK_UP and COMPILE gets one ANSWER, in any order,
 * also if it was cancelled (then COMPILE_LOST, unless it was ready by then). The module is a sealed memory
 * file; the artifact what berth_module_export() makes.
 */
#ifndef BERTH_NODE_COMPILE_CHANNEL_H
#define BERTH_NODE_COMPILE_CHANNEL_H

#include <stdbool.h>
#include <stdint.h>

#include "node/compile/compile_queue.h"

enum {
    COMPILE_NAME_BYTES = 256,      /* NUL included; longer names are cut */
    COMPILE_SENTENCE_BYTES = 1024, /* the same */
    /* More than the front ever asks for at a time. */
    COMPILE_ASKED_MAX = 256,
};

enum compile_message_kind {
    COMPILE_MESSAGE_LOOK_UP = 1,
    COMPILE_MESSAGE_COMPILE = 2,
    COMPILE_MESSAGE_CANCEL = 3,
    COMPILE_MESSAGE_ANSWER = 4,
};

struct compile_message {
    uint32_t kind;
    uint32_t result; /* enum compile_result, of an answer */
    uint32_t compiled;
    uint32_t reserved;
    uint64_t id;
    uint8_t sha256[32];
    char text[COMPILE_SENTENCE_BYTES]; /* name or sentence; only as many bytes as are used cross */
};

/* The text of a message, cut between characters if it is too long. */
void compile_message_set_text(struct compile_message *message, const char *text, size_t capacity);

/* Blocking or not as the socket is; `flags` as in sendmsg(2). descriptor -1: none. 0 or a negative errno. */
int compile_channel_send(int socket, const struct compile_message *message, int descriptor, int flags);

/* 0; 1: the other side has gone; a negative errno (-EAGAIN; -EBADMSG: that was no message).
 * *ret_descriptor: -1 if there was none. */
int compile_channel_receive(int socket, struct compile_message *ret, int *ret_descriptor, int flags);

/* A sealed memory file with these bytes: a descriptor, or a negative errno. */
int compile_memory_file(const void *bytes, size_t size_bytes);

#endif
