/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a whole file that somebody named on the command line. */
#ifndef BERTH_CLI_FILE_H
#define BERTH_CLI_FILE_H

#include <stddef.h>

/* The bytes of the file, at most `maximum_bytes` of them. Pipes are read to their end. Returns 0, or a
 * negative errno: -EFBIG if there is more, -EISDIR. The caller frees *ret. */
int file_read(const char *path, size_t maximum_bytes, char **ret, size_t *ret_length);

#endif
