/* SPDX-License-Identifier: Apache-2.0 */
/* base64url without padding (RFC 4648, section 5; RFC 7515, section 2), in its one strict form. */
#ifndef BERTH_BASE_BASE64URL_H
#define BERTH_BASE_BASE64URL_H

#include <stddef.h>

/* Decodes into `ret` with room for `capacity` bytes. 0; -EINVAL: another character, padding, bits that are
 * left over, or more than fits. */
int base64url_read(const char *text, size_t length, void *ret, size_t capacity, size_t *ret_bytes);

#endif
