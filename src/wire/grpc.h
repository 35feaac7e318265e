/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gRPC's own bytes: status codes, the prefix of a message, the timeout header, and the encoding of the status
 * message. From "gRPC over HTTP2" (PROTOCOL-HTTP2.md) and "Status codes and their use" of the gRPC project.
 */
#ifndef BERTH_WIRE_GRPC_H
#define BERTH_WIRE_GRPC_H

#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

enum grpc_status {
    GRPC_OK = 0,
    GRPC_CANCELLED = 1,
    GRPC_UNKNOWN = 2,
    GRPC_INVALID_ARGUMENT = 3,
    GRPC_DEADLINE_EXCEEDED = 4,
    GRPC_NOT_FOUND = 5,
    GRPC_ALREADY_EXISTS = 6,
    GRPC_PERMISSION_DENIED = 7,
    GRPC_RESOURCE_EXHAUSTED = 8,
    GRPC_FAILED_PRECONDITION = 9,
    GRPC_ABORTED = 10,
    GRPC_OUT_OF_RANGE = 11,
    GRPC_UNIMPLEMENTED = 12,
    GRPC_INTERNAL = 13,
    GRPC_UNAVAILABLE = 14,
    GRPC_DATA_LOSS = 15,
    GRPC_UNAUTHENTICATED = 16,
};

enum { GRPC_PREFIX_BYTES = 5 };

/* "INVALID_ARGUMENT"; "UNKNOWN" for a number that is none. */
const char *grpc_status_name(enum grpc_status status);

/* One byte "compressed", then the length, big endian. */
void grpc_prefix_write(uint8_t prefix[static GRPC_PREFIX_BYTES], uint32_t message_bytes);
/* 0 or -EINVAL for a first byte above 1. */
int grpc_prefix_read(const uint8_t prefix[static GRPC_PREFIX_BYTES], int *ret_compressed,
                     uint32_t *ret_bytes);

/* A grpc-timeout header ("100m", at most 8 digits and a unit) as nanoseconds, capped at UINT64_MAX. 0 or
 * -EINVAL. */
int grpc_timeout_read(const char *text, uint64_t *ret_ns);
/* The shortest form that is not shorter than the time. */
void grpc_timeout_write(uint64_t timeout_ns, char ret[static 16]);

/* Percent-encoding of grpc-message. */
void grpc_message_encode(struct text *into, const char *message);
void grpc_message_decode(struct text *into, const char *encoded);

#endif
