/* SPDX-License-Identifier: Apache-2.0 */
/* Where a node keeps what it remembers: node_state_directory() of node.h. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/text.h"
#include "node/node.h"

static const char *environment(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

static bool append_default(struct text *path)
{
    const char *given = environment("STATE_DIRECTORY"), *home;
    if (given) { /* of systemd: StateDirectory=; the first of a list */
        text_append_bytes(path, given, strcspn(given, ":"));
        return true;
    }
    if ((home = environment("XDG_STATE_HOME")) && *home == '/')
        text_append_format(path, "%s/berth", home);
    else if ((home = environment("HOME")) && *home == '/')
        text_append_format(path, "%s/.local/state/berth", home);
    else
        return false;
    return true;
}

/* Like mkdir -p; what is made is for this user alone. */
static int make_path(char *path)
{
    for (char *slash = strchr(path + 1, '/');; slash = strchr(slash + 1, '/')) {
        if (slash)
            *slash = '\0';
        int made = mkdir(path, 0700), failure = made < 0 ? -errno : 0;
        if (slash)
            *slash = '/';
        if (failure < 0 && failure != -EEXIST && failure != -EROFS && failure != -EACCES)
            return failure;
        if (!slash) {
            struct stat status;
            if (failure == 0)
                return 0;
            if (stat(path, &status) < 0)
                return failure == -EEXIST ? -errno : failure;
            return S_ISDIR(status.st_mode) ? 0 : -ENOTDIR;
        }
    }
}

/* Two processes must mean the same directory, whatever their working directory. */
static int make_absolute(struct text *path, const char *configured)
{
    cleanup_free char *here = NULL;
    if (*configured != '/') {
        if (!(here = getcwd(NULL, 0)))
            return -errno;
        text_append_format(path, "%s/", here);
    }
    text_append(path, configured);
    return 0;
}

int node_state_directory(const char *configured, bool make, char **ret)
{
    cleanup_text struct text path = {0};
    int r = 0;
    if (configured && *configured)
        r = make_absolute(&path, configured);
    else if (!append_default(&path))
        r = -ENOENT;
    if (r < 0)
        return r;
    cleanup_free char *result = text_take(&path);
    if (!result)
        return -ENOMEM;
    for (size_t length = strlen(result); length > 1 && result[length - 1] == '/'; length--)
        result[length - 1] = '\0';
    if (make && (r = make_path(result)) < 0)
        return r;
    *ret = take_ptr(result);
    return 0;
}
