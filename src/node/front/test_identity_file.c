/* SPDX-License-Identifier: Apache-2.0 */
/* The node's secret is made once, whole and private, and not used when it is not. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/error.h"
#include "node/front/identity_file.h"

struct directory {
    char path[64];
    int descriptor;
};

static int setup(void **state)
{
    static struct directory directory;
    strncpy(directory.path, "/tmp/berth-identity-XXXXXX", sizeof(directory.path));
    if (!mkdtemp(directory.path))
        return -1;
    directory.descriptor = open(directory.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *state = &directory;
    return directory.descriptor < 0;
}

static int teardown(void **state)
{
    struct directory *directory = *state;
    (void)unlinkat(directory->descriptor, IDENTITY_FILE_NAME, 0);
    (void)unlinkat(directory->descriptor, "elsewhere", 0);
    close(directory->descriptor);
    return rmdir(directory->path);
}

/* A file of that many bytes in its place. */
static void put(const struct directory *directory, const char *name, size_t size_bytes, mode_t mode)
{
    uint8_t bytes[IDENTITY_SECRET_BYTES + 1];
    memset(bytes, 7, sizeof(bytes));
    int file = openat(directory->descriptor, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_int_equal(write(file, bytes, size_bytes), (ssize_t)size_bytes);
    assert_int_equal(fchmod(file, mode), 0);
    close(file);
}

static void refuses(const struct directory *directory, berth_status expected, const char *says)
{
    struct identity *identity = NULL;
    berth_error *error = NULL;
    assert_int_equal(identity_file_load(directory->path, &identity, &error), expected);
    assert_null(identity);
    assert_non_null(strstr(berth_error_message(error), says));
    assert_non_null(strstr(berth_error_message(error), directory->path));
    berth_error_free(error);
}

static void is_made_once(void **state)
{
    const struct directory *directory = *state;
    struct identity *first = NULL, *second = NULL;
    struct stat status;
    assert_int_equal(identity_file_load(directory->path, &first, NULL), BERTH_OK);
    assert_int_equal(identity_file_load(directory->path, &second, NULL), BERTH_OK);
    assert_string_equal(identity_peer_id(first), identity_peer_id(second));
    assert_non_null(identity_ml_dsa_65_public_key(first));
    assert_int_equal(fstatat(directory->descriptor, IDENTITY_FILE_NAME, &status, 0), 0);
    assert_int_equal(status.st_mode, S_IFREG | 0600);
    assert_int_equal(status.st_size, IDENTITY_SECRET_BYTES);
    assert_int_equal(faccessat(directory->descriptor, IDENTITY_FILE_NAME ".new", F_OK, 0), -1);
    identity_free(first);
    identity_free(second);
}

static void is_made_where_a_crash_left_half_of_one(void **state)
{
    const struct directory *directory = *state;
    struct identity *identity = NULL;
    put(directory, IDENTITY_FILE_NAME ".new", 10, 0600);
    assert_int_equal(identity_file_load(directory->path, &identity, NULL), BERTH_OK);
    assert_int_equal(faccessat(directory->descriptor, IDENTITY_FILE_NAME ".new", F_OK, 0), -1);
    identity_free(identity);
}

static void is_refused_if_others_can_read_it(void **state)
{
    const struct directory *directory = *state;
    const mode_t modes[] = {0640, 0604, 0660, 0601, 0777};
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        put(directory, IDENTITY_FILE_NAME, IDENTITY_SECRET_BYTES, modes[i]);
        refuses(directory, BERTH_REFUSED, "may be read by others");
    }
}

static void is_refused_if_it_is_none(void **state)
{
    const struct directory *directory = *state;
    const size_t sizes[] = {0, 1, IDENTITY_SECRET_BYTES - 1, IDENTITY_SECRET_BYTES + 1};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        put(directory, IDENTITY_FILE_NAME, sizes[i], 0600);
        refuses(directory, BERTH_REFUSED, "no identity");
    }
    assert_int_equal(unlinkat(directory->descriptor, IDENTITY_FILE_NAME, 0), 0);
    assert_int_equal(mkfifoat(directory->descriptor, IDENTITY_FILE_NAME, 0600), 0);
    refuses(directory, BERTH_REFUSED, "no identity");
}

static void is_not_looked_for_behind_a_link(void **state)
{
    const struct directory *directory = *state;
    put(directory, "elsewhere", IDENTITY_SECRET_BYTES, 0600);
    assert_int_equal(symlinkat("elsewhere", directory->descriptor, IDENTITY_FILE_NAME), 0);
    refuses(directory, BERTH_IO, "cannot be opened");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(is_made_once, setup, teardown),
        cmocka_unit_test_setup_teardown(is_made_where_a_crash_left_half_of_one, setup, teardown),
        cmocka_unit_test_setup_teardown(is_refused_if_others_can_read_it, setup, teardown),
        cmocka_unit_test_setup_teardown(is_refused_if_it_is_none, setup, teardown),
        cmocka_unit_test_setup_teardown(is_not_looked_for_behind_a_link, setup, teardown),
    };
    return cmocka_run_group_tests_name("identity file", tests, NULL, NULL);
}
