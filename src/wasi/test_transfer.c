/* SPDX-License-Identifier: Apache-2.0 */
/* Vectors, streams, random bytes, arguments: moving data between a guest and the outside. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "wasi/preview1.h"
#include "wasi/test_guest.h"

static void put_iovec(struct test_guest *g, uint32_t at, uint32_t index, uint32_t address, uint32_t size)
{
    store_u32(g->memory.data + at + index * IOVEC_SIZE, address);
    store_u32(g->memory.data + at + index * IOVEC_SIZE + 4, size);
}

static void vectors_of_up_to_1024_items_are_moved_and_no_more(void **state)
{
    (void)state;
    struct test_guest g;
    uint32_t fd;
    test_guest_start(&g, &(struct test_setup){.writable = true});
    assert_int_equal(guest_open(&g, 3, "f", OFLAGS_CREAT, ALL_RIGHTS, &fd), 0);
    for (uint32_t i = 0; i < 1025; i++) {
        g.memory.data[AT_BUFFER + i] = (uint8_t)i;
        put_iovec(&g, AT_IOVEC, i, AT_BUFFER + i, 1);
    }
    assert_int_equal(guest_call(&g, fd_write, fd, AT_IOVEC, 1025, AT_RESULT), ERRNO_INVAL);
    assert_int_equal(guest_call(&g, fd_write, fd, AT_IOVEC, 1024, AT_RESULT), 0);
    assert_int_equal(guest_result_u32(&g), 1024);
    assert_int_equal(guest_call(&g, fd_write, fd, AT_IOVEC, 0, AT_RESULT), 0);
    assert_int_equal(guest_result_u32(&g), 0);
    assert_int_equal(guest_call(&g, fd_pread, fd, AT_IOVEC, 1025, 0, AT_RESULT), ERRNO_INVAL);
    assert_int_equal(guest_call(&g, fd_write, fd, AT_IOVEC, UINT32_MAX, AT_RESULT), FAULTED);
    assert_int_equal(host_size(&g, "f"), 1024);
    test_guest_end(&g);
}

/* That the streams of the tests are never given more than WASI_STREAM_VECTOR_MAX items is asserted in them.
 */
static void a_stream_is_given_no_longer_vector_than_it_was_promised(void **state)
{
    (void)state;
    for (int deterministic = 0; deterministic < 2; deterministic++) {
        struct test_guest g;
        test_guest_start(&g, &(struct test_setup){.deterministic = deterministic});
        for (uint32_t i = 0; i < 1024; i++)
            put_iovec(&g, AT_IOVEC, i, AT_BUFFER + i, 1);
        assert_int_equal(guest_call(&g, fd_write, 1, AT_IOVEC, 1024, AT_RESULT), 0);
        assert_int_equal(guest_result_u32(&g), WASI_STREAM_VECTOR_MAX);
        assert_int_equal(g.streams[1].length, WASI_STREAM_VECTOR_MAX);
        g.streams[0].length = 1024;
        assert_int_equal(guest_call(&g, fd_read, 0, AT_IOVEC, 1024, AT_RESULT), 0);
        assert_int_equal(guest_result_u32(&g), deterministic ? 1024 : WASI_STREAM_VECTOR_MAX);
        test_guest_end(&g);
    }
}

static void a_read_that_overwrites_its_own_vector_follows_the_vector_as_it_was(void **state)
{
    (void)state;
    struct test_guest g;
    uint32_t fd;
    char contents[65] = {0};
    test_guest_start(&g, &(struct test_setup){0});
    memset(contents, '\xfe', 64);
    host_file(&g, "f", contents);
    assert_int_equal(guest_open(&g, 3, "f", 0, RIGHTS_FD_READ, &fd), 0);
    /* The first item covers the array itself; what the second would become points outside. */
    put_iovec(&g, AT_IOVEC, 0, AT_IOVEC, 16);
    put_iovec(&g, AT_IOVEC, 1, AT_BUFFER, 48);
    assert_int_equal(guest_call(&g, fd_read, fd, AT_IOVEC, 2, AT_RESULT), 0);
    assert_int_equal(guest_result_u32(&g), 64);
    assert_memory_equal(g.memory.data + AT_IOVEC, contents, 16);
    assert_memory_equal(g.memory.data + AT_BUFFER, contents, 48);
    /* The result inside of the buffer is written last. */
    put_iovec(&g, AT_IOVEC, 0, AT_BUFFER, 64);
    assert_int_equal(guest_call(&g, fd_pread, fd, AT_IOVEC, 1, 0, AT_BUFFER + 8), 0);
    assert_int_equal(load_u32(g.memory.data + AT_BUFFER + 8), 64);
    assert_memory_equal(g.memory.data + AT_BUFFER + 12, contents, 52);
    test_guest_end(&g);
}

static void overlapping_items_and_sums_beyond_32_bits_move_what_fits(void **state)
{
    (void)state;
    struct test_guest g;
    uint32_t fd;
    test_guest_start(&g, &(struct test_setup){.writable = true});
    assert_int_equal(guest_open(&g, 3, "f", OFLAGS_CREAT, ALL_RIGHTS, &fd), 0);
    for (uint32_t i = 0; i < 1024; i++)
        put_iovec(&g, AT_IOVEC, i, 0, GUEST_MEMORY_SIZE);
    assert_int_equal(guest_call(&g, fd_write, fd, AT_IOVEC, 1024, AT_RESULT), 0);
    assert_int_equal(guest_result_u32(&g), 1 << 20);
    assert_int_equal(guest_call(&g, fd_write, 1, AT_IOVEC, 1024, AT_RESULT), 0);
    assert_int_equal(guest_result_u32(&g), 65536);
    put_iovec(&g, AT_IOVEC, 1000, 1, GUEST_MEMORY_SIZE);
    assert_int_equal(guest_call(&g, fd_write, fd, AT_IOVEC, 1024, AT_RESULT), FAULTED);
    assert_string_equal(wasi_context_fault(g.context),
                        "fd_write: iovec 1000 at 0x1, 4194304 bytes, lies outside of memory (4194304 bytes)");
    assert_int_equal(host_size(&g, "f"), 1 << 20);
    test_guest_end(&g);
}

static void a_fault_comes_before_any_effect(void **state)
{
    (void)state;
    struct test_guest g;
    uint32_t fd;
    test_guest_start(&g, &(struct test_setup){.writable = true});
    assert_int_equal(guest_open(&g, 3, "f", OFLAGS_CREAT, ALL_RIGHTS, &fd), 0);
    put_iovec(&g, AT_IOVEC, 0, AT_BUFFER, 10);
    assert_int_equal(guest_call(&g, fd_write, fd, AT_IOVEC, 1, GUEST_MEMORY_SIZE - 3), FAULTED);
    assert_int_equal(guest_call(&g, fd_write, fd, AT_IOVEC, 1, AT_RESULT + 1), FAULTED);
    assert_int_equal(guest_call(&g, fd_write, fd, AT_IOVEC + 2, 1, AT_RESULT), FAULTED);
    assert_int_equal(host_size(&g, "f"), 0);
    guest_string(&g, AT_PATH, "new");
    assert_int_equal(
        guest_call(&g, path_open, 3, 0, AT_PATH, 3, OFLAGS_CREAT, ALL_RIGHTS, 0, 0, GUEST_MEMORY_SIZE),
        FAULTED);
    assert_false(host_exists(&g, "new"));
    test_guest_end(&g);
}

static void output_is_taken_whole_or_waited_for(void **state)
{
    (void)state;
    struct test_guest g;
    test_guest_start(&g, &(struct test_setup){0});
    g.streams[1].room = 8;
    assert_int_equal(guest_write(&g, 1, "12345"), 0);
    assert_int_equal(guest_result_u32(&g), 5);
    assert_int_equal(guest_write(&g, 1, "6789"), WAITS);
    assert_int_equal(wasi_context_wait(g.context)->sources, 2);
    assert_true(wasi_context_wait(g.context)->deadline_ns == UINT64_MAX);
    assert_int_equal(g.streams[1].length, 5);
    g.streams[1].length = 0;
    assert_int_equal(guest_write(&g, 1, "6789"), 0);
    assert_memory_equal(g.streams[1].data, "6789", 4);
    assert_int_equal(wasi_context_usage(g.context)->calls, 2);
    assert_int_equal(wasi_context_usage(g.context)->written_bytes, 0);
    /* A full stream takes an empty write. */
    g.streams[1].blocked = true;
    assert_int_equal(guest_write(&g, 1, ""), 0);
    test_guest_end(&g);
}

static void a_stream_that_ends_is_told_apart_from_one_that_fails(void **state)
{
    (void)state;
    struct test_guest g;
    uint32_t size;
    test_guest_start(&g, &(struct test_setup){0});
    assert_int_equal(guest_read(&g, 0, 10, NULL), WAITS);
    assert_int_equal(wasi_context_wait(g.context)->sources, 1);
    g.streams[0].ended = true;
    assert_int_equal(guest_read(&g, 0, 10, &size), 0);
    assert_int_equal(size, 0);
    g.streams[0].error = -EIO;
    assert_int_equal(guest_read(&g, 0, 10, NULL), ERRNO_IO);
    assert_int_equal(guest_read(&g, 0, 0, &size), 0);
    g.streams[1].error = -EPIPE;
    assert_int_equal(guest_write(&g, 1, "x"), ERRNO_PIPE);
    g.streams[2].error = WASI_STREAM_LIMIT;
    assert_int_equal(guest_write(&g, 2, "x"), 1000 + WASI_LIMIT);
    test_guest_end(&g);
}

static void a_stream_that_must_not_block_says_again(void **state)
{
    (void)state;
    struct test_guest g;
    test_guest_start(&g, &(struct test_setup){0});
    assert_int_equal(guest_call(&g, fd_fdstat_set_flags, 0, FDFLAGS_NONBLOCK), 0);
    assert_int_equal(guest_read(&g, 0, 10, NULL), ERRNO_AGAIN);
    assert_int_equal(guest_call(&g, fd_fdstat_set_flags, 0, FDFLAGS_APPEND), ERRNO_INVAL);
    assert_int_equal(guest_call(&g, fd_fdstat_set_flags, 0, 32), ERRNO_INVAL);
    test_guest_end(&g);
}

static void streams_have_no_position_and_only_one_direction(void **state)
{
    (void)state;
    struct test_guest g;
    test_guest_start(&g, &(struct test_setup){0});
    put_iovec(&g, AT_IOVEC, 0, AT_BUFFER, 1);
    for (uint32_t fd = 0; fd < 3; fd++) {
        assert_int_equal(guest_call(&g, fd_seek, fd, 0, WHENCE_CUR, AT_RESULT), ERRNO_SPIPE);
        assert_int_equal(guest_call(&g, fd_tell, fd, AT_RESULT), ERRNO_SPIPE);
        assert_int_equal(guest_call(&g, fd_pread, fd, AT_IOVEC, 1, 0, AT_RESULT), ERRNO_SPIPE);
        assert_int_equal(guest_call(&g, fd_pwrite, fd, AT_IOVEC, 1, 0, AT_RESULT), ERRNO_SPIPE);
        assert_int_equal(guest_call(&g, fd_sync, fd), ERRNO_INVAL);
        assert_int_equal(guest_call(&g, sock_shutdown, fd, 0), ERRNO_NOTSOCK);
        assert_int_equal(guest_open(&g, fd, "x", 0, 0, NULL), ERRNO_NOTDIR);
    }
    assert_int_equal(guest_write(&g, 0, "x"), ERRNO_NOTCAPABLE);
    assert_int_equal(guest_read(&g, 1, 1, NULL), ERRNO_NOTCAPABLE);
    assert_int_equal(guest_call(&g, sock_shutdown, 77, 0), ERRNO_BADF);
    test_guest_end(&g);
}

static void deterministic_reads_do_not_show_how_input_arrives(void **state)
{
    (void)state;
    struct test_guest g;
    uint32_t size;
    test_guest_start(&g, &(struct test_setup){.deterministic = true});
    for (int i = 0; i < 9; i++) {
        g.streams[0].data[0] = (char)('a' + i);
        g.streams[0].length = 1;
        assert_int_equal(guest_read(&g, 0, 10, NULL), WAITS);
    }
    memcpy(g.streams[0].data, "jkl", 3);
    g.streams[0].length = 3;
    assert_int_equal(guest_read(&g, 0, 10, &size), 0);
    assert_int_equal(size, 10);
    assert_memory_equal(g.memory.data + AT_BUFFER, "abcdefghij", 10);
    assert_int_equal(guest_read(&g, 0, 10, NULL), WAITS);
    g.streams[0].ended = true;
    assert_int_equal(guest_read(&g, 0, 10, &size), 0);
    assert_int_equal(size, 2);
    assert_memory_equal(g.memory.data + AT_BUFFER, "kl", 2);
    assert_int_equal(wasi_context_usage(g.context)->input_bytes, 12);
    test_guest_end(&g);
}

static void an_abandoned_call_leaves_nothing_behind(void **state)
{
    (void)state;
    struct test_guest g;
    uint32_t size;
    test_guest_start(&g, &(struct test_setup){.deterministic = true});
    g.streams[0].data[0] = 'a';
    g.streams[0].length = 1;
    assert_int_equal(guest_read(&g, 0, 10, NULL), WAITS);
    wasi_context_abandon_call(g.context);
    memcpy(g.streams[0].data, "0123456789", 10);
    g.streams[0].length = 10;
    assert_int_equal(guest_read(&g, 0, 10, &size), 0);
    assert_int_equal(size, 10);
    assert_memory_equal(g.memory.data + AT_BUFFER, "0123456789", 10);
    test_guest_end(&g);
}

static void large_random_requests_give_others_a_turn(void **state)
{
    (void)state;
    struct test_guest g;
    int turns = 0;
    test_guest_start(&g, &(struct test_setup){.random = WASI_RANDOM_OS});
    uint32_t r;
    while ((r = guest_call(&g, random_get, AT_BUFFER, 1 << 20)) == YIELDS)
        turns++;
    assert_int_equal(r, 0);
    assert_int_equal(turns, 15);
    assert_int_equal(wasi_context_usage(g.context)->calls, 1);
    assert_int_equal(guest_call(&g, random_get, 0, 0), 0);
    assert_int_equal(guest_call(&g, random_get, GUEST_MEMORY_SIZE, 0), 0);
    assert_int_equal(guest_call(&g, random_get, AT_BUFFER, UINT32_MAX), FAULTED);
    test_guest_end(&g);
}

static void seeded_random_bytes_are_the_same_every_time(void **state)
{
    (void)state;
    struct test_guest g;
    uint8_t first[100];
    for (int run = 0; run < 2; run++) {
        test_guest_start(&g, &(struct test_setup){.random = WASI_RANDOM_SEEDED});
        assert_int_equal(guest_call(&g, random_get, AT_BUFFER, sizeof first), 0);
        if (run)
            assert_memory_equal(g.memory.data + AT_BUFFER, first, sizeof first);
        memcpy(first, g.memory.data + AT_BUFFER, sizeof first);
        assert_int_equal(guest_call(&g, random_get, AT_BUFFER, sizeof first), 0);
        assert_memory_not_equal(g.memory.data + AT_BUFFER, first, sizeof first);
        test_guest_end(&g);
    }
}

static void what_is_not_granted_is_denied_with_the_line_that_would_allow_it(void **state)
{
    (void)state;
    struct test_guest g;
    test_guest_start(&g, &(struct test_setup){0});
    assert_int_equal(guest_call(&g, random_get, AT_BUFFER, 8), ERRNO_NOTSUP);
    assert_string_equal(g.denial, "grants.random|random_get|random bytes|none|random = \"os\"");
    assert_int_equal(guest_call(&g, clock_time_get, CLOCKID_REALTIME, 0, AT_RESULT), ERRNO_NOTSUP);
    assert_string_equal(g.denial, "grants.clock|clock_time_get|a clock|no clock|clock = \"coarse\"");
    assert_int_equal(guest_call(&g, clock_res_get, CLOCKID_MONOTONIC, AT_RESULT), ERRNO_NOTSUP);
    assert_int_equal(wasi_context_usage(g.context)->denials, 3);
    test_guest_end(&g);
}

static void arguments_and_environment_arrive_whole(void **state)
{
    (void)state;
    struct test_guest g;
    test_guest_start(&g, &(struct test_setup){0});
    const uint8_t *memory = g.memory.data;
    assert_int_equal(guest_call(&g, args_sizes_get, AT_RESULT, AT_RESULT + 4), 0);
    assert_int_equal(load_u32(memory + AT_RESULT), 2);
    assert_int_equal(load_u32(memory + AT_RESULT + 4), 17);
    assert_int_equal(guest_call(&g, args_get, AT_RESULT, AT_BUFFER), 0);
    assert_int_equal(load_u32(memory + AT_RESULT), AT_BUFFER);
    assert_int_equal(load_u32(memory + AT_RESULT + 4), AT_BUFFER + 8);
    assert_memory_equal(memory + AT_BUFFER, "program\0argument", 17);
    assert_int_equal(guest_call(&g, environ_sizes_get, AT_RESULT, AT_RESULT + 4), 0);
    assert_int_equal(load_u32(memory + AT_RESULT), 1);
    assert_int_equal(guest_call(&g, environ_get, AT_RESULT, AT_BUFFER), 0);
    assert_memory_equal(memory + AT_BUFFER, "NAME=VALUE", 11);
    assert_int_equal(guest_call(&g, args_get, AT_RESULT, GUEST_MEMORY_SIZE - 16), FAULTED);
    assert_int_equal(guest_call(&g, args_get, GUEST_MEMORY_SIZE - 4, AT_BUFFER), FAULTED);
    test_guest_end(&g);
}

static void a_guest_ends_itself_or_gives_way(void **state)
{
    (void)state;
    struct test_guest g;
    test_guest_start(&g, &(struct test_setup){0});
    assert_int_equal(guest_call(&g, sched_yield, 0), YIELDS);
    assert_int_equal(guest_call(&g, sched_yield, 0), 0);
    assert_int_equal(guest_call(&g, proc_exit, UINT32_MAX), 1000 + WASI_EXIT);
    assert_true(g.exit_code == UINT32_MAX);
    assert_int_equal(guest_call(&g, proc_raise, 6), FAULTED);
    assert_string_equal(wasi_context_fault(g.context), "proc_raise: the guest raised signal 6");
    test_guest_end(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_of_up_to_1024_items_are_moved_and_no_more),
        cmocka_unit_test(a_stream_is_given_no_longer_vector_than_it_was_promised),
        cmocka_unit_test(a_read_that_overwrites_its_own_vector_follows_the_vector_as_it_was),
        cmocka_unit_test(overlapping_items_and_sums_beyond_32_bits_move_what_fits),
        cmocka_unit_test(a_fault_comes_before_any_effect),
        cmocka_unit_test(output_is_taken_whole_or_waited_for),
        cmocka_unit_test(a_stream_that_ends_is_told_apart_from_one_that_fails),
        cmocka_unit_test(a_stream_that_must_not_block_says_again),
        cmocka_unit_test(streams_have_no_position_and_only_one_direction),
        cmocka_unit_test(deterministic_reads_do_not_show_how_input_arrives),
        cmocka_unit_test(an_abandoned_call_leaves_nothing_behind),
        cmocka_unit_test(large_random_requests_give_others_a_turn),
        cmocka_unit_test(seeded_random_bytes_are_the_same_every_time),
        cmocka_unit_test(what_is_not_granted_is_denied_with_the_line_that_would_allow_it),
        cmocka_unit_test(arguments_and_environment_arrive_whole),
        cmocka_unit_test(a_guest_ends_itself_or_gives_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
