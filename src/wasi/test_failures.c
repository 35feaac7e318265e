/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host fails: each allocation and each system call of a small program fails once, with each error that it
 * can fail with. The guest must get an errno, nothing may leak, and a quota must be what it was.
 *
 * The linker puts the functions below before those of the C library (--wrap); both names of those that have a
 * second one for large files.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "wasi/preview1.h"
#include "wasi/test_guest.h"

static struct {
    bool on;
    int countdown; /* the call that fails; 0: none */
    int error;
    bool failed;
} injected;

static bool fails(void)
{
    if (!injected.on || --injected.countdown != 0)
        return false;
    injected.failed = true;
    errno = injected.error;
    return true;
}

#define WRAP(type, failure, name, parameters, ...)               \
    type __real_##name parameters;                               \
    type __wrap_##name parameters;                               \
    type __wrap_##name parameters                                \
    {                                                            \
        return fails() ? (failure) : __real_##name(__VA_ARGS__); \
    }

WRAP(void *, NULL, malloc, (size_t size), size)
WRAP(void *, NULL, calloc, (size_t n, size_t size), n, size)
WRAP(void *, NULL, reallocarray, (void *p, size_t n, size_t size), p, n, size)
WRAP(char *, NULL, strdup, (const char *s), s)
WRAP(long, -1, syscall, (long n, long a, long b, long c, long d), n, a, b, c, d)
WRAP(int, -1, fstat, (int fd, struct stat *status), fd, status)
WRAP(int, -1, fstat64, (int fd, struct stat64 *status), fd, status)
WRAP(int, -1, fstatat, (int fd, const char *p, struct stat *s, int flags), fd, p, s, flags)
WRAP(int, -1, fstatat64, (int fd, const char *p, struct stat64 *s, int flags), fd, p, s, flags)
WRAP(ssize_t, -1, readv, (int fd, const struct iovec *v, int n), fd, v, n)
WRAP(ssize_t, -1, writev, (int fd, const struct iovec *v, int n), fd, v, n)
WRAP(ssize_t, -1, getdents64, (int fd, void *buffer, size_t size), fd, buffer, size)
WRAP(int, -1, mkdirat, (int fd, const char *p, mode_t mode), fd, p, mode)
WRAP(int, -1, symlinkat, (const char *target, int fd, const char *p), target, fd, p)
WRAP(int, -1, linkat, (int a, const char *p, int b, const char *q, int flags), a, p, b, q, flags)
WRAP(int, -1, renameat, (int a, const char *p, int b, const char *q), a, p, b, q)
WRAP(int, -1, unlinkat, (int fd, const char *p, int flags), fd, p, flags)
WRAP(int, -1, utimensat, (int fd, const char *p, const struct timespec *t, int flags), fd, p, t, flags)
WRAP(int, -1, ftruncate, (int fd, off_t size), fd, size)
WRAP(int, -1, ftruncate64, (int fd, off64_t size), fd, size)
WRAP(off_t, -1, lseek, (int fd, off_t offset, int whence), fd, offset, whence)
WRAP(off64_t, -1, lseek64, (int fd, off64_t offset, int whence), fd, offset, whence)

/* A program that does a little of everything and goes on after each failure. */
static void program(struct test_guest *g)
{
    uint32_t fd = UINT32_MAX, directory = UINT32_MAX, r[20], n = 0;
    char names[512];
    r[n++] = guest_mkdir(g, 3, "d");
    r[n++] = guest_open(g, 3, "d/f", OFLAGS_CREAT | OFLAGS_TRUNC, ALL_RIGHTS, &fd);
    r[n++] = guest_write(g, fd, "contents");
    r[n++] = guest_call(g, fd_seek, fd, 0, WHENCE_SET, AT_RESULT);
    r[n++] = guest_read(g, fd, 4, NULL);
    r[n++] = guest_call(g, fd_filestat_set_size, fd, 100);
    r[n++] = guest_symlink(g, "../d/f", 3, "d/s");
    r[n++] = guest_readlink(g, 3, "d/s");
    r[n++] = guest_stat(g, 3, 1, "d/s");
    r[n++] = guest_set_times(g, 3, 1, "d/s", 1, 1, FSTFLAGS_MTIM);
    r[n++] = guest_link(g, 3, "d/f", 3, "h");
    r[n++] = guest_rename(g, 3, "h", 3, "h2");
    r[n++] = guest_open(g, 3, "d", OFLAGS_DIRECTORY, RIGHTS_OF_DIRECTORY, &directory);
    r[n++] = guest_list(g, directory, 4096, names, sizeof names);
    r[n++] = guest_call(g, fd_close, fd);
    r[n++] = guest_unlink(g, 3, "d/../h2");
    r[n++] = guest_unlink(g, 3, "d/s");
    r[n++] = guest_unlink(g, 3, "d/f");
    r[n++] = guest_call(g, fd_close, directory);
    r[n++] = guest_rmdir(g, 3, "d");
    for (uint32_t i = 0; i < n; i++)
        assert_true(r[i] <= ERRNO_NOTCAPABLE);
}

static const int errors[] = {EIO, ENOSPC, ENOMEM, EMFILE, EINTR, EAGAIN, EACCES, EXDEV, ELOOP, EDQUOT};
enum { N_ERRORS = sizeof errors / sizeof errors[0] };

/* Which error a call fails with goes round with `shift`. */
static void run_all(const struct test_setup *setup, int shift)
{
    struct test_guest *g = calloc(1, sizeof *g);
    assert_non_null(g);
    for (int countdown = 1;; countdown++) {
        unsigned before = host_open_descriptors();
        test_guest_start(g, setup);
        injected.countdown = countdown;
        injected.error = errors[(countdown + shift) % N_ERRORS];
        injected.failed = false;
        injected.on = true;
        program(g);
        injected.on = false;
        test_guest_end(g);
        assert_int_equal(host_open_descriptors(), before);
        if (!injected.failed)
            break;
        assert_true(countdown < 2000);
    }
    free(g);
}

static void every_failure_is_answered(void **state)
{
    (void)state;
    for (int shift = 0; shift < N_ERRORS; shift += 5)
        run_all(&(struct test_setup){.writable = true}, shift);
}

static void every_failure_is_answered_with_hidden_names_and_a_quota(void **state)
{
    (void)state;
    static const char *const patterns[] = {"*.key", "/x/y"};
    for (int shift = 0; shift < N_ERRORS; shift += 5)
        run_all(&(struct test_setup){.writable = true, .quota_bytes = 1 << 20, .hide = patterns, .n_hide = 2},
                shift);
}

static void every_failure_is_answered_when_deterministic(void **state)
{
    (void)state;
    run_all(&(struct test_setup){.writable = true, .deterministic = true}, 0);
    run_all(&(struct test_setup){.writable = true, .deterministic = true}, 5);
}

static void mounts_and_contexts_that_cannot_be_made_leave_nothing(void **state)
{
    (void)state;
    static const char *const patterns[] = {"*.key", "/x/y"};
    static const char *const none[] = {NULL};
    struct wasi_mount_options options = {
        .guest = "/", .host = "/tmp", .descriptor = -1, .hide = patterns, .n_hide = 2};
    unsigned before = host_open_descriptors();
    for (int countdown = 1;; countdown++) {
        struct wasi_mounts *mounts = NULL;
        struct wasi_context *context = NULL;
        size_t failed;
        injected.countdown = countdown;
        injected.error = ENOMEM;
        injected.failed = false;
        injected.on = true;
        int r = wasi_mounts_new(&options, 1, -1, &mounts, &failed);
        if (!r)
            r = wasi_context_new(&(struct wasi_options){.args = none, .env = none, .mounts = mounts},
                                 &context);
        injected.on = false;
        assert_true(r == 0 || r == -ENOMEM);
        wasi_context_free(context);
        wasi_mounts_unref(mounts);
        assert_int_equal(host_open_descriptors(), before);
        if (!injected.failed)
            break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_failure_is_answered),
        cmocka_unit_test(every_failure_is_answered_with_hidden_names_and_a_quota),
        cmocka_unit_test(every_failure_is_answered_when_deterministic),
        cmocka_unit_test(mounts_and_contexts_that_cannot_be_made_leave_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
