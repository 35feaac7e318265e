/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a caller asks for, against what it is granted. The request is read over the granted contract, not over
 * the defaults, so that what it does not mention stays as the node allows; then the grant caps it again.
 * Mounts are asked for by guest path.
 */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "node/front/visit.h"
#include "wire/hash.h"

DEFINE_CLEANUP(berth_contract *, berth_contract_unref)
#define cleanup_contract cleanup(berth_contract_unref_cleanup)

enum { REQUEST_MAX_BYTES = 64 << 10, DIGESTS = 256 };

static int refuse(struct refusal *refusal, const char *sentence)
{
    refusal->status = GRPC_INVALID_ARGUMENT;
    snprintf(refusal->reason, sizeof(refusal->reason), "contract");
    snprintf(refusal->sentence, sizeof(refusal->sentence), "the contract that is asked for: %s", sentence);
    return 1;
}

static int set(berth_contract *contract, const char *section, const char *name, const json_t *value,
               struct refusal *refusal)
{
    cleanup_error berth_error *error = NULL;
    cleanup_free char *key = NULL;
    cleanup_free char *written = NULL;
    if (asprintf(&key, "%s%s", section, name) < 0) {
        key = NULL;
        return -ENOMEM;
    }
    const char *text = json_text(value);
    if (!text && !json_is_number(value) && !json_is_boolean(value))
        return refuse(refusal, "a value must be a number, a word, true or false");
    if (!text) {
        written = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
        if (!written)
            return -ENOMEM;
    }
    berth_status status = berth_contract_set(contract, key, text ? text : written, "the caller", &error);
    if (status == BERTH_NO_MEMORY)
        return -ENOMEM;
    return status == BERTH_OK ? 0 : refuse(refusal, berth_error_message(error));
}

static int set_all(berth_contract *contract, const char *section, json_t *values, struct refusal *refusal)
{
    const char *name;
    json_t *value;
    if (!json_is_object(values))
        return refuse(refusal, "limits and grants are objects");
    json_object_foreach(values, name, value)
    {
        if (strcmp(name, "mount") == 0 || strcmp(name, "env") == 0)
            continue;
        int r = set(contract, section, name, value, refusal);
        if (r != 0)
            return r;
    }
    return 0;
}

static const struct berth_mount *granted_mount(const berth_contract *granted, const char *guest)
{
    const struct berth_grants *grants = berth_contract_grants(granted);
    for (size_t i = 0; i < grants->n_mounts; i++)
        if (strcmp(grants->mounts[i].guest, guest) == 0)
            return &grants->mounts[i];
    return NULL;
}

/* Mounts of the copy: those that are asked for, or all. */
static int add_mounts(berth_contract *contract, const berth_contract *granted, json_t *asked,
                      struct refusal *refusal)
{
    const struct berth_grants *grants = berth_contract_grants(granted);
    cleanup_error berth_error *error = NULL;
    size_t n = asked ? json_array_size(asked) : grants->n_mounts;
    if (asked && !json_is_array(asked))
        return refuse(refusal, "grants.mount is a list of objects with a guest path");
    for (size_t i = 0; i < n; i++) {
        json_t *entry = asked ? json_array_get(asked, i) : NULL;
        const char *guest = asked ? json_text(json_object_get(entry, "guest")) : grants->mounts[i].guest;
        const struct berth_mount *mount = guest ? granted_mount(granted, guest) : NULL;
        if (!mount)
            return refuse(refusal, "grants.mount names a guest path that is not granted");
        struct berth_mount wanted = *mount;
        const char *mode = json_text(json_object_get(entry, "mode"));
        if (mode && strcmp(mode, "read") == 0)
            wanted.writable = false;
        berth_status status = berth_contract_add_mount(contract, &wanted, "the caller", &error);
        if (status != BERTH_OK)
            return status == BERTH_NO_MEMORY ? -ENOMEM : refuse(refusal, berth_error_message(error));
    }
    return 0;
}

/* Everything of the granted contract but its mounts: text without the tables that come last. */
static int copy_without_mounts(const berth_contract *granted, berth_contract **ret)
{
    cleanup_free char *text = NULL;
    if (berth_contract_explain(granted, BERTH_FORMAT_TOML, &text, NULL) != BERTH_OK)
        return -ENOMEM;
    char *mounts = strstr(text, "\n[[grants.mount]]\n");
    size_t length = mounts ? (size_t)(mounts - text) + 1 : strlen(text);
    return berth_contract_parse(text, length, "the node", ret, NULL) == BERTH_OK ? 0 : -ENOMEM;
}

static int apply(berth_contract *contract, const berth_contract *granted, json_t *request,
                 struct refusal *refusal)
{
    const char *name;
    json_t *value, *mounts = NULL;
    if (!json_is_object(request))
        return refuse(refusal, "it is a JSON object");
    json_object_foreach(request, name, value)
    {
        int r = 0;
        if (strcmp(name, "limits") == 0)
            r = set_all(contract, "limits.", value, refusal);
        else if (strcmp(name, "grants") == 0)
            r = set_all(contract, "grants.", value, refusal);
        else
            r = set(contract, "", name, value, refusal);
        if (r != 0)
            return r;
    }
    mounts = json_object_get(json_object_get(request, "grants"), "mount");
    return add_mounts(contract, granted, mounts, refusal);
}

int contract_request(const struct grant *grant, const char *json, size_t size_bytes, berth_contract **ret,
                     struct refusal *ret_refusal)
{
    cleanup_contract berth_contract *asked = NULL;
    cleanup_json json_t *request = NULL;
    cleanup_free char *message = NULL;
    cleanup_error berth_error *error = NULL;
    if (!json || size_bytes == 0) {
        *ret = berth_contract_ref(grant->contract);
        return 0;
    }
    if (size_bytes > REQUEST_MAX_BYTES)
        return refuse(ret_refusal, "it is longer than 64 KiB");
    int r = json_read(json, size_bytes, &request, &message);
    if (r < 0)
        return r == -ENOMEM ? r : refuse(ret_refusal, message ? message : "it is no JSON");
    r = copy_without_mounts(grant->contract, &asked);
    if (r == 0)
        r = apply(asked, grant->contract, request, ret_refusal);
    if (r != 0)
        return r;
    berth_status status = berth_contract_narrow(asked, grant->contract, ret, &error);
    if (status == BERTH_NO_MEMORY)
        return -ENOMEM;
    return status == BERTH_OK ? 0 : refuse(ret_refusal, berth_error_message(error));
}

/* ---- Digests
 * ------------------------------------------------------------------------------------------------- */

struct contract_digest {
    berth_contract *contract;
    uint8_t sha256[HASH_BYTES];
};

struct contract_digests {
    struct contract_digest
        entries[DIGESTS]; /* the place is chosen by the pointer; a newcomer takes it over */
};

int contract_digests_new(struct contract_digests **ret)
{
    *ret = calloc(1, sizeof(**ret));
    return *ret ? 0 : -ENOMEM;
}

void contract_digests_free(struct contract_digests *digests)
{
    for (size_t i = 0; digests && i < DIGESTS; i++)
        berth_contract_unref(digests->entries[i].contract);
    free(digests);
}

int contract_digest(struct front *front, berth_contract *contract, uint8_t ret[static 32])
{
    struct contract_digest *entry = &front->digests->entries[((uintptr_t)contract >> 4) % DIGESTS];
    if (entry->contract != contract) {
        cleanup_free char *text = NULL;
        if (berth_contract_explain(contract, BERTH_FORMAT_TOML, &text, NULL) != BERTH_OK)
            return -ENOMEM;
        berth_contract_unref(entry->contract);
        entry->contract = berth_contract_ref(contract); /* keeps the pointer from being another contract's */
        hash_of(text, strlen(text), entry->sha256);
    }
    memcpy(ret, entry->sha256, HASH_BYTES);
    return 0;
}
