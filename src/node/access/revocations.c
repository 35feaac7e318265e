/* SPDX-License-Identifier: Apache-2.0 */
/* See revocations.h. */
#include "node/access/revocations.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hex.h"
#include "base/json.h"
#include "node/settings/settings_credential.h"
#include "wire/hash.h"

struct revocations {
    size_t n;
    uint8_t sha256[][HASH_BYTES]; /* sorted */
};

DEFINE_CLEANUP(struct revocations *, revocations_free)

void revocations_free(struct revocations *revocations)
{
    free(revocations);
}

static int compare(const void *a, const void *b)
{
    return memcmp(a, b, HASH_BYTES);
}

static bool read_one(const json_t *written, uint8_t ret[static HASH_BYTES])
{
    char digits[CREDENTIAL_HEX_CHARACTERS];
    const char *text = json_text(written);
    return text && credential_read_hex(text, digits) && hex_read(digits, ret, HASH_BYTES) == 0;
}

int revocations_parse(const char *json, size_t size_bytes, struct revocations **ret, char **reterr_message)
{
    cleanup_json json_t *list = NULL;
    int r = json_read(json, size_bytes, &list, reterr_message);
    if (r < 0)
        return r;
    size_t n = json_array_size(list); /* 0 if it is none */
    cleanup(revocations_free_cleanup) struct revocations *revocations =
        calloc(1, sizeof(*revocations) + n * HASH_BYTES);
    if (!revocations)
        return -ENOMEM;
    while (revocations->n < n &&
           read_one(json_array_get(list, revocations->n), revocations->sha256[revocations->n]))
        revocations->n++;
    if (!json_is_array(list) || revocations->n < n) {
        *reterr_message = strdup("it must be a list of SHA-256 hashes, 64 hex digits each");
        return *reterr_message ? -EINVAL : -ENOMEM;
    }
    qsort(revocations->sha256, n, HASH_BYTES, compare);
    *ret = take_ptr(revocations);
    return 0;
}

bool revocations_have(const struct revocations *revocations, const uint8_t token_sha256[static 32])
{
    return revocations && bsearch(token_sha256, revocations->sha256, revocations->n, HASH_BYTES, compare);
}
