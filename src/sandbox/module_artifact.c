/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A module on its way from the process that compiles to those that run: a memory file with a header, what the
 * scan found, and the machine code. It is sealed, so that nobody, its maker included, changes it after it was
 * checked.
 *
 * There is no HMAC as in the cache: the file comes over a socket from a process that is trusted, and a worker
 * that could verify a seal would have to hold the key.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "base/checked_math.h"
#include "base/error.h"
#include "sandbox/engine.h"
#include "sandbox/module.h"
#include "sandbox/module_cache.h"

enum {
    HASH_BYTES = MODULE_CACHE_HASH_BYTES,
    SEALS = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE,
};

/* Integers as this processor has them: an artifact never leaves its host. */
struct artifact_header {
    char magic[8];
    char module_sha256[2 * HASH_BYTES];
    uint8_t maker[HASH_BYTES];
    char settings[64];                /* of the engine, padded with NUL */
    uint64_t facts_bytes, code_bytes; /* follow the header, and nothing else does */
};

static const char magic[8] = "berthma1";

static struct artifact_header header_for(const berth_engine *engine)
{
    struct artifact_header header = {0};
    memcpy(header.magic, magic, sizeof(magic));
    module_cache_maker(header.maker);
    engine_settings_format(&engine->settings, header.settings, sizeof(header.settings));
    return header;
}

/* ---- Out ---------------------------------------------------------------------------------------- */

static int write_all(int fd, const void *bytes, size_t size_bytes)
{
    const uint8_t *at = bytes;
    while (size_bytes > 0) {
        ssize_t written = write(fd, at, size_bytes);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return -errno;
        at += written;
        size_bytes -= (size_t)written;
    }
    return 0;
}

static int write_artifact(const berth_module *module, const wasm_byte_vec_t *code, int *ret_descriptor)
{
    struct artifact_header header = header_for(module->engine);
    memcpy(header.module_sha256, module->sha256, sizeof(header.module_sha256));
    header.facts_bytes = strlen(module->facts_json);
    header.code_bytes = code->size;
    cleanup_close int fd = memfd_create("berth-module", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return -errno;
    int r = write_all(fd, &header, sizeof(header));
    if (r == 0)
        r = write_all(fd, module->facts_json, header.facts_bytes);
    if (r == 0)
        r = write_all(fd, code->data, code->size);
    if (r == 0 && fcntl(fd, F_ADD_SEALS, SEALS) < 0)
        r = -errno;
    if (r == 0)
        *ret_descriptor = take_fd(&fd);
    return r;
}

berth_status berth_module_export(const berth_module *module, int *ret_descriptor, berth_error **reterr)
{
    cleanup_text struct text reason = {0};
    wasm_byte_vec_t code;
    wasmtime_error_t *error = wasmtime_module_serialize(module->code, &code);
    if (error) {
        module_append_engine_error(&reason, error);
        return module_conclude(module, -EIO, &reason, reterr);
    }
    int r = write_artifact(module, &code, ret_descriptor);
    wasm_byte_vec_delete(&code);
    return r < 0 ? error_set_errno(reterr, r, "there is no memory file for the module") : BERTH_OK;
}

/* ---- In ----------------------------------------------------------------------------------------- */

struct artifact {
    const uint8_t *bytes;
    size_t size_bytes;
    struct artifact_header header; /* a copy, aligned */
};

static void artifact_done(struct artifact *artifact)
{
    if (artifact->bytes)
        munmap((void *)(uintptr_t)artifact->bytes, artifact->size_bytes);
}

/* Maps a file that cannot change any more. NULL, or why not. */
static const char *map_artifact(int descriptor, struct artifact *artifact)
{
    struct stat status;
    int seals = fcntl(descriptor, F_GET_SEALS);
    if (seals < 0 || (seals & SEALS) != SEALS)
        return "it is not a sealed memory file";
    if (fstat(descriptor, &status) < 0 || status.st_size < (off_t)sizeof(artifact->header))
        return "it is cut off";
    void *bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, descriptor, 0);
    if (bytes == MAP_FAILED)
        return "it cannot be mapped";
    artifact->bytes = bytes;
    artifact->size_bytes = (size_t)status.st_size;
    memcpy(&artifact->header, bytes, sizeof(artifact->header));
    return NULL;
}

static bool is_hash(const char *hex)
{
    for (size_t i = 0; i < 2 * HASH_BYTES; i++)
        if (!((hex[i] >= '0' && hex[i] <= '9') || (hex[i] >= 'a' && hex[i] <= 'f')))
            return false;
    return true;
}

/* NULL, or why it is not for this engine. */
static const char *check_header(const berth_engine *engine, const struct artifact *artifact)
{
    const struct artifact_header *header = &artifact->header, wanted = header_for(engine);
    uint64_t total;
    if (memcmp(header->magic, wanted.magic, sizeof(magic)) != 0 || !is_hash(header->module_sha256))
        return "it is no module";
    if (memcmp(header->maker, wanted.maker, sizeof(wanted.maker)) != 0)
        return "it was made by another version, or for another processor";
    if (memcmp(header->settings, wanted.settings, sizeof(wanted.settings)) != 0)
        return "it was made for other engine settings (fuel, deterministic, simd)";
    if (!checked_add_u64(header->facts_bytes, header->code_bytes, &total) ||
        total != artifact->size_bytes - sizeof(*header))
        return "its lengths are wrong";
    return NULL;
}

/* 0, or as the steps in module.h. */
static int take_parts(berth_module *module, const struct artifact *artifact, struct text *reason)
{
    const char *facts = (const char *)artifact->bytes + sizeof(artifact->header);
    const uint8_t *code = (const uint8_t *)facts + artifact->header.facts_bytes;
    memcpy(module->sha256, artifact->header.module_sha256, sizeof(artifact->header.module_sha256));
    int r = module_take_facts(module, facts, artifact->header.facts_bytes);
    if (r < 0) {
        text_append(reason, "the scan's findings cannot be read");
        return r;
    }
    r = module_check_slot(module, reason);
    if (r != 0)
        return r;
    wasmtime_error_t *error =
        wasmtime_module_deserialize(module->engine->wasm, code, artifact->header.code_bytes, &module->code);
    if (error) {
        text_append(reason, "the engine does not take its machine code: ");
        module_append_engine_error(reason, error);
        return -EIO;
    }
    module->from_cache = true;
    return module_bind(module, reason);
}

berth_status berth_module_import(berth_engine *engine, int descriptor, const char *name, berth_module **ret,
                                 berth_error **reterr)
{
    cleanup(artifact_done) struct artifact artifact = {0};
    cleanup_text struct text reason = {0};
    cleanup_module berth_module *module = module_new(engine, name);
    if (!module)
        return error_set(reterr, BERTH_NO_MEMORY, "out of memory");
    const char *why = map_artifact(descriptor, &artifact);
    if (!why)
        why = check_header(engine, &artifact);
    if (why)
        return error_set(reterr, BERTH_INVALID, "the artifact of a module cannot be used: %s", why);
    int r = take_parts(module, &artifact, &reason);
    if (r != 0)
        return module_conclude(module, r, &reason, reterr);
    *ret = take_ptr(module);
    return BERTH_OK;
}
