/* SPDX-License-Identifier: Apache-2.0 */
/* See log.h. */
#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"

enum { TRUNCATED_ROOM = 32 }; /* for the word and the end of the line */

void log_init(struct log *log, int fd, enum log_format format, enum log_level level, const char *process)
{
    *log = (struct log){.fd = fd, .level = level, .process = process};
    log->json = format == LOG_FORMAT_JSON || (format == LOG_FORMAT_AUTOMATIC && !isatty(fd));
    pthread_mutex_init(&log->lock, NULL);
}

/* ---- fields ---------------------------------------------------------------------------------------- */

struct log_field log_text(const char *name, const char *text)
{
    return log_bytes(name, text, text ? strlen(text) : 0);
}

struct log_field log_bytes(const char *name, const char *bytes, size_t size_bytes)
{
    return (struct log_field){.kind = LOG_FIELD_TEXT, .name = name, .text = bytes, .size_bytes = size_bytes};
}

struct log_field log_integer(const char *name, int64_t number)
{
    return (struct log_field){.kind = LOG_FIELD_INTEGER, .name = name, .number = number};
}

struct log_field log_boolean(const char *name, bool value)
{
    return (struct log_field){.kind = LOG_FIELD_BOOLEAN, .name = name, .number = value};
}

struct log_field log_duration(const char *name, uint64_t ns)
{
    return (struct log_field){
        .kind = LOG_FIELD_DURATION, .name = name, .number = ns > INT64_MAX ? INT64_MAX : (int64_t)ns};
}

/* ---- the line -------------------------------------------------------------------------------------- */

/* What is escaped has its backslashes doubled already; JSON needs them doubled once more. */
static void append_quoted(struct text *line, bool json, const char *safe)
{
    text_append(line, "\"");
    for (; *safe; safe++) {
        if (*safe == '"' || (json && *safe == '\\'))
            text_append(line, "\\");
        text_append_bytes(line, safe, 1);
    }
    text_append(line, "\"");
}

/* Words are bare in text lines; what could be taken for more than one field is quoted. */
static void append_text(struct text *line, bool json, const char *bytes, size_t size_bytes)
{
    cleanup_text struct text safe = {0};
    text_append_escaped(&safe, bytes, size_bytes, LOG_TEXT_MAX_BYTES);
    const char *shown = safe.data ? safe.data : "";
    if (json || !*shown || strpbrk(shown, " =\""))
        append_quoted(line, json, shown);
    else
        text_append(line, shown);
}

static void append_duration(struct text *line, bool json, int64_t ns)
{
    int64_t seconds = ns / (int64_t)NS_PER_S, rest_ns = ns % (int64_t)NS_PER_S;
    if (json)
        text_append_format(line, "%" PRId64 ".%06" PRId64, seconds, rest_ns / (int64_t)NS_PER_US);
    else
        text_append_format(line, "%" PRId64 ".%03" PRId64 "s", seconds, rest_ns / (int64_t)NS_PER_MS);
}

static void append_field(struct text *line, bool json, const struct log_field *field)
{
    bool duration = field->kind == LOG_FIELD_DURATION;
    text_append_format(line, json ? ",\"%s%s\":" : " %s%s=", field->name, json && duration ? "_seconds" : "");
    if (field->kind == LOG_FIELD_TEXT)
        append_text(line, json, field->text, field->size_bytes);
    else if (field->kind == LOG_FIELD_INTEGER)
        text_append_format(line, "%" PRId64, field->number);
    else if (field->kind == LOG_FIELD_BOOLEAN)
        text_append(line, field->number ? "true" : "false");
    else
        append_duration(line, json, field->number);
}

static void append_head(struct text *line, const struct log *log, enum log_level level, const char *event)
{
    static const char *const level_names[] = {"error", "warning", "info", "debug"};
    uint64_t now_ns = clock_now_ns(CLOCK_REALTIME);
    time_t seconds = (time_t)(now_ns / NS_PER_S);
    char stamp[sizeof "YYYYYYYYYY-MM-DDTHH:MM:SS"];
    struct tm when;
    if (!gmtime_r(&seconds, &when) || !strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &when))
        stamp[0] = '\0';
    int ms = (int)(now_ns % NS_PER_S / NS_PER_MS);
    if (!log->json) {
        text_append_format(line, "%s.%03dZ %-7s %s%s%s", stamp, ms, level_names[level],
                           log->process ? log->process : "", log->process ? " " : "", event);
        return;
    }
    text_append_format(line, "{\"time\":\"%s.%03dZ\",\"level\":\"%s\"", stamp, ms, level_names[level]);
    if (log->process)
        text_append_format(line, ",\"process\":\"%s\"", log->process);
    text_append_format(line, ",\"event\":\"%s\"", event);
}

static void append_line(struct text *line, const struct log *log, enum log_level level, const char *event,
                        const struct log_field *fields)
{
    bool truncated = false;
    append_head(line, log, level, event);
    for (; fields->kind != LOG_FIELD_END; fields++) {
        size_t before = line->length;
        if (fields->kind == LOG_FIELD_TEXT && !fields->text)
            continue;
        append_field(line, log->json, fields);
        if (line->failed || line->length <= LOG_LINE_BYTES - TRUNCATED_ROOM)
            continue;
        truncated = true;
        line->length = before;
        line->data[before] = '\0';
    }
    if (truncated) {
        struct log_field field = log_boolean("truncated", true);
        append_field(line, log->json, &field);
    }
    text_append(line, log->json ? "}\n" : "\n");
}

/* ---- writing --------------------------------------------------------------------------------------- */

/* Poll says that a pipe has room when it has PIPE_BUF bytes of it. */
static bool write_now(int fd, const char *bytes, size_t length)
{
    struct pollfd room = {.fd = fd, .events = POLLOUT};
    if (poll(&room, 1, 0) != 1 || !(room.revents & POLLOUT))
        return false;
    ssize_t written;
    do
        written = write(fd, bytes, length);
    while (written < 0 && errno == EINTR);
    return written == (ssize_t)length;
}

static void write_line(struct log *log, enum log_level level, const char *event,
                       const struct log_field *fields)
{
    cleanup_text struct text line = {0};
    append_line(&line, log, level, event, fields);
    if (line.failed || !write_now(log->fd, line.data, line.length))
        log->dropped++;
}

static void tell_dropped(struct log *log)
{
    uint64_t dropped = log->dropped;
    if (dropped == 0)
        return;
    log->dropped = 0;
    struct log_field fields[] = {log_integer("lines", (int64_t)dropped), {0}};
    write_line(log, LOG_LEVEL_WARNING, "dropped", fields);
    if (log->dropped)
        log->dropped = dropped;
}

static void tell_suppressed(struct log *log, struct log_rate *rate)
{
    uint64_t suppressed = rate->suppressed;
    if (suppressed == 0)
        return;
    rate->suppressed = 0;
    struct log_field fields[] = {
        log_text("name", rate->name), log_integer("lines", (int64_t)suppressed), {0}};
    write_line(log, LOG_LEVEL_WARNING, "suppressed", fields);
}

/* The last row is for all events that have none. */
static struct log_rate *rate_of(struct log *log, const char *event)
{
    for (size_t i = 0; i < log->n_rates; i++)
        if (log->rates[i].name == event || strcmp(log->rates[i].name, event) == 0)
            return &log->rates[i];
    struct log_rate *rate = &log->rates[log->n_rates];
    if (log->n_rates < LOG_NAMES_MAX) {
        rate->name = event;
        log->n_rates++;
    } else {
        rate->name = "others";
    }
    return rate;
}

/* A flood that has ended is told of with the next line of any name. */
static void end_windows(struct log *log, uint64_t now_ns)
{
    for (size_t i = 0; i <= LOG_NAMES_MAX; i++) {
        struct log_rate *rate = &log->rates[i];
        if (rate->written == 0 || now_ns - rate->window_started_ns < NS_PER_S)
            continue;
        rate->written = 0;
        tell_suppressed(log, rate);
    }
}

void log_write(struct log *log, enum log_level level, const char *event, const struct log_field *fields)
{
    if (level > log->level)
        return;
    pthread_mutex_lock(&log->lock);
    uint64_t now_ns = clock_monotonic_ns();
    end_windows(log, now_ns);
    tell_dropped(log);
    struct log_rate *rate = rate_of(log, event);
    if (rate->written == 0)
        rate->window_started_ns = now_ns;
    if (rate->written < LOG_EVENTS_PER_SECOND) {
        rate->written++;
        write_line(log, level, event, fields);
    } else {
        rate->suppressed++;
    }
    pthread_mutex_unlock(&log->lock);
}

void log_done(struct log *log)
{
    for (size_t i = 0; i <= LOG_NAMES_MAX; i++)
        tell_suppressed(log, &log->rates[i]);
    tell_dropped(log);
    pthread_mutex_destroy(&log->lock);
}
