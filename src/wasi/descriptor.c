/* SPDX-License-Identifier: Apache-2.0 */
/* See descriptor.h. */
#include "wasi/descriptor.h"

#include <string.h>

#include "base/cleanup.h"
#include "wasi/context.h"
#include "wasi/denial.h"
#include "wasi/listing.h"
#include "wasi/watch.h"

uint64_t descriptor_rights(enum descriptor_kind kind, const struct mount *mount)
{
    uint64_t rights = kind == DESCRIPTOR_FILE        ? RIGHTS_OF_FILE
                      : kind == DESCRIPTOR_DIRECTORY ? RIGHTS_OF_DIRECTORY
                                                     : RIGHTS_OF_STREAM;
    return mount && !mount->writable ? rights & ~RIGHTS_WRITING : rights;
}

int descriptor_find(struct call *call, uint32_t number, struct descriptor **ret)
{
    struct wasi_context *context = call->context;
    if (number >= context->table_size || context->table[number].kind == DESCRIPTOR_FREE)
        return ERRNO_BADF;
    *ret = &context->table[number];
    return 0;
}

int descriptor_require(struct call *call, const struct descriptor *descriptor, uint64_t rights,
                       const struct guest_path *path)
{
    if (!(rights & ~descriptor->rights_base))
        return 0;
    if (descriptor->mount && !descriptor->mount->writable && (rights & RIGHTS_WRITING))
        return deny_writing(call, descriptor->mount, path);
    return ERRNO_NOTCAPABLE;
}

int descriptor_find_file(struct call *call, uint32_t number, uint64_t rights, struct descriptor **ret)
{
    struct descriptor *descriptor;
    int r = descriptor_find(call, number, &descriptor);
    if (r)
        return r;
    if (descriptor->kind == DESCRIPTOR_DIRECTORY)
        return ERRNO_ISDIR;
    if (descriptor->kind == DESCRIPTOR_STREAM)
        return ERRNO_SPIPE;
    r = descriptor_require(call, descriptor, rights, NULL);
    if (r)
        return r;
    *ret = descriptor;
    return 0;
}

int descriptor_find_directory(struct call *call, uint32_t number, uint64_t rights,
                              const struct guest_path *path, struct descriptor **ret)
{
    struct descriptor *descriptor;
    int r = descriptor_find(call, number, &descriptor);
    if (r)
        return r;
    if (descriptor->kind != DESCRIPTOR_DIRECTORY)
        return ERRNO_NOTDIR;
    r = descriptor_require(call, descriptor, rights, path);
    if (r)
        return r;
    *ret = descriptor;
    return 0;
}

/* The lowest free number, or table_size. */
static uint32_t lowest_free(const struct wasi_context *context)
{
    uint32_t number = FIRST_DESCRIPTOR;
    while (number < context->table_size && context->table[number].kind != DESCRIPTOR_FREE)
        number++;
    return number;
}

static int grow_table(struct wasi_context *context)
{
    uint32_t size = context->table_size * 2;
    struct descriptor *table = calloc(size, sizeof *table);
    if (!table)
        return ERRNO_NOMEM;
    memcpy(table, context->table, context->table_size * sizeof *table);
    if (context->table != context->first_table)
        free(context->table);
    context->table = table;
    context->table_size = size;
    return 0;
}

int descriptor_reserve(struct call *call)
{
    struct wasi_context *context = call->context;
    if (context->open_files >= context->max_open_files) {
        char allowed[32], remedy[32];
        snprintf(allowed, sizeof allowed, "%u open files", context->max_open_files);
        snprintf(remedy, sizeof remedy, "open_files = %llu", context->max_open_files * 2ULL + 1);
        deny(call,
             &(struct denial){
                 .rule = "limits.open_files", .observed = "one more", .allowed = allowed, .remedy = remedy});
        return ERRNO_MFILE;
    }
    return lowest_free(context) < context->table_size ? 0 : grow_table(context);
}

uint32_t descriptor_add(struct call *call, const struct descriptor *descriptor)
{
    struct wasi_context *context = call->context;
    uint32_t number = lowest_free(context);
    context->table[number] = *descriptor;
    context->open_files++;
    context->usage.files_opened++;
    return number;
}

static void release(struct wasi_context *context, struct descriptor *descriptor)
{
    listing_forget(context, descriptor);
    watch_forget(descriptor);
    close_keeping_errno(descriptor->listing_fd);
    if (descriptor->kind == DESCRIPTOR_STREAM || descriptor->preopen)
        return;
    quota_guard quota = quota_lock(descriptor->mount->quota);
    if (descriptor->kind == DESCRIPTOR_FILE)
        quota_file_closing(quota, descriptor->fd);
    close_keeping_errno(descriptor->fd);
    context->open_files--;
}

void descriptor_close(struct wasi_context *context, struct descriptor *descriptor)
{
    release(context, descriptor);
    *descriptor = (struct descriptor){.kind = DESCRIPTOR_FREE, .fd = -1, .listing_fd = -1};
}

void descriptor_move(struct wasi_context *context, struct descriptor *from, struct descriptor *to)
{
    if (from == to)
        return;
    release(context, to);
    *to = *from;
    *from = (struct descriptor){.kind = DESCRIPTOR_FREE, .fd = -1, .listing_fd = -1};
}
