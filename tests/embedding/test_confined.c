/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process that gave away its paths before it lets a guest in, as workers of a node do: the module comes as
 * an artifact, the mount as a descriptor, Landlock knows the mount alone, and a system call that opens a path
 * by name, or anything that looks at one from the working directory, ends the process.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <berth/berth.h>

/* What becomes of the child; cmocka must not run on in it. */
enum { WELL = 0, NO_LANDLOCK = 77 };

static char root[64];
static int events;

/* ---- Walls -------------------------------------------------------------------------------------- */

/* Files below the directory may be read, and nothing else. */
static int confine_files(int directory)
{
    const struct landlock_ruleset_attr attributes = {.handled_access_fs =
                                                         (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1};
    const struct landlock_path_beneath_attr rule = {
        .allowed_access = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR, .parent_fd = directory};
    int rules = (int)syscall(SYS_landlock_create_ruleset, &attributes, sizeof(attributes), 0);
    if (rules < 0)
        return NO_LANDLOCK;
    if (syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0 ||
        syscall(SYS_landlock_restrict_self, rules, 0) < 0)
        return 1;
    return close(rules);
}

#define LOAD(what) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offsetof(struct seccomp_data, what))
#define KILL_IF_CALL(name) \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##name, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)
/* Calls that take a directory: if it is the working directory. */
#define KILL_IF_CALL_HERE(name)                                           \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##name, 0, 4), LOAD(args[0]), \
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)AT_FDCWD, 0, 1),    \
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS), LOAD(nr)

static int confine_calls(void)
{
    struct sock_filter filter[] = {
        LOAD(nr),
        KILL_IF_CALL(open),
        KILL_IF_CALL(openat),
        KILL_IF_CALL(creat),
        KILL_IF_CALL(stat),
        KILL_IF_CALL(lstat),
        KILL_IF_CALL(access),
        KILL_IF_CALL(readlink),
        KILL_IF_CALL(socket),
        KILL_IF_CALL(execve),
        KILL_IF_CALL(clone),
        KILL_IF_CALL(clone3),
        KILL_IF_CALL_HERE(openat2),
        KILL_IF_CALL_HERE(newfstatat),
        KILL_IF_CALL_HERE(readlinkat),
        KILL_IF_CALL_HERE(faccessat),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {.len = sizeof(filter) / sizeof(filter[0]), .filter = filter};
    return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program);
}

/* ---- The child ---------------------------------------------------------------------------------- */

/* In a process of its own, since there is one engine in each. */
static int make_artifact(const char *guest)
{
    struct berth_engine_options options;
    berth_engine *engine;
    berth_module *module;
    char path[512];
    int artifact;
    snprintf(path, sizeof(path), "%s/%s.wasm", GUESTS_DIRECTORY, guest);
    berth_engine_options_init(&options);
    options.cache = false;
    options.compile = BERTH_COMPILE_IN_PROCESS;
    if (berth_engine_new(&options, &engine, NULL) != BERTH_OK)
        return -1;
    if (berth_module_load_file(engine, path, &module, NULL) != BERTH_OK)
        return -1;
    if (berth_module_export(module, &artifact, NULL) != BERTH_OK)
        return -1;
    berth_module_unref(module);
    berth_engine_unref(engine);
    return artifact;
}

static bool take_event(void *payload, const char *text, size_t size_bytes)
{
    (void)payload;
    (void)text;
    (void)size_bytes;
    events++;
    return true;
}

static int failed(const char *step, berth_error *error)
{
    fprintf(stderr, "%s: %s\n", step, error ? berth_error_message(error) : strerror(errno));
    return 1;
}

static int run_guest(berth_engine *engine, berth_module *module, berth_contract *contract, int directory,
                     int change, struct berth_outcome *ret_outcome)
{
    struct berth_instance_options options;
    berth_schedule *schedule;
    berth_instance *instance;
    berth_run *run;
    berth_error *error = NULL;
    berth_instance_options_init(&options);
    options.output.kind = BERTH_STREAM_BUFFER;
    options.on_event = take_event;
    if (berth_schedule_new(engine, &schedule, &error) != BERTH_OK)
        return failed("schedule", error);
    if (berth_mounts_open_at(engine, contract, &directory, 1, &options.mounts, &error) != BERTH_OK)
        return failed("mounts", error);
    if (berth_instance_new(schedule, module, contract, &options, &instance, &error) != BERTH_OK ||
        berth_run_start(instance, &run, &error) != BERTH_OK)
        return failed("start", error);
    struct berth_wait wait;
    while (berth_run_step(run, &wait)) {
        if (events == 1 && change >= 0) {
            (void)!write(change, "x", 1); /* somebody outside changes the directory now */
            change = -1;
        }
        berth_schedule_wait(schedule, &wait, -1);
    }
    *ret_outcome = *berth_run_outcome(run);
    berth_instance_free(instance);
    berth_mounts_unref(options.mounts);
    berth_schedule_free(schedule);
    return 0;
}

static berth_contract *make_contract(void)
{
    const char *const patterns[] = {"*.key"};
    const struct berth_mount mount = {.guest = "/logs", .host = "/logs", .hide = patterns, .n_hide = 1};
    berth_contract *contract;
    if (berth_contract_new(&contract, NULL) != BERTH_OK ||
        berth_contract_set(contract, "grants.watch", "true", "test", NULL) != BERTH_OK ||
        berth_contract_set(contract, "grants.events", "true", "test", NULL) != BERTH_OK ||
        berth_contract_add_mount(contract, &mount, "test", NULL) != BERTH_OK)
        return NULL;
    return contract;
}

static int be_confined(const char *guest, int change, berth_outcome_kind expected)
{
    int artifact = make_artifact(guest), directory = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    struct berth_engine_options options;
    struct berth_outcome outcome = {0};
    berth_engine *engine;
    berth_module *module;
    berth_error *error = NULL;
    berth_contract *contract = make_contract();
    berth_engine_options_init(&options);
    options.cache = false;
    if (artifact < 0 || directory < 0 || !contract)
        return failed("start", NULL);
    if (berth_engine_new(&options, &engine, &error) != BERTH_OK)
        return failed("engine", error);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return failed("privileges", NULL);
    int r = confine_files(directory);
    if (r != 0)
        return r;
    if (confine_calls() != 0)
        return failed("filter", NULL);
    if (berth_module_import(engine, artifact, "guest.wasm", &module, &error) != BERTH_OK)
        return failed("import", error);
    r = run_guest(engine, module, contract, directory, change, &outcome);
    berth_module_unref(module);
    berth_contract_unref(contract);
    berth_engine_unref(engine);
    if (r == 0 && (outcome.kind != expected || (expected == BERTH_OUTCOME_EXITED && outcome.exit_code != 0)))
        r = 10 + (int)outcome.exit_code;
    return r;
}

/* ---- Tests -------------------------------------------------------------------------------------- */

static void make_file(const char *name)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", root, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("hello\n", file);
    fclose(file);
}

static int make_root(void **state)
{
    char link[96];
    (void)state;
    snprintf(root, sizeof(root), "/tmp/berth-confined-XXXXXX");
    assert_non_null(mkdtemp(root));
    make_file("visible");
    make_file("secret.key");
    snprintf(link, sizeof(link), "%s/out", root);
    return symlink("/etc/passwd", link);
}

static int remove_root(void **state)
{
    char command[96];
    (void)state;
    snprintf(command, sizeof(command), "rm -r %s", root);
    return system(command);
}

static void run_confined(const char *guest, berth_outcome_kind expected)
{
    int change[2], status;
    char byte;
    assert_int_equal(pipe2(change, O_CLOEXEC), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(be_confined(guest, change[1], expected));
    close(change[1]);
    if (read(change[0], &byte, 1) == 1)
        make_file("new");
    close(change[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFSIGNALED(status))
        fail_msg("the guest's host died of signal %d", WTERMSIG(status));
    if (WEXITSTATUS(status) == NO_LANDLOCK)
        skip();
    assert_int_equal(WEXITSTATUS(status), WELL);
}

static void a_guest_works_where_no_path_can_be_opened(void **state)
{
    (void)state;
    run_confined("watches_its_directory", BERTH_OUTCOME_EXITED);
}

static void a_guest_traps_there_as_anywhere(void **state)
{
    (void)state;
    run_confined("reaches_past_memory", BERTH_OUTCOME_TRAPPED);
    run_confined("recurses_forever", BERTH_OUTCOME_TRAPPED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_guest_works_where_no_path_can_be_opened),
        cmocka_unit_test(a_guest_traps_there_as_anywhere),
    };
    return cmocka_run_group_tests(tests, make_root, remove_root);
}
