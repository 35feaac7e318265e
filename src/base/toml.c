/* SPDX-License-Identifier: Apache-2.0 */
/* The parser is Rust's (no C parser reads TOML 1.1) and hands over JSON text. */
#include "base/toml.h"

#include <string.h>

#include <berth_native.h>

#include "base/json.h"

DEFINE_CLEANUP(char *, berth_native_free)

int toml_read(const char *text, size_t length, json_t **ret, char **reterr_message)
{
    cleanup(berth_native_free_cleanup) char *json = NULL;
    cleanup(berth_native_free_cleanup) char *problem = NULL;
    json_error_t error;
    *reterr_message = NULL;
    if (length > JSON_TEXT_MAX_BYTES) {
        *reterr_message = strdup("line 1, column 1: the text is longer than 1 MiB");
        return *reterr_message ? -EINVAL : -ENOMEM;
    }
    int r = berth_native_toml_to_json(text, length, &json, &problem);
    if (r == -EINVAL && problem)
        *reterr_message = strdup(problem);
    if (r < 0)
        return *reterr_message ? -EINVAL : -ENOMEM;
    json_t *value = json_loadb(json, strlen(json), JSON_ALLOW_NUL, &error);
    if (!value) {
        /* The one thing that TOML allows and jansson does not hold; lines of the intermediate text mean
         * nothing to a reader. */
        if (json_error_code(&error) != json_error_null_byte_in_key)
            return -ENOMEM;
        *reterr_message = strdup("line 1, column 1: a key contains the character U+0000");
        return *reterr_message ? -EINVAL : -ENOMEM;
    }
    *ret = value;
    return 0;
}

void toml_append_string(struct text *text, const char *string)
{
    text_append(text, "\"");
    for (const char *c = string; *c; c++) {
        if (*c == '"' || *c == '\\')
            text_append_format(text, "\\%c", *c);
        else if ((unsigned char)*c < 0x20 || *c == 0x7f)
            text_append_format(text, "\\u%04X", (unsigned)*c);
        else
            text_append_bytes(text, c, 1);
    }
    text_append(text, "\"");
}
