/* SPDX-License-Identifier: Apache-2.0 */
/* See test_worker_fixture.h. */
#include "node/worker/test_worker_fixture.h"

#include <berth/engine.h>
#include <berth/module.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "node/engine_options.h"
#include "node/process.h"
#include "node/settings/settings.h"

/* ---- Guests ----------------------------------------------------------------------------------------- */

static const char *const guest_names[] = {
    "echoes_stdin",        "floods_stdout",          "loops_forever", "pushes_numbered_events",
    "reaches_past_memory", "reads_a_greeting",       "says_hello",    "shows_its_strings",
    "sleeps_forever",      "writes_much_and_sleeps",
};

enum { N_GUESTS = sizeof(guest_names) / sizeof(guest_names[0]) };

static struct guest_artifact {
    int artifact;
    uint8_t sha256[32];
} guests[N_GUESTS];

static void must(berth_status status, berth_error *error)
{
    if (status != BERTH_OK)
        fail_msg("%s", berth_error_message(error));
}

static struct settings *settings_of(const struct node *node)
{
    struct settings *settings;
    berth_error *error = NULL;
    char mount[128];
    assert_int_equal(settings_new(&settings), 0);
    if (node) {
        snprintf(mount, sizeof(mount), "%s::/data", node->directory);
        must(settings_add_mount(settings, mount, &error), error);
    }
    must(settings_complete(settings, &error), error);
    return settings;
}

static void read_hash(const char *hex, uint8_t ret[static 32])
{
    for (int i = 0; i < 32; i++) {
        char digits[3] = {hex[2 * i], hex[2 * i + 1], '\0'};
        ret[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
}

int load_guests(void **state)
{
    struct settings *settings = settings_of(NULL);
    struct berth_engine_options options;
    berth_error *error = NULL;
    berth_engine *engine;
    (void)state;
    node_engine_options(settings, &options);
    options.cache = false;
    options.compile = BERTH_COMPILE_IN_PROCESS;
    must(berth_engine_new(&options, &engine, &error), error);
    for (size_t i = 0; i < N_GUESTS; i++) {
        char path[512];
        berth_module *module;
        snprintf(path, sizeof(path), "%s/%s.wasm", GUESTS_DIRECTORY, guest_names[i]);
        must(berth_module_load_file(engine, path, &module, &error), error);
        must(berth_module_export(module, &guests[i].artifact, &error), error);
        read_hash(berth_module_sha256(module), guests[i].sha256);
        berth_module_unref(module);
    }
    berth_engine_unref(engine);
    settings_free(settings);
    return 0;
}

int unload_guests(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_GUESTS; i++)
        close(guests[i].artifact);
    return 0;
}

/* ---- The supervisor's part -------------------------------------------------------------------------- */

static void make_directory(char ret[static 64], const char *greeting)
{
    char path[128];
    snprintf(ret, 64, "/tmp/berth-workers-XXXXXX");
    assert_non_null(mkdtemp(ret));
    snprintf(path, sizeof(path), "%s/greeting.txt", ret);
    cleanup_fclose FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(greeting, file);
}

static void remove_directory(const char *directory)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/greeting.txt", directory);
    unlink(path);
    rmdir(directory);
}

static _Noreturn void be_worker(int control)
{
    int null = open("/dev/null", O_RDWR);
    dup2(null, 0);
    dup2(null, 1);
    if (control != CONTROL_FD)
        dup2(control, CONTROL_FD);
    syscall(SYS_close_range, CONTROL_FD + 1, ~0U, 0);
    _exit(worker_main(0));
}

static void give_settings(const struct node *node, int control)
{
    cleanup_free char *text = NULL;
    berth_error *error = NULL;
    struct settings *settings = settings_of(node);
    must(settings_write(settings, BERTH_FORMAT_JSON, &text, &error), error);
    cleanup_close int file = memfd_create("settings", MFD_CLOEXEC);
    assert_true(write(file, text, strlen(text)) == (ssize_t)strlen(text));
    assert_int_equal(control_send(control, CONTROL_SETTINGS, 0, "", file), 0);
    settings_free(settings);
}

static void give_directory(int control, uint32_t kind, const char *path)
{
    cleanup_close int directory = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    assert_true(directory >= 0);
    assert_int_equal(control_send(control, kind, 0, "", directory), 0);
}

/* Returns the front's end of a new channel. */
static int give_channel(const struct node *node, size_t worker)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(control_send(node->controls[worker], CONTROL_CHANNEL, 0, "", pair[1]), 0);
    close(pair[1]);
    return pair[0];
}

/* Returns the front's end of its channel. */
static int start_worker(struct node *node, size_t worker)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        be_worker(pair[1]);
    close(pair[1]);
    node->pids[worker] = pid;
    node->controls[worker] = pair[0];
    give_settings(node, pair[0]);
    give_directory(pair[0], CONTROL_MOUNT, node->directory);
    give_directory(pair[0], CONTROL_INPUTS, node->inputs);
    int channel = give_channel(node, worker);
    assert_int_equal(control_send(pair[0], CONTROL_GO, 0, "", -1), 0);
    return channel;
}

static void await_ready(struct node *node, size_t worker)
{
    struct control_message message;
    int descriptor;
    assert_int_equal(control_receive(node->controls[worker], &message, &descriptor), 0);
    if (message.kind != CONTROL_READY)
        fail_msg("the worker said: %s", message.text);
    snprintf(node->isolation[worker], sizeof(node->isolation[worker]), "%s", message.text);
}

/* ---- The front's part ------------------------------------------------------------------------------- */

static void on_output(void *payload, int stream, const uint8_t *bytes, size_t size_bytes)
{
    struct story *story = payload;
    assert_int_equal(story->n_endings, 0);
    if (stream == 2) {
        story->errors_bytes += size_bytes;
        return;
    }
    if (!story->keeps_nothing) {
        story->output = realloc(story->output, story->output_bytes + size_bytes + 1);
        assert_non_null(story->output);
        memcpy(story->output + story->output_bytes, bytes, size_bytes);
        story->output[story->output_bytes + size_bytes] = '\0';
    }
    story->output_bytes += size_bytes;
    if (story->takes && story->run)
        worker_run_credit(story->run, stream, (uint32_t)size_bytes);
    else
        story->untaken_bytes += size_bytes;
}

static void on_event(void *payload, const char *text, size_t size_bytes)
{
    struct story *story = payload;
    char expected[16];
    assert_int_equal(story->n_endings, 0);
    snprintf(expected, sizeof(expected), "%05zu", story->n_events++);
    snprintf(story->last_event, sizeof(story->last_event), "%.*s", (int)size_bytes, text);
    if (strcmp(story->last_event, expected) != 0)
        story->events_in_order = false;
}

static void on_denial(void *payload, const char *sentence)
{
    struct story *story = payload;
    story->n_denials++;
    snprintf(story->last_denial, sizeof(story->last_denial), "%s", sentence);
}

static void on_ended(void *payload, const struct berth_outcome *outcome, const struct berth_usage *usage,
                     bool lost)
{
    struct story *story = payload;
    story->n_endings++;
    story->outcome = *outcome;
    snprintf(story->cause, sizeof(story->cause), "%s", outcome->cause);
    story->usage = *usage;
    story->lost = lost;
    story->run = NULL;
}

static const struct worker_run_events write_down = {on_output, on_event, on_denial, on_ended};

static bool adopt(void *owner, const char *run_id, struct worker_run *run,
                  const struct worker_run_events **ret_events, void **ret_payload)
{
    struct node *node = owner;
    for (size_t i = 0; node->adopts && i < node->n_stories; i++) {
        struct story *story = &node->stories[i];
        if (strcmp(story->run_id, run_id) != 0 || story->n_endings > 0)
            continue;
        story->run = run;
        *ret_events = &write_down;
        *ret_payload = story;
        node->n_adopted++;
        worker_run_credit(run, 1, 1 << 20);
        return true;
    }
    return false;
}

static void on_lost(void *owner, size_t worker)
{
    struct node *node = owner;
    (void)worker;
    node->n_lost++;
}

static void on_broke(void *owner, size_t worker, const char *fault)
{
    struct node *node = owner;
    (void)worker;
    node->n_broke++;
    snprintf(node->fault, sizeof(node->fault), "%s", fault);
}

static void make_front(struct node *node, const int *channels)
{
    const struct workers_options options = {
        .loop = &node->loop,
        .channels = channels,
        .n_channels = node->n_workers,
        .adopt = adopt,
        .lost = on_lost,
        .broke = on_broke,
        .owner = node,
    };
    assert_int_equal(workers_new(&options, &node->workers), 0);
}

static uint32_t standing(const struct node *node)
{
    struct workers_counts counts;
    workers_counts(node->workers, &counts);
    return counts.alive;
}

/* ---- The node --------------------------------------------------------------------------------------- */

void node_start(struct node *node, size_t n_workers)
{
    int channels[NODE_WORKERS_MAX];
    *node = (struct node){.n_workers = n_workers};
    make_directory(node->directory, "hello from the mount\n");
    make_directory(node->inputs, "hello from the inputs\n");
    node->inputs_descriptor = open(node->inputs, O_PATH | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(uv_loop_init(&node->loop), 0);
    for (size_t i = 0; i < n_workers; i++)
        channels[i] = start_worker(node, i);
    for (size_t i = 0; i < n_workers; i++)
        await_ready(node, i);
    make_front(node, channels);
    node_until(node, standing(node) == n_workers);
}

void node_lose_front(struct node *node)
{
    workers_free(node->workers);
    node->workers = NULL;
    for (size_t i = 0; i < node->n_stories; i++)
        node->stories[i].run = NULL;
    uv_run(&node->loop, UV_RUN_NOWAIT);
}

void node_new_front(struct node *node)
{
    int channels[NODE_WORKERS_MAX];
    for (size_t i = 0; i < node->n_workers; i++)
        channels[i] = give_channel(node, i);
    make_front(node, channels);
    node_until(node, standing(node) == node->n_workers);
}

static void reap(struct node *node, size_t worker)
{
    int status;
    close(node->controls[worker]);
    assert_int_equal(waitpid(node->pids[worker], &status, 0), node->pids[worker]);
}

void node_replace_worker(struct node *node, size_t worker)
{
    reap(node, worker);
    int channel = start_worker(node, worker);
    await_ready(node, worker);
    assert_int_equal(workers_replace(node->workers, worker, channel), 0);
    node_until(node, standing(node) == node->n_workers);
}

void node_stop(struct node *node)
{
    if (node->workers)
        node_lose_front(node);
    for (size_t i = 0; i < node->n_workers; i++)
        reap(node, i);
    assert_int_equal(uv_loop_close(&node->loop), 0);
    for (size_t i = 0; i < node->n_stories; i++)
        free(node->stories[i].output);
    close(node->inputs_descriptor);
    remove_directory(node->directory);
    remove_directory(node->inputs);
}

static void wake(uv_timer_t *timer)
{
    (void)timer;
}

static void forget(uv_handle_t *handle)
{
    (void)handle;
}

void node_turn(struct node *node)
{
    uv_timer_t timer;
    uv_timer_init(&node->loop, &timer);
    uv_timer_start(&timer, wake, 100, 0);
    uv_run(&node->loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&timer, forget);
    uv_run(&node->loop, UV_RUN_NOWAIT);
}

void node_until_ended(struct node *node, struct story *story)
{
    node_until(node, story->n_endings > 0);
}

/* ---- Runs ------------------------------------------------------------------------------------------- */

struct worker_run_request request_for(struct node *node, const char *guest, berth_contract *contract)
{
    struct worker_run_request request = {
        .module = -1,
        .name = guest,
        .contract = contract,
        .inputs_directory = -1,
        .deadline_ns = UINT64_MAX,
        .credit_bytes = 1 << 20,
        .events_to = &write_down,
    };
    for (size_t i = 0; i < N_GUESTS; i++)
        if (strcmp(guest_names[i], guest) == 0) {
            request.module = guests[i].artifact;
            request.module_sha256 = guests[i].sha256;
        }
    assert_true(request.module >= 0);
    snprintf(request.run_id, sizeof(request.run_id), "%032zx", node->n_stories);
    return request;
}

struct story *node_run(struct node *node, struct worker_run_request *request)
{
    assert_true(node->n_stories < NODE_RUNS_MAX);
    struct story *story = &node->stories[node->n_stories++];
    *story = (struct story){.takes = true, .events_in_order = true};
    memcpy(story->run_id, request->run_id, sizeof(story->run_id));
    request->payload = story;
    assert_int_equal(workers_start(node->workers, request, &story->run), 0);
    return story;
}

berth_contract *contract_for(struct node *node, bool mounted, ...)
{
    berth_contract *contract;
    berth_error *error = NULL;
    va_list list;
    must(berth_contract_new(&contract, &error), error);
    va_start(list, mounted);
    for (const char *key; (key = va_arg(list, const char *));)
        must(berth_contract_set(contract, key, va_arg(list, const char *), "the test", &error), error);
    va_end(list);
    const struct berth_mount mount = {.guest = "/data", .host = node->directory};
    if (mounted)
        must(berth_contract_add_mount(contract, &mount, "the test", &error), error);
    return contract;
}

/* ---- Processes -------------------------------------------------------------------------------------- */

long process_kib(pid_t pid, const char *file, const char *key)
{
    char path[64], line[256];
    long value = -1;
    snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
    cleanup_fclose FILE *stream = fopen(path, "r");
    while (stream && fgets(line, sizeof(line), stream))
        if (strncmp(line, key, strlen(key)) == 0 && line[strlen(key)] == ':')
            value = strtol(line + strlen(key) + 1, NULL, 10);
    return value;
}

size_t process_descriptors(pid_t pid)
{
    char path[64];
    size_t count = 0;
    snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
    DIR *directory = opendir(path);
    while (directory && readdir(directory))
        count++;
    if (directory)
        closedir(directory);
    return count;
}
