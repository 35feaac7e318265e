/* SPDX-License-Identifier: Apache-2.0 */
/* The known-nodes file: what is pinned stays pinned, and nobody's line is lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/known_nodes.h"

struct place {
    char directory[64], path[128];
};

static struct node_keys keys_of(uint8_t byte)
{
    struct node_keys keys;
    memset(&keys, byte, sizeof(keys));
    return keys;
}

static int set_up(void **state)
{
    struct place *place = calloc(1, sizeof(*place));
    strncpy(place->directory, "/tmp/known-nodes-XXXXXX", sizeof(place->directory) - 1);
    if (!mkdtemp(place->directory))
        return -1;
    snprintf(place->path, sizeof(place->path), "%s/state/berth/known-nodes", place->directory);
    *state = place;
    return 0;
}

static int tear_down(void **state)
{
    struct place *place = *state;
    char command[256];
    snprintf(command, sizeof(command), "rm -r '%s'", place->directory);
    int r = system(command);
    free(place);
    return r;
}

static int check(const struct place *place, const char *address, uint8_t byte,
                 struct known_nodes_finding *ret)
{
    struct node_keys keys = keys_of(byte);
    return known_nodes_check(place->path, address, &keys, ret);
}

static void write_file(const struct place *place, const char *contents, size_t size)
{
    struct known_nodes_finding finding;
    assert_int_equal(check(place, "maker:1", 9, &finding), KNOWN_NODES_ADDED);
    FILE *file = fopen(place->path, "w");
    assert_int_equal(fwrite(contents, 1, size, file), size);
    fclose(file);
}

static size_t count_lines(const struct place *place)
{
    size_t count = 0;
    FILE *file = fopen(place->path, "r");
    for (int c = fgetc(file); c != EOF; c = fgetc(file))
        count += c == '\n';
    fclose(file);
    return count;
}

static void the_first_key_is_kept_and_then_known(void **state)
{
    struct known_nodes_finding finding;
    struct stat about;
    const struct place *place = *state;
    assert_int_equal(check(place, "a:1", 1, &finding), KNOWN_NODES_ADDED);
    assert_int_equal(check(place, "b:1", 2, &finding), KNOWN_NODES_ADDED);
    assert_int_equal(finding.line, 2);
    assert_int_equal(check(place, "a:1", 1, &finding), 0);
    assert_int_equal(check(place, "b:1", 2, &finding), 0);
    assert_int_equal(stat(place->path, &about), 0);
    assert_int_equal(about.st_mode & 0777, 0600);
    assert_int_equal(count_lines(place), 2);
}

static void another_key_is_a_change_and_is_not_kept(void **state)
{
    struct known_nodes_finding finding;
    const struct place *place = *state;
    struct node_keys first = keys_of(1), half = keys_of(1);
    assert_int_equal(check(place, "a:1", 1, &finding), KNOWN_NODES_ADDED);
    assert_int_equal(check(place, "a:1", 2, &finding), KNOWN_NODES_CHANGED);
    assert_int_equal(finding.line, 1);
    assert_memory_equal(&finding.before, &first, sizeof(first));
    half.ml_dsa_65_sha256[31] ^= 1;
    assert_int_equal(known_nodes_check(place->path, "a:1", &half, &finding), KNOWN_NODES_CHANGED);
    assert_int_equal(check(place, "a:1", 1, &finding), 0);
    assert_int_equal(count_lines(place), 1);
}

static void comments_and_a_missing_last_line_break_do_no_harm(void **state)
{
    struct known_nodes_finding finding;
    const struct place *place = *state;
    write_file(place, "# mine\n\n# more", 14);
    assert_int_equal(check(place, "a:1", 1, &finding), KNOWN_NODES_ADDED);
    assert_int_equal(count_lines(place), 4);
    assert_int_equal(check(place, "a:1", 1, &finding), 0);
    assert_int_equal(finding.line, 4);
}

static void a_line_that_means_nothing_stops_everything(void **state)
{
    static const char *const lines[] = {"a:1\n", "a:1 x y z\n", " \n",
                                        "a:1 12D3KooWx ed25519:00 ml-dsa-65-sha256:00 d\n"};
    struct known_nodes_finding finding;
    const struct place *place = *state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        write_file(place, lines[i], strlen(lines[i]));
        assert_int_equal(check(place, "b:1", 1, &finding), KNOWN_NODES_UNUSABLE);
        assert_int_equal(finding.line, 1);
        unlink(place->path);
    }
    write_file(place, "#\0\n", 3);
    assert_int_equal(check(place, "b:1", 1, &finding), KNOWN_NODES_ADDED);
    unlink(place->path);
    write_file(place, "a\0b\n", 4);
    assert_int_equal(check(place, "b:1", 1, &finding), KNOWN_NODES_UNUSABLE);
}

static void a_peer_id_of_another_key_is_no_line(void **state)
{
    struct known_nodes_finding finding;
    const struct place *place = *state;
    char contents[512];
    assert_int_equal(check(place, "a:1", 1, &finding), KNOWN_NODES_ADDED);
    FILE *file = fopen(place->path, "r+");
    size_t length = fread(contents, 1, sizeof(contents) - 1, file);
    contents[length] = '\0';
    char *hex = strstr(contents, "ed25519:") + strlen("ed25519:");
    hex[0] = hex[0] == 'f' ? 'e' : 'f';
    rewind(file);
    fwrite(contents, 1, length, file);
    fclose(file);
    assert_int_equal(check(place, "a:1", 1, &finding), KNOWN_NODES_UNUSABLE);
}

static void writers_at_the_same_time_lose_nothing(void **state)
{
    enum { WRITERS = 8, NODES_EACH = 8 };
    const struct place *place = *state;
    pid_t children[WRITERS];
    struct known_nodes_finding finding;
    for (uint8_t i = 0; i < WRITERS; i++) {
        children[i] = fork();
        if (children[i] > 0)
            continue;
        int failures = 0;
        for (uint8_t j = 0; j < NODES_EACH; j++) {
            char address[32];
            snprintf(address, sizeof(address), "node-%u-%u:1", i, j);
            failures += check(place, address, (uint8_t)(i * NODES_EACH + j), &finding) != KNOWN_NODES_ADDED;
        }
        _exit(failures);
    }
    for (int i = 0; i < WRITERS; i++) {
        int status;
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_int_equal(status, 0);
    }
    assert_int_equal(count_lines(place), WRITERS * NODES_EACH);
}

static void a_link_to_the_file_stays_one(void **state)
{
    struct known_nodes_finding finding;
    const struct place *place = *state;
    char target[128];
    struct stat about;
    snprintf(target, sizeof(target), "%s/real", place->directory);
    write_file(place, "", 0);
    assert_int_equal(rename(place->path, target), 0);
    assert_int_equal(symlink(target, place->path), 0);
    assert_int_equal(check(place, "a:1", 1, &finding), KNOWN_NODES_ADDED);
    assert_int_equal(lstat(place->path, &about), 0);
    assert_true(S_ISLNK(about.st_mode));
    assert_int_equal(check(place, "a:1", 1, &finding), 0);
}

static void a_huge_file_is_not_read(void **state)
{
    struct known_nodes_finding finding;
    const struct place *place = *state;
    write_file(place, "", 0);
    assert_int_equal(truncate(place->path, 2 << 20), 0);
    assert_int_equal(check(place, "a:1", 1, &finding), -EFBIG);
}

int main(void)
{
#define PLACED(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        PLACED(the_first_key_is_kept_and_then_known),
        PLACED(another_key_is_a_change_and_is_not_kept),
        PLACED(comments_and_a_missing_last_line_break_do_no_harm),
        PLACED(a_line_that_means_nothing_stops_everything),
        PLACED(a_peer_id_of_another_key_is_no_line),
        PLACED(writers_at_the_same_time_lose_nothing),
        PLACED(a_link_to_the_file_stays_one),
        PLACED(a_huge_file_is_not_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
