/* SPDX-License-Identifier: Apache-2.0 */
/* A shortcut through protobuf: messages whose whole content is one field of bytes, as those are that carry a
 * program's output, are read where they lie. */
#ifndef BERTH_CLIENT_SOLE_FIELD_H
#define BERTH_CLIENT_SOLE_FIELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SOLE_FIELD_HEAD_BYTES = 16 };

/* Whether the message is exactly one field of that number with a length (wire type 2). *ret points into
 * `message`. */
bool sole_field_read(uint8_t *message, size_t size_bytes, uint32_t number, uint8_t **ret,
                     size_t *ret_size_bytes);

/* What stands before the bytes of such a field; returns its length. */
size_t sole_field_write(uint32_t number, size_t size_bytes, uint8_t ret[static SOLE_FIELD_HEAD_BYTES]);

#endif
