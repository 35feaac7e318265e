/* SPDX-License-Identifier: Apache-2.0 */
/* What an honest guest does with files: the read side and the write side, as wasi-libc would. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "wasi/preview1.h"
#include "wasi/test_guest.h"

static void opens_reads_and_lists_on_a_read_only_mount(void **state)
{
    (void)state;
    struct test_guest g;
    uint32_t fd, size, directory;
    char names[256];
    test_guest_start(&g, &(struct test_setup){0});
    host_file(&g, "log", "hello");
    host_directory(&g, "sub");
    host_file(&g, "sub/inner", "x");

    assert_int_equal(guest_open(&g, 3, "log", 0, RIGHTS_FD_READ | RIGHTS_FD_SEEK, &fd), 0);
    assert_int_equal(fd, 4);
    assert_int_equal(guest_read(&g, fd, 100, &size), 0);
    assert_int_equal(size, 5);
    assert_memory_equal(g.memory.data + AT_BUFFER, "hello", 5);
    assert_int_equal(guest_read(&g, fd, 100, &size), 0);
    assert_int_equal(size, 0);
    assert_int_equal(guest_call(&g, fd_seek, fd, (uint64_t)-2, WHENCE_END, AT_RESULT), 0);
    assert_int_equal(guest_result_u64(&g), 3);
    assert_int_equal(guest_call(&g, fd_tell, fd, AT_RESULT), 0);
    assert_int_equal(guest_call(&g, fd_close, fd), 0);

    assert_int_equal(guest_open(&g, 3, "sub/", OFLAGS_DIRECTORY, ALL_RIGHTS & ~RIGHTS_FD_WRITE, &directory),
                     0);
    assert_int_equal(guest_open(&g, directory, "inner", 0, RIGHTS_FD_READ, &fd), 0);
    assert_int_equal(guest_stat(&g, 3, 0, "sub/inner"), 0);
    assert_int_equal(load_u64(g.memory.data + AT_RESULT + FILESTAT_LENGTH), 1);
    assert_int_equal(guest_list(&g, directory, 4096, names, sizeof names), 0);
    assert_non_null(strstr(names, "inner "));
    assert_non_null(strstr(names, ".. "));
    assert_int_equal(wasi_context_usage(g.context)->files_opened, 3);
    assert_int_equal(wasi_context_usage(g.context)->input_bytes, 5);
    test_guest_end(&g);
}

static void creates_writes_renames_and_removes(void **state)
{
    (void)state;
    struct test_guest g;
    uint32_t fd, size;
    test_guest_start(&g, &(struct test_setup){.writable = true});
    assert_int_equal(guest_mkdir(&g, 3, "d"), 0);
    assert_int_equal(guest_open(&g, 3, "d/f", OFLAGS_CREAT, ALL_RIGHTS, &fd), 0);
    assert_int_equal(guest_write(&g, fd, "abcdef"), 0);
    assert_int_equal(guest_result_u32(&g), 6);
    assert_int_equal(guest_call(&g, fd_seek, fd, 0, WHENCE_SET, AT_RESULT), 0);
    assert_int_equal(guest_read(&g, fd, 100, &size), 0);
    assert_int_equal(size, 6);
    assert_int_equal(guest_call(&g, fd_filestat_set_size, fd, 2), 0);
    assert_int_equal(host_size(&g, "d/f"), 2);
    assert_int_equal(guest_rename(&g, 3, "d/f", 3, "g"), 0);
    assert_int_equal(guest_link(&g, 3, "g", 3, "h"), 0);
    assert_int_equal(guest_symlink(&g, "g", 3, "s"), 0);
    assert_int_equal(guest_readlink(&g, 3, "s"), 0);
    assert_int_equal(guest_result_u32(&g), 1);
    assert_int_equal(guest_unlink(&g, 3, "h"), 0);
    assert_int_equal(guest_unlink(&g, 3, "s"), 0);
    assert_int_equal(guest_unlink(&g, 3, "g"), 0);
    assert_int_equal(guest_rmdir(&g, 3, "d"), 0);
    assert_int_equal(wasi_context_usage(g.context)->written_bytes, 6);
    assert_int_equal(g.n_denials, 0);
    test_guest_end(&g);
}

static void times_of_files_are_as_coarse_as_the_clock(void **state)
{
    (void)state;
    static const uint64_t shown_ns[] = {
        [WASI_CLOCK_NONE] = 5123000000, [WASI_CLOCK_COARSE] = 5123000000, [WASI_CLOCK_FINE] = 5123456789};
    for (enum wasi_clock_mode clock = WASI_CLOCK_NONE; clock <= WASI_CLOCK_FINE; clock++) {
        struct test_guest g;
        test_guest_start(&g, &(struct test_setup){.writable = true, .clock = clock});
        host_file(&g, "f", "x");
        assert_int_equal(
            guest_set_times(&g, 3, 0, "f", 5123456789, 5123456789, FSTFLAGS_ATIM | FSTFLAGS_MTIM), 0);
        assert_int_equal(guest_stat(&g, 3, 0, "f"), 0);
        assert_true(load_u64(g.memory.data + AT_RESULT + FILESTAT_MTIM) == shown_ns[clock]);
        assert_true(load_u64(g.memory.data + AT_RESULT + FILESTAT_ATIM) == shown_ns[clock]);
        assert_true(clock == WASI_CLOCK_FINE ||
                    load_u64(g.memory.data + AT_RESULT + FILESTAT_CTIM) % 1000000 == 0);
        test_guest_end(&g);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opens_reads_and_lists_on_a_read_only_mount),
        cmocka_unit_test(creates_writes_renames_and_removes),
        cmocka_unit_test(times_of_files_are_as_coarse_as_the_clock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
