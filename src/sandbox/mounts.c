/* SPDX-License-Identifier: Apache-2.0 */
/* A berth_mounts is a wasi_mounts under its public name; this file opens one from a contract. */
#include "sandbox/mounts.h"

#include "base/error.h"

struct wasi_mounts *mounts_wasi(berth_mounts *mounts)
{
    return (struct wasi_mounts *)mounts;
}

berth_status berth_mounts_open(const berth_contract *contract, berth_mounts **ret, berth_error **reterr)
{
    const struct berth_grants *grants = berth_contract_grants(contract);
    cleanup_free struct wasi_mount_options *options = calloc(grants->n_mounts + 1, sizeof(*options));
    struct wasi_mounts *mounts;
    size_t failed = 0;
    if (!options)
        return error_set(reterr, BERTH_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < grants->n_mounts; i++) {
        const struct berth_mount *mount = &grants->mounts[i];
        options[i] = (struct wasi_mount_options){.guest = mount->guest,
                                                 .host = mount->host,
                                                 .descriptor = -1,
                                                 .writable = mount->writable,
                                                 .hide = mount->hide,
                                                 .n_hide = mount->n_hide,
                                                 .quota_bytes = mount->quota_bytes};
    }
    int r = wasi_mounts_new(options, grants->n_mounts, &mounts, &failed);
    if (r < 0 && failed < grants->n_mounts)
        return error_set_errno(reterr, r, "the directory %s cannot be mounted at %s", options[failed].host,
                               options[failed].guest);
    if (r < 0)
        return error_set_errno(reterr, r, "the mounts cannot be opened");
    *ret = (berth_mounts *)mounts;
    return BERTH_OK;
}

berth_mounts *berth_mounts_ref(berth_mounts *mounts)
{
    return (berth_mounts *)wasi_mounts_ref(mounts_wasi(mounts));
}

void berth_mounts_unref(berth_mounts *mounts)
{
    wasi_mounts_unref(mounts_wasi(mounts));
}
