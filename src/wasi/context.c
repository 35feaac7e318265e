/* SPDX-License-Identifier: Apache-2.0 */
/* Making and ending contexts. See context.h. */
#include "wasi/context.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "wasi/random.h"

enum { SPARE_DESCRIPTORS = 2 };

static struct descriptor stream_descriptor(const struct wasi_options *options, uint8_t stream)
{
    uint64_t direction = stream == 0 ? RIGHTS_FD_READ : RIGHTS_FD_WRITE;
    return (struct descriptor){
        .kind = options->streams[stream].operations ? DESCRIPTOR_STREAM : DESCRIPTOR_FREE,
        .stream = stream,
        .fd = -1,
        .listing_fd = -1,
        .rights_base = descriptor_rights(DESCRIPTOR_STREAM, NULL) | direction,
    };
}

/* What may be opened below a preopen is asked for in full even on a read-only mount, so that a guest that
 * asks to write is refused when it opens, not silently given less. */
static struct descriptor preopen_descriptor(struct mount *mount)
{
    return (struct descriptor){
        .kind = DESCRIPTOR_DIRECTORY,
        .preopen = true,
        .fd = mount->fd,
        .listing_fd = -1,
        .mount = mount,
        .rights_base = descriptor_rights(DESCRIPTOR_DIRECTORY, mount),
        .rights_inheriting = RIGHTS_OF_FILE | RIGHTS_OF_DIRECTORY,
    };
}

int wasi_context_new(const struct wasi_options *options, struct wasi_context **ret)
{
    size_t n_mounts = options->mounts ? options->mounts->n_mounts : 0;
    size_t size = FIRST_DESCRIPTOR + n_mounts + SPARE_DESCRIPTORS;
    if (!options->args || !options->env || n_mounts > UINT32_MAX / 4)
        return -EINVAL;
    struct wasi_context *context = calloc(1, sizeof *context + size * sizeof context->first_table[0]);
    if (!context)
        return -ENOMEM;
    context->args = options->args;
    context->env = options->env;
    memcpy(context->streams, options->streams, sizeof context->streams);
    context->mounts = wasi_mounts_ref(options->mounts);
    context->on_denial = options->on_denial;
    context->on_event = options->on_event;
    context->payload = options->payload;
    context->events = options->events;
    context->watch = options->watch;
    context->watches = options->watches;
    context->clock = options->clock;
    context->random = options->random;
    context->deterministic = options->deterministic;
    context->max_open_files = options->max_open_files;
    random_seed(context, options->random_seed);
    context->table = context->first_table;
    context->table_size = (uint32_t)size;
    for (unsigned i = 0; i < FIRST_DESCRIPTOR; i++)
        context->table[i] = stream_descriptor(options, (uint8_t)i);
    for (size_t i = 0; i < n_mounts; i++)
        context->table[FIRST_DESCRIPTOR + i] = preopen_descriptor(&context->mounts->mounts[i]);
    *ret = context;
    return 0;
}

void wasi_context_free(struct wasi_context *context)
{
    if (!context)
        return;
    for (uint32_t i = 0; i < context->table_size; i++)
        if (context->table[i].kind != DESCRIPTOR_FREE)
            descriptor_close(context, &context->table[i]);
    if (context->table != context->first_table)
        free(context->table);
    wasi_mounts_unref(context->mounts);
    free(context);
}

const struct wasi_usage *wasi_context_usage(const struct wasi_context *context)
{
    return &context->usage;
}

const struct wasi_wait *wasi_context_wait(const struct wasi_context *context)
{
    return &context->wait;
}

const char *wasi_context_fault(const struct wasi_context *context)
{
    return context->fault;
}

void wasi_context_abandon_call(struct wasi_context *context)
{
    context->pending = (struct pending_call){0};
}
