/* SPDX-License-Identifier: Apache-2.0 */
/* See file.h. */
#include "cli/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

enum { FIRST_CAPACITY = 64 * 1024 };

/* One byte more than the file has, so that its end is seen without growing. */
static size_t first_capacity(int fd, size_t maximum_bytes)
{
    struct stat about;
    size_t capacity = FIRST_CAPACITY;
    if (fstat(fd, &about) == 0 && S_ISREG(about.st_mode) && about.st_size > 0 &&
        (uint64_t)about.st_size < maximum_bytes)
        capacity = (size_t)about.st_size + 1;
    return capacity <= maximum_bytes ? capacity : maximum_bytes + 1;
}

int file_read(const char *path, size_t maximum_bytes, char **ret, size_t *ret_length)
{
    cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return -errno;
    size_t length = 0, capacity = first_capacity(fd, maximum_bytes);
    cleanup_free char *bytes = malloc(capacity);
    if (!bytes)
        return -ENOMEM;
    for (;;) {
        if (length == capacity) {
            capacity = capacity > maximum_bytes / 2 ? maximum_bytes + 1 : capacity * 2;
            char *grown = realloc(bytes, capacity);
            if (!grown)
                return -ENOMEM;
            bytes = grown;
        }
        ssize_t n = read(fd, bytes + length, capacity - length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        length += (size_t)n;
        if (length > maximum_bytes)
            return -EFBIG;
    }
    *ret = take_ptr(bytes);
    *ret_length = length;
    return 0;
}
