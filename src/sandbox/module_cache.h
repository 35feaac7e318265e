/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Machine code that was made before, on disk. Loading machine code is running it, so an entry is used only if
 * it is exactly what this host wrote: each ends with an HMAC-SHA-256 (RFC 2104) under a key that lies in the
 * same directory, which belongs to this user alone. The bytes that were verified in memory are the bytes that
 * are used.
 *
 * An entry is a file named by the hash of what its code depends on: the module's bytes, the versions of
 * engine, scan and berth, the processor's features, the engine's settings. Whatever is wrong with an entry
 * makes it a miss; it is removed, and the module compiled again. What cannot be written is simply not kept.
 * Any number of processes may use one directory: entries appear complete or not at all.
 */
#ifndef BERTH_SANDBOX_MODULE_CACHE_H
#define BERTH_SANDBOX_MODULE_CACHE_H

#include <stddef.h>
#include <stdint.h>

#include "base/text.h"
#include "sandbox/engine.h"

enum {
    MODULE_CACHE_HASH_BYTES = 32,
    MODULE_CACHE_NAME_BYTES = 2 * MODULE_CACHE_HASH_BYTES + 1, /* lowercase hex and NUL */
};

/* A file that is being written and could not be hidden; nobody works on one for long. */
#define MODULE_CACHE_UNFINISHED_PREFIX ".unfinished-"

enum module_cache_outcome {
    MODULE_CACHE_MISS = 1,
    MODULE_CACHE_UNSAFE = 2, /* the directory is not ours alone */
};

/* ---- The directory (module_cache_directory.c) --------------------------------------------------- */

/* Opens the directory, NULL: the default one; makes it if `make`. 0; MODULE_CACHE_UNSAFE with a reason
 * appended; a negative errno (-ENOENT: there is none, or no home to look for it). */
int module_cache_directory_open(const char *path, bool make, int *ret_directory, struct text *reason);

/* Puts a file there whose contents are the parts, in order, complete or not at all; a file of that name stays
 * as it is (-EEXIST). */
struct iovec;
int module_cache_directory_put(int directory, const char *name, struct iovec *parts, int n_parts);

/* ---- The inventory (module_cache_inventory.c) --------------------------------------------------- */

/* Removes the entries that were not used for longest until no more than so many bytes are left, and what
 * processes left behind that could not finish. */
void module_cache_shrink(int directory, uint64_t max_bytes);

/* ---- Entries ------------------------------------------------------------------------------------ */

/* What an entry begins with. Integers as this processor has them: an entry never leaves its host. */
struct module_cache_header {
    char magic[8];
    uint8_t key[MODULE_CACHE_HASH_BYTES]; /* of which the file's name is the hex form */
    uint8_t module_sha256[MODULE_CACHE_HASH_BYTES];
    uint8_t maker[MODULE_CACHE_HASH_BYTES]; /* versions and processor */
    uint64_t facts_bytes, code_bytes;       /* follow the header; then come 32 bytes of HMAC */
};

extern const char module_cache_magic[8];

/* The hash over what all entries of this host, processor and berth have in common. */
void module_cache_maker(uint8_t *ret_hash);

/* One engine's view of a directory. Immutable, so safe from any thread. */
struct module_cache;

/* Outcomes as module_cache_directory_open(); the settings are part of every key. */
int module_cache_new(const char *directory, const struct engine_settings *settings, struct module_cache **ret,
                     struct text *reason);
void module_cache_free(struct module_cache *cache); /* accepts NULL */

DEFINE_CLEANUP(struct module_cache *, module_cache_free)

/* Where the parts of a verified entry lie in its own buffer. */
struct module_cache_entry {
    uint8_t *buffer;
    const char *facts;
    size_t facts_bytes;
    const uint8_t *code;
    size_t code_bytes;
};

void module_cache_entry_done(struct module_cache_entry *entry);
#define cleanup_module_cache_entry cleanup(module_cache_entry_done)

/* 0 and an entry, or MODULE_CACHE_MISS, whatever the reason. */
int module_cache_look_up(const struct module_cache *cache, const uint8_t *module_sha256,
                         struct module_cache_entry *ret_entry);
/* Keeps it if that is possible, and lets the entries that were not used for longest go if it is too full now.
 */
void module_cache_store(const struct module_cache *cache, const uint8_t *module_sha256, const char *facts,
                        const uint8_t *code, size_t code_bytes);
/* Takes out an entry that turned out to be of no use. */
void module_cache_forget(const struct module_cache *cache, const uint8_t *module_sha256);

#endif
