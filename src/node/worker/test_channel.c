/* SPDX-License-Identifier: Apache-2.0 */
/* Messages arrive whole and as they were, or are refused with a word why. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "node/worker/channel.h"

static uint8_t packet[CHANNEL_PACKET_BYTES + 1];
static struct channel_message message;

/* Decodes a fixed part with bytes behind it. */
static const char *fault_of(enum channel_side side, const void *fixed, size_t fixed_bytes, const void *bytes,
                            size_t size_bytes)
{
    const char *fault;
    memcpy(packet, fixed, fixed_bytes);
    if (size_bytes > 0)
        memcpy(packet + fixed_bytes, bytes, size_bytes);
    int r = channel_decode(side, packet, fixed_bytes + size_bytes, &message, &fault);
    assert_int_equal(r, fault ? 1 : 0);
    return fault;
}

#define accepted(side, fixed, bytes, size) assert_null(fault_of(side, &(fixed), sizeof(fixed), bytes, size))
#define refused(side, fixed, bytes, size, why) \
    assert_string_equal(fault_of(side, &(fixed), sizeof(fixed), bytes, size), why)

static void a_kind_is_for_one_side_only(void **state)
{
    struct channel_hello hello = {.header.kind = CHANNEL_HELLO, .version = CHANNEL_VERSION};
    struct channel_plain cancel = {.header.kind = CHANNEL_CANCEL};
    (void)state;
    accepted(CHANNEL_FROM_WORKER, hello, NULL, 0);
    refused(CHANNEL_FROM_FRONT, hello, NULL, 0, "no such kind of message");
    accepted(CHANNEL_FROM_FRONT, cancel, NULL, 0);
    refused(CHANNEL_FROM_WORKER, cancel, NULL, 0, "no such kind of message");
    for (uint32_t kind = 0; kind < 100; kind++) {
        struct channel_plain other = {.header.kind = kind};
        if (kind < CHANNEL_HELLO || kind > CHANNEL_ENDED)
            refused(CHANNEL_FROM_WORKER, other, NULL, 0, "no such kind of message");
    }
}

static void what_is_cut_off_is_refused(void **state)
{
    struct channel_ended ended = {.header.kind = CHANNEL_ENDED};
    const char *fault;
    (void)state;
    for (size_t size = 0; size < sizeof(ended); size++) {
        memcpy(packet, &ended, sizeof(ended));
        assert_int_equal(channel_decode(CHANNEL_FROM_WORKER, packet, size, &message, &fault), 1);
        assert_string_equal(fault, "a packet that is too short");
    }
}

static void what_is_too_long_is_refused(void **state)
{
    struct channel_output output = {.header.kind = CHANNEL_OUTPUT, .stream = 1};
    struct channel_alive alive = {.header.kind = CHANNEL_ALIVE, .run_id = "00000000000000000000000000000000"};
    static uint8_t bytes[CHANNEL_PAYLOAD_BYTES + 1];
    (void)state;
    accepted(CHANNEL_FROM_WORKER, output, bytes, CHANNEL_PAYLOAD_BYTES);
    refused(CHANNEL_FROM_WORKER, output, bytes, CHANNEL_PAYLOAD_BYTES + 1, "a packet that is too long");
    refused(CHANNEL_FROM_WORKER, alive, bytes, 1, "a packet that is too long");
}

static void output_has_a_stream_and_bytes(void **state)
{
    struct channel_output output = {.header.kind = CHANNEL_OUTPUT};
    (void)state;
    for (uint32_t stream = 0; stream < 5; stream++) {
        output.stream = stream;
        if (stream == 1 || stream == 2)
            accepted(CHANNEL_FROM_WORKER, output, "x", 1);
        else
            refused(CHANNEL_FROM_WORKER, output, "x", 1, "no such stream");
    }
    output.stream = 1;
    refused(CHANNEL_FROM_WORKER, output, NULL, 0, "output of no bytes");
}

static void events_are_utf8(void **state)
{
    struct channel_plain event = {.header.kind = CHANNEL_EVENT};
    (void)state;
    accepted(CHANNEL_FROM_WORKER, event, NULL, 0);
    accepted(CHANNEL_FROM_WORKER, event, "\xc3\xa9\0", 3);
    refused(CHANNEL_FROM_WORKER, event, "\xc3", 1, "an event is not UTF-8");
    refused(CHANNEL_FROM_WORKER, event, "\xed\xa0\x80", 3, "an event is not UTF-8");
}

static void denials_are_sentences(void **state)
{
    static const struct {
        const char *bytes;
        size_t size;
        bool good;
    } cases[] = {
        {"", 1, true},      {"no", 3, true},        {"caf\xc3\xa9", 6, true}, {"no", 2, false},
        {"no\0", 4, false}, {"a\0b", 4, false},     {"\x1b[2J", 5, false},    {"a\nb", 4, false},
        {"\x7f", 2, false}, {"\xc2\x9b", 3, false}, {"\xff", 2, false},       {"\xc2", 2, false},
        {NULL, 0, false},
    };
    struct channel_plain denial = {.header.kind = CHANNEL_DENIAL};
    static char longest[CHANNEL_SENTENCE_BYTES + 1];
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (cases[i].good)
            accepted(CHANNEL_FROM_WORKER, denial, cases[i].bytes, cases[i].size);
        else
            refused(CHANNEL_FROM_WORKER, denial, cases[i].bytes, cases[i].size, "a denial is no sentence");
    memset(longest, 'a', sizeof(longest) - 1);
    refused(CHANNEL_FROM_WORKER, denial, longest, sizeof(longest), "a denial is no sentence");
    accepted(CHANNEL_FROM_WORKER, denial, longest + 1, sizeof(longest) - 1);
}

static struct channel_ended good_ending(void)
{
    return (struct channel_ended){
        .header.kind = CHANNEL_ENDED,
        .outcome = BERTH_OUTCOME_TRAPPED,
        .cause_bytes = 4,
        .remedy_bytes = 1,
        .output_bytes = 3,
        .errors_bytes = 2,
    };
}

static void an_ending_is_taken_apart(void **state)
{
    struct channel_ended ended = good_ending();
    struct channel_ending parts;
    (void)state;
    accepted(CHANNEL_FROM_WORKER, ended, "why\0\0outer", 10);
    channel_ending(&message, &parts);
    assert_string_equal(parts.cause, "why");
    assert_string_equal(parts.remedy, "");
    assert_memory_equal(parts.output, "out", 3);
    assert_memory_equal(parts.errors, "er", 2);
}

static void an_ending_that_does_not_add_up_is_refused(void **state)
{
    static const char bytes[] = "why\0\0outer";
    struct channel_ended ended = good_ending();
    (void)state;
    refused(CHANNEL_FROM_WORKER, ended, bytes, 9, "an ending has a wrong length");
    ended.output_bytes = UINT32_MAX;
    refused(CHANNEL_FROM_WORKER, ended, bytes, 10, "an ending has a wrong length");
    /* Sums that would fit in 32 bits. */
    ended = good_ending();
    ended.cause_bytes = UINT32_MAX - 5;
    ended.remedy_bytes = 11;
    refused(CHANNEL_FROM_WORKER, ended, bytes, 10, "an ending has a wrong length");
    ended = good_ending();
    ended.cause_bytes = 0;
    ended.remedy_bytes = 5;
    refused(CHANNEL_FROM_WORKER, ended, bytes, 10, "an ending's cause is no sentence");
    for (uint32_t outcome = 0; outcome < 10; outcome++) {
        ended = good_ending();
        ended.outcome = outcome;
        ended.limit = outcome == BERTH_OUTCOME_LIMIT ? BERTH_LIMIT_WALL : BERTH_LIMIT_NONE;
        if (outcome == BERTH_OUTCOME_RUNNING || outcome > BERTH_OUTCOME_HOST_ERROR)
            refused(CHANNEL_FROM_WORKER, ended, bytes, 10, "no such outcome");
        else
            accepted(CHANNEL_FROM_WORKER, ended, bytes, 10);
    }
    ended = good_ending();
    ended.limit = BERTH_LIMIT_WALL;
    refused(CHANNEL_FROM_WORKER, ended, bytes, 10, "no such limit");
    ended.outcome = BERTH_OUTCOME_LIMIT;
    ended.limit = BERTH_LIMIT_OUTPUT + 1;
    refused(CHANNEL_FROM_WORKER, ended, bytes, 10, "no such limit");
}

static void greetings_are_bounded(void **state)
{
    struct channel_hello hello = {.header.kind = CHANNEL_HELLO, .version = CHANNEL_VERSION + 1};
    struct channel_alive alive = {.header.kind = CHANNEL_ALIVE, .run_id = "0123456789abcdef0123456789abcdef"};
    (void)state;
    refused(CHANNEL_FROM_WORKER, hello, NULL, 0, "another version");
    hello.version = CHANNEL_VERSION;
    hello.n_alive = CHANNEL_RUNS_MAX + 1;
    refused(CHANNEL_FROM_WORKER, hello, NULL, 0, "more runs than there can be");
    accepted(CHANNEL_FROM_WORKER, alive, NULL, 0);
    for (size_t i = 0; i < CHANNEL_RUN_ID_BYTES; i++) {
        struct channel_alive bad = alive;
        bad.run_id[i] = i == CHANNEL_RUN_ID_BYTES - 1 ? '0' : 'A';
        refused(CHANNEL_FROM_WORKER, bad, NULL, 0, "a run id is none");
    }
}

static void a_start_adds_up(void **state)
{
    struct channel_start start = {
        .header.kind = CHANNEL_START,
        .n_arguments = 1,
        .strings_bytes = 2,
        .input_bytes = 3,
        .run_id = "0123456789abcdef0123456789abcdef",
    };
    (void)state;
    accepted(CHANNEL_FROM_FRONT, start, "a\0abc", 5);
    refused(CHANNEL_FROM_FRONT, start, "a\0ab", 4, "a run's data has a wrong length");
    start.flags = CHANNEL_DATA_IN_FILE;
    accepted(CHANNEL_FROM_FRONT, start, NULL, 0);
    start.input_bytes = UINT64_MAX;
    refused(CHANNEL_FROM_FRONT, start, NULL, 0, "a run's data has a wrong length");
    start.strings_bytes = CHANNEL_STRINGS_BYTES_MAX + 1;
    refused(CHANNEL_FROM_FRONT, start, NULL, 0, "too many strings");
    start.module = CHANNEL_MODULES;
    refused(CHANNEL_FROM_FRONT, start, NULL, 0, "no such place for a run");
}

static void any_sentence_can_be_sent(void **state)
{
    static const char *const texts[] = {"",        "plain",    "caf\xc3\xa9", "two\nlines",
                                        "\x1b[2J", "\xff\xfe", "\xc2\x9b"};
    static char long_text[3 * CHANNEL_SENTENCE_BYTES];
    struct channel_plain denial = {.header.kind = CHANNEL_DENIAL};
    char sentence[CHANNEL_SENTENCE_BYTES];
    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        accepted(CHANNEL_FROM_WORKER, denial, sentence, channel_sentence(texts[i], sentence));
    channel_sentence("caf\xc3\xa9", sentence);
    assert_string_equal(sentence, "caf\xc3\xa9");
    /* Cut inside of a character, wherever the first one begins. */
    for (size_t shift = 0; shift < 4; shift++) {
        memset(long_text, 'a', shift);
        for (size_t i = shift; i + 3 < sizeof(long_text); i += 3)
            memcpy(long_text + i, "\xe2\x82\xac", 4);
        accepted(CHANNEL_FROM_WORKER, denial, sentence, channel_sentence(long_text, sentence));
    }
}

/* ---- Sockets ---------------------------------------------------------------------------------------- */

struct pair {
    int ends[2];
};

static struct pair open_pair(void)
{
    struct pair pair;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair.ends), 0);
    return pair;
}

static void packets_and_descriptors_cross(void **state)
{
    struct pair pair = open_pair();
    struct channel_plain plain = {.header = {CHANNEL_CANCEL, 7}};
    char first[] = "ab", second[] = "c";
    const struct iovec pieces[] = {{first, 2}, {second, 1}};
    int taken[CHANNEL_DESCRIPTORS_MAX], null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    size_t size;
    (void)state;
    assert_int_equal(channel_receive(pair.ends[1], packet, &size, taken), -EAGAIN);
    assert_int_equal(channel_send(pair.ends[0], &plain, sizeof(plain), pieces, 2, &null, 1), 0);
    assert_int_equal(channel_receive(pair.ends[1], packet, &size, taken), 0);
    assert_int_equal(size, sizeof(plain) + 3);
    assert_memory_equal(packet + sizeof(plain), "abc", 3);
    assert_true(taken[0] >= 0);
    assert_int_equal(taken[1], -1);
    close(taken[0]);
    close(null);
    close(pair.ends[0]);
    assert_int_equal(channel_receive(pair.ends[1], packet, &size, taken), 1);
    assert_int_equal(channel_send(pair.ends[1], &plain, sizeof(plain), NULL, 0, NULL, 0), -EPIPE);
    close(pair.ends[1]);
}

/* Descriptors that nobody asked for would fill the table of the front. */
static void descriptors_that_are_not_wanted_are_not_taken(void **state)
{
    struct pair pair = open_pair();
    struct channel_plain plain = {.header = {CHANNEL_EVENT, 7}};
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int pair_of_null[] = {null, null};
    size_t size;
    (void)state;
    assert_int_equal(channel_send(pair.ends[0], &plain, sizeof(plain), NULL, 0, pair_of_null, 2), 0);
    assert_int_equal(channel_receive(pair.ends[1], packet, &size, NULL), -EBADMSG);
    int next = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_int_equal(next, null + 1);
    close(next);
    close(null);
    close(pair.ends[0]);
    close(pair.ends[1]);
}

static void a_packet_beyond_all_bounds_is_refused(void **state)
{
    struct pair pair = open_pair();
    size_t size;
    (void)state;
    assert_int_equal(send(pair.ends[0], packet, sizeof(packet), 0), sizeof(packet));
    assert_int_equal(channel_receive(pair.ends[1], packet, &size, NULL), -EBADMSG);
    close(pair.ends[0]);
    close(pair.ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_kind_is_for_one_side_only),
        cmocka_unit_test(what_is_cut_off_is_refused),
        cmocka_unit_test(what_is_too_long_is_refused),
        cmocka_unit_test(output_has_a_stream_and_bytes),
        cmocka_unit_test(events_are_utf8),
        cmocka_unit_test(denials_are_sentences),
        cmocka_unit_test(an_ending_is_taken_apart),
        cmocka_unit_test(an_ending_that_does_not_add_up_is_refused),
        cmocka_unit_test(greetings_are_bounded),
        cmocka_unit_test(a_start_adds_up),
        cmocka_unit_test(any_sentence_can_be_sent),
        cmocka_unit_test(packets_and_descriptors_cross),
        cmocka_unit_test(descriptors_that_are_not_wanted_are_not_taken),
        cmocka_unit_test(a_packet_beyond_all_bounds_is_refused),
    };
    return cmocka_run_group_tests_name("channel", tests, NULL, NULL);
}
