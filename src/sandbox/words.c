/* SPDX-License-Identifier: Apache-2.0 */
/* See words.h. */
#include "sandbox/words.h"

#include <inttypes.h>
#include <stdio.h>

void words_bytes(uint64_t bytes, char *buffer, size_t capacity)
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
    double amount = (double)bytes / 1024;
    size_t unit = 0;
    if (bytes < 1024) {
        snprintf(buffer, capacity, "%" PRIu64 " bytes", bytes);
        return;
    }
    for (; amount >= 1024 && unit < 3; unit++)
        amount /= 1024;
    snprintf(buffer, capacity, "%.4g %s", amount, units[unit]);
}

void words_ms(uint64_t ms, char *buffer, size_t capacity)
{
    snprintf(buffer, capacity, "%.10g s", (double)ms / 1000);
}
