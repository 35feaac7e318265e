/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the .proto files declare, for server reflection. Tables that tools/embed_descriptors writes at build
 * time from what protoc says.
 */
#ifndef BERTH_WIRE_DESCRIPTORS_H
#define BERTH_WIRE_DESCRIPTORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct descriptor_file {
    const char *name;     /* "liop.proto" */
    const uint8_t *bytes; /* a FileDescriptorProto of descriptor.proto */
    size_t size_bytes;
};

/* A service, method, message or enum. */
struct descriptor_symbol {
    const char *name; /* "liop.v1.LogicMesh" */
    const struct descriptor_file *file;
    bool is_service;
};

/* Both end with a NULL name. */
extern const struct descriptor_file descriptor_files[];
extern const struct descriptor_symbol descriptor_symbols[];

#endif
