/* SPDX-License-Identifier: Apache-2.0 */
/* Amounts as a person says them, in messages. */
#ifndef BERTH_SANDBOX_WORDS_H
#define BERTH_SANDBOX_WORDS_H

#include <stddef.h>
#include <stdint.h>

/* "16 MiB", "1.5 KiB", "12 bytes". */
void words_bytes(uint64_t bytes, char *buffer, size_t capacity);
/* "2 s", "0.25 s". */
void words_ms(uint64_t ms, char *buffer, size_t capacity);

#endif
