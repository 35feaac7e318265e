/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers for people. */
#ifndef BERTH_CLI_UNITS_H
#define BERTH_CLI_UNITS_H

#include <stdint.h>

#include "base/text.h"

/* "0 B", "64 KiB", "12.5 MiB". */
void append_bytes(struct text *text, uint64_t bytes);
/* "1,234,567". */
void append_count(struct text *text, uint64_t count);
/* "0.131 s", "300 s". */
void append_seconds(struct text *text, uint64_t ns);
/* "just now", "3 minutes ago"; a time to come is "just now". */
void append_age(struct text *text, int64_t then_s, int64_t now_s);

#endif
