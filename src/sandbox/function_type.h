/* SPDX-License-Identifier: Apache-2.0 */
/* The type of a function as the scan writes it, "(i32,f64)->(i64)", taken apart into the kinds of public
 * values. */
#ifndef BERTH_SANDBOX_FUNCTION_TYPE_H
#define BERTH_SANDBOX_FUNCTION_TYPE_H

#include <berth/run.h>

enum { FUNCTION_TYPE_VALUES_MAX = 16 };

struct function_type {
    berth_value_kind parameters[FUNCTION_TYPE_VALUES_MAX];
    size_t n_parameters;
    berth_value_kind results[FUNCTION_TYPE_VALUES_MAX];
    size_t n_results;
};

/* 0; -EINVAL if it has anything but numbers, or more than 16 of them on a side. */
int function_type_parse(const char *text, struct function_type *ret_type);

/* "i32" and so on. */
const char *value_kind_name(berth_value_kind kind);

#endif
