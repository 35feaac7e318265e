/* SPDX-License-Identifier: Apache-2.0 */
/* See moment.h. */
#include "cli/moment.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"

static bool to_ns(int64_t seconds, int64_t *ret_ns)
{
    return !__builtin_mul_overflow(seconds, (int64_t)NS_PER_S, ret_ns);
}

/* Digits only, and what comes after them. */
static bool read_digits(const char *word, int64_t *ret, char **ret_end)
{
    if (*word < '0' || *word > '9')
        return false;
    errno = 0;
    *ret = strtoll(word, ret_end, 10);
    return errno == 0;
}

static bool read_age(const char *word, int64_t now_ns, int64_t *ret_ns)
{
    static const struct {
        char letter;
        int64_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    int64_t count, age_ns;
    char *end;
    if (!read_digits(word, &count, &end) || !*end || end[1])
        return false;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        if (units[i].letter == *end)
            return !__builtin_mul_overflow(count, units[i].seconds, &age_ns) && to_ns(age_ns, &age_ns) &&
                   !__builtin_sub_overflow(now_ns, age_ns, ret_ns);
    return false;
}

static bool read_date(const char *word, int64_t *ret_ns)
{
    static const char *const formats[] = {"%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d"};
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        struct tm fields = {0};
        const char *end = strptime(word, formats[i], &fields);
        if (!end || (*end && strcmp(end, "Z") != 0))
            continue;
        struct tm normal = fields;
        int64_t seconds = timegm(&normal);
        return normal.tm_mday == fields.tm_mday && normal.tm_sec == fields.tm_sec && to_ns(seconds, ret_ns);
    }
    return false;
}

bool moment_read(const char *word, int64_t now_ns, int64_t *ret_ns)
{
    int64_t seconds;
    char *end;
    if (*word == '@')
        return read_digits(word + 1, &seconds, &end) && !*end && to_ns(seconds, ret_ns);
    return read_age(word, now_ns, ret_ns) || read_date(word, ret_ns);
}

void append_moment(struct text *text, int64_t ns, int digits)
{
    int64_t seconds = ns / (int64_t)NS_PER_S, rest_ns = ns % (int64_t)NS_PER_S;
    char stamp[32] = "";
    struct tm fields;
    if (rest_ns < 0) {
        rest_ns += (int64_t)NS_PER_S;
        seconds--;
    }
    time_t moment = (time_t)seconds;
    if (gmtime_r(&moment, &fields))
        strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &fields);
    if (digits == 3)
        text_append_format(text, "%s.%03" PRId64 "Z", stamp, rest_ns / (int64_t)NS_PER_MS);
    else
        text_append_format(text, "%s.%09" PRId64 "Z", stamp, rest_ns);
}
