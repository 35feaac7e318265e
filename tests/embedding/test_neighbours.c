/* SPDX-License-Identifier: Apache-2.0 */
/* A hundred runs on one schedule; one of them hits a limit, and the other ninety-nine give the right answer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fixture.h"

enum { VISITORS = 100, HOSTILE = 37 };

struct misbehaviour {
    const char *guest;
    berth_contract *contract;
    berth_outcome_kind kind;
    berth_limit_kind limit;
};

/* The good ones sum up 1 to 200000 with pauses and print it. */
static void run_among_neighbours(const struct misbehaviour *bad)
{
    struct host host = host_open(VISITORS, true, false);
    struct visitor *visitors = calloc(VISITORS, sizeof(*visitors));
    berth_contract *contract = contract_with(NULL);
    berth_module *good = host_module(&host, "sums_with_pauses"), *hostile = host_module(&host, bad->guest);
    for (int i = 0; i < VISITORS; i++)
        visitor_start(&visitors[i], &host, i == HOSTILE ? hostile : good,
                      i == HOSTILE ? bad->contract : contract, NULL);
    visitors_finish(&host, visitors, VISITORS);
    for (int i = 0; i < VISITORS; i++) {
        const struct berth_outcome *outcome = berth_run_outcome(visitors[i].run);
        if (i == HOSTILE) {
            assert_int_equal(outcome->kind, bad->kind);
            assert_int_equal(outcome->limit, bad->limit);
            assert_string_not_equal(outcome->cause, "");
        } else {
            assert_int_equal(outcome->kind, BERTH_OUTCOME_EXITED);
            assert_string_equal(visitors[i].output, "20000100000\n");
        }
        visitor_end(&visitors[i]);
    }
    free(visitors);
    berth_module_unref(good);
    berth_module_unref(hostile);
    berth_contract_unref(contract);
    berth_contract_unref(bad->contract);
    host_close(&host);
}

static void one_computes_past_its_deadline(void **state)
{
    (void)state;
    run_among_neighbours(&(struct misbehaviour){"loops_forever",
                                                contract_with("limits.wall_seconds", "0.3", NULL),
                                                BERTH_OUTCOME_LIMIT, BERTH_LIMIT_WALL});
}

static void one_sleeps_past_its_deadline(void **state)
{
    (void)state;
    run_among_neighbours(&(struct misbehaviour){"sleeps_forever",
                                                contract_with("limits.wall_seconds", "0.3", NULL),
                                                BERTH_OUTCOME_LIMIT, BERTH_LIMIT_WALL});
}

static void one_waits_for_input_past_its_deadline(void **state)
{
    (void)state;
    run_among_neighbours(&(struct misbehaviour){"reads_stdin_forever",
                                                contract_with("limits.wall_seconds", "0.3", NULL),
                                                BERTH_OUTCOME_LIMIT, BERTH_LIMIT_WALL});
}

static void one_wants_more_memory(void **state)
{
    (void)state;
    run_among_neighbours(&(struct misbehaviour){"needs_two_mebibytes",
                                                contract_with("limits.memory_mb", "1", NULL),
                                                BERTH_OUTCOME_LIMIT, BERTH_LIMIT_MEMORY});
}

static void one_burns_its_fuel(void **state)
{
    (void)state;
    run_among_neighbours(&(struct misbehaviour){"loops_forever",
                                                contract_with("limits.fuel", "1000000", NULL),
                                                BERTH_OUTCOME_LIMIT, BERTH_LIMIT_FUEL});
}

static void one_writes_too_much(void **state)
{
    (void)state;
    run_among_neighbours(&(struct misbehaviour){"floods_stdout", contract_with("limits.output_mb", "1", NULL),
                                                BERTH_OUTCOME_LIMIT, BERTH_LIMIT_OUTPUT});
}

static void one_has_a_tenth_of_the_processor(void **state)
{
    (void)state;
    run_among_neighbours(&(struct misbehaviour){
        "loops_forever", contract_with("limits.cpu_percent", "10", "limits.wall_seconds", "0.5", NULL),
        BERTH_OUTCOME_LIMIT, BERTH_LIMIT_WALL});
}

static void one_calls_the_host_too_often(void **state)
{
    (void)state;
    run_among_neighbours(&(struct misbehaviour){
        "floods_host_calls",
        contract_with("limits.host_calls_per_second", "100", "limits.wall_seconds", "0.5", NULL),
        BERTH_OUTCOME_LIMIT, BERTH_LIMIT_WALL});
}

static void one_recurses_until_its_stack_is_full(void **state)
{
    (void)state;
    run_among_neighbours(&(struct misbehaviour){"recurses_forever", contract_with(NULL),
                                                BERTH_OUTCOME_TRAPPED, BERTH_LIMIT_NONE});
}

static void one_reaches_outside_of_its_memory(void **state)
{
    (void)state;
    run_among_neighbours(&(struct misbehaviour){"reaches_past_memory", contract_with(NULL),
                                                BERTH_OUTCOME_TRAPPED, BERTH_LIMIT_NONE});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        embedding_test(one_computes_past_its_deadline),
        embedding_test(one_sleeps_past_its_deadline),
        embedding_test(one_waits_for_input_past_its_deadline),
        embedding_test(one_wants_more_memory),
        embedding_test(one_burns_its_fuel),
        embedding_test(one_writes_too_much),
        embedding_test(one_has_a_tenth_of_the_processor),
        embedding_test(one_calls_the_host_too_often),
        embedding_test(one_recurses_until_its_stack_is_full),
        embedding_test(one_reaches_outside_of_its_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
