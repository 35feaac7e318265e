/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cleanup by scope: a variable declared with one of these words is released when it leaves its block, so that
 * every return path is the right one. Hand ownership over with take_ptr() or take_fd() in the last line.
 */
#ifndef BERTH_BASE_CLEANUP_H
#define BERTH_BASE_CLEANUP_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define cleanup(function) __attribute__((cleanup(function)))

/* Declares `cleanup_NAME` for a pointer type with a free function that accepts NULL. */
#define DEFINE_CLEANUP(type, free_function)                   \
    static inline void free_function##_cleanup(type *pointer) \
    {                                                         \
        if (*pointer)                                         \
            free_function(*pointer);                          \
    }

static inline void cleanup_free_pointer(void *pointer)
{
    free(*(void **)pointer);
}

static inline int close_keeping_errno(int fd)
{
    if (fd >= 0) {
        int saved = errno;
        close(fd);
        errno = saved;
    }
    return -1;
}

static inline void cleanup_close_fd(const int *fd)
{
    close_keeping_errno(*fd);
}

static inline void cleanup_close_file(FILE **file)
{
    if (*file)
        fclose(*file);
}

#define cleanup_free   cleanup(cleanup_free_pointer)
#define cleanup_close  cleanup(cleanup_close_fd)
#define cleanup_fclose cleanup(cleanup_close_file)

#define take_ptr(pointer)                             \
    ({                                                \
        __typeof__(pointer) *take_from_ = &(pointer); \
        __typeof__(pointer) taken_ = *take_from_;     \
        *take_from_ = NULL;                           \
        taken_;                                       \
    })

static inline int take_fd(int *fd)
{
    int taken = *fd;
    *fd = -1;
    return taken;
}

#endif
