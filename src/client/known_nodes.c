/* SPDX-License-Identifier: Apache-2.0 */
/* See known_nodes.h. What is known is read without the lock; it is taken to add a line, after which the file
 * is read once more. */
#include "client/known_nodes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/text.h"

enum { FILE_MAX_BYTES = 1 << 20, LINE_FIELDS = 5 };
enum { NOT_THERE = KNOWN_NODES_UNUSABLE + 1 };

static const char ed25519_word[] = "ed25519:";
static const char ml_dsa_word[] = "ml-dsa-65-sha256:";

/* ---- Reading ------------------------------------------------------------------------------------------- */

/* A file that is not there is an empty one. */
static int read_all(int fd, struct text *ret)
{
    char bytes[4096];
    for (;;) {
        ssize_t n = read(fd, bytes, sizeof(bytes));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            return ret->failed ? -ENOMEM : 0;
        if (ret->length + (size_t)n > FILE_MAX_BYTES)
            return -EFBIG;
        text_append_bytes(ret, bytes, (size_t)n);
    }
}

static bool word_read(const char *field, const char *word, uint8_t *ret, size_t size_bytes)
{
    size_t length = strlen(word);
    return strncmp(field, word, length) == 0 && hex_read(field + length, ret, size_bytes) == 0;
}

/* Takes the line apart in place. *ret_address points into it. False if it is no such line. */
static bool line_read(char *line, const char **ret_address, struct node_keys *ret)
{
    char *fields[LINE_FIELDS + 1] = {0}, *rest = NULL;
    char peer_id[PEER_ID_CHARACTERS];
    size_t count = 0;
    for (char *field = strtok_r(line, " ", &rest); field; field = strtok_r(NULL, " ", &rest)) {
        if (count == LINE_FIELDS)
            return false;
        fields[count++] = field;
    }
    if (count != LINE_FIELDS || !word_read(fields[2], ed25519_word, ret->ed25519, sizeof(ret->ed25519)) ||
        !word_read(fields[3], ml_dsa_word, ret->ml_dsa_65_sha256, sizeof(ret->ml_dsa_65_sha256)))
        return false;
    peer_id_of_ed25519(ret->ed25519, peer_id);
    *ret_address = fields[0];
    return strcmp(fields[1], peer_id) == 0;
}

/* Every line is read, so that a file that was damaged does not look like one that knows nobody. Consumes the
 * text. 0, NOT_THERE or an outcome. */
static int find(char *contents, size_t length, const char *address, const struct node_keys *keys,
                struct known_nodes_finding *ret)
{
    int outcome = NOT_THERE;
    size_t number = 0;
    char *next = contents, *end = contents + length;
    while (next < end) {
        char *line = next, *newline = memchr(line, '\n', (size_t)(end - line));
        const char *found_address;
        struct node_keys found;
        next = newline ? newline + 1 : end;
        number++;
        if (newline)
            *newline = '\0';
        if (*line == '#' || newline == line)
            continue;
        if (strlen(line) != (size_t)((newline ? newline : end) - line) ||
            !line_read(line, &found_address, &found)) {
            ret->line = number;
            return KNOWN_NODES_UNUSABLE;
        }
        if (outcome != NOT_THERE || strcmp(found_address, address) != 0)
            continue;
        ret->line = number;
        ret->before = found;
        outcome = memcmp(&found, keys, sizeof(found)) == 0 ? 0 : KNOWN_NODES_CHANGED;
    }
    if (outcome == NOT_THERE)
        ret->line = number + 1;
    return outcome;
}

static int look(int fd, const char *address, const struct node_keys *keys, struct known_nodes_finding *ret,
                struct text *ret_contents)
{
    int r = read_all(fd, ret_contents);
    if (r < 0 || ret_contents->length == 0) {
        ret->line = 1;
        return r < 0 ? r : NOT_THERE;
    }
    cleanup_free char *copy = malloc(ret_contents->length + 1);
    if (!copy)
        return -ENOMEM;
    memcpy(copy, ret_contents->data, ret_contents->length + 1);
    return find(copy, ret_contents->length, address, keys, ret);
}

/* ---- Adding -------------------------------------------------------------------------------------------- */

/* The folders above the file, as far as they are missing. */
static int make_folders(const char *path)
{
    cleanup_free char *folder = strdup(path);
    if (!folder)
        return -ENOMEM;
    for (char *slash = strchr(folder + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(folder, 0700) < 0 && errno != EEXIST)
            return -errno;
        *slash = '/';
    }
    return 0;
}

/* The file under its lock. Another writer may have put a new file in its place while we waited. A descriptor,
 * or a negative errno. */
static int open_locked(const char *path)
{
    for (;;) {
        struct stat ours, theirs;
        cleanup_close int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);
        if (fd < 0)
            return -errno;
        while (flock(fd, LOCK_EX) < 0)
            if (errno != EINTR)
                return -errno;
        if (fstat(fd, &ours) < 0)
            return -errno;
        if (stat(path, &theirs) == 0 && ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino)
            return take_fd(&fd);
    }
}

static void append_line(struct text *contents, const char *address, const struct node_keys *keys)
{
    char peer_id[PEER_ID_CHARACTERS], ed25519[2 * ED25519_PUBLIC_KEY_BYTES + 1], ml_dsa[HASH_CHARACTERS];
    char date[] = "1970-01-01";
    time_t now = time(NULL);
    struct tm utc;
    peer_id_of_ed25519(keys->ed25519, peer_id);
    hex_write(keys->ed25519, sizeof(keys->ed25519), ed25519);
    hex_write(keys->ml_dsa_65_sha256, sizeof(keys->ml_dsa_65_sha256), ml_dsa);
    if (gmtime_r(&now, &utc) && utc.tm_year < 9999 - 1900)
        strftime(date, sizeof(date), "%Y-%m-%d", &utc);
    if (contents->length > 0 && contents->data[contents->length - 1] != '\n')
        text_append(contents, "\n");
    text_append_format(contents, "%s %s %s%s %s%s %s\n", address, peer_id, ed25519_word, ed25519, ml_dsa_word,
                       ml_dsa, date);
}

static int write_all(int fd, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t n = write(fd, bytes, length);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0) {
            bytes += n;
            length -= (size_t)n;
        }
    }
    return 0;
}

/* A whole new file in the place of the old one. */
static int replace(const char *path, const struct text *contents)
{
    cleanup_free char *temporary = NULL;
    if (asprintf(&temporary, "%s.XXXXXX", path) < 0)
        return -ENOMEM;
    cleanup_close int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int r = write_all(fd, contents->data, contents->length);
    if (r == 0 && (fsync(fd) < 0 || rename(temporary, path) < 0))
        r = -errno;
    if (r < 0)
        unlink(temporary);
    return r;
}

static int add(const char *path, const char *address, const struct node_keys *keys,
               struct known_nodes_finding *ret)
{
    cleanup_text struct text contents = {0};
    cleanup_free char *real = NULL;
    int r = make_folders(path);
    if (r < 0)
        return r;
    cleanup_close int fd = open_locked(path);
    if (fd < 0)
        return fd;
    r = look(fd, address, keys, ret, &contents);
    if (r != NOT_THERE)
        return r;
    /* A link to the file stays one. */
    real = realpath(path, NULL);
    append_line(&contents, address, keys);
    if (!real || contents.failed)
        return -ENOMEM;
    r = replace(real, &contents);
    return r < 0 ? r : KNOWN_NODES_ADDED;
}

int known_nodes_check(const char *path, const char *address, const struct node_keys *keys,
                      struct known_nodes_finding *ret)
{
    cleanup_text struct text contents = {0};
    cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    *ret = (struct known_nodes_finding){0};
    if (fd < 0 && errno != ENOENT)
        return -errno;
    int r = fd < 0 ? NOT_THERE : look(fd, address, keys, ret, &contents);
    return r == NOT_THERE ? add(path, address, keys, ret) : r;
}

int known_nodes_default_path(char **ret)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    int r;
    /* A relative one is to be ignored (XDG Base Directory Specification). */
    if (state && *state == '/')
        r = asprintf(ret, "%s/berth/known-nodes", state);
    else if (home && *home == '/')
        r = asprintf(ret, "%s/.local/state/berth/known-nodes", home);
    else
        return -ENOENT;
    if (r < 0)
        *ret = NULL;
    return r < 0 ? -ENOMEM : 0;
}
