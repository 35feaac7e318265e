/* SPDX-License-Identifier: Apache-2.0 */
/* See module_cache.h: keys, seals, and entries in and out. */
#include "sandbox/module_cache.h"

#include <berth/version.h>
#include <berth_native.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/hmac.h>
#include <openssl/mem.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>

#include "base/checked_math.h"
#include "sandbox/module_scan.h"

enum {
    HASH_BYTES = MODULE_CACHE_HASH_BYTES,
    /* Nothing that the compiler may hand in is larger; a file that is was not written by us. */
    ENTRY_MAX_MB = 600,
    CACHE_MAX_MB = 1024,
    /* A time of use that is this fresh is not written again. */
    USED_GRAIN_S = 60,
};

_Static_assert(HASH_BYTES == SHA256_DIGEST_LENGTH, "keys and seals are SHA-256");

static const char key_file[] = "key";
const char module_cache_magic[8] = "berthmc1";

struct module_cache {
    int directory;
    uint8_t seal_key[HASH_BYTES];
    uint8_t maker[HASH_BYTES];
    char settings[64];
};

/* ---- Keys --------------------------------------------------------------------------------------- */

void module_cache_maker(uint8_t *ret_hash)
{
    char text[1024];
    int length = snprintf(text, sizeof(text), "berth %s, scan %d, engine %s, processor %s", BERTH_VERSION,
                          MODULE_SCAN_VERSION, berth_native_engine_version(), berth_native_cpu_features());
    size_t used = (size_t)length < sizeof(text) ? (size_t)length : sizeof(text) - 1;
    SHA256((const uint8_t *)text, used, ret_hash);
}

static void entry_key(const struct module_cache *cache, const uint8_t *module_sha256, uint8_t *ret_key)
{
    SHA256_CTX hash;
    SHA256_Init(&hash);
    SHA256_Update(&hash, module_sha256, HASH_BYTES);
    SHA256_Update(&hash, cache->maker, HASH_BYTES);
    SHA256_Update(&hash, cache->settings, strlen(cache->settings));
    SHA256_Final(ret_key, &hash);
}

static void entry_name(const uint8_t *key, char *ret_name)
{
    for (size_t i = 0; i < HASH_BYTES; i++)
        snprintf(ret_name + 2 * i, 3, "%02x", key[i]);
}

/* ---- The key of the seal ------------------------------------------------------------------------ */

/* 0; -ENOENT; -EPERM if the file is not as we would have made it. */
static int read_seal_key(int directory, uint8_t *ret_key)
{
    struct stat status;
    cleanup_close int fd = openat(directory, key_file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? -ENOENT : -EPERM;
    if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode) || status.st_uid != geteuid() ||
        (status.st_mode & (S_IRWXG | S_IRWXO)) || status.st_size != HASH_BYTES ||
        read(fd, ret_key, HASH_BYTES) != HASH_BYTES)
        return -EPERM;
    return 0;
}

/* The first process to name a key decides it for all. One that others could have read is replaced, and what
 * was sealed with it forgotten thereby. */
static int find_seal_key(int directory, uint8_t *ret_key)
{
    for (int attempt = 0; attempt < 3; attempt++) {
        int r = read_seal_key(directory, ret_key);
        if (r == 0)
            return 0;
        if (r == -EPERM)
            unlinkat(directory, key_file, 0);
        uint8_t fresh[HASH_BYTES];
        if (RAND_bytes(fresh, sizeof(fresh)) != 1)
            return -EIO;
        struct iovec part = {.iov_base = fresh, .iov_len = sizeof(fresh)};
        r = module_cache_directory_put(directory, key_file, &part, 1);
        OPENSSL_cleanse(fresh, sizeof(fresh));
        if (r < 0 && r != -EEXIST)
            return r;
    }
    return -EPERM;
}

int module_cache_new(const char *directory, const struct engine_settings *settings, struct module_cache **ret,
                     struct text *reason)
{
    cleanup(module_cache_free_cleanup) struct module_cache *cache = calloc(1, sizeof(*cache));
    if (!cache)
        return -ENOMEM;
    cache->directory = -1;
    int r = module_cache_directory_open(directory, true, &cache->directory, reason);
    if (r == 0)
        r = find_seal_key(cache->directory, cache->seal_key);
    if (r != 0)
        return r;
    module_cache_maker(cache->maker);
    engine_settings_format(settings, cache->settings, sizeof(cache->settings));
    *ret = take_ptr(cache);
    return 0;
}

void module_cache_free(struct module_cache *cache)
{
    if (!cache)
        return;
    close_keeping_errno(cache->directory);
    OPENSSL_cleanse(cache->seal_key, sizeof(cache->seal_key));
    free(cache);
}

/* ---- Look-up ------------------------------------------------------------------------------------ */

void module_cache_entry_done(struct module_cache_entry *entry)
{
    free(entry->buffer);
    *entry = (struct module_cache_entry){0};
}

/* 0, -ENOENT, or another errno if the file is there and cannot be ours. */
static int read_file(int directory, const char *name, uint8_t **ret_bytes, size_t *ret_size_bytes)
{
    struct stat status;
    cleanup_close int fd = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (fstat(fd, &status) < 0)
        return -errno;
    if (!S_ISREG(status.st_mode) || status.st_size <= 0 || status.st_size >> 20 >= ENTRY_MAX_MB)
        return -EINVAL;
    size_t size_bytes = (size_t)status.st_size, done = 0;
    cleanup_free uint8_t *bytes = malloc(size_bytes);
    if (!bytes)
        return -ENOMEM;
    while (done < size_bytes) {
        ssize_t n = read(fd, bytes + done, size_bytes - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EINVAL;
        done += (size_t)n;
    }
    if (time(NULL) - status.st_mtim.tv_sec > USED_GRAIN_S)
        futimens(fd, NULL);
    *ret_bytes = take_ptr(bytes);
    *ret_size_bytes = size_bytes;
    return 0;
}

/* Whether the bytes are an entry for this key that we sealed; nothing in them is believed before. */
static bool verify(const struct module_cache *cache, const uint8_t *key, const uint8_t *module_sha256,
                   const uint8_t *bytes, size_t size_bytes, struct module_cache_entry *ret_entry)
{
    struct module_cache_header header;
    uint8_t seal[HASH_BYTES];
    unsigned seal_bytes = 0;
    uint64_t total;
    if (size_bytes < sizeof(header) + HASH_BYTES)
        return false;
    const size_t sealed_bytes = size_bytes - HASH_BYTES;
    if (!HMAC(EVP_sha256(), cache->seal_key, HASH_BYTES, bytes, sealed_bytes, seal, &seal_bytes) ||
        CRYPTO_memcmp(seal, bytes + sealed_bytes, HASH_BYTES) != 0)
        return false;
    memcpy(&header, bytes, sizeof(header));
    if (memcmp(header.magic, module_cache_magic, sizeof(header.magic)) != 0 ||
        memcmp(header.key, key, HASH_BYTES) != 0 ||
        memcmp(header.module_sha256, module_sha256, HASH_BYTES) != 0 ||
        memcmp(header.maker, cache->maker, HASH_BYTES) != 0)
        return false;
    if (!checked_add_u64(header.facts_bytes, header.code_bytes, &total) ||
        total != sealed_bytes - sizeof(header))
        return false;
    ret_entry->facts = (const char *)bytes + sizeof(header);
    ret_entry->facts_bytes = header.facts_bytes;
    ret_entry->code = bytes + sizeof(header) + header.facts_bytes;
    ret_entry->code_bytes = header.code_bytes;
    return true;
}

int module_cache_look_up(const struct module_cache *cache, const uint8_t *module_sha256,
                         struct module_cache_entry *ret_entry)
{
    uint8_t key[HASH_BYTES];
    char name[MODULE_CACHE_NAME_BYTES];
    cleanup_free uint8_t *bytes = NULL;
    size_t size_bytes = 0;
    entry_key(cache, module_sha256, key);
    entry_name(key, name);
    int r = read_file(cache->directory, name, &bytes, &size_bytes);
    if (r == -ENOENT || r == -ENOMEM)
        return MODULE_CACHE_MISS;
    if (r < 0 || !verify(cache, key, module_sha256, bytes, size_bytes, ret_entry)) {
        unlinkat(cache->directory, name, 0);
        return MODULE_CACHE_MISS;
    }
    ret_entry->buffer = take_ptr(bytes);
    return 0;
}

/* ---- Store -------------------------------------------------------------------------------------- */

static bool make_seal(const struct module_cache *cache, const struct iovec *parts, int n_parts,
                      uint8_t *ret_seal)
{
    HMAC_CTX hmac;
    unsigned seal_bytes = 0;
    HMAC_CTX_init(&hmac);
    int good = HMAC_Init_ex(&hmac, cache->seal_key, HASH_BYTES, EVP_sha256(), NULL);
    for (int i = 0; i < n_parts && good; i++)
        good = HMAC_Update(&hmac, parts[i].iov_base, parts[i].iov_len);
    good = good && HMAC_Final(&hmac, ret_seal, &seal_bytes);
    HMAC_CTX_cleanup(&hmac);
    return good;
}

void module_cache_store(const struct module_cache *cache, const uint8_t *module_sha256, const char *facts,
                        const uint8_t *code, size_t code_bytes)
{
    char name[MODULE_CACHE_NAME_BYTES];
    uint8_t seal[HASH_BYTES];
    struct module_cache_header header = {.facts_bytes = strlen(facts), .code_bytes = code_bytes};
    memcpy(header.magic, module_cache_magic, sizeof(header.magic));
    memcpy(header.module_sha256, module_sha256, HASH_BYTES);
    memcpy(header.maker, cache->maker, HASH_BYTES);
    entry_key(cache, module_sha256, header.key);
    entry_name(header.key, name);
    struct iovec parts[] = {
        {.iov_base = &header, .iov_len = sizeof(header)},
        {.iov_base = (void *)(uintptr_t)facts, .iov_len = header.facts_bytes},
        {.iov_base = (void *)(uintptr_t)code, .iov_len = code_bytes},
        {.iov_base = seal, .iov_len = sizeof(seal)},
    };
    if ((sizeof(header) + header.facts_bytes + code_bytes) >> 20 >= ENTRY_MAX_MB - 1)
        return;
    if (make_seal(cache, parts, 3, seal) && module_cache_directory_put(cache->directory, name, parts, 4) == 0)
        module_cache_shrink(cache->directory, CACHE_MAX_MB * (UINT64_C(1) << 20));
}

void module_cache_forget(const struct module_cache *cache, const uint8_t *module_sha256)
{
    uint8_t key[HASH_BYTES];
    char name[MODULE_CACHE_NAME_BYTES];
    entry_key(cache, module_sha256, key);
    entry_name(key, name);
    unlinkat(cache->directory, name, 0);
}
