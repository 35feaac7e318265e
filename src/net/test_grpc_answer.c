/* SPDX-License-Identifier: Apache-2.0 */
/* What a server answers, in every way of being cut, and in the ways that must not be believed. */
#include "net/grpc_answer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct heard {
    struct text messages; /* each in parentheses */
    bool wants_no_more;
};

static bool hear(void *payload, uint8_t *bytes, size_t size_bytes)
{
    struct heard *heard = payload;
    text_append(&heard->messages, "(");
    text_append_bytes(&heard->messages, (const char *)bytes, size_bytes);
    text_append(&heard->messages, ")");
    return !heard->wants_no_more;
}

struct world {
    struct heard heard;
    struct text words;
    struct grpc_request request;
    struct answer answer;
};

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    world->request =
        (struct grpc_request){.max_message_bytes = 1000, .message = hear, .payload = &world->heard};
    answer_init(&world->answer, &world->request, &world->words);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    answer_done(&world->answer);
    text_done(&world->words);
    text_done(&world->heard.messages);
    free(world);
    return 0;
}

static bool give(struct world *world, const char *name, const char *value)
{
    return answer_field(&world->answer, name, strlen(name), value, strlen(value));
}

static bool give_head(struct world *world)
{
    return give(world, ":status", "200") && give(world, "content-type", "application/grpc+proto");
}

static void assert_ended(const struct world *world, enum grpc_end end, enum grpc_status status,
                         const char *words)
{
    assert_true(world->answer.is_over);
    assert_int_equal(world->answer.end, end);
    assert_int_equal(world->answer.status, status);
    assert_non_null(strstr(world->words.data ? world->words.data : "", words));
}

static const uint8_t two_messages[] = "\0\0\0\0\5first\0\0\0\0\0\0\0\0\0\6second";

static void messages_are_whole_however_they_are_cut(void **state)
{
    struct world *world = *state;
    assert_true(give_head(world));
    for (size_t size = 1; size < sizeof(two_messages); size++) {
        text_done(&world->heard.messages);
        for (size_t at = 0; at < sizeof(two_messages) - 1; at += size) {
            size_t left = sizeof(two_messages) - 1 - at;
            assert_true(answer_bytes(&world->answer, two_messages + at, left < size ? left : size));
        }
        assert_string_equal(world->heard.messages.data, "(first)()(second)");
    }
    assert_true(give(world, "grpc-status", "0"));
    answer_complete(&world->answer);
    assert_ended(world, GRPC_END_STATUS, GRPC_OK, "");
}

static void a_status_comes_with_its_message_decoded_and_made_safe(void **state)
{
    struct world *world = *state;
    assert_true(give_head(world) && give(world, "grpc-status", "7") &&
                give(world, "grpc-message", "caf%C3%A9 100%25 %1b[31m%"));
    answer_complete(&world->answer);
    assert_ended(world, GRPC_END_STATUS, GRPC_PERMISSION_DENIED, "caf\xc3\xa9 100% \\x1b[31m%");
}

static void a_status_that_is_none_is_unknown(void **state)
{
    struct world *world = *state;
    assert_true(give_head(world) && give(world, "grpc-status", "99"));
    answer_complete(&world->answer);
    assert_ended(world, GRPC_END_STATUS, GRPC_UNKNOWN, "");
}

static void an_answer_without_a_status_is_broken(void **state)
{
    struct world *world = *state;
    assert_true(give_head(world) && give(world, "grpc-status", "x"));
    answer_complete(&world->answer);
    assert_ended(world, GRPC_END_BROKEN, GRPC_INTERNAL, "without a status");
}

static void an_answer_that_ends_inside_a_message_is_broken(void **state)
{
    struct world *world = *state;
    assert_true(give_head(world) && answer_bytes(&world->answer, two_messages, 7) &&
                give(world, "grpc-status", "0"));
    answer_complete(&world->answer);
    assert_ended(world, GRPC_END_BROKEN, GRPC_INTERNAL, "inside a message");
}

static void other_types_and_statuses_of_http_are_told(void **state)
{
    struct world *world = *state;
    assert_true(give(world, ":status", "200") && give(world, "content-type", "application/grpcfoo") &&
                give(world, "grpc-status", "0"));
    answer_complete(&world->answer);
    assert_ended(world, GRPC_END_BROKEN, GRPC_INTERNAL, "no gRPC");
    static const struct {
        const char *http;
        enum grpc_status status;
    } cases[] = {{"400", GRPC_INTERNAL},          {"401", GRPC_UNAUTHENTICATED},
                 {"403", GRPC_PERMISSION_DENIED}, {"404", GRPC_UNIMPLEMENTED},
                 {"503", GRPC_UNAVAILABLE},       {"302", GRPC_UNKNOWN},
                 {"9999", GRPC_UNKNOWN},          {"", GRPC_UNKNOWN}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        answer_init(&world->answer, &world->request, &world->words);
        assert_true(give(world, ":status", cases[i].http));
        answer_complete(&world->answer);
        assert_ended(world, GRPC_END_STATUS, cases[i].status, "HTTP status");
    }
}

static void compressed_messages_and_odd_prefixes_are_broken(void **state)
{
    struct world *world = *state;
    for (uint8_t first = 1; first < 4; first++) {
        const uint8_t prefix[] = {first, 0, 0, 0, 1};
        answer_init(&world->answer, &world->request, &world->words);
        assert_true(give_head(world));
        assert_false(answer_bytes(&world->answer, prefix, sizeof(prefix)));
        assert_ended(world, GRPC_END_BROKEN, GRPC_INTERNAL, "compressed");
    }
    answer_init(&world->answer, &world->request, &world->words);
    assert_false(give_head(world) && give(world, "grpc-encoding", "gzip"));
}

static void a_message_longer_than_agreed_costs_no_memory(void **state)
{
    static const uint8_t prefix[] = {0, 0xff, 0xff, 0xff, 0xff};
    struct world *world = *state;
    assert_true(give_head(world));
    assert_false(answer_bytes(&world->answer, prefix, sizeof(prefix)));
    assert_ended(world, GRPC_END_BROKEN, GRPC_INTERNAL, "longer");
    assert_null(world->answer.message);
}

static void a_second_message_of_a_unary_call_is_broken(void **state)
{
    struct world *world = *state;
    world->request.max_messages = 1;
    assert_true(give_head(world));
    assert_false(answer_bytes(&world->answer, two_messages, sizeof(two_messages) - 1));
    assert_ended(world, GRPC_END_BROKEN, GRPC_INTERNAL, "more messages");
    assert_string_equal(world->heard.messages.data, "(first)");
}

static void headers_are_bounded_over_the_whole_call(void **state)
{
    struct world *world = *state;
    char value[1000];
    size_t count = 0;
    memset(value, 'x', sizeof(value));
    while (answer_field(&world->answer, "x-field", 7, value, sizeof(value)))
        count++;
    assert_ended(world, GRPC_END_BROKEN, GRPC_INTERNAL, "64 KiB");
    assert_true(count < 64);
}

static void whoever_wants_no_more_hears_no_more(void **state)
{
    struct world *world = *state;
    world->heard.wants_no_more = true;
    assert_true(give_head(world));
    assert_false(answer_bytes(&world->answer, two_messages, sizeof(two_messages) - 1));
    assert_string_equal(world->heard.messages.data, "(first)");
    assert_ended(world, GRPC_END_CANCELLED, GRPC_CANCELLED, "cancelled");
}

static void the_first_end_is_the_one_that_counts(void **state)
{
    struct world *world = *state;
    answer_reset(&world->answer, 11);
    answer_end(&world->answer, GRPC_END_LOST, GRPC_UNAVAILABLE, "later");
    answer_complete(&world->answer);
    assert_ended(world, GRPC_END_STATUS, GRPC_RESOURCE_EXHAUSTED, "code 11");
    assert_false(answer_bytes(&world->answer, two_messages, 1));
    assert_false(give(world, ":status", "200"));
}

int main(void)
{
#define WORLDLY(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WORLDLY(messages_are_whole_however_they_are_cut),
        WORLDLY(a_status_comes_with_its_message_decoded_and_made_safe),
        WORLDLY(a_status_that_is_none_is_unknown),
        WORLDLY(an_answer_without_a_status_is_broken),
        WORLDLY(an_answer_that_ends_inside_a_message_is_broken),
        WORLDLY(other_types_and_statuses_of_http_are_told),
        WORLDLY(compressed_messages_and_odd_prefixes_are_broken),
        WORLDLY(a_message_longer_than_agreed_costs_no_memory),
        WORLDLY(a_second_message_of_a_unary_call_is_broken),
        WORLDLY(headers_are_bounded_over_the_whole_call),
        WORLDLY(whoever_wants_no_more_hears_no_more),
        WORLDLY(the_first_end_is_the_one_that_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
