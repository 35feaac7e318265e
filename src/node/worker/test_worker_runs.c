/* SPDX-License-Identifier: Apache-2.0 */
/* Guests in a real, confined worker, as a front sees them. One worker serves all tests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "node/worker/channel.h"
#include "node/worker/test_worker_fixture.h"

static int start(void **state)
{
    static struct node node;
    int r = load_guests(state);
    *state = &node;
    if (r == 0)
        node_start(&node, 1);
    return r;
}

static int stop(void **state)
{
    node_stop(*state);
    return unload_guests(state);
}

/* ---- What goes in ----------------------------------------------------------------------------------- */

static void a_tiny_run_says_its_line_and_ends(void **state)
{
    struct node *node = *state;
    berth_contract *contract = contract_for(node, false, NULL);
    struct worker_run_request request = request_for(node, "says_hello", contract);
    struct story *story = node_run(node, &request);
    node_until_ended(node, story);
    assert_string_equal(story->cause, "");
    assert_int_equal(story->outcome.kind, BERTH_OUTCOME_EXITED);
    assert_string_equal(story->output, "hello\n");
    assert_int_equal(story->usage.output_bytes, 6);
    assert_int_equal(story->n_endings, 1);
    berth_contract_unref(contract);
}

static void show_strings(struct node *node, const char *argument)
{
    const char *const arguments[] = {"name", argument, "", NULL};
    const char *const environment[] = {"LANG=C", "SECRET=1", NULL};
    berth_contract *contract = contract_for(node, false, NULL);
    size_t length = strlen(argument);
    assert_int_equal(berth_contract_add_env(contract, "LANG", "the test", NULL), BERTH_OK);
    struct worker_run_request request = request_for(node, "shows_its_strings", contract);
    request.arguments = arguments;
    request.environment = environment;
    struct story *story = node_run(node, &request);
    node_until_ended(node, story);
    assert_string_equal(story->cause, "");
    assert_int_equal(story->output_bytes, 5 + length + 1 + 1 + 7);
    assert_string_equal(story->output, "name");
    assert_string_equal(story->output + 5, argument);
    assert_string_equal(story->output + 5 + length + 2, "LANG=C");
    berth_contract_unref(contract);
}

static void arguments_and_granted_variables_arrive(void **state)
{
    show_strings(*state, "two");
}

static void arguments_too_long_for_a_packet_arrive(void **state)
{
    enum { LONG = CHANNEL_INLINE_BYTES + 1000 };
    static char argument[LONG + 1];
    memset(argument, 'a', LONG);
    show_strings(*state, argument);
}

static void echo(struct node *node, size_t size)
{
    berth_contract *contract = contract_for(node, false, NULL);
    struct worker_run_request request = request_for(node, "echoes_stdin", contract);
    char *input = malloc(size + 1);
    assert_non_null(input);
    for (size_t i = 0; i < size; i++)
        input[i] = (char)('a' + i % 23);
    request.input = input;
    request.input_bytes = size;
    struct story *story = node_run(node, &request);
    node_until_ended(node, story);
    assert_string_equal(story->cause, "");
    assert_int_equal(story->output_bytes, size);
    if (size > 0)
        assert_memory_equal(story->output, input, size);
    free(input);
    berth_contract_unref(contract);
}

static void stdin_arrives_whatever_its_size(void **state)
{
    static const size_t sizes[] = {0,     1,      4096, CHANNEL_INLINE_BYTES - 64, CHANNEL_INLINE_BYTES,
                                   65536, 5000000};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        echo(*state, sizes[i]);
}

static void read_greeting(struct node *node, bool mounted, bool inputs, const char *expected)
{
    berth_contract *contract = contract_for(node, mounted, NULL);
    struct worker_run_request request = request_for(node, "reads_a_greeting", contract);
    request.inputs_directory = inputs ? node->inputs_descriptor : -1;
    struct story *story = node_run(node, &request);
    node_until_ended(node, story);
    if (expected) {
        assert_string_equal(story->cause, "");
        assert_string_equal(story->output, expected);
    } else {
        assert_int_equal(story->outcome.kind, BERTH_OUTCOME_TRAPPED);
    }
    berth_contract_unref(contract);
}

static void a_mount_is_seen_and_inputs_are(void **state)
{
    read_greeting(*state, true, false, "hello from the mount\n");
    read_greeting(*state, true, true, "hello from the mount\n");
    read_greeting(*state, false, true, "hello from the inputs\n");
    read_greeting(*state, false, false, NULL);
}

/* ---- What comes out --------------------------------------------------------------------------------- */

static void output_is_held_back_without_credit(void **state)
{
    struct node *node = *state;
    berth_contract *contract = contract_for(node, false, "limits.output_mb", "64", NULL);
    struct worker_run_request request = request_for(node, "floods_stdout", contract);
    request.credit_bytes = 100000;
    struct story *story = node_run(node, &request);
    story->takes = false;
    node_until(node, story->output_bytes == 100000);
    long before_kib = process_kib(node->pids[0], "status", "VmRSS");
    /* A guest beside it is served, so that time passes for this one, too. */
    for (int i = 0; i < 20; i++)
        echo(node, 1000);
    assert_int_equal(story->output_bytes, 100000);
    assert_true(process_kib(node->pids[0], "status", "VmRSS") < before_kib + 4096);
    story->keeps_nothing = story->takes = true;
    worker_run_credit(story->run, 1, 1 << 20);
    node_until_ended(node, story);
    assert_int_equal(story->outcome.kind, BERTH_OUTCOME_LIMIT);
    assert_int_equal(story->outcome.limit, BERTH_LIMIT_OUTPUT);
    assert_int_equal(story->output_bytes, 64 << 20);
    berth_contract_unref(contract);
}

static void what_was_written_before_the_end_comes_before_it(void **state)
{
    struct node *node = *state;
    berth_contract *contract = contract_for(node, false, "limits.output_mb", "0.1", NULL);
    struct worker_run_request request = request_for(node, "floods_stdout", contract);
    request.credit_bytes = 10;
    struct story *story = node_run(node, &request);
    story->takes = false;
    node_until(node, story->output_bytes == 10);
    /* It has run into its limit long ago; its reader has not. */
    assert_int_equal(story->n_endings, 0);
    worker_run_credit(story->run, 1, 1 << 20);
    node_until_ended(node, story);
    assert_int_equal(story->outcome.limit, BERTH_LIMIT_OUTPUT);
    assert_int_equal(story->output_bytes, story->usage.output_bytes);
    berth_contract_unref(contract);
}

static void events_arrive_in_order_before_the_end(void **state)
{
    struct node *node = *state;
    berth_contract *contract = contract_for(node, false, NULL);
    struct worker_run_request request = request_for(node, "pushes_numbered_events", contract);
    request.events = true;
    struct story *story = node_run(node, &request);
    node_until_ended(node, story);
    assert_string_equal(story->cause, "");
    assert_int_equal(story->n_events, 12000);
    assert_true(story->events_in_order);
    assert_string_equal(story->output, "pushed\n");
    berth_contract_unref(contract);
}

static void events_that_are_not_granted_are_denials(void **state)
{
    struct node *node = *state;
    berth_contract *contract = contract_for(node, false, "grants.events", "true", NULL);
    struct worker_run_request request = request_for(node, "pushes_numbered_events", contract);
    struct story *story = node_run(node, &request);
    node_until_ended(node, story);
    assert_int_equal(story->n_events, 0);
    assert_int_equal(story->n_denials, 16);
    assert_non_null(strstr(story->last_denial, "events"));
    assert_int_equal(story->usage.denials, 12000);
    berth_contract_unref(contract);
}

/* ---- How it ends ------------------------------------------------------------------------------------ */

static void a_trap_ends_it_with_a_cause(void **state)
{
    struct node *node = *state;
    berth_contract *contract = contract_for(node, false, NULL);
    struct worker_run_request request = request_for(node, "reaches_past_memory", contract);
    struct story *story = node_run(node, &request);
    node_until_ended(node, story);
    assert_int_equal(story->outcome.kind, BERTH_OUTCOME_TRAPPED);
    assert_true(strlen(story->cause) > 0);
    berth_contract_unref(contract);
}

static void the_wall_limit_of_the_contract_holds(void **state)
{
    struct node *node = *state;
    berth_contract *contract = contract_for(node, false, "limits.wall_seconds", "0.05", NULL);
    struct worker_run_request request = request_for(node, "loops_forever", contract);
    struct story *story = node_run(node, &request);
    node_until_ended(node, story);
    assert_int_equal(story->outcome.limit, BERTH_LIMIT_WALL);
    berth_contract_unref(contract);
}

static void the_deadline_of_the_caller_holds_whatever_it_does(void **state)
{
    static const char *const names[] = {"loops_forever", "sleeps_forever", "writes_much_and_sleeps"};
    struct node *node = *state;
    berth_contract *contract = contract_for(node, false, NULL);
    for (size_t i = 0; i < 3; i++) {
        struct worker_run_request request = request_for(node, names[i], contract);
        request.deadline_ns = clock_monotonic_ns() + 50 * NS_PER_MS;
        request.credit_bytes = 0;
        struct story *story = node_run(node, &request);
        node_until_ended(node, story);
        assert_int_equal(story->outcome.kind, BERTH_OUTCOME_CANCELLED);
        assert_string_equal(story->cause, "the caller's deadline passed");
        assert_true(clock_monotonic_ns() >= request.deadline_ns);
    }
    berth_contract_unref(contract);
}

static void cancel_ends_it_whatever_it_does(void **state)
{
    static const char *const names[] = {"loops_forever", "sleeps_forever", "writes_much_and_sleeps",
                                        "floods_stdout"};
    struct node *node = *state;
    berth_contract *contract = contract_for(node, false, "limits.output_mb", "0", NULL);
    for (size_t i = 0; i < 4; i++) {
        struct worker_run_request request = request_for(node, names[i], contract);
        request.credit_bytes = 1;
        struct story *story = node_run(node, &request);
        story->takes = false;
        /* It is known to run once a later one has run. */
        echo(node, 10);
        uint64_t asked_ns = clock_monotonic_ns();
        worker_run_cancel(story->run);
        worker_run_cancel(story->run);
        node_until_ended(node, story);
        print_message("%s ended after %.1f ms\n", names[i],
                      (double)(clock_monotonic_ns() - asked_ns) / NS_PER_MS);
        assert_int_equal(story->outcome.kind, BERTH_OUTCOME_CANCELLED);
        assert_true(story->output_bytes <= 1);
    }
    berth_contract_unref(contract);
}

static void cancel_reaches_one_among_many_that_compute(void **state)
{
    enum { BUSY = 100 };
    struct node *node = *state;
    struct story *stories[BUSY];
    berth_contract *contract = contract_for(node, false, NULL);
    for (size_t i = 0; i < BUSY; i++) {
        struct worker_run_request request = request_for(node, "loops_forever", contract);
        stories[i] = node_run(node, &request);
    }
    echo(node, 10);
    uint64_t asked_ns = clock_monotonic_ns();
    worker_run_cancel(stories[BUSY / 2]->run);
    node_until_ended(node, stories[BUSY / 2]);
    print_message("one of %d ended after %.1f ms\n", BUSY,
                  (double)(clock_monotonic_ns() - asked_ns) / NS_PER_MS);
    for (size_t i = 0; i < BUSY; i++)
        if (stories[i]->run)
            worker_run_cancel(stories[i]->run);
    for (size_t i = 0; i < BUSY; i++)
        node_until_ended(node, stories[i]);
    berth_contract_unref(contract);
}

static void what_is_no_artifact_ends_its_runs_with_a_sentence(void **state)
{
    struct node *node = *state;
    berth_contract *contract = contract_for(node, false, NULL);
    static const uint8_t hash[32] = {1, 2, 3};
    int file = memfd_create("nothing", MFD_CLOEXEC);
    for (int i = 0; i < 2; i++) {
        struct worker_run_request request = request_for(node, "says_hello", contract);
        request.module = file;
        request.module_sha256 = hash;
        struct story *story = node_run(node, &request);
        node_until_ended(node, story);
        assert_int_equal(story->outcome.kind, BERTH_OUTCOME_HOST_ERROR);
        assert_non_null(strstr(story->cause, "not a sealed memory file"));
        assert_false(story->lost);
    }
    close(file);
    berth_contract_unref(contract);
}

static void a_mount_that_the_node_has_not_is_refused(void **state)
{
    struct node *node = *state;
    berth_contract *contract = contract_for(node, false, NULL);
    const struct berth_mount mount = {.guest = "/etc", .host = "/etc"};
    assert_int_equal(berth_contract_add_mount(contract, &mount, "the test", NULL), BERTH_OK);
    struct worker_run_request request = request_for(node, "says_hello", contract);
    struct story *story = node_run(node, &request);
    node_until_ended(node, story);
    assert_int_equal(story->outcome.kind, BERTH_OUTCOME_HOST_ERROR);
    assert_non_null(strstr(story->cause, "/etc"));
    berth_contract_unref(contract);
}

static void a_module_that_the_contract_does_not_let_in_is_refused(void **state)
{
    struct node *node = *state;
    berth_contract *contract = contract_for(node, false, "limits.memory_mb", "0.0625", NULL);
    struct worker_run_request request = request_for(node, "shows_its_strings", contract);
    struct story *story = node_run(node, &request);
    node_until_ended(node, story);
    assert_int_equal(story->outcome.kind, BERTH_OUTCOME_REFUSED);
    berth_contract_unref(contract);
}

/* ---- Many ------------------------------------------------------------------------------------------- */

static void a_hundred_at_once_all_end_well_and_nothing_is_left(void **state)
{
    enum { RUNS = 100 };
    struct node *node = *state;
    struct story *stories[RUNS];
    berth_contract *contract = contract_for(node, true, NULL);
    static char input[20000];
    memset(input, 'z', sizeof(input));
    echo(node, 100);
    size_t before = process_descriptors(node->pids[0]);
    for (size_t i = 0; i < RUNS; i++) {
        struct worker_run_request request = request_for(node, "echoes_stdin", contract);
        request.input = input;
        request.input_bytes = sizeof(input);
        request.inputs_directory = node->inputs_descriptor;
        request.credit_bytes = 1000;
        stories[i] = node_run(node, &request);
    }
    for (size_t i = 0; i < RUNS; i++) {
        node_until_ended(node, stories[i]);
        assert_string_equal(stories[i]->cause, "");
        assert_int_equal(stories[i]->output_bytes, sizeof(input));
    }
    echo(node, 100);
    assert_int_equal(process_descriptors(node->pids[0]), before);
    berth_contract_unref(contract);
}

static void more_contracts_than_are_remembered(void **state)
{
    struct node *node = *state;
    for (int i = 0; i < CHANNEL_CONTRACTS + 50; i++) {
        char seconds[16];
        size_t stories = node->n_stories;
        snprintf(seconds, sizeof(seconds), "%d", 100 + i);
        berth_contract *contract = contract_for(node, true, "limits.wall_seconds", seconds, NULL);
        struct worker_run_request request = request_for(node, "says_hello", contract);
        struct story *story = node_run(node, &request);
        node_until_ended(node, story);
        assert_string_equal(story->cause, "");
        berth_contract_unref(contract);
        /* There is room for so many stories only. */
        free(story->output);
        node->n_stories = stories;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tiny_run_says_its_line_and_ends),
        cmocka_unit_test(arguments_and_granted_variables_arrive),
        cmocka_unit_test(arguments_too_long_for_a_packet_arrive),
        cmocka_unit_test(stdin_arrives_whatever_its_size),
        cmocka_unit_test(a_mount_is_seen_and_inputs_are),
        cmocka_unit_test(output_is_held_back_without_credit),
        cmocka_unit_test(what_was_written_before_the_end_comes_before_it),
        cmocka_unit_test(events_arrive_in_order_before_the_end),
        cmocka_unit_test(events_that_are_not_granted_are_denials),
        cmocka_unit_test(a_trap_ends_it_with_a_cause),
        cmocka_unit_test(the_wall_limit_of_the_contract_holds),
        cmocka_unit_test(the_deadline_of_the_caller_holds_whatever_it_does),
        cmocka_unit_test(cancel_ends_it_whatever_it_does),
        cmocka_unit_test(cancel_reaches_one_among_many_that_compute),
        cmocka_unit_test(what_is_no_artifact_ends_its_runs_with_a_sentence),
        cmocka_unit_test(a_mount_that_the_node_has_not_is_refused),
        cmocka_unit_test(a_module_that_the_contract_does_not_let_in_is_refused),
        cmocka_unit_test(a_hundred_at_once_all_end_well_and_nothing_is_left),
        cmocka_unit_test(more_contracts_than_are_remembered),
    };
    return cmocka_run_group_tests_name("worker runs", tests, start, stop);
}
