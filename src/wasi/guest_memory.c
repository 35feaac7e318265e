/* SPDX-License-Identifier: Apache-2.0 */
/* See guest_memory.h. */
#include "wasi/guest_memory.h"

#include "base/checked_math.h"

int guest_range(struct call *call, const char *what, uint32_t address, uint64_t size, uint32_t alignment,
                uint8_t **ret_bytes)
{
    if (!range_fits(address, size, call->memory.size))
        return call_fault(call, "%s at 0x%x, %llu bytes, lies outside of memory (%zu bytes)", what, address,
                          (unsigned long long)size, call->memory.size);
    if (address % alignment)
        return call_fault(call, "%s at 0x%x is not aligned to %u", what, address, alignment);
    *ret_bytes = call->memory.data + address;
    return 0;
}

static int import_items(struct call *call, const uint8_t *array, uint32_t count, size_t maximum_bytes,
                        struct guest_vector *vector)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t address = load_u32(array + (size_t)i * IOVEC_SIZE + IOVEC_BUF);
        uint32_t size = load_u32(array + (size_t)i * IOVEC_SIZE + IOVEC_BUF_LEN);
        if (!range_fits(address, size, call->memory.size))
            return call_fault(call, "iovec %u at 0x%x, %u bytes, lies outside of memory (%zu bytes)", i,
                              address, size, call->memory.size);
        size_t room = maximum_bytes - vector->total_bytes;
        size_t used = size < room ? size : room;
        if (!used)
            continue;
        vector->items[vector->n_items++] =
            (struct iovec){.iov_base = call->memory.data + address, .iov_len = used};
        vector->total_bytes += used;
    }
    return 0;
}

int guest_vector_import(struct call *call, uint32_t address, uint32_t count, size_t maximum_bytes,
                        struct guest_vector *ret_vector)
{
    uint8_t *array = NULL;
    int r = guest_range(call, "the iovec array", address, (uint64_t)count * IOVEC_SIZE, 4, &array);
    if (r)
        return r;
    if (count > GUEST_VECTOR_MAX)
        return ERRNO_INVAL;
    ret_vector->items = ret_vector->few;
    ret_vector->n_items = 0;
    ret_vector->total_bytes = 0;
    if (count > sizeof ret_vector->few / sizeof ret_vector->few[0]) {
        struct iovec *many = calloc(count, sizeof *many);
        if (!many)
            return ERRNO_NOMEM;
        ret_vector->items = many;
    }
    return import_items(call, array, count, maximum_bytes, ret_vector);
}

void guest_vector_limit(struct guest_vector *vector, size_t maximum_bytes)
{
    size_t total = 0;
    for (int i = 0; i < vector->n_items; i++) {
        size_t room = maximum_bytes - total;
        if (vector->items[i].iov_len >= room) {
            vector->items[i].iov_len = room;
            vector->n_items = room ? i + 1 : i;
            total = maximum_bytes;
            break;
        }
        total += vector->items[i].iov_len;
    }
    vector->total_bytes = total;
}

void guest_vector_advance(struct guest_vector *vector, size_t size_bytes)
{
    int first = 0;
    vector->total_bytes -= size_bytes;
    while (size_bytes && size_bytes >= vector->items[first].iov_len)
        size_bytes -= vector->items[first++].iov_len;
    vector->n_items -= first;
    memmove(vector->items, vector->items + first, (size_t)vector->n_items * sizeof *vector->items);
    if (size_bytes) {
        vector->items[0].iov_base = (uint8_t *)vector->items[0].iov_base + size_bytes;
        vector->items[0].iov_len -= size_bytes;
    }
}

void guest_vector_done(struct guest_vector *vector)
{
    if (vector->items && vector->items != vector->few)
        free(vector->items);
    vector->items = NULL;
}
