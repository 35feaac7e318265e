/* SPDX-License-Identifier: Apache-2.0 */
/* See credential_index.h. */
#include "node/access/credential_index.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hex.h"
#include "wire/hash.h"

struct entry {
    uint8_t digest[HASH_BYTES];
    uint32_t principal;
};

struct credential_index {
    uint8_t secret[HASH_BYTES];
    size_t n;
    struct entry entries[];
};

DEFINE_CLEANUP(struct credential_index *, credential_index_free)

void credential_index_free(struct credential_index *index)
{
    free(index);
}

static void digest_of(const struct credential_index *index, enum settings_credential_kind kind,
                      const void *bytes, size_t size_bytes, uint8_t ret[static HASH_BYTES])
{
    const uint8_t kind_byte = (uint8_t)kind;
    struct hash hash;
    hash_init(&hash);
    hash_add(&hash, index->secret, sizeof(index->secret));
    hash_add(&hash, &kind_byte, sizeof(kind_byte));
    hash_add(&hash, bytes, size_bytes);
    hash_end(&hash, ret);
}

static int compare(const void *a, const void *b)
{
    return memcmp(a, b, HASH_BYTES); /* the digest comes first in an entry */
}

static void add(struct credential_index *index, const struct settings_credential *credential,
                uint32_t principal)
{
    uint8_t bytes[HASH_BYTES];
    struct entry *entry = &index->entries[index->n++];
    entry->principal = principal;
    if (credential->kind == CREDENTIAL_JWT_SUBJECT)
        digest_of(index, credential->kind, credential->value, strlen(credential->value), entry->digest);
    else if (hex_read(credential->value, bytes, sizeof(bytes)) == 0)
        digest_of(index, credential->kind, bytes, sizeof(bytes), entry->digest);
    else
        index->n--; /* complete settings have none like that */
}

int credential_index_new(const struct settings *settings, struct credential_index **ret)
{
    size_t n = 0;
    for (size_t i = 0; i < settings->n_principals; i++)
        n += settings->principals[i].n_credentials;
    cleanup(credential_index_free_cleanup) struct credential_index *index =
        calloc(1, sizeof(*index) + n * sizeof(index->entries[0]));
    if (!index)
        return -ENOMEM;
    int r = random_bytes(index->secret, sizeof(index->secret));
    if (r < 0)
        return r;
    for (size_t i = 0; i < settings->n_principals; i++)
        for (size_t j = 0; j < settings->principals[i].n_credentials; j++)
            add(index, &settings->principals[i].credentials[j], (uint32_t)i);
    qsort(index->entries, index->n, sizeof(index->entries[0]), compare);
    *ret = take_ptr(index);
    return 0;
}

ptrdiff_t credential_index_find(const struct credential_index *index, enum settings_credential_kind kind,
                                const void *bytes, size_t size_bytes)
{
    uint8_t digest[HASH_BYTES];
    digest_of(index, kind, bytes, size_bytes, digest);
    const struct entry *entry = bsearch(digest, index->entries, index->n, sizeof(index->entries[0]), compare);
    return entry ? (ptrdiff_t)entry->principal : -1;
}
