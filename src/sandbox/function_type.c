/* SPDX-License-Identifier: Apache-2.0 */
/* See function_type.h. */
#include "sandbox/function_type.h"

#include <errno.h>
#include <string.h>

static const char *const names[] = {
    [BERTH_VALUE_I32] = "i32",
    [BERTH_VALUE_I64] = "i64",
    [BERTH_VALUE_F32] = "f32",
    [BERTH_VALUE_F64] = "f64",
};

const char *value_kind_name(berth_value_kind kind)
{
    return (size_t)kind < sizeof(names) / sizeof(names[0]) ? names[kind] : "unknown kind";
}

/* "(i32,i64)": advances *text behind the closing parenthesis. */
static int parse_list(const char **text, berth_value_kind *kinds, size_t *ret_n)
{
    size_t n = 0;
    if (*(*text)++ != '(')
        return -EINVAL;
    while (**text != ')') {
        size_t kind = 0;
        while (kind < 4 && strncmp(*text, names[kind], 3) != 0)
            kind++;
        if (kind == 4 || n == FUNCTION_TYPE_VALUES_MAX)
            return -EINVAL;
        kinds[n++] = (berth_value_kind)kind;
        *text += 3;
        if (**text == ',')
            (*text)++;
        else if (**text != ')')
            return -EINVAL;
    }
    (*text)++;
    *ret_n = n;
    return 0;
}

int function_type_parse(const char *text, struct function_type *ret_type)
{
    int r = parse_list(&text, ret_type->parameters, &ret_type->n_parameters);
    if (r < 0 || strncmp(text, "->", 2) != 0)
        return -EINVAL;
    text += 2;
    r = parse_list(&text, ret_type->results, &ret_type->n_results);
    return r < 0 || *text ? -EINVAL : 0;
}
