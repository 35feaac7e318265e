/* SPDX-License-Identifier: Apache-2.0 */
/* Engines one after the other: who keeps one alive, and what does not start. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fixture.h"

static berth_outcome_kind visit(const struct host *host, berth_module *module)
{
    berth_contract *contract = contract_with(NULL);
    struct visitor visitor;
    visitor_start(&visitor, host, module, contract, NULL);
    visitors_finish(host, &visitor, 1);
    berth_outcome_kind kind = berth_run_outcome(visitor.run)->kind;
    visitor_end(&visitor);
    berth_contract_unref(contract);
    return kind;
}

static void a_second_engine_after_the_first_traps_as_well(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct host host = host_open(4, false, false);
        berth_module *module = host_module(&host, "reaches_past_memory");
        assert_int_equal(visit(&host, module), BERTH_OUTCOME_TRAPPED);
        berth_module_unref(module);
        host_close(&host);
    }
}

static void a_module_keeps_its_engine(void **state)
{
    struct host host = host_open(4, false, false), second;
    berth_module *module = host_module(&host, "counts_calls");
    struct berth_engine_options options;
    (void)state;
    berth_engine_options_init(&options);
    host_close(&host);
    assert_int_equal(berth_engine_new(&options, &second.engine, NULL), BERTH_BUSY);
    berth_module_unref(module);
    second = host_open(4, false, false);
    host_close(&second);
}

static void a_pool_beyond_the_address_space_is_refused(void **state)
{
    const uint32_t too_many[] = {40000, UINT32_MAX};
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct berth_engine_options options;
        berth_engine *engine;
        berth_engine_options_init(&options);
        options.cache = false;
        options.max_instances = too_many[i];
        assert_int_equal(berth_engine_new(&options, &engine, NULL), BERTH_NO_MEMORY);
    }
    struct host host = host_open(10000, false, false);
    host_close(&host);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        embedding_test(a_second_engine_after_the_first_traps_as_well),
        embedding_test(a_module_keeps_its_engine),
        embedding_test(a_pool_beyond_the_address_space_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
