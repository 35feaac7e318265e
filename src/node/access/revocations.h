/* SPDX-License-Identifier: Apache-2.0 */
/* Bearer tokens that count no more: a JSON array of the SHA-256 of each, in hex. */
#ifndef BERTH_NODE_REVOCATIONS_H
#define BERTH_NODE_REVOCATIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct revocations;

/* At most 1 MiB of text. 0; -ENOMEM; -EINVAL with a sentence that is safe to print, which the caller frees.
 */
int revocations_parse(const char *json, size_t size_bytes, struct revocations **ret, char **reterr_message);
void revocations_free(struct revocations *revocations); /* accepts NULL */

/* NULL: nothing is revoked. */
bool revocations_have(const struct revocations *revocations, const uint8_t token_sha256[static 32]);

#endif
