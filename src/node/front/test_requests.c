/* SPDX-License-Identifier: Apache-2.0 */
/* What callers ask for: a request narrows and never widens, and inputs are values with the names of files. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "node/front/visit.h"

static const char granted[] =
    "[limits]\nmemory_mb = 512\nwall_seconds = 60\n"
    "[grants]\nclock = \"fine\"\nenv = [\"LANG\"]\n"
    "[[grants.mount]]\nguest = \"/logs\"\nhost = \"/var/log\"\nmode = \"write\"\nhide = [\"*.key\"]\n"
    "[[grants.mount]]\nguest = \"/data\"\nhost = \"/srv\"\n";

static struct grant make_grant(void)
{
    struct grant grant = {.capability = "c"};
    assert_int_equal(berth_contract_parse(granted, strlen(granted), "test", &grant.contract, NULL), BERTH_OK);
    return grant;
}

/* What the request gives; NULL: refused, with this in the sentence. */
static berth_contract *ask(const char *json, const char *sentence)
{
    struct grant grant = make_grant();
    struct refusal refusal = {0};
    berth_contract *contract = NULL;
    int r = contract_request(&grant, json, strlen(json), &contract, &refusal);
    berth_contract_unref(grant.contract);
    assert_int_equal(r, sentence ? 1 : 0);
    if (sentence) {
        assert_int_equal(refusal.status, GRPC_INVALID_ARGUMENT);
        assert_non_null(strstr(refusal.sentence, sentence));
    }
    return contract;
}

static void what_a_request_does_not_mention_stays_as_granted(void **state)
{
    (void)state;
    berth_contract *contract = ask("{\"limits\": {\"wall_seconds\": 5}}", NULL);
    assert_int_equal(berth_contract_limits(contract)->wall_ms, 5000);
    assert_int_equal(berth_contract_limits(contract)->memory_bytes, 512u << 20);
    const struct berth_grants *grants = berth_contract_grants(contract);
    assert_int_equal(grants->clock, BERTH_CLOCK_FINE);
    assert_int_equal(grants->n_env, 1);
    assert_int_equal(grants->n_mounts, 2);
    assert_string_equal(grants->mounts[0].host, "/var/log");
    assert_int_equal(grants->mounts[0].n_hide, 1);
    assert_true(grants->mounts[0].writable);
    berth_contract_unref(contract);
}

static void a_request_never_widens(void **state)
{
    (void)state;
    berth_contract *contract = ask("{\"limits\": {\"memory_mb\": 4096, \"wall_seconds\": 0}}", NULL);
    assert_int_equal(berth_contract_limits(contract)->memory_bytes, 512u << 20);
    assert_int_equal(berth_contract_limits(contract)->wall_ms, 60000);
    berth_contract_unref(contract);
}

static void mounts_are_asked_for_by_guest_path(void **state)
{
    (void)state;
    berth_contract *contract =
        ask("{\"grants\": {\"mount\": [{\"guest\": \"/logs\", \"mode\": \"read\"}]}}", NULL);
    const struct berth_grants *grants = berth_contract_grants(contract);
    assert_int_equal(grants->n_mounts, 1);
    assert_string_equal(grants->mounts[0].host, "/var/log");
    assert_false(grants->mounts[0].writable);
    assert_int_equal(grants->mounts[0].n_hide, 1);
    berth_contract_unref(contract);
    ask("{\"grants\": {\"mount\": [{\"guest\": \"/etc\", \"host\": \"/etc\"}]}}", "not granted");
    ask("{\"grants\": {\"mount\": [7]}}", "not granted");
    ask("{\"grants\": {\"mount\": {}}}", "list");
}

static void nonsense_is_refused_with_the_reason(void **state)
{
    (void)state;
    ask("{", "line 1");
    ask("[]", "object");
    ask("{\"limits\": 7}", "objects");
    ask("{\"limits\": {\"memroy_mb\": 7}}", "memory_mb");
    ask("{\"limits\": {\"memory_mb\": []}}", "number");
    ask("{\"limits\": {\"memory_mb\": \"many\"}}", "memory_mb");
    ask("{\"unknown\": true}", "unknown");
}

static struct settings limits = {.limits_max_inputs = 3, .limits_max_inputs_mb = 1};

static int object_of(const struct visit_input *inputs, size_t n, char **ret, struct refusal *refusal)
{
    size_t size_bytes;
    return inputs_object(inputs, n, &limits, ret, &size_bytes, refusal);
}

static void inputs_become_one_object(void **state)
{
    (void)state;
    struct refusal refusal;
    const struct visit_input inputs[] = {{"a\"b", "[1]", 3}, {"c", "\"x\"", 3}};
    char *object;
    assert_int_equal(object_of(inputs, 2, &object, &refusal), 0);
    assert_string_equal(object, "{\"a\\\"b\":[1],\"c\":\"x\"}\n");
    free(object);
    assert_int_equal(object_of(NULL, 0, &object, &refusal), 0);
    assert_null(object);
}

static void inputs_that_cannot_be_are_refused(void **state)
{
    (void)state;
    char *object;
    struct refusal refusal;
    static char large[(1 << 20) + 1];
    const struct visit_input injected = {"a", "1,\"b\":2", 7};
    const struct visit_input escaping = {"../a", "1", 1};
    const struct visit_input dots = {"..", "1", 1};
    const struct visit_input nameless = {"", "1", 1};
    const struct visit_input twice[] = {{"a", "1", 1}, {"b", "1", 1}, {"a", "2", 1}};
    const struct visit_input too_many[4] = {{"a", "1", 1}, {"b", "1", 1}, {"c", "1", 1}, {"d", "1", 1}};
    memset(large, ' ', sizeof(large));
    const struct visit_input too_large = {"a", large, sizeof(large)};
    assert_int_equal(object_of(&injected, 1, &object, &refusal), 1);
    assert_int_equal(object_of(&escaping, 1, &object, &refusal), 1);
    assert_int_equal(object_of(&dots, 1, &object, &refusal), 1);
    assert_int_equal(object_of(&nameless, 1, &object, &refusal), 1);
    assert_int_equal(object_of(twice, 3, &object, &refusal), 1);
    assert_int_equal(refusal.status, GRPC_INVALID_ARGUMENT);
    assert_int_equal(object_of(too_many, 4, &object, &refusal), 1);
    assert_non_null(strstr(refusal.sentence, "limits.max_inputs"));
    assert_int_equal(object_of(&too_large, 1, &object, &refusal), 1);
    assert_int_equal(refusal.status, GRPC_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(refusal.sentence, "limits.max_inputs_mb"));
}

static void inputs_are_files_and_leave_nothing(void **state)
{
    (void)state;
    char directory[] = "/tmp/berth-inputs-XXXXXX", text[16] = {0};
    const struct visit_input inputs[] = {{"one", "1", 1}, {"two", "[2]", 3}};
    assert_non_null(mkdtemp(directory));
    int parent = open(directory, O_PATH | O_DIRECTORY);
    int made = inputs_directory_make(parent, "run", inputs, 2);
    assert_true(made >= 0);
    int file = openat(made, "two", O_RDONLY);
    assert_int_equal(read(file, text, sizeof(text)), 3);
    assert_string_equal(text, "[2]");
    assert_true(inputs_directory_make(parent, "run", inputs, 2) < 0);
    inputs_directory_remove(parent, "run");
    close(file);
    close(made);
    close(parent);
    assert_int_equal(rmdir(directory), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_request_does_not_mention_stays_as_granted),
        cmocka_unit_test(a_request_never_widens),
        cmocka_unit_test(mounts_are_asked_for_by_guest_path),
        cmocka_unit_test(nonsense_is_refused_with_the_reason),
        cmocka_unit_test(inputs_become_one_object),
        cmocka_unit_test(inputs_that_cannot_be_are_refused),
        cmocka_unit_test(inputs_are_files_and_leave_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
