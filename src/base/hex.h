/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes as lowercase hexadecimal digits, and back. */
#ifndef BERTH_BASE_HEX_H
#define BERTH_BASE_HEX_H

#include <stddef.h>
#include <stdint.h>

/* size_bytes bytes as 2 * size_bytes digits and a NUL. */
void hex_write(const uint8_t *bytes, size_t size_bytes, char *ret);
/* Exactly 2 * size_bytes lowercase digits and the end. 0 or -EINVAL. */
int hex_read(const char *text, uint8_t *ret, size_t size_bytes);

#endif
