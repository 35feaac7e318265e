/* SPDX-License-Identifier: Apache-2.0 */
/* See module_file.h. */
#include "cli/module_file.h"

#include <errno.h>
#include <string.h>

#include "cli/exit_status.h"
#include "cli/file.h"
#include "cli/output.h"

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

int module_file_read(const char *path, struct module_file *ret)
{
    cleanup_free char *shown = quoted(path);
    *ret = (struct module_file){.name = base_name(path)};
    int r = file_read(path, MODULE_FILE_MAX_BYTES, &ret->bytes, &ret->size_bytes);
    switch (r) {
    case 0:
        return STATUS_OK;
    case -ENOMEM:
        return fail(NULL, STATUS_FAILURE);
    case -ENOENT:
    case -ENOTDIR:
        message("there is no module %s", shown ? shown : "");
        return STATUS_NOT_FOUND;
    case -EFBIG:
        message("module %s is larger than %d MiB", shown ? shown : "", MODULE_FILE_MAX_BYTES >> 20);
        return STATUS_REFUSED;
    default:
        message("module %s cannot be read: %s", shown ? shown : "", strerror(-r));
        return STATUS_REFUSED;
    }
}

void module_file_done(struct module_file *file)
{
    free(file->bytes);
    *file = (struct module_file){0};
}
