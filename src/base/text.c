/* SPDX-License-Identifier: Apache-2.0 */
/* See text.h. Growth doubles, so building a document is linear in its length. */
#include "base/text.h"

#include <stdint.h>
#include <string.h>

#include "base/checked_math.h"

static bool reserve(struct text *text, size_t extra)
{
    size_t needed;
    if (text->failed)
        return false;
    if (!checked_add_size(text->length, extra, &needed) || !checked_add_size(needed, 1, &needed)) {
        text->failed = true;
        return false;
    }
    if (needed <= text->capacity)
        return true;
    size_t capacity = text->capacity ? text->capacity : 64;
    while (capacity < needed)
        capacity = capacity > SIZE_MAX / 2 ? needed : capacity * 2;
    char *grown = realloc(text->data, capacity);
    if (!grown) {
        text->failed = true;
        return false;
    }
    text->data = grown;
    text->capacity = capacity;
    return true;
}

void text_append_bytes(struct text *text, const char *bytes, size_t length)
{
    if (!reserve(text, length))
        return;
    if (length)
        memcpy(text->data + text->length, bytes, length);
    text->length += length;
    text->data[text->length] = '\0';
}

void text_append(struct text *text, const char *string)
{
    text_append_bytes(text, string, strlen(string));
}

void text_append_format_list(struct text *text, const char *format, va_list arguments)
{
    va_list again;
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    if (length < 0)
        text->failed = true;
    else if (reserve(text, (size_t)length)) {
        vsnprintf(text->data + text->length, (size_t)length + 1, format, again);
        text->length += (size_t)length;
    }
    va_end(again);
}

void text_append_format(struct text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    text_append_format_list(text, format, arguments);
    va_end(arguments);
}

/* Length of the well-formed UTF-8 sequence above U+007F at bytes (Unicode 15, table 3-7), or 0. */
static size_t utf8_length(const unsigned char *bytes, size_t length)
{
    size_t size = bytes[0] >= 0xf0 ? 4 : bytes[0] >= 0xe0 ? 3 : 2;
    if (bytes[0] < 0xc2 || bytes[0] > 0xf4 || size > length)
        return 0;
    for (size_t i = 1; i < size; i++)
        if ((bytes[i] & 0xc0) != 0x80)
            return 0;
    if ((bytes[0] == 0xe0 && bytes[1] < 0xa0) || (bytes[0] == 0xed && bytes[1] > 0x9f) ||
        (bytes[0] == 0xf0 && bytes[1] < 0x90) || (bytes[0] == 0xf4 && bytes[1] > 0x8f))
        return 0;
    return size;
}

/* The same, or 0 too for what a terminal obeys or a reader does not see as it is. */
static size_t printable_length(const unsigned char *bytes, size_t length)
{
    size_t size = utf8_length(bytes, length);
    if (size == 2 && bytes[0] == 0xc2 && bytes[1] < 0xa0)
        return 0; /* C1 controls */
    if (size == 3 && bytes[0] == 0xe2 && bytes[1] == 0x80 && (bytes[2] & 0xfe) == 0xa8)
        return 0; /* line and paragraph separator */
    if (size == 3 && bytes[0] == 0xe2 &&
        ((bytes[1] == 0x80 && bytes[2] >= 0xaa && bytes[2] <= 0xae) ||
         (bytes[1] == 0x81 && bytes[2] >= 0xa6 && bytes[2] <= 0xa9)))
        return 0; /* bidirectional overrides: they reorder what a reader sees */
    return size;
}

size_t text_utf8_prefix(const char *bytes, size_t length)
{
    const unsigned char *input = (const unsigned char *)bytes;
    size_t i = 0;
    while (i < length) {
        size_t sequence = input[i] < 0x80 ? 1 : utf8_length(input + i, length - i);
        if (!sequence)
            break;
        i += sequence;
    }
    return i;
}

bool text_is_utf8(const char *bytes, size_t length)
{
    return text_utf8_prefix(bytes, length) == length;
}

void text_append_escaped(struct text *text, const char *bytes, size_t length, size_t maximum)
{
    const unsigned char *input = (const unsigned char *)bytes;
    size_t end = length < maximum ? length : maximum;
    for (size_t i = 0; i < end;) {
        size_t sequence = input[i] >= 0x80 ? printable_length(input + i, end - i) : 0;
        if (sequence)
            text_append_bytes(text, bytes + i, sequence);
        else if (input[i] == '\n')
            text_append(text, "\\n");
        else if (input[i] == '\t')
            text_append(text, "\\t");
        else if (input[i] == '\\')
            text_append(text, "\\\\");
        else if (input[i] >= 0x20 && input[i] < 0x7f)
            text_append_bytes(text, bytes + i, 1);
        else
            text_append_format(text, "\\x%02x", input[i]);
        i += sequence ? sequence : 1;
    }
    if (end < length)
        text_append(text, "…");
}

static bool is_printable(const unsigned char *input, size_t length)
{
    for (size_t i = 0; i < length;) {
        size_t sequence =
            input[i] >= 0x80 ? printable_length(input + i, length - i) : input[i] >= 0x20 && input[i] < 0x7f;
        if (sequence == 0)
            return false;
        i += sequence;
    }
    return true;
}

void text_append_escaped_once(struct text *text, const char *bytes, size_t length, size_t maximum)
{
    if (!is_printable((const unsigned char *)bytes, length)) {
        text_append_escaped(text, bytes, length, maximum);
        return;
    }
    text_append_bytes(text, bytes, text_utf8_prefix(bytes, length < maximum ? length : maximum));
    if (length > maximum)
        text_append(text, "…");
}

char *text_take(struct text *text)
{
    char *taken = NULL;
    if (!text->failed && reserve(text, 0)) {
        text->data[text->length] = '\0';
        taken = take_ptr(text->data);
    }
    text_done(text);
    return taken;
}

void text_done(struct text *text)
{
    free(text->data);
    *text = (struct text){0};
}

enum { NEAREST_MAX = 48 };

/* Damerau-Levenshtein distance (optimal string alignment), three rows at a time. */
static size_t distance(const char *a, const char *b)
{
    size_t a_length = strlen(a), b_length = strlen(b);
    size_t rows[3][NEAREST_MAX + 1];
    if (a_length > NEAREST_MAX || b_length > NEAREST_MAX)
        return SIZE_MAX;
    for (size_t j = 0; j <= b_length; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= a_length; i++) {
        size_t *row = rows[i % 3], *above = rows[(i + 2) % 3], *two_above = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= b_length; j++) {
            size_t best = above[j - 1] + (a[i - 1] != b[j - 1]);
            if (above[j] + 1 < best)
                best = above[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && two_above[j - 2] + 1 < best)
                best = two_above[j - 2] + 1;
            row[j] = best;
        }
    }
    return rows[a_length % 3][b_length];
}

const char *text_nearest(const char *word, const char *const *candidates)
{
    const char *nearest = NULL;
    size_t best = SIZE_MAX;
    for (; *candidates; candidates++) {
        size_t found = distance(word, *candidates);
        if (found < best) {
            best = found;
            nearest = *candidates;
        }
    }
    return nearest && best <= (strlen(nearest) + 2) / 3 ? nearest : NULL;
}
