/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading protobuf messages that somebody else wrote. protobuf-c takes memory for whatever the bytes ask for,
 * hands strings on as C strings, and merges fields that come twice; so the bytes are walked first, without
 * taking memory, and only what passes is unpacked, by an allocator with a cap.
 *
 * What passes is a message as every encoder writes it: known fields have the wire type of the descriptor,
 * strings are UTF-8 without NUL, a field that is not repeated comes once and of a oneof comes one. Unknown
 * fields pass, and count; groups, which proto3 does not have, do not.
 */
#ifndef BERTH_WIRE_PROTOBUF_H
#define BERTH_WIRE_PROTOBUF_H

#include <stddef.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

#include "base/cleanup.h"

enum message_outcome { MESSAGE_MALFORMED = 1 }; /* no such message, or more fields or memory than allowed */

/* Unpacks size_bytes bytes. max_fields: fields in all, those inside other messages, elements of packed fields
 * and unknown ones included. max_alloc_bytes: memory for the message, at least size_bytes for one that holds
 * bytes. 0, MESSAGE_MALFORMED, -ENOMEM. */
int message_unpack(const ProtobufCMessageDescriptor *descriptor, const void *bytes, size_t size_bytes,
                   uint32_t max_fields, size_t max_alloc_bytes, ProtobufCMessage **ret);

/* Accepts NULL. The message may also be freed with its own free_unpacked(message, NULL). */
void message_free(ProtobufCMessage *message);
DEFINE_CLEANUP(ProtobufCMessage *, message_free)
#define cleanup_message cleanup(message_free_cleanup)

#endif
