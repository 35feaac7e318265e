/* SPDX-License-Identifier: Apache-2.0 */
/* See number.h. */
#include "cli/number.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { SHORTEST_MAX_BYTES = 40 };

/* A magnitude and a sign, which is how a word can hold every i64 and every u64. */
static bool read_integer(const char *word, unsigned bits, uint64_t *ret)
{
    bool negative = *word == '-';
    const char *digits = word + negative;
    bool hexadecimal = digits[0] == '0' && (digits[1] == 'x' || digits[1] == 'X');
    if (hexadecimal)
        digits += 2;
    if (!*digits || digits[strspn(digits, hexadecimal ? "0123456789abcdefABCDEF" : "0123456789")])
        return false;
    errno = 0;
    uint64_t magnitude = strtoull(digits, NULL, hexadecimal ? 16 : 10);
    uint64_t limit = negative ? UINT64_C(1) << (bits - 1) : UINT64_MAX >> (64 - bits);
    if (errno || magnitude > limit)
        return false;
    *ret = negative ? 0 - magnitude : magnitude;
    return true;
}

/* Overflow is an error, underflow is what floats do. */
static bool read_float(const char *word, bool is_double, double *ret)
{
    char *end;
    if (!*word || !strchr("+-.0123456789inIN", *word) || strchr(word, '('))
        return false;
    *ret = is_double ? strtod(word, &end) : (double)strtof(word, &end);
    bool named = strpbrk(word, "iI") || strpbrk(word, "nN");
    return end != word && !*end && (named || isfinite(*ret));
}

bool number_read(const char *word, berth_value_kind kind, berth_value *ret)
{
    uint64_t integer = 0;
    double real = 0;
    bool ok = false;
    *ret = (berth_value){.kind = kind};
    switch (kind) {
    case BERTH_VALUE_I32:
        ok = read_integer(word, 32, &integer);
        ret->of.i32 = (int32_t)(uint32_t)integer;
        break;
    case BERTH_VALUE_I64:
        ok = read_integer(word, 64, &integer);
        ret->of.i64 = (int64_t)integer;
        break;
    case BERTH_VALUE_F32:
        ok = read_float(word, false, &real);
        ret->of.f32 = (float)real;
        break;
    case BERTH_VALUE_F64:
        ok = read_float(word, true, &real);
        ret->of.f64 = real;
        break;
    }
    return ok;
}

const char *number_requirement(berth_value_kind kind)
{
    static const char *const requirements[] = {
        [BERTH_VALUE_I32] = "an i32 (-2147483648 to 4294967295)",
        [BERTH_VALUE_I64] = "an i64 (-9223372036854775808 to 18446744073709551615)",
        [BERTH_VALUE_F32] = "an f32 (also inf and nan)",
        [BERTH_VALUE_F64] = "an f64 (also inf and nan)",
    };
    return requirements[kind];
}

static void shortest_double(double value, char *ret, size_t capacity)
{
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(ret, capacity, "%.*g", digits, value);
        if (strtod(ret, NULL) == value)
            return;
    }
}

static void shortest_float(float value, char *ret, size_t capacity)
{
    for (int digits = 1; digits <= 9; digits++) {
        snprintf(ret, capacity, "%.*g", digits, (double)value);
        if (strtof(ret, NULL) == value)
            return;
    }
}

/* NaN has no sign for a reader. */
static void shortest(const berth_value *value, char *ret, size_t capacity)
{
    if (value->kind == BERTH_VALUE_F32 ? isnan(value->of.f32) : isnan(value->of.f64))
        snprintf(ret, capacity, "nan");
    else if (value->kind == BERTH_VALUE_F32)
        shortest_float(value->of.f32, ret, capacity);
    else
        shortest_double(value->of.f64, ret, capacity);
}

void append_number(struct text *text, const berth_value *value)
{
    char real[SHORTEST_MAX_BYTES];
    switch (value->kind) {
    case BERTH_VALUE_I32:
        text_append_format(text, "%" PRId32, value->of.i32);
        break;
    case BERTH_VALUE_I64:
        text_append_format(text, "%" PRId64, value->of.i64);
        break;
    case BERTH_VALUE_F32:
    case BERTH_VALUE_F64:
        shortest(value, real, sizeof(real));
        text_append(text, real);
        break;
    }
}

/* JSON has one kind of real number; a float is given as the double that its shortest form reads as. */
json_t *number_as_json(const berth_value *value)
{
    char real[SHORTEST_MAX_BYTES];
    if (value->kind == BERTH_VALUE_I32)
        return json_integer(value->of.i32);
    if (value->kind == BERTH_VALUE_I64)
        return json_integer(value->of.i64);
    shortest(value, real, sizeof(real));
    double number = strtod(real, NULL);
    return isfinite(number) ? json_number(number) : json_string(real);
}
