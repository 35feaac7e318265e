/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The structured log of a process: events with typed fields, a line each, for people on a terminal or as
 * JSON.
 *
 *    log_event(&log, LOG_LEVEL_INFO, "run_started", log_text("run", id), log_duration("waited", ns));
 *
 *    2026-02-01T12:00:00.000Z info  front run_started run=3f9c waited=0.013s
 *    {"time":"2026-02-01T12:00:00.000Z","level":"info","process":"front","event":"run_started","run":"3f9c",
 *     "waited_seconds":0.013000}
 *
 * - Text is escaped (text_append_escaped), so whoever chose it, it is safe on a terminal and cannot forge a
 * line.
 * - A line is at most LOG_LINE_BYTES long (fields that do not fit are left out and "truncated" says so) and
 * is one write(2). The process never waits for a reader: a line for which there is no room is dropped and
 * counted.
 * - An event is written at most LOG_EVENTS_PER_SECOND times in a second; a "suppressed" line then tells how
 * many more there were.
 *
 * Names of events and fields are constants of the program. Safe from any thread.
 */
#ifndef BERTH_BASE_LOG_H
#define BERTH_BASE_LOG_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    LOG_LINE_BYTES = 4096,    /* PIPE_BUF: what a pipe takes in one piece */
    LOG_TEXT_MAX_BYTES = 512, /* of one field; what is escaped grows up to five times */
    LOG_EVENTS_PER_SECOND = 100,
    LOG_NAMES_MAX = 64, /* events that are counted apart; the rest share one count */
};

enum log_level { LOG_LEVEL_ERROR = 0, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

enum log_format {
    LOG_FORMAT_AUTOMATIC = 0, /* text on a terminal, JSON otherwise */
    LOG_FORMAT_TEXT,
    LOG_FORMAT_JSON,
};

enum log_field_kind {
    LOG_FIELD_END = 0,
    LOG_FIELD_TEXT,
    LOG_FIELD_INTEGER,
    LOG_FIELD_DURATION,
    LOG_FIELD_BOOLEAN
};

struct log_field {
    enum log_field_kind kind;
    const char *name;
    const char *text;
    size_t size_bytes;
    int64_t number; /* integer; 0 or 1; or nanoseconds */
};

struct log_rate {
    const char *name;
    uint64_t window_started_ns; /* monotonic */
    uint32_t written;
    uint64_t suppressed;
};

struct log {
    pthread_mutex_t lock;
    int fd; /* borrowed */
    enum log_level level;
    bool json;
    const char *process;
    uint64_t dropped; /* lines, since the last that told of them */
    struct log_rate rates[LOG_NAMES_MAX + 1];
    size_t n_rates;
};

/* level: the least important that is written. process: "front"; a constant, or NULL. */
void log_init(struct log *log, int fd, enum log_format format, enum log_level level, const char *process);
/* Writes what was suppressed. */
void log_done(struct log *log);

/* NULL as text leaves the field out. */
struct log_field log_text(const char *name, const char *text);
struct log_field log_bytes(const char *name, const char *bytes, size_t size_bytes);
struct log_field log_integer(const char *name, int64_t number);
struct log_field log_boolean(const char *name, bool value);
/* Written in seconds; in JSON "_seconds" is added to the name. */
struct log_field log_duration(const char *name, uint64_t ns);

#define log_event(log, level, event, ...) \
    log_write((log), (level), (event),    \
              (const struct log_field[]){__VA_ARGS__ __VA_OPT__(, ){.kind = LOG_FIELD_END}})

/* fields end with LOG_FIELD_END. */
void log_write(struct log *log, enum log_level level, const char *event, const struct log_field *fields);

#endif
