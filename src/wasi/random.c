/* SPDX-License-Identifier: Apache-2.0 */
/* random_get. A large request is filled in pieces, others get a turn between them. */
#include "wasi/random.h"

#include <errno.h>
#include <sys/random.h>

#include "wasi/context.h"
#include "wasi/denial.h"
#include "wasi/guest_errno.h"
#include "wasi/guest_memory.h"

enum { PIECE_BYTES = 65536 };

static uint64_t rotated(uint64_t value, unsigned bits)
{
    return (value << bits) | (value >> (64 - bits));
}

void random_seed(struct wasi_context *context, uint64_t seed)
{
    for (size_t i = 0; i < 4; i++) {
        uint64_t z = seed += UINT64_C(0x9e3779b97f4a7c15);
        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
        context->random_state[i] = z ^ (z >> 31);
    }
}

static uint64_t next_number(uint64_t state[4])
{
    uint64_t result = rotated(state[1] * 5, 7) * 9;
    uint64_t shifted = state[1] << 17;
    state[2] ^= state[0];
    state[3] ^= state[1];
    state[1] ^= state[2];
    state[0] ^= state[3];
    state[2] ^= shifted;
    state[3] = rotated(state[3], 45);
    return result;
}

static void fill_seeded(struct wasi_context *context, uint8_t *bytes, size_t size)
{
    while (size) {
        uint8_t number[8];
        size_t used = size < sizeof number ? size : sizeof number;
        store_u64(number, next_number(context->random_state));
        memcpy(bytes, number, used);
        bytes += used;
        size -= used;
    }
}

static int fill_from_host(uint8_t *bytes, size_t size)
{
    while (size) {
        ssize_t got = getrandom(bytes, size, 0);
        if (got < 0 && errno != EINTR)
            return guest_errno(errno);
        if (got > 0) {
            bytes += got;
            size -= (size_t)got;
        }
    }
    return 0;
}

int call_random_get(struct call *call)
{
    struct wasi_context *context = call->context;
    uint32_t size = call_u32(call, 1);
    uint8_t *bytes;
    int r = guest_range(call, "the buffer", call_u32(call, 0), size, 1, &bytes);
    if (r)
        return r;
    if (context->random == WASI_RANDOM_NONE) {
        deny(call, &(struct denial){.rule = "grants.random",
                                    .observed = "random bytes",
                                    .allowed = "none",
                                    .remedy = "random = \"os\""});
        return ERRNO_NOTSUP;
    }
    /* A repeated call continues; `done_bytes` cannot exceed the size unless the embedder broke its promise.
     */
    uint64_t done = context->pending.done_bytes < size ? context->pending.done_bytes : size;
    uint64_t piece = size - done < PIECE_BYTES ? size - done : PIECE_BYTES;
    if (context->random == WASI_RANDOM_SEEDED)
        fill_seeded(context, bytes + done, piece);
    else
        r = fill_from_host(bytes + done, piece);
    context->pending.done_bytes = done + piece;
    return r || done + piece == size ? r : CALL_YIELD;
}
