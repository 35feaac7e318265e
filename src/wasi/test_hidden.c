/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hidden file is as good as absent: the same guest runs in two trees, one of which has hidden files, and
 * everything that it gets to see is compared, byte by byte.
 */
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "wasi/preview1.h"
#include "wasi/test_guest.h"

static const char *const patterns[] = {"*.key", "private/", "/anchored/hid", "/anchored/hiddir/"};

static const char *below(const struct test_guest *g, const char *name, char path[static 192])
{
    snprintf(path, 192, "%s/%s", g->root, name);
    return path;
}

/* Guests see the same in both trees; the links to hidden things are the owner's. */
static void start(struct test_guest *g, bool with_hidden, const struct test_setup *other)
{
    struct test_setup setup = *other;
    setup.hide = patterns;
    setup.n_hide = 4;
    test_guest_start(g, &setup);
    host_file(g, "a.txt", "a");
    host_directory(g, "dir");
    host_file(g, "dir/b.txt", "bb");
    host_directory(g, "dir/sub");
    host_directory(g, "anchored");
    host_file(g, "anchored/other", "ccc");
    host_directory(g, "empty");
    host_directory(g, "closed");
    assert_int_equal(fchmodat(AT_FDCWD, below(g, "closed", (char[192]){0}), 0, 0), 0);
    host_symlink(g, "dir", "link");
    host_symlink(g, "x.key", "to_key");
    host_symlink(g, "private", "to_private");
    host_symlink(g, "private/in.txt", "to_in");
    host_symlink(g, "anchored", "to_anchored");
    host_symlink(g, "anchored/hid", "to_hid");
    host_symlink(g, "s.key", "to_link");
    host_symlink(g, "private/../a.txt", "detour");
    if (!with_hidden)
        return;
    host_file(g, "x.key", "key");
    host_file(g, "dir/Y.KEY", "key");
    host_symlink(g, "a.txt", "s.key");
    host_directory(g, "dir.key");
    host_file(g, "dir.key/inner", "key");
    host_directory(g, "private");
    host_file(g, "private/in.txt", "key");
    host_directory(g, "private/deep");
    host_directory(g, "dir/private");
    host_file(g, "anchored/hid", "key");
    host_directory(g, "anchored/hiddir");
    host_file(g, "anchored/hiddir/f", "key");
}

static const char *const paths[] = {
    "x.key",
    "./x.key",
    "x.key/",
    "x.key/.",
    "x.key/..",
    "x.key/below",
    "dir/../x.key",
    "a.txt/../x.key",
    "a.txt/./../x.key",
    "dir/b.txt/../../x.key",
    "closed/../x.key",
    "X.KEY",
    "s.key",
    "s.key/",
    "dir/Y.KEY",
    "dir/y.key",
    "link/Y.KEY",
    "link/../x.key",
    "dir.key",
    "dir.key/",
    "dir.key/inner",
    "dir.key/inner/",
    "dir.key/missing",
    "dir.key/../a.txt",
    "private",
    "private/",
    "private/.",
    "private/..",
    "private/../a.txt",
    "private/../../secret",
    "private/in.txt",
    "private/in.txt/",
    "private/in.txt/x",
    "private/deep",
    "private/deep/../../a.txt",
    "private/missing",
    "dir/private",
    "dir/private/../b.txt",
    "to_key",
    "to_key/",
    "to_key/x",
    "to_private",
    "to_private/",
    "to_private/in.txt",
    "to_private/in.txt/x",
    "to_private/missing",
    "to_private/..",
    "to_private/../a.txt",
    "to_in",
    "to_in/",
    "to_in/x",
    "to_anchored/hid",
    "to_anchored/hid/x",
    "to_anchored/hiddir/f",
    "to_hid",
    "to_link",
    "to_link/",
    "detour",
    "anchored/hid",
    "anchored/hid/",
    "anchored/hiddir",
    "anchored/hiddir/f",
    "anchored/../anchored/hid",
    "dir/../anchored/hiddir/../other",
    "mine/in.txt",
    "mine",
    "mine/../a.txt",
    "mine_key",
    "mine_link",
    "mine_hid",
};
enum { N_PATHS = sizeof paths / sizeof paths[0], N_CALLS = 22 };

/* Links of the guest's own to what it cannot see. */
static void make_links(struct test_guest *g)
{
    guest_symlink(g, "private", 3, "mine");
    guest_symlink(g, "x.key/", 3, "mine_key");
    guest_symlink(g, "s.key", 3, "mine_link");
    guest_symlink(g, "to_anchored/hid", 3, "mine_hid");
}

static uint32_t path_call(struct test_guest *g, int which, uint32_t dirfd, const char *path)
{
    switch (which) {
    case 0:
        return guest_open(g, dirfd, path, 0, RIGHTS_FD_READ, NULL);
    case 1:
        return guest_open_full(g, dirfd, 0, path, 0, RIGHTS_FD_READ, 0, 0, NULL);
    case 2:
        return guest_open(g, dirfd, path, OFLAGS_DIRECTORY, 0, NULL);
    case 3:
        return guest_open(g, dirfd, path, 0, RIGHTS_FD_WRITE, NULL);
    case 4:
        return guest_open(g, dirfd, path, OFLAGS_CREAT, RIGHTS_FD_WRITE, NULL);
    case 5:
        return guest_open(g, dirfd, path, OFLAGS_CREAT | OFLAGS_EXCL, RIGHTS_FD_WRITE, NULL);
    case 6:
        return guest_open(g, dirfd, path, OFLAGS_TRUNC, RIGHTS_FD_WRITE, NULL);
    case 7:
        return guest_stat(g, dirfd, 0, path);
    case 8:
        return guest_stat(g, dirfd, 1, path);
    case 9:
        return guest_set_times(g, dirfd, 0, path, 1, 1, FSTFLAGS_MTIM);
    case 10:
        return guest_set_times(g, dirfd, 1, path, 1, 1, FSTFLAGS_MTIM);
    case 11:
        return guest_readlink(g, dirfd, path);
    case 12:
        return guest_mkdir(g, dirfd, path);
    case 13:
        return guest_rmdir(g, dirfd, path);
    case 14:
        return guest_unlink(g, dirfd, path);
    case 15:
        return guest_symlink(g, "a.txt", dirfd, path);
    case 16:
        return guest_link(g, dirfd, path, 3, "stolen");
    case 17:
        return guest_link(g, 3, "a.txt", dirfd, path);
    case 18:
        return guest_rename(g, dirfd, path, 3, "stolen");
    case 19:
        return guest_rename(g, 3, "a.txt", dirfd, path);
    case 20:
        return guest_rename(g, 3, "empty", dirfd, path);
    default:
        return guest_symlink(g, path, dirfd, "to_it");
    }
}

/* Both guests' memory, and what the directory looks like to them afterwards. */
static void assert_same(struct test_guest *with, struct test_guest *without, int which, const char *path)
{
    char names[1024], names_without[1024];
    if (memcmp(with->memory.data, without->memory.data, GUEST_MEMORY_SIZE) != 0)
        fail_msg("call %d on %s leaves different memory", which, path);
    static const char *const directories[] = {".", "dir", "anchored"};
    for (int i = 0; i < 3; i++) {
        uint32_t fd, fd_without;
        assert_int_equal(guest_open(with, 3, directories[i], 0, RIGHTS_FD_READDIR, &fd), 0);
        assert_int_equal(guest_open(without, 3, directories[i], 0, RIGHTS_FD_READDIR, &fd_without), 0);
        guest_list(with, fd, 4096, names, sizeof names);
        guest_list(without, fd_without, 4096, names_without, sizeof names_without);
        if (strcmp(names, names_without) != 0)
            fail_msg("call %d on %s: \"%s\" and \"%s\"", which, path, names, names_without);
    }
    if (memcmp(with->memory.data, without->memory.data, GUEST_MEMORY_SIZE) != 0)
        fail_msg("call %d on %s leaves different entries", which, path);
}

static void compare_all(const struct test_setup *setup)
{
    struct test_guest *with = calloc(2, sizeof *with), *without = with + 1;
    assert_non_null(with);
    for (int which = 0; which < N_CALLS; which++) {
        start(with, true, setup);
        start(without, false, setup);
        make_links(with);
        make_links(without);
        for (size_t i = 0; i < N_PATHS; i++) {
            uint32_t r = path_call(with, which, 3, paths[i]);
            uint32_t r_without = path_call(without, which, 3, paths[i]);
            if (r != r_without)
                fail_msg("call %d on %s: %u where it is hidden, %u where it is absent", which, paths[i], r,
                         r_without);
            for (uint32_t fd = 4; fd < 10; fd++) {
                guest_call(with, fd_close, fd);
                guest_call(without, fd_close, fd);
            }
        }
        assert_same(with, without, which, "all");
        assert_true(host_exists(with, "x.key") && host_exists(with, "private/in.txt"));
        assert_int_equal(host_size(with, "x.key"), 3);
        assert_int_equal(wasi_context_usage(with->context)->denials,
                         wasi_context_usage(without->context)->denials);
        test_guest_end(with);
        test_guest_end(without);
    }
    free(with);
}

/* Deterministic, so that times and inodes, which differ between any two trees, do not. */
static void every_call_on_every_path_gives_the_same_where_it_is_hidden_and_where_it_is_absent(void **state)
{
    (void)state;
    compare_all(&(struct test_setup){.writable = true, .deterministic = true});
}

static void the_same_on_a_read_only_mount(void **state)
{
    (void)state;
    compare_all(&(struct test_setup){.deterministic = true});
}

static void the_same_with_a_quota(void **state)
{
    (void)state;
    compare_all(&(struct test_setup){.writable = true, .deterministic = true, .quota_bytes = 1 << 20});
}

static void making_a_hidden_name_is_refused_and_said(void **state)
{
    (void)state;
    struct test_guest g;
    start(&g, false, &(struct test_setup){.writable = true});
    assert_int_equal(guest_open(&g, 3, "new.key", OFLAGS_CREAT, RIGHTS_FD_WRITE, NULL), ERRNO_NOTCAPABLE);
    assert_string_equal(g.denial,
                        "grants.mount.hide|path_open \"new.key\" in \"/\"|a new name that matches a hide "
                        "pattern|other names|a shorter hide list");
    assert_int_equal(guest_mkdir(&g, 3, "dir/private"), ERRNO_NOTCAPABLE);
    assert_int_equal(guest_open(&g, 3, "private", OFLAGS_CREAT, RIGHTS_FD_WRITE, NULL), ERRNO_NOTCAPABLE);
    assert_int_equal(guest_rename(&g, 3, "a.txt", 3, "a.KEY"), ERRNO_NOTCAPABLE);
    assert_int_equal(guest_link(&g, 3, "a.txt", 3, "a.key"), ERRNO_NOTCAPABLE);
    assert_int_equal(guest_symlink(&g, "a.txt", 3, "a.key"), ERRNO_NOTCAPABLE);
    assert_int_equal(guest_mkdir(&g, 3, "anchored/hid"), ERRNO_NOTCAPABLE);
    assert_int_equal(guest_mkdir(&g, 3, "dir/hid"), 0);
    /* Where names depend on places, directories stay in their place. */
    assert_int_equal(guest_rename(&g, 3, "dir", 3, "elsewhere"), ERRNO_NOTCAPABLE);
    assert_int_equal(guest_rename(&g, 3, "dir/b.txt", 3, "elsewhere"), 0);
    test_guest_end(&g);
}

static void a_file_that_becomes_hidden_while_a_directory_is_open_is_hidden(void **state)
{
    (void)state;
    struct test_guest g;
    uint32_t dir;
    char from[192], to[192], names[256];
    start(&g, false, &(struct test_setup){.writable = true});
    assert_int_equal(guest_open(&g, 3, "dir", 0, RIGHTS_OF_DIRECTORY, &dir), 0);
    snprintf(from, sizeof from, "%s/dir", g.root);
    snprintf(to, sizeof to, "%s/dir.key", g.root);
    assert_int_equal(rename(from, to), 0);
    assert_int_equal(guest_open(&g, dir, "b.txt", 0, RIGHTS_FD_READ, NULL), ERRNO_NOENT);
    assert_int_equal(guest_stat(&g, dir, 0, "b.txt"), ERRNO_NOENT);
    assert_int_equal(guest_list(&g, dir, 4096, names, sizeof names), ERRNO_NOENT);
    assert_int_equal(guest_mkdir(&g, dir, "new"), ERRNO_NOTCAPABLE);
    /* Moved out of the mount altogether. */
    snprintf(from, sizeof from, "%s/moved", g.above);
    assert_int_equal(rename(to, from), 0);
    assert_int_equal(guest_open(&g, dir, "b.txt", 0, RIGHTS_FD_READ, NULL), ERRNO_NOENT);
    test_guest_end(&g);
}

static void the_root_can_be_moved_by_the_host(void **state)
{
    (void)state;
    struct test_guest g;
    char moved[192];
    start(&g, true, &(struct test_setup){.writable = true});
    snprintf(moved, sizeof moved, "%s/elsewhere", g.above);
    assert_int_equal(rename(g.root, moved), 0);
    assert_int_equal(guest_open(&g, 3, "a.txt", 0, RIGHTS_FD_READ, NULL), 0);
    assert_int_equal(guest_open(&g, 3, "x.key", 0, RIGHTS_FD_READ, NULL), ERRNO_NOENT);
    test_guest_end(&g);
}

static void a_name_that_looks_deleted_is_hidden_by_its_real_name(void **state)
{
    (void)state;
    struct test_guest g;
    uint32_t fd;
    start(&g, false, &(struct test_setup){.writable = true});
    assert_int_equal(guest_open(&g, 3, "f (deleted)", OFLAGS_CREAT, ALL_RIGHTS, &fd), 0);
    assert_int_equal(guest_open(&g, 3, "f (deleted)", 0, RIGHTS_FD_READ, NULL), 0);
    host_file(&g, "f.key (deleted)", "x");
    assert_int_equal(guest_open(&g, 3, "f.key (deleted)", 0, RIGHTS_FD_READ, NULL), ERRNO_NOENT);
    assert_int_equal(guest_unlink(&g, 3, "f (deleted)"), 0);
    assert_int_equal(guest_write(&g, fd, "still open"), 0);
    test_guest_end(&g);
}

static void append(char path[static PATH_MAX], const char *piece, int n_times)
{
    for (size_t length = strlen(path); n_times > 0; n_times--, length += strlen(piece))
        assert_true(snprintf(path + length, PATH_MAX - length, "%s", piece) < (int)(PATH_MAX - length));
}

/* Text that is longer than a path can be once the link in it is followed. */
static void a_link_that_is_too_long_to_be_looked_through_leads_nowhere(void **state)
{
    (void)state;
    static const char *const ends[] = {"in.txt", "in.txt/x", "../a.txt", "."};
    for (int with_hidden = 0; with_hidden < 2; with_hidden++) {
        struct test_guest g;
        char path[PATH_MAX] = "";
        start(&g, with_hidden, &(struct test_setup){.writable = true});
        append(path, "./", 1400);
        append(path, "private", 1);
        assert_int_equal(guest_symlink(&g, path, 3, "long"), 0);
        assert_int_equal(guest_stat(&g, 3, 1, "long"), ERRNO_NOENT);
        for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
            snprintf(path, sizeof path, "long/");
            append(path, "./", 1400);
            append(path, ends[i], 1);
            assert_int_equal(guest_stat(&g, 3, 1, path), ERRNO_LOOP);
        }
        test_guest_end(&g);
    }
}

static void a_lookup_takes_a_limited_number_of_steps(void **state)
{
    (void)state;
    struct test_guest g;
    char path[PATH_MAX] = "";
    start(&g, true, &(struct test_setup){.writable = true});
    append(path, "dir/../", 128);
    assert_int_equal(guest_stat(&g, 3, 0, path), 0);
    append(path, "dir", 1);
    assert_int_equal(guest_stat(&g, 3, 0, path), ERRNO_NAMETOOLONG);
    /* The steps that links add count too. */
    path[0] = '\0';
    for (int i = 0; i < 100; i++) {
        append(path, i ? "/1" : "1", 1);
        assert_int_equal(guest_mkdir(&g, 3, path), 0);
    }
    assert_int_equal(guest_symlink(&g, path, 3, "down"), 0);
    path[0] = '\0';
    append(path, "down/", 1);
    append(path, "../", 99);
    assert_int_equal(guest_stat(&g, 3, 0, path), 0);
    append(path, "../down", 1);
    assert_int_equal(guest_stat(&g, 3, 0, path), 0);
    assert_int_equal(guest_stat(&g, 3, 1, path), ERRNO_LOOP);
    test_guest_end(&g);
}

/* /proc is one on every host. */
static void a_hidden_mount_point_of_the_host_is_hidden(void **state)
{
    (void)state;
    struct test_guest g;
    struct wasi_mounts *mounts;
    struct wasi_context *context;
    size_t failed;
    static const char *const none[] = {NULL}, *const hide[] = {"/proc/"};
    struct wasi_mount_options mount = {
        .guest = "/", .host = "/", .descriptor = -1, .hide = hide, .n_hide = 1};
    test_guest_start(&g, &(struct test_setup){0});
    assert_int_equal(wasi_mounts_new(&mount, 1, -1, &mounts, &failed), 0);
    assert_int_equal(
        wasi_context_new(&(struct wasi_options){.args = none, .env = none, .mounts = mounts}, &context), 0);
    wasi_context_free(g.context);
    g.context = context;
    assert_int_equal(guest_stat(&g, 3, 0, "proc"), ERRNO_NOENT);
    assert_int_equal(guest_stat(&g, 3, 0, "proc/"), ERRNO_NOENT);
    assert_int_equal(guest_stat(&g, 3, 0, "proc/self"), ERRNO_NOENT);
    wasi_mounts_unref(mounts);
    test_guest_end(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_call_on_every_path_gives_the_same_where_it_is_hidden_and_where_it_is_absent),
        cmocka_unit_test(the_same_on_a_read_only_mount),
        cmocka_unit_test(the_same_with_a_quota),
        cmocka_unit_test(making_a_hidden_name_is_refused_and_said),
        cmocka_unit_test(a_file_that_becomes_hidden_while_a_directory_is_open_is_hidden),
        cmocka_unit_test(the_root_can_be_moved_by_the_host),
        cmocka_unit_test(a_name_that_looks_deleted_is_hidden_by_its_real_name),
        cmocka_unit_test(a_link_that_is_too_long_to_be_looked_through_leads_nowhere),
        cmocka_unit_test(a_lookup_takes_a_limited_number_of_steps),
        cmocka_unit_test(a_hidden_mount_point_of_the_host_is_hidden),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
