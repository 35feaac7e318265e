/* SPDX-License-Identifier: Apache-2.0 */
/* Opening files one after the other. The directory is read to its end before the first file is opened,
 * because the order in which a directory gives its names is nobody's order. */
#include "logs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char logs_directory[] = "/logs";

struct names {
    char **items;
    size_t count, capacity;
};

static void names_free(struct names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->items[i]);
    free(names->items);
}

static int names_add(struct names *names, const char *name)
{
    if (names->count == names->capacity) {
        size_t capacity = names->capacity ? 2 * names->capacity : 64;
        char **items = realloc(names->items, capacity * sizeof(*items));
        if (!items)
            return -ENOMEM;
        names->items = items;
        names->capacity = capacity;
    }
    size_t size = sizeof(logs_directory) + strlen(name) + 1;
    char *path = malloc(size);
    if (!path)
        return -ENOMEM;
    snprintf(path, size, "%s/%s", logs_directory, name);
    names->items[names->count++] = path;
    return 0;
}

static int names_compare(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

static int names_read(struct names *names)
{
    DIR *directory = opendir(logs_directory);
    if (!directory)
        return -errno;
    int r = 0;
    for (struct dirent *entry; r == 0 && (entry = readdir(directory));)
        r = names_add(names, entry->d_name);
    closedir(directory);
    if (names->count > 0)
        qsort(names->items, names->count, sizeof(*names->items), names_compare);
    return r;
}

/* What stands in the directory and is no file (a link may lead out of it) is nothing to complain of. */
static int is_regular(const char *path)
{
    struct stat status;
    return lstat(path, &status) == 0 && S_ISREG(status.st_mode);
}

/* Returns 0 or what the visitor returned; counts a file that cannot be read. */
static int visit_file(const char *path, logs_visit_fn *visit, void *payload, int *unreadable)
{
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        ++*unreadable;
        return 0;
    }
    int r = visit(payload, descriptor, path);
    close(descriptor);
    return r;
}

int logs_each(char *const *paths, size_t n_paths, logs_visit_fn *visit, void *payload)
{
    struct names names = {0};
    int named = n_paths > 0, unreadable = 0, r = 0;
    if (!named) {
        r = names_read(&names);
        if (r < 0) {
            fprintf(stderr, "%s: %s\n", logs_directory, strerror(-r));
            unreadable++;
            r = 0;
        }
        paths = names.items;
        n_paths = names.count;
    }
    for (size_t i = 0; i < n_paths && r == 0; i++)
        if (named || is_regular(paths[i]))
            r = visit_file(paths[i], visit, payload, &unreadable);
    names_free(&names);
    return r ? r : unreadable;
}
