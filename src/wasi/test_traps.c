/* SPDX-License-Identifier: Apache-2.0 */
/* Ways out of a directory, and ways to hang in it, that other hosts have fallen for. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "wasi/preview1.h"
#include "wasi/test_guest.h"

static const struct test_setup writable = {.writable = true};

/* Every function that takes one path, on that path. */
enum { N_PATH_CALLS = 10 };
static uint32_t path_call(struct test_guest *g, int which, uint32_t dirfd, const char *path)
{
    switch (which) {
    case 0:
        return guest_open(g, dirfd, path, 0, RIGHTS_FD_READ, NULL);
    case 1:
        return guest_open(g, dirfd, path, OFLAGS_CREAT, RIGHTS_FD_READ, NULL);
    case 2:
        return guest_open(g, dirfd, path, OFLAGS_TRUNC, RIGHTS_FD_WRITE, NULL);
    case 3:
        return guest_stat(g, dirfd, 1, path);
    case 4:
        return guest_set_times(g, dirfd, 1, path, 1, 1, FSTFLAGS_MTIM | FSTFLAGS_ATIM);
    case 5:
        return guest_mkdir(g, dirfd, path);
    case 6:
        return guest_rmdir(g, dirfd, path);
    case 7:
        return guest_unlink(g, dirfd, path);
    case 8:
        return guest_readlink(g, dirfd, path);
    default:
        return guest_symlink(g, "x", dirfd, path);
    }
}

static void paths_that_lead_out_are_not_capable_in_every_function(void **state)
{
    (void)state;
    static const char *const paths[] = {
        "../secret",       "sub/../../secret", "/etc/passwd",         "/",   "..",        "../root/log",
        "sub/../../root/", "./../secret",      "sub/.././../secret/", "../", "sub/../..",
    };
    struct test_guest g;
    test_guest_start(&g, &writable);
    host_directory(&g, "sub");
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        for (int which = 0; which < N_PATH_CALLS; which++)
            assert_int_equal(path_call(&g, which, 3, paths[i]), ERRNO_NOTCAPABLE);
    assert_true(host_exists(&g, "../secret"));
    assert_int_equal(host_size(&g, "../secret"), 6);
    assert_int_equal(g.n_denials, 16); /* told; all are counted */
    /* All but "..", which C libraries look at in every listing. */
    assert_int_equal(wasi_context_usage(g.context)->denials, 9 * N_PATH_CALLS);
    assert_string_equal(g.denial,
                        "grants.mount|path_create_directory \"sub/../../secret\" in \"/\"|a path that "
                        "leads out of its directory|paths below a granted directory|a [[grants.mount]] "
                        "for where it leads");
    test_guest_end(&g);
}

static void links_that_lead_out_are_not_followed_by_any_function(void **state)
{
    (void)state;
    static const char *const links[] = {"up", "absolute", "secret_link", "proc_root", "proc_fd"};
    struct test_guest g;
    char path[64], absolute[192], proc_fd[64];
    test_guest_start(&g, &writable);
    int outside = open(g.above, O_RDONLY | O_DIRECTORY);
    snprintf(absolute, sizeof absolute, "%s/secret", g.root);
    snprintf(proc_fd, sizeof proc_fd, "/proc/self/fd/%d", outside);
    host_symlink(&g, "..", "up");
    host_symlink(&g, absolute, "absolute");
    host_symlink(&g, "../secret", "secret_link");
    host_symlink(&g, "/proc/self/root", "proc_root");
    host_symlink(&g, proc_fd, "proc_fd");
    for (size_t i = 0; i < sizeof links / sizeof links[0]; i++) {
        assert_int_equal(guest_open(&g, 3, links[i], 0, RIGHTS_FD_READ, NULL), ERRNO_NOTCAPABLE);
        assert_int_equal(guest_open(&g, 3, links[i], OFLAGS_CREAT, RIGHTS_FD_READ, NULL), ERRNO_NOTCAPABLE);
        assert_int_equal(guest_open(&g, 3, links[i], OFLAGS_TRUNC, RIGHTS_FD_WRITE, NULL), ERRNO_NOTCAPABLE);
        assert_int_equal(guest_stat(&g, 3, 1, links[i]), ERRNO_NOTCAPABLE);
        assert_int_equal(guest_stat(&g, 3, 0, links[i]), 0);
        assert_int_equal(guest_set_times(&g, 3, 1, links[i], 1, 1, FSTFLAGS_MTIM), ERRNO_NOTCAPABLE);
        snprintf(path, sizeof path, "%s/secret", links[i]);
        for (int which = 0; which < N_PATH_CALLS; which++)
            assert_int_equal(path_call(&g, which, 3, path), ERRNO_NOTCAPABLE);
        assert_int_equal(guest_rename(&g, 3, path, 3, "stolen"), ERRNO_NOTCAPABLE);
        assert_int_equal(guest_link(&g, 3, path, 3, "stolen"), ERRNO_NOTCAPABLE);
    }
    close(outside);
    test_guest_end(&g);
}

/* A name with a slash behind it is followed by the kernel, even where the call says not to. */
static void a_trailing_slash_does_not_follow_a_link(void **state)
{
    (void)state;
    struct test_guest g;
    struct stat before, after;
    test_guest_start(&g, &writable);
    host_symlink(&g, "..", "up");
    host_directory(&g, "inside");
    host_symlink(&g, "inside", "in");
    assert_int_equal(stat(g.above, &before), 0);
    assert_int_equal(guest_stat(&g, 3, 0, "up/"), ERRNO_NOTDIR);
    assert_int_equal(guest_stat(&g, 3, 0, "in//"), ERRNO_NOTDIR);
    assert_int_equal(guest_set_times(&g, 3, 0, "up/", 5, 5, FSTFLAGS_MTIM | FSTFLAGS_ATIM), ERRNO_NOTDIR);
    assert_int_equal(guest_unlink(&g, 3, "up/"), ERRNO_NOTDIR);
    assert_int_equal(guest_rmdir(&g, 3, "up/"), ERRNO_NOTDIR);
    assert_int_equal(guest_rename(&g, 3, "up/", 3, "x"), ERRNO_NOTDIR);
    assert_int_equal(guest_link(&g, 3, "up/", 3, "x"), ERRNO_PERM);
    assert_int_equal(guest_mkdir(&g, 3, "up/"), ERRNO_EXIST);
    assert_int_equal(guest_symlink(&g, "x", 3, "up/"), ERRNO_EXIST);
    assert_int_equal(stat(g.above, &after), 0);
    assert_int_equal(before.st_mtim.tv_sec, after.st_mtim.tv_sec);
    assert_int_equal(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
    test_guest_end(&g);
}

static void trailing_slashes_ask_for_a_directory(void **state)
{
    (void)state;
    struct test_guest g;
    test_guest_start(&g, &writable);
    host_file(&g, "file", "x");
    host_directory(&g, "dir");
    assert_int_equal(guest_open(&g, 3, "file/", 0, RIGHTS_FD_READ, NULL), ERRNO_NOTDIR);
    assert_int_equal(guest_open(&g, 3, "file///", 0, RIGHTS_FD_READ, NULL), ERRNO_NOTDIR);
    assert_int_equal(guest_open(&g, 3, "dir///", 0, 0, NULL), 0);
    assert_int_equal(guest_open(&g, 3, "new/", OFLAGS_CREAT, RIGHTS_FD_READ, NULL), ERRNO_ISDIR);
    assert_int_equal(guest_unlink(&g, 3, "file/"), ERRNO_NOTDIR);
    assert_int_equal(guest_unlink(&g, 3, "dir/"), ERRNO_ISDIR);
    assert_int_equal(guest_rmdir(&g, 3, "file/"), ERRNO_NOTDIR);
    assert_int_equal(guest_symlink(&g, "x", 3, "new/"), ERRNO_NOENT);
    assert_int_equal(guest_link(&g, 3, "file", 3, "new/"), ERRNO_NOENT);
    assert_int_equal(guest_link(&g, 3, "file/", 3, "new"), ERRNO_NOTDIR);
    assert_int_equal(guest_rename(&g, 3, "file/", 3, "new"), ERRNO_NOTDIR);
    assert_int_equal(guest_rename(&g, 3, "file", 3, "new/"), ERRNO_NOTDIR);
    assert_int_equal(guest_rename(&g, 3, "dir/", 3, "dir2/"), 0);
    assert_int_equal(guest_rmdir(&g, 3, "dir2/"), 0);
    assert_int_equal(guest_mkdir(&g, 3, "dir3//"), 0);
    test_guest_end(&g);
}

static void dots_as_last_component_never_reach_the_host(void **state)
{
    (void)state;
    static const char *const paths[] = {".", "./", "dir/.", "dir/..", "dir/../."};
    struct test_guest g;
    test_guest_start(&g, &writable);
    host_directory(&g, "dir");
    host_file(&g, "file", "x");
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        assert_int_equal(guest_mkdir(&g, 3, paths[i]), ERRNO_EXIST);
        assert_int_equal(guest_rmdir(&g, 3, paths[i]), ERRNO_INVAL);
        assert_int_equal(guest_unlink(&g, 3, paths[i]), ERRNO_ISDIR);
        assert_int_equal(guest_symlink(&g, "x", 3, paths[i]), ERRNO_EXIST);
        assert_int_equal(guest_link(&g, 3, "file", 3, paths[i]), ERRNO_EXIST);
        assert_int_equal(guest_link(&g, 3, paths[i], 3, "new"), ERRNO_PERM);
        assert_int_equal(guest_rename(&g, 3, paths[i], 3, "new"), ERRNO_BUSY);
        assert_int_equal(guest_rename(&g, 3, "dir", 3, paths[i]), ERRNO_BUSY);
        assert_int_equal(guest_open(&g, 3, paths[i], OFLAGS_CREAT, RIGHTS_FD_READ, NULL), ERRNO_ISDIR);
        assert_int_equal(guest_open(&g, 3, paths[i], 0, 0, NULL), 0);
        assert_int_equal(guest_stat(&g, 3, 0, paths[i]), 0);
    }
    test_guest_end(&g);
}

static void a_directory_descriptor_is_a_boundary_of_its_own(void **state)
{
    (void)state;
    struct test_guest g;
    uint32_t fd;
    test_guest_start(&g, &writable);
    host_directory(&g, "sub");
    host_file(&g, "file", "x");
    host_symlink(&g, "../file", "sub/link");
    assert_int_equal(guest_open(&g, 3, "sub", OFLAGS_DIRECTORY, 0, NULL), 0);
    assert_int_equal(guest_open(&g, 3, "sub", OFLAGS_DIRECTORY, RIGHTS_OF_DIRECTORY & ~RIGHTS_FD_WRITE, &fd),
                     0);
    for (int which = 0; which < N_PATH_CALLS; which++)
        assert_int_equal(path_call(&g, which, fd, "../file"), ERRNO_NOTCAPABLE);
    assert_int_equal(guest_open(&g, fd, "link", 0, RIGHTS_FD_READ, NULL), ERRNO_NOTCAPABLE);
    assert_int_equal(guest_open(&g, 3, "sub/link", 0, RIGHTS_FD_READ, NULL), 0);
    test_guest_end(&g);
}

static void a_guest_cannot_make_a_link_that_leads_out(void **state)
{
    (void)state;
    static const char *const refused[] = {"/",         "/etc", "..",   "../x",  "a/../..",
                                          "d/../../x", "./..", "d/..", "a/../b"};
    static const char *const fine[] = {"x", "d/e", "./d//e/", "...", "..x", "x..", "d/.../e"};
    struct test_guest g;
    test_guest_start(&g, &writable);
    host_directory(&g, "d");
    host_directory(&g, "d/e");
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        assert_int_equal(guest_symlink(&g, refused[i], 3, "new"), ERRNO_NOTCAPABLE);
        assert_int_equal(guest_symlink(&g, refused[i], 3, "d/e/new"), ERRNO_NOTCAPABLE);
    }
    assert_false(host_exists(&g, "new"));
    for (size_t i = 0; i < sizeof fine / sizeof fine[0]; i++) {
        assert_int_equal(guest_symlink(&g, fine[i], 3, "new"), 0);
        assert_int_equal(guest_unlink(&g, 3, "new"), 0);
    }
    test_guest_end(&g);
}

/* Where a link that leads up lies well, its directory can be moved to where it leads out. So guests make
 * none, and those of the owner stay where they are. */
static void a_link_that_leads_up_is_not_moved(void **state)
{
    (void)state;
    struct test_guest g;
    test_guest_start(&g, &writable);
    host_directory(&g, "d");
    host_symlink(&g, "../x", "d/up");
    host_symlink(&g, "x", "d/beside");
    assert_int_equal(guest_rename(&g, 3, "d/up", 3, "bad"), ERRNO_NOTCAPABLE);
    assert_int_equal(guest_rename(&g, 3, "d/up", 3, "d/bad"), ERRNO_NOTCAPABLE);
    assert_int_equal(guest_link(&g, 3, "d/up", 3, "bad"), ERRNO_NOTCAPABLE);
    assert_false(host_exists(&g, "bad"));
    assert_int_equal(guest_link(&g, 3, "d/beside/", 3, "second"), ERRNO_PERM);
    assert_int_equal(guest_link(&g, 3, "d/beside", 3, "second"), 0);
    assert_int_equal(guest_rename(&g, 3, "d/beside", 3, "moved"), 0);
    test_guest_end(&g);
}

static void creating_through_a_dangling_link_makes_nothing(void **state)
{
    (void)state;
    struct test_guest g;
    test_guest_start(&g, &writable);
    host_symlink(&g, "../made", "out");
    host_symlink(&g, "made", "in");
    assert_int_equal(guest_open(&g, 3, "out", OFLAGS_CREAT, RIGHTS_FD_WRITE, NULL), ERRNO_NOTCAPABLE);
    assert_int_equal(guest_open(&g, 3, "out", OFLAGS_CREAT | OFLAGS_EXCL, RIGHTS_FD_WRITE, NULL),
                     ERRNO_EXIST);
    assert_int_equal(guest_open(&g, 3, "in", OFLAGS_CREAT, RIGHTS_FD_WRITE, NULL), ERRNO_NOENT);
    assert_int_equal(guest_open_full(&g, 3, 0, "in", OFLAGS_CREAT, RIGHTS_FD_WRITE, 0, 0, NULL), ERRNO_LOOP);
    assert_false(host_exists(&g, "../made"));
    assert_false(host_exists(&g, "made"));
    test_guest_end(&g);
}

static void links_that_never_end_are_loops(void **state)
{
    (void)state;
    struct test_guest g;
    char name[16], target[16];
    test_guest_start(&g, &writable);
    host_symlink(&g, "self", "self");
    host_file(&g, "l0", "x");
    for (int i = 1; i <= 42; i++) {
        snprintf(name, sizeof name, "l%d", i);
        snprintf(target, sizeof target, "l%d", i - 1);
        host_symlink(&g, target, name);
    }
    assert_int_equal(guest_open(&g, 3, "self", 0, RIGHTS_FD_READ, NULL), ERRNO_LOOP);
    assert_int_equal(guest_open_full(&g, 3, 0, "l1", 0, RIGHTS_FD_READ, 0, 0, NULL), ERRNO_LOOP);
    assert_int_equal(guest_open(&g, 3, "l40", 0, RIGHTS_FD_READ, NULL), 0);
    assert_int_equal(guest_open(&g, 3, "l41", 0, RIGHTS_FD_READ, NULL), ERRNO_LOOP);
    test_guest_end(&g);
}

static void special_files_are_neither_opened_nor_waited_for(void **state)
{
    (void)state;
    struct test_guest g;
    char path[160];
    test_guest_start(&g, &writable);
    snprintf(path, sizeof path, "%s/fifo", g.root);
    assert_int_equal(mkfifo(path, 0666), 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%.80s/socket", g.root);
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    snprintf(path, sizeof path, "%s/zero", g.root);
    bool device = mknod(path, S_IFCHR | 0666, makedev(1, 5)) == 0;
    static const uint64_t rights[] = {RIGHTS_FD_READ, RIGHTS_FD_WRITE, RIGHTS_FD_READ | RIGHTS_FD_WRITE, 0};
    static const uint32_t oflags[] = {0, OFLAGS_CREAT, OFLAGS_TRUNC};
    unsigned before = host_open_descriptors();
    for (size_t i = 0; i < 4; i++) {
        for (size_t k = 0; k < 3; k++) {
            assert_int_equal(guest_open(&g, 3, "fifo", oflags[k], rights[i], NULL), ERRNO_NOTCAPABLE);
            assert_int_equal(guest_open(&g, 3, "socket", oflags[k], rights[i], NULL), ERRNO_NOTCAPABLE);
            if (device) {
                uint32_t r = guest_open(&g, 3, "zero", oflags[k], rights[i], NULL);
                assert_true(r == ERRNO_NOTCAPABLE || r == ERRNO_ACCES); /* the tree may be mounted nodev */
            }
        }
    }
    assert_int_equal(host_open_descriptors(), before);
    assert_int_equal(guest_stat(&g, 3, 0, "fifo"), 0);
    assert_int_equal(g.memory.data[AT_RESULT + FILESTAT_FILETYPE], FILETYPE_UNKNOWN);
    assert_int_equal(guest_set_times(&g, 3, 0, "fifo", 1, 1, FSTFLAGS_MTIM), ERRNO_NOTCAPABLE);
    close(listener);
    test_guest_end(&g);
}

static void names_are_checked_as_text(void **state)
{
    (void)state;
    struct test_guest g;
    char longest[257];
    test_guest_start(&g, &writable);
    host_file(&g, "f", "x");
    memcpy(g.memory.data + AT_PATH, "f\0../../etc/passwd", 18);
    assert_int_equal(guest_call(&g, path_open, 3, 0, AT_PATH, 18, 0, RIGHTS_FD_READ, 0, 0, AT_RESULT),
                     ERRNO_ILSEQ);
    assert_int_equal(guest_call(&g, path_unlink_file, 3, AT_PATH, 2), ERRNO_ILSEQ);
    for (int which = 0; which < N_PATH_CALLS; which++) {
        assert_int_equal(path_call(&g, which, 3, ""), ERRNO_NOENT);
        assert_int_equal(path_call(&g, which, 3, "\xff"), ERRNO_ILSEQ);
        assert_int_equal(path_call(&g, which, 3, "a\xc0\xaf"), ERRNO_ILSEQ);
        assert_int_equal(path_call(&g, which, 3, "\xed\xa0\x80"), ERRNO_ILSEQ);
    }
    memset(longest, 'n', 256);
    longest[256] = '\0';
    assert_int_equal(guest_mkdir(&g, 3, longest), ERRNO_NAMETOOLONG);
    assert_int_equal(guest_stat(&g, 3, 0, longest), ERRNO_NAMETOOLONG);
    longest[255] = '\0';
    assert_int_equal(guest_mkdir(&g, 3, longest), 0);
    memset(g.memory.data + AT_PATH, '/', 5000);
    for (uint32_t i = 0; i < 4096; i += 2)
        g.memory.data[AT_PATH + i] = '.';
    assert_int_equal(guest_call(&g, path_create_directory, 3, AT_PATH, 4096), ERRNO_NAMETOOLONG);
    assert_int_equal(guest_call(&g, path_filestat_get, 3, 0, AT_PATH, 4095, AT_RESULT), 0);
    test_guest_end(&g);
}

static void unusual_names_are_just_names(void **state)
{
    (void)state;
    static const char *const names[] = {"con", "nul",         "\xc3\xa9", "e\xcc\x81", "a b",          "-rf",
                                        "~",   "$HOME",       "*",        "a\nb",      "\xe2\x80\xa6", "...",
                                        "..a", "x (deleted)", "\x1b[31m", "c:\\d"};
    struct test_guest g;
    uint32_t fd;
    test_guest_start(&g, &writable);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_int_equal(guest_open(&g, 3, names[i], OFLAGS_CREAT | OFLAGS_EXCL, RIGHTS_FD_WRITE, &fd), 0);
        assert_int_equal(guest_stat(&g, 3, 0, names[i]), 0);
        assert_true(host_exists(&g, names[i]));
    }
    test_guest_end(&g);
}

static void unknown_flags_are_invalid(void **state)
{
    (void)state;
    struct test_guest g;
    test_guest_start(&g, &writable);
    host_file(&g, "f", "x");
    guest_string(&g, AT_PATH, "f");
    for (uint32_t bit = 0; bit < 32; bit++) {
        uint32_t flag = UINT32_C(1) << bit;
        if (flag & ~(uint32_t)OFLAGS_ALL)
            assert_int_equal(guest_open(&g, 3, "f", flag, RIGHTS_FD_READ, NULL), ERRNO_INVAL);
        if (flag & ~(uint32_t)FDFLAGS_ALL)
            assert_int_equal(guest_open_full(&g, 3, 0, "f", 0, RIGHTS_FD_READ, 0, flag, NULL), ERRNO_INVAL);
        if (flag != 1) {
            assert_int_equal(guest_open_full(&g, 3, flag, "f", 0, RIGHTS_FD_READ, 0, 0, NULL), ERRNO_INVAL);
            assert_int_equal(guest_stat(&g, 3, flag, "f"), ERRNO_INVAL);
        }
        if (flag & ~(uint32_t)FSTFLAGS_ALL)
            assert_int_equal(guest_set_times(&g, 3, 0, "f", 0, 0, flag), ERRNO_INVAL);
        assert_int_equal(guest_call(&g, path_link, 3, flag, AT_PATH, 1, 3, AT_PATH, 1), ERRNO_INVAL);
    }
    assert_int_equal(guest_open(&g, 3, "d", OFLAGS_CREAT | OFLAGS_DIRECTORY, 0, NULL), ERRNO_INVAL);
    assert_int_equal(guest_open(&g, 3, ".", OFLAGS_DIRECTORY, RIGHTS_FD_READ | RIGHTS_FD_WRITE, NULL),
                     ERRNO_ISDIR);
    test_guest_end(&g);
}

static void hard_links_and_moves_stay_in_one_mount(void **state)
{
    (void)state;
    struct test_guest g;
    test_guest_start(&g, &(struct test_setup){.writable = true, .two_mounts = true});
    host_file(&g, "f", "x");
    host_directory(&g, "d");
    host_directory(&g, "full");
    host_file(&g, "full/f", "x");
    assert_int_equal(guest_link(&g, 3, "f", 4, "f"), ERRNO_XDEV);
    assert_int_equal(guest_rename(&g, 3, "f", 4, "f"), ERRNO_XDEV);
    assert_int_equal(guest_rename(&g, 3, "d", 4, "d"), ERRNO_XDEV);
    assert_int_equal(guest_link(&g, 3, "d", 3, "e"), ERRNO_PERM);
    assert_int_equal(guest_link(&g, 3, "f", 3, "f"), ERRNO_EXIST);
    assert_int_equal(guest_rename(&g, 3, "d", 3, "d/e"), ERRNO_INVAL);
    assert_int_equal(guest_rename(&g, 3, "d", 3, "f"), ERRNO_NOTDIR);
    assert_int_equal(guest_rename(&g, 3, "f", 3, "d"), ERRNO_ISDIR);
    assert_int_equal(guest_rename(&g, 3, "d", 3, "full"), ERRNO_NOTEMPTY);
    assert_int_equal(guest_rmdir(&g, 3, "full"), ERRNO_NOTEMPTY);
    assert_true(host_exists(&g, "f") && host_exists(&g, "d") && host_exists(&g, "full/f"));
    test_guest_end(&g);
}

static void a_read_only_mount_cannot_lend_a_file_to_a_writable_one(void **state)
{
    (void)state;
    struct test_guest g;
    test_guest_start(&g, &(struct test_setup){.two_mounts = true});
    host_file(&g, "f", "x");
    assert_int_equal(guest_link(&g, 3, "f", 4, "f"), ERRNO_ROFS);
    assert_int_equal(guest_rename(&g, 3, "f", 4, "f"), ERRNO_ROFS);
    assert_int_equal(guest_rename(&g, 4, "f", 3, "f"), ERRNO_ROFS);
    assert_true(host_exists(&g, "f"));
    assert_false(host_exists(&g, "../second/f"));
    test_guest_end(&g);
}

static void contradictory_times_are_invalid_and_extreme_ones_harmless(void **state)
{
    (void)state;
    static const uint64_t extremes[] = {0, UINT64_C(1) << 62, INT64_MAX, UINT64_C(1) << 63, UINT64_MAX};
    struct test_guest g;
    uint32_t fd;
    test_guest_start(&g, &(struct test_setup){.writable = true, .clock = WASI_CLOCK_FINE});
    assert_int_equal(guest_open(&g, 3, "f", OFLAGS_CREAT, ALL_RIGHTS, &fd), 0);
    for (uint32_t flags = 0; flags <= FSTFLAGS_ALL; flags++) {
        bool contradictory = (flags & 3) == 3 || (flags & 12) == 12;
        for (size_t i = 0; i < sizeof extremes / sizeof extremes[0]; i++) {
            uint32_t r = guest_set_times(&g, 3, 0, "f", extremes[i], extremes[i], flags);
            assert_int_equal(r, contradictory ? ERRNO_INVAL : 0);
            r = guest_call(&g, fd_filestat_set_times, fd, extremes[i], extremes[i], flags);
            assert_int_equal(r, contradictory ? ERRNO_INVAL : 0);
            assert_int_equal(guest_stat(&g, 3, 0, "f"), 0);
        }
    }
    assert_int_equal(guest_set_times(&g, 3, 0, "f", 123456789, 987654321, FSTFLAGS_ATIM | FSTFLAGS_MTIM), 0);
    assert_int_equal(guest_stat(&g, 3, 0, "f"), 0);
    assert_int_equal(load_u64(g.memory.data + AT_RESULT + FILESTAT_ATIM), 123456789);
    assert_int_equal(load_u64(g.memory.data + AT_RESULT + FILESTAT_MTIM), 987654321);
    /* Of the link, not of what it leads to. */
    host_symlink(&g, "f", "link");
    assert_int_equal(guest_set_times(&g, 3, 0, "link", 5, 5, FSTFLAGS_MTIM), 0);
    assert_int_equal(guest_stat(&g, 3, 1, "link"), 0);
    assert_int_equal(load_u64(g.memory.data + AT_RESULT + FILESTAT_MTIM), 987654321);
    assert_int_equal(guest_stat(&g, 3, 0, "link"), 0);
    assert_int_equal(load_u64(g.memory.data + AT_RESULT + FILESTAT_MTIM), 5);
    test_guest_end(&g);
}

static void offsets_beyond_everything_are_refused(void **state)
{
    (void)state;
    static const uint64_t far[] = {(UINT64_C(1) << 62) + 1, INT64_MAX, UINT64_C(1) << 63, UINT64_MAX};
    struct test_guest g;
    uint32_t fd;
    test_guest_start(&g, &writable);
    assert_int_equal(guest_open(&g, 3, "f", OFLAGS_CREAT, ALL_RIGHTS, &fd), 0);
    assert_int_equal(guest_write(&g, fd, "12345"), 0);
    for (size_t i = 0; i < sizeof far / sizeof far[0]; i++) {
        uint32_t wanted = far[i] > INT64_MAX ? ERRNO_INVAL : ERRNO_FBIG;
        assert_int_equal(guest_call(&g, fd_pwrite, fd, AT_IOVEC, 1, far[i], AT_RESULT), wanted);
        assert_int_equal(guest_call(&g, fd_pread, fd, AT_IOVEC, 1, far[i], AT_RESULT), ERRNO_INVAL);
        assert_int_equal(guest_call(&g, fd_filestat_set_size, fd, far[i]), wanted);
    }
    assert_int_equal(guest_call(&g, fd_pwrite, fd, AT_IOVEC, 1, UINT64_C(1) << 62, AT_RESULT), ERRNO_FBIG);
    assert_int_equal(guest_call(&g, fd_seek, fd, (uint64_t)-1, WHENCE_SET, AT_RESULT), ERRNO_INVAL);
    assert_int_equal(guest_call(&g, fd_seek, fd, (uint64_t)-6, WHENCE_CUR, AT_RESULT), ERRNO_INVAL);
    assert_int_equal(guest_call(&g, fd_seek, fd, (uint64_t)INT64_MIN, WHENCE_END, AT_RESULT), ERRNO_INVAL);
    assert_int_equal(guest_call(&g, fd_seek, fd, 0, 3, AT_RESULT), ERRNO_INVAL);
    assert_int_equal(guest_call(&g, fd_tell, fd, AT_RESULT), 0);
    assert_int_equal(guest_result_u64(&g), 5);
    assert_int_equal(guest_call(&g, fd_advise, fd, 0, UINT64_MAX, 0), ERRNO_INVAL);
    assert_int_equal(guest_call(&g, fd_advise, fd, 0, 5, 6), ERRNO_INVAL);
    assert_int_equal(guest_call(&g, fd_advise, fd, 0, 5, 5), 0);
    assert_int_equal(guest_call(&g, fd_allocate, fd, 0, UINT64_MAX), ERRNO_NOTSUP);
    assert_int_equal(host_size(&g, "f"), 5);
    test_guest_end(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_that_lead_out_are_not_capable_in_every_function),
        cmocka_unit_test(links_that_lead_out_are_not_followed_by_any_function),
        cmocka_unit_test(a_trailing_slash_does_not_follow_a_link),
        cmocka_unit_test(trailing_slashes_ask_for_a_directory),
        cmocka_unit_test(dots_as_last_component_never_reach_the_host),
        cmocka_unit_test(a_directory_descriptor_is_a_boundary_of_its_own),
        cmocka_unit_test(a_guest_cannot_make_a_link_that_leads_out),
        cmocka_unit_test(a_link_that_leads_up_is_not_moved),
        cmocka_unit_test(creating_through_a_dangling_link_makes_nothing),
        cmocka_unit_test(links_that_never_end_are_loops),
        cmocka_unit_test(special_files_are_neither_opened_nor_waited_for),
        cmocka_unit_test(names_are_checked_as_text),
        cmocka_unit_test(unusual_names_are_just_names),
        cmocka_unit_test(unknown_flags_are_invalid),
        cmocka_unit_test(hard_links_and_moves_stay_in_one_mount),
        cmocka_unit_test(a_read_only_mount_cannot_lend_a_file_to_a_writable_one),
        cmocka_unit_test(contradictory_times_are_invalid_and_extreme_ones_harmless),
        cmocka_unit_test(offsets_beyond_everything_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
