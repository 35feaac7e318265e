/* SPDX-License-Identifier: Apache-2.0 */
/* Guests in a real worker, as a front sees them. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "node/test_worker_fixture.h"

static void a_tiny_run_says_its_line_and_ends(void **state)
{
    struct node node;
    (void)state;
    node_start(&node, 1);
    berth_contract *contract = contract_for(&node, false, NULL);
    struct worker_run_request request = request_for(&node, "says_hello", contract);
    struct story *story = node_run(&node, &request);
    node_until_ended(&node, story);
    assert_string_equal(story->cause, "");
    assert_int_equal(story->outcome.kind, BERTH_OUTCOME_EXITED);
    assert_string_equal(story->output, "hello\n");
    assert_int_equal(story->usage.output_bytes, 6);
    berth_contract_unref(contract);
    node_stop(&node);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tiny_run_says_its_line_and_ends),
    };
    return cmocka_run_group_tests(tests, load_guests, unload_guests);
}
