/* SPDX-License-Identifier: Apache-2.0 */
/* The quota of a writable mount, to the byte. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "wasi/preview1.h"
#include "wasi/quota.h"
#include "wasi/test_guest.h"

enum { ENTRY = QUOTA_ENTRY_BYTES, LIMIT = 10 * ENTRY };

static const struct test_setup limited = {.writable = true, .quota_bytes = LIMIT};

/* How much more may be written, found by writing it to a file and taking it back. */
static uint64_t left(struct test_guest *g)
{
    uint32_t fd;
    uint64_t size = 0;
    if (guest_open(g, 3, "probe", OFLAGS_CREAT, ALL_RIGHTS, &fd))
        return 0;
    for (uint64_t step = LIMIT; step; step /= 2)
        while (guest_call(g, fd_filestat_set_size, fd, size + step) == 0)
            size += step;
    assert_int_equal(guest_call(g, fd_close, fd), 0);
    assert_int_equal(guest_unlink(g, 3, "probe"), 0);
    return size + ENTRY;
}

static uint32_t write_bytes(struct test_guest *g, uint32_t fd, uint32_t size, uint32_t *ret_written)
{
    store_u32(g->memory.data + AT_IOVEC, AT_BUFFER);
    store_u32(g->memory.data + AT_IOVEC + 4, size);
    uint32_t r = guest_call(g, fd_write, fd, AT_IOVEC, 1, AT_RESULT);
    *ret_written = r ? 0 : guest_result_u32(g);
    return r;
}

static void a_write_is_shortened_to_what_fits_before_it_fails(void **state)
{
    (void)state;
    struct test_guest g;
    uint32_t fd, written;
    test_guest_start(&g, &limited);
    assert_int_equal(guest_open(&g, 3, "f", OFLAGS_CREAT, ALL_RIGHTS, &fd), 0);
    assert_int_equal(write_bytes(&g, fd, LIMIT, &written), 0);
    assert_int_equal(written, LIMIT - ENTRY);
    assert_int_equal(write_bytes(&g, fd, 1, &written), ERRNO_DQUOT);
    assert_string_equal(g.denial,
                        "grants.mount.quota_mb|fd_write in \"/\"|growth beyond that|growth by 40960 "
                        "bytes|quota_mb = 1");
    assert_int_equal(write_bytes(&g, fd, 0, &written), 0);
    /* What is there may be overwritten, and the end of it not passed. */
    assert_int_equal(guest_call(&g, fd_seek, fd, (uint64_t)-10, WHENCE_END, AT_RESULT), 0);
    assert_int_equal(write_bytes(&g, fd, 100, &written), 0);
    assert_int_equal(written, 10);
    assert_int_equal(host_size(&g, "f"), LIMIT - ENTRY);
    assert_int_equal(wasi_context_usage(g.context)->written_bytes, LIMIT - ENTRY + 10);
    test_guest_end(&g);
}

static void holes_are_growth(void **state)
{
    (void)state;
    struct test_guest g;
    uint32_t fd;
    test_guest_start(&g, &limited);
    assert_int_equal(guest_open(&g, 3, "f", OFLAGS_CREAT, ALL_RIGHTS, &fd), 0);
    store_u32(g.memory.data + AT_IOVEC, AT_BUFFER);
    store_u32(g.memory.data + AT_IOVEC + 4, 10);
    assert_int_equal(guest_call(&g, fd_pwrite, fd, AT_IOVEC, 1, UINT64_C(1) << 40, AT_RESULT), ERRNO_DQUOT);
    assert_int_equal(guest_call(&g, fd_filestat_set_size, fd, UINT64_C(1) << 40), ERRNO_DQUOT);
    assert_int_equal(guest_call(&g, fd_filestat_set_size, fd, LIMIT - ENTRY + 1), ERRNO_DQUOT);
    assert_int_equal(host_size(&g, "f"), 0);
    assert_int_equal(guest_call(&g, fd_pwrite, fd, AT_IOVEC, 1, LIMIT - ENTRY - 4, AT_RESULT), 0);
    assert_int_equal(guest_result_u32(&g), 4);
    assert_int_equal(host_size(&g, "f"), LIMIT - ENTRY);
    assert_int_equal(guest_call(&g, fd_filestat_set_size, fd, 0), 0);
    assert_int_equal(left(&g), LIMIT - ENTRY);
    test_guest_end(&g);
}

static void appending_grows_from_the_end_wherever_the_position_is(void **state)
{
    (void)state;
    struct test_guest g;
    uint32_t fd, written;
    test_guest_start(&g, &limited);
    assert_int_equal(guest_open_full(&g, 3, 0, "f", OFLAGS_CREAT, ALL_RIGHTS, 0, FDFLAGS_APPEND, &fd), 0);
    for (int i = 0; i < 8; i++) {
        assert_int_equal(guest_call(&g, fd_seek, fd, 0, WHENCE_SET, AT_RESULT), 0);
        assert_int_equal(write_bytes(&g, fd, ENTRY, &written), 0);
    }
    assert_int_equal(left(&g), ENTRY);
    assert_int_equal(write_bytes(&g, fd, 2 * ENTRY, &written), 0);
    assert_int_equal(written, ENTRY);
    assert_int_equal(write_bytes(&g, fd, 1, &written), ERRNO_DQUOT);
    test_guest_end(&g);
}

static void every_entry_costs_and_comes_back(void **state)
{
    (void)state;
    struct test_guest g;
    uint32_t fd;
    char name[32];
    test_guest_start(&g, &limited);
    assert_int_equal(guest_mkdir(&g, 3, "d"), 0);
    assert_int_equal(guest_symlink(&g, "x", 3, "s"), 0);
    assert_int_equal(guest_open(&g, 3, "f", OFLAGS_CREAT, ALL_RIGHTS, &fd), 0);
    assert_int_equal(guest_link(&g, 3, "f", 3, "h"), 0);
    assert_int_equal(left(&g), LIMIT - 4 * ENTRY);
    for (int i = 0; i < 6; i++) {
        snprintf(name, sizeof name, "d/%d", i);
        assert_int_equal(guest_mkdir(&g, 3, name), 0);
    }
    assert_int_equal(guest_mkdir(&g, 3, "e"), ERRNO_DQUOT);
    assert_int_equal(guest_symlink(&g, "x", 3, "e"), ERRNO_DQUOT);
    assert_int_equal(guest_link(&g, 3, "f", 3, "e"), ERRNO_DQUOT);
    assert_int_equal(guest_open(&g, 3, "e", OFLAGS_CREAT, ALL_RIGHTS, NULL), ERRNO_DQUOT);
    assert_int_equal(guest_open(&g, 3, "f", OFLAGS_CREAT, ALL_RIGHTS, NULL), 0);
    assert_false(host_exists(&g, "e"));
    for (int i = 0; i < 6; i++) {
        snprintf(name, sizeof name, "d/%d", i);
        assert_int_equal(guest_rmdir(&g, 3, name), 0);
    }
    /* Failures cost nothing. */
    for (int i = 0; i < 20; i++) {
        assert_int_equal(guest_mkdir(&g, 3, "d"), ERRNO_EXIST);
        assert_int_equal(guest_symlink(&g, "x", 3, "s"), ERRNO_EXIST);
        assert_int_equal(guest_link(&g, 3, "f", 3, "h"), ERRNO_EXIST);
        assert_int_equal(guest_open(&g, 3, "f", OFLAGS_CREAT | OFLAGS_EXCL, ALL_RIGHTS, NULL), ERRNO_EXIST);
        assert_int_equal(guest_rmdir(&g, 3, "missing"), ERRNO_NOENT);
        assert_int_equal(guest_unlink(&g, 3, "missing"), ERRNO_NOENT);
    }
    assert_int_equal(left(&g), LIMIT - 4 * ENTRY);
    assert_int_equal(guest_unlink(&g, 3, "s"), 0);
    assert_int_equal(guest_unlink(&g, 3, "h"), 0);
    assert_int_equal(guest_unlink(&g, 3, "f"), 0);
    assert_int_equal(guest_rmdir(&g, 3, "d"), 0);
    assert_int_equal(left(&g), LIMIT);
    test_guest_end(&g);
}

static void a_file_without_a_name_counts_until_the_last_guest_closes_it(void **state)
{
    (void)state;
    struct test_guest g;
    uint32_t fd, again, written;
    test_guest_start(&g, &limited);
    struct wasi_context *first = g.context, *second = test_guest_second_context(&g);
    assert_int_equal(guest_open(&g, 3, "f", OFLAGS_CREAT, ALL_RIGHTS, &fd), 0);
    assert_int_equal(write_bytes(&g, fd, 5 * ENTRY, &written), 0);
    assert_int_equal(guest_link(&g, 3, "f", 3, "h"), 0);
    assert_int_equal(guest_unlink(&g, 3, "h"), 0);
    assert_int_equal(left(&g), LIMIT - 6 * ENTRY);
    g.context = second;
    assert_int_equal(guest_open(&g, 3, "f", 0, ALL_RIGHTS, &again), 0);
    g.context = first;
    assert_int_equal(guest_unlink(&g, 3, "f"), 0);
    assert_int_equal(left(&g), LIMIT - 5 * ENTRY);
    assert_int_equal(write_bytes(&g, fd, LIMIT, &written), 0);
    assert_int_equal(written, 5 * ENTRY);
    assert_int_equal(guest_call(&g, fd_close, fd), 0);
    assert_int_equal(left(&g), 0);
    wasi_context_free(second);
    assert_int_equal(left(&g), LIMIT);
    test_guest_end(&g);
}

static void replacing_by_rename_gives_back_what_was_replaced(void **state)
{
    (void)state;
    struct test_guest g;
    uint32_t fd, written;
    test_guest_start(&g, &limited);
    assert_int_equal(guest_open(&g, 3, "a", OFLAGS_CREAT, ALL_RIGHTS, &fd), 0);
    assert_int_equal(write_bytes(&g, fd, ENTRY, &written), 0);
    assert_int_equal(guest_call(&g, fd_close, fd), 0);
    assert_int_equal(guest_open(&g, 3, "b", OFLAGS_CREAT, ALL_RIGHTS, &fd), 0);
    assert_int_equal(write_bytes(&g, fd, 2 * ENTRY, &written), 0);
    assert_int_equal(guest_call(&g, fd_close, fd), 0);
    assert_int_equal(guest_rename(&g, 3, "a", 3, "c"), 0);
    assert_int_equal(left(&g), LIMIT - 5 * ENTRY);
    assert_int_equal(guest_rename(&g, 3, "c", 3, "b"), 0);
    assert_int_equal(left(&g), LIMIT - 2 * ENTRY);
    /* Two names of one file: nothing is replaced. */
    assert_int_equal(guest_link(&g, 3, "b", 3, "d"), 0);
    assert_int_equal(guest_rename(&g, 3, "b", 3, "d"), 0);
    assert_int_equal(left(&g), LIMIT - 3 * ENTRY);
    assert_int_equal(guest_open(&g, 3, "b", OFLAGS_TRUNC, ALL_RIGHTS, &fd), 0);
    assert_int_equal(left(&g), LIMIT - 2 * ENTRY);
    test_guest_end(&g);
}

static void what_was_there_before_is_refunded_but_not_below_zero(void **state)
{
    (void)state;
    struct test_guest g;
    uint32_t fd, written;
    test_guest_start(&g, &limited);
    host_file(&g, "old", "0123456789");
    assert_int_equal(guest_unlink(&g, 3, "old"), 0);
    assert_int_equal(left(&g), LIMIT);
    host_file(&g, "old", "0123456789");
    assert_int_equal(guest_open(&g, 3, "new", OFLAGS_CREAT, ALL_RIGHTS, &fd), 0);
    assert_int_equal(write_bytes(&g, fd, LIMIT, &written), 0);
    assert_int_equal(guest_open(&g, 3, "old", OFLAGS_TRUNC, ALL_RIGHTS, NULL), 0);
    assert_int_equal(write_bytes(&g, fd, LIMIT, &written), 0);
    assert_int_equal(written, 10);
    test_guest_end(&g);
}

/* ---- Guests on several threads ---- */

enum { N_THREADS = 4, ROUNDS = 300 };

static void *grow_and_shrink(void *argument)
{
    struct test_guest *g = argument;
    uint32_t fd, written;
    if (guest_open(g, 3, "shared", OFLAGS_CREAT, ALL_RIGHTS, &fd))
        return NULL;
    for (int i = 0; i < ROUNDS; i++) {
        guest_call(g, fd_seek, fd, 0, WHENCE_SET, AT_RESULT);
        write_bytes(g, fd, 8 * ENTRY, &written);
        guest_call(g, fd_filestat_set_size, fd, 0);
    }
    guest_call(g, fd_close, fd);
    return NULL;
}

static void guests_that_race_on_one_file_gain_nothing(void **state)
{
    (void)state;
    struct test_guest g, *guests = calloc(N_THREADS, sizeof *guests);
    pthread_t threads[N_THREADS];
    assert_non_null(guests);
    test_guest_start(&g, &limited);
    for (int i = 0; i < N_THREADS; i++) {
        guests[i] = g;
        guests[i].context = test_guest_second_context(&g);
        guests[i].memory.data = calloc(1, GUEST_MEMORY_SIZE);
        assert_non_null(guests[i].memory.data);
        assert_int_equal(pthread_create(&threads[i], NULL, grow_and_shrink, &guests[i]), 0);
    }
    for (int i = 0; i < N_THREADS; i++) {
        pthread_join(threads[i], NULL);
        wasi_context_free(guests[i].context);
        free(guests[i].memory.data);
    }
    assert_int_equal(host_size(&g, "shared"), 0);
    assert_int_equal(left(&g), LIMIT - ENTRY);
    free(guests);
    test_guest_end(&g);
}

struct opener {
    struct test_guest guest;
    atomic_bool stop;
};

static void *open_and_close(void *argument)
{
    struct opener *opener = argument;
    uint32_t fd;
    while (!atomic_load(&opener->stop))
        if (guest_open(&opener->guest, 3, "f", 0, RIGHTS_FD_READ, &fd) == 0)
            guest_call(&opener->guest, fd_close, fd);
    return NULL;
}

static void a_file_that_is_unlinked_while_another_guest_opens_it_is_refunded_once(void **state)
{
    (void)state;
    struct test_guest g;
    struct opener *opener = calloc(1, sizeof *opener);
    pthread_t thread;
    uint32_t fd, written;
    assert_non_null(opener);
    test_guest_start(&g, &limited);
    opener->guest = g;
    opener->guest.context = test_guest_second_context(&g);
    opener->guest.memory.data = calloc(1, GUEST_MEMORY_SIZE);
    assert_non_null(opener->guest.memory.data);
    assert_int_equal(guest_open(&g, 3, "kept", OFLAGS_CREAT, ALL_RIGHTS, &fd), 0);
    assert_int_equal(write_bytes(&g, fd, 7 * ENTRY, &written), 0);
    assert_int_equal(pthread_create(&thread, NULL, open_and_close, opener), 0);
    for (int i = 0; i < 20 * ROUNDS; i++) {
        if (guest_open(&g, 3, "f", OFLAGS_CREAT, ALL_RIGHTS, &fd))
            continue;
        guest_call(&g, fd_filestat_set_size, fd, ENTRY);
        guest_call(&g, fd_close, fd);
        assert_int_equal(guest_unlink(&g, 3, "f"), 0);
    }
    atomic_store(&opener->stop, true);
    pthread_join(thread, NULL);
    wasi_context_free(opener->guest.context);
    free(opener->guest.memory.data);
    free(opener);
    assert_int_equal(left(&g), LIMIT - 8 * ENTRY);
    test_guest_end(&g);
}

static void a_file_without_a_name_is_not_taken_for_one_that_is_charged(void **state)
{
    (void)state;
    char name[] = "/tmp/berth-quota-XXXXXX";
    struct quota quota;
    int fd = mkstemp(name);
    assert_true(fd >= 0);
    assert_int_equal(quota_init(&quota, LIMIT), 0);
    assert_int_equal(quota_file_opened(&quota, fd), 0);
    assert_int_equal(unlink(name), 0);
    assert_int_equal(quota_file_opened(&quota, fd), 0); /* is open already: not refunded yet */
    quota_file_closing(&quota, fd);
    quota_file_closing(&quota, fd);
    assert_int_equal(quota_file_opened(&quota, fd), -ENOENT);
    quota_done(&quota);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_write_is_shortened_to_what_fits_before_it_fails),
        cmocka_unit_test(holes_are_growth),
        cmocka_unit_test(appending_grows_from_the_end_wherever_the_position_is),
        cmocka_unit_test(every_entry_costs_and_comes_back),
        cmocka_unit_test(a_file_without_a_name_counts_until_the_last_guest_closes_it),
        cmocka_unit_test(replacing_by_rename_gives_back_what_was_replaced),
        cmocka_unit_test(what_was_there_before_is_refunded_but_not_below_zero),
        cmocka_unit_test(guests_that_race_on_one_file_gain_nothing),
        cmocka_unit_test(a_file_that_is_unlinked_while_another_guest_opens_it_is_refunded_once),
        cmocka_unit_test(a_file_without_a_name_is_not_taken_for_one_that_is_charged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
