/* SPDX-License-Identifier: Apache-2.0 */
/* Read-only means read-only: through every function, by every way to name a file, before any effect. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "wasi/preview1.h"
#include "wasi/test_guest.h"

/* A picture of everything that a write would change: names, sizes, times. */
static void picture(struct test_guest *g, char *text, size_t size)
{
    static const char *const names[] = {".", "dir", "dir/file", "file", "link", "empty"};
    struct stat status;
    char path[256];
    size_t used = 0;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", g->root, names[i]);
        assert_int_equal(lstat(path, &status), 0);
        used += (size_t)snprintf(text + used, size - used, "%s %lld %lu %lld.%09ld %lld.%09ld\n", names[i],
                                 (long long)status.st_size, (unsigned long)status.st_nlink,
                                 (long long)status.st_mtim.tv_sec, status.st_mtim.tv_nsec,
                                 (long long)status.st_ctim.tv_sec, status.st_ctim.tv_nsec);
    }
}

static void start(struct test_guest *g)
{
    test_guest_start(g, &(struct test_setup){0});
    host_directory(g, "dir");
    host_directory(g, "empty");
    host_file(g, "dir/file", "contents");
    host_file(g, "file", "contents");
    host_symlink(g, "dir", "link");
}

static void every_path_function_is_refused_by_every_name(void **state)
{
    (void)state;
    static const char *const names[] = {"dir/file",     "link/file",   "./dir/./file", "dir/../dir/file",
                                        "dir/new",      "link/new",    "file",         "new",
                                        "missing/file", "dir/../file", "empty/",       "empty"};
    struct test_guest g;
    char before[2048], after[2048];
    start(&g);
    picture(&g, before, sizeof before);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *name = names[i];
        assert_int_equal(guest_open(&g, 3, name, 0, RIGHTS_FD_WRITE, NULL), ERRNO_ROFS);
        assert_int_equal(guest_open(&g, 3, name, 0, RIGHTS_FD_READ | RIGHTS_FD_WRITE, NULL), ERRNO_ROFS);
        assert_int_equal(guest_open(&g, 3, name, OFLAGS_CREAT, RIGHTS_FD_READ, NULL), ERRNO_ROFS);
        assert_int_equal(guest_open(&g, 3, name, OFLAGS_CREAT | OFLAGS_EXCL, 0, NULL), ERRNO_ROFS);
        assert_int_equal(guest_open(&g, 3, name, OFLAGS_TRUNC, RIGHTS_FD_READ, NULL), ERRNO_ROFS);
        assert_int_equal(guest_open(&g, 3, name, OFLAGS_TRUNC, 0, NULL), ERRNO_ROFS);
        assert_int_equal(guest_mkdir(&g, 3, name), ERRNO_ROFS);
        assert_int_equal(guest_rmdir(&g, 3, name), ERRNO_ROFS);
        assert_int_equal(guest_unlink(&g, 3, name), ERRNO_ROFS);
        assert_int_equal(guest_symlink(&g, "x", 3, name), ERRNO_ROFS);
        assert_int_equal(guest_link(&g, 3, name, 3, "new"), ERRNO_ROFS);
        assert_int_equal(guest_link(&g, 3, "file", 3, name), ERRNO_ROFS);
        assert_int_equal(guest_rename(&g, 3, name, 3, "new"), ERRNO_ROFS);
        assert_int_equal(guest_rename(&g, 3, "file", 3, name), ERRNO_ROFS);
        assert_int_equal(guest_set_times(&g, 3, 0, name, 1, 1, FSTFLAGS_MTIM), ERRNO_ROFS);
        assert_int_equal(guest_set_times(&g, 3, 1, name, 1, 1, FSTFLAGS_ATIM_NOW), ERRNO_ROFS);
    }
    picture(&g, after, sizeof after);
    assert_string_equal(before, after);
    assert_int_equal(wasi_context_usage(g.context)->denials, 12 * 16);
    test_guest_end(&g);
}

static void every_descriptor_function_is_refused(void **state)
{
    (void)state;
    struct test_guest g;
    char before[2048], after[2048];
    uint32_t fd, directory;
    start(&g);
    picture(&g, before, sizeof before);
    uint64_t all_but_writing = ALL_RIGHTS & ~RIGHTS_FD_WRITE;
    assert_int_equal(guest_open(&g, 3, "file", 0, all_but_writing, &fd), 0);
    assert_int_equal(guest_open(&g, 3, "dir", 0, all_but_writing, &directory), 0);
    assert_int_equal(guest_write(&g, fd, "x"), ERRNO_ROFS);
    assert_int_equal(guest_call(&g, fd_pwrite, fd, AT_IOVEC, 1, 0, AT_RESULT), ERRNO_ROFS);
    assert_int_equal(guest_call(&g, fd_allocate, fd, 0, 100), ERRNO_ROFS);
    assert_int_equal(guest_call(&g, fd_filestat_set_size, fd, 0), ERRNO_ROFS);
    assert_int_equal(guest_call(&g, fd_filestat_set_times, fd, 1, 1, FSTFLAGS_MTIM), ERRNO_ROFS);
    assert_int_equal(guest_call(&g, fd_filestat_set_times, directory, 1, 1, FSTFLAGS_MTIM_NOW), ERRNO_ROFS);
    assert_int_equal(guest_call(&g, fd_filestat_set_times, 3, 1, 1, FSTFLAGS_MTIM), ERRNO_ROFS);
    assert_int_equal(guest_call(&g, fd_fdstat_set_flags, fd, FDFLAGS_APPEND), ERRNO_ROFS);
    assert_int_equal(guest_open(&g, directory, "file", OFLAGS_TRUNC, 0, NULL), ERRNO_ROFS);
    assert_int_equal(guest_open(&g, directory, "new", OFLAGS_CREAT, 0, NULL), ERRNO_ROFS);
    assert_int_equal(guest_unlink(&g, directory, "file"), ERRNO_ROFS);
    assert_int_equal(guest_rename(&g, directory, "file", 3, "new"), ERRNO_ROFS);
    assert_int_equal(guest_call(&g, fd_sync, fd), 0);
    assert_int_equal(guest_call(&g, fd_datasync, fd), 0);
    picture(&g, after, sizeof after);
    assert_string_equal(before, after);
    test_guest_end(&g);
}

/* What libcs ask for when they open for reading, and when they open for writing. */
static void a_libc_that_opens_for_reading_gets_what_reading_needs(void **state)
{
    (void)state;
    struct test_guest g;
    uint32_t fd;
    start(&g);
    assert_int_equal(guest_call(&g, fd_fdstat_get, 3, AT_RESULT), 0);
    uint64_t base = load_u64(g.memory.data + AT_RESULT + FDSTAT_BASE);
    uint64_t inheriting = load_u64(g.memory.data + AT_RESULT + FDSTAT_INHERITING);
    assert_int_equal(base & RIGHTS_WRITING, 0);
    uint64_t writing =
        RIGHTS_FD_DATASYNC | RIGHTS_FD_WRITE | RIGHTS_FD_ALLOCATE | RIGHTS_FD_FILESTAT_SET_SIZE;
    assert_int_equal(guest_open(&g, 3, "file", 0, inheriting & ~writing, &fd), 0);
    assert_int_equal(guest_call(&g, fd_fdstat_get, fd, AT_RESULT), 0);
    base = load_u64(g.memory.data + AT_RESULT + FDSTAT_BASE);
    assert_int_equal(base & RIGHTS_WRITING, 0);
    assert_true(base & RIGHTS_FD_READ && base & RIGHTS_FD_SEEK && base & RIGHTS_FD_FILESTAT_GET);
    /* Everything but the right to write itself is taken away in silence; that one is an answer. */
    assert_int_equal(guest_open(&g, 3, "file", 0, ALL_RIGHTS & ~RIGHTS_FD_WRITE, &fd), 0);
    assert_int_equal(guest_open(&g, 3, "file", 0, inheriting & ~(uint64_t)RIGHTS_FD_READ, NULL), ERRNO_ROFS);
    assert_string_equal(g.denial,
                        "grants.mount.mode|path_open \"file\" in \"/\"|a write|reading|mode = \"write\"");
    /* What it did not get it cannot take. */
    assert_int_equal(guest_call(&g, fd_fdstat_set_rights, fd, base | RIGHTS_FD_WRITE, 0), ERRNO_NOTCAPABLE);
    assert_int_equal(guest_call(&g, fd_fdstat_set_rights, 3, RIGHTS_OF_DIRECTORY, 0), ERRNO_NOTCAPABLE);
    test_guest_end(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_path_function_is_refused_by_every_name),
        cmocka_unit_test(every_descriptor_function_is_refused),
        cmocka_unit_test(a_libc_that_opens_for_reading_gets_what_reading_needs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
