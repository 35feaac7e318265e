/* SPDX-License-Identifier: Apache-2.0 */
/* See listing.h. */
#include "wasi/listing.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "wasi/directory.h"
#include "wasi/guest_errno.h"

static void listing_free(struct listing *listing)
{
    if (!listing)
        return;
    for (size_t i = 0; i < listing->n_entries; i++)
        free(listing->entries[i].name);
    free(listing->entries);
    free(listing);
}

DEFINE_CLEANUP(struct listing *, listing_free)

static int listing_add(struct listing *listing, const char *name, uint8_t filetype)
{
    if (listing->n_entries == LISTING_ENTRIES_MAX)
        return ERRNO_OVERFLOW;
    if (listing->n_entries == listing->capacity) {
        size_t capacity = listing->capacity ? listing->capacity * 2 : 32;
        void *grown = reallocarray(listing->entries, capacity, sizeof listing->entries[0]);
        if (!grown)
            return ERRNO_NOMEM;
        listing->entries = grown;
        listing->capacity = capacity;
    }
    char *copy = strdup(name);
    if (!copy)
        return ERRNO_NOMEM;
    listing->entries[listing->n_entries++] = (struct listing_entry){.filetype = filetype, .name = copy};
    return 0;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct listing_entry *)a)->name, ((const struct listing_entry *)b)->name);
}

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* Makes room for a listing in the context. */
static void forget_others(struct wasi_context *context, const struct listing *listing)
{
    if (context->listed_entries + listing->n_entries <= LISTING_ENTRIES_MAX)
        return;
    for (uint32_t i = 0; i < context->table_size; i++)
        listing_forget(context, &context->table[i]);
}

int listing_read(struct wasi_context *context, struct descriptor *descriptor, int fd)
{
    cleanup(listing_free_cleanup) struct listing *listing = calloc(1, sizeof *listing);
    struct directory directory;
    struct directory_entry entry;
    listing_forget(context, descriptor);
    if (!listing)
        return ERRNO_NOMEM;
    int r = directory_start(&directory, descriptor->mount, fd, 0);
    while (!r) {
        r = directory_next(&directory, &entry);
        if (r || (!entry.name && !entry.next))
            break;
        if (entry.name && !is_dots(entry.name))
            r = listing_add(listing, entry.name, entry.filetype);
        forget_others(context, listing);
    }
    directory_done(&directory);
    if (r)
        return r;
    if (listing->n_entries)
        qsort(listing->entries, listing->n_entries, sizeof listing->entries[0], compare_names);
    context->listed_entries += listing->n_entries;
    descriptor->listing = take_ptr(listing);
    return 0;
}

void listing_forget(struct wasi_context *context, struct descriptor *descriptor)
{
    if (!descriptor->listing)
        return;
    context->listed_entries -= descriptor->listing->n_entries;
    listing_free(descriptor->listing);
    descriptor->listing = NULL;
}
