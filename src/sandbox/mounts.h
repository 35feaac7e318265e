/* SPDX-License-Identifier: Apache-2.0 */
/* The mounts of a contract, opened: a public handle on what the WASI library shares between its contexts. */
#ifndef BERTH_SANDBOX_MOUNTS_H
#define BERTH_SANDBOX_MOUNTS_H

#include <berth/run.h>

#include "wasi/wasi.h"

/* Borrowed. NULL gives NULL. */
struct wasi_mounts *mounts_wasi(berth_mounts *mounts);

#endif
