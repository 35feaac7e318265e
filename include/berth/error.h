/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors of the public API.
 *
 * A function that can fail returns a berth_status, which must be looked at, and fills an optional
 * `berth_error **reterr` (last parameter) that carries the status and one sentence for a person. On success
 * *reterr is left alone. The library never prints and never exits.
 *
 * A limit that a guest runs into is no error of the API: it is the outcome of a run (run.h).
 */
#ifndef BERTH_ERROR_H
#define BERTH_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

/* Exported from libberth.so; everything else is hidden. */
#define BERTH_API      __attribute__((visibility("default")))
#define BERTH_MUST_USE __attribute__((warn_unused_result))

typedef enum berth_status {
    BERTH_OK = 0,
    BERTH_INVALID = 1,   /* an argument, option or text that cannot mean anything */
    BERTH_NOT_FOUND = 2, /* a file, directory or export that is not there */
    BERTH_REFUSED = 3,   /* a module that the scan, the compiler or the contract does not let in */
    BERTH_BUSY = 4,      /* already in use: a running instance, a second engine, a full pool */
    BERTH_ENDED = 5, /* the instance is over (it exited, trapped or hit a limit) and takes no more calls */
    BERTH_UNSUPPORTED = 6, /* this kernel, processor or build lacks what is needed */
    BERTH_NO_MEMORY = 7,
    BERTH_IO = 8,         /* the operating system said no: file, process or memory mapping */
    BERTH_INTERNAL = 9,   /* a defect of berth; please report it */
    BERTH_CANCELLED = 10, /* given up because the caller asked for that */
} berth_status;

typedef struct berth_error berth_error;

/* The status that the failed call returned. BERTH_OK for NULL. */
BERTH_API berth_status berth_error_status(const berth_error *error);

/* One sentence without a line break, valid until the error is freed. "" for NULL. Text that came from a
 * guest, a module or a file is escaped in it and bounded. */
BERTH_API const char *berth_error_message(const berth_error *error);

/* Accepts NULL. */
BERTH_API void berth_error_free(berth_error *error);

/* A word for the status ("refused"), static. */
BERTH_API const char *berth_status_name(berth_status status);

#ifdef __cplusplus
}
#endif

#endif
