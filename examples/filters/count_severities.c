/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counts the lines of each severity and prints the counts as one JSON object, of the files named or of all
 * files in /logs. A line's severity is its first word that names one, in any case; a word is a run of ASCII
 * letters.
 *
 *   clang-19 --target=wasm32-wasi -O2 -s -o count_severities.wasm count_severities.c logs.c
 *   berth run --dir /var/log::/logs count_severities.wasm
 *
 * Bytes go through a small machine that keeps its place between two reads, so lines may be of any length.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "logs.h"

enum severity { DEBUG, INFO, NOTICE, WARNING, ERROR, CRITICAL, ALERT, EMERGENCY, NO_SEVERITY, SEVERITIES };

static const char *const severity_names[SEVERITIES] = {"debug",    "info",  "notice",    "warning", "error",
                                                       "critical", "alert", "emergency", "none"};

static const struct {
    const char *word;
    enum severity severity;
} severity_words[] = {
    {"debug", DEBUG},       {"info", INFO},       {"notice", NOTICE}, {"warning", WARNING},
    {"warn", WARNING},      {"error", ERROR},     {"err", ERROR},     {"fatal", CRITICAL},
    {"critical", CRITICAL}, {"crit", CRITICAL},   {"alert", ALERT},   {"emergency", EMERGENCY},
    {"emerg", EMERGENCY},   {"panic", EMERGENCY},
};

enum { WORD_MAX = 9, BUFFER_SIZE = 64 * 1024 }; /* "emergency" */

struct counter {
    uint64_t counts[SEVERITIES];
    enum severity severity; /* of the line so far */
    bool in_line;
    size_t word_length; /* more than WORD_MAX: no severity is so long */
    char word[WORD_MAX];
    bool read_failed;
};

static enum severity severity_of_word(const char *word, size_t length)
{
    for (size_t i = 0; i < sizeof(severity_words) / sizeof(severity_words[0]); i++)
        if (strlen(severity_words[i].word) == length && memcmp(severity_words[i].word, word, length) == 0)
            return severity_words[i].severity;
    return NO_SEVERITY;
}

static void word_ends(struct counter *counter)
{
    if (counter->word_length > 0 && counter->word_length <= WORD_MAX && counter->severity == NO_SEVERITY)
        counter->severity = severity_of_word(counter->word, counter->word_length);
    counter->word_length = 0;
}

static void line_ends(struct counter *counter)
{
    word_ends(counter);
    counter->counts[counter->severity]++;
    counter->severity = NO_SEVERITY;
    counter->in_line = false;
}

static void count_byte(struct counter *counter, unsigned char byte)
{
    if (byte == '\n') {
        line_ends(counter);
        return;
    }
    counter->in_line = true;
    unsigned char lower = byte | 0x20;
    if (lower < 'a' || lower > 'z') {
        word_ends(counter);
    } else if (counter->word_length <= WORD_MAX) {
        if (counter->word_length < WORD_MAX)
            counter->word[counter->word_length] = (char)lower;
        counter->word_length++;
    }
}

/* After its severity is known, only the end of a line matters. */
static void count_bytes(struct counter *counter, const unsigned char *at, const unsigned char *end)
{
    while (at < end) {
        if (counter->severity != NO_SEVERITY) {
            at = memchr(at, '\n', (size_t)(end - at));
            if (!at)
                return;
        }
        count_byte(counter, *at++);
    }
}

static int count_file(void *payload, int descriptor, const char *path)
{
    static unsigned char buffer[BUFFER_SIZE];
    struct counter *counter = payload;
    ssize_t size;
    while ((size = read(descriptor, buffer, sizeof(buffer))) != 0) {
        if (size < 0 && errno != EINTR) {
            fprintf(stderr, "%s: %s\n", path, strerror(errno));
            counter->read_failed = true;
            break;
        }
        if (size > 0)
            count_bytes(counter, buffer, buffer + size);
    }
    if (counter->in_line)
        line_ends(counter);
    return 0;
}

int main(int argc, char **argv)
{
    struct counter counter = {.severity = NO_SEVERITY};
    int unreadable = logs_each(argv + 1, argc > 0 ? (size_t)(argc - 1) : 0, count_file, &counter);
    for (int i = 0; i < SEVERITIES; i++)
        printf("%s\"%s\": %" PRIu64, i == 0 ? "{" : ", ", severity_names[i], counter.counts[i]);
    printf("}\n");
    return fflush(stdout) != 0 || unreadable != 0 || counter.read_failed ? 2 : 0;
}
