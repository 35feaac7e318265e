/* SPDX-License-Identifier: Apache-2.0 */
/* Workers that are killed, fronts that go and come back, and what becomes of the runs. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "node/worker/test_worker_fixture.h"

static struct story *run(struct node *node, const char *guest, berth_contract *contract, bool detached)
{
    struct worker_run_request request = request_for(node, guest, contract);
    request.detached = detached;
    request.events = true;
    return node_run(node, &request);
}

static uint32_t runs_of(const struct node *node)
{
    struct workers_counts counts;
    workers_counts(node->workers, &counts);
    return counts.runs;
}

/* ---- Isolation, as reported ------------------------------------------------------------------------- */

static void a_worker_says_which_layers_hold(void **state)
{
    struct node node;
    (void)state;
    node_start(&node, 1);
    print_message("%s\n", node.isolation[0]);
    assert_non_null(strstr(node.isolation[0], "\"system_calls\""));
    assert_non_null(strstr(node.isolation[0], "\"missing\""));
    print_message("idle: %ld KiB resident, %ld KiB proportional\n",
                  process_kib(node.pids[0], "status", "VmRSS"),
                  process_kib(node.pids[0], "smaps_rollup", "Pss"));
    node_stop(&node);
}

static void a_worker_ends_with_its_supervisor(void **state)
{
    struct node node;
    (void)state;
    node_start(&node, 1);
    berth_contract *contract = contract_for(&node, false, NULL);
    struct story *story = run(&node, "loops_forever", contract, true);
    /* reap() waits for its end after the control socket is closed. */
    node_stop(&node);
    assert_int_equal(story->n_endings, 0);
    berth_contract_unref(contract);
}

/* ---- Workers that die ------------------------------------------------------------------------------- */

static void a_killed_worker_costs_only_its_own_runs(void **state)
{
    enum { RUNS = 20 };
    struct node node;
    struct story *stories[RUNS];
    size_t n_lost = 0;
    (void)state;
    node_start(&node, 2);
    berth_contract *contract = contract_for(&node, true, NULL);
    for (size_t i = 0; i < RUNS; i++)
        stories[i] = run(&node, i % 4 < 2 ? "loops_forever" : "sleeps_forever", contract, i % 3 == 0);
    assert_int_equal(kill(node.pids[0], SIGKILL), 0);
    node_until(&node, node.n_lost == 1);
    for (size_t i = 0; i < RUNS; i++) {
        n_lost += stories[i]->lost;
        assert_int_equal(stories[i]->n_endings, stories[i]->lost ? 1 : 0);
        if (stories[i]->lost)
            assert_int_equal(stories[i]->outcome.kind, BERTH_OUTCOME_HOST_ERROR);
    }
    assert_int_equal(n_lost, RUNS / 2);
    assert_int_equal(runs_of(&node), RUNS / 2);
    node_replace_worker(&node, 0);
    struct story *next[2] = {run(&node, "says_hello", contract, false),
                             run(&node, "says_hello", contract, false)};
    for (size_t i = 0; i < 2; i++) {
        node_until_ended(&node, next[i]);
        assert_string_equal(next[i]->output, "hello\n");
    }
    for (size_t i = 0; i < RUNS; i++)
        if (stories[i]->run)
            worker_run_cancel(stories[i]->run);
    for (size_t i = 0; i < RUNS; i++) {
        node_until_ended(&node, stories[i]);
        assert_int_equal(stories[i]->n_endings, 1);
    }
    assert_int_equal(node.n_broke, 0);
    berth_contract_unref(contract);
    node_stop(&node);
}

static void with_no_worker_nothing_starts(void **state)
{
    struct node node;
    struct worker_run *ignored;
    (void)state;
    node_start(&node, 1);
    berth_contract *contract = contract_for(&node, false, NULL);
    assert_int_equal(kill(node.pids[0], SIGKILL), 0);
    node_until(&node, node.n_lost == 1);
    struct worker_run_request request = request_for(&node, "says_hello", contract);
    assert_int_equal(workers_start(node.workers, &request, &ignored), -EAGAIN);
    berth_contract_unref(contract);
    node_stop(&node);
}

static void exclusive_runs_of_a_contract_share_a_worker(void **state)
{
    enum { RUNS = 12 };
    struct node node;
    struct story *stories[RUNS];
    size_t n_lost = 0;
    (void)state;
    node_start(&node, 3);
    berth_contract *contract = contract_for(&node, true, NULL);
    for (size_t i = 0; i < RUNS; i++) {
        struct worker_run_request request = request_for(&node, "sleeps_forever", contract);
        request.exclusive = true;
        stories[i] = node_run(&node, &request);
    }
    for (size_t worker = 0; worker < 3 && n_lost == 0; worker++) {
        assert_int_equal(kill(node.pids[worker], SIGKILL), 0);
        node_until(&node, node.n_lost == worker + 1);
        for (size_t i = 0; i < RUNS; i++)
            n_lost += stories[i]->lost;
    }
    assert_int_equal(n_lost, RUNS);
    berth_contract_unref(contract);
    node_stop(&node);
}

/* ---- Fronts that come back -------------------------------------------------------------------------- */

static void a_detached_run_is_adopted_and_the_others_are_cancelled(void **state)
{
    struct node node;
    (void)state;
    node_start(&node, 1);
    berth_contract *contract = contract_for(&node, false, NULL);
    struct story *kept = run(&node, "sleeps_forever", contract, true);
    struct story *gone = run(&node, "loops_forever", contract, false);
    node_lose_front(&node);
    node.adopts = true;
    node_new_front(&node);
    assert_int_equal(node.n_adopted, 1);
    assert_non_null(kept->run);
    assert_null(gone->run);
    assert_int_equal(runs_of(&node), 1);
    struct story *other = run(&node, "says_hello", contract, false);
    node_until_ended(&node, other);
    worker_run_cancel(kept->run);
    node_until_ended(&node, kept);
    assert_int_equal(kept->outcome.kind, BERTH_OUTCOME_CANCELLED);
    assert_false(kept->lost);
    berth_contract_unref(contract);
    node_stop(&node);
}

static void what_no_front_wants_is_cancelled(void **state)
{
    struct node node;
    (void)state;
    node_start(&node, 1);
    berth_contract *contract = contract_for(&node, false, NULL);
    run(&node, "loops_forever", contract, true);
    node_lose_front(&node);
    node_new_front(&node);
    assert_int_equal(node.n_adopted, 0);
    assert_int_equal(runs_of(&node), 0);
    node.adopts = true;
    node_lose_front(&node);
    node_new_front(&node);
    assert_int_equal(node.n_adopted, 0);
    berth_contract_unref(contract);
    node_stop(&node);
}

static void what_a_detached_run_did_meanwhile_is_told_later(void **state)
{
    struct node node;
    (void)state;
    node_start(&node, 1);
    berth_contract *contract = contract_for(&node, false, NULL);
    struct story *story = run(&node, "pushes_numbered_events", contract, true);
    /* Nothing of it has been heard: the loop has not turned since. */
    node_lose_front(&node);
    /* It parks when its queue is full; a later run on the same thread shows that time has passed. */
    node.adopts = true;
    node_new_front(&node);
    assert_int_equal(node.n_adopted, 1);
    node_until_ended(&node, story);
    assert_string_equal(story->cause, "");
    assert_int_equal(story->outcome.kind, BERTH_OUTCOME_EXITED);
    assert_string_equal(story->output, "pushed\n");
    assert_string_equal(story->last_event, "11999");
    print_message("%zu events of 12000 came to the second front\n", story->n_events);
    berth_contract_unref(contract);
    node_stop(&node);
}

static void fronts_come_and_go(void **state)
{
    struct node node;
    (void)state;
    node_start(&node, 2);
    node.adopts = true;
    berth_contract *contract = contract_for(&node, true, NULL);
    struct story *kept[4];
    for (size_t i = 0; i < 4; i++)
        kept[i] = run(&node, "sleeps_forever", contract, true);
    size_t after_first = 0;
    for (size_t i = 0; i < 10; i++) {
        run(&node, "floods_stdout", contract, false);
        node_lose_front(&node);
        node_new_front(&node);
        assert_int_equal(node.n_adopted, 4 * (i + 1));
        struct story *hello = run(&node, "says_hello", contract, false);
        node_until_ended(&node, hello);
        if (i == 0)
            after_first = process_descriptors(node.pids[0]);
    }
    node_until(&node, process_descriptors(node.pids[0]) <= after_first);
    for (size_t i = 0; i < 4; i++)
        worker_run_cancel(kept[i]->run);
    for (size_t i = 0; i < 4; i++)
        node_until_ended(&node, kept[i]);
    berth_contract_unref(contract);
    node_stop(&node);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_worker_says_which_layers_hold),
        cmocka_unit_test(a_worker_ends_with_its_supervisor),
        cmocka_unit_test(a_killed_worker_costs_only_its_own_runs),
        cmocka_unit_test(with_no_worker_nothing_starts),
        cmocka_unit_test(exclusive_runs_of_a_contract_share_a_worker),
        cmocka_unit_test(a_detached_run_is_adopted_and_the_others_are_cancelled),
        cmocka_unit_test(what_no_front_wants_is_cancelled),
        cmocka_unit_test(what_a_detached_run_did_meanwhile_is_told_later),
        cmocka_unit_test(fronts_come_and_go),
    };
    return cmocka_run_group_tests_name("worker lives", tests, load_guests, unload_guests);
}
