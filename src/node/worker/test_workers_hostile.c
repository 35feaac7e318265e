/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The front under a worker that a guest has taken over: whatever it says, the front ends that worker, each of
 * its runs hears of it once, and nothing else happens.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include <cmocka.h>

#include "node/worker/channel.h"
#include "node/worker/workers.h"

static const char ids[][CHANNEL_RUN_ID_BYTES] = {"0123456789abcdef0123456789abcdef",
                                                 "fedcba9876543210fedcba9876543210"};

/* What one run heard. */
struct heard {
    struct worker_run *run;
    size_t n_endings, output_bytes[2], n_events, n_denials;
    bool lost;
};

struct front {
    uv_loop_t loop;
    struct workers *workers;
    int worker; /* the other end */
    size_t n_lost, n_broke, n_asked;
    char fault[128];
    bool adopts;
    struct heard adopted[4];
    berth_contract *contract;
};

static uint8_t packet[CHANNEL_PACKET_BYTES];

static void on_output(void *payload, int stream, const uint8_t *bytes, size_t size_bytes)
{
    struct heard *heard = payload;
    (void)bytes;
    heard->output_bytes[stream - 1] += size_bytes;
}

static void on_event(void *payload, const char *text, size_t size_bytes)
{
    struct heard *heard = payload;
    (void)text, (void)size_bytes;
    heard->n_events++;
}

static void on_denial(void *payload, const char *sentence)
{
    struct heard *heard = payload;
    (void)sentence;
    heard->n_denials++;
}

static void on_ended(void *payload, const struct berth_outcome *outcome, const struct berth_usage *usage,
                     bool lost)
{
    struct heard *heard = payload;
    (void)outcome, (void)usage;
    heard->n_endings++;
    heard->lost = lost;
    heard->run = NULL;
}

static const struct worker_run_events listens = {on_output, on_event, on_denial, on_ended};

static bool adopt(void *owner, const char *run_id, struct worker_run *run,
                  const struct worker_run_events **ret_events, void **ret_payload)
{
    struct front *front = owner;
    (void)run_id;
    if (!front->adopts || front->n_asked >= 4)
        return false;
    struct heard *heard = &front->adopted[front->n_asked++];
    heard->run = run;
    *ret_events = &listens;
    *ret_payload = heard;
    return true;
}

static void on_lost(void *owner, size_t worker)
{
    struct front *front = owner;
    (void)worker;
    front->n_lost++;
}

static void on_broke(void *owner, size_t worker, const char *fault)
{
    struct front *front = owner;
    (void)worker;
    front->n_broke++;
    snprintf(front->fault, sizeof(front->fault), "%s", fault);
}

/* ---- The worker's ear ------------------------------------------------------------------------------- */

static int take(struct front *front, size_t *ret_size)
{
    int descriptors[CHANNEL_DESCRIPTORS_MAX];
    int r = channel_receive(front->worker, packet, ret_size, descriptors);
    for (int i = 0; i < CHANNEL_DESCRIPTORS_MAX; i++)
        if (descriptors[i] >= 0)
            close(descriptors[i]);
    return r;
}

/* ---- The worker's mouth ----------------------------------------------------------------------------- */

static void say(struct front *front, const void *fixed, size_t fixed_bytes, const void *bytes, size_t size)
{
    const struct iovec piece = {(void *)(uintptr_t)bytes, size};
    assert_int_equal(channel_send(front->worker, fixed, fixed_bytes, &piece, size > 0, NULL, 0), 0);
    uv_run(&front->loop, UV_RUN_NOWAIT);
}

static void say_hello(struct front *front, uint32_t n_alive)
{
    const struct channel_hello hello = {
        .header.kind = CHANNEL_HELLO, .version = CHANNEL_VERSION, .n_alive = n_alive};
    say(front, &hello, sizeof(hello), NULL, 0);
}

static void say_alive(struct front *front, uint32_t ticket, const char *run_id)
{
    struct channel_alive alive = {.header.kind = CHANNEL_ALIVE, .ticket = ticket};
    memcpy(alive.run_id, run_id, CHANNEL_RUN_ID_BYTES);
    say(front, &alive, sizeof(alive), NULL, 0);
}

static void say_output(struct front *front, uint32_t run, uint32_t stream, size_t size)
{
    const struct channel_output output = {.header = {CHANNEL_OUTPUT, run}, .stream = stream};
    static const uint8_t bytes[CHANNEL_PAYLOAD_BYTES];
    say(front, &output, sizeof(output), bytes, size);
}

static void say_plain(struct front *front, uint32_t kind, uint32_t run, const char *text, size_t size)
{
    const struct channel_plain plain = {.header = {kind, run}};
    say(front, &plain, sizeof(plain), text, size);
}

static void say_ended(struct front *front, uint32_t run, uint32_t output_bytes)
{
    const struct channel_ended ended = {
        .header = {CHANNEL_ENDED, run},
        .outcome = BERTH_OUTCOME_EXITED,
        .cause_bytes = 1,
        .remedy_bytes = 1,
        .output_bytes = output_bytes,
    };
    static const uint8_t bytes[1000];
    say(front, &ended, sizeof(ended), bytes, 2 + output_bytes);
}

/* The next message of that kind that the front has sent. */
static struct channel_message hear(struct front *front, uint32_t kind)
{
    for (;;) {
        struct channel_message message;
        const char *fault;
        size_t size;
        assert_int_equal(take(front, &size), 0);
        assert_int_equal(channel_decode(CHANNEL_FROM_FRONT, packet, size, &message, &fault), 0);
        if (message.of.header.kind == kind)
            return message;
    }
}

/* ---- Fixture ---------------------------------------------------------------------------------------- */

static struct front open_silent_front(struct front *front)
{
    int pair[2];
    *front = (struct front){0};
    assert_int_equal(uv_loop_init(&front->loop), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(berth_contract_new(&front->contract, NULL), BERTH_OK);
    front->worker = pair[1];
    const struct workers_options options = {
        .loop = &front->loop,
        .channels = pair,
        .n_channels = 1,
        .adopt = adopt,
        .lost = on_lost,
        .broke = on_broke,
        .owner = front,
    };
    assert_int_equal(workers_new(&options, &front->workers), 0);
    return *front;
}

static void open_front(struct front *front)
{
    open_silent_front(front);
    say_hello(front, 0);
}

static void start(struct front *front, struct heard *heard, uint32_t credit_bytes)
{
    static const uint8_t hash[32];
    int artifact = open("/dev/null", O_RDONLY | O_CLOEXEC);
    struct worker_run_request request = {
        .module = artifact,
        .module_sha256 = hash,
        .name = "any",
        .contract = front->contract,
        .inputs_directory = -1,
        .deadline_ns = UINT64_MAX,
        .credit_bytes = credit_bytes,
        .events_to = &listens,
        .payload = heard,
    };
    *heard = (struct heard){0};
    memcpy(request.run_id, ids[0], sizeof(request.run_id));
    assert_int_equal(workers_start(front->workers, &request, &heard->run), 0);
    close(artifact);
}

static void close_front(struct front *front)
{
    workers_free(front->workers);
    uv_run(&front->loop, UV_RUN_NOWAIT);
    assert_int_equal(uv_loop_close(&front->loop), 0);
    berth_contract_unref(front->contract);
    close(front->worker);
}

/* The worker was ended for that, and the run with it. */
static void expect_broken(struct front *front, struct heard *heard, const char *fault)
{
    assert_string_equal(front->fault, fault);
    assert_int_equal(front->n_broke, 1);
    assert_int_equal(front->n_lost, 1);
    if (heard) {
        assert_int_equal(heard->n_endings, 1);
        assert_true(heard->lost);
    }
    close_front(front);
    if (heard)
        assert_int_equal(heard->n_endings, 1);
}

/* ---- Tests ------------------------------------------------------------------------------------------ */

static void a_well_behaved_one_is_heard(void **state)
{
    struct front front;
    struct heard heard;
    (void)state;
    open_front(&front);
    start(&front, &heard, 100);
    uint32_t run = hear(&front, CHANNEL_START).of.header.run;
    say_output(&front, run, 1, 60);
    say_output(&front, run, 2, 100);
    say_plain(&front, CHANNEL_EVENT, run, "event", 5);
    say_plain(&front, CHANNEL_DENIAL, run, "no", 3);
    worker_run_credit(heard.run, 1, 10);
    struct channel_message credit = hear(&front, CHANNEL_CREDIT);
    assert_int_equal(credit.of.credit.bytes, 10);
    assert_int_equal(credit.of.credit.stream, 1);
    worker_run_cancel(heard.run);
    hear(&front, CHANNEL_CANCEL);
    say_ended(&front, run, 50);
    assert_int_equal(heard.n_endings, 1);
    assert_false(heard.lost);
    assert_int_equal(heard.output_bytes[0], 110);
    assert_int_equal(heard.output_bytes[1], 100);
    assert_int_equal(heard.n_events, 1);
    assert_int_equal(heard.n_denials, 1);
    assert_int_equal(front.n_lost, 0);
    close_front(&front);
}

static void output_beyond_its_credit(void **state)
{
    struct front front;
    struct heard heard;
    (void)state;
    open_front(&front);
    start(&front, &heard, 100);
    uint32_t run = hear(&front, CHANNEL_START).of.header.run;
    say_output(&front, run, 1, 100);
    say_output(&front, run, 1, 1);
    assert_int_equal(heard.output_bytes[0], 100);
    expect_broken(&front, &heard, "more output than it had credit for");
}

static void output_beyond_its_credit_in_the_ending(void **state)
{
    struct front front;
    struct heard heard;
    (void)state;
    open_front(&front);
    start(&front, &heard, 100);
    say_ended(&front, hear(&front, CHANNEL_START).of.header.run, 101);
    assert_int_equal(heard.output_bytes[0], 0);
    expect_broken(&front, &heard, "more output than it had credit for");
}

static void more_denials_than_are_told(void **state)
{
    struct front front;
    struct heard heard;
    (void)state;
    open_front(&front);
    start(&front, &heard, 100);
    uint32_t run = hear(&front, CHANNEL_START).of.header.run;
    for (size_t i = 0; i <= CHANNEL_DENIALS_MAX; i++) {
        assert_int_equal(front.n_broke, 0);
        say_plain(&front, CHANNEL_DENIAL, run, "no", 3);
    }
    assert_int_equal(heard.n_denials, CHANNEL_DENIALS_MAX);
    expect_broken(&front, &heard, "more denials than are told of a run");
}

static void runs_that_it_does_not_have(void **state)
{
    static const uint32_t numbers[] = {1, 63, 64, CHANNEL_RUNS_MAX, UINT32_MAX};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        struct front front;
        struct heard heard;
        (void)state;
        open_front(&front);
        start(&front, &heard, 100);
        say_output(&front, numbers[i], 1, 1);
        expect_broken(&front, &heard, "it has no such run");
    }
}

static void a_run_that_ends_twice(void **state)
{
    struct front front;
    struct heard heard;
    (void)state;
    open_front(&front);
    start(&front, &heard, 100);
    uint32_t run = hear(&front, CHANNEL_START).of.header.run;
    say_ended(&front, run, 0);
    say_ended(&front, run, 0);
    assert_int_equal(heard.n_endings, 1);
    assert_false(heard.lost);
    expect_broken(&front, NULL, "it has no such run");
}

static void words_before_hello(void **state)
{
    struct front front;
    struct worker_run *run;
    struct worker_run_request request = {.module = -1, .inputs_directory = -1, .name = "any"};
    static const uint8_t hash[32];
    (void)state;
    open_silent_front(&front);
    request.contract = front.contract;
    request.module_sha256 = hash;
    assert_int_equal(workers_start(front.workers, &request, &run), -EAGAIN);
    say_output(&front, 0, 1, 1);
    expect_broken(&front, NULL, "it speaks before it said hello");
}

static void hello_twice(void **state)
{
    struct front front;
    (void)state;
    open_front(&front);
    say_hello(&front, 0);
    expect_broken(&front, NULL, "it says hello twice");
}

static void more_runs_than_it_said(void **state)
{
    struct front front;
    (void)state;
    open_silent_front(&front);
    front.adopts = true;
    say_hello(&front, 1);
    say_alive(&front, 0, ids[0]);
    assert_int_equal(front.n_asked, 1);
    say_alive(&front, 1, ids[1]);
    expect_broken(&front, &front.adopted[0], "it has more runs than it said");
}

static void runs_before_hello(void **state)
{
    struct front front;
    (void)state;
    open_silent_front(&front);
    say_alive(&front, 0, ids[0]);
    expect_broken(&front, NULL, "it has more runs than it said");
}

static void a_run_is_adopted_once(void **state)
{
    struct front front;
    (void)state;
    open_silent_front(&front);
    front.adopts = true;
    say_hello(&front, 2);
    say_alive(&front, 5, ids[0]);
    say_alive(&front, 6, ids[0]);
    assert_int_equal(front.n_asked, 1);
    struct channel_message first = hear(&front, CHANNEL_ADOPT), second = hear(&front, CHANNEL_ADOPT);
    assert_int_equal(first.of.adopt.ticket, 5);
    assert_int_equal(first.of.adopt.keep, 1);
    assert_int_equal(second.of.adopt.ticket, 6);
    assert_int_equal(second.of.adopt.keep, 0);
    /* It has no credit. */
    say_output(&front, first.of.header.run, 1, 1);
    expect_broken(&front, &front.adopted[0], "more output than it had credit for");
}

static void garbage_of_every_length(void **state)
{
    static const char *const faults[] = {"a packet that is too short", "no such kind of message"};
    static const uint8_t garbage[CHANNEL_PACKET_BYTES] = {0xff, 0xff};
    for (size_t size = 1; size < sizeof(garbage); size = 3 * size + 1) {
        struct front front;
        struct heard heard;
        (void)state;
        open_front(&front);
        start(&front, &heard, 100);
        assert_int_equal(send(front.worker, garbage, size, 0), size);
        uv_run(&front.loop, UV_RUN_NOWAIT);
        expect_broken(&front, &heard, faults[size >= sizeof(struct channel_header)]);
    }
}

static void a_packet_beyond_all_bounds(void **state)
{
    static const uint8_t garbage[CHANNEL_PACKET_BYTES + 1];
    struct front front;
    struct heard heard;
    (void)state;
    open_front(&front);
    start(&front, &heard, 100);
    assert_int_equal(send(front.worker, garbage, sizeof(garbage), 0), sizeof(garbage));
    uv_run(&front.loop, UV_RUN_NOWAIT);
    expect_broken(&front, &heard, "a packet that is too long, or with descriptors");
}

/* They would fill what the front itself may have under way to other workers. */
static void descriptors_beside_a_good_packet(void **state)
{
    const struct channel_plain event = {.header = {CHANNEL_EVENT, 0}};
    struct front front;
    struct heard heard;
    (void)state;
    open_front(&front);
    start(&front, &heard, 100);
    assert_int_equal(channel_send(front.worker, &event, sizeof(event), NULL, 0, &front.worker, 1), 0);
    uv_run(&front.loop, UV_RUN_NOWAIT);
    assert_int_equal(heard.n_events, 0);
    expect_broken(&front, &heard, "a packet that is too long, or with descriptors");
}

static void silence_and_a_closed_door(void **state)
{
    struct front front;
    struct heard heard;
    (void)state;
    open_front(&front);
    start(&front, &heard, 100);
    shutdown(front.worker, SHUT_RDWR);
    uv_run(&front.loop, UV_RUN_NOWAIT);
    assert_int_equal(front.n_broke, 0);
    assert_int_equal(front.n_lost, 1);
    assert_int_equal(heard.n_endings, 1);
    assert_true(heard.lost);
    close_front(&front);
}

/* Its socket fills; what is to be said to it waits, and the newest run is refused rather than that memory
 * grows without end. */
static void one_that_never_reads(void **state)
{
    enum { RUNS_MAX = 20000 };
    static struct heard heard[RUNS_MAX];
    struct front front;
    size_t n_runs = 0;
    int r = 0;
    (void)state;
    open_front(&front);
    while (n_runs < RUNS_MAX && r == 0) {
        static const uint8_t hash[32];
        struct worker_run_request request = {
            .module = front.worker,
            .module_sha256 = hash,
            .name = "any",
            .contract = front.contract,
            .inputs_directory = -1,
            .events_to = &listens,
            .payload = &heard[n_runs],
        };
        memcpy(request.run_id, ids[0], sizeof(request.run_id));
        r = workers_start(front.workers, &request, &heard[n_runs].run);
        n_runs += r == 0;
    }
    assert_int_equal(r, -EAGAIN);
    for (size_t i = 0; i < n_runs; i++)
        for (int j = 0; j < 10; j++)
            worker_run_credit(heard[i].run, 1, 1000);
    worker_run_cancel(heard[0].run);
    /* Now it reads: all in order, and the credit of a run in one piece. */
    size_t n_starts = 0, n_credits = 0, n_cancels = 0;
    while (n_starts < n_runs || n_credits < n_runs) {
        struct channel_message message;
        const char *fault;
        size_t size;
        r = take(&front, &size);
        if (r == -EAGAIN) {
            uv_run(&front.loop, UV_RUN_ONCE);
            continue;
        }
        assert_int_equal(r, 0);
        assert_int_equal(channel_decode(CHANNEL_FROM_FRONT, packet, size, &message, &fault), 0);
        n_starts += message.of.header.kind == CHANNEL_START;
        n_cancels += message.of.header.kind == CHANNEL_CANCEL;
        if (message.of.header.kind == CHANNEL_CREDIT) {
            assert_int_equal(n_starts, n_runs);
            assert_int_equal(message.of.credit.bytes, 10000);
            n_credits++;
        }
    }
    assert_int_equal(n_cancels, 1);
    close_front(&front);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_well_behaved_one_is_heard),
        cmocka_unit_test(output_beyond_its_credit),
        cmocka_unit_test(output_beyond_its_credit_in_the_ending),
        cmocka_unit_test(more_denials_than_are_told),
        cmocka_unit_test(runs_that_it_does_not_have),
        cmocka_unit_test(a_run_that_ends_twice),
        cmocka_unit_test(words_before_hello),
        cmocka_unit_test(hello_twice),
        cmocka_unit_test(more_runs_than_it_said),
        cmocka_unit_test(runs_before_hello),
        cmocka_unit_test(a_run_is_adopted_once),
        cmocka_unit_test(garbage_of_every_length),
        cmocka_unit_test(a_packet_beyond_all_bounds),
        cmocka_unit_test(descriptors_beside_a_good_packet),
        cmocka_unit_test(silence_and_a_closed_door),
        cmocka_unit_test(one_that_never_reads),
    };
    return cmocka_run_group_tests_name("workers under a hostile worker", tests, NULL, NULL);
}
