/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an error is, inside berth:
 *   - internal functions return int: 0 is success, a negative errno is fatal and passed on unchanged, a
 * positive number is a documented outcome of that module which the caller must handle;
 *   - public functions return berth_status and fill an optional berth_error with a sentence.
 * error_set() is the one door from the first to the second.
 */
#ifndef BERTH_BASE_ERROR_H
#define BERTH_BASE_ERROR_H

#include <berth/error.h>

#include "base/cleanup.h"

/* Puts a new error with that sentence into *reterr (if reterr is not NULL) and returns the status, so that
 * callers write `return error_set(reterr, BERTH_INVALID, "…", …);`. An error already in *reterr is freed. If
 * memory is short, *reterr becomes a static error that says so. */
berth_status error_set(berth_error **reterr, berth_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same for a negative errno: ENOMEM becomes BERTH_NO_MEMORY, ENOENT BERTH_NOT_FOUND, the rest BERTH_IO,
 * and
 * ": <text of errno>" is added to the sentence. */
berth_status error_set_errno(berth_error **reterr, int negative_errno, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

DEFINE_CLEANUP(berth_error *, berth_error_free)
#define cleanup_error cleanup(berth_error_free_cleanup)

#endif
