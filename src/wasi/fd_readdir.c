/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fd_readdir: entries of a directory into the guest's buffer, from a cookie on.
 *
 * The cookie is the kernel's position, or in deterministic mode the number of an entry in the sorted listing.
 * The last entry is cut where the buffer ends. A buffer that is not full means that there is no more, so a
 * large one is filled in pieces of one call, between which others get a turn.
 */
#include <string.h>

#include "base/cleanup.h"
#include "wasi/context.h"
#include "wasi/directory.h"
#include "wasi/filestat.h"
#include "wasi/guest_errno.h"
#include "wasi/guest_memory.h"
#include "wasi/listing.h"
#include "wasi/resolve.h"

enum { PIECE_BYTES = 65536 };

/* The guest's buffer as it fills. */
struct entry_buffer {
    uint8_t *bytes;
    size_t size;
    size_t used;
    size_t piece_end;  /* no entry begins behind it in this turn */
    uint64_t position; /* behind the last entry */
};

static void put_bytes(struct entry_buffer *buffer, const void *bytes, size_t size)
{
    size_t room = buffer->size - buffer->used;
    size_t used = size < room ? size : room;
    memcpy(buffer->bytes + buffer->used, bytes, used);
    buffer->used += used;
}

/* false: the buffer is full, or the piece is. */
static bool put_entry(struct entry_buffer *buffer, const struct directory_entry *entry)
{
    uint8_t header[DIRENT_SIZE] = {0};
    size_t length = strlen(entry->name);
    store_u64(header + DIRENT_NEXT, entry->next);
    store_u64(header + DIRENT_INO, entry->inode);
    store_u32(header + DIRENT_NAMLEN, (uint32_t)length);
    store_u8(header + DIRENT_TYPE, entry->filetype);
    put_bytes(buffer, header, sizeof header);
    put_bytes(buffer, entry->name, length);
    buffer->position = entry->next;
    return buffer->used < buffer->piece_end;
}

/* A full piece of a buffer that is not full is not the end. */
static int after_piece(const struct entry_buffer *buffer)
{
    return buffer->used >= buffer->piece_end && buffer->used < buffer->size ? CALL_YIELD : 0;
}

/* The descriptor to read the directory through: that of a preopen belongs to all contexts of the mount, so
 * the guest gets one of its own. */
static int listing_fd(struct descriptor *directory, int *ret_fd)
{
    if (directory->preopen && directory->listing_fd < 0) {
        int fd = open_beneath(directory->fd, ".", O_RDONLY | O_DIRECTORY, 0);
        if (fd < 0)
            return guest_errno(fd);
        directory->listing_fd = fd;
    }
    *ret_fd = directory->preopen ? directory->listing_fd : directory->fd;
    return 0;
}

/* The root of a mount is its own parent, as that of any tree: the directory above it is not the guest's to
 * know about. */
static uint64_t inode_of_parent(const struct mount *mount, int fd, uint64_t inode)
{
    struct stat root, directory;
    if (fstat(mount->fd, &root) < 0 || fstat(fd, &directory) < 0)
        return 0;
    return root.st_dev == directory.st_dev && root.st_ino == directory.st_ino ? root.st_ino : inode;
}

/* 0 at the end or when the buffer is full, CALL_YIELD when there is more to do for it. */
static int fill(const struct mount *mount, int fd, uint64_t cookie, struct entry_buffer *buffer)
{
    struct directory directory;
    struct directory_entry entry = {0};
    int r = directory_start(&directory, mount, fd, cookie);
    while (!r) {
        r = directory_next(&directory, &entry);
        if (!r && entry.name && strcmp(entry.name, "..") == 0)
            entry.inode = inode_of_parent(mount, fd, entry.inode);
        if (r || !entry.name || !put_entry(buffer, &entry))
            break;
    }
    directory_done(&directory);
    if (!r && !entry.name && entry.next) {
        buffer->position = entry.next;
        return CALL_YIELD;
    }
    return r ? r : after_piece(buffer);
}

static int fill_sorted(struct call *call, struct descriptor *owner, int fd, uint64_t cookie,
                       struct entry_buffer *buffer)
{
    static const char *const dots[] = {".", ".."};
    int r = cookie && owner->listing ? 0 : listing_read(call->context, owner, fd);
    if (r)
        return r;
    const struct listing *listing = owner->listing;
    for (uint64_t i = cookie; i < listing->n_entries + 2; i++) {
        const struct listing_entry *found = i < 2 ? NULL : &listing->entries[i - 2];
        struct directory_entry entry = {
            .name = found ? found->name : dots[i],
            .next = i + 1,
            .filetype = found ? found->filetype : FILETYPE_DIRECTORY,
        };
        entry.inode = filestat_hashed_inode(owner->mount, fd, found ? found->name : NULL);
        if (!put_entry(buffer, &entry))
            break;
    }
    return after_piece(buffer);
}

int call_fd_readdir(struct call *call)
{
    struct wasi_context *context = call->context;
    struct pending_call *pending = &context->pending;
    struct entry_buffer buffer = {.size = call_u32(call, 2)};
    struct descriptor *directory;
    uint8_t *used;
    int fd = -1;
    int r = guest_range(call, "the buffer", call_u32(call, 1), buffer.size, 1, &buffer.bytes);
    if (!r)
        r = guest_range(call, "the size", call_u32(call, 4), 4, 4, &used);
    if (!r)
        r = descriptor_find_directory(call, call_u32(call, 0), RIGHTS_FD_READDIR, NULL, &directory);
    if (!r)
        r = listing_fd(directory, &fd);
    if (r)
        return r;
    buffer.used = pending->done_bytes < buffer.size ? pending->done_bytes : buffer.size;
    buffer.piece_end = buffer.size - buffer.used > PIECE_BYTES ? buffer.used + PIECE_BYTES : buffer.size;
    uint64_t cookie = pending->active ? pending->position : call_u64(call, 3);
    if (buffer.size)
        r = context->deterministic ? fill_sorted(call, directory, fd, cookie, &buffer)
                                   : fill(directory->mount, fd, cookie, &buffer);
    pending->done_bytes = buffer.used;
    pending->position = buffer.position;
    if (r)
        return r;
    store_u32(used, (uint32_t)buffer.used);
    return 0;
}
