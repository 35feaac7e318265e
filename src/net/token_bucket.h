/* SPDX-License-Identifier: Apache-2.0 */
/* A rate with a burst: tokens come back over time, each event takes one. */
#ifndef BERTH_NET_TOKEN_BUCKET_H
#define BERTH_NET_TOKEN_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"

struct token_bucket {
    uint32_t tokens, burst, per_second;
    uint64_t filled_ns;
};

static inline void token_bucket_init(struct token_bucket *bucket, uint32_t burst, uint32_t per_second)
{
    *bucket = (struct token_bucket){burst, burst, per_second, clock_monotonic_ns()};
}

static inline void token_bucket_earn(struct token_bucket *bucket, uint32_t tokens)
{
    bucket->tokens = bucket->burst - bucket->tokens < tokens ? bucket->burst : bucket->tokens + tokens;
}

/* False if there was none. The clock is asked only when the bucket looks empty. */
static inline bool token_bucket_take(struct token_bucket *bucket)
{
    if (bucket->tokens == 0) {
        uint64_t now_ns = clock_monotonic_ns(), spent_ns = now_ns - bucket->filled_ns;
        uint64_t earned = spent_ns >= NS_PER_S * bucket->burst / bucket->per_second
                              ? bucket->burst
                              : spent_ns * bucket->per_second / NS_PER_S;
        if (earned == 0)
            return false;
        token_bucket_earn(bucket, (uint32_t)earned);
        bucket->filled_ns = now_ns;
    }
    bucket->tokens--;
    return true;
}

#endif
