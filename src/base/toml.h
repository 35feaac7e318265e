/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TOML 1.1 (toml.io/en/v1.1.0) as JSON values: tables are objects, dates and times strings in TOML's own
 * form.
 */
#ifndef BERTH_BASE_TOML_H
#define BERTH_BASE_TOML_H

#include <stddef.h>

#include <jansson.h>

#include "base/text.h"

/* Reads a document of at most JSON_TEXT_MAX_BYTES. Always an object on success. Returns 0; -EINVAL with a
 * sentence that begins "line L, column C: " and is safe to print, which the caller frees; -ENOMEM. */
int toml_read(const char *text, size_t length, json_t **ret, char **reterr_message);

/* Appends a basic string, quotes included. `string` is UTF-8. */
void toml_append_string(struct text *text, const char *string);

#endif
