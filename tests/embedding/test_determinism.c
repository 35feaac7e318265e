/* SPDX-License-Identifier: Apache-2.0 */
/* A deterministic contract: the same module, arguments and data give the same output, outcome and fuel. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fixture.h"

enum { ROUNDS = 10, AT_A_TIME = 100 };

struct record {
    char output[OUTPUT_MAX];
    size_t length;
    uint64_t fuel;
};

static struct record record_of(const struct visitor *visitor)
{
    struct record record = {.length = visitor->output_length};
    struct berth_usage usage;
    assert_int_equal(berth_run_outcome(visitor->run)->kind, BERTH_OUTCOME_EXITED);
    berth_run_usage(visitor->run, &usage);
    record.fuel = usage.fuel;
    memcpy(record.output, visitor->output, OUTPUT_MAX);
    return record;
}

/* A thousand runs, a hundred at a time, so that they interleave and slots of the pool are used again. */
static void a_thousand_runs_are_alike(void **state)
{
    struct host host = host_open(AT_A_TIME, true, true);
    berth_module *module = host_module(&host, "draws_and_tells_time");
    berth_contract *contract = contract_with("deterministic", "true", NULL);
    struct visitor *visitors = calloc(AT_A_TIME, sizeof(*visitors));
    struct record *first = calloc(1, sizeof(*first)), *other = calloc(1, sizeof(*other));
    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < AT_A_TIME; i++)
            visitor_start(&visitors[i], &host, module, contract, NULL);
        visitors_finish(&host, visitors, AT_A_TIME);
        for (int i = 0; i < AT_A_TIME; i++) {
            *other = record_of(&visitors[i]);
            if (round == 0 && i == 0)
                *first = *other;
            assert_int_equal(other->length, 96);
            assert_memory_equal(other->output, first->output, other->length);
            assert_int_equal(other->fuel, first->fuel);
            visitor_end(&visitors[i]);
        }
    }
    assert_true(first->fuel > 0);
    free(visitors);
    free(first);
    free(other);
    berth_module_unref(module);
    berth_contract_unref(contract);
    host_close(&host);
}

static void without_it_random_bytes_differ(void **state)
{
    struct host host = host_open(2, false, false);
    berth_module *module = host_module(&host, "draws_and_tells_time");
    berth_contract *contract = contract_with(NULL);
    struct visitor visitors[2];
    (void)state;
    for (int i = 0; i < 2; i++)
        visitor_start(&visitors[i], &host, module, contract, NULL);
    visitors_finish(&host, visitors, 2);
    assert_memory_not_equal(visitors[0].output, visitors[1].output, 64);
    for (int i = 0; i < 2; i++)
        visitor_end(&visitors[i]);
    berth_module_unref(module);
    berth_contract_unref(contract);
    host_close(&host);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        embedding_test(a_thousand_runs_are_alike),
        embedding_test(without_it_random_bytes_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
