/* SPDX-License-Identifier: Apache-2.0 */
/* What a client makes of nodes, most of them hostile: a visit is a success only if every byte of it is
 * proven. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <berth/client.h>

#include "fake_node.h"

static const uint8_t module_bytes[] = "\0asm\1\0\0";

struct world {
    struct fake_node *node;
    berth_client *client;
    char known_nodes[64];
    char output[256], errors[256];
    size_t n_output, n_errors;
    uint64_t received, uploaded;
    unsigned events;
    bool refuse_output, cancel_on_output, hold;
    char run_id[64];
    const struct berth_visit_end *end;
    berth_error *error;
};

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    strncpy(world->known_nodes, "/tmp/known-nodes-XXXXXX", sizeof(world->known_nodes) - 1);
    int fd = mkstemp(world->known_nodes);
    if (fd < 0)
        return -1;
    close(fd);
    world->node = fake_node_new(1);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    berth_client_free(world->client);
    berth_error_free(world->error);
    fake_node_free(world->node);
    unlink(world->known_nodes);
    free(world);
    return 0;
}

static berth_status connect_to(struct world *world, const char *address, const char *node)
{
    struct berth_client_options options;
    berth_client_options_init(&options);
    options.address = address;
    options.token = "a-token";
    options.known_nodes = world->known_nodes;
    options.node = node;
    berth_client_free(world->client);
    world->client = NULL;
    berth_error_free(world->error);
    world->error = NULL;
    return berth_client_new(&options, &world->client, &world->error);
}

static bool on_output(void *payload, const void *bytes, size_t size)
{
    struct world *world = payload;
    world->received += size;
    if (world->n_output + size < sizeof(world->output)) {
        memcpy(world->output + world->n_output, bytes, size);
        world->n_output += size;
    }
    if (world->cancel_on_output)
        berth_client_cancel(world->client);
    return !world->refuse_output;
}

static bool on_errors(void *payload, const void *bytes, size_t size)
{
    struct world *world = payload;
    memcpy(world->errors + world->n_errors, bytes, size);
    world->n_errors += size;
    return true;
}

static bool on_event(void *payload, uint64_t sequence, int64_t time_ns, const char *text)
{
    struct world *world = payload;
    world->events++;
    return sequence > 0 && time_ns == 1 && strcmp(text, "an event") == 0;
}

static void on_uploaded(void *payload, uint64_t sent, uint64_t total)
{
    struct world *world = payload;
    assert_true(sent <= total && sent >= world->uploaded);
    world->uploaded = sent;
}

static void on_started(void *payload, const char *run_id)
{
    struct world *world = payload;
    snprintf(world->run_id, sizeof(world->run_id), "%s", run_id);
}

static berth_status visit_with(struct world *world, const void *module, size_t size, bool detach,
                               uint64_t deadline_ms)
{
    static const char *const arguments[] = {"CRITICAL", "last", NULL};
    const struct berth_visit visit = {
        .size = sizeof(visit),
        .module = module,
        .module_bytes = size,
        .name = "filter.wasm",
        .arguments = arguments,
        .capability = "logs",
        .deadline_ms = deadline_ms,
        .events = true,
        .detach = detach,
        .output = on_output,
        .errors = on_errors,
        .event = on_event,
        .uploaded = on_uploaded,
        .started = on_started,
        .payload = world,
    };
    world->n_output = world->n_errors = 0;
    world->received = world->uploaded = 0;
    berth_error_free(world->error);
    world->error = NULL;
    return berth_client_visit(world->client, &visit, &world->end, &world->error);
}

static berth_status visit(struct world *world)
{
    return visit_with(world, module_bytes, sizeof(module_bytes), false, 0);
}

static void assert_says(const struct world *world, const char *part)
{
    const char *sentence = berth_error_message(world->error);
    if (!strstr(sentence, part))
        fail_msg("\"%s\" does not say \"%s\"", sentence, part);
    for (const char *c = sentence; *c; c++)
        assert_false(*c == '\n' || *c == '\x1b' || *c == '\a');
}

/* ---- The good case ------------------------------------------------------------------------------------- */

static void a_visit_gives_output_errors_events_and_a_verified_end(void **state)
{
    struct world *world = *state;
    struct fake_node_seen seen;
    assert_int_equal(connect_to(world, fake_node_address(world->node), NULL), BERTH_OK);
    assert_true(berth_client_first_use(world->client));
    assert_string_equal(berth_client_node(world->client), fake_node_peer_id(world->node));
    for (int i = 0; i < 3; i++) {
        world->events = 0;
        assert_int_equal(visit(world), BERTH_OK);
        assert_memory_equal(world->output, "first line\nsecond line\n", world->n_output);
        assert_memory_equal(world->errors, "a warning\n", world->n_errors);
        assert_int_equal(world->events, 2);
        assert_int_equal(world->end->outcome.kind, BERTH_OUTCOME_EXITED);
        assert_int_equal(world->end->outcome.exit_code, 7);
        assert_string_equal(world->end->run_id, world->run_id);
        assert_string_equal(world->end->denials[0], "it was \\x07refused");
        assert_null(world->end->denials[1]);
        assert_non_null(strstr(world->end->receipt, "\"signatures\""));
        assert_true(world->uploaded > sizeof(module_bytes));
    }
    fake_node_seen(world->node, &seen);
    assert_string_equal(seen.authorization, "Bearer a-token");
    assert_string_equal(seen.last_argument, "last");
    assert_false(seen.token_in_describe);
}

static void a_forgotten_module_is_sent_once_more_with_its_bytes(void **state)
{
    struct world *world = *state;
    struct fake_node_seen seen;
    fake_node_set_fault(world->node, FORGETS_MODULES);
    assert_int_equal(connect_to(world, fake_node_address(world->node), NULL), BERTH_OK);
    assert_int_equal(visit(world), BERTH_OK);
    assert_false(world->end->module_was_known);
    fake_node_seen(world->node, &seen);
    assert_int_equal(seen.visits, 2);
    assert_int_equal(seen.modules, 1);
}

static void a_large_module_arrives_whole_and_the_upload_is_told(void **state)
{
    enum { LARGE_BYTES = 16 << 20 };
    struct world *world = *state;
    uint8_t *large = calloc(1, LARGE_BYTES);
    assert_int_equal(connect_to(world, fake_node_address(world->node), NULL), BERTH_OK);
    assert_int_equal(visit_with(world, large, LARGE_BYTES, false, 0), BERTH_OK);
    assert_true(world->uploaded >= LARGE_BYTES);
    free(large);
}

static void output_beyond_all_windows_arrives_whole(void **state)
{
    struct world *world = *state;
    fake_node_set_fault(world->node, SENDS_MUCH);
    assert_int_equal(connect_to(world, fake_node_address(world->node), NULL), BERTH_OK);
    assert_int_equal(visit(world), BERTH_OK);
    assert_int_equal(world->received, FAKE_MUCH_BYTES);
}

static void a_detached_run_is_left_to_itself(void **state)
{
    struct world *world = *state;
    assert_int_equal(connect_to(world, fake_node_address(world->node), NULL), BERTH_OK);
    assert_int_equal(visit_with(world, module_bytes, sizeof(module_bytes), true, 0), BERTH_OK);
    assert_true(world->end->detached);
    assert_null(world->end->receipt);
    assert_int_equal(world->end->outcome.kind, BERTH_OUTCOME_RUNNING);
    assert_string_equal(world->end->run_id, world->run_id);
    assert_int_equal(world->n_output, 0);
    /* The connection is as good as before. */
    assert_int_equal(visit(world), BERTH_OK);
}

/* ---- Who answers --------------------------------------------------------------------------------------- */

static void a_changed_key_is_refused_and_nothing_is_sent(void **state)
{
    struct world *world = *state;
    struct fake_node *impostor = fake_node_new(2);
    struct fake_node_seen seen;
    char line[1024];
    /* The file knows the impostor's address with the true node's keys. */
    assert_int_equal(connect_to(world, fake_node_address(world->node), NULL), BERTH_OK);
    FILE *file = fopen(world->known_nodes, "r");
    assert_non_null(fgets(line, sizeof(line), file));
    fclose(file);
    file = fopen(world->known_nodes, "w");
    fprintf(file, "# one line more\n%s%s", fake_node_address(impostor), strchr(line, ' '));
    fclose(file);
    assert_int_equal(connect_to(world, fake_node_address(impostor), NULL), BERTH_REFUSED);
    assert_says(world, fake_node_peer_id(world->node));
    assert_says(world, fake_node_peer_id(impostor));
    assert_says(world, "remove line 2 of /tmp/known-nodes-");
    fake_node_seen(impostor, &seen);
    assert_string_equal(seen.authorization, "");
    assert_false(seen.token_in_describe);
    fake_node_free(impostor);
}

static void a_node_that_was_named_must_be_the_one(void **state)
{
    struct world *world = *state;
    char known[8];
    assert_int_equal(connect_to(world, fake_node_address(world->node), "12D3KooWAnother"), BERTH_REFUSED);
    assert_says(world, "12D3KooWAnother");
    assert_int_equal(connect_to(world, fake_node_address(world->node), fake_node_peer_id(world->node)),
                     BERTH_OK);
    FILE *file = fopen(world->known_nodes, "r");
    assert_int_equal(fread(known, 1, sizeof(known), file), 0);
    fclose(file);
}

static void keys_that_do_not_fit_are_refused(void **state)
{
    struct world *world = *state;
    fake_node_set_fault(world->node, FAULT_NAME_OF_ANOTHER_KEY);
    assert_int_equal(connect_to(world, fake_node_address(world->node), NULL), BERTH_INTERNAL);
    fake_node_set_fault(world->node, FAULT_KEYS_THAT_ARE_NONE);
    assert_int_equal(connect_to(world, fake_node_address(world->node), NULL), BERTH_INTERNAL);
    assert_false(berth_error_message(world->error)[0] == '\0');
}

static void a_node_that_is_not_there_is_told_of(void **state)
{
    struct world *world = *state;
    assert_int_equal(connect_to(world, "127.0.0.1:1", NULL), BERTH_IO);
    assert_says(world, "127.0.0.1:1");
    assert_int_equal(connect_to(world, "no such host", NULL), BERTH_INVALID);
    assert_int_equal(connect_to(world, "host:port", NULL), BERTH_INVALID);
}

/* ---- Faults -------------------------------------------------------------------------------------------- */

static void no_faulty_visit_is_a_success(void **state)
{
    static const struct {
        enum fault fault;
        berth_status status;
        const char *says;
    } cases[] = {
        {FAULT_SESSION_KEY_UNSIGNED, BERTH_INTERNAL, "not signed"},
        {FAULT_SESSION_KEY_SIGNED_BY_ANOTHER, BERTH_INTERNAL, "not signed"},
        {FAULT_SESSION_KEY_SIGNED_FOR_ANOTHER_CAPABILITY, BERTH_INTERNAL, "not signed"},
        {FAULT_SESSION_KEY_TOO_SHORT, BERTH_INTERNAL, "not signed"},
        {FAULT_SESSION_NAME_ODD, BERTH_INTERNAL, "no usable name"},
        {FAULT_REFUSES, BERTH_REFUSED, "it is \\x1b[31mclosed"},
        {FAULT_SEAL_BROKEN, BERTH_INTERNAL, "seal"},
        {FAULT_MESSAGE_TWICE, BERTH_INTERNAL, "seal"},
        {FAULT_MESSAGE_LEFT_OUT, BERTH_INTERNAL, "seal"},
        {FAULT_MESSAGES_SWAPPED, BERTH_INTERNAL, "seal"},
        {FAULT_MESSAGE_TOO_LARGE, BERTH_INTERNAL, "longer"},
        {FAULT_MESSAGE_GARBAGE, BERTH_INTERNAL, "means nothing"},
        {FAULT_MESSAGE_EMPTY, BERTH_INTERNAL, "seal"},
        {FAULT_OUTPUT_BEFORE_START, BERTH_INTERNAL, "before the start"},
        {FAULT_STARTS_TWICE, BERTH_INTERNAL, "twice"},
        {FAULT_EVENTS_OUT_OF_ORDER, BERTH_INTERNAL, "order"},
        {FAULT_NO_END, BERTH_INTERNAL, "NOT WHOLE"},
        {FAULT_NO_END_AND_UNAVAILABLE, BERTH_IO, "the worker died"},
        {FAULT_NO_RECEIPT, BERTH_INTERNAL, "DOES NOT HOLD"},
        {FAULT_RECEIPT_FOR_OTHER_OUTPUT, BERTH_INTERNAL, "output"},
        {FAULT_RECEIPT_FOR_OTHER_ERRORS, BERTH_INTERNAL, "DOES NOT HOLD"},
        {FAULT_RECEIPT_FOR_OTHER_MODULE, BERTH_INTERNAL, "module"},
        {FAULT_RECEIPT_FOR_OTHER_ARGUMENTS, BERTH_INTERNAL, "arguments"},
        {FAULT_RECEIPT_FOR_OTHER_RUN, BERTH_INTERNAL, "run_id"},
        {FAULT_RECEIPT_FOR_OTHER_OUTCOME, BERTH_INTERNAL, "DOES NOT HOLD"},
        {FAULT_RECEIPT_OF_ANOTHER_NODE, BERTH_INTERNAL, "DOES NOT HOLD"},
        {FAULT_RECEIPT_WITHOUT_POST_QUANTUM, BERTH_INTERNAL, "DOES NOT HOLD"},
        {FAULT_RECEIPT_CHANGED, BERTH_INTERNAL, "DOES NOT HOLD"},
    };
    struct world *world = *state;
    assert_int_equal(connect_to(world, fake_node_address(world->node), NULL), BERTH_OK);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fake_node_set_fault(world->node, cases[i].fault);
        berth_status status = visit(world);
        if (status != cases[i].status)
            fail_msg("fault %d: %s: %s", cases[i].fault, berth_status_name(status),
                     berth_error_message(world->error));
        assert_says(world, cases[i].says);
        /* What went wrong has cost this visit only. */
        fake_node_set_fault(world->node, FAULT_NONE);
        assert_int_equal(visit(world), BERTH_OK);
    }
}

static void a_message_after_the_end_does_not_undo_it_silently(void **state)
{
    struct world *world = *state;
    fake_node_set_fault(world->node, FAULT_MESSAGE_AFTER_END);
    assert_int_equal(connect_to(world, fake_node_address(world->node), NULL), BERTH_OK);
    assert_int_equal(visit(world), BERTH_INTERNAL);
    assert_says(world, "after the end");
}

static void every_status_becomes_a_sentence(void **state)
{
    static const struct {
        int code;
        berth_status status;
        const char *says;
    } cases[] = {
        {1, BERTH_IO, "why"},        {2, BERTH_IO, "log"},
        {3, BERTH_REFUSED, "why"},   {4, BERTH_ENDED, "in time"},
        {5, BERTH_NOT_FOUND, "why"}, {6, BERTH_REFUSED, "why"},
        {7, BERTH_REFUSED, "allow"}, {8, BERTH_REFUSED, "later"},
        {9, BERTH_REFUSED, "why"},   {10, BERTH_IO, "again"},
        {11, BERTH_REFUSED, "why"},  {12, BERTH_UNSUPPORTED, "no berth node"},
        {13, BERTH_IO, "log"},       {14, BERTH_IO, "later"},
        {15, BERTH_IO, "lost"},      {16, BERTH_REFUSED, "does not accept this token"},
    };
    struct world *world = *state;
    assert_int_equal(connect_to(world, fake_node_address(world->node), NULL), BERTH_OK);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fake_node_set_status(world->node, cases[i].code, "why so");
        assert_int_equal(visit(world), cases[i].status);
        assert_says(world, cases[i].says);
        assert_says(world, "why so");
        assert_int_equal(berth_client_grpc_status(world->client), cases[i].code);
    }
}

/* ---- Leaving ------------------------------------------------------------------------------------------- */

static void wait_until_left(struct world *world, unsigned count)
{
    struct fake_node_seen seen;
    do {
        usleep(1000);
        fake_node_seen(world->node, &seen);
    } while (seen.left < count);
}

static void *cancel(void *argument)
{
    struct world *world = argument;
    while (!*(volatile char *)world->run_id)
        usleep(1000);
    berth_client_cancel(world->client);
    return NULL;
}

static void a_cancel_reaches_the_node_and_leaves_the_client_usable(void **state)
{
    struct world *world = *state;
    pthread_t thread;
    fake_node_set_fault(world->node, FAULT_SILENT_AFTER_START);
    assert_int_equal(connect_to(world, fake_node_address(world->node), NULL), BERTH_OK);
    assert_int_equal(pthread_create(&thread, NULL, cancel, world), 0);
    assert_int_equal(visit(world), BERTH_CANCELLED);
    pthread_join(thread, NULL);
    wait_until_left(world, 1);
    fake_node_set_fault(world->node, FAULT_NONE);
    assert_int_equal(visit(world), BERTH_OK);
}

static void a_cancel_that_comes_too_early_is_not_lost(void **state)
{
    struct world *world = *state;
    assert_int_equal(connect_to(world, fake_node_address(world->node), NULL), BERTH_OK);
    berth_client_cancel(world->client);
    assert_int_equal(visit(world), BERTH_CANCELLED);
    assert_int_equal(visit(world), BERTH_OK);
}

static void a_callback_that_wants_no_more_ends_the_visit(void **state)
{
    struct world *world = *state;
    fake_node_set_fault(world->node, SENDS_MUCH);
    assert_int_equal(connect_to(world, fake_node_address(world->node), NULL), BERTH_OK);
    world->refuse_output = true;
    assert_int_equal(visit(world), BERTH_CANCELLED);
    assert_true(world->received < FAKE_MUCH_BYTES);
    wait_until_left(world, 1);
    world->refuse_output = false;
    world->cancel_on_output = true;
    assert_int_equal(visit(world), BERTH_CANCELLED);
    wait_until_left(world, 2);
}

static void a_deadline_ends_a_silent_node(void **state)
{
    struct world *world = *state;
    fake_node_set_fault(world->node, FAULT_SILENT_AFTER_START);
    assert_int_equal(connect_to(world, fake_node_address(world->node), NULL), BERTH_OK);
    assert_int_equal(visit_with(world, module_bytes, sizeof(module_bytes), false, 1), BERTH_ENDED);
    assert_int_equal(berth_client_grpc_status(world->client), 4);
}

static void a_node_that_dies_is_told_of(void **state)
{
    struct world *world = *state;
    assert_int_equal(connect_to(world, fake_node_address(world->node), NULL), BERTH_OK);
    fake_node_free(world->node);
    world->node = fake_node_new(1);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(visit(world), BERTH_IO);
        assert_says(world, "node at 127.0.0.1:");
    }
}

/* ---- What cannot be sent ------------------------------------------------------------------------------- */

static void what_is_no_visit_is_told_before_anything_is_sent(void **state)
{
    static const struct berth_client_input twice[] = {{"a", "1"}, {"a", "2"}}, no_json[] = {{"a", "{"}};
    static const char *const no_utf8[] = {"\xff", NULL};
    struct world *world = *state;
    struct fake_node_seen seen;
    struct berth_visit bad[] = {
        {.size = 1},
        {.size = sizeof(bad[0]), .inputs = twice, .n_inputs = 2},
        {.size = sizeof(bad[0]), .inputs = no_json, .n_inputs = 1},
        {.size = sizeof(bad[0]), .arguments = no_utf8},
        {.size = sizeof(bad[0]), .environment = no_utf8},
        {.size = sizeof(bad[0]), .capability = "\xff"},
    };
    assert_int_equal(connect_to(world, fake_node_address(world->node), NULL), BERTH_OK);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        berth_error_free(world->error);
        world->error = NULL;
        assert_int_equal(berth_client_visit(world->client, &bad[i], &world->end, &world->error),
                         BERTH_INVALID);
    }
    fake_node_seen(world->node, &seen);
    assert_string_equal(seen.authorization, "");
}

static void a_token_that_would_end_the_header_is_refused(void **state)
{
    struct world *world = *state;
    struct berth_client_options options;
    berth_client_options_init(&options);
    options.address = fake_node_address(world->node);
    options.known_nodes = world->known_nodes;
    static const char *const tokens[] = {"", "a b", "a\nb", "a\x7f", "\xc3\xa9"};
    for (size_t i = 0; i < sizeof(tokens) / sizeof(tokens[0]); i++) {
        options.token = tokens[i];
        berth_error_free(world->error);
        world->error = NULL;
        assert_int_equal(berth_client_new(&options, &world->client, &world->error), BERTH_INVALID);
    }
}

int main(void)
{
#define WORLDLY(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WORLDLY(a_visit_gives_output_errors_events_and_a_verified_end),
        WORLDLY(a_forgotten_module_is_sent_once_more_with_its_bytes),
        WORLDLY(a_large_module_arrives_whole_and_the_upload_is_told),
        WORLDLY(output_beyond_all_windows_arrives_whole),
        WORLDLY(a_detached_run_is_left_to_itself),
        WORLDLY(a_changed_key_is_refused_and_nothing_is_sent),
        WORLDLY(a_node_that_was_named_must_be_the_one),
        WORLDLY(keys_that_do_not_fit_are_refused),
        WORLDLY(a_node_that_is_not_there_is_told_of),
        WORLDLY(no_faulty_visit_is_a_success),
        WORLDLY(a_message_after_the_end_does_not_undo_it_silently),
        WORLDLY(every_status_becomes_a_sentence),
        WORLDLY(a_cancel_reaches_the_node_and_leaves_the_client_usable),
        WORLDLY(a_cancel_that_comes_too_early_is_not_lost),
        WORLDLY(a_callback_that_wants_no_more_ends_the_visit),
        WORLDLY(a_deadline_ends_a_silent_node),
        WORLDLY(a_node_that_dies_is_told_of),
        WORLDLY(what_is_no_visit_is_told_before_anything_is_sent),
        WORLDLY(a_token_that_would_end_the_header_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
