/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watchdog WORD [COUNT]
 *
 * Stays beside /logs/system.log and pushes each new line that contains WORD as an event, as it is written. In
 * between it sleeps in the host, which wakes it when something in /logs changes. It ends after COUNT events,
 * or else with its contract. What is in the file already is not told of; a file that is cut off or replaced
 * is read from its beginning.
 *
 *   clang-19 --target=wasm32-wasi -O2 -s -o watchdog.wasm watchdog.c
 *   berth run --dir /var/log::/logs --watch --events --wall-seconds 0 watchdog.wasm CRITICAL
 */
#define _GNU_SOURCE 1 /* memmem */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

__attribute__((import_module("liop"), import_name("push_event"))) void push_event(const char *text,
                                                                                  uint32_t size);
__attribute__((import_module("berth"), import_name("wait_for_change"))) int wait_for_change(
    int descriptor, int64_t timeout_ms);

enum { LINE_MAX_BYTES = 64 << 10, WASI_ERRNO_TIMEDOUT = 73 };

static const char directory_path[] = "/logs", file_path[] = "/logs/system.log";

struct watchdog {
    const char *word;
    long left; /* events to go, -1: any number */
    int file;  /* -1: it is not there now */
    struct stat status;
    off_t offset; /* read so far */
    char line[LINE_MAX_BYTES];
    size_t used;
};

static void tell(struct watchdog *watchdog, const char *text, size_t size)
{
    push_event(text, (uint32_t)size);
    if (watchdog->left > 0)
        watchdog->left--;
}

static void end_line(struct watchdog *watchdog)
{
    if (memmem(watchdog->line, watchdog->used, watchdog->word, strlen(watchdog->word)) && watchdog->left != 0)
        tell(watchdog, watchdog->line, watchdog->used);
    watchdog->used = 0;
}

static void take(struct watchdog *watchdog, const char *bytes, size_t size)
{
    while (size > 0) {
        const char *end = memchr(bytes, '\n', size);
        size_t part = end ? (size_t)(end - bytes) : size;
        size_t room = sizeof(watchdog->line) - watchdog->used;
        memcpy(watchdog->line + watchdog->used, bytes, part < room ? part : room);
        watchdog->used += part < room ? part : room;
        if (end)
            end_line(watchdog);
        bytes += part + (end ? 1 : 0);
        size -= part + (end ? 1 : 0);
    }
}

static void read_on(struct watchdog *watchdog)
{
    static char buffer[16 << 10];
    ssize_t size;
    while (watchdog->file >= 0 && watchdog->left != 0 &&
           (size = pread(watchdog->file, buffer, sizeof(buffer), watchdog->offset)) > 0) {
        watchdog->offset += size;
        take(watchdog, buffer, (size_t)size);
    }
}

/* Opens the file that has the name now, unless it is the one that is open. */
static void follow_name(struct watchdog *watchdog)
{
    struct stat named, open_now;
    bool there = stat(file_path, &named) == 0;
    if (watchdog->file >= 0 && there && named.st_ino == watchdog->status.st_ino) {
        if (fstat(watchdog->file, &open_now) == 0 && open_now.st_size < watchdog->offset)
            watchdog->offset = 0;
        return;
    }
    if (watchdog->file >= 0) {
        read_on(watchdog); /* what was written before it lost its name */
        close(watchdog->file);
    }
    watchdog->file = there ? open(file_path, O_RDONLY) : -1;
    watchdog->status = named;
    watchdog->offset = 0;
    watchdog->used = 0;
}

int main(int argc, char **argv)
{
    static struct watchdog watchdog = {.file = -1, .left = -1};
    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: watchdog WORD [COUNT]\n");
        return 2;
    }
    watchdog.word = argv[1];
    if (argc == 3)
        watchdog.left = strtol(argv[2], NULL, 10);
    int directory = open(directory_path, O_RDONLY | O_DIRECTORY);
    if (directory < 0) {
        fprintf(stderr, "%s: %s\n", directory_path, strerror(errno));
        return 1;
    }
    /* Watching begins with the first call: before the end of the file is looked for. */
    int r = wait_for_change(directory, 0);
    follow_name(&watchdog);
    if (watchdog.file >= 0)
        watchdog.offset = watchdog.status.st_size;
    while (watchdog.left != 0 && (r == 0 || r == WASI_ERRNO_TIMEDOUT)) {
        follow_name(&watchdog);
        read_on(&watchdog);
        if (watchdog.left != 0)
            r = wait_for_change(directory, -1);
    }
    if (watchdog.left == 0)
        return 0;
    fprintf(stderr, "%s cannot be watched (errno %d)\n", directory_path, r);
    return 1;
}
