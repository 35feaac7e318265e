/* SPDX-License-Identifier: Apache-2.0 */
/* See json.h. */
#include "base/json.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "base/text.h"

enum {
    ERROR_TEXT_MAX_BYTES = 200,
    DIGITS = 15, /* as many as a double keeps for every decimal number: 0.1 stays 0.1 */
};

/* Whether brackets open at most JSON_NESTING_MAX deep. jansson's own bound is fixed and takes 2048 levels of
 * stack. */
static bool nests_too_deep(const char *text, size_t length, size_t *ret_offset)
{
    size_t depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < length; i++) {
        if (quoted && text[i] == '\\')
            i++;
        else if (text[i] == '"')
            quoted = !quoted;
        else if (!quoted && (text[i] == '[' || text[i] == '{') && ++depth > JSON_NESTING_MAX) {
            *ret_offset = i;
            return true;
        } else if (!quoted && (text[i] == ']' || text[i] == '}') && depth > 0)
            depth--;
    }
    return false;
}

static int refuse(char **reterr_message, size_t line, size_t column, const char *problem)
{
    cleanup_text struct text message = {0};
    text_append_format(&message, "line %zu, column %zu: ", line, column);
    text_append_escaped(&message, problem, strlen(problem), ERROR_TEXT_MAX_BYTES);
    *reterr_message = text_take(&message);
    return *reterr_message ? -EINVAL : -ENOMEM;
}

static int refuse_at(char **reterr_message, const char *text, size_t offset, const char *problem)
{
    size_t line = 1, line_start = 0;
    for (size_t i = 0; i < offset; i++)
        if (text[i] == '\n') {
            line++;
            line_start = i + 1;
        }
    return refuse(reterr_message, line, offset - line_start + 1, problem);
}

int json_read(const char *text, size_t length, json_t **ret, char **reterr_message)
{
    size_t offset;
    json_error_t error;
    if (length > JSON_TEXT_MAX_BYTES)
        return refuse_at(reterr_message, text, 0, "the text is longer than 1 MiB");
    if (nests_too_deep(text, length, &offset))
        return refuse_at(reterr_message, text, offset, "objects and arrays nest too deep");
    json_t *value =
        json_loadb(text, length, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    if (!value) {
        if (json_error_code(&error) == json_error_out_of_memory)
            return -ENOMEM;
        return refuse(reterr_message, error.line > 0 ? (size_t)error.line : 1,
                      error.column > 0 ? (size_t)error.column : 1, error.text);
    }
    *ret = value;
    return 0;
}

char *json_write(const json_t *value, size_t indent)
{
    return json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(DIGITS) | JSON_INDENT(indent));
}

const char *json_text(const json_t *value)
{
    const char *characters = json_string_value(value);
    return characters && strlen(characters) == json_string_length(value) ? characters : NULL;
}

json_t *json_number(double number)
{
    const double exact_below = 9007199254740992.0; /* 2^53 */
    if (trunc(number) == number && fabs(number) < exact_below)
        return json_integer((json_int_t)number);
    return json_real(number);
}

json_t *json_escaped(const char *bytes, size_t length, size_t maximum)
{
    cleanup_text struct text safe = {0};
    text_append_escaped(&safe, bytes, length, maximum);
    return safe.failed ? NULL : json_stringn(safe.data ? safe.data : "", safe.length);
}
