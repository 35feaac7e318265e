/* SPDX-License-Identifier: Apache-2.0 */
/* Control messages arrive whole or not at all, and no descriptor leaks. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "node/process.h"

struct pair {
    int ends[2];
};

static int setup(void **state)
{
    static struct pair pair;
    *state = &pair;
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair.ends);
}

static int teardown(void **state)
{
    struct pair *pair = *state;
    for (int i = 0; i < 2; i++)
        if (pair->ends[i] >= 0)
            close(pair->ends[i]);
    return 0;
}

/* The number that the next new descriptor gets: the same as before if nothing leaked. */
static int next_descriptor(void)
{
    int next = open("/dev/null", O_RDONLY | O_CLOEXEC);
    close(next);
    return next;
}

static void carries_everything(void **state)
{
    struct pair *pair = *state;
    struct control_message message;
    int file = open("/dev/null", O_RDONLY | O_CLOEXEC), descriptor = -1;
    assert_int_equal(control_send(pair->ends[0], CONTROL_MOUNT, 7, "logs", file), 0);
    assert_int_equal(control_receive(pair->ends[1], &message, &descriptor), 0);
    assert_int_equal(message.kind, CONTROL_MOUNT);
    assert_int_equal(message.index, 7);
    assert_string_equal(message.text, "logs");
    struct stat sent, received;
    assert_int_equal(fstat(file, &sent), 0);
    assert_int_equal(fstat(descriptor, &received), 0);
    assert_true(sent.st_ino == received.st_ino && sent.st_dev == received.st_dev);
    assert_true(fcntl(descriptor, F_GETFD) & FD_CLOEXEC);
    close(descriptor);
    close(file);
}

static void text_may_be_absent_and_longest(void **state)
{
    struct pair *pair = *state;
    struct control_message message;
    char text[CONTROL_TEXT_BYTES + 1];
    int descriptor = 99;
    assert_int_equal(control_send(pair->ends[0], CONTROL_GO, 0, NULL, -1), 0);
    assert_int_equal(control_receive(pair->ends[1], &message, &descriptor), 0);
    assert_string_equal(message.text, "");
    assert_int_equal(descriptor, -1);

    memset(text, 'x', sizeof(text));
    text[CONTROL_TEXT_BYTES] = '\0';
    assert_int_equal(control_send(pair->ends[0], CONTROL_FAILED, 0, text, -1), -EMSGSIZE);
    text[CONTROL_TEXT_BYTES - 1] = '\0';
    assert_int_equal(control_send(pair->ends[0], CONTROL_FAILED, 0, text, -1), 0);
    assert_int_equal(control_receive(pair->ends[1], &message, &descriptor), 0);
    assert_string_equal(message.text, text);
}

static void says_when_there_is_nothing_and_nobody(void **state)
{
    struct pair *pair = *state;
    struct control_message message;
    int descriptor;
    assert_int_equal(control_receive(pair->ends[1], &message, &descriptor), -EAGAIN);
    close(pair->ends[0]);
    pair->ends[0] = -1;
    assert_int_equal(control_receive(pair->ends[1], &message, &descriptor), 1);
    assert_int_equal(control_send(pair->ends[1], CONTROL_GO, 0, NULL, -1), -EPIPE);
}

static void refuses_packets_that_are_no_messages(void **state)
{
    struct pair *pair = *state;
    struct control_message message;
    static char bytes[sizeof(struct control_message) + 1];
    int descriptor;
    const size_t sizes[] = {1, 7, sizeof(bytes), sizeof(struct control_message), 9};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        assert_int_equal(send(pair->ends[0], bytes, sizes[i], 0), (ssize_t)sizes[i]);
        assert_int_equal(control_receive(pair->ends[1], &message, &descriptor), -EBADMSG);
        assert_int_equal(descriptor, -1);
    }
}

static void closes_descriptors_nobody_asked_for(void **state)
{
    struct pair *pair = *state;
    struct control_message message;
    char head[8] = {CONTROL_MOUNT};
    int sent[2] = {STDIN_FILENO, STDERR_FILENO}, descriptor;
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(sent))];
    } ancillary = {0};
    ancillary.header.cmsg_level = SOL_SOCKET;
    ancillary.header.cmsg_type = SCM_RIGHTS;
    ancillary.header.cmsg_len = CMSG_LEN(sizeof(sent));
    memcpy(CMSG_DATA(&ancillary.header), sent, sizeof(sent));
    struct iovec piece = {head, sizeof(head)};
    struct msghdr packet = {.msg_iov = &piece,
                            .msg_iovlen = 1,
                            .msg_control = ancillary.bytes,
                            .msg_controllen = sizeof(ancillary.bytes)};
    int before = next_descriptor();
    assert_int_equal(sendmsg(pair->ends[0], &packet, 0), sizeof(head));
    assert_int_equal(control_receive(pair->ends[1], &message, &descriptor), -EBADMSG);
    assert_int_equal(descriptor, -1);
    assert_int_equal(next_descriptor(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(carries_everything, setup, teardown),
        cmocka_unit_test_setup_teardown(text_may_be_absent_and_longest, setup, teardown),
        cmocka_unit_test_setup_teardown(says_when_there_is_nothing_and_nobody, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_packets_that_are_no_messages, setup, teardown),
        cmocka_unit_test_setup_teardown(closes_descriptors_nobody_asked_for, setup, teardown),
    };
    return cmocka_run_group_tests_name("process", tests, NULL, NULL);
}
