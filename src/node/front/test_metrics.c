/* SPDX-License-Identifier: Apache-2.0 */
/* Every metric is shown, well formed, and documented. usage: test_metrics OPERATIONS.md */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "node/front/metrics.h"

static const char *documentation;

static char *read_file(const char *path)
{
    struct text text = {0};
    char buffer[4096];
    size_t got;
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    while ((got = fread(buffer, 1, sizeof(buffer), file)) > 0)
        text_append_bytes(&text, buffer, got);
    fclose(file);
    return text_take(&text);
}

static void expect_documented(void *payload, const char *name)
{
    char cell[128];
    snprintf(cell, sizeof(cell), "| `%s", name);
    if (!strstr(payload, cell))
        fail_msg("%s has no row in the documentation", name);
}

static void all_are_documented(void **state)
{
    (void)state;
    char *page = read_file(documentation);
    metrics_each_name(expect_documented, page);
    free(page);
}

static void all_that_is_documented_exists(void **state)
{
    (void)state;
    char *page = read_file(documentation);
    struct text shown = {0};
    metrics_append(&(struct metrics){0}, &shown);
    for (const char *row = strstr(page, "| `berth_"); row; row = strstr(row + 1, "| `berth_")) {
        char line[128];
        size_t length = strcspn(row + 3, "`{");
        snprintf(line, sizeof(line), "\n# TYPE %.*s ", (int)length, row + 3);
        if (!strstr(shown.data, line + 1))
            fail_msg("there is no metric %.*s", (int)length, row + 3);
    }
    text_done(&shown);
    free(page);
}

/* "name{labels} 0", or a comment. */
static void expect_sample(const char *line)
{
    if (strncmp(line, "# HELP berth_", 13) == 0 || strncmp(line, "# TYPE berth_", 13) == 0)
        return;
    size_t name = strspn(line, "abcdefghijklmnopqrstuvwxyz_");
    assert_true(name > strlen("berth_") && strncmp(line, "berth_", 6) == 0);
    const char *value = strrchr(line, ' ');
    assert_non_null(value);
    assert_true(value == line + name || (line[name] == '{' && value[-1] == '}'));
    assert_true(value[1] && value[1 + strspn(value + 1, "0123456789")] == '\0');
}

static void the_text_is_what_prometheus_reads(void **state)
{
    (void)state;
    struct metrics metrics = {.runs_exited = 3, .runs_lost = UINT64_MAX};
    struct text text = {0};
    char *rest = NULL;
    metrics_measure_process(&metrics);
    assert_true(metrics.process_resident_bytes > 0 && metrics.process_open_descriptors >= 3);
    metrics_append(&metrics, &text);
    assert_false(text.failed);
    assert_non_null(strstr(text.data, "\nberth_runs_total{outcome=\"exited\"} 3\n"));
    assert_non_null(strstr(text.data, "\nberth_runs_total{outcome=\"lost\"} 18446744073709551615\n"));
    assert_non_null(strstr(text.data, "\n# TYPE berth_sessions gauge\nberth_sessions 0\n"));
    for (char *line = strtok_r(text.data, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
        expect_sample(line);
    text_done(&text);
}

static void outcomes_and_refusals_are_counted_apart(void **state)
{
    (void)state;
    struct metrics metrics = {0};
    for (int kind = BERTH_OUTCOME_RUNNING; kind <= BERTH_OUTCOME_HOST_ERROR; kind++)
        metrics_count_run(&metrics, &(struct berth_outcome){.kind = (berth_outcome_kind)kind}, false);
    metrics_count_run(&metrics, &(struct berth_outcome){.kind = BERTH_OUTCOME_EXITED}, true);
    assert_int_equal(metrics.runs_exited, 1);
    assert_int_equal(metrics.runs_trapped, 1);
    assert_int_equal(metrics.runs_limit, 1);
    assert_int_equal(metrics.runs_cancelled, 1);
    assert_int_equal(metrics.runs_refused, 1);
    assert_int_equal(metrics.runs_lost, 1);
    for (int status = 1; status <= 16; status++)
        metrics_count_refusal(&metrics, (enum grpc_status)status);
    assert_int_equal(metrics.refusals_unauthenticated, 1);
    assert_int_equal(metrics.refusals_permission_denied, 1);
    assert_int_equal(metrics.refusals_resource_exhausted, 1);
    assert_int_equal(metrics.refusals_invalid_argument, 1);
    assert_int_equal(metrics.refusals_other, 12);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_are_documented),
        cmocka_unit_test(all_that_is_documented_exists),
        cmocka_unit_test(the_text_is_what_prometheus_reads),
        cmocka_unit_test(outcomes_and_refusals_are_counted_apart),
    };
    if (argc != 2) {
        fprintf(stderr, "usage: %s OPERATIONS.md\n", argv[0]);
        return 2;
    }
    documentation = argv[1];
    return cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}
