/* SPDX-License-Identifier: Apache-2.0 */
/* See identity_file.h. */
#include "node/front/identity_file.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"

#define UNFINISHED_NAME IDENTITY_FILE_NAME ".new"

static void wipe_secret(uint8_t (*secret)[IDENTITY_SECRET_BYTES])
{
    explicit_bzero(*secret, sizeof(*secret));
}

static int write_all(int file, const uint8_t *bytes, size_t size_bytes)
{
    while (size_bytes > 0) {
        ssize_t written = write(file, bytes, size_bytes);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return -errno;
        bytes += written;
        size_bytes -= (size_t)written;
    }
    return fsync(file) < 0 ? -errno : 0;
}

/* Under another name first, then renamed: a crash leaves the whole secret or none. */
static int write_secret(int directory, const uint8_t secret[static IDENTITY_SECRET_BYTES])
{
    (void)unlinkat(directory, UNFINISHED_NAME, 0);
    cleanup_close int file =
        openat(directory, UNFINISHED_NAME, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (file < 0)
        return -errno;
    int r = write_all(file, secret, IDENTITY_SECRET_BYTES);
    if (r == 0 && renameat(directory, UNFINISHED_NAME, directory, IDENTITY_FILE_NAME) < 0)
        r = -errno;
    if (r == 0 && fsync(directory) < 0)
        r = -errno;
    if (r < 0)
        (void)unlinkat(directory, UNFINISHED_NAME, 0);
    return r;
}

static berth_status make(int directory, const char *path, uint8_t secret[static IDENTITY_SECRET_BYTES],
                         berth_error **reterr)
{
    int r = identity_secret_new(secret);
    if (r == 0)
        r = write_secret(directory, secret);
    return r < 0 ? error_set_errno(reterr, r, "identity %s/" IDENTITY_FILE_NAME " cannot be made", path)
                 : BERTH_OK;
}

static berth_status check(int file, const char *path, berth_error **reterr)
{
    struct stat status;
    if (fstat(file, &status) < 0)
        return error_set_errno(reterr, -errno, "identity %s/" IDENTITY_FILE_NAME " cannot be read", path);
    if (!S_ISREG(status.st_mode) || status.st_size != IDENTITY_SECRET_BYTES)
        return error_set(reterr, BERTH_REFUSED,
                         "%s/" IDENTITY_FILE_NAME " is no identity: it is not a file of %d bytes", path,
                         IDENTITY_SECRET_BYTES);
    if (status.st_uid != geteuid())
        return error_set(reterr, BERTH_REFUSED, "identity %s/" IDENTITY_FILE_NAME " belongs to another user",
                         path);
    if (status.st_mode & 077)
        return error_set(reterr, BERTH_REFUSED,
                         "identity %s/" IDENTITY_FILE_NAME
                         " may be read by others (mode %04o): if nobody has, chmod "
                         "0600 makes it good again; otherwise remove it, and the node gets a new one",
                         path, status.st_mode & 07777U);
    return BERTH_OK;
}

static berth_status read_secret(int file, const char *path, uint8_t secret[static IDENTITY_SECRET_BYTES],
                                berth_error **reterr)
{
    berth_status status = check(file, path, reterr);
    if (status != BERTH_OK)
        return status;
    ssize_t got = pread(file, secret, IDENTITY_SECRET_BYTES, 0);
    if (got != IDENTITY_SECRET_BYTES)
        return error_set_errno(reterr, got < 0 ? -errno : -EIO,
                               "identity %s/" IDENTITY_FILE_NAME " cannot be read", path);
    return BERTH_OK;
}

berth_status identity_file_load(const char *state_directory, struct identity **ret, berth_error **reterr)
{
    uint8_t secret[IDENTITY_SECRET_BYTES] cleanup(wipe_secret) = {0};
    cleanup_close int directory = open(state_directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0)
        return error_set_errno(reterr, -errno, "state directory %s cannot be opened", state_directory);
    cleanup_close int file =
        openat(directory, IDENTITY_FILE_NAME, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    berth_status status;
    if (file >= 0)
        status = read_secret(file, state_directory, secret, reterr);
    else if (errno == ENOENT)
        status = make(directory, state_directory, secret, reterr);
    else
        status = error_set_errno(reterr, -errno, "identity %s/" IDENTITY_FILE_NAME " cannot be opened",
                                 state_directory);
    if (status != BERTH_OK)
        return status;
    int r = identity_new(secret, true, ret);
    return r < 0 ? error_set_errno(reterr, r, "identity %s/" IDENTITY_FILE_NAME " cannot be used",
                                   state_directory)
                 : BERTH_OK;
}
