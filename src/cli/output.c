/* SPDX-License-Identifier: Apache-2.0 */
/* See output.h. */
#include "cli/output.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/exit_status.h"

enum {
    LINE_MAX_BYTES = 4000, /* below PIPE_BUF: a pipe that is ready takes it in one piece, without blocking */
    QUOTED_MAX_BYTES = 200,
    MESSAGE_TIMEOUT_MS = 200,
};

bool output_has_colour(int fd)
{
    const char *no_colour = getenv("NO_COLOR"), *terminal = getenv("TERM");
    return isatty(fd) && !(no_colour && *no_colour) && terminal && *terminal && strcmp(terminal, "dumb") != 0;
}

void append_coloured(struct text *text, bool on, enum colour colour, const char *string)
{
    static const char *const codes[] = {
        [COLOUR_NONE] = "0",   [COLOUR_BOLD] = "1",    [COLOUR_DIM] = "2",
        [COLOUR_RED] = "1;31", [COLOUR_YELLOW] = "33",
    };
    if (on)
        text_append_format(text, "\033[%sm%s\033[0m", codes[colour], string);
    else
        text_append(text, string);
}

/* ---- Writing ------------------------------------------------------------------------------------ */

/* Returns 0 or a negative errno. `timeout_ms` as in poll(2), for each wait. */
static int write_all(int fd, const char *bytes, size_t length, int timeout_ms)
{
    while (length > 0) {
        struct pollfd ready = {.fd = fd, .events = POLLOUT};
        int r = poll(&ready, 1, timeout_ms);
        if (r == 0)
            return -EAGAIN;
        if (r < 0 && errno != EINTR)
            return -errno;
        if (r < 0)
            continue;
        ssize_t n = write(fd, bytes, length < LINE_MAX_BYTES ? length : LINE_MAX_BYTES);
        if (n < 0 && errno != EINTR && errno != EAGAIN)
            return -errno;
        if (n > 0) {
            bytes += n;
            length -= (size_t)n;
        }
    }
    return 0;
}

int output_print(struct text *text)
{
    cleanup_text struct text taken = *text;
    *text = (struct text){0};
    if (taken.failed) {
        message("out of memory");
        return STATUS_FAILURE;
    }
    int r = write_all(STDOUT_FILENO, taken.data, taken.length, -1);
    if (r == 0)
        return STATUS_OK;
    message("stdout cannot be written: %s", strerror(-r));
    return r == -EPIPE || r == -EBADF ? STATUS_OUTPUT_CLOSED : STATUS_FAILURE;
}

void write_in_time(int fd, const char *bytes, size_t length)
{
    write_all(fd, bytes, length, MESSAGE_TIMEOUT_MS);
}

void message_print(struct text *text)
{
    if (!text->failed)
        write_in_time(STDERR_FILENO, text->data, text->length);
    text_done(text);
}

void output_claim_standard_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) >= 0)
            continue;
        /* The wrong way round on purpose: reading stdin or writing stdout then fails with EBADF. */
        int opened = open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
        if (opened >= 0 && opened != fd)
            close(opened);
    }
}

static bool is_closed(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    struct pollfd state = {.fd = fd, .events = POLLOUT};
    if (flags < 0 || (flags & O_ACCMODE) == O_RDONLY)
        return true;
    return poll(&state, 1, 0) > 0 && (state.revents & (POLLERR | POLLHUP | POLLNVAL));
}

bool output_is_closed(void)
{
    return is_closed(STDOUT_FILENO) || is_closed(STDERR_FILENO);
}

/* ---- Messages ----------------------------------------------------------------------------------- */

static void append_line(struct text *text, enum colour colour, const char *format, va_list arguments)
    __attribute__((format(printf, 3, 0)));
static void append_line(struct text *text, enum colour colour, const char *format, va_list arguments)
{
    append_coloured(text, output_has_colour(STDERR_FILENO), colour, "berth:");
    text_append(text, " ");
    text_append_format_list(text, format, arguments);
    if (text->length > LINE_MAX_BYTES - sizeof("…\n")) {
        text->length = LINE_MAX_BYTES - sizeof("…\n");
        while ((text->data[text->length] & 0xc0) == 0x80)
            text->length--; /* not in the middle of a character */
        text_append(text, "…");
    }
    text_append(text, "\n");
}

static void write_message(struct text *text, int timeout_ms)
{
    static const char no_memory[] = "berth: out of memory\n";
    if (text->failed)
        write_all(STDERR_FILENO, no_memory, sizeof(no_memory) - 1, timeout_ms);
    else
        write_all(STDERR_FILENO, text->data, text->length, timeout_ms);
}

void message(const char *format, ...)
{
    cleanup_text struct text text = {0};
    va_list arguments;
    va_start(arguments, format);
    append_line(&text, COLOUR_RED, format, arguments);
    va_end(arguments);
    write_message(&text, MESSAGE_TIMEOUT_MS);
}

void append_message(struct text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    append_line(text, COLOUR_RED, format, arguments);
    va_end(arguments);
}

void remark(const char *format, ...)
{
    cleanup_text struct text text = {0};
    va_list arguments;
    va_start(arguments, format);
    append_line(&text, COLOUR_YELLOW, format, arguments);
    va_end(arguments);
    write_message(&text, 0);
}

int usage_error(const struct command *command, const char *format, ...)
{
    cleanup_text struct text text = {0};
    va_list arguments;
    va_start(arguments, format);
    append_line(&text, COLOUR_RED, format, arguments);
    va_end(arguments);
    text_append_format(&text, "see 'berth help%s%s'\n", command ? " " : "", command ? command->name : "");
    write_message(&text, MESSAGE_TIMEOUT_MS);
    return STATUS_USAGE;
}

int fail(const berth_error *error, int status)
{
    message("%s", error ? berth_error_message(error) : "out of memory");
    return status;
}

char *quoted(const char *string)
{
    struct text text = {0};
    text_append(&text, "'");
    text_append_escaped(&text, string, strlen(string), QUOTED_MAX_BYTES);
    text_append(&text, "'");
    return text_take(&text);
}
