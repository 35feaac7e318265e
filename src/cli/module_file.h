/* SPDX-License-Identifier: Apache-2.0 */
/* The module that somebody named on the command line. */
#ifndef BERTH_CLI_MODULE_FILE_H
#define BERTH_CLI_MODULE_FILE_H

#include <stddef.h>

enum { MODULE_FILE_MAX_BYTES = 64 << 20 };

struct module_file {
    const char *name; /* without the directory; borrowed from the path */
    char *bytes;
    size_t size_bytes;
};

/* Returns STATUS_OK, or an exit status after a message. */
int module_file_read(const char *path, struct module_file *ret);
void module_file_done(struct module_file *file);

#define cleanup_module_file cleanup(module_file_done)

#endif
