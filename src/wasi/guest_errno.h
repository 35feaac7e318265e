/* SPDX-License-Identifier: Apache-2.0 */
/* What a guest is told when a system call failed. */
#ifndef BERTH_WASI_GUEST_ERRNO_H
#define BERTH_WASI_GUEST_ERRNO_H

#include "wasi/preview1.h"

/* The guest's errno for a host errno (positive or negative), never ERRNO_SUCCESS; ERRNO_IO for what has no
 * counterpart. */
int guest_errno(int host_errno);

#endif
