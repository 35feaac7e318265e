/* SPDX-License-Identifier: Apache-2.0 */
/* What two contracts both give. Every step can only take away, so the result never exceeds either side. */
#include <string.h>

#include "base/error.h"
#include "contract/contract.h"

static int narrow_scalars(const berth_contract *request, const berth_contract *policy, berth_contract *result)
{
    for (size_t i = 0; i < CONTRACT_KEYS; i++) {
        const struct contract_key *key = &contract_keys[i];
        if (key->section == SECTION_MOUNT || !contract_key_is_scalar(key))
            continue;
        uint64_t asked = contract_key_get(key, request), allowed = contract_key_get(key, policy);
        uint64_t value = contract_key_narrow(key, asked, allowed);
        const char *origin =
            contract_intern_origin(result, value == asked ? request->origins[i] : policy->origins[i]);
        if (!origin)
            return -ENOMEM;
        contract_key_set(key, result, value);
        result->origins[i] = origin;
    }
    return 0;
}

static bool has_name(const char *const *names, size_t n_names, const char *name)
{
    for (size_t i = 0; i < n_names; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

static int narrow_env(const berth_contract *request, const berth_contract *policy, berth_contract *result,
                      struct text *problem)
{
    for (size_t i = 0; i < request->grants.n_env; i++) {
        if (!has_name(policy->grants.env, policy->grants.n_env, request->env[i]))
            continue;
        int r = contract_add_env(result, request->env[i], request->env_origins[i], problem);
        if (r)
            return r;
    }
    return 0;
}

/* The policy's host path; what either side hides stays hidden. */
static int narrow_mount(const struct berth_mount *asked, const struct berth_mount *allowed,
                        const char *origin, berth_contract *result, struct text *problem)
{
    const struct contract_key *quota = &contract_keys[KEY_MOUNT_quota_mb];
    struct berth_mount mount = *allowed;
    cleanup_free const char **hide = calloc(allowed->n_hide + asked->n_hide + 1, sizeof(*hide));
    if (!hide)
        return -ENOMEM;
    for (size_t i = 0; i < allowed->n_hide; i++)
        hide[i] = allowed->hide[i];
    for (size_t i = 0; i < asked->n_hide; i++)
        if (!has_name(hide, mount.n_hide, asked->hide[i]))
            hide[mount.n_hide++] = asked->hide[i];
    mount.hide = hide;
    mount.writable = asked->writable && allowed->writable;
    mount.quota_bytes =
        mount.writable ? contract_key_narrow(quota, asked->quota_bytes, allowed->quota_bytes) : 0;
    return contract_add_mount(result, &mount, origin, problem);
}

static int narrow_mounts(const berth_contract *request, const berth_contract *policy, berth_contract *result,
                         struct text *problem)
{
    for (size_t i = 0; i < request->grants.n_mounts; i++)
        for (size_t j = 0; j < policy->grants.n_mounts; j++) {
            if (strcmp(request->mounts[i].guest, policy->mounts[j].guest) != 0)
                continue;
            int r = narrow_mount(&request->mounts[i], &policy->mounts[j], policy->mount_memory[j].origin,
                                 result, problem);
            if (r)
                return r;
        }
    return 0;
}

berth_status berth_contract_narrow(const berth_contract *request, const berth_contract *policy,
                                   berth_contract **ret, berth_error **reterr)
{
    cleanup_contract berth_contract *result = NULL;
    cleanup_text struct text problem = {0};
    berth_status status = berth_contract_new(&result, reterr);
    if (status)
        return status;
    int r = narrow_scalars(request, policy, result);
    if (r == 0)
        r = narrow_env(request, policy, result, &problem);
    if (r == 0)
        r = narrow_mounts(request, policy, result, &problem);
    if (r == 0)
        *ret = take_ptr(result);
    return contract_conclude(r, "narrowed contract", &problem, reterr);
}
