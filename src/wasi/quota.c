/* SPDX-License-Identifier: Apache-2.0 */
/* See quota.h. */
#include "wasi/quota.h"

#include <errno.h>

#include "base/checked_math.h"

int quota_init(struct quota *quota, uint64_t limit_bytes)
{
    *quota = (struct quota){.limit_bytes = limit_bytes};
    return -pthread_mutex_init(&quota->lock, NULL);
}

void quota_done(struct quota *quota)
{
    free(quota->open_files);
    pthread_mutex_destroy(&quota->lock);
}

struct quota *quota_lock(struct quota *quota)
{
    if (!quota->limit_bytes)
        return NULL;
    pthread_mutex_lock(&quota->lock);
    return quota;
}

void quota_unlock(struct quota *const *guard)
{
    if (*guard)
        pthread_mutex_unlock(&(*guard)->lock);
}

uint64_t quota_available(const struct quota *quota)
{
    return quota ? saturating_sub_u64(quota->limit_bytes, quota->used_bytes) : UINT64_MAX;
}

bool quota_charge(struct quota *quota, uint64_t bytes)
{
    if (!quota)
        return true;
    if (bytes > quota_available(quota))
        return false;
    quota->used_bytes += bytes;
    return true;
}

void quota_refund(struct quota *quota, uint64_t bytes)
{
    if (quota)
        quota->used_bytes = saturating_sub_u64(quota->used_bytes, bytes);
}

void quota_resized(struct quota *quota, uint64_t old_bytes, uint64_t new_bytes)
{
    if (!quota)
        return;
    if (new_bytes > old_bytes)
        quota->used_bytes = saturating_add_u64(quota->used_bytes, new_bytes - old_bytes);
    else
        quota_refund(quota, old_bytes - new_bytes);
}

static struct quota_open_file *find_open(const struct quota *quota, const struct stat *status)
{
    for (size_t i = 0; i < quota->n_open_files; i++)
        if (quota->open_files[i].device == status->st_dev && quota->open_files[i].inode == status->st_ino)
            return &quota->open_files[i];
    return NULL;
}

void quota_entry_removed(struct quota *quota, const struct stat *status)
{
    if (!quota)
        return;
    quota_refund(quota, QUOTA_ENTRY_BYTES);
    if (S_ISREG(status->st_mode) && status->st_nlink <= 1 && !find_open(quota, status))
        quota_refund(quota, (uint64_t)status->st_size);
}

int quota_file_opened(struct quota *quota, int fd)
{
    struct stat status;
    if (!quota)
        return 0;
    if (fstat(fd, &status) < 0)
        return -errno;
    struct quota_open_file *file = find_open(quota, &status);
    if (file) {
        file->n_open++;
        return 0;
    }
    if (status.st_nlink == 0)
        return -ENOENT;
    if (quota->n_open_files == quota->capacity) {
        size_t capacity = quota->capacity ? quota->capacity * 2 : 8;
        void *grown = reallocarray(quota->open_files, capacity, sizeof *quota->open_files);
        if (!grown)
            return -ENOMEM;
        quota->open_files = grown;
        quota->capacity = capacity;
    }
    quota->open_files[quota->n_open_files++] =
        (struct quota_open_file){.device = status.st_dev, .inode = status.st_ino, .n_open = 1};
    return 0;
}

void quota_file_closing(struct quota *quota, int fd)
{
    struct stat status;
    if (!quota || fstat(fd, &status) < 0)
        return;
    struct quota_open_file *file = find_open(quota, &status);
    if (!file || --file->n_open > 0)
        return;
    *file = quota->open_files[--quota->n_open_files];
    if (status.st_nlink == 0)
        quota_refund(quota, (uint64_t)status.st_size);
}
