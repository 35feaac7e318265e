/* SPDX-License-Identifier: Apache-2.0 */
/* Instances that live long and are called often, and the ways in which they end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "fixture.h"

static struct host host;

static int open_host(void **state)
{
    (void)state;
    host = host_open(4, true, false);
    return 0;
}

static int close_host(void **state)
{
    (void)state;
    host_close(&host);
    return 0;
}

static berth_instance *new_instance(const char *guest, berth_contract *contract)
{
    struct berth_instance_options options;
    berth_instance *instance;
    berth_module *module = host_module(&host, guest);
    berth_instance_options_init(&options);
    assert_int_equal(berth_instance_new(host.schedule, module, contract, &options, &instance, NULL),
                     BERTH_OK);
    berth_module_unref(module);
    berth_contract_unref(contract);
    return instance;
}

static const struct berth_outcome *call(berth_instance *instance, const char *function, int32_t argument,
                                        int32_t *ret_result)
{
    berth_value value = {.kind = BERTH_VALUE_I32, .of.i32 = argument};
    berth_run *run;
    size_t n_results;
    assert_int_equal(berth_run_start_call(instance, function, &value, 1, &run, NULL), BERTH_OK);
    berth_run_wait(run);
    const berth_value *results = berth_run_results(run, &n_results);
    if (n_results == 1)
        *ret_result = results[0].of.i32;
    return berth_run_outcome(run);
}

static void state_lives_from_call_to_call(void **state)
{
    berth_instance *instance = new_instance("counts_calls", contract_with(NULL));
    int32_t result = 0;
    (void)state;
    for (int32_t i = 1; i <= 1000; i++) {
        assert_int_equal(call(instance, "add", i, &result)->kind, BERTH_OUTCOME_EXITED);
        /* `_initialize` set the sum to 7, once. */
        assert_int_equal(result, 7 + i * (i + 1) / 2);
    }
    berth_instance_free(instance);
}

static void who_calls_initialize_gets_it_once(void **state)
{
    berth_instance *instance = new_instance("counts_calls", contract_with(NULL));
    berth_run *run;
    int32_t result = 0;
    (void)state;
    assert_int_equal(berth_run_start_call(instance, "_initialize", NULL, 0, &run, NULL), BERTH_OK);
    berth_run_wait(run);
    assert_int_equal(berth_run_outcome(run)->kind, BERTH_OUTCOME_EXITED);
    call(instance, "add", 1, &result);
    assert_int_equal(result, 7 + 1);
    berth_instance_free(instance);
}

struct told {
    int growths, others;
};

static void count_denial(void *payload, const struct berth_denial *denial)
{
    struct told *told = payload;
    if (strcmp(denial->rule, "limits.memory_mb") == 0)
        told->growths++;
    else
        told->others++;
}

static void refused_growths_do_not_silence_other_refusals(void **state)
{
    struct berth_instance_options options;
    struct berth_mount mount = {.guest = "/here", .host = "/"};
    struct told told = {0};
    berth_contract *contract = contract_with("limits.memory_mb", "1", NULL);
    berth_module *module = host_module(&host, "grows_then_opens");
    berth_instance *instance;
    int32_t result = 0;
    (void)state;
    assert_int_equal(berth_contract_add_mount(contract, &mount, "test", NULL), BERTH_OK);
    berth_instance_options_init(&options);
    options.on_denial = count_denial;
    options.payload = &told;
    assert_int_equal(berth_instance_new(host.schedule, module, contract, &options, &instance, NULL),
                     BERTH_OK);
    assert_int_equal(call(instance, "grow_then_open", 1000, &result)->kind, BERTH_OUTCOME_EXITED);
    assert_int_not_equal(result, 0);
    assert_int_equal(told.others, 1);
    assert_in_range(told.growths, 1, 999);
    berth_instance_free(instance);
    berth_module_unref(module);
    berth_contract_unref(contract);
}

static void each_call_has_its_own_fuel_and_the_same_call_uses_the_same(void **state)
{
    berth_instance *instance = new_instance("counts_calls", contract_with("limits.fuel", "10000", NULL));
    struct berth_usage first = {0}, usage;
    int32_t result;
    (void)state;
    call(instance, "add", 1, &result); /* with _initialize */
    for (int i = 0; i < 5000; i++) {
        berth_run *run;
        berth_value value = {.kind = BERTH_VALUE_I32, .of.i32 = 1};
        assert_int_equal(berth_run_start_call(instance, "add", &value, 1, &run, NULL), BERTH_OK);
        berth_run_wait(run);
        assert_int_equal(berth_run_outcome(run)->kind, BERTH_OUTCOME_EXITED);
        berth_run_usage(run, &usage);
        if (i == 0)
            first = usage;
        assert_int_equal(usage.fuel, first.fuel);
    }
    assert_true(first.fuel > 0);
    berth_instance_free(instance);
}

static void a_trap_ends_the_instance_and_says_why(void **state)
{
    berth_instance *instance = new_instance("counts_calls", contract_with(NULL));
    berth_run *run;
    berth_value value = {.kind = BERTH_VALUE_I32};
    berth_error *error = NULL;
    int32_t result;
    (void)state;
    const struct berth_outcome *outcome = call(instance, "fail", 1, &result);
    assert_int_equal(outcome->kind, BERTH_OUTCOME_TRAPPED);
    assert_non_null(strstr(outcome->cause, "unreachable"));
    assert_int_equal(berth_run_start_call(instance, "add", &value, 1, &run, &error), BERTH_ENDED);
    assert_string_not_equal(berth_error_message(error), "");
    berth_error_free(error);
    berth_instance_free(instance);
}

/* It could go on without the memory; what it stumbles over later is something else. */
static void a_fault_long_after_a_refused_growth_is_a_fault(void **state)
{
    berth_instance *instance = new_instance("divides_after_a_refusal", contract_with(NULL));
    int32_t result;
    (void)state;
    assert_int_equal(call(instance, "divide", 1, &result)->kind, BERTH_OUTCOME_EXITED);
    assert_int_equal(call(instance, "divide", 0, &result)->kind, BERTH_OUTCOME_TRAPPED);
    berth_instance_free(instance);
}

static void an_instance_has_one_run_at_a_time(void **state)
{
    berth_instance *instance = new_instance("counts_calls", contract_with(NULL));
    berth_run *run, *second;
    berth_value value = {.kind = BERTH_VALUE_I32};
    (void)state;
    assert_int_equal(berth_run_start_call(instance, "add", &value, 1, &run, NULL), BERTH_OK);
    assert_int_equal(berth_run_start_call(instance, "add", &value, 1, &second, NULL), BERTH_BUSY);
    assert_int_equal(berth_run_outcome(run)->kind, BERTH_OUTCOME_RUNNING);
    assert_string_equal(berth_run_outcome(run)->cause, "");
    assert_string_equal(berth_run_outcome(run)->remedy, "");
    berth_run_wait(run);
    assert_int_equal(berth_run_start_call(instance, "add", &value, 1, &second, NULL), BERTH_OK);
    berth_instance_free(instance); /* in the middle of a run */
}

static void wrong_calls_are_refused_with_a_sentence(void **state)
{
    berth_instance *instance = new_instance("counts_calls", contract_with(NULL));
    berth_run *run;
    berth_value value = {.kind = BERTH_VALUE_F64};
    berth_error *error = NULL;
    (void)state;
    assert_int_equal(berth_run_start_call(instance, "ad", &value, 1, &run, &error), BERTH_NOT_FOUND);
    assert_non_null(strstr(berth_error_message(error), "add"));
    assert_int_equal(berth_run_start_call(instance, "add", NULL, 0, &run, &error), BERTH_INVALID);
    assert_int_equal(berth_run_start_call(instance, "add", &value, 1, &run, &error), BERTH_INVALID);
    value.kind = (berth_value_kind)1000;
    assert_int_equal(berth_run_start_call(instance, "add", &value, 1, &run, &error), BERTH_INVALID);
    assert_int_equal(berth_run_start(instance, &run, &error), BERTH_REFUSED);
    assert_non_null(strstr(berth_error_message(error), "_start"));
    berth_error_free(error);
    berth_instance_free(instance);
}

static void a_full_pool_says_busy_and_gives_slots_back(void **state)
{
    berth_instance *instances[4], *fifth;
    struct berth_instance_options options;
    berth_contract *contract = contract_with(NULL);
    berth_module *module = host_module(&host, "counts_calls");
    (void)state;
    berth_instance_options_init(&options);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 4; i++)
            assert_int_equal(
                berth_instance_new(host.schedule, module, contract, &options, &instances[i], NULL), BERTH_OK);
        assert_int_equal(berth_instance_new(host.schedule, module, contract, &options, &fifth, NULL),
                         BERTH_BUSY);
        for (int i = 0; i < 4; i++)
            berth_instance_free(instances[i]);
    }
    berth_module_unref(module);
    berth_contract_unref(contract);
}

static void a_second_engine_is_refused(void **state)
{
    struct berth_engine_options options;
    berth_engine *engine;
    (void)state;
    berth_engine_options_init(&options);
    assert_int_equal(berth_engine_new(&options, &engine, NULL), BERTH_BUSY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        embedding_test(state_lives_from_call_to_call),
        embedding_test(who_calls_initialize_gets_it_once),
        embedding_test(refused_growths_do_not_silence_other_refusals),
        embedding_test(each_call_has_its_own_fuel_and_the_same_call_uses_the_same),
        embedding_test(a_trap_ends_the_instance_and_says_why),
        embedding_test(a_fault_long_after_a_refused_growth_is_a_fault),
        embedding_test(an_instance_has_one_run_at_a_time),
        embedding_test(wrong_calls_are_refused_with_a_sentence),
        embedding_test(a_full_pool_says_busy_and_gives_slots_back),
        embedding_test(a_second_engine_is_refused),
    };
    return cmocka_run_group_tests(tests, open_host, close_host);
}
