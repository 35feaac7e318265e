/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The only way to touch guest bytes.
 *
 * guest_range() turns a guest address into a pointer after checking bounds and alignment; a failed check ends
 * the run (CALL_FAULT), as the specification's host binding does by trapping. Pointers are good until the
 * call returns. Records are read and written with load_ and store_, which know neither alignment nor host
 * byte order.
 */
#ifndef BERTH_WASI_GUEST_MEMORY_H
#define BERTH_WASI_GUEST_MEMORY_H

#include <endian.h>
#include <string.h>
#include <sys/uio.h>

#include "base/cleanup.h"
#include "wasi/call.h"

/* Most descriptors in one vector: IOV_MAX of Linux. More is ERRNO_INVAL. */
enum { GUEST_VECTOR_MAX = 1024 };

/* The bytes [address, address + size) of the guest. `what` names them in the message. 0 or CALL_FAULT. */
int guest_range(struct call *call, const char *what, uint32_t address, uint64_t size, uint32_t alignment,
                uint8_t **ret_bytes);

/* A guest's iovec array, copied before any data moves, so that a transfer that overwrites the array, or the
 * result pointer, changes nothing about itself. Empty items are left out. */
struct guest_vector {
    struct iovec *items; /* `few`, or allocated */
    int n_items;
    size_t total_bytes;
    struct iovec few[16];
};

/* Checks every item, then keeps as many bytes as fit in maximum_bytes. 0, ERRNO_INVAL (too many items),
 * ERRNO_NOMEM or CALL_FAULT. */
int guest_vector_import(struct call *call, uint32_t address, uint32_t count, size_t maximum_bytes,
                        struct guest_vector *ret_vector);

/* Keeps the first `maximum_bytes`. */
void guest_vector_limit(struct guest_vector *vector, size_t maximum_bytes);

/* Drops the first `size_bytes`, which must not be more than there are. */
void guest_vector_advance(struct guest_vector *vector, size_t size_bytes);

void guest_vector_done(struct guest_vector *vector);
#define cleanup_vector cleanup(guest_vector_done)

static inline void store_u8(uint8_t *bytes, uint8_t value)
{
    *bytes = value;
}

static inline void store_u16(uint8_t *bytes, uint16_t value)
{
    value = htole16(value);
    memcpy(bytes, &value, sizeof value);
}

static inline void store_u32(uint8_t *bytes, uint32_t value)
{
    value = htole32(value);
    memcpy(bytes, &value, sizeof value);
}

static inline void store_u64(uint8_t *bytes, uint64_t value)
{
    value = htole64(value);
    memcpy(bytes, &value, sizeof value);
}

static inline uint16_t load_u16(const uint8_t *bytes)
{
    uint16_t value;
    memcpy(&value, bytes, sizeof value);
    return le16toh(value);
}

static inline uint32_t load_u32(const uint8_t *bytes)
{
    uint32_t value;
    memcpy(&value, bytes, sizeof value);
    return le32toh(value);
}

static inline uint64_t load_u64(const uint8_t *bytes)
{
    uint64_t value;
    memcpy(&value, bytes, sizeof value);
    return le64toh(value);
}

#endif
