/* SPDX-License-Identifier: Apache-2.0 */
/* See directory.h. */
#include "wasi/directory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "wasi/filestat.h"
#include "wasi/guest_errno.h"
#include "wasi/guest_path.h"

/* A pause after that many, so that a directory with nothing but hidden entries does not keep a thread. */
enum { SKIPPED_MAX = 4096 };

/* The place of the directory, with room for one name more. */
static int locate(struct directory *directory)
{
    cleanup_free struct mount_location *location = malloc(sizeof *location);
    if (!location)
        return ERRNO_NOMEM;
    if (mount_locate(directory->mount, directory->fd, location) < 0 ||
        hide_matches(directory->mount->hide, location->path, HIDE_DIRECTORY))
        return ERRNO_NOENT;
    size_t length = strlen(location->path);
    directory->location = malloc(length + NAME_MAX + 3);
    if (!directory->location)
        return ERRNO_NOMEM;
    memcpy(directory->location, location->path, length + 1);
    return 0;
}

int directory_start(struct directory *directory, const struct mount *mount, int fd, uint64_t position)
{
    directory->mount = mount;
    directory->fd = fd;
    directory->location = NULL;
    directory->used = directory->filled = 0;
    directory->n_skipped = 0;
    int r = mount->hide ? locate(directory) : 0;
    if (r)
        return r;
    if (position > INT64_MAX)
        return ERRNO_INVAL;
    return lseek(fd, (off_t)position, SEEK_SET) < 0 ? guest_errno(errno) : 0;
}

static uint8_t filetype_of_entry(const struct directory *directory, const struct dirent64 *entry)
{
    struct stat status;
    if (entry->d_type != DT_UNKNOWN)
        return (uint8_t)filetype_of_mode(DTTOIF(entry->d_type));
    if (fstatat(directory->fd, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return FILETYPE_UNKNOWN;
    return (uint8_t)filetype_of_mode(status.st_mode);
}

static bool entry_hidden(const struct directory *directory, const char *name, uint8_t filetype)
{
    if (!directory->location || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return false;
    size_t length = strlen(directory->location), name_length = strlen(name);
    if (name_length > NAME_MAX)
        return true;
    char *end = directory->location + length;
    if (length)
        *end++ = '/';
    memcpy(end, name, name_length + 1);
    bool hidden = hide_matches(directory->mount->hide, directory->location,
                               filetype == FILETYPE_DIRECTORY ? HIDE_DIRECTORY : HIDE_OTHER);
    directory->location[length] = '\0';
    return hidden;
}

/* The next record in the buffer, NULL at the end. */
static int next_record(struct directory *directory, const struct dirent64 **ret)
{
    *ret = NULL;
    if (directory->used == directory->filled) {
        ssize_t filled = getdents64(directory->fd, directory->buffer, sizeof directory->buffer);
        if (filled < 0)
            return guest_errno(errno);
        if (!filled)
            return 0;
        directory->used = 0;
        directory->filled = (size_t)filled;
    }
    const void *record = directory->buffer + directory->used;
    *ret = record;
    directory->used += (*ret)->d_reclen;
    return 0;
}

int directory_next(struct directory *directory, struct directory_entry *ret)
{
    const struct dirent64 *entry;
    for (;;) {
        int r = next_record(directory, &entry);
        *ret = (struct directory_entry){0};
        if (r || !entry)
            return r;
        ret->next = (uint64_t)entry->d_off;
        ret->inode = entry->d_ino;
        ret->filetype = filetype_of_entry(directory, entry);
        if (guest_text_valid(entry->d_name, strlen(entry->d_name)) &&
            !entry_hidden(directory, entry->d_name, ret->filetype)) {
            ret->name = entry->d_name;
            return 0;
        }
        if (++directory->n_skipped >= SKIPPED_MAX) {
            directory->n_skipped = 0;
            return 0;
        }
    }
}

void directory_done(struct directory *directory)
{
    free(directory->location);
    directory->location = NULL;
}
