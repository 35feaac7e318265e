/* SPDX-License-Identifier: Apache-2.0 */
/* json_canonical() of json.h: one text for one value, whoever writes it. */
#include "base/json.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

static const int64_t exact_below = INT64_C(1) << 53; /* what a double holds without loss */

static bool append_value(struct text *text, const json_t *value);

static void append_string(struct text *text, const char *characters, size_t length)
{
    static const char short_forms[] = {['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};
    text_append(text, "\"");
    for (size_t i = 0; i < length;) {
        unsigned char c = (unsigned char)characters[i];
        size_t plain = 0;
        while (i + plain < length && (unsigned char)characters[i + plain] >= 0x20 &&
               characters[i + plain] != '"' && characters[i + plain] != '\\')
            plain++;
        if (plain > 0)
            text_append_bytes(text, characters + i, plain);
        else if (c == '"' || c == '\\')
            text_append_format(text, "\\%c", c);
        else if (c < sizeof short_forms && short_forms[c])
            text_append_format(text, "\\%c", short_forms[c]);
        else
            text_append_format(text, "\\u%04x", c);
        i += plain ? plain : 1;
    }
    text_append(text, "\"");
}

static int compare_keys(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool append_object(struct text *text, const json_t *object)
{
    size_t n_keys = 0;
    cleanup_free const char **keys = calloc(json_object_size(object) + 1, sizeof *keys);
    if (!keys) {
        text->failed = true;
        return true;
    }
    /* jansson offers no way through an object that is const. */
    json_t *open = (json_t *)(uintptr_t)object;
    for (void *i = json_object_iter(open); i; i = json_object_iter_next(open, i))
        keys[n_keys++] = json_object_iter_key(i);
    qsort(keys, n_keys, sizeof *keys, compare_keys);
    text_append(text, "{");
    for (size_t i = 0; i < n_keys; i++) {
        if (i > 0)
            text_append(text, ",");
        append_string(text, keys[i], strlen(keys[i]));
        text_append(text, ":");
        if (!append_value(text, json_object_get(object, keys[i])))
            return false;
    }
    text_append(text, "}");
    return true;
}

static bool append_array(struct text *text, const json_t *array)
{
    text_append(text, "[");
    for (size_t i = 0; i < json_array_size(array); i++) {
        if (i > 0)
            text_append(text, ",");
        if (!append_value(text, json_array_get(array, i)))
            return false;
    }
    text_append(text, "]");
    return true;
}

static bool append_integer(struct text *text, json_int_t number)
{
    text_append_format(text, "%" JSON_INTEGER_FORMAT, number);
    return number < exact_below && number > -exact_below;
}

/* False: there is no canonical form. */
static bool append_value(struct text *text, const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return append_object(text, value);
    case JSON_ARRAY:
        return append_array(text, value);
    case JSON_STRING:
        append_string(text, json_string_value(value), json_string_length(value));
        return true;
    case JSON_INTEGER:
        return append_integer(text, json_integer_value(value));
    case JSON_TRUE:
    case JSON_FALSE:
        text_append(text, json_is_true(value) ? "true" : "false");
        return true;
    case JSON_NULL:
        text_append(text, "null");
        return true;
    case JSON_REAL:
        break;
    }
    return false;
}

int json_canonical(const json_t *value, char **ret, size_t *ret_length)
{
    cleanup_text struct text text = {0};
    if (!append_value(&text, value))
        return -EINVAL;
    *ret_length = text.length;
    *ret = text_take(&text);
    return *ret ? 0 : -ENOMEM;
}
