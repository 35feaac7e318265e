/* SPDX-License-Identifier: Apache-2.0 */
/* An error is a status and a sentence in one allocation; the one for "no memory" needs none. */
#include "base/error.h"

#include <assert.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct berth_error {
    berth_status status;
    bool is_static; /* by a mark and not by its address: each library of ours has its own */
    char message[];
};

static const struct {
    berth_status status;
    bool is_static;
    char message[sizeof("out of memory")];
} no_memory = {.status = BERTH_NO_MEMORY, .is_static = true, .message = "out of memory"};

static_assert(offsetof(struct berth_error, message) == sizeof(berth_status) + sizeof(bool),
              "the message of no_memory is where that of an error is");

static const char *const status_names[] = {
    [BERTH_OK] = "ok",
    [BERTH_INVALID] = "invalid",
    [BERTH_NOT_FOUND] = "not found",
    [BERTH_REFUSED] = "refused",
    [BERTH_BUSY] = "busy",
    [BERTH_ENDED] = "ended",
    [BERTH_UNSUPPORTED] = "unsupported",
    [BERTH_NO_MEMORY] = "out of memory",
    [BERTH_IO] = "system error",
    [BERTH_INTERNAL] = "internal error",
    [BERTH_CANCELLED] = "cancelled",
};

const char *berth_status_name(berth_status status)
{
    if ((size_t)status >= sizeof(status_names) / sizeof(status_names[0]))
        return "unknown status";
    return status_names[status];
}

berth_status berth_error_status(const berth_error *error)
{
    return error ? error->status : BERTH_OK;
}

const char *berth_error_message(const berth_error *error)
{
    return error ? error->message : "";
}

void berth_error_free(berth_error *error)
{
    if (error && !error->is_static)
        free(error);
}

__attribute__((format(printf, 3, 0))) static void replace(berth_error **reterr, berth_status status,
                                                          const char *format, va_list arguments,
                                                          const char *suffix)
{
    cleanup_free char *sentence = NULL;
    berth_error *error = NULL;
    int length = vasprintf(&sentence, format, arguments);
    if (length < 0)
        sentence = NULL;
    else
        error = calloc(1, sizeof(*error) + (size_t)length + strlen(suffix) + 3);
    if (error) {
        error->status = status;
        snprintf(error->message, (size_t)length + strlen(suffix) + 3, "%s%s%s", sentence, *suffix ? ": " : "",
                 suffix);
    }
    berth_error_free(*reterr);
    *reterr = error ? error : (berth_error *)(uintptr_t)&no_memory;
}

berth_status error_set(berth_error **reterr, berth_status status, const char *format, ...)
{
    if (reterr) {
        va_list arguments;
        va_start(arguments, format);
        replace(reterr, status, format, arguments, "");
        va_end(arguments);
    }
    return status;
}

berth_status error_set_errno(berth_error **reterr, int negative_errno, const char *format, ...)
{
    berth_status status = negative_errno == -ENOMEM   ? BERTH_NO_MEMORY
                          : negative_errno == -ENOENT ? BERTH_NOT_FOUND
                                                      : BERTH_IO;
    if (reterr) {
        char buffer[128];
        va_list arguments;
        va_start(arguments, format);
        replace(reterr, status, format, arguments, strerror_r(-negative_errno, buffer, sizeof(buffer)));
        va_end(arguments);
    }
    return status;
}
