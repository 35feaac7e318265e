/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding one word in many bytes, eight places at a time in plain 64-bit arithmetic, which costs the same
 * natively and in WebAssembly. A place is worth comparing when the word's first byte stands there and its
 * last byte stands where the word would end (Muła, "SIMD-friendly algorithms for substring searching"): in
 * text that is rarely wrong. Little-endian machines, as WebAssembly is.
 */
#ifndef BERTH_EXAMPLES_SEARCH_H
#define BERTH_EXAMPLES_SEARCH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct search {
    const unsigned char *word; /* borrowed */
    size_t length;
    uint64_t first, last; /* the word's first and last byte, eight times */
};

static inline void search_init(struct search *search, const char *word)
{
    const uint64_t each_byte = 0x0101010101010101;
    search->word = (const unsigned char *)word;
    search->length = strlen(word);
    if (search->length > 0) {
        search->first = each_byte * search->word[0];
        search->last = each_byte * search->word[search->length - 1];
    }
}

/* The top bit of each of the eight bytes from `at` that may begin the word. A byte behind a true one may be
 * marked wrongly. */
static inline uint64_t search_candidates(const struct search *search, const unsigned char *at)
{
    uint64_t starts, ends;
    memcpy(&starts, at, sizeof(starts));
    memcpy(&ends, at + search->length - 1, sizeof(ends));
    uint64_t zero_if_both = (starts ^ search->first) | (ends ^ search->last);
    return (zero_if_both - 0x0101010101010101) & ~zero_if_both & 0x8080808080808080;
}

/* The first of `n` (a multiple of 8) places that begins the word, or NULL. */
static inline const unsigned char *search_places(const struct search *search, const unsigned char *at,
                                                 size_t n)
{
    for (const unsigned char *end = at + n; at < end; at += 8)
        for (uint64_t found = search_candidates(search, at); found; found &= found - 1) {
            const unsigned char *place = at + __builtin_ctzll(found) / 8;
            if (memcmp(place, search->word, search->length) == 0)
                return place;
        }
    return NULL;
}

/* The first place of the word between `at` and `end`, or NULL. The empty word is everywhere. */
static inline const unsigned char *search_next(const struct search *search, const unsigned char *at,
                                               const unsigned char *end)
{
    size_t length = search->length;
    if (length == 0 || (size_t)(end - at) < length)
        return length == 0 && at < end ? at : NULL;
    size_t places = (size_t)(end - at) - (length - 1);
    for (; places >= 32; places -= 32, at += 32) {
        uint64_t found = search_candidates(search, at) | search_candidates(search, at + 8) |
                         search_candidates(search, at + 16) | search_candidates(search, at + 24);
        const unsigned char *place = found ? search_places(search, at, 32) : NULL;
        if (place)
            return place;
    }
    for (; places > 0; places--, at++)
        if (*at == search->word[0] && memcmp(at, search->word, length) == 0)
            return at;
    return NULL;
}

#endif
