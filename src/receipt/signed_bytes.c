/* SPDX-License-Identifier: Apache-2.0 */
/* What is signed; on its own because whoever verifies needs nothing else of receipt.c. */
#include "receipt/receipt.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int receipt_signed_bytes(const char *body, size_t body_bytes, uint8_t **ret, size_t *ret_size_bytes)
{
    static const char label[] = "berth receipt v1";
    uint8_t *bytes = malloc(sizeof label + body_bytes);
    if (!bytes)
        return -ENOMEM;
    memcpy(bytes, label, sizeof label); /* with its NUL */
    memcpy(bytes + sizeof label, body, body_bytes);
    *ret = bytes;
    *ret_size_bytes = sizeof label + body_bytes;
    return 0;
}
