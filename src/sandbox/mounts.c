/* SPDX-License-Identifier: Apache-2.0 */
/* A berth_mounts is a wasi_mounts under its public name; this file opens one from a contract. */
#include "sandbox/mounts.h"

#include <fcntl.h>

#include "base/error.h"
#include "sandbox/engine.h"

struct wasi_mounts *mounts_wasi(berth_mounts *mounts)
{
    return (struct wasi_mounts *)mounts;
}

/* As many as the contract has mounts, without a descriptor. NULL if memory is short. */
static struct wasi_mount_options *options_of(const struct berth_grants *grants)
{
    struct wasi_mount_options *options = calloc(grants->n_mounts + 1, sizeof(*options));
    for (size_t i = 0; options && i < grants->n_mounts; i++) {
        const struct berth_mount *mount = &grants->mounts[i];
        options[i] = (struct wasi_mount_options){.guest = mount->guest,
                                                 .host = mount->host,
                                                 .descriptor = -1,
                                                 .writable = mount->writable,
                                                 .hide = mount->hide,
                                                 .n_hide = mount->n_hide,
                                                 .quota_bytes = mount->quota_bytes};
    }
    return options;
}

static berth_status open_all(const struct wasi_mount_options *options, size_t n_options, int proc_descriptor,
                             berth_mounts **ret, berth_error **reterr)
{
    struct wasi_mounts *mounts;
    size_t failed = 0;
    int r = wasi_mounts_new(options, n_options, proc_descriptor, &mounts, &failed);
    if (r < 0 && failed < n_options)
        return error_set_errno(reterr, r, "the directory %s cannot be mounted at %s", options[failed].host,
                               options[failed].guest);
    if (r < 0)
        return error_set_errno(reterr, r, "the mounts cannot be opened");
    *ret = (berth_mounts *)mounts;
    return BERTH_OK;
}

berth_status berth_mounts_open(const berth_contract *contract, berth_mounts **ret, berth_error **reterr)
{
    const struct berth_grants *grants = berth_contract_grants(contract);
    cleanup_free struct wasi_mount_options *options = options_of(grants);
    if (!options)
        return error_set(reterr, BERTH_NO_MEMORY, "out of memory");
    return open_all(options, grants->n_mounts, -1, ret, reterr);
}

/* ---- From descriptors --------------------------------------------------------------------------- */

static bool has_hidden_names(const struct berth_grants *grants)
{
    for (size_t i = 0; i < grants->n_mounts; i++)
        if (grants->mounts[i].n_hide)
            return true;
    return false;
}

static int duplicate_all(struct wasi_mount_options *options, const int *descriptors, size_t n_descriptors)
{
    for (size_t i = 0; i < n_descriptors; i++) {
        options[i].descriptor = fcntl(descriptors[i], F_DUPFD_CLOEXEC, 3);
        if (options[i].descriptor < 0)
            return -errno;
    }
    return 0;
}

berth_status berth_mounts_open_at(berth_engine *engine, const berth_contract *contract,
                                  const int *descriptors, size_t n_descriptors, berth_mounts **ret,
                                  berth_error **reterr)
{
    const struct berth_grants *grants = berth_contract_grants(contract);
    if (n_descriptors != grants->n_mounts)
        return error_set(reterr, BERTH_INVALID, "the contract has %zu mounts, and there are %zu descriptors",
                         grants->n_mounts, n_descriptors);
    if (engine->proc_descriptor < 0 && has_hidden_names(grants))
        return error_set(reterr, BERTH_UNSUPPORTED,
                         "hidden names need /proc, which was not there when the engine was made");
    cleanup_free struct wasi_mount_options *options = options_of(grants);
    if (!options)
        return error_set(reterr, BERTH_NO_MEMORY, "out of memory");
    int r = duplicate_all(options, descriptors, n_descriptors);
    berth_status status = r < 0 ? error_set_errno(reterr, r, "the mounts cannot be duplicated")
                                : open_all(options, grants->n_mounts, engine->proc_descriptor, ret, reterr);
    for (size_t i = 0; status != BERTH_OK && i < n_descriptors; i++)
        close_keeping_errno(options[i].descriptor);
    return status;
}

void berth_mounts_share_quotas(berth_mounts *mounts, berth_mounts *of)
{
    wasi_mounts_share_quotas(mounts_wasi(mounts), mounts_wasi(of));
}

berth_mounts *berth_mounts_ref(berth_mounts *mounts)
{
    return (berth_mounts *)wasi_mounts_ref(mounts_wasi(mounts));
}

void berth_mounts_unref(berth_mounts *mounts)
{
    wasi_mounts_unref(mounts_wasi(mounts));
}
