/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The supervisor with children that misbehave. The program is its own children: their mains are here and act
 * out the scenario that the settings name (jwt.issuer, which nobody else looks at).
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/text.h"
#include "node/node.h"
#include "node/process.h"

enum { PATIENCE_S = 60 };

/* ---- Children
 * ------------------------------------------------------------------------------------------------- */

static const char ready_front[] = "{\"address\": \"127.0.0.1:1\", \"peer_id\": \"12D3KooWtest\"}";
static const char ready_other[] = "{\"missing\": []}";
static const char ready_lacking[] = "{\"missing\": [\"files\", 7, \"net\\nwork\", \"files\"]}";

/* The scenario stands in the settings; they cannot be changed, and everyone reads them from their start. */
static void take_settings(int file, char scenario[static 64])
{
    static char text[1 << 16];
    ssize_t got = read(file, text, sizeof(text) - 1);
    const char *found = got > 0 ? strstr(text, "\"issuer\": \"") : NULL;
    if (!found || write(file, "x", 1) >= 0 || mmap(NULL, 1, PROT_WRITE, MAP_SHARED, file, 0) != MAP_FAILED)
        _exit(99);
    found += strlen("\"issuer\": \"");
    snprintf(scenario, 64, "%.*s", (int)strcspn(found, "\""), found);
}

/* Keeps the channel between the front and worker 0. */
static int equip(char scenario[static 64])
{
    struct control_message message;
    int descriptor, channel = -1;
    while (control_receive(CONTROL_FD, &message, &descriptor) == 0 && message.kind != CONTROL_GO) {
        if (message.kind == CONTROL_SETTINGS)
            take_settings(descriptor, scenario);
        if (message.kind == CONTROL_CHANNEL && message.index == 0)
            channel = descriptor;
        else if (descriptor >= 0)
            close(descriptor);
    }
    return channel;
}

static void end_workers(void)
{
    const uint32_t numbers[] = {UINT32_MAX, 2, 1};
    for (size_t i = 0; i < 3; i++)
        control_send(CONTROL_FD, CONTROL_END_WORKER, numbers[i], NULL, -1);
}

/* CONTROL_ISOLATION says that all are ready; closing the channel tells worker 0. */
static int serve(const char *scenario, int channel)
{
    struct control_message message;
    int descriptor;
    while (control_receive(CONTROL_FD, &message, &descriptor) == 0) {
        if (descriptor >= 0)
            close(descriptor);
        if (message.kind == CONTROL_DRAIN)
            control_send(CONTROL_FD, CONTROL_DRAINED, 0, NULL, -1);
        if (message.kind == CONTROL_RELOAD)
            control_send(CONTROL_FD, CONTROL_RELOADED, 0, "the new settings are no good", -1);
        if (message.kind != CONTROL_ISOLATION)
            continue;
        close(channel);
        if (strcmp(scenario, "front ends workers") == 0)
            end_workers();
    }
    return 0;
}

int front_main(void)
{
    char scenario[64] = "";
    int channel = equip(scenario);
    if (strcmp(scenario, "front refuses") == 0) {
        control_send(CONTROL_FD, CONTROL_FAILED, NODE_REFUSED, "the front has\x1b[2J its reasons", -1);
        return 1;
    }
    if (strcmp(scenario, "front has odd reasons") == 0) {
        control_send(CONTROL_FD, CONTROL_FAILED, 0, "it is odd", -1);
        return 0;
    }
    const char *ready = strcmp(scenario, "front says nothing of itself") == 0 ? "{}" : ready_front;
    control_send(CONTROL_FD, CONTROL_READY, 0, ready, -1);
    return serve(scenario, channel);
}

int worker_main(unsigned number)
{
    char scenario[64] = "", byte;
    int channel = equip(scenario);
    const char *ready = number == 1 && strcmp(scenario, "worker lacks") == 0 ? ready_lacking : ready_other;
    control_send(CONTROL_FD, CONTROL_READY, 0, ready, -1);
    if (number == 0 && read(channel, &byte, 1) == 0 && strcmp(scenario, "worker commands") == 0)
        control_send(CONTROL_FD, CONTROL_END_WORKER, 1, NULL, -1);
    else if (number == 0 && strcmp(scenario, "worker sends garbage") == 0)
        (void)!send(CONTROL_FD, "x", 1, 0);
    else if (number == 0 && strcmp(scenario, "worker complains") == 0) {
        while (control_send(CONTROL_FD, CONTROL_FAILED, 1, "it is a trifle", -1) == 0)
            continue;
        pause(); /* until it is ended */
    }
    return serve("", -1);
}

int compiler_service_main(void)
{
    char scenario[64] = "";
    equip(scenario);
    if (strcmp(scenario, "compiler crashes") == 0)
        (void)raise(SIGKILL);
    if (strcmp(scenario, "compiler hangs") == 0) {
        fprintf(stderr, "it hangs\n");
        pause();
    }
    control_send(CONTROL_FD, CONTROL_READY, 0, ready_other, -1);
    return serve("", -1);
}

/* ---- The supervisor, in a process of its own
 * ------------------------------------------------------------------- */

struct node {
    char directory[64];
    pid_t pid;
    int output, errors;
    struct text said; /* on stderr so far */
};

static struct settings *make_settings(const char *directory, const char *scenario, bool require_isolation)
{
    struct settings *settings = NULL;
    char text[512];
    int length = snprintf(text, sizeof(text),
                          "[node]\nworkers = 2\nrequire_isolation = %s\nstate_directory = \"%s/state\"\n"
                          "[cache]\ndirectory = \"%s\"\n[jwt]\nissuer = \"%s\"\n"
                          "[[listener]]\naddress = \"127.0.0.1:0\"\n",
                          require_isolation ? "true" : "false", directory, directory, scenario);
    if (settings_new(&settings) < 0 ||
        settings_read(settings, text, (size_t)length, "/test.toml", NULL) != BERTH_OK ||
        settings_complete(settings, NULL) != BERTH_OK)
        _exit(98);
    return settings;
}

static berth_status reload(void *payload, struct settings **ret, berth_error **reterr)
{
    (void)reterr;
    *ret = make_settings(payload, "another", false);
    return BERTH_OK;
}

static void start(struct node *node, const char *scenario, bool require_isolation)
{
    int output[2], errors[2];
    *node = (struct node){.directory = "/tmp/berth-supervisor-XXXXXX"};
    assert_non_null(mkdtemp(node->directory));
    assert_int_equal(pipe2(output, O_CLOEXEC), 0);
    assert_int_equal(pipe2(errors, O_CLOEXEC), 0);
    node->pid = fork();
    assert_true(node->pid >= 0);
    if (node->pid == 0) {
        dup2(output[1], STDOUT_FILENO);
        dup2(errors[1], STDERR_FILENO);
        const struct node_arguments arguments = {
            .settings = make_settings(node->directory, scenario, require_isolation),
            .reload = reload,
            .payload = node->directory,
            .json = true,
        };
        exit(node_serve(&arguments));
    }
    close(output[1]);
    close(errors[1]);
    node->output = output[0];
    node->errors = errors[0];
    alarm(PATIENCE_S);
}

static void expect_ready(const struct node *node)
{
    char line[512] = {0};
    assert_true(read(node->output, line, sizeof(line) - 1) > 0);
    assert_non_null(strstr(line, "12D3KooWtest"));
}

/* Reads on until stderr holds the words; returns where. */
static const char *expect_said(struct node *node, const char *words)
{
    const char *found;
    char buffer[512];
    while (!node->said.data || !(found = strstr(node->said.data, words))) {
        ssize_t got = read(node->errors, buffer, sizeof(buffer));
        if (got <= 0)
            fail_msg("it did not say '%s' but: %s", words, node->said.data ? node->said.data : "");
        text_append_bytes(&node->said, buffer, (size_t)got);
    }
    return found;
}

static int end(struct node *node, int signal_number)
{
    int status;
    if (signal_number)
        assert_int_equal(kill(node->pid, signal_number), 0);
    assert_int_equal(waitpid(node->pid, &status, 0), node->pid);
    alarm(0);
    char buffer[512];
    for (ssize_t got; (got = read(node->errors, buffer, sizeof(buffer))) > 0;)
        text_append_bytes(&node->said, buffer, (size_t)got);
    assert_true(WIFEXITED(status));
    close(node->output);
    close(node->errors);
    const char *const left[] = {"state/inputs", "state/lock", "state", ""};
    for (size_t i = 0; i < sizeof(left) / sizeof(left[0]); i++) {
        char path[128];
        snprintf(path, sizeof(path), "%s/%s", node->directory, left[i]);
        assert_int_equal(remove(path), 0);
    }
    return WEXITSTATUS(status);
}

static size_t lines(const char *text)
{
    size_t count = 0;
    for (; *text; text++)
        count += *text == '\n';
    return count;
}

static void fails_to_start(const char *scenario, int status, const char *sentence)
{
    struct node node;
    start(&node, scenario, false);
    assert_int_equal(end(&node, 0), status);
    assert_string_equal(node.said.data, sentence);
    text_done(&node.said);
}

static void a_start_fails_with_the_sentence_of_who_failed(void **state)
{
    (void)state;
    fails_to_start("front refuses", NODE_REFUSED, "berth: the front has\\x1b[2J its reasons\n");
    fails_to_start("front has odd reasons", NODE_FAILURE, "berth: it is odd\n");
    fails_to_start("front says nothing of itself", NODE_FAILURE, "berth: the front's address is not known\n");
    fails_to_start("compiler crashes", NODE_FAILURE, "berth: the compiler was ended by signal 9 (Killed)\n");
}

static void a_start_can_be_given_up(void **state)
{
    (void)state;
    struct node node;
    start(&node, "compiler hangs", false);
    expect_said(&node, "it hangs");
    assert_int_equal(end(&node, SIGINT), NODE_ENDED);
    text_done(&node.said);
}

static void missing_isolation_is_said_once_and_made_safe(void **state)
{
    (void)state;
    struct node node;
    start(&node, "worker lacks", false);
    expect_ready(&node);
    expect_said(&node, "isolation_incomplete");
    assert_int_equal(end(&node, SIGTERM), NODE_ENDED);
    const char *said = strstr(node.said.data, "\"missing\":\"files, net");
    assert_non_null(said);
    assert_null(strstr(said, "files, files"));
    assert_null(strstr(said + 1, "isolation_incomplete"));
    text_done(&node.said);
}

static void missing_isolation_ends_a_start_that_requires_it(void **state)
{
    (void)state;
    struct node node;
    start(&node, "worker lacks", true);
    assert_int_equal(end(&node, 0), NODE_FAILURE);
    assert_int_equal(lines(node.said.data), 1);
    assert_non_null(strstr(node.said.data, "lacks layers of isolation (files, net\\nwork)"));
    text_done(&node.said);
}

static void a_worker_that_oversteps_is_replaced(void **state)
{
    (void)state;
    const char *const scenarios[] = {"worker commands", "worker sends garbage"};
    for (size_t i = 0; i < 2; i++) {
        struct node node;
        start(&node, scenarios[i], false);
        expect_ready(&node);
        expect_said(&node, "worker 0 was ended by signal 9");
        assert_int_equal(end(&node, SIGTERM), NODE_ENDED);
        assert_null(strstr(node.said.data, "worker 1"));
        text_done(&node.said);
    }
}

/* Or it would fill the log. */
static void a_worker_may_complain_once(void **state)
{
    (void)state;
    struct node node;
    start(&node, "worker complains", false);
    expect_ready(&node);
    expect_said(&node, "worker 0 was ended by signal 9");
    assert_int_equal(end(&node, SIGTERM), NODE_ENDED);
    const char *first = strstr(node.said.data, "it is a trifle");
    const char *ended = strstr(node.said.data, "worker 0 was ended by signal 9");
    assert_non_null(first);
    assert_true(first < ended);
    const char *second = strstr(first + 1, "it is a trifle");
    assert_true(!second || second > ended);
    text_done(&node.said);
}

static void the_front_may_have_a_worker_ended(void **state)
{
    (void)state;
    struct node node;
    start(&node, "front ends workers", false);
    expect_ready(&node);
    expect_said(&node, "worker 1 was ended by signal 9");
    assert_int_equal(end(&node, SIGTERM), NODE_ENDED);
    assert_null(strstr(node.said.data, "worker 0"));
    text_done(&node.said);
}

static void a_reload_that_the_front_refuses_is_none(void **state)
{
    (void)state;
    struct node node;
    start(&node, "", false);
    expect_ready(&node);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(kill(node.pid, SIGHUP), 0);
        expect_said(&node, "the new settings are no good");
        text_done(&node.said);
    }
    assert_int_equal(end(&node, SIGTERM), NODE_ENDED);
    text_done(&node.said);
}

int main(int argc, char **argv)
{
    int role = node_role_main(argc, argv);
    if (role >= 0)
        return role;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_start_fails_with_the_sentence_of_who_failed),
        cmocka_unit_test(a_start_can_be_given_up),
        cmocka_unit_test(missing_isolation_is_said_once_and_made_safe),
        cmocka_unit_test(missing_isolation_ends_a_start_that_requires_it),
        cmocka_unit_test(a_worker_that_oversteps_is_replaced),
        cmocka_unit_test(a_worker_may_complain_once),
        cmocka_unit_test(the_front_may_have_a_worker_ended),
        cmocka_unit_test(a_reload_that_the_front_refuses_is_none),
    };
    return cmocka_run_group_tests_name("supervisor", tests, NULL, NULL);
}
