/* SPDX-License-Identifier: Apache-2.0 */
/* See test_guest.h. */
#include "wasi/test_guest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "wasi/preview1.h"

/* ---- Streams ---- */

static int stream_read(void *stream, const struct iovec *vector, int n_vector, size_t *ret_size)
{
    struct test_stream *s = stream;
    size_t moved = 0;
    assert_in_range(n_vector, 1, WASI_STREAM_VECTOR_MAX);
    if (s->error)
        return s->error;
    if (!s->length && !s->ended)
        return WASI_STREAM_BLOCKED;
    for (int i = 0; i < n_vector && moved < s->length; i++) {
        size_t left = s->length - moved;
        size_t used = vector[i].iov_len < left ? vector[i].iov_len : left;
        memcpy(vector[i].iov_base, s->data + moved, used);
        moved += used;
    }
    memmove(s->data, s->data + moved, s->length - moved);
    s->length -= moved;
    *ret_size = moved;
    return 0;
}

static int stream_write(void *stream, const struct iovec *vector, int n_vector)
{
    struct test_stream *s = stream;
    size_t total = 0;
    assert_in_range(n_vector, 1, WASI_STREAM_VECTOR_MAX);
    if (s->error)
        return s->error;
    for (int i = 0; i < n_vector; i++)
        total += vector[i].iov_len;
    assert_true(total <= 65536);
    if (s->blocked || s->length + total > s->room)
        return WASI_STREAM_BLOCKED;
    for (int i = 0; i < n_vector; i++) {
        memcpy(s->data + s->length, vector[i].iov_base, vector[i].iov_len);
        s->length += vector[i].iov_len;
    }
    return 0;
}

static bool stream_ready_to_read(void *stream, uint64_t *ret_bytes, bool *ret_hangup)
{
    struct test_stream *s = stream;
    *ret_bytes = s->length;
    *ret_hangup = s->ended && !s->length;
    return s->length || s->ended;
}

static bool stream_ready_to_write(void *stream, uint64_t *ret_bytes, bool *ret_hangup)
{
    struct test_stream *s = stream;
    *ret_bytes = s->room - s->length;
    *ret_hangup = s->error == -EPIPE;
    return !s->blocked && s->length < s->room;
}

static const struct wasi_stream_operations input = {
    .read = stream_read, .write = stream_write, .ready = stream_ready_to_read};
static const struct wasi_stream_operations output = {
    .read = stream_read, .write = stream_write, .ready = stream_ready_to_write};

/* ---- Start and end ---- */

static void note_denial(void *payload, const struct wasi_denial *denial)
{
    struct test_guest *guest = payload;
    guest->n_denials++;
    snprintf(guest->denial, sizeof guest->denial, "%s|%s|%s|%s|%s", denial->rule, denial->tried,
             denial->observed, denial->allowed, denial->remedy);
}

static bool note_event(void *payload, const char *text, size_t size_bytes)
{
    struct test_guest *guest = payload;
    assert_true(size_bytes < sizeof guest->event);
    if (guest->no_room)
        return false;
    if (size_bytes > 0)
        memcpy(guest->event, text, size_bytes);
    guest->event[size_bytes] = '\0';
    guest->event_length = size_bytes;
    guest->n_events++;
    return true;
}

static void note_change(void *payload)
{
    struct test_guest *guest = payload;
    guest->n_woken++;
}

static void memory_start(struct test_guest *guest)
{
    size_t page = 4096;
    uint8_t *pages = mmap(NULL, GUEST_MEMORY_SIZE + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(pages != MAP_FAILED);
    assert_int_equal(mprotect(pages + page, GUEST_MEMORY_SIZE, PROT_READ | PROT_WRITE), 0);
    guest->memory = (struct wasi_memory){.data = pages + page, .size = GUEST_MEMORY_SIZE};
}

static struct wasi_context *make_context(struct test_guest *guest, const struct test_setup *setup)
{
    static const char *const args[] = {"program", "argument", NULL};
    static const char *const env[] = {"NAME=VALUE", NULL};
    struct wasi_context *context;
    struct wasi_options options = {
        .args = args,
        .env = env,
        .mounts = guest->mounts,
        .clock = setup->clock,
        .random = setup->random,
        .random_seed = 7,
        .max_open_files = setup->max_open_files ? setup->max_open_files : 64,
        .deterministic = setup->deterministic,
        .on_denial = note_denial,
        .on_event = note_event,
        .payload = guest,
        .events = setup->events,
        .watch = setup->watch,
        .watches = guest->watches,
    };
    for (int i = 0; i < 3; i++)
        options.streams[i] =
            (struct wasi_stream){.operations = i ? &output : &input, .stream = &guest->streams[i]};
    assert_int_equal(wasi_context_new(&options, &context), 0);
    return context;
}

void test_guest_start(struct test_guest *guest, const struct test_setup *setup)
{
    char second[128];
    size_t failed;
    memset(guest, 0, sizeof *guest);
    memory_start(guest);
    for (int i = 0; i < 3; i++)
        guest->streams[i].room = sizeof guest->streams[i].data;
    snprintf(guest->above, sizeof guest->above, "/tmp/berth-wasi-XXXXXX");
    assert_non_null(mkdtemp(guest->above));
    snprintf(guest->root, sizeof guest->root, "%s/root", guest->above);
    snprintf(second, sizeof second, "%s/second", guest->above);
    assert_int_equal(mkdir(guest->root, 0755), 0);
    assert_int_equal(mkdir(second, 0755), 0);
    host_file(guest, "../secret", "secret");
    struct wasi_mount_options mounts[] = {
        {.guest = "/",
         .host = guest->root,
         .descriptor = -1,
         .writable = setup->writable,
         .hide = setup->hide,
         .n_hide = setup->n_hide,
         .quota_bytes = setup->quota_bytes},
        {.guest = "/second", .host = second, .descriptor = -1, .writable = true},
    };
    assert_int_equal(wasi_mounts_new(mounts, setup->two_mounts ? 2 : 1, -1, &guest->mounts, &failed), 0);
    if (setup->watch)
        assert_int_equal(wasi_watches_new(note_change, &guest->watches), 0);
    guest->context = make_context(guest, setup);
}

struct wasi_context *test_guest_second_context(struct test_guest *guest)
{
    return make_context(guest, &(struct test_setup){.watch = guest->watches});
}

void test_guest_end(struct test_guest *guest)
{
    wasi_context_free(guest->context);
    wasi_watches_free(guest->watches);
    wasi_mounts_unref(guest->mounts);
    munmap(guest->memory.data - 4096, GUEST_MEMORY_SIZE + 8192);
    host_remove_tree(guest->above);
}

/* ---- The host's side ---- */

static void host_path(const struct test_guest *guest, const char *name, char path[static 512])
{
    assert_true(snprintf(path, 512, "%s/%s", guest->root, name) < 512);
}

void host_file(struct test_guest *guest, const char *name, const char *contents)
{
    char path[512];
    host_path(guest, name, path);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(contents, file);
    fclose(file);
}

void host_directory(struct test_guest *guest, const char *name)
{
    char path[512];
    host_path(guest, name, path);
    assert_int_equal(mkdir(path, 0755), 0);
}

void host_symlink(struct test_guest *guest, const char *target, const char *name)
{
    char path[512];
    host_path(guest, name, path);
    assert_int_equal(symlink(target, path), 0);
}

bool host_exists(const struct test_guest *guest, const char *name)
{
    struct stat status;
    char path[512];
    host_path(guest, name, path);
    return lstat(path, &status) == 0;
}

uint64_t host_size(const struct test_guest *guest, const char *name)
{
    struct stat status;
    char path[512];
    host_path(guest, name, path);
    assert_int_equal(lstat(path, &status), 0);
    return (uint64_t)status.st_size;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *position)
{
    (void)status;
    (void)type;
    (void)position;
    return remove(path);
}

void host_remove_tree(const char *path)
{
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

unsigned host_open_descriptors(void)
{
    unsigned count = 0;
    DIR *directory = opendir("/proc/self/fd");
    assert_non_null(directory);
    while (readdir(directory))
        count++;
    closedir(directory);
    return count;
}

/* ---- The guest's side ---- */

uint32_t test_guest_call(struct test_guest *guest, enum wasi_function function, const uint64_t *arguments)
{
    uint32_t error = 12345;
    guest->result = wasi_call(guest->context, function, guest->memory, arguments, &error);
    if (guest->result == WASI_DONE)
        return error;
    guest->exit_code = error;
    return 1000 + (uint32_t)guest->result;
}

uint32_t guest_string(struct test_guest *guest, uint32_t address, const char *string)
{
    memcpy(guest->memory.data + address, string, strlen(string));
    return (uint32_t)strlen(string);
}

uint32_t guest_result_u32(const struct test_guest *guest)
{
    return load_u32(guest->memory.data + AT_RESULT);
}

uint64_t guest_result_u64(const struct test_guest *guest)
{
    return load_u64(guest->memory.data + AT_RESULT);
}

uint32_t guest_open_full(struct test_guest *guest, uint32_t dirfd, uint32_t lookup, const char *path,
                         uint32_t oflags, uint64_t rights, uint64_t inheriting, uint32_t fdflags,
                         uint32_t *ret_fd)
{
    uint32_t length = guest_string(guest, AT_PATH, path);
    uint32_t r = guest_call(guest, path_open, dirfd, lookup, AT_PATH, length, oflags, rights, inheriting,
                            fdflags, AT_RESULT);
    if (ret_fd)
        *ret_fd = r ? UINT32_MAX : guest_result_u32(guest);
    return r;
}

uint32_t guest_open(struct test_guest *guest, uint32_t dirfd, const char *path, uint32_t oflags,
                    uint64_t rights, uint32_t *ret_fd)
{
    return guest_open_full(guest, dirfd, 1, path, oflags, rights, ALL_RIGHTS, 0, ret_fd);
}

static void guest_iovec(struct test_guest *guest, uint32_t address, uint32_t size)
{
    store_u32(guest->memory.data + AT_IOVEC, address);
    store_u32(guest->memory.data + AT_IOVEC + 4, size);
}

uint32_t guest_write(struct test_guest *guest, uint32_t fd, const char *text)
{
    guest_iovec(guest, AT_BUFFER, guest_string(guest, AT_BUFFER, text));
    return guest_call(guest, fd_write, fd, AT_IOVEC, 1, AT_RESULT);
}

uint32_t guest_read(struct test_guest *guest, uint32_t fd, uint32_t size, uint32_t *ret_size)
{
    guest_iovec(guest, AT_BUFFER, size);
    uint32_t r = guest_call(guest, fd_read, fd, AT_IOVEC, 1, AT_RESULT);
    if (ret_size)
        *ret_size = r ? 0 : guest_result_u32(guest);
    return r;
}

uint32_t guest_stat(struct test_guest *guest, uint32_t dirfd, uint32_t lookup, const char *path)
{
    uint32_t length = guest_string(guest, AT_PATH, path);
    return guest_call(guest, path_filestat_get, dirfd, lookup, AT_PATH, length, AT_RESULT);
}

uint32_t guest_mkdir(struct test_guest *guest, uint32_t dirfd, const char *path)
{
    uint32_t length = guest_string(guest, AT_PATH, path);
    return guest_call(guest, path_create_directory, dirfd, AT_PATH, length);
}

uint32_t guest_rmdir(struct test_guest *guest, uint32_t dirfd, const char *path)
{
    uint32_t length = guest_string(guest, AT_PATH, path);
    return guest_call(guest, path_remove_directory, dirfd, AT_PATH, length);
}

uint32_t guest_unlink(struct test_guest *guest, uint32_t dirfd, const char *path)
{
    uint32_t length = guest_string(guest, AT_PATH, path);
    return guest_call(guest, path_unlink_file, dirfd, AT_PATH, length);
}

uint32_t guest_symlink(struct test_guest *guest, const char *target, uint32_t dirfd, const char *path)
{
    uint32_t length = guest_string(guest, AT_PATH, target);
    uint32_t length_2 = guest_string(guest, AT_PATH_2, path);
    return guest_call(guest, path_symlink, AT_PATH, length, dirfd, AT_PATH_2, length_2);
}

uint32_t guest_link(struct test_guest *guest, uint32_t dirfd, const char *from, uint32_t to_dirfd,
                    const char *to)
{
    uint32_t length = guest_string(guest, AT_PATH, from);
    uint32_t length_2 = guest_string(guest, AT_PATH_2, to);
    return guest_call(guest, path_link, dirfd, 0, AT_PATH, length, to_dirfd, AT_PATH_2, length_2);
}

uint32_t guest_rename(struct test_guest *guest, uint32_t dirfd, const char *from, uint32_t to_dirfd,
                      const char *to)
{
    uint32_t length = guest_string(guest, AT_PATH, from);
    uint32_t length_2 = guest_string(guest, AT_PATH_2, to);
    return guest_call(guest, path_rename, dirfd, AT_PATH, length, to_dirfd, AT_PATH_2, length_2);
}

uint32_t guest_readlink(struct test_guest *guest, uint32_t dirfd, const char *path)
{
    uint32_t length = guest_string(guest, AT_PATH, path);
    return guest_call(guest, path_readlink, dirfd, AT_PATH, length, AT_BUFFER, 4096, AT_RESULT);
}

uint32_t guest_set_times(struct test_guest *guest, uint32_t dirfd, uint32_t lookup, const char *path,
                         uint64_t atim, uint64_t mtim, uint32_t fstflags)
{
    uint32_t length = guest_string(guest, AT_PATH, path);
    return guest_call(guest, path_filestat_set_times, dirfd, lookup, AT_PATH, length, atim, mtim, fstflags);
}

/* Adds the whole entries of a buffer to the names; the cookie to go on from, or 0 if none was whole. */
static uint64_t take_entries(const uint8_t *bytes, uint32_t used, char *names, size_t size)
{
    uint64_t next = 0;
    for (uint32_t at = 0; at + DIRENT_SIZE <= used;) {
        uint32_t length = load_u32(bytes + at + DIRENT_NAMLEN);
        if (at + DIRENT_SIZE + length > used)
            break;
        size_t end = strlen(names);
        snprintf(names + end, size - end, "%.*s ", (int)length, (const char *)bytes + at + DIRENT_SIZE);
        next = load_u64(bytes + at + DIRENT_NEXT);
        at += DIRENT_SIZE + length;
    }
    return next;
}

uint32_t guest_list(struct test_guest *guest, uint32_t fd, uint32_t buffer_size, char *names, size_t size)
{
    uint64_t cookie = 0;
    names[0] = '\0';
    for (int i = 0; i < 100000; i++) {
        uint32_t r = guest_call(guest, fd_readdir, fd, AT_BUFFER, buffer_size, cookie, AT_RESULT);
        if (r == YIELDS)
            continue;
        if (r)
            return r;
        uint32_t used = guest_result_u32(guest);
        assert_true(used <= buffer_size);
        uint64_t next = take_entries(guest->memory.data + AT_BUFFER, used, names, size);
        if (used < buffer_size)
            return 0;
        if (!next)
            return ERRNO_INVAL; /* the buffer is too small for the entry */
        cookie = next;
    }
    return ERRNO_OVERFLOW;
}
