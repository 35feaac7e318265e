/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A path as a guest passed it: copied, checked as text, trailing slashes taken off and remembered.
 *
 * That the text is fit for the kernel says nothing about where it leads; that is resolve.h.
 */
#ifndef BERTH_WASI_GUEST_PATH_H
#define BERTH_WASI_GUEST_PATH_H

#include <limits.h>

#include "wasi/call.h"

struct guest_path {
    size_t length;
    bool directory;      /* ended with a slash: only a directory will do */
    char text[PATH_MAX]; /* not empty, no NUL inside, UTF-8, no trailing slash unless it is "/" */
};

/* 0, ERRNO_NOENT (empty), ERRNO_NAMETOOLONG (PATH_MAX or longer), ERRNO_ILSEQ (a NUL inside, or not UTF-8),
 * or CALL_FAULT. */
int guest_path_import(struct call *call, uint32_t address, uint32_t length, struct guest_path *ret);

/* Whether the bytes are well-formed UTF-8 (Unicode 15, table 3-7) without NUL. */
bool guest_text_valid(const char *bytes, size_t length);

#endif
