/* SPDX-License-Identifier: Apache-2.0 */
/* Arithmetic on numbers that somebody else chose: each function says whether the result is exact. */
#ifndef BERTH_BASE_CHECKED_MATH_H
#define BERTH_BASE_CHECKED_MATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* *ret_sum = a + b; false (and *ret_sum unspecified) if that does not fit. */
static inline bool checked_add_u64(uint64_t a, uint64_t b, uint64_t *ret_sum)
{
    return !__builtin_add_overflow(a, b, ret_sum);
}

static inline bool checked_mul_u64(uint64_t a, uint64_t b, uint64_t *ret_product)
{
    return !__builtin_mul_overflow(a, b, ret_product);
}

static inline bool checked_add_size(size_t a, size_t b, size_t *ret_sum)
{
    return !__builtin_add_overflow(a, b, ret_sum);
}

static inline bool checked_mul_size(size_t a, size_t b, size_t *ret_product)
{
    return !__builtin_mul_overflow(a, b, ret_product);
}

/* a + b, or the largest number if that does not fit: for deadlines and budgets, where "never" is a good
 * answer. */
static inline uint64_t saturating_add_u64(uint64_t a, uint64_t b)
{
    uint64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

static inline uint64_t saturating_mul_u64(uint64_t a, uint64_t b)
{
    uint64_t product;
    return __builtin_mul_overflow(a, b, &product) ? UINT64_MAX : product;
}

/* a - b, or 0 if b is larger. */
static inline uint64_t saturating_sub_u64(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

/* Whether [offset, offset + length) lies inside [0, size). An empty range at the end does. */
static inline bool range_fits(uint64_t offset, uint64_t length, uint64_t size)
{
    return offset <= size && length <= size - offset;
}

#endif
