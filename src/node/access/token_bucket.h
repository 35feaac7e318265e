/* SPDX-License-Identifier: Apache-2.0 */
/*
 * So many a minute: a full minute's worth at once, then as many as the rate gives back. Exact: whole numbers,
 * no drift however often it is asked. Zero-initialised: full. The clock is passed in (CLOCK_MONOTONIC); one
 * that goes back gives nothing back.
 */
#ifndef BERTH_NODE_TOKEN_BUCKET_H
#define BERTH_NODE_TOKEN_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

enum { TOKEN_BUCKET_RATE_MAX = 10000000 };

struct token_bucket {
    uint64_t owed; /* what is missing from full: a token is one minute in ns, and a ns gives `rate` back */
    uint64_t now_ns;
};

/* Whether there is one to take. rate: per minute, at most TOKEN_BUCKET_RATE_MAX; 0: always. */
bool token_bucket_has(struct token_bucket *bucket, uint64_t rate, uint64_t now_ns);
/* Takes one if there is one. */
bool token_bucket_take(struct token_bucket *bucket, uint64_t rate, uint64_t now_ns);
/* How long until there is one; 0: now. */
uint64_t token_bucket_wait_ns(struct token_bucket *bucket, uint64_t rate, uint64_t now_ns);

#endif
