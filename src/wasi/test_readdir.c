/* SPDX-License-Identifier: Apache-2.0 */
/* fd_readdir: cookies, buffers of every size, directories that change. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "wasi/preview1.h"
#include "wasi/test_guest.h"

static const struct test_setup writable = {.writable = true};
static const struct test_setup deterministic = {.writable = true, .deterministic = true};

static unsigned count_names(const char *names, const char *wanted)
{
    unsigned count = 0;
    size_t length = strlen(wanted);
    for (const char *p = names; (p = strstr(p, wanted)); p += length)
        count++;
    return count;
}

static void every_entry_appears_once_whatever_the_size_of_the_buffer(void **state)
{
    (void)state;
    static const struct test_setup *const setups[] = {&writable, &deterministic};
    static const uint32_t sizes[] = {40, 41, 64, 100, 256, 4096, 65536, 1 << 20};
    enum { N = 300 };
    struct test_guest g;
    char name[32], *names = malloc(1 << 16);
    for (int s = 0; s < 2; s++) {
        test_guest_start(&g, setups[s]);
        for (int i = 0; i < N; i++) {
            snprintf(name, sizeof name, "file-%03d", i);
            host_file(&g, name, "");
        }
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            assert_int_equal(guest_list(&g, 3, sizes[i], names, 1 << 16), 0);
            assert_int_equal(count_names(names, "file-"), N);
            for (int k = 0; k < N; k++) {
                snprintf(name, sizeof name, "file-%03d ", k);
                assert_int_equal(count_names(names, name), 1);
            }
            assert_int_equal(count_names(names, ". "), 2);
        }
        test_guest_end(&g);
    }
    free(names);
}

static void deterministic_order_is_that_of_the_names(void **state)
{
    (void)state;
    struct test_guest g;
    char names[256];
    test_guest_start(&g, &deterministic);
    host_file(&g, "b", "");
    host_file(&g, "\xc3\xa9", "");
    host_file(&g, "B", "");
    host_file(&g, "a", "");
    assert_int_equal(guest_list(&g, 3, 4096, names, sizeof names), 0);
    assert_string_equal(names, ". .. B a b \xc3\xa9 ");
    test_guest_end(&g);
}

static void a_tiny_buffer_is_filled_to_its_end(void **state)
{
    (void)state;
    struct test_guest g;
    for (int s = 0; s < 2; s++) {
        test_guest_start(&g, s ? &deterministic : &writable);
        host_file(&g, "name-longer-than-the-buffer", "");
        for (uint32_t size = 0; size < 60; size++) {
            memset(g.memory.data + AT_BUFFER, '#', 100);
            assert_int_equal(guest_call(&g, fd_readdir, 3, AT_BUFFER, size, 0, AT_RESULT), 0);
            assert_int_equal(guest_result_u32(&g), size);
            assert_int_equal(g.memory.data[AT_BUFFER + size], '#');
        }
        test_guest_end(&g);
    }
}

static void any_cookie_is_survived(void **state)
{
    (void)state;
    static const uint64_t cookies[] = {
        1, 2, 3, 4, 1000, UINT64_C(1) << 32, INT64_MAX, UINT64_C(1) << 63, UINT64_MAX};
    struct test_guest g;
    for (int s = 0; s < 2; s++) {
        test_guest_start(&g, s ? &deterministic : &writable);
        host_file(&g, "f", "");
        for (size_t i = 0; i < sizeof cookies / sizeof cookies[0]; i++) {
            uint32_t r = guest_call(&g, fd_readdir, 3, AT_BUFFER, 4096, cookies[i], AT_RESULT);
            assert_true(r == 0 || r == ERRNO_INVAL);
        }
        test_guest_end(&g);
    }
}

static void entries_that_come_and_go_do_not_disturb_the_others(void **state)
{
    (void)state;
    struct test_guest g;
    char name[32], seen[8192] = "", part[256];
    for (int s = 0; s < 2; s++) {
        seen[0] = '\0';
        test_guest_start(&g, s ? &deterministic : &writable);
        for (int i = 0; i < 50; i++) {
            snprintf(name, sizeof name, "stays-%02d", i);
            host_file(&g, name, "");
            snprintf(name, sizeof name, "goes-%02d", i);
            host_file(&g, name, "");
        }
        uint64_t cookie = 0;
        uint32_t used;
        int round = 0;
        do {
            assert_int_equal(guest_call(&g, fd_readdir, 3, AT_BUFFER, 128, cookie, AT_RESULT), 0);
            used = guest_result_u32(&g);
            for (uint32_t at = 0; at + DIRENT_SIZE <= used;) {
                const uint8_t *entry = g.memory.data + AT_BUFFER + at;
                uint32_t length = load_u32(entry + DIRENT_NAMLEN);
                if (at + DIRENT_SIZE + length > used)
                    break;
                snprintf(part, sizeof part, "%.*s ", (int)length, (const char *)entry + DIRENT_SIZE);
                strncat(seen, part, sizeof seen - strlen(seen) - 1);
                cookie = load_u64(entry + DIRENT_NEXT);
                at += DIRENT_SIZE + length;
            }
            snprintf(name, sizeof name, "goes-%02d", round % 50);
            guest_unlink(&g, 3, name);
            round++;
        } while (used == 128 && round < 1000);
        for (int i = 0; i < 50; i++) {
            snprintf(name, sizeof name, "stays-%02d ", i);
            assert_int_equal(count_names(seen, name), 1);
        }
        test_guest_end(&g);
    }
}

static void types_and_inodes_agree_with_what_stat_says(void **state)
{
    (void)state;
    static const char *const names[] = {".", "d", "f", "s"};
    static const int types[] = {FILETYPE_DIRECTORY, FILETYPE_DIRECTORY, FILETYPE_REGULAR_FILE,
                                FILETYPE_SYMBOLIC_LINK};
    struct test_guest g;
    for (int s = 0; s < 2; s++) {
        test_guest_start(&g, s ? &deterministic : &writable);
        host_directory(&g, "d");
        host_file(&g, "f", "x");
        host_symlink(&g, "f", "s");
        assert_int_equal(guest_call(&g, fd_readdir, 3, AT_BUFFER, 4096, 0, AT_RESULT), 0);
        uint32_t used = guest_result_u32(&g);
        unsigned found = 0;
        for (uint32_t at = 0; at < used;) {
            const uint8_t *entry = g.memory.data + AT_BUFFER + at;
            uint32_t length = load_u32(entry + DIRENT_NAMLEN);
            for (int i = 0; i < 4; i++) {
                if (strlen(names[i]) != length || memcmp(entry + DIRENT_SIZE, names[i], length) != 0)
                    continue;
                found++;
                assert_int_equal(entry[DIRENT_TYPE], types[i]);
                assert_int_equal(guest_stat(&g, 3, 0, names[i]), 0);
                assert_true(load_u64(entry + DIRENT_INO) ==
                            load_u64(g.memory.data + AT_RESULT + FILESTAT_INO));
            }
            at += DIRENT_SIZE + length;
        }
        assert_int_equal(found, 4);
        test_guest_end(&g);
    }
}

static void the_directory_above_a_mount_does_not_show(void **state)
{
    (void)state;
    for (int s = 0; s < 2; s++) {
        struct test_guest g;
        uint64_t inodes[3] = {0};
        test_guest_start(&g, s ? &deterministic : &writable);
        assert_int_equal(guest_call(&g, fd_readdir, 3, AT_BUFFER, 4096, 0, AT_RESULT), 0);
        uint32_t used = guest_result_u32(&g);
        for (uint32_t at = 0; at < used;) {
            const uint8_t *entry = g.memory.data + AT_BUFFER + at;
            uint32_t length = load_u32(entry + DIRENT_NAMLEN);
            assert_in_range(length, 1, 2);
            inodes[length] = load_u64(entry + DIRENT_INO);
            at += DIRENT_SIZE + length;
        }
        assert_true(inodes[1] != 0);
        assert_true(inodes[1] == inodes[2]);
        test_guest_end(&g);
    }
}

static void two_guests_on_one_mount_do_not_share_a_position(void **state)
{
    (void)state;
    struct test_guest g;
    char names[256];
    test_guest_start(&g, &writable);
    for (char name[2] = "a"; name[0] < 'k'; name[0]++)
        host_file(&g, name, "");
    struct wasi_context *first = g.context, *second = test_guest_second_context(&g);
    assert_int_equal(guest_call(&g, fd_readdir, 3, AT_BUFFER, 100, 0, AT_RESULT), 0);
    g.context = second;
    assert_int_equal(guest_list(&g, 3, 60, names, sizeof names), 0);
    assert_int_equal(strlen(names), 5 + 2 * 10);
    g.context = first;
    assert_int_equal(guest_list(&g, 3, 60, names, sizeof names), 0);
    assert_int_equal(strlen(names), 5 + 2 * 10);
    wasi_context_free(second);
    test_guest_end(&g);
}

static void names_that_are_no_text_are_left_out(void **state)
{
    (void)state;
    struct test_guest g;
    char names[256];
    test_guest_start(&g, &writable);
    host_file(&g, "bad\xff", "");
    host_file(&g, "good", "");
    assert_int_equal(guest_list(&g, 3, 4096, names, sizeof names), 0);
    assert_int_equal(strlen(names), 5 + 5);
    assert_non_null(strstr(names, "good "));
    test_guest_end(&g);
}

static void a_large_directory_is_read_in_turns_with_others(void **state)
{
    (void)state;
    struct test_guest g;
    char name[160];
    for (int s = 0; s < 2; s++) {
        test_guest_start(&g, s ? &deterministic : &writable);
        for (int i = 0; i < 1500; i++) {
            snprintf(name, sizeof name, "%0100d", i);
            host_file(&g, name, "");
        }
        assert_int_equal(guest_call(&g, fd_readdir, 3, AT_BUFFER, 1 << 20, 0, AT_RESULT), YIELDS);
        assert_int_equal(guest_call(&g, fd_readdir, 3, AT_BUFFER, 1 << 20, 0, AT_RESULT), YIELDS);
        assert_int_equal(guest_call(&g, fd_readdir, 3, AT_BUFFER, 1 << 20, 0, AT_RESULT), 0);
        assert_int_equal(guest_result_u32(&g), 1500 * (DIRENT_SIZE + 100) + 2 * DIRENT_SIZE + 3);
        test_guest_end(&g);
    }
}

static void a_directory_full_of_hidden_entries_is_read_in_turns_too(void **state)
{
    (void)state;
    static const char *const patterns[] = {"*.key"};
    struct test_guest g;
    char name[32], names[64];
    test_guest_start(&g, &(struct test_setup){.hide = patterns, .n_hide = 1});
    for (int i = 0; i < 9000; i++) {
        snprintf(name, sizeof name, "%d.key", i);
        host_file(&g, name, "");
    }
    host_file(&g, "seen", "");
    assert_int_equal(guest_list(&g, 3, 4096, names, sizeof names), 0);
    assert_int_equal(strlen(names), 5 + 5);
    int turns = 0;
    while (guest_call(&g, fd_readdir, 3, AT_BUFFER, 4096, 0, AT_RESULT) == YIELDS)
        turns++;
    assert_int_equal(turns, 2);
    test_guest_end(&g);
}

/* As "rm -r" does it: a piece is read, its directories are emptied first, and reading goes on. */
static uint32_t remove_tree(struct test_guest *g, uint32_t dirfd, const char *name)
{
    uint8_t piece[128];
    uint32_t fd, used, r;
    uint64_t cookie = 0;
    assert_int_equal(guest_open(g, dirfd, name, OFLAGS_DIRECTORY, RIGHTS_OF_DIRECTORY, &fd), 0);
    do {
        assert_int_equal(guest_call(g, fd_readdir, fd, AT_BUFFER, sizeof piece, cookie, AT_RESULT), 0);
        used = guest_result_u32(g);
        memcpy(piece, g->memory.data + AT_BUFFER, used);
        for (uint32_t at = 0, length; at + DIRENT_SIZE <= used; at += DIRENT_SIZE + length) {
            char entry[64] = "";
            length = load_u32(piece + at + DIRENT_NAMLEN);
            if (at + DIRENT_SIZE + length > used)
                break;
            cookie = load_u64(piece + at + DIRENT_NEXT);
            memcpy(entry, piece + at + DIRENT_SIZE, length);
            if (entry[0] != '.')
                r = piece[at + DIRENT_TYPE] == FILETYPE_DIRECTORY ? remove_tree(g, fd, entry)
                                                                  : guest_unlink(g, fd, entry);
            else
                r = 0;
            assert_int_equal(r, 0);
        }
    } while (used == sizeof piece);
    assert_int_equal(guest_call(g, fd_close, fd), 0);
    return guest_rmdir(g, dirfd, name);
}

static void a_tree_can_be_removed_while_it_is_listed(void **state)
{
    (void)state;
    static const struct test_setup *const setups[] = {&writable, &deterministic};
    for (int s = 0; s < 2; s++) {
        struct test_guest g;
        char name[32];
        test_guest_start(&g, setups[s]);
        host_directory(&g, "tree");
        for (int i = 0; i < 60; i++) {
            snprintf(name, sizeof name, "tree/%02d", i / 3);
            if (i % 3 == 0)
                host_directory(&g, name);
            snprintf(name, sizeof name, "tree/%02d/%d", i / 3, i);
            host_file(&g, name, "");
        }
        assert_int_equal(remove_tree(&g, 3, "tree"), 0);
        assert_false(host_exists(&g, "tree"));
        test_guest_end(&g);
    }
}

static void listings_beyond_the_limit_are_read_again(void **state)
{
    (void)state;
    struct test_guest g;
    uint32_t fds[8];
    char names[256];
    test_guest_start(&g, &deterministic);
    host_directory(&g, "a");
    for (int i = 0; i < 10000; i++) {
        char name[32];
        snprintf(name, sizeof name, "a/%d", i);
        host_file(&g, name, "");
    }
    for (int i = 0; i < 8; i++) {
        assert_int_equal(guest_open(&g, 3, "a", 0, RIGHTS_FD_READDIR, &fds[i]), 0);
        assert_int_equal(guest_call(&g, fd_readdir, fds[i], AT_BUFFER, 128, 0, AT_RESULT), 0);
    }
    for (int i = 0; i < 8; i++) {
        assert_int_equal(guest_call(&g, fd_readdir, fds[i], AT_BUFFER, 128, 10001, AT_RESULT), 0);
        assert_int_equal(guest_result_u32(&g), DIRENT_SIZE + strlen("9999"));
    }
    assert_int_equal(guest_list(&g, 3, 128, names, sizeof names), 0);
    test_guest_end(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_entry_appears_once_whatever_the_size_of_the_buffer),
        cmocka_unit_test(deterministic_order_is_that_of_the_names),
        cmocka_unit_test(a_tiny_buffer_is_filled_to_its_end),
        cmocka_unit_test(any_cookie_is_survived),
        cmocka_unit_test(entries_that_come_and_go_do_not_disturb_the_others),
        cmocka_unit_test(types_and_inodes_agree_with_what_stat_says),
        cmocka_unit_test(the_directory_above_a_mount_does_not_show),
        cmocka_unit_test(two_guests_on_one_mount_do_not_share_a_position),
        cmocka_unit_test(names_that_are_no_text_are_left_out),
        cmocka_unit_test(a_large_directory_is_read_in_turns_with_others),
        cmocka_unit_test(a_directory_full_of_hidden_entries_is_read_in_turns_too),
        cmocka_unit_test(a_tree_can_be_removed_while_it_is_listed),
        cmocka_unit_test(listings_beyond_the_limit_are_read_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
