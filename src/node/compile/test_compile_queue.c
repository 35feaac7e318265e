/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The front's side of compiling against a compiler process that the test plays itself, at the other end of a
 * socket pair: it sees each message and answers when the test says so.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "node/compile/artifacts.h"
#include "node/compile/compile_channel.h"
#include "node/compile/compile_queue.h"

struct fixture {
    uv_loop_t loop;
    struct settings settings;
    struct compile_queue *queue;
    int service; /* the other end */
};

/* ---- The other end ------------------------------------------------------------------------------ */

static int make_link(struct fixture *fixture)
{
    int ends[2];
    close_keeping_errno(fixture->service);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    fixture->service = ends[1];
    return ends[0];
}

static void run_loop(struct fixture *fixture)
{
    for (int i = 0; i < 200; i++)
        uv_run(&fixture->loop, UV_RUN_NOWAIT);
}

static void start(struct fixture *fixture, unsigned at_a_time, unsigned waiting_each)
{
    *fixture = (struct fixture){.service = -1};
    fixture->settings.compile_at_a_time = at_a_time;
    fixture->settings.compile_queue_per_principal = waiting_each;
    assert_int_equal(uv_loop_init(&fixture->loop), 0);
    assert_int_equal(
        compile_queue_new(&fixture->loop, make_link(fixture), &fixture->settings, &fixture->queue), 0);
}

static void end(struct fixture *fixture)
{
    compile_queue_free(fixture->queue);
    uv_run(&fixture->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&fixture->loop), 0);
    close_keeping_errno(fixture->service);
}

/* The next message; kind 0: there is none. Its descriptor is looked at and closed. */
static struct compile_message heard(struct fixture *fixture)
{
    struct compile_message message;
    cleanup_close int descriptor = -1;
    run_loop(fixture);
    int r = compile_channel_receive(fixture->service, &message, &descriptor, MSG_DONTWAIT);
    if (r != 0)
        return (struct compile_message){0};
    return message;
}

static void assert_heard(struct fixture *fixture, enum compile_message_kind kind, unsigned number,
                         struct compile_message *ret)
{
    *ret = heard(fixture);
    assert_int_equal(ret->kind, kind);
    assert_int_equal(ret->sha256[0] | ret->sha256[1] << 8, number);
}

static void answer(struct fixture *fixture, const struct compile_message *asked, enum compile_result result,
                   const char *sentence)
{
    struct compile_message message = {.kind = COMPILE_MESSAGE_ANSWER,
                                      .id = asked->id,
                                      .result = result,
                                      .compiled = asked->kind == COMPILE_MESSAGE_COMPILE};
    cleanup_close int artifact = result == COMPILE_READY ? compile_memory_file("code", 4) : -1;
    compile_message_set_text(&message, sentence, sizeof(message.text));
    assert_int_equal(compile_channel_send(fixture->service, &message, artifact, 0), 0);
    run_loop(fixture);
}

/* Answers every look-up that comes with COMPILE_UNKNOWN; returns the first other message. */
static struct compile_message heard_beside_look_ups(struct fixture *fixture)
{
    for (;;) {
        struct compile_message message = heard(fixture);
        if (message.kind != COMPILE_MESSAGE_LOOK_UP)
            return message;
        answer(fixture, &message, COMPILE_UNKNOWN, "");
    }
}

/* ---- Those who ask ------------------------------------------------------------------------------ */

struct asker {
    struct compile_request *request;
    int n_done;
    enum compile_result result;
    bool compiled, had_artifact;
    char sentence[200];
};

static void note(void *payload, enum compile_result result, int artifact, bool compiled, const char *sentence)
{
    struct asker *asker = payload;
    asker->n_done++;
    asker->result = result;
    asker->compiled = compiled;
    asker->had_artifact = artifact >= 0;
    asker->request = NULL;
    snprintf(asker->sentence, sizeof(asker->sentence), "%s", sentence);
}

/* Module `number`, with bytes or by its hash alone. */
static void ask(struct fixture *fixture, struct asker *asker, const char *principal, unsigned number,
                bool with_bytes)
{
    const uint8_t sha256[32] = {(uint8_t)number, (uint8_t)(number >> 8)};
    *asker = (struct asker){0};
    const struct compile_wish wish = {.principal = principal,
                                      .sha256 = sha256,
                                      .bytes = with_bytes ? "bytes" : NULL,
                                      .size_bytes = with_bytes ? 5 : 0,
                                      .name = "filter.wasm"};
    assert_int_equal(compile_queue_ask(fixture->queue, &wish, note, asker, &asker->request), 0);
}

#define assert_done(asker, expected)                   \
    do {                                               \
        assert_int_equal((asker)->n_done, 1);          \
        assert_int_equal((asker)->result, (expected)); \
        assert_null((asker)->request);                 \
    } while (0)

static struct compile_queue_counts counts_of(const struct fixture *fixture)
{
    struct compile_queue_counts counts;
    compile_queue_counts(fixture->queue, &counts);
    return counts;
}

/* ---- One module --------------------------------------------------------------------------------- */

static void test_what_the_cache_has_is_not_compiled(void **state)
{
    struct fixture f;
    struct asker first, second;
    struct compile_message message;
    (void)state;
    start(&f, 1, 8);
    ask(&f, &first, "a", 1, true);
    assert_heard(&f, COMPILE_MESSAGE_LOOK_UP, 1, &message);
    assert_string_equal(message.text, "filter.wasm");
    answer(&f, &message, COMPILE_READY, "");
    assert_done(&first, COMPILE_READY);
    assert_true(first.had_artifact);
    assert_false(first.compiled);
    /* From here on it is the queue's own. */
    ask(&f, &second, "b", 1, false);
    assert_done(&second, COMPILE_READY);
    assert_int_equal(heard(&f).kind, 0);
    assert_int_equal(counts_of(&f).cache_hits_total, 2);
    end(&f);
}

static void test_what_no_cache_has_is_compiled_if_its_bytes_are_there(void **state)
{
    struct fixture f;
    struct asker with, without;
    struct compile_message message;
    (void)state;
    start(&f, 1, 8);
    ask(&f, &without, "a", 1, false);
    assert_heard(&f, COMPILE_MESSAGE_LOOK_UP, 1, &message);
    answer(&f, &message, COMPILE_UNKNOWN, "");
    assert_done(&without, COMPILE_UNKNOWN);
    ask(&f, &with, "a", 1, true);
    assert_heard(&f, COMPILE_MESSAGE_LOOK_UP, 1, &message);
    answer(&f, &message, COMPILE_UNKNOWN, "");
    assert_int_equal(with.n_done, 0);
    assert_heard(&f, COMPILE_MESSAGE_COMPILE, 1, &message);
    assert_int_equal(counts_of(&f).working, 1);
    answer(&f, &message, COMPILE_READY, "");
    assert_done(&with, COMPILE_READY);
    assert_true(with.compiled);
    assert_int_equal(counts_of(&f).compiled_total, 1);
    assert_int_equal(counts_of(&f).working, 0);
    end(&f);
}

static void test_a_refusal_arrives_with_its_sentence(void **state)
{
    struct fixture f;
    struct asker asker;
    (void)state;
    start(&f, 1, 8);
    ask(&f, &asker, "a", 1, true);
    struct compile_message message = heard_beside_look_ups(&f);
    answer(&f, &message, COMPILE_REFUSED_MODULE, "filter.wasm is refused: it has 2 memories");
    assert_done(&asker, COMPILE_REFUSED_MODULE);
    assert_string_equal(asker.sentence, "filter.wasm is refused: it has 2 memories");
    assert_int_equal(counts_of(&f).refused_total, 1);
    end(&f);
}

static void test_those_who_want_the_same_module_share_the_work(void **state)
{
    struct fixture f;
    struct asker askers[20];
    (void)state;
    start(&f, 4, 8);
    for (int i = 0; i < 20; i++)
        ask(&f, &askers[i], i % 2 ? "a" : "b", 1, true);
    struct compile_message message = heard_beside_look_ups(&f);
    assert_int_equal(message.kind, COMPILE_MESSAGE_COMPILE);
    assert_int_equal(heard(&f).kind, 0);
    answer(&f, &message, COMPILE_READY, "");
    for (int i = 0; i < 20; i++)
        assert_true(askers[i].n_done == 1 &&
                    (askers[i].result == COMPILE_READY || askers[i].result == COMPILE_QUEUE_FULL));
    assert_int_equal(askers[0].result, COMPILE_READY);
    assert_int_equal(askers[1].result, COMPILE_READY);
    end(&f);
}

/* ---- Fairness ----------------------------------------------------------------------------------- */

enum { BOMBS = 1000 };

static void test_a_thousand_bombs_delay_another_by_one_compilation(void **state)
{
    struct fixture f;
    static struct asker bombs[BOMBS], good;
    int full = 0;
    (void)state;
    start(&f, 1, 8);
    for (int i = 0; i < BOMBS; i++)
        ask(&f, &bombs[i], "bomber", (unsigned)i, true);
    struct compile_message bomb = heard_beside_look_ups(&f);
    assert_int_equal(bomb.kind, COMPILE_MESSAGE_COMPILE);
    ask(&f, &good, "good", BOMBS, true);
    assert_int_equal(heard_beside_look_ups(&f).kind, 0); /* the bomb is at work */
    answer(&f, &bomb, COMPILE_REFUSED_MODULE, "too much");
    struct compile_message next = heard(&f);
    assert_int_equal(next.sha256[0] | next.sha256[1] << 8, BOMBS);
    answer(&f, &next, COMPILE_READY, "");
    assert_done(&good, COMPILE_READY);
    for (int i = 0; i < BOMBS; i++)
        full += bombs[i].n_done && bombs[i].result == COMPILE_QUEUE_FULL;
    assert_int_equal(full, BOMBS - 1 - 8);
    end(&f);
}

static void test_a_look_up_does_not_wait_behind_those_of_another(void **state)
{
    struct fixture f;
    static struct asker many[BOMBS], good;
    struct compile_message messages[64];
    int n = 0, at = -1;
    (void)state;
    start(&f, 1, 8);
    for (int i = 0; i < BOMBS; i++)
        ask(&f, &many[i], "many", (unsigned)i, false);
    ask(&f, &good, "good", BOMBS, false);
    while (n < 64 && (messages[n] = heard(&f)).kind) {
        if ((messages[n].sha256[0] | messages[n].sha256[1] << 8) == BOMBS)
            at = n;
        n++;
    }
    assert_int_equal(n, 8 + 1); /* of one principal no more than 8 at a time */
    assert_int_equal(at, 8);
    end(&f);
}

static void test_a_line_that_is_full_says_so_before_asking_returns(void **state)
{
    struct fixture f;
    static struct asker askers[1100];
    int full = 0;
    (void)state;
    start(&f, 1, 8);
    for (unsigned i = 0; i < 1100; i++) {
        ask(&f, &askers[i], "a", i, false);
        full += askers[i].n_done;
    }
    assert_int_equal(full, 1100 - 1000 - 8);
    assert_done(&askers[1099], COMPILE_QUEUE_FULL);
    end(&f);
}

static void test_one_principal_has_one_compilation_at_a_time(void **state)
{
    struct fixture f;
    struct asker askers[4];
    (void)state;
    start(&f, 2, 8);
    for (unsigned i = 0; i < 3; i++)
        ask(&f, &askers[i], "a", i, true);
    assert_int_equal(heard_beside_look_ups(&f).kind, COMPILE_MESSAGE_COMPILE);
    assert_int_equal(heard_beside_look_ups(&f).kind, 0);
    ask(&f, &askers[3], "b", 3, true);
    assert_int_equal(heard_beside_look_ups(&f).sha256[0], 3);
    end(&f);
}

/* ---- Going away --------------------------------------------------------------------------------- */

static void test_a_compilation_is_given_up_when_the_last_one_goes(void **state)
{
    struct fixture f;
    struct asker first, second, again;
    (void)state;
    start(&f, 1, 8);
    ask(&f, &first, "a", 1, true);
    ask(&f, &second, "b", 1, true);
    struct compile_message compile = heard_beside_look_ups(&f);
    assert_int_equal(compile.kind, COMPILE_MESSAGE_COMPILE);
    compile_request_cancel(first.request);
    assert_int_equal(heard(&f).kind, 0);
    compile_request_cancel(second.request);
    struct compile_message cancel = heard(&f);
    assert_int_equal(cancel.kind, COMPILE_MESSAGE_CANCEL);
    assert_int_equal(cancel.id, compile.id);
    /* Its place is taken until the answer comes, and a new wish for the module is a new job. */
    ask(&f, &again, "a", 1, true);
    assert_int_equal(heard_beside_look_ups(&f).kind, 0);
    answer(&f, &compile, COMPILE_LOST, "given up");
    assert_int_equal(heard(&f).kind, COMPILE_MESSAGE_COMPILE);
    assert_int_equal(first.n_done + second.n_done + again.n_done, 0);
    end(&f);
}

static void test_who_goes_while_waiting_is_never_asked_for(void **state)
{
    struct fixture f;
    struct asker first, second, third;
    (void)state;
    start(&f, 1, 8);
    ask(&f, &first, "a", 1, true);
    struct compile_message compile = heard_beside_look_ups(&f);
    ask(&f, &second, "a", 2, true);
    ask(&f, &third, "a", 3, true);
    assert_int_equal(heard_beside_look_ups(&f).kind, 0);
    compile_request_cancel(second.request);
    answer(&f, &compile, COMPILE_READY, "");
    assert_int_equal(heard(&f).sha256[0], 3);
    end(&f);
}

static void test_what_is_ready_after_all_is_kept(void **state)
{
    struct fixture f;
    struct asker first, again;
    (void)state;
    start(&f, 1, 8);
    ask(&f, &first, "a", 1, true);
    struct compile_message compile = heard_beside_look_ups(&f);
    compile_request_cancel(first.request);
    answer(&f, &compile, COMPILE_READY, "");
    ask(&f, &again, "a", 1, false);
    assert_done(&again, COMPILE_READY);
    end(&f);
}

/* ---- The compiler process goes ------------------------------------------------------------------ */

static void test_what_is_at_work_is_lost_once_and_what_waits_is_asked_again(void **state)
{
    struct fixture f;
    struct asker at_work, waiting, later;
    (void)state;
    start(&f, 1, 8);
    ask(&f, &at_work, "a", 1, true);
    assert_int_equal(heard_beside_look_ups(&f).kind, COMPILE_MESSAGE_COMPILE);
    ask(&f, &waiting, "b", 2, true);
    assert_int_equal(heard_beside_look_ups(&f).kind, 0);
    f.service = close_keeping_errno(f.service);
    run_loop(&f);
    assert_done(&at_work, COMPILE_LOST);
    assert_int_equal(waiting.n_done, 0);
    ask(&f, &later, "c", 3, true);
    run_loop(&f);
    assert_int_equal(later.n_done, 0);
    assert_int_equal(counts_of(&f).waiting, 2);
    assert_int_equal(compile_queue_replace(f.queue, make_link(&f)), 0);
    struct compile_message message;
    assert_heard(&f, COMPILE_MESSAGE_LOOK_UP, 3, &message);
    answer(&f, &message, COMPILE_READY, "");
    assert_done(&later, COMPILE_READY);
    assert_heard(&f, COMPILE_MESSAGE_COMPILE, 2, &message);
    answer(&f, &message, COMPILE_READY, "");
    assert_done(&waiting, COMPILE_READY);
    end(&f);
}

static void test_a_replacement_loses_what_the_old_one_had(void **state)
{
    struct fixture f;
    struct asker asker;
    struct compile_message message;
    (void)state;
    start(&f, 1, 8);
    ask(&f, &asker, "a", 1, true);
    assert_heard(&f, COMPILE_MESSAGE_LOOK_UP, 1, &message);
    assert_int_equal(compile_queue_replace(f.queue, make_link(&f)), 0);
    assert_done(&asker, COMPILE_LOST);
    ask(&f, &asker, "a", 1, true);
    struct compile_message again;
    assert_heard(&f, COMPILE_MESSAGE_LOOK_UP, 1, &again);
    assert_int_not_equal(again.id, message.id);
    end(&f);
}

static void test_a_queue_without_a_compiler_waits_for_one(void **state)
{
    struct fixture f = {.service = -1};
    struct asker asker;
    struct compile_message message;
    (void)state;
    f.settings.compile_at_a_time = 1;
    assert_int_equal(uv_loop_init(&f.loop), 0);
    assert_int_equal(compile_queue_new(&f.loop, -1, &f.settings, &f.queue), 0);
    ask(&f, &asker, "a", 1, true);
    assert_int_equal(asker.n_done, 0);
    assert_int_equal(compile_queue_replace(f.queue, make_link(&f)), 0);
    assert_heard(&f, COMPILE_MESSAGE_LOOK_UP, 1, &message);
    end(&f);
}

static void test_answers_that_nobody_asked_for_end_the_link(void **state)
{
    struct fixture f;
    struct asker asker;
    struct compile_message message;
    (void)state;
    start(&f, 1, 8);
    ask(&f, &asker, "a", 1, true);
    assert_heard(&f, COMPILE_MESSAGE_LOOK_UP, 1, &message);
    message.id += 7;
    answer(&f, &message, COMPILE_UNKNOWN, "");
    assert_done(&asker, COMPILE_LOST);
    end(&f);
}

static void test_garbage_ends_the_link(void **state)
{
    struct compile_message huge = {.kind = COMPILE_MESSAGE_ANSWER, .result = COMPILE_READY};
    const struct {
        const void *bytes;
        size_t size_bytes;
    } cases[] = {{"x", 1}, {&huge, sizeof(huge)}, {&huge, offsetof(struct compile_message, text)}, {"", 0}};
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fixture f;
        struct asker asker;
        struct compile_message message;
        start(&f, 1, 8);
        ask(&f, &asker, "a", 1, true);
        assert_heard(&f, COMPILE_MESSAGE_LOOK_UP, 1, &message);
        assert_int_equal(send(f.service, cases[i].bytes, cases[i].size_bytes, 0), cases[i].size_bytes);
        run_loop(&f);
        assert_done(&asker, COMPILE_LOST);
        end(&f);
    }
}

/* ---- Callbacks ---------------------------------------------------------------------------------- */

struct chain {
    struct fixture *fixture;
    struct asker next;
    struct compile_request *other;
};

static void ask_for_more(void *payload, enum compile_result result, int artifact, bool compiled,
                         const char *sentence)
{
    struct chain *chain = payload;
    (void)result;
    (void)artifact;
    (void)compiled;
    (void)sentence;
    if (chain->other)
        compile_request_cancel(chain->other);
    chain->other = NULL;
    ask(chain->fixture, &chain->next, "a", 9, true);
}

static void test_who_is_told_may_ask_and_cancel(void **state)
{
    struct fixture f;
    struct asker other;
    struct compile_request *request;
    const uint8_t sha256[32] = {1};
    (void)state;
    start(&f, 1, 8);
    struct chain chain = {.fixture = &f};
    const struct compile_wish wish = {.principal = "a", .sha256 = sha256, .name = "x"};
    assert_int_equal(compile_queue_ask(f.queue, &wish, ask_for_more, &chain, &request), 0);
    ask(&f, &other, "b", 1, false);
    chain.other = other.request;
    struct compile_message message;
    assert_heard(&f, COMPILE_MESSAGE_LOOK_UP, 1, &message);
    answer(&f, &message, COMPILE_READY, "");
    assert_int_equal(other.n_done, 0);
    assert_heard(&f, COMPILE_MESSAGE_LOOK_UP, 9, &message);
    end(&f);
}

/* ---- Artifacts ---------------------------------------------------------------------------------- */

static void test_artifacts_are_bounded_and_the_oldest_goes(void **state)
{
    struct artifacts artifacts;
    cleanup_close int small = compile_memory_file("1234", 4), large = compile_memory_file("1234567890", 10);
    const uint8_t a[32] = {1}, b[32] = {2}, c[32] = {3}, d[32] = {4};
    (void)state;
    artifacts_init(&artifacts, 2, 9);
    artifacts_keep(&artifacts, a, small);
    artifacts_keep(&artifacts, b, small);
    assert_true(artifacts_find(&artifacts, a) >= 0);
    artifacts_keep(&artifacts, c, small);
    assert_int_equal(artifacts_find(&artifacts, b), -1);
    assert_true(artifacts_find(&artifacts, a) >= 0);
    assert_true(artifacts_find(&artifacts, c) >= 0);
    artifacts_keep(&artifacts, d, large);
    assert_int_equal(artifacts_find(&artifacts, d), -1);
    assert_int_equal(artifacts.n_artifacts, 2);
    artifacts_done(&artifacts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_the_cache_has_is_not_compiled),
        cmocka_unit_test(test_what_no_cache_has_is_compiled_if_its_bytes_are_there),
        cmocka_unit_test(test_a_refusal_arrives_with_its_sentence),
        cmocka_unit_test(test_those_who_want_the_same_module_share_the_work),
        cmocka_unit_test(test_a_thousand_bombs_delay_another_by_one_compilation),
        cmocka_unit_test(test_a_look_up_does_not_wait_behind_those_of_another),
        cmocka_unit_test(test_a_line_that_is_full_says_so_before_asking_returns),
        cmocka_unit_test(test_one_principal_has_one_compilation_at_a_time),
        cmocka_unit_test(test_a_compilation_is_given_up_when_the_last_one_goes),
        cmocka_unit_test(test_who_goes_while_waiting_is_never_asked_for),
        cmocka_unit_test(test_what_is_ready_after_all_is_kept),
        cmocka_unit_test(test_what_is_at_work_is_lost_once_and_what_waits_is_asked_again),
        cmocka_unit_test(test_a_replacement_loses_what_the_old_one_had),
        cmocka_unit_test(test_a_queue_without_a_compiler_waits_for_one),
        cmocka_unit_test(test_answers_that_nobody_asked_for_end_the_link),
        cmocka_unit_test(test_garbage_ends_the_link),
        cmocka_unit_test(test_who_is_told_may_ask_and_cancel),
        cmocka_unit_test(test_artifacts_are_bounded_and_the_oldest_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
