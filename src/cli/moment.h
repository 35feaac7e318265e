/* SPDX-License-Identifier: Apache-2.0 */
/* Points in time as people write and read them: UTC, or so long ago. Nanoseconds since 1970. */
#ifndef BERTH_CLI_MOMENT_H
#define BERTH_CLI_MOMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"

/* "90s", "15m", "1h", "7d" before `now_ns`; "2026-02-01", "2026-02-01T12:00", "2026-02-01T12:00:00", each UTC
 * with or without a Z; "@1769947200" seconds since 1970. False if it is none of these. */
bool moment_read(const char *word, int64_t now_ns, int64_t *ret_ns);

/* "2026-02-01T12:00:00.000Z" with `digits` after the point: 3, or 9 for all there are. */
void append_moment(struct text *text, int64_t ns, int digits);

#endif
