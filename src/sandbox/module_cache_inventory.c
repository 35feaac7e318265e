/* SPDX-License-Identifier: Apache-2.0 */
/* What a cache directory holds: for people, and for keeping it small. Files that are not ours are left alone.
 */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/error.h"
#include "sandbox/module_cache.h"

enum {
    /* An unfinished file this old has lost its process. */
    UNFINISHED_S = 3600,
    ENTRIES_MAX = 4096,
};

/* ---- Walking ------------------------------------------------------------------------------------ */

static bool is_entry_name(const char *name)
{
    return strlen(name) == MODULE_CACHE_NAME_BYTES - 1 &&
           strspn(name, "0123456789abcdef") == MODULE_CACHE_NAME_BYTES - 1;
}

static bool is_unfinished_name(const char *name)
{
    return strncmp(name, MODULE_CACHE_UNFINISHED_PREFIX, strlen(MODULE_CACHE_UNFINISHED_PREFIX)) == 0;
}

typedef bool visit_fn(void *payload, int directory, const char *name, const struct stat *status);

/* Calls `visit` for entries and unfinished files until it returns false. 0 or a negative errno. */
static int walk(int directory, visit_fn *visit, void *payload)
{
    /* A description of its own: the position of the caller's is shared with other threads. */
    int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = fd < 0 ? NULL : fdopendir(fd);
    if (!stream) {
        int r = -errno;
        close_keeping_errno(fd);
        return r;
    }
    bool go_on = true;
    for (const struct dirent *item; go_on && (item = readdir(stream));) {
        struct stat status;
        if ((is_entry_name(item->d_name) || is_unfinished_name(item->d_name)) &&
            fstatat(directory, item->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0)
            go_on = visit(payload, directory, item->d_name, &status);
    }
    closedir(stream);
    return 0;
}

/* ---- Keeping it small --------------------------------------------------------------------------- */

struct used {
    char name[MODULE_CACHE_NAME_BYTES];
    struct timespec when;
    uint64_t size_bytes;
};

struct used_list {
    struct used *items;
    size_t length, capacity;
    uint64_t total_bytes;
};

static void used_list_done(struct used_list *list)
{
    free(list->items);
}

static bool note_use(void *payload, int directory, const char *name, const struct stat *status)
{
    struct used_list *list = payload;
    if (is_unfinished_name(name)) {
        if (time(NULL) - status->st_mtim.tv_sec > UNFINISHED_S)
            unlinkat(directory, name, 0);
        return true;
    }
    if (list->length == list->capacity) {
        size_t capacity = list->capacity ? 2 * list->capacity : 64;
        struct used *grown = reallocarray(list->items, capacity, sizeof(*grown));
        if (!grown)
            return false;
        list->items = grown;
        list->capacity = capacity;
    }
    struct used *item = &list->items[list->length++];
    *item = (struct used){.when = status->st_mtim, .size_bytes = (uint64_t)status->st_size};
    memcpy(item->name, name, sizeof(item->name));
    list->total_bytes += item->size_bytes;
    return true;
}

static int by_time(const void *left, const void *right)
{
    const struct timespec *a = &((const struct used *)left)->when, *b = &((const struct used *)right)->when;
    if (a->tv_sec != b->tv_sec)
        return a->tv_sec < b->tv_sec ? -1 : 1;
    return (a->tv_nsec > b->tv_nsec) - (a->tv_nsec < b->tv_nsec);
}

void module_cache_shrink(int directory, uint64_t max_bytes)
{
    cleanup(used_list_done) struct used_list list = {0};
    walk(directory, note_use, &list);
    if (list.total_bytes <= max_bytes && list.length <= ENTRIES_MAX)
        return;
    qsort(list.items, list.length, sizeof(*list.items), by_time);
    for (size_t i = 0; i < list.length; i++) {
        if (list.total_bytes <= max_bytes && list.length - i <= ENTRIES_MAX)
            return;
        unlinkat(directory, list.items[i].name, 0);
        list.total_bytes -= list.items[i].size_bytes;
    }
}

/* ---- For people --------------------------------------------------------------------------------- */

/* BERTH_OK with *ret_directory -1 if there is no cache. */
static berth_status open_existing(const char *path, int *ret_directory, berth_error **reterr)
{
    cleanup_text struct text reason = {0};
    *ret_directory = -1;
    int r = module_cache_directory_open(path, false, ret_directory, &reason);
    if (r == 0 || r == -ENOENT)
        return BERTH_OK;
    if (r == MODULE_CACHE_UNSAFE && !reason.failed)
        return error_set(reterr, BERTH_IO, "%s", reason.data);
    return error_set_errno(reterr, r == MODULE_CACHE_UNSAFE ? -ENOMEM : r, "the module cache cannot be read");
}

struct listing {
    berth_cache_visit_fn *visit;
    void *payload;
    uint8_t maker[MODULE_CACHE_HASH_BYTES];
};

static bool list_entry(void *payload, int directory, const char *name, const struct stat *status)
{
    const struct listing *listing = payload;
    struct module_cache_header header = {0};
    struct berth_cache_entry entry = {.size_bytes = (uint64_t)status->st_size,
                                      .last_used_s = status->st_mtim.tv_sec};
    if (!is_entry_name(name) || !S_ISREG(status->st_mode))
        return true;
    cleanup_close int fd = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd >= 0 && read(fd, &header, sizeof(header)) == (ssize_t)sizeof(header) &&
        memcmp(header.magic, module_cache_magic, sizeof(header.magic)) == 0)
        entry.usable = memcmp(header.maker, listing->maker, sizeof(header.maker)) == 0;
    for (size_t i = 0; i < MODULE_CACHE_HASH_BYTES; i++)
        snprintf(entry.module_sha256 + 2 * i, 3, "%02x", header.module_sha256[i]);
    return listing->visit(listing->payload, &entry);
}

berth_status berth_cache_list(const char *directory, berth_cache_visit_fn *visit, void *payload,
                              berth_error **reterr)
{
    cleanup_close int fd = -1;
    berth_status status = open_existing(directory, &fd, reterr);
    if (status != BERTH_OK || fd < 0)
        return status;
    struct listing listing = {.visit = visit, .payload = payload};
    module_cache_maker(listing.maker);
    int r = walk(fd, list_entry, &listing);
    return r < 0 ? error_set_errno(reterr, r, "the module cache cannot be read") : BERTH_OK;
}

struct clearing {
    uint64_t count, size_bytes;
    int error;
};

static bool clear_entry(void *payload, int directory, const char *name, const struct stat *status)
{
    struct clearing *clearing = payload;
    if (unlinkat(directory, name, 0) < 0) {
        if (errno != ENOENT)
            clearing->error = -errno;
        return true;
    }
    clearing->count += is_entry_name(name);
    clearing->size_bytes += (uint64_t)status->st_size;
    return true;
}

/* The key stays: an engine that is running now goes on with it. */
berth_status berth_cache_clear(const char *directory, uint64_t *ret_count, uint64_t *ret_size_bytes,
                               berth_error **reterr)
{
    cleanup_close int fd = -1;
    struct clearing clearing = {0};
    berth_status status = open_existing(directory, &fd, reterr);
    if (status != BERTH_OK)
        return status;
    if (fd >= 0) {
        int r = walk(fd, clear_entry, &clearing);
        if (r == 0)
            r = clearing.error;
        if (r < 0)
            return error_set_errno(reterr, r, "the module cache cannot be cleared");
    }
    if (ret_count)
        *ret_count = clearing.count;
    if (ret_size_bytes)
        *ret_size_bytes = clearing.size_bytes;
    return BERTH_OK;
}
