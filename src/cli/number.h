/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers of WebAssembly as people write and read them. */
#ifndef BERTH_CLI_NUMBER_H
#define BERTH_CLI_NUMBER_H

#include <stdbool.h>

#include <berth/run.h>

#include "base/json.h"
#include "base/text.h"

/* Reads the whole word as a number of that kind. Integers may be decimal or 0x…, signed or unsigned ("-1" and
 * "4294967295" are the same i32); floats may be "inf", "-inf" and "nan". False if it is no number or does not
 * fit. */
bool number_read(const char *word, berth_value_kind kind, berth_value *ret);

/* What number_read() takes: "an i32 (-2147483648 to 4294967295)". */
const char *number_requirement(berth_value_kind kind);

/* Integers signed; floats with as many digits as it takes to read the same number back. */
void append_number(struct text *text, const berth_value *value);

/* The same as JSON, where infinities and NaN are strings; NULL if memory is short. */
json_t *number_as_json(const berth_value *value);

#endif
