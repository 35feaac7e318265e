/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The contract object, and what the layers above ask of it beside include/berth/contract.h.
 *
 * A contract owns every string in it. Origins are interned: they live as long as the contract, are escaped
 * and bounded, and so are safe to print. All text in a contract is UTF-8 without NUL, so that it can be
 * written down in either file format.
 *
 * Functions here return 0, -ENOMEM, or CONTRACT_INVALID with a sentence in `problem` that names the key, what
 * was found and what would be right; contract_conclude() is the door to the public form.
 */
#ifndef BERTH_CONTRACT_CONTRACT_H
#define BERTH_CONTRACT_CONTRACT_H

#include <stdatomic.h>

#include <berth/contract.h>

#include "base/text.h"
#include "contract/keys.h"

enum { CONTRACT_INVALID = 1 };

enum {
    CONTRACT_ENV_MAX = 1024,
    CONTRACT_MOUNTS_MAX = 64,
    CONTRACT_HIDE_MAX = 1024,
    CONTRACT_NAME_MAX_BYTES = 255,
    CONTRACT_PATH_MAX_BYTES = 4095, /* PATH_MAX without the NUL */
    CONTRACT_ORIGIN_MAX_BYTES = 200,
    CONTRACT_FOUND_MAX_BYTES = 60, /* of a value that a message shows */
};

struct contract_mount_memory {
    void *strings; /* one block for all strings of the mount */
    const char *origin;
};

struct berth_contract {
    atomic_uint references;
    bool deterministic;
    struct berth_limits limits;
    struct berth_grants grants; /* env and mounts are the lists below */
    const char *origins[CONTRACT_KEYS];
    char **origin_strings;
    size_t n_origin_strings;
    char **env;
    const char **env_origins;
    struct berth_mount *mounts;
    struct contract_mount_memory *mount_memory;
};

/* Where the value of a key came from ("default", "contract.toml", "--memory-mb"), for any key but those of a
 * single mount; borrowed. For a list, where it was last changed. NULL for an unknown key. */
const char *contract_origin(const berth_contract *contract, const char *path);

/* The line of a contract file that sets a key: ("limits.memory_mb", 536870912) gives "memory_mb = 512".
 * `value` as in keys.h: in the unit of the member (thousandths for a rate). It is rounded up to what a file
 * can say and kept in the key's range. The caller frees it; NULL if memory is short or the path names no
 * scalar key. */
char *contract_line(const char *path, uint64_t value);

/* An interned copy, or NULL if memory is short. NULL stands for "default". */
const char *contract_intern_origin(berth_contract *contract, const char *origin);

int contract_add_env(berth_contract *contract, const char *name, const char *origin, struct text *problem);
int contract_add_mount(berth_contract *contract, const struct berth_mount *mount, const char *origin,
                       struct text *problem);

/* Reads one value, or a whole document, over the contract. On failure the contract may have changed in part.
 */
int contract_read_value(berth_contract *contract, const struct contract_key *key, const json_t *written,
                        const char *origin, struct text *problem);
int contract_read_document(berth_contract *contract, json_t *document, const char *origin,
                           struct text *problem);

/* mount.c: whether a mount can be meant, and a copy whose strings are one block. */
int contract_mount_check(const struct berth_mount *mount, struct text *problem);
int contract_mount_copy(const struct berth_mount *mount, struct berth_mount *ret, void **ret_strings);

/* Appends text that somebody else chose, in quotes, escaped and bounded. */
void contract_append_quoted(struct text *text, const char *string);

/* The public form of a result: BERTH_OK, BERTH_NO_MEMORY, or BERTH_INVALID with "source: problem". */
berth_status contract_conclude(int result, const char *source, const struct text *problem,
                               berth_error **reterr);

DEFINE_CLEANUP(berth_contract *, berth_contract_unref)
#define cleanup_contract cleanup(berth_contract_unref_cleanup)

#endif
