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

int listing_read(struct wasi_context *context, const struct descriptor *owner, int fd,
                 const struct listing **ret)
{
    cleanup(listing_free_cleanup) struct listing *listing = calloc(1, sizeof *listing);
    struct directory directory;
    struct directory_entry entry;
    listing_forget(context, NULL);
    if (!listing)
        return ERRNO_NOMEM;
    int r = directory_start(&directory, owner->mount, fd, 0);
    while (!r) {
        r = directory_next(&directory, &entry);
        if (r || (!entry.name && !entry.next))
            break;
        if (entry.name && !is_dots(entry.name))
            r = listing_add(listing, entry.name, entry.filetype);
    }
    directory_done(&directory);
    if (r)
        return r;
    if (listing->n_entries)
        qsort(listing->entries, listing->n_entries, sizeof listing->entries[0], compare_names);
    listing->owner = owner;
    *ret = context->listing = take_ptr(listing);
    return 0;
}

const struct listing *listing_of(const struct wasi_context *context, const struct descriptor *owner)
{
    return context->listing && context->listing->owner == owner ? context->listing : NULL;
}

void listing_forget(struct wasi_context *context, const struct descriptor *owner)
{
    if (!context->listing || (owner && context->listing->owner != owner))
        return;
    listing_free(context->listing);
    context->listing = NULL;
}
