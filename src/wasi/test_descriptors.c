/* SPDX-License-Identifier: Apache-2.0 */
/* The table of descriptors: numbers, limits, rights, and what is left on the host. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "wasi/preview1.h"
#include "wasi/test_guest.h"

static const struct test_setup writable = {.writable = true};

static void numbers_are_the_lowest_free_from_three_on(void **state)
{
    (void)state;
    struct test_guest g;
    uint32_t fd;
    test_guest_start(&g, &writable);
    host_file(&g, "f", "x");
    for (uint32_t i = 0; i < 20; i++) {
        assert_int_equal(guest_open(&g, 3, "f", 0, RIGHTS_FD_READ, &fd), 0);
        assert_int_equal(fd, 4 + i);
    }
    assert_int_equal(guest_call(&g, fd_close, 9), 0);
    assert_int_equal(guest_call(&g, fd_close, 7), 0);
    assert_int_equal(guest_call(&g, fd_close, 7), ERRNO_BADF);
    assert_int_equal(guest_open(&g, 3, "f", 0, RIGHTS_FD_READ, &fd), 0);
    assert_int_equal(fd, 7);
    /* Output meant for a closed stdout must not land in a file. */
    assert_int_equal(guest_call(&g, fd_close, 1), 0);
    assert_int_equal(guest_open(&g, 3, "f", 0, RIGHTS_FD_READ, &fd), 0);
    assert_int_equal(fd, 9);
    assert_int_equal(guest_write(&g, 1, "x"), ERRNO_BADF);
    test_guest_end(&g);
}

static void the_limit_of_open_files_is_exact_and_said(void **state)
{
    (void)state;
    struct test_guest g;
    uint32_t fd;
    test_guest_start(&g, &(struct test_setup){.writable = true, .max_open_files = 10});
    host_file(&g, "f", "x");
    unsigned before = host_open_descriptors();
    for (int i = 0; i < 10; i++)
        assert_int_equal(guest_open(&g, 3, "f", 0, RIGHTS_FD_READ, &fd), 0);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(guest_open(&g, 3, "new", OFLAGS_CREAT, RIGHTS_FD_READ, NULL), ERRNO_MFILE);
    assert_false(host_exists(&g, "new"));
    assert_string_equal(g.denial, "limits.open_files|path_open|one more|10 open files|open_files = 21");
    assert_int_equal(host_open_descriptors(), before + 10);
    assert_int_equal(guest_call(&g, fd_close, fd), 0);
    assert_int_equal(guest_open(&g, 3, "f", 0, RIGHTS_FD_READ, &fd), 0);
    test_guest_end(&g);
}

static void renumbering_two_thousand_times_leaks_nothing(void **state)
{
    (void)state;
    struct test_guest g;
    uint32_t a, b;
    test_guest_start(&g, &writable);
    host_file(&g, "f", "x");
    unsigned before = host_open_descriptors();
    assert_int_equal(guest_open(&g, 3, "f", 0, RIGHTS_FD_READ, &a), 0);
    for (int i = 0; i < 2000; i++) {
        assert_int_equal(guest_open(&g, 3, "f", 0, RIGHTS_FD_READ, &b), 0);
        assert_int_equal(guest_call(&g, fd_renumber, b, a), 0);
    }
    assert_int_equal(host_open_descriptors(), before + 1);
    assert_int_equal(guest_call(&g, fd_renumber, a, a), 0);
    assert_int_equal(guest_call(&g, fd_renumber, a, 60), ERRNO_BADF);
    assert_int_equal(guest_call(&g, fd_renumber, 60, a), ERRNO_BADF);
    assert_int_equal(guest_call(&g, fd_renumber, a, UINT32_MAX), ERRNO_BADF);
    assert_int_equal(guest_read(&g, a, 1, NULL), 0);
    assert_int_equal(guest_call(&g, fd_close, a), 0);
    assert_int_equal(host_open_descriptors(), before);
    test_guest_end(&g);
}

static void streams_and_preopens_can_be_closed_and_renumbered(void **state)
{
    (void)state;
    struct test_guest g;
    uint32_t fd, directory;
    test_guest_start(&g, &writable);
    unsigned before = host_open_descriptors();
    assert_int_equal(guest_open(&g, 3, ".", OFLAGS_DIRECTORY, ALL_RIGHTS & ~RIGHTS_FD_WRITE, &directory), 0);
    for (uint32_t stream = 0; stream < 3; stream++) {
        assert_int_equal(guest_open(&g, directory, "f", OFLAGS_CREAT, ALL_RIGHTS, &fd), 0);
        assert_int_equal(guest_call(&g, fd_renumber, stream, fd), 0);
        assert_int_equal(guest_call(&g, fd_fdstat_get, stream, AT_RESULT), ERRNO_BADF);
        assert_int_equal(guest_call(&g, fd_fdstat_get, fd, AT_RESULT), 0);
    }
    assert_int_equal(guest_write(&g, fd, "to stderr"), 0);
    assert_int_equal(g.streams[2].length, 9);
    assert_int_equal(guest_call(&g, fd_renumber, directory, 3), 0);
    assert_int_equal(guest_call(&g, fd_prestat_get, 3, AT_RESULT), ERRNO_BADF);
    assert_int_equal(guest_stat(&g, 3, 0, "f"), 0);
    assert_int_equal(guest_call(&g, fd_close, 3), 0);
    assert_int_equal(guest_stat(&g, 3, 0, "f"), ERRNO_BADF);
    assert_int_equal(host_open_descriptors(), before);
    test_guest_end(&g);
}

static void a_closed_preopen_does_not_close_the_mount(void **state)
{
    (void)state;
    struct test_guest g;
    char names[64];
    test_guest_start(&g, &writable);
    struct wasi_context *first = g.context;
    assert_int_equal(guest_list(&g, 3, 4096, names, sizeof names), 0);
    assert_int_equal(guest_call(&g, fd_close, 3), 0);
    g.context = test_guest_second_context(&g);
    assert_int_equal(guest_stat(&g, 3, 0, "."), 0);
    wasi_context_free(g.context);
    g.context = first;
    test_guest_end(&g);
}

static void preopens_are_found_as_a_libc_finds_them(void **state)
{
    (void)state;
    struct test_guest g;
    test_guest_start(&g, &(struct test_setup){.two_mounts = true});
    assert_int_equal(guest_call(&g, fd_prestat_get, 3, AT_RESULT), 0);
    assert_int_equal(g.memory.data[AT_RESULT], PREOPENTYPE_DIR);
    assert_int_equal(load_u32(g.memory.data + AT_RESULT + 4), 1);
    assert_int_equal(guest_call(&g, fd_prestat_get, 4, AT_RESULT), 0);
    assert_int_equal(load_u32(g.memory.data + AT_RESULT + 4), 7);
    assert_int_equal(guest_call(&g, fd_prestat_get, 5, AT_RESULT), ERRNO_BADF);
    assert_int_equal(guest_call(&g, fd_prestat_get, 0, AT_RESULT), ERRNO_BADF);
    memset(g.memory.data + AT_BUFFER, '#', 10);
    assert_int_equal(guest_call(&g, fd_prestat_dir_name, 4, AT_BUFFER, 6), ERRNO_NAMETOOLONG);
    assert_int_equal(guest_call(&g, fd_prestat_dir_name, 4, AT_BUFFER, 9), 0);
    assert_memory_equal(g.memory.data + AT_BUFFER, "/second##", 9);
    test_guest_end(&g);
}

static void rights_shrink_and_what_shrank_is_enforced(void **state)
{
    (void)state;
    struct test_guest g;
    uint32_t fd, directory;
    test_guest_start(&g, &writable);
    uint64_t rights = RIGHTS_FD_READ | RIGHTS_FD_WRITE | RIGHTS_FD_SEEK;
    assert_int_equal(guest_open(&g, 3, "f", OFLAGS_CREAT, rights, &fd), 0);
    assert_int_equal(guest_write(&g, fd, "x"), 0);
    assert_int_equal(guest_call(&g, fd_fdstat_set_rights, fd, RIGHTS_FD_SEEK, 0), 0);
    assert_int_equal(guest_write(&g, fd, "x"), ERRNO_NOTCAPABLE);
    assert_int_equal(guest_read(&g, fd, 1, NULL), ERRNO_NOTCAPABLE);
    assert_int_equal(guest_call(&g, fd_fdstat_set_rights, fd, rights, 0), ERRNO_NOTCAPABLE);
    assert_int_equal(guest_call(&g, fd_filestat_get, fd, AT_RESULT), ERRNO_NOTCAPABLE);
    /* A directory hands on no more than it may. */
    assert_int_equal(guest_open_full(&g, 3, 0, ".", OFLAGS_DIRECTORY, ALL_RIGHTS & ~RIGHTS_FD_WRITE,
                                     RIGHTS_FD_READ, 0, &directory),
                     0);
    assert_int_equal(guest_open(&g, directory, "f", 0, rights, &fd), 0);
    assert_int_equal(guest_call(&g, fd_fdstat_get, fd, AT_RESULT), 0);
    assert_int_equal(load_u64(g.memory.data + AT_RESULT + FDSTAT_BASE), RIGHTS_FD_READ);
    assert_int_equal(guest_write(&g, fd, "x"), ERRNO_NOTCAPABLE);
    /* Nor one that lost the right to. */
    static const uint64_t rights_of_paths[] = {
        RIGHTS_PATH_OPEN,
        RIGHTS_PATH_CREATE_FILE,
        RIGHTS_PATH_FILESTAT_SET_SIZE,
        RIGHTS_PATH_CREATE_DIRECTORY,
        RIGHTS_PATH_UNLINK_FILE,
        RIGHTS_PATH_FILESTAT_GET,
    };
    for (size_t i = 0; i < sizeof rights_of_paths / sizeof rights_of_paths[0]; i++) {
        assert_int_equal(
            guest_open(&g, 3, ".", OFLAGS_DIRECTORY, RIGHTS_OF_DIRECTORY & ~rights_of_paths[i], &directory),
            0);
        assert_int_equal(guest_open(&g, directory, "n", OFLAGS_CREAT | OFLAGS_TRUNC, 0, NULL),
                         i < 3 ? ERRNO_NOTCAPABLE : 0);
        assert_int_equal(guest_mkdir(&g, directory, "f"), i == 3 ? ERRNO_NOTCAPABLE : ERRNO_EXIST);
        assert_int_equal(guest_stat(&g, directory, 0, "f"), i == 5 ? ERRNO_NOTCAPABLE : 0);
        assert_int_equal(guest_unlink(&g, directory, "missing"), i == 4 ? ERRNO_NOTCAPABLE : ERRNO_NOENT);
    }
    test_guest_end(&g);
}

static void directories_are_not_files(void **state)
{
    (void)state;
    struct test_guest g;
    uint32_t fd;
    test_guest_start(&g, &writable);
    assert_int_equal(guest_read(&g, 3, 10, NULL), ERRNO_ISDIR);
    assert_int_equal(guest_write(&g, 3, "x"), ERRNO_ISDIR);
    assert_int_equal(guest_call(&g, fd_pread, 3, AT_IOVEC, 1, 0, AT_RESULT), ERRNO_ISDIR);
    assert_int_equal(guest_call(&g, fd_pwrite, 3, AT_IOVEC, 1, 0, AT_RESULT), ERRNO_ISDIR);
    assert_int_equal(guest_call(&g, fd_seek, 3, 0, WHENCE_CUR, AT_RESULT), ERRNO_ISDIR);
    assert_int_equal(guest_call(&g, fd_tell, 3, AT_RESULT), ERRNO_ISDIR);
    assert_int_equal(guest_call(&g, fd_allocate, 3, 0, 1), ERRNO_ISDIR);
    assert_int_equal(guest_call(&g, fd_filestat_set_size, 3, 0), ERRNO_ISDIR);
    assert_int_equal(guest_open(&g, 3, "f", OFLAGS_CREAT, ALL_RIGHTS, &fd), 0);
    assert_int_equal(guest_open(&g, fd, "x", OFLAGS_CREAT, 0, NULL), ERRNO_NOTDIR);
    assert_int_equal(guest_call(&g, fd_readdir, fd, AT_BUFFER, 10, 0, AT_RESULT), ERRNO_NOTDIR);
    test_guest_end(&g);
}

static void appending_is_kept_switched_and_reported(void **state)
{
    (void)state;
    struct test_guest g;
    uint32_t fd;
    test_guest_start(&g, &writable);
    assert_int_equal(
        guest_open_full(&g, 3, 0, "f", OFLAGS_CREAT, ALL_RIGHTS, 0, FDFLAGS_APPEND | FDFLAGS_SYNC, &fd), 0);
    assert_int_equal(guest_call(&g, fd_fdstat_get, fd, AT_RESULT), 0);
    assert_int_equal(load_u16(g.memory.data + AT_RESULT + FDSTAT_FLAGS), FDFLAGS_APPEND | FDFLAGS_SYNC);
    assert_int_equal(guest_write(&g, fd, "ab"), 0);
    assert_int_equal(guest_call(&g, fd_seek, fd, 0, WHENCE_SET, AT_RESULT), 0);
    assert_int_equal(guest_write(&g, fd, "cd"), 0);
    assert_int_equal(host_size(&g, "f"), 4);
    assert_int_equal(guest_call(&g, fd_fdstat_set_flags, fd, 0), ERRNO_NOTSUP);
    assert_int_equal(guest_call(&g, fd_fdstat_set_flags, fd, FDFLAGS_SYNC), 0);
    assert_int_equal(guest_call(&g, fd_seek, fd, 0, WHENCE_SET, AT_RESULT), 0);
    assert_int_equal(guest_write(&g, fd, "xy"), 0);
    assert_int_equal(host_size(&g, "f"), 4);
    test_guest_end(&g);
}

static void a_context_is_small_and_opens_nothing(void **state)
{
    (void)state;
    enum { N = 1000 };
    struct test_guest g;
    struct wasi_context *contexts[N];
    test_guest_start(&g, &writable);
    unsigned before = host_open_descriptors();
    for (int i = 0; i < N; i++)
        contexts[i] = test_guest_second_context(&g);
    assert_int_equal(host_open_descriptors(), before);
    for (int i = 0; i < N; i++)
        wasi_context_free(contexts[i]);
    test_guest_end(&g);
}

static void mounts_are_opened_all_or_none(void **state)
{
    (void)state;
    static const char *const bad[] = {"!x"};
    struct wasi_mounts *mounts;
    size_t failed = 99;
    unsigned before = host_open_descriptors();
    struct wasi_mount_options options[] = {
        {.guest = "/", .host = "/tmp", .descriptor = -1},
        {.guest = "/x", .host = "/this/is/not/there", .descriptor = -1},
    };
    assert_int_equal(wasi_mounts_new(options, 2, -1, &mounts, &failed), -ENOENT);
    assert_int_equal(failed, 1);
    options[1] = (struct wasi_mount_options){.guest = "relative", .host = "/tmp", .descriptor = -1};
    assert_int_equal(wasi_mounts_new(options, 2, -1, &mounts, &failed), -EINVAL);
    options[0] =
        (struct wasi_mount_options){.guest = "/", .host = "/tmp", .descriptor = -1, .hide = bad, .n_hide = 1};
    assert_int_equal(wasi_mounts_new(options, 1, -1, &mounts, &failed), -EINVAL);
    assert_int_equal(failed, 0);
    options[0] = (struct wasi_mount_options){.guest = "/", .host = "/etc/passwd", .descriptor = -1};
    assert_int_equal(wasi_mounts_new(options, 1, -1, &mounts, &failed), -ENOTDIR);
    assert_int_equal(host_open_descriptors(), before);
    assert_int_equal(wasi_host_check(), 0);
    assert_int_equal(wasi_mounts_new(NULL, 0, -1, &mounts, &failed), 0);
    wasi_mounts_unref(mounts);
    wasi_mounts_unref(NULL);
    wasi_context_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_the_lowest_free_from_three_on),
        cmocka_unit_test(the_limit_of_open_files_is_exact_and_said),
        cmocka_unit_test(renumbering_two_thousand_times_leaks_nothing),
        cmocka_unit_test(streams_and_preopens_can_be_closed_and_renumbered),
        cmocka_unit_test(a_closed_preopen_does_not_close_the_mount),
        cmocka_unit_test(preopens_are_found_as_a_libc_finds_them),
        cmocka_unit_test(rights_shrink_and_what_shrank_is_enforced),
        cmocka_unit_test(directories_are_not_files),
        cmocka_unit_test(appending_is_kept_switched_and_reported),
        cmocka_unit_test(a_context_is_small_and_opens_nothing),
        cmocka_unit_test(mounts_are_opened_all_or_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
