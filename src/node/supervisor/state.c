/* SPDX-License-Identifier: Apache-2.0 */
/* See state.h. */
#include "node/supervisor/state.h"

#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/text.h"
#include "node/node.h"

enum { WALK_DESCRIPTORS = 16 };

static char *join(const char *directory, const char *name)
{
    struct text path = {0};
    text_append_format(&path, "%s/%s", directory, name);
    return text_take(&path);
}

static berth_status make_directory(const char *configured, char **ret, berth_error **reterr)
{
    struct stat status;
    int r = node_state_directory(configured, true, ret);
    if (r == -ENOENT && !configured)
        return error_set(
            reterr, BERTH_NOT_FOUND,
            "there is no home to keep the node's state in: set node.state_directory, or use --state DIR");
    if (r < 0)
        return error_set_errno(reterr, r, "state directory%s%s cannot be made", configured ? " " : "",
                               configured ? configured : "");
    if (stat(*ret, &status) < 0)
        return error_set_errno(reterr, -errno, "state directory %s cannot be used", *ret);
    if (status.st_uid != geteuid() || (status.st_mode & 077))
        return error_set(
            reterr, BERTH_REFUSED,
            "state directory %s is open to others (mode %04o): the node's secret is in it; chmod 0700 "
            "makes it private",
            *ret, status.st_mode & 07777U);
    return BERTH_OK;
}

static void read_holder(int lock, char ret[static 16])
{
    ssize_t got = pread(lock, ret, 15, 0);
    ret[got < 0 ? 0 : got] = '\0';
    ret[strspn(ret, "0123456789")] = '\0';
}

static berth_status take_lock(struct state *state, berth_error **reterr)
{
    char pid[16];
    cleanup_free char *path = join(state->path, "lock");
    if (!path)
        return error_set_errno(reterr, -ENOMEM, "state directory %s cannot be used", state->path);
    state->lock = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (state->lock < 0)
        return error_set_errno(reterr, -errno, "state directory %s cannot be written", state->path);
    if (flock(state->lock, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK)
            return error_set_errno(reterr, -errno, "%s cannot be locked", path);
        read_holder(state->lock, pid);
        return error_set(reterr, BERTH_BUSY, "another node (process %s) is running with state directory %s",
                         *pid ? pid : "unknown", state->path);
    }
    int length = snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
    if (ftruncate(state->lock, 0) < 0 || pwrite(state->lock, pid, (size_t)length, 0) != length)
        return error_set_errno(reterr, -errno, "state directory %s cannot be written", state->path);
    return BERTH_OK;
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    (void)status;
    (void)kind;
    if (place->level > 0 && remove(path) < 0)
        return -1;
    return 0;
}

static berth_status open_inputs(struct state *state, berth_error **reterr)
{
    cleanup_free char *path = join(state->path, "inputs");
    if (!path)
        return error_set_errno(reterr, -ENOMEM, "state directory %s cannot be used", state->path);
    if ((mkdir(path, 0700) < 0 && errno != EEXIST) ||
        nftw(path, remove_entry, WALK_DESCRIPTORS, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) < 0)
        return error_set_errno(reterr, -errno, "%s cannot be emptied", path);
    state->inputs = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (state->inputs < 0)
        return error_set_errno(reterr, -errno, "%s cannot be opened", path);
    return BERTH_OK;
}

berth_status state_open(const char *configured, struct state *ret, berth_error **reterr)
{
    *ret = (struct state){.lock = -1, .inputs = -1};
    berth_status status = make_directory(configured, &ret->path, reterr);
    if (status == BERTH_OK)
        status = take_lock(ret, reterr);
    if (status == BERTH_OK)
        status = open_inputs(ret, reterr);
    if (status != BERTH_OK)
        state_close(ret);
    return status;
}

void state_close(struct state *state)
{
    close_keeping_errno(state->inputs);
    close_keeping_errno(state->lock);
    free(state->path);
    *state = (struct state){.lock = -1, .inputs = -1};
}
