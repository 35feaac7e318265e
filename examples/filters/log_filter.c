/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prints the lines that contain a word, of the files named after it or of all files in /logs. Ends as grep
 * does: 0 if there was such a line, 1 if not, 2 if something could not be read.
 *
 *   clang-19 --target=wasm32-wasi -O2 -s -o log_filter.wasm log_filter.c logs.c
 *   berth run --dir /var/log::/logs log_filter.wasm CRITICAL
 *
 * Large reads, one search over the whole buffer, and the ends of a line are looked for only where the word
 * was found. What was found leaves at the end of each buffer, so that the first line is out while the rest is
 * read. A line that is longer than the buffer is searched in passing and, if it has the word, read a second
 * time: the memory stays the same whatever the log holds.
 */
#define _GNU_SOURCE 1 /* memrchr */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "logs.h"
#include "search.h"

enum { BUFFER_SIZE = 256 * 1024, OUTPUT_SIZE = 64 * 1024 };

struct filter {
    struct search search;
    bool found;
    bool read_failed;
    int write_error; /* negative errno; nothing is read after it */
    size_t output_used;
    unsigned char output[OUTPUT_SIZE];
    unsigned char buffer[BUFFER_SIZE];
};

/* The part of a file that is in the buffer: its first `used` bytes came from `offset`. */
struct window {
    int descriptor;
    off_t offset;
    size_t used;
    bool ended;
};

static int write_all(struct filter *filter, const unsigned char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t written = write(STDOUT_FILENO, bytes, size);
        if (written < 0 && errno != EINTR)
            return filter->write_error = -errno;
        if (written > 0) {
            bytes += written;
            size -= (size_t)written;
        }
    }
    return 0;
}

static int output_flush(struct filter *filter)
{
    int r = write_all(filter, filter->output, filter->output_used);
    filter->output_used = 0;
    return r;
}

static int output_add(struct filter *filter, const unsigned char *bytes, size_t size)
{
    if (size > OUTPUT_SIZE - filter->output_used) {
        int r = output_flush(filter);
        if (r < 0)
            return r;
        if (size > OUTPUT_SIZE)
            return write_all(filter, bytes, size);
    }
    memcpy(filter->output + filter->output_used, bytes, size);
    filter->output_used += size;
    return 0;
}

static int output_line(struct filter *filter, const unsigned char *line, size_t size)
{
    filter->found = true;
    int r = output_add(filter, line, size);
    return r < 0 ? r : output_add(filter, (const unsigned char *)"\n", 1);
}

/* Lines that are whole in the buffer; the last one may lack its line break, at the end of a file. */
static int search_lines(struct filter *filter, const unsigned char *at, const unsigned char *end)
{
    const unsigned char *line = at;
    const unsigned char *word;
    while ((word = search_next(&filter->search, at, end))) {
        const unsigned char *before = memrchr(line, '\n', (size_t)(word - line));
        const unsigned char *after = memchr(word, '\n', (size_t)(end - word));
        line = before ? before + 1 : line;
        after = after ? after : end;
        int r = output_line(filter, line, (size_t)(after - line));
        if (r < 0)
            return r;
        if (after == end)
            break;
        at = line = after + 1;
    }
    return 0;
}

/* Reads behind what the buffer holds, until it is full or the file ends. */
static int window_fill(struct filter *filter, struct window *window)
{
    while (window->used < BUFFER_SIZE && !window->ended) {
        ssize_t size = read(window->descriptor, filter->buffer + window->used, BUFFER_SIZE - window->used);
        if (size < 0 && errno == EINTR)
            continue;
        if (size < 0)
            return -errno;
        window->ended = size == 0;
        window->used += (size_t)size;
    }
    return 0;
}

/* The buffer forgets its first bytes. */
static void window_drop(struct filter *filter, struct window *window, size_t size)
{
    window->used -= size;
    window->offset += (off_t)size;
    memmove(filter->buffer, filter->buffer + size, window->used);
}

/* Copies [from, to) of the file; the buffer is free to be used. */
static int print_range(struct filter *filter, int descriptor, off_t from, off_t to)
{
    filter->found = true;
    while (from < to) {
        size_t wanted = to - from < BUFFER_SIZE ? (size_t)(to - from) : BUFFER_SIZE;
        ssize_t size = pread(descriptor, filter->buffer, wanted, from);
        if (size < 0 && errno == EINTR)
            continue;
        if (size < 0)
            return -errno;
        if (size == 0) /* the file became shorter */
            break;
        int r = output_add(filter, filter->buffer, (size_t)size);
        if (r < 0)
            return r;
        from += size;
    }
    return output_add(filter, (const unsigned char *)"\n", 1);
}

/* The buffer is full and has no line break. Leaves the window behind the end of this line. */
static int search_long_line(struct filter *filter, struct window *window)
{
    off_t start = window->offset;
    size_t overlap = filter->search.length > 0 ? filter->search.length - 1 : 0;
    bool found = false;
    for (;;) {
        const unsigned char *break_at = memchr(filter->buffer, '\n', window->used);
        size_t size = break_at ? (size_t)(break_at - filter->buffer) : window->used;
        found = found || search_next(&filter->search, filter->buffer, filter->buffer + size);
        if (break_at || window->ended) {
            window_drop(filter, window, size);
            break;
        }
        window_drop(filter, window, size - (overlap < size ? overlap : size));
        int r = window_fill(filter, window);
        if (r < 0)
            return r;
    }
    off_t end = window->offset;
    if (found) {
        int r = print_range(filter, window->descriptor, start, end);
        if (r < 0)
            return r;
    }
    /* What was behind the line in the buffer may be overwritten: begin again there. */
    window->offset = lseek(window->descriptor, end, SEEK_SET);
    window->used = 0;
    window->ended = false;
    int r = window->offset < 0 ? -errno : window_fill(filter, window);
    if (r == 0 && window->used > 0 && filter->buffer[0] == '\n')
        window_drop(filter, window, 1);
    return r;
}

static int filter_window(struct filter *filter, struct window *window)
{
    const unsigned char *last_break = memrchr(filter->buffer, '\n', window->used);
    if (!last_break && !window->ended)
        return search_long_line(filter, window);
    size_t size = window->ended ? window->used : (size_t)(last_break - filter->buffer) + 1;
    int r = search_lines(filter, filter->buffer, filter->buffer + size);
    if (r < 0)
        return r;
    window_drop(filter, window, size);
    return output_flush(filter);
}

static int filter_file(void *payload, int descriptor, const char *path)
{
    struct filter *filter = payload;
    struct window window = {.descriptor = descriptor};
    int r;
    do {
        r = window_fill(filter, &window);
        if (r == 0 && window.used > 0)
            r = filter_window(filter, &window);
    } while (r == 0 && !(window.ended && window.used == 0));
    if (r < 0 && filter->write_error == 0) {
        fprintf(stderr, "%s: %s\n", path, strerror(-r));
        filter->read_failed = true;
    }
    return filter->write_error;
}

int main(int argc, char **argv)
{
    static struct filter filter;
    if (argc < 2 || strchr(argv[1], '\n') || strlen(argv[1]) >= BUFFER_SIZE / 2) {
        fprintf(stderr, "usage: log_filter WORD [FILE…]\n");
        return 2;
    }
    search_init(&filter.search, argv[1]);
    int unreadable = logs_each(argv + 2, (size_t)(argc - 2), filter_file, &filter);
    if (filter.write_error == 0)
        output_flush(&filter);
    if (filter.write_error != 0)
        fprintf(stderr, "cannot write: %s\n", strerror(-filter.write_error));
    if (unreadable != 0 || filter.read_failed || filter.write_error != 0)
        return 2;
    return filter.found ? 0 : 1;
}
