/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Growing text for messages and documents.
 *
 * A struct text is zero-initialised (`struct text t = {0};`), always NUL-terminated once it holds something,
 * and sticky about failure: after an allocation failed it is `failed` and further appends do nothing, so that
 * a caller checks once, at the end, with text_take().
 */
#ifndef BERTH_BASE_TEXT_H
#define BERTH_BASE_TEXT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"

struct text {
    char *data;
    size_t length;
    size_t capacity;
    bool failed;
};

void text_append(struct text *text, const char *string);
void text_append_bytes(struct text *text, const char *bytes, size_t length);
void text_append_format(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_append_format_list(struct text *text, const char *format, va_list arguments)
    __attribute__((format(printf, 2, 0)));

/* Appends bytes that somebody else chose so that they are safe on a terminal and in a log line: printable
 * ASCII and well-formed UTF-8 above U+009F stay, everything else becomes \n, \t, \xNN, and a backslash is
 * doubled. At most `maximum` input bytes are used; "…" marks the cut. */
void text_append_escaped(struct text *text, const char *bytes, size_t length, size_t maximum);
/* The same for text that may have been made safe where it came from: if it is safe it stays as it is, with
 * its backslashes. */
void text_append_escaped_once(struct text *text, const char *bytes, size_t length, size_t maximum);

/* Whether the bytes are well-formed UTF-8 (Unicode 15, table 3-7). */
bool text_is_utf8(const char *bytes, size_t length);
/* How many bytes from the start on are well-formed UTF-8. */
size_t text_utf8_prefix(const char *bytes, size_t length);

/* The string, which the caller then owns, or NULL if an append failed. The text is empty afterwards. */
char *text_take(struct text *text);

/* Releases the contents; the text is empty and usable afterwards. */
void text_done(struct text *text);

#define cleanup_text cleanup(text_done)

/* The candidate nearest to `word` by Damerau-Levenshtein distance, or NULL if none is near enough to be what
 * was meant (at most a third of its letters differ). `candidates` ends with NULL. */
const char *text_nearest(const char *word, const char *const *candidates);

#endif
