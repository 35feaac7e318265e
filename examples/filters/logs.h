/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files that a log filter reads: those named on its command line, or else every regular file of /logs in
 * the order of their names. Directories below /logs are not entered.
 */
#ifndef BERTH_EXAMPLES_LOGS_H
#define BERTH_EXAMPLES_LOGS_H

#include <stddef.h>

/* `descriptor` is open for reading, at its beginning, and is closed by the caller of the visitor. Returns 0,
 * or anything else to end the visit. */
typedef int logs_visit_fn(void *payload, int descriptor, const char *path);

/* Visits `n_paths` named files, or /logs if there are none. A file that cannot be opened is reported on
 * stderr and left out. Returns what the visitor returned, or the number of files that could not be read. */
int logs_each(char *const *paths, size_t n_paths, logs_visit_fn *visit, void *payload);

#endif
