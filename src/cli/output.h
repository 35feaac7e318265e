/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What berth itself says. Results go to stdout with output_print(); everything else is a message: one line on
 * stderr that begins with "berth: " and is written in one piece, so that lines of the guest do not cut it.
 *
 * A message never holds up a run whose stderr nobody reads: it is dropped if there is no room for it in time.
 */
#ifndef BERTH_CLI_OUTPUT_H
#define BERTH_CLI_OUTPUT_H

#include <stdbool.h>

#include <berth/error.h>

#include "base/text.h"

struct command;

enum colour {
    COLOUR_NONE,
    COLOUR_BOLD,
    COLOUR_DIM,
    COLOUR_RED,
    COLOUR_YELLOW,
};

/* Whether colour may be written there: a terminal that is not dumb, and no NO_COLOR (https://no-color.org).
 */
bool output_has_colour(int fd);

/* Appends the string in that colour if `on`. */
void append_coloured(struct text *text, bool on, enum colour colour, const char *string);

/* Writes the text to stdout and empties it. Returns STATUS_OK, or the status after a message. */
int output_print(struct text *text);

/* Makes descriptors 0 to 2 exist, so that no file of ours becomes the guest's stdout. One that was closed
 * fails when it is used, as it would have. */
void output_claim_standard_descriptors(void);

/* Whether nobody reads stdout or stderr any more, or one of them was closed from the start. */
bool output_is_closed(void);

/* "berth: …" in one line. */
void message(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The same in another colour, for what is no failure of berth; dropped at once if there is no room. */
void remark(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Writes a longer text to stderr and empties it. */
void message_print(struct text *text);

/* The line that message() writes. */
void append_message(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Writes bytes unless there is no room for them in time. Safe in signal handlers. */
void write_in_time(int fd, const char *bytes, size_t length);

/* A message, and where to read on. Returns STATUS_USAGE. */
int usage_error(const struct command *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The sentence of the error as a message. Returns `status`. */
int fail(const berth_error *error, int status);

/* 'text' in quotes, safe to print and bounded; the caller frees it. "" and no text at all if memory is short.
 */
char *quoted(const char *string);

#endif
