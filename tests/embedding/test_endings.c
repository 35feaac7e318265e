/* SPDX-License-Identifier: Apache-2.0 */
/* Cancelling and freeing at any moment: one terminal outcome, nothing left, no trace for the next visitor. */
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "fixture.h"

enum { SLOTS = 8 };

static struct host host;
static berth_contract *contract;

static int open_host(void **state)
{
    (void)state;
    host = host_open(SLOTS, false, false);
    contract = contract_with(NULL);
    return 0;
}

static int close_host(void **state)
{
    (void)state;
    berth_contract_unref(contract);
    host_close(&host);
    return 0;
}

static const char *const restless[] = {"loops_forever",   "sleeps_forever",    "reads_stdin_forever",
                                       "floods_stdout",   "floods_host_calls", "sums_with_pauses",
                                       "recurses_forever"};
enum { RESTLESS = sizeof(restless) / sizeof(restless[0]) };

/* Cancels after a random number of steps, from instantiation to teardown. */
static void a_run_cancelled_at_any_step_ends_once(void **state)
{
    unsigned seed = 3;
    int descriptors = count_descriptors();
    (void)state;
    for (int round = 0; round < 40; round++) {
        for (int g = 0; g < RESTLESS; g++) {
            berth_module *module = host_module(&host, restless[g]);
            struct visitor visitor;
            struct berth_wait wait;
            visitor_start(&visitor, &host, module, contract, NULL);
            for (int steps = rand_r(&seed) % 4; steps > 0; steps--)
                berth_run_step(visitor.run, &wait);
            bool ended = !visitor_is_running(&visitor);
            berth_outcome_kind before = berth_run_outcome(visitor.run)->kind;
            berth_run_cancel(visitor.run);
            berth_run_step(visitor.run, &wait);
            assert_int_equal(berth_run_outcome(visitor.run)->kind, ended ? before : BERTH_OUTCOME_CANCELLED);
            berth_run_cancel(visitor.run);
            assert_false(berth_run_step(visitor.run, &wait));
            visitor_end(&visitor);
            berth_module_unref(module);
        }
    }
    assert_int_equal(count_descriptors(), descriptors);
}

static void a_run_freed_at_any_step_leaves_its_slot(void **state)
{
    unsigned seed = 5;
    (void)state;
    for (int round = 0; round < 40; round++) {
        struct visitor visitors[SLOTS];
        struct berth_wait wait;
        berth_module *module = host_module(&host, restless[round % RESTLESS]);
        for (int i = 0; i < SLOTS; i++)
            visitor_start(&visitors[i], &host, module, contract, NULL);
        for (int steps = rand_r(&seed) % 4; steps > 0; steps--)
            berth_schedule_step(host.schedule, &wait);
        for (int i = 0; i < SLOTS; i++)
            visitor_end(&visitors[i]);
        berth_module_unref(module);
    }
}

static void *cancel_from_elsewhere(void *run)
{
    berth_run_cancel(run);
    return NULL;
}

/* The waiting thread would wait for ever: the guest sleeps, and the contract has no deadline. */
static void another_thread_wakes_and_cancels_a_sleeper(void **state)
{
    berth_contract *patient = contract_with("limits.wall_seconds", "0", NULL);
    berth_module *module = host_module(&host, "sleeps_forever");
    struct visitor visitor;
    pthread_t thread;
    (void)state;
    visitor_start(&visitor, &host, module, patient, NULL);
    pthread_create(&thread, NULL, cancel_from_elsewhere, visitor.run);
    berth_run_wait(visitor.run);
    pthread_join(thread, NULL);
    assert_int_equal(berth_run_outcome(visitor.run)->kind, BERTH_OUTCOME_CANCELLED);
    visitor_end(&visitor);
    berth_module_unref(module);
    berth_contract_unref(patient);
}

static void *step_elsewhere(void *run)
{
    struct berth_wait wait;
    berth_run_step(run, &wait);
    return NULL;
}

/* A thread that is new has used less time than the one before it, and yet its slice counts. */
static void time_is_counted_whichever_thread_steps(void **state)
{
    berth_contract *patient = contract_with("limits.wall_seconds", "0", NULL);
    berth_module *module = host_module(&host, "loops_forever");
    struct visitor visitor;
    struct berth_usage before, after;
    (void)state;
    visitor_start(&visitor, &host, module, patient, NULL);
    for (int i = 0; i < 30; i++)
        step_elsewhere(visitor.run);
    for (int i = 0; i < 10; i++) {
        pthread_t thread;
        berth_run_usage(visitor.run, &before);
        pthread_create(&thread, NULL, step_elsewhere, visitor.run);
        pthread_join(thread, NULL);
        berth_run_usage(visitor.run, &after);
        assert_true(after.cpu_ns > before.cpu_ns);
    }
    visitor_end(&visitor);
    berth_module_unref(module);
    berth_contract_unref(patient);
}

/* The schedule may see the cancel while the other thread is still asking for it. */
static void a_cancel_wakes_the_schedule_once(void **state)
{
    berth_module *module = host_module(&host, "sleeps_forever");
    (void)state;
    for (int round = 0; round < 300; round++) {
        struct visitor visitor;
        struct berth_wait wait;
        pthread_t thread;
        visitor_start(&visitor, &host, module, contract, NULL);
        berth_run_step(visitor.run, &wait);
        pthread_create(&thread, NULL, cancel_from_elsewhere, visitor.run);
        while (berth_run_step(visitor.run, &wait))
            ;
        pthread_join(thread, NULL);
        berth_schedule_step(host.schedule, &wait);
        struct pollfd poll_fd = {.fd = wait.descriptor, .events = POLLIN};
        assert_false(wait.ready);
        assert_int_equal(poll(&poll_fd, 1, 0), 0);
        visitor_end(&visitor);
    }
    berth_module_unref(module);
}

/* Each visitor checks that memory, table and global are fresh, then fills them; slots are used over and over.
 */
static void no_visitor_sees_what_another_left(void **state)
{
    berth_module *module = host_module(&host, "looks_for_a_canary");
    (void)state;
    for (int round = 0; round < 50; round++) {
        struct visitor visitors[SLOTS];
        for (int i = 0; i < SLOTS; i++)
            visitor_start(&visitors[i], &host, module, contract, NULL);
        visitors_finish(&host, visitors, SLOTS);
        for (int i = 0; i < SLOTS; i++) {
            assert_int_equal(berth_run_outcome(visitors[i].run)->kind, BERTH_OUTCOME_EXITED);
            visitor_end(&visitors[i]);
        }
    }
    berth_module_unref(module);
}

static void many_visits_leave_no_descriptor(void **state)
{
    berth_module *module = host_module(&host, "sums_with_pauses");
    int descriptors = count_descriptors();
    (void)state;
    for (int round = 0; round < 100; round++) {
        struct visitor visitor;
        visitor_start(&visitor, &host, module, contract, NULL);
        visitors_finish(&host, &visitor, 1);
        visitor_end(&visitor);
    }
    assert_int_equal(count_descriptors(), descriptors);
    berth_module_unref(module);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        embedding_test(a_run_cancelled_at_any_step_ends_once),
        embedding_test(a_run_freed_at_any_step_leaves_its_slot),
        embedding_test(another_thread_wakes_and_cancels_a_sleeper),
        embedding_test(time_is_counted_whichever_thread_steps),
        embedding_test(a_cancel_wakes_the_schedule_once),
        embedding_test(no_visitor_sees_what_another_left),
        embedding_test(many_visits_leave_no_descriptor),
    };
    return cmocka_run_group_tests(tests, open_host, close_host);
}
