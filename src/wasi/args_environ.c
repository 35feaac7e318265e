/* SPDX-License-Identifier: Apache-2.0 */
/* args_* and environ_*: two lists of strings, handed over in the same two steps (sizes, then pointers and
 * bytes). */
#include "base/checked_math.h"
#include "wasi/context.h"
#include "wasi/guest_memory.h"

/* ERRNO_OVERFLOW if a guest could not count or address that much. */
static int measure(const char *const *list, uint32_t *ret_count, uint32_t *ret_bytes)
{
    uint64_t count = 0, bytes = 0;
    for (; list[count]; count++)
        bytes = saturating_add_u64(bytes, strlen(list[count]) + 1);
    if (count > UINT32_MAX / 4 || bytes > UINT32_MAX)
        return ERRNO_OVERFLOW;
    *ret_count = (uint32_t)count;
    *ret_bytes = (uint32_t)bytes;
    return 0;
}

static int sizes_get(struct call *call, const char *const *list)
{
    uint32_t count, bytes;
    uint8_t *ret_count, *ret_bytes;
    int r = guest_range(call, "the count", call_u32(call, 0), 4, 4, &ret_count);
    if (!r)
        r = guest_range(call, "the size", call_u32(call, 1), 4, 4, &ret_bytes);
    if (!r)
        r = measure(list, &count, &bytes);
    if (r)
        return r;
    store_u32(ret_count, count);
    store_u32(ret_bytes, bytes);
    return 0;
}

static int list_get(struct call *call, const char *const *list)
{
    uint32_t count, size;
    uint8_t *pointers, *bytes;
    int r = measure(list, &count, &size);
    if (!r)
        r = guest_range(call, "the pointers", call_u32(call, 0), (uint64_t)count * 4, 4, &pointers);
    if (!r)
        r = guest_range(call, "the strings", call_u32(call, 1), size, 1, &bytes);
    if (r)
        return r;
    uint32_t address = call_u32(call, 1);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t length = (uint32_t)strlen(list[i]) + 1;
        memcpy(bytes, list[i], length);
        store_u32(pointers + (size_t)i * 4, address);
        bytes += length;
        address += length;
    }
    return 0;
}

int call_args_sizes_get(struct call *call)
{
    return sizes_get(call, call->context->args);
}

int call_args_get(struct call *call)
{
    return list_get(call, call->context->args);
}

int call_environ_sizes_get(struct call *call)
{
    return sizes_get(call, call->context->env);
}

int call_environ_get(struct call *call)
{
    return list_get(call, call->context->env);
}
