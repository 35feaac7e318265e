/* SPDX-License-Identifier: Apache-2.0 */
/* See units.h. */
#include "cli/units.h"

#include <inttypes.h>

#include "base/clock.h"

void append_bytes(struct text *text, uint64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    size_t unit = 0;
    double amount = (double)bytes;
    while (amount >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0])) {
        amount /= 1024;
        unit++;
    }
    bool whole = amount == (double)(uint64_t)amount;
    text_append_format(text, whole ? "%.0f %s" : "%.1f %s", amount, units[unit]);
}

void append_count(struct text *text, uint64_t count)
{
    char digits[24];
    int length = snprintf(digits, sizeof(digits), "%" PRIu64, count);
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0)
            text_append(text, ",");
        text_append_bytes(text, &digits[i], 1);
    }
}

void append_seconds(struct text *text, uint64_t ns)
{
    if (ns % NS_PER_S == 0 && ns > 0)
        text_append_format(text, "%" PRIu64 " s", ns / NS_PER_S);
    else
        text_append_format(text, "%.3f s", (double)ns / (double)NS_PER_S);
}

void append_age(struct text *text, int64_t then_s, int64_t now_s)
{
    static const struct {
        int64_t seconds;
        const char *name;
    } units[] = {{86400, "day"}, {3600, "hour"}, {60, "minute"}, {1, "second"}};
    int64_t age = now_s > then_s ? now_s - then_s : 0;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        int64_t n = age / units[i].seconds;
        if (n > 0) {
            text_append_format(text, "%" PRId64 " %s%s ago", n, units[i].name, n == 1 ? "" : "s");
            return;
        }
    }
    text_append(text, "just now");
}
