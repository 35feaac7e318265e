/* SPDX-License-Identifier: Apache-2.0 */
/* See guest_errno.h. One table; what is not in it means that something is wrong with the host: ERRNO_IO. */
#include "wasi/guest_errno.h"

#include <errno.h>
#include <stddef.h>

static const struct {
    int host;
    int guest;
} errnos[] = {
    {ENOENT, ERRNO_NOENT},
    {EACCES, ERRNO_ACCES},
    {EPERM, ERRNO_PERM},
    {EEXIST, ERRNO_EXIST},
    {EINVAL, ERRNO_INVAL},
    {ENOTDIR, ERRNO_NOTDIR},
    {EISDIR, ERRNO_ISDIR},
    {EBADF, ERRNO_BADF},
    {EAGAIN, ERRNO_AGAIN},
    {EBUSY, ERRNO_BUSY},
    {EDQUOT, ERRNO_DQUOT},
    {EFBIG, ERRNO_FBIG},
    {EILSEQ, ERRNO_ILSEQ},
    {EINTR, ERRNO_INTR},
    {EIO, ERRNO_IO},
    {ELOOP, ERRNO_LOOP},
    {EMFILE, ERRNO_MFILE},
    {EMLINK, ERRNO_MLINK},
    {ENFILE, ERRNO_NFILE},
    {ENAMETOOLONG, ERRNO_NAMETOOLONG},
    {ENODEV, ERRNO_NODEV},
    {ENOMEM, ERRNO_NOMEM},
    {ENOSPC, ERRNO_NOSPC},
    {ENOSYS, ERRNO_NOSYS},
    {ENOTEMPTY, ERRNO_NOTEMPTY},
    {EOPNOTSUPP, ERRNO_NOTSUP},
    {ENXIO, ERRNO_NXIO},
    {EOVERFLOW, ERRNO_OVERFLOW},
    {EPIPE, ERRNO_PIPE},
    {ERANGE, ERRNO_RANGE},
    {EROFS, ERRNO_ROFS},
    {ESPIPE, ERRNO_SPIPE},
    {ESTALE, ERRNO_STALE},
    {ETIMEDOUT, ERRNO_TIMEDOUT},
    {ETXTBSY, ERRNO_TXTBSY},
    {EXDEV, ERRNO_XDEV},
};

int guest_errno(int host_errno)
{
    int wanted = host_errno < 0 ? -host_errno : host_errno;
    for (size_t i = 0; i < sizeof errnos / sizeof errnos[0]; i++)
        if (errnos[i].host == wanted)
            return errnos[i].guest;
    return ERRNO_IO;
}
