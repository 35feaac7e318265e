/* SPDX-License-Identifier: Apache-2.0 */
/* See token_bucket.h. */
#include "node/access/token_bucket.h"

#include <assert.h>

#include "base/checked_math.h"
#include "base/clock.h"

#define TOKEN (60 * NS_PER_S)

static_assert(TOKEN_BUCKET_RATE_MAX <= UINT64_MAX / TOKEN / 2, "a full bucket is a number");

static void refill(struct token_bucket *bucket, uint64_t rate, uint64_t now_ns)
{
    uint64_t elapsed_ns = saturating_sub_u64(now_ns, bucket->now_ns);
    bucket->owed = saturating_sub_u64(bucket->owed, saturating_mul_u64(elapsed_ns, rate));
    bucket->now_ns = saturating_add_u64(bucket->now_ns, elapsed_ns);
}

bool token_bucket_has(struct token_bucket *bucket, uint64_t rate, uint64_t now_ns)
{
    return token_bucket_wait_ns(bucket, rate, now_ns) == 0;
}

bool token_bucket_take(struct token_bucket *bucket, uint64_t rate, uint64_t now_ns)
{
    if (!token_bucket_has(bucket, rate, now_ns))
        return false;
    if (rate > 0)
        bucket->owed += TOKEN;
    return true;
}

uint64_t token_bucket_wait_ns(struct token_bucket *bucket, uint64_t rate, uint64_t now_ns)
{
    if (rate == 0)
        return 0;
    refill(bucket, rate, now_ns);
    uint64_t excess = saturating_sub_u64(bucket->owed, (rate - 1) * TOKEN);
    return excess / rate + (excess % rate != 0);
}
