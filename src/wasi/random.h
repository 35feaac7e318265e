/* SPDX-License-Identifier: Apache-2.0 */
/* The generator behind `random = "seeded"`: xoshiro256** 1.0 (Blackman and Vigna), its state filled from the
 * seed by SplitMix64. For reproducible runs; nobody should keep a secret with it. */
#ifndef BERTH_WASI_RANDOM_H
#define BERTH_WASI_RANDOM_H

#include "wasi/call.h"

void random_seed(struct wasi_context *context, uint64_t seed);

#endif
