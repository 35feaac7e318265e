/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

#include "base/error.h"
#include "sandbox/module_cache.h"

static const struct engine_settings settings;
static const uint8_t module_a[MODULE_CACHE_HASH_BYTES] = "module a";
static const uint8_t module_b[MODULE_CACHE_HASH_BYTES] = "module b";
static const char facts[] = "{\"facts\": true}";
static const uint8_t code[] = "not really machine code";

/* ---- A directory per test ----------------------------------------------------------------------- */

struct place {
    char path[64]; /* of the cache */
    char root[48];
};

static int make_place(void **state)
{
    struct place *place = calloc(1, sizeof(*place));
    assert_non_null(place);
    snprintf(place->root, sizeof(place->root), "/tmp/berth-cache-XXXXXX");
    assert_non_null(mkdtemp(place->root));
    snprintf(place->path, sizeof(place->path), "%s/modules", place->root);
    *state = place;
    return 0;
}

static void remove_all(const char *path)
{
    DIR *stream = opendir(path);
    for (const struct dirent *item; stream && (item = readdir(stream));) {
        if (strcmp(item->d_name, ".") == 0 || strcmp(item->d_name, "..") == 0)
            continue;
        if (unlinkat(dirfd(stream), item->d_name, 0) < 0)
            unlinkat(dirfd(stream), item->d_name, AT_REMOVEDIR);
    }
    if (stream)
        closedir(stream);
    rmdir(path);
}

static int remove_place(void **state)
{
    struct place *place = *state;
    remove_all(place->path);
    remove_all(place->root);
    free(place);
    return 0;
}

static struct module_cache *open_with(const struct place *place, const struct engine_settings *of)
{
    cleanup_text struct text reason = {0};
    struct module_cache *cache = NULL;
    int r = module_cache_new(place->path, of, &cache, &reason);
    if (r != 0)
        fail_msg("%d: %s", r, reason.data ? reason.data : "");
    return cache;
}

#define cleanup_cache cleanup(module_cache_free_cleanup)

static struct module_cache *open_cache(const struct place *place)
{
    return open_with(place, &settings);
}

static void store(const struct module_cache *cache, const uint8_t *module)
{
    module_cache_store(cache, module, facts, code, sizeof(code));
}

static bool holds(const struct module_cache *cache, const uint8_t *module)
{
    cleanup_module_cache_entry struct module_cache_entry entry = {0};
    if (module_cache_look_up(cache, module, &entry) != 0)
        return false;
    assert_int_equal(entry.facts_bytes, sizeof(facts) - 1);
    assert_memory_equal(entry.facts, facts, entry.facts_bytes);
    assert_int_equal(entry.code_bytes, sizeof(code));
    assert_memory_equal(entry.code, code, entry.code_bytes);
    return true;
}

/* Files of the directory but for the key; the path of the last one, if there is room for it. */
static int count_files(const struct place *place, char *ret_path, size_t capacity)
{
    int count = 0;
    DIR *stream = opendir(place->path);
    assert_non_null(stream);
    for (const struct dirent *item; (item = readdir(stream));) {
        if (item->d_name[0] == '.' && strncmp(item->d_name, ".unfinished", 11) != 0)
            continue;
        if (strcmp(item->d_name, "key") == 0)
            continue;
        count++;
        if (ret_path)
            assert_in_range(snprintf(ret_path, capacity, "%s/%s", place->path, item->d_name), 1,
                            capacity - 1);
    }
    closedir(stream);
    return count;
}

struct file {
    char path[256];
    uint8_t bytes[1024];
    size_t size_bytes;
};

static void read_entry(const struct place *place, struct file *file)
{
    assert_int_equal(count_files(place, file->path, sizeof(file->path)), 1);
    int fd = open(file->path, O_RDONLY | O_CLOEXEC);
    ssize_t n = read(fd, file->bytes, sizeof(file->bytes));
    assert_in_range(n, 1, sizeof(file->bytes) - 1);
    file->size_bytes = (size_t)n;
    close(fd);
}

static void write_entry(const struct file *file)
{
    int fd = open(file->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, file->bytes, file->size_bytes), file->size_bytes);
    close(fd);
}

static bool exists(const char *path)
{
    struct stat status;
    return lstat(path, &status) == 0;
}

/* ---- In and out --------------------------------------------------------------------------------- */

static void test_what_was_stored_is_found_again(void **state)
{
    cleanup_cache struct module_cache *cache = open_cache(*state);
    assert_false(holds(cache, module_a));
    store(cache, module_a);
    assert_true(holds(cache, module_a));
    assert_false(holds(cache, module_b));
    module_cache_forget(cache, module_a);
    assert_false(holds(cache, module_a));
}

static void test_another_process_finds_it(void **state)
{
    struct module_cache *first = open_cache(*state);
    store(first, module_a);
    module_cache_free(first);
    cleanup_cache struct module_cache *second = open_cache(*state);
    assert_true(holds(second, module_a));
}

static void test_engines_of_other_settings_do_not_share_code(void **state)
{
    const struct engine_settings fuel = {.fuel = true};
    cleanup_cache struct module_cache *plain = open_cache(*state), *fueled = open_with(*state, &fuel);
    store(plain, module_a);
    assert_false(holds(fueled, module_a));
    store(fueled, module_a);
    assert_int_equal(count_files(*state, NULL, 0), 2);
}

static void test_entries_and_key_are_for_this_user_alone(void **state)
{
    const struct place *place = *state;
    char path[128];
    struct stat status;
    cleanup_cache struct module_cache *cache = open_cache(place);
    store(cache, module_a);
    assert_int_equal(stat(place->path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0700);
    count_files(place, path, sizeof(path));
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    snprintf(path, sizeof(path), "%s/key", place->path);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
}

/* ---- Seals -------------------------------------------------------------------------------------- */

static void test_a_flipped_bit_anywhere_makes_it_a_miss(void **state)
{
    cleanup_cache struct module_cache *cache = open_cache(*state);
    struct file file;
    store(cache, module_a);
    read_entry(*state, &file);
    for (size_t i = 0; i < file.size_bytes * 8; i++) {
        file.bytes[i / 8] ^= (uint8_t)(1 << i % 8);
        write_entry(&file);
        assert_false(holds(cache, module_a));
        assert_false(exists(file.path));
        file.bytes[i / 8] ^= (uint8_t)(1 << i % 8);
    }
    write_entry(&file);
    assert_true(holds(cache, module_a));
}

static void test_a_file_cut_or_extended_anywhere_is_a_miss(void **state)
{
    cleanup_cache struct module_cache *cache = open_cache(*state);
    struct file file;
    store(cache, module_a);
    read_entry(*state, &file);
    const size_t whole_bytes = file.size_bytes;
    file.bytes[whole_bytes] = 0;
    for (size_t size_bytes = 0; size_bytes <= whole_bytes + 1; size_bytes++) {
        file.size_bytes = size_bytes;
        write_entry(&file);
        assert_int_equal(holds(cache, module_a), size_bytes == whole_bytes);
    }
}

static void test_an_entry_under_the_name_of_another_is_a_miss(void **state)
{
    cleanup_cache struct module_cache *cache = open_cache(*state);
    struct file a, b;
    store(cache, module_a);
    read_entry(*state, &a);
    unlink(a.path);
    store(cache, module_b);
    read_entry(*state, &b);
    assert_int_equal(strcmp(a.path, b.path) != 0, 1);
    memcpy(b.bytes, a.bytes, sizeof(b.bytes));
    b.size_bytes = a.size_bytes;
    write_entry(&b);
    assert_false(holds(cache, module_b));
}

static void test_what_was_sealed_with_another_key_is_a_miss(void **state)
{
    const struct place *place = *state;
    struct module_cache *cache = open_cache(place);
    char key[128];
    store(cache, module_a);
    module_cache_free(cache);
    snprintf(key, sizeof(key), "%s/key", place->path);
    assert_int_equal(unlink(key), 0);
    cleanup_cache struct module_cache *other = open_cache(place);
    assert_false(holds(other, module_a));
    assert_int_equal(count_files(place, NULL, 0), 0);
}

static void test_a_key_that_others_could_read_is_replaced(void **state)
{
    const struct place *place = *state;
    struct module_cache *cache = open_cache(place);
    char key[128];
    struct stat status;
    store(cache, module_a);
    module_cache_free(cache);
    snprintf(key, sizeof(key), "%s/key", place->path);
    assert_int_equal(chmod(key, 0644), 0);
    cleanup_cache struct module_cache *other = open_cache(place);
    assert_false(holds(other, module_a));
    assert_int_equal(stat(key, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
}

static void test_a_key_that_is_a_link_or_too_short_is_replaced(void **state)
{
    const struct place *place = *state;
    char key[128];
    struct stat status;
    module_cache_free(open_cache(place));
    snprintf(key, sizeof(key), "%s/key", place->path);
    assert_int_equal(truncate(key, 31), 0);
    module_cache_free(open_cache(place));
    assert_int_equal(stat(key, &status), 0);
    assert_int_equal(status.st_size, 32);
    assert_int_equal(unlink(key), 0);
    assert_int_equal(symlink("/dev/zero", key), 0);
    module_cache_free(open_cache(place));
    assert_int_equal(lstat(key, &status), 0);
    assert_true(S_ISREG(status.st_mode));
}

/* ---- Things in the way -------------------------------------------------------------------------- */

static void test_a_link_in_the_place_of_an_entry_is_not_followed(void **state)
{
    const struct place *place = *state;
    cleanup_cache struct module_cache *cache = open_cache(place);
    struct file file;
    char target[128];
    store(cache, module_a);
    read_entry(place, &file);
    snprintf(target, sizeof(target), "%s/elsewhere", place->root);
    assert_int_equal(rename(file.path, target), 0);
    assert_int_equal(symlink(target, file.path), 0);
    assert_false(holds(cache, module_a));
    assert_false(exists(file.path));
    assert_true(exists(target));
}

static void test_a_pipe_or_a_directory_in_the_place_of_an_entry_is_a_miss(void **state)
{
    const struct place *place = *state;
    cleanup_cache struct module_cache *cache = open_cache(place);
    struct file file;
    store(cache, module_a);
    read_entry(place, &file);
    assert_int_equal(unlink(file.path), 0);
    assert_int_equal(mkfifo(file.path, 0600), 0);
    assert_false(holds(cache, module_a));
    assert_int_equal(mkdir(file.path, 0700), 0);
    assert_false(holds(cache, module_a));
    store(cache, module_a);
    assert_false(holds(cache, module_a));
}

/* ---- Directories that may not be trusted -------------------------------------------------------- */

static void assert_unsafe(const struct place *place, const char *why)
{
    cleanup_text struct text reason = {0};
    cleanup_cache struct module_cache *cache = NULL;
    assert_int_equal(module_cache_new(place->path, &settings, &cache, &reason), MODULE_CACHE_UNSAFE);
    assert_null(cache);
    assert_non_null(strstr(reason.data, why));
    assert_non_null(strstr(reason.data, place->path));
    assert_non_null(strstr(reason.data, "--no-cache"));
}

static void test_a_directory_that_others_may_write_is_refused(void **state)
{
    const struct place *place = *state;
    module_cache_free(open_cache(place));
    assert_int_equal(chmod(place->path, 0770), 0);
    assert_unsafe(place, "may be written by other users");
    assert_int_equal(chmod(place->path, 0707), 0);
    assert_unsafe(place, "may be written by other users");
}

static void test_a_directory_of_somebody_else_is_refused(void **state)
{
    const struct place *place = *state;
    module_cache_free(open_cache(place));
    if (chown(place->path, 65534, 65534) < 0)
        skip(); /* only root can give a directory away */
    assert_unsafe(place, "belongs to another user");
}

static void test_a_link_to_a_directory_is_refused(void **state)
{
    const struct place *place = *state;
    assert_int_equal(symlink(place->root, place->path), 0);
    assert_unsafe(place, "is a symbolic link");
    assert_int_equal(unlink(place->path), 0);
}

static void test_a_place_that_cannot_be_made_is_no_cache(void **state)
{
    struct place below = {0};
    cleanup_text struct text reason = {0};
    struct module_cache *cache = NULL;
    (void)state;
    snprintf(below.path, sizeof(below.path), "/proc/self/comm/modules");
    assert_true(module_cache_new(below.path, &settings, &cache, &reason) < 0);
    assert_true(module_cache_new("", &settings, &cache, &reason) < 0);
    assert_null(cache);
}

/* ---- Full and shared ---------------------------------------------------------------------------- */

/* What happens in a process of its own, so that its limits are not ours. */
static void in_child(void (*work)(const struct place *), const struct place *place)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        work(place);
        _exit(0);
    }
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void store_on_a_full_disk(const struct place *place)
{
    const struct rlimit small = {.rlim_cur = 64, .rlim_max = 64};
    struct module_cache *cache = open_cache(place);
    if (signal(SIGXFSZ, SIG_IGN) == SIG_ERR || setrlimit(RLIMIT_FSIZE, &small) < 0)
        _exit(1);
    store(cache, module_a);
    _exit(holds(cache, module_a) ? 2 : 0);
}

static void test_a_full_disk_leaves_nothing_behind(void **state)
{
    in_child(store_on_a_full_disk, *state);
    assert_int_equal(count_files(*state, NULL, 0), 0);
}

enum { SHARERS = 4, ROUNDS = 100 };

static void share(const struct place *place)
{
    struct module_cache *cache = open_cache(place);
    for (int i = 0; i < ROUNDS; i++) {
        uint8_t module[MODULE_CACHE_HASH_BYTES] = {(uint8_t)(i % 7)};
        store(cache, module);
        if (i % 5 == 0)
            module_cache_forget(cache, module);
        else
            holds(cache, module);
    }
    store(cache, module_a);
    _exit(holds(cache, module_a) ? 0 : 1);
}

static void test_processes_that_start_at_once_agree_on_a_key(void **state)
{
    pid_t pids[SHARERS];
    for (int i = 0; i < SHARERS; i++) {
        pids[i] = fork();
        assert_true(pids[i] >= 0);
        if (pids[i] == 0)
            share(*state);
    }
    for (int i = 0; i < SHARERS; i++) {
        int status = -1;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
    }
    cleanup_cache struct module_cache *cache = open_cache(*state);
    assert_true(holds(cache, module_a));
}

static void set_age(const char *path, time_t seconds)
{
    const struct timespec times[2] = {{.tv_sec = time(NULL) - seconds}, {.tv_sec = time(NULL) - seconds}};
    assert_int_equal(utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW), 0);
}

static void test_what_was_not_used_for_longest_goes_first(void **state)
{
    const struct place *place = *state;
    cleanup_cache struct module_cache *cache = open_cache(place);
    struct file file;
    store(cache, module_a);
    read_entry(place, &file);
    set_age(file.path, 1000);
    store(cache, module_b);
    int directory = open(place->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    module_cache_shrink(directory, 2 * file.size_bytes);
    assert_int_equal(count_files(place, NULL, 0), 2);
    module_cache_shrink(directory, 2 * file.size_bytes - 1);
    close(directory);
    assert_false(holds(cache, module_a));
    assert_true(holds(cache, module_b));
}

static void test_a_hit_counts_as_use(void **state)
{
    const struct place *place = *state;
    cleanup_cache struct module_cache *cache = open_cache(place);
    struct file file;
    struct stat status;
    store(cache, module_a);
    read_entry(place, &file);
    set_age(file.path, 1000);
    assert_true(holds(cache, module_a));
    assert_int_equal(stat(file.path, &status), 0);
    assert_true(status.st_mtim.tv_sec > time(NULL) - 500);
}

static void test_unfinished_files_of_dead_processes_go(void **state)
{
    const struct place *place = *state;
    char old[128], young[128];
    cleanup_cache struct module_cache *cache = open_cache(place);
    snprintf(old, sizeof(old), "%s/.unfinished-1", place->path);
    snprintf(young, sizeof(young), "%s/.unfinished-2", place->path);
    close(open(old, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    close(open(young, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    set_age(old, 2 * 3600);
    store(cache, module_a);
    assert_false(exists(old));
    assert_true(exists(young));
}

/* ---- For people --------------------------------------------------------------------------------- */

struct seen {
    int count;
    struct berth_cache_entry last;
};

static bool see(void *payload, const struct berth_cache_entry *entry)
{
    struct seen *seen = payload;
    seen->count++;
    seen->last = *entry;
    return true;
}

static void test_list_tells_what_is_there(void **state)
{
    const struct place *place = *state;
    struct seen seen = {0};
    cleanup_cache struct module_cache *cache = open_cache(place);
    assert_int_equal(berth_cache_list(place->path, see, &seen, NULL), BERTH_OK);
    assert_int_equal(seen.count, 0);
    store(cache, module_a);
    assert_int_equal(berth_cache_list(place->path, see, &seen, NULL), BERTH_OK);
    assert_int_equal(seen.count, 1);
    assert_true(seen.last.usable);
    assert_memory_equal(seen.last.module_sha256, "6d6f64756c652061000000", 22);
    assert_true(seen.last.last_used_s > time(NULL) - 100);
}

static void test_list_marks_what_another_berth_made(void **state)
{
    const struct place *place = *state;
    struct seen seen = {0};
    struct file file;
    cleanup_cache struct module_cache *cache = open_cache(place);
    store(cache, module_a);
    read_entry(place, &file);
    file.bytes[offsetof(struct module_cache_header, maker)] ^= 1;
    write_entry(&file);
    assert_int_equal(berth_cache_list(place->path, see, &seen, NULL), BERTH_OK);
    assert_int_equal(seen.count, 1);
    assert_false(seen.last.usable);
}

static void test_clear_takes_all_entries_and_nothing_else(void **state)
{
    const struct place *place = *state;
    uint64_t count = 0, size_bytes = 0;
    char stranger[128];
    cleanup_cache struct module_cache *cache = open_cache(place);
    store(cache, module_a);
    store(cache, module_b);
    snprintf(stranger, sizeof(stranger), "%s/notes.txt", place->path);
    close(open(stranger, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    assert_int_equal(berth_cache_clear(place->path, &count, &size_bytes, NULL), BERTH_OK);
    assert_int_equal(count, 2);
    assert_true(size_bytes > 2 * sizeof(code));
    assert_true(exists(stranger));
    store(cache, module_a);
    assert_true(holds(cache, module_a));
}

static void test_a_cache_that_does_not_exist_is_empty(void **state)
{
    const struct place *place = *state;
    struct seen seen = {0};
    uint64_t count = 1;
    assert_int_equal(berth_cache_list(place->path, see, &seen, NULL), BERTH_OK);
    assert_int_equal(berth_cache_clear(place->path, &count, NULL, NULL), BERTH_OK);
    assert_int_equal(count, 0);
    assert_false(exists(place->path));
}

static void test_the_default_place_is_the_users(void **state)
{
    cleanup_free char *path = NULL;
    cleanup_error berth_error *error = NULL;
    (void)state;
    unsetenv("XDG_CACHE_HOME");
    setenv("HOME", "/home/somebody", 1);
    assert_int_equal(berth_cache_default_directory(&path, NULL), BERTH_OK);
    assert_string_equal(path, "/home/somebody/.cache/berth/modules");
    free(take_ptr(path));
    setenv("XDG_CACHE_HOME", "/var/cache/somebody", 1);
    assert_int_equal(berth_cache_default_directory(&path, NULL), BERTH_OK);
    assert_string_equal(path, "/var/cache/somebody/berth/modules");
    free(take_ptr(path));
    setenv("XDG_CACHE_HOME", "relative", 1);
    unsetenv("HOME");
    assert_int_equal(berth_cache_default_directory(&path, &error), BERTH_NOT_FOUND);
    assert_non_null(strstr(berth_error_message(error), "HOME"));
}

#define cache_test(test) cmocka_unit_test_setup_teardown(test, make_place, remove_place)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cache_test(test_what_was_stored_is_found_again),
        cache_test(test_another_process_finds_it),
        cache_test(test_engines_of_other_settings_do_not_share_code),
        cache_test(test_entries_and_key_are_for_this_user_alone),
        cache_test(test_a_flipped_bit_anywhere_makes_it_a_miss),
        cache_test(test_a_file_cut_or_extended_anywhere_is_a_miss),
        cache_test(test_an_entry_under_the_name_of_another_is_a_miss),
        cache_test(test_what_was_sealed_with_another_key_is_a_miss),
        cache_test(test_a_key_that_others_could_read_is_replaced),
        cache_test(test_a_key_that_is_a_link_or_too_short_is_replaced),
        cache_test(test_a_link_in_the_place_of_an_entry_is_not_followed),
        cache_test(test_a_pipe_or_a_directory_in_the_place_of_an_entry_is_a_miss),
        cache_test(test_a_directory_that_others_may_write_is_refused),
        cache_test(test_a_directory_of_somebody_else_is_refused),
        cache_test(test_a_link_to_a_directory_is_refused),
        cache_test(test_a_place_that_cannot_be_made_is_no_cache),
        cache_test(test_a_full_disk_leaves_nothing_behind),
        cache_test(test_processes_that_start_at_once_agree_on_a_key),
        cache_test(test_what_was_not_used_for_longest_goes_first),
        cache_test(test_a_hit_counts_as_use),
        cache_test(test_unfinished_files_of_dead_processes_go),
        cache_test(test_list_tells_what_is_there),
        cache_test(test_list_marks_what_another_berth_made),
        cache_test(test_clear_takes_all_entries_and_nothing_else),
        cache_test(test_a_cache_that_does_not_exist_is_empty),
        cache_test(test_the_default_place_is_the_users),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
