/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The compiler process, as the supervisor starts it: the test is supervisor and front. What it makes is
 * imported with the engine that workers have.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <berth/berth.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "node/compile/compile_channel.h"
#include "node/compile/compile_isolation.h"
#include "node/engine_options.h"
#include "node/process.h"
#include "wire/hash.h"

/* ---- Modules ------------------------------------------------------------------------------------ */

struct bytes {
    uint8_t *data;
    size_t size;
};

static void bytes_done(struct bytes *bytes)
{
    free(bytes->data);
}
#define cleanup_bytes cleanup(bytes_done)

static struct bytes bytes_of(const void *data, size_t size)
{
    struct bytes bytes = {.data = malloc(size + 1), .size = size};
    assert_non_null(bytes.data);
    memcpy(bytes.data, data, size);
    return bytes;
}

#define HEADER "\0asm\1\0\0\0"

/* A program that does nothing. */
static struct bytes wasm_command(void)
{
    static const char module[] = HEADER "\1\4\1\x60\0\0" /* type ()->() */
                                        "\3\2\1\0"       /* a function of that type */
                                        "\7\x0a\1\6_start\0\0"
                                        "\x0a\4\1\2\0\x0b";
    return bytes_of(module, sizeof(module) - 1);
}

/* Wants env.system. */
static struct bytes wasm_importer(void)
{
    static const char module[] = HEADER "\1\4\1\x60\0\0"
                                        "\2\x0e\1\3env\6system\0\0";
    return bytes_of(module, sizeof(module) - 1);
}

static void put_number(uint8_t *at, uint32_t number) /* LEB128 in five bytes */
{
    for (int i = 0; i < 5; i++, number >>= 7)
        at[i] = (uint8_t)((number & 0x7f) | (i < 4 ? 0x80 : 0));
}

/* Work for many minutes: functions of as many multiplications of 100 locals as fit into 140 KB. */
static struct bytes endless(void)
{
    enum { FUNCTIONS = 100, STEPS = 20000, STEP_BYTES = 7, BODY_BYTES = 3 + STEPS * STEP_BYTES + 1 };
    const size_t code_bytes = 5 + FUNCTIONS * (size_t)(5 + BODY_BYTES);
    static const char head[] = HEADER "\1\4\1\x60\0\0\3\x65\x64"; /* 100 functions follow */
    struct bytes bytes = {.data = calloc(1, sizeof(head) + FUNCTIONS + 6 + code_bytes)};
    assert_non_null(bytes.data);
    memcpy(bytes.data, head, sizeof(head) - 1);
    uint8_t *at = bytes.data + sizeof(head) - 1 + FUNCTIONS;
    *at++ = 10;
    put_number(at, (uint32_t)code_bytes);
    put_number(at + 5, FUNCTIONS);
    at += 10;
    for (int f = 0; f < FUNCTIONS; f++) {
        put_number(at, BODY_BYTES);
        memcpy(at + 5, "\1\x64\x7e", 3);
        at += 8;
        for (unsigned i = 0; i < STEPS; i++, at += STEP_BYTES) {
            const uint8_t step[STEP_BYTES] = {
                0x20, (uint8_t)(i % 100), 0x20, (uint8_t)(i * 7 % 100), 0x7e, 0x21, (uint8_t)(i * 13 % 100)};
            memcpy(at, step, STEP_BYTES);
        }
        *at++ = 0x0b;
    }
    bytes.size = (size_t)(at - bytes.data);
    return bytes;
}

struct node {
    char root[64], cache[96];
    struct settings *settings;
    pid_t pid;
    int control, front;
    uint64_t next_id;
};

/* ---- Supervisor --------------------------------------------------------------------------------- */

static void connect_front(struct node *node)
{
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    assert_int_equal(control_send(node->control, CONTROL_COMPILER, 0, NULL, ends[1]), 0);
    close(ends[1]);
    node->front = ends[0];
}

static void send_settings(struct node *node)
{
    cleanup_error berth_error *error = NULL;
    cleanup_free char *json = NULL;
    if (settings_write(node->settings, BERTH_FORMAT_JSON, &json, &error) != BERTH_OK)
        fail_msg("%s", berth_error_message(error));
    cleanup_close int file = compile_memory_file(json, strlen(json));
    assert_int_equal(control_send(node->control, CONTROL_SETTINGS, 0, NULL, file), 0);
}

static void await_ready(struct node *node)
{
    struct control_message message;
    int descriptor;
    assert_int_equal(control_receive(node->control, &message, &descriptor), 0);
    if (message.kind != CONTROL_READY)
        fail_msg("%s", message.text);
}

static void spawn_service(struct node *node)
{
    char program[] = "berth", role[] = ROLE_COMPILER;
    char *const arguments[] = {program, role, NULL};
    char *const environment[] = {NULL};
    const char *path = getenv("BERTH_PROGRAM");
    posix_spawn_file_actions_t actions;
    int ends[2];
    assert_non_null(path);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    assert_int_equal(posix_spawn_file_actions_init(&actions), 0);
    assert_int_equal(posix_spawn_file_actions_adddup2(&actions, ends[1], CONTROL_FD), 0);
    assert_int_equal(posix_spawn(&node->pid, path, &actions, NULL, arguments, environment), 0);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    node->control = ends[0];
}

static void set(struct node *node, const char *key, const char *value)
{
    cleanup_error berth_error *error = NULL;
    if (settings_set(node->settings, key, value, "test", &error) != BERTH_OK)
        fail_msg("%s", berth_error_message(error));
}

static int start_node(void **state)
{
    struct node *node = calloc(1, sizeof(*node));
    assert_non_null(node);
    snprintf(node->root, sizeof(node->root), "/tmp/berth-compiler-XXXXXX");
    assert_non_null(mkdtemp(node->root));
    snprintf(node->cache, sizeof(node->cache), "%s/deep/cache", node->root);
    assert_int_equal(settings_new(&node->settings), 0);
    node->settings->compile_at_a_time = 1; /* so that one compilation holds up the next */
    set(node, "cache.directory", node->cache);
    /* A descriptor number that the child's control socket will not be. */
    while (open("/dev/null", O_RDONLY | O_CLOEXEC) <= CONTROL_FD)
        ;
    spawn_service(node);
    send_settings(node);
    connect_front(node);
    assert_int_equal(control_send(node->control, CONTROL_GO, 0, NULL, -1), 0);
    await_ready(node);
    *state = node;
    return 0;
}

static int end_node(void **state)
{
    struct node *node = *state;
    char command[128];
    int status;
    close_keeping_errno(node->front);
    close_keeping_errno(node->control);
    assert_int_equal(waitpid(node->pid, &status, 0), node->pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    snprintf(command, sizeof(command), "rm -r %s", node->root);
    assert_int_equal(system(command), 0);
    settings_free(node->settings);
    free(node);
    return 0;
}

/* ---- Front -------------------------------------------------------------------------------------- */

static void ask_sealed(struct node *node, enum compile_message_kind kind, const struct bytes *wasm,
                       int module)
{
    struct compile_message message = {.kind = kind, .id = ++node->next_id, .text = "filter.wasm"};
    hash_of(wasm->data, wasm->size, message.sha256);
    assert_int_equal(compile_channel_send(node->front, &message, module, 0), 0);
}

static void ask(struct node *node, enum compile_message_kind kind, const struct bytes *wasm)
{
    cleanup_close int module =
        kind == COMPILE_MESSAGE_COMPILE ? compile_memory_file(wasm->data, wasm->size) : -1;
    ask_sealed(node, kind, wasm, module);
}

static struct compile_message await_answer(struct node *node, int *ret_artifact)
{
    struct compile_message message;
    assert_int_equal(compile_channel_receive(node->front, &message, ret_artifact, 0), 0);
    assert_int_equal(message.kind, COMPILE_MESSAGE_ANSWER);
    return message;
}

static void assert_answer(struct node *node, uint64_t id, enum compile_result result, const char *words)
{
    cleanup_close int artifact = -1;
    struct compile_message message = await_answer(node, &artifact);
    if (message.result != result || !strstr(message.text, words))
        fail_msg("%u \"%s\" instead of %u \"%s\"", message.result, message.text, result, words);
    assert_int_equal(message.id, id);
}

/* ---- Tests -------------------------------------------------------------------------------------- */

static void test_a_module_is_compiled_once_and_fits_a_worker(void **state)
{
    struct node *node = *state;
    cleanup_bytes struct bytes wasm = wasm_command();
    cleanup_close int compiled = -1, cached = -1;
    ask(node, COMPILE_MESSAGE_LOOK_UP, &wasm);
    assert_answer(node, 1, COMPILE_UNKNOWN, "");
    ask(node, COMPILE_MESSAGE_COMPILE, &wasm);
    struct compile_message answer = await_answer(node, &compiled);
    assert_int_equal(answer.result, COMPILE_READY);
    assert_true(answer.compiled);
    ask(node, COMPILE_MESSAGE_LOOK_UP, &wasm);
    answer = await_answer(node, &cached);
    assert_int_equal(answer.result, COMPILE_READY);
    assert_false(answer.compiled);

    struct berth_engine_options options;
    berth_engine *engine = NULL;
    berth_module *module = NULL;
    cleanup_error berth_error *error = NULL;
    assert_int_equal(settings_complete(node->settings, NULL), BERTH_OK);
    node_engine_options(node->settings, &options);
    options.max_instances = 4;
    options.cache = false;
    if (berth_engine_new(&options, &engine, &error) != BERTH_OK ||
        berth_module_import(engine, compiled, "filter.wasm", &module, &error) != BERTH_OK)
        fail_msg("%s", berth_error_message(error));
    berth_module_unref(module);
    assert_int_equal(berth_module_import(engine, cached, "filter.wasm", &module, &error), BERTH_OK);
    berth_module_unref(module);
    berth_engine_unref(engine);
}

static void test_what_cannot_be_compiled_is_refused_with_a_reason(void **state)
{
    struct node *node = *state;
    cleanup_bytes struct bytes text = bytes_of("hello", 5), empty = bytes_of("", 0), other = wasm_command(),
                               importer = wasm_importer();
    ask(node, COMPILE_MESSAGE_COMPILE, &text);
    assert_answer(node, 1, COMPILE_REFUSED_MODULE, "filter.wasm is refused: this is text");
    ask(node, COMPILE_MESSAGE_COMPILE, &importer);
    assert_answer(node, 2, COMPILE_REFUSED_MODULE, "env.system, which berth does not offer");
    ask(node, COMPILE_MESSAGE_COMPILE, &empty);
    assert_answer(node, 3, COMPILE_REFUSED_MODULE, "it is empty");
    cleanup_close int module = compile_memory_file(other.data, other.size);
    ask_sealed(node, COMPILE_MESSAGE_COMPILE, &text, module);
    assert_answer(node, 4, COMPILE_REFUSED_MODULE, "do not have the SHA-256");
}

static void test_bytes_that_may_still_change_are_not_looked_at(void **state)
{
    struct node *node = *state;
    cleanup_bytes struct bytes wasm = wasm_command();
    cleanup_close int open_file = memfd_create("module", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    assert_int_equal(write(open_file, wasm.data, wasm.size), wasm.size);
    ask_sealed(node, COMPILE_MESSAGE_COMPILE, &wasm, open_file);
    assert_answer(node, 1, COMPILE_LOST, "something else than a module");
    cleanup_close int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    ask_sealed(node, COMPILE_MESSAGE_COMPILE, &wasm, null);
    assert_answer(node, 2, COMPILE_LOST, "something else than a module");
}

static void test_a_compilation_holds_up_no_look_up_and_can_be_cancelled(void **state)
{
    struct node *node = *state;
    cleanup_bytes struct bytes wasm = wasm_command(), bomb = endless();
    struct compile_message cancel = {.kind = COMPILE_MESSAGE_CANCEL};
    ask(node, COMPILE_MESSAGE_COMPILE, &bomb);
    ask(node, COMPILE_MESSAGE_LOOK_UP, &wasm);
    assert_answer(node, 2, COMPILE_UNKNOWN, "");
    cancel.id = 99; /* nobody's */
    assert_int_equal(compile_channel_send(node->front, &cancel, -1, 0), 0);
    cancel.id = 1;
    assert_int_equal(compile_channel_send(node->front, &cancel, -1, 0), 0);
    assert_answer(node, 1, COMPILE_LOST, "given up");
}

static void test_another_front_does_not_wait_for_what_the_first_asked(void **state)
{
    struct node *node = *state;
    cleanup_bytes struct bytes wasm = wasm_command(), bomb = endless();
    cleanup_close int artifact = -1;
    ask(node, COMPILE_MESSAGE_COMPILE, &bomb);
    ask(node, COMPILE_MESSAGE_COMPILE, &wasm);
    close(node->front);
    connect_front(node);
    ask(node, COMPILE_MESSAGE_COMPILE, &wasm);
    struct compile_message answer = await_answer(node, &artifact);
    assert_int_equal(answer.id, 3);
    assert_int_equal(answer.result, COMPILE_READY);
}

static void test_a_front_that_talks_nonsense_is_hung_up_on(void **state)
{
    struct node *node = *state;
    struct compile_message message;
    int descriptor;
    assert_int_equal(send(node->front, "nonsense", 8, 0), 8);
    assert_int_equal(compile_channel_receive(node->front, &message, &descriptor, 0), 1);
}

static void test_more_questions_than_agreed_are_turned_down(void **state)
{
    struct node *node = *state;
    cleanup_bytes struct bytes bomb = endless(), wasm = wasm_command();
    ask(node, COMPILE_MESSAGE_COMPILE, &bomb);
    cleanup_close int module = compile_memory_file(wasm.data, wasm.size);
    for (int i = 0; i < COMPILE_ASKED_MAX; i++)
        ask_sealed(node, COMPILE_MESSAGE_COMPILE, &wasm, module);
    assert_answer(node, COMPILE_ASKED_MAX + 1, COMPILE_LOST, "no room");
}

static void test_it_gains_no_privileges_and_leaves_no_core(void **state)
{
    struct node *node = *state;
    char path[64], line[256];
    bool found = false;
    snprintf(path, sizeof(path), "/proc/%d/status", (int)node->pid);
    cleanup_fclose FILE *file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof(line), file))
        found |= strcmp(line, "NoNewPrivs:\t1\n") == 0;
    assert_true(found);
}

/* ---- Walls -------------------------------------------------------------------------------------- */

static int try_walls(const char *root, const char *cache)
{
    char inside[128], beside[128];
    bool confined;
    if (compile_isolation_harden() < 0 || compile_isolation_confine(cache, &confined) < 0)
        return 1;
    if (!confined)
        return 77;
    snprintf(inside, sizeof(inside), "%s/file", cache);
    snprintf(beside, sizeof(beside), "%s/secret", root);
    if (open(inside, O_WRONLY | O_CREAT | O_CLOEXEC, 0600) < 0)
        return 2;
    if (open(beside, O_RDONLY | O_CLOEXEC) >= 0 || errno != EACCES)
        return 3;
    if (open(beside, O_WRONLY | O_CLOEXEC) >= 0 || truncate(beside, 0) == 0 || unlink(beside) == 0)
        return 4;
    if (open("/etc/passwd", O_RDONLY | O_CLOEXEC) >= 0)
        return 5;
    execl("/bin/true", "true", (char *)NULL);
    return 6;
}

static void test_it_reaches_the_cache_and_system_libraries_only(void **state)
{
    struct node *node = *state;
    char secret[128];
    int status;
    snprintf(secret, sizeof(secret), "%s/secret", node->root);
    cleanup_close int fd = open(secret, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(try_walls(node->root, node->cache));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77)
        skip();
    assert_int_equal(WEXITSTATUS(status), 0);
}

#define service_test(test) cmocka_unit_test_setup_teardown(test, start_node, end_node)

int main(void)
{
    const struct CMUnitTest tests[] = {
        service_test(test_a_module_is_compiled_once_and_fits_a_worker),
        service_test(test_what_cannot_be_compiled_is_refused_with_a_reason),
        service_test(test_bytes_that_may_still_change_are_not_looked_at),
        service_test(test_a_compilation_holds_up_no_look_up_and_can_be_cancelled),
        service_test(test_another_front_does_not_wait_for_what_the_first_asked),
        service_test(test_a_front_that_talks_nonsense_is_hung_up_on),
        service_test(test_more_questions_than_agreed_are_turned_down),
        service_test(test_it_gains_no_privileges_and_leaves_no_core),
        service_test(test_it_reaches_the_cache_and_system_libraries_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
