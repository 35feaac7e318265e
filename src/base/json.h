/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What berth needs of JSON (RFC 8259) beyond jansson: reading text that somebody else wrote, with bounds and
 * a sentence, and writing text that anybody can read.
 *
 * Values are jansson's json_t. Strings inside berth are C strings, so a reader of json_t must refuse a string
 * that holds a NUL; json_text() does.
 */
#ifndef BERTH_BASE_JSON_H
#define BERTH_BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "base/cleanup.h"

enum {
    JSON_TEXT_MAX_BYTES = 1 << 20, /* for files that people write; larger documents have their own readers */
    JSON_NESTING_MAX = 64,         /* the parser recurses */
};

DEFINE_CLEANUP(json_t *, json_decref)
#define cleanup_json cleanup(json_decref_cleanup)

/* Reads one JSON value that fills the whole text. A key that appears twice in an object is an error.
 * text: length bytes, need not end with NUL or be UTF-8. Returns 0; -EINVAL with a sentence that begins
 * "line L, column C: " and is safe to print, which the caller frees; -ENOMEM. */
int json_read(const char *text, size_t length, json_t **ret, char **reterr_message);

/* Whether the text is one JSON value, nested at most JSON_NESTING_MAX deep. Takes no memory, so it can be
 * asked of texts of any length that a peer chose. Does not notice a key that appears twice. */
bool json_is_valid(const char *text, size_t length);

/* The value as text in one line, or indented for people if `indent` is not 0. Numbers have at most 15 digits.
 * The caller frees it; NULL if memory is short. */
char *json_write(const json_t *value, size_t indent);

/* The value in canonical form, for hashes and signatures: RFC 8785 for values whose object keys are ASCII and
 * whose numbers are integers (keys are compared byte by byte). *ret ends with NUL; the caller frees it. 0;
 * -EINVAL if a number has a fraction or an exponent, or is 2^53 or more from 0; -ENOMEM. */
int json_canonical(const json_t *value, char **ret, size_t *ret_length);

/* The characters of a string value, valid as long as the value, or NULL if it is no string or holds a NUL. */
const char *json_text(const json_t *value);

/* A number without a fraction as an integer, so that 1 is written "1" and not "1.0". */
json_t *json_number(double number);

/* A string of bytes that somebody else chose, made safe as text_append_escaped() does. NULL if memory is
 * short. */
json_t *json_escaped(const char *bytes, size_t length, size_t maximum);

#endif
