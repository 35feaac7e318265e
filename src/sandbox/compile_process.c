/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See compile_process.h; the protocol is in compile.h.
 *
 * The process says itself how it ends (a report in its result file, written by signal handlers if need be),
 * because an exit status gets lost when the embedder ignores SIGCHLD or waits for any child. The status is a
 * second witness for the cases in which a process cannot speak: SIGKILL, or not being started at all.
 */
#include "sandbox/compile_process.h"

#include <berth/version.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/checked_math.h"
#include "base/clock.h"

/* The system said no: what failed, and errno in words. */
static int fail(int negative_errno, struct text *reason, const char *what)
{
    char description[128];
    text_append_format(reason, "%s: %s", what, strerror_r(-negative_errno, description, sizeof(description)));
    return negative_errno;
}

/* ---- The program -------------------------------------------------------------------------------- */

/* The directory of the file that holds this code: libberth.so, or a program that is linked with it
 * statically. */
static int own_directory(char *buffer, size_t capacity)
{
    char path[PATH_MAX];
    Dl_info info;
    if (capacity < sizeof(path) || !dladdr((void *)(uintptr_t)compile_process_run, &info) || !info.dli_fname)
        return -ENOENT;
    /* A program found through PATH is known to the loader by its bare name. */
    const char *name = strchr(info.dli_fname, '/') ? info.dli_fname : "/proc/self/exe";
    if (!realpath(name, path))
        return -errno;
    *strrchr(path, '/') = '\0';
    snprintf(buffer, capacity, "%s", path);
    return 0;
}

/* Beside the library, as in a build directory; where `make install` puts it, seen from the library, so that a
 * moved installation works; where it was to be installed when this was built. */
static int find_program(struct text *ret_path)
{
    static const char *const places[] = {"berth-compiler", "../libexec/berth/berth-compiler",
                                         "../../libexec/berth/berth-compiler"};
    char directory[PATH_MAX];
    int r = own_directory(directory, sizeof(directory));
    for (size_t i = 0; r == 0 && i < sizeof(places) / sizeof(places[0]); i++) {
        text_done(ret_path);
        text_append_format(ret_path, "%s/%s", directory, places[i]);
        if (!ret_path->failed && access(ret_path->data, X_OK) == 0)
            return 0;
    }
    text_done(ret_path);
#ifdef BERTH_COMPILER_PATH
    text_append(ret_path, BERTH_COMPILER_PATH);
#else
    text_append_format(ret_path, "%s/berth-compiler", r == 0 ? directory : ".");
#endif
    return ret_path->failed ? -ENOMEM : 0;
}

/* ---- Memory files ------------------------------------------------------------------------------- */

/* Never 0, 1 or 2, even if the embedder has closed those: the child's are put there one after the other. */
static int memory_file(const char *name)
{
    cleanup_close int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return -errno;
    if (fd > COMPILE_PRINTED_FD)
        return take_fd(&fd);
    int moved = fcntl(fd, F_DUPFD_CLOEXEC, COMPILE_PRINTED_FD + 1);
    return moved < 0 ? -errno : moved;
}

static int seal(int fd)
{
    int seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
    return fcntl(fd, F_ADD_SEALS, seals) < 0 ? -errno : 0;
}

static int write_all(int fd, const uint8_t *bytes, size_t size_bytes)
{
    while (size_bytes > 0) {
        ssize_t written = write(fd, bytes, size_bytes);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return -errno;
        bytes += written;
        size_bytes -= (size_t)written;
    }
    return 0;
}

struct compile_files {
    int module, result, printed;
};

static void compile_files_done(struct compile_files *files)
{
    close_keeping_errno(files->module);
    close_keeping_errno(files->result);
    close_keeping_errno(files->printed);
}

static int compile_files_init(struct compile_files *files, const uint8_t *wasm, size_t size_bytes)
{
    files->module = memory_file("berth-module");
    files->result = memory_file("berth-machine-code");
    files->printed = memory_file("berth-compiler-stderr");
    int r = files->module < 0    ? files->module
            : files->result < 0  ? files->result
            : files->printed < 0 ? files->printed
                                 : 0;
    if (r == 0)
        r = write_all(files->module, wasm, size_bytes);
    return r < 0 ? r : seal(files->module);
}

/* ---- Start and end ------------------------------------------------------------------------------ */

static int spawn(const char *program, char *const *arguments, const struct compile_files *files,
                 pid_t *ret_pid)
{
    static char *const no_environment[] = {NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t all, none;
    sigfillset(&all);
    sigemptyset(&none);
    int r = posix_spawn_file_actions_init(&actions);
    if (r != 0)
        return -r;
    r = posix_spawnattr_init(&attributes);
    if (r == 0) {
        posix_spawnattr_setsigdefault(&attributes, &all);
        posix_spawnattr_setsigmask(&attributes, &none);
        r = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
        if (r == 0)
            r = posix_spawn_file_actions_adddup2(&actions, files->module, COMPILE_MODULE_FD);
        if (r == 0)
            r = posix_spawn_file_actions_adddup2(&actions, files->result, COMPILE_RESULT_FD);
        if (r == 0)
            r = posix_spawn_file_actions_adddup2(&actions, files->printed, COMPILE_PRINTED_FD);
        if (r == 0)
            r = posix_spawn(ret_pid, program, &actions, &attributes, arguments, no_environment);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&actions);
    return -r;
}

static int start(const char *program, const struct engine_settings *settings,
                 const struct compile_limits *limits, const struct compile_files *files, pid_t *ret_pid)
{
    char settings_text[64], memory_mb[16], cpu_seconds[16];
    char name[] = "berth-compiler", version[] = BERTH_VERSION;
    engine_settings_format(settings, settings_text, sizeof(settings_text));
    snprintf(memory_mb, sizeof(memory_mb), "%" PRIu32, limits->memory_mb);
    snprintf(cpu_seconds, sizeof(cpu_seconds), "%" PRIu32, limits->cpu_seconds);
    char *const arguments[] = {name, version, settings_text, memory_mb, cpu_seconds, NULL};
    return spawn(program, arguments, files, ret_pid);
}

struct process_end {
    bool timed_out, cancelled;
    bool status_known; /* false: someone else took it */
    int code;          /* CLD_EXITED or CLD_KILLED, ... of waitid(2) */
    int status;
};

/* Waits until the process is over, kills it at the deadline or on cancel, and reaps it unless that has been
 * done. */
static void await(int pidfd, int cancel, uint32_t wall_seconds, struct process_end *ending)
{
    const uint64_t deadline_ns = saturating_add_u64(clock_monotonic_ns(), wall_seconds * NS_PER_S);
    struct pollfd wanted[2] = {{.fd = pidfd, .events = POLLIN}, {.fd = cancel, .events = POLLIN}};
    for (;;) {
        bool killed = ending->timed_out || ending->cancelled;
        uint64_t now_ns = clock_monotonic_ns();
        uint64_t left_ms = now_ns < deadline_ns ? (deadline_ns - now_ns) / NS_PER_MS + 1 : 0;
        int n = killed ? poll(wanted, 1, -1) : poll(wanted, 2, left_ms > INT_MAX ? INT_MAX : (int)left_ms);
        if ((n > 0 && wanted[0].revents) || (n < 0 && errno != EINTR))
            break;
        if (killed || (n == 0 && clock_monotonic_ns() < deadline_ns) || n < 0)
            continue;
        syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
        ending->cancelled = n > 0;
        ending->timed_out = n == 0;
    }
    siginfo_t info = {0};
    int r;
    do
        r = waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED);
    while (r < 0 && errno == EINTR);
    ending->status_known = r == 0;
    ending->code = info.si_code;
    ending->status = info.si_status;
}

static int supervise(pid_t pid, int cancel, uint32_t wall_seconds, struct process_end *ret_ending)
{
    *ret_ending = (struct process_end){0};
    cleanup_close int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (pidfd >= 0) {
        await(pidfd, cancel, wall_seconds, ret_ending);
        return 0;
    }
    if (errno == ESRCH) /* over and reaped by someone else */
        return 0;
    int saved = errno;
    kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    return -saved;
}

/* ---- What came of it ---------------------------------------------------------------------------- */

static bool printed(int fd, const char *words)
{
    char head[4096];
    ssize_t length = pread(fd, head, sizeof(head), 0);
    return length > 0 && memmem(head, (size_t)length, words, strlen(words));
}

static int refuse_for_memory(const struct compile_limits *limits, struct text *reason)
{
    text_append_format(reason, "compiling it takes more than %" PRIu32 " MiB of memory", limits->memory_mb);
    return COMPILE_REFUSED;
}

static int judge_signal(const struct compile_report *report, int printed_fd,
                        const struct compile_limits *limits, struct text *reason)
{
    const uint32_t number = report->signal;
    if (number == SIGXCPU) {
        text_append_format(reason, "compiling it takes more than %" PRIu32 " s of CPU time",
                           limits->cpu_seconds);
        return COMPILE_REFUSED;
    }
    if (number == SIGSYS) {
        text_append_format(reason,
                           "the compiler made a system call that its filter does not allow (%" PRIu32 ")",
                           report->system_call);
        return -EPERM;
    }
    /* What Rust's standard library prints before it aborts. */
    if (number == SIGABRT && printed(printed_fd, "memory allocation of"))
        return refuse_for_memory(limits, reason);
    text_append_format(reason, "the compiler crashed on it (signal %" PRIu32 ")", number);
    return COMPILE_REFUSED;
}

static int judge_silence(const struct process_end *ending, struct text *reason)
{
    if (ending->status_known && ending->code != CLD_EXITED)
        text_append_format(reason, "the compiler was stopped from outside (signal %d)", ending->status);
    else if (ending->status_known)
        text_append_format(reason, "the compiler ended without a word (status %d)", ending->status);
    else
        text_append(reason, "the compiler ended without a word");
    return -EIO;
}

static int map_code(int fd, const struct compile_report *report, struct machine_code *ret_code,
                    struct text *reason)
{
    struct stat status;
    int r = seal(fd);
    if (r == 0 && fstat(fd, &status) < 0)
        r = -errno;
    if (r == 0 && (report->code_bytes == 0 || status.st_size < COMPILE_CODE_OFFSET ||
                   report->code_bytes > (uint64_t)status.st_size - COMPILE_CODE_OFFSET))
        r = -EPROTO;
    void *mapping = MAP_FAILED;
    if (r == 0)
        mapping = mmap(NULL, report->code_bytes, PROT_READ, MAP_PRIVATE, fd, COMPILE_CODE_OFFSET);
    if (r == 0 && mapping == MAP_FAILED)
        r = -errno;
    if (r < 0)
        return fail(r, reason, "the compiler's result cannot be read");
    *ret_code = (struct machine_code){.bytes = mapping,
                                      .size_bytes = report->code_bytes,
                                      .mapping = mapping,
                                      .mapping_bytes = report->code_bytes};
    return 0;
}

static int judge(const struct compile_files *files, const struct process_end *ending,
                 const struct compile_limits *limits, struct machine_code *ret_code, struct text *reason)
{
    struct compile_report report = {0};
    if (pread(files->result, &report, sizeof(report), 0) != (ssize_t)sizeof(report))
        report = (struct compile_report){0};
    size_t length = strnlen(report.message, sizeof(report.message));
    switch (report.kind) {
    case COMPILE_REPORT_DONE:
        return map_code(files->result, &report, ret_code, reason);
    case COMPILE_REPORT_SIGNAL:
        return judge_signal(&report, files->printed, limits, reason);
    case COMPILE_REPORT_MEMORY:
        return refuse_for_memory(limits, reason);
    case COMPILE_REPORT_NOT_TAKEN:
        text_append(reason, "the compiler does not take it: ");
        compile_append_message(reason, report.message, length);
        return COMPILE_REFUSED;
    case COMPILE_REPORT_FAILED:
        text_append(reason, "the compiler failed: ");
        compile_append_message(reason, report.message, length);
        return -EIO;
    default:
        break;
    }
    if (!ending->timed_out)
        return judge_silence(ending, reason);
    text_append_format(reason, "compiling it takes longer than %" PRIu32 " s", limits->wall_seconds);
    return COMPILE_REFUSED;
}

int compile_process_run(const char *program, const struct engine_settings *settings,
                        const struct compile_limits *limits, const uint8_t *wasm, size_t size_bytes,
                        int cancel, struct machine_code *ret_code, struct text *reason)
{
    cleanup_text struct text path = {0};
    int r = 0;
    if (program)
        text_append(&path, program);
    else
        r = find_program(&path);
    if (r < 0 || path.failed)
        return r < 0 ? r : -ENOMEM;

    cleanup(compile_files_done) struct compile_files files = {-1, -1, -1};
    r = compile_files_init(&files, wasm, size_bytes);
    if (r < 0)
        return fail(r, reason, "the compiler cannot be given its files");
    pid_t pid;
    r = start(path.data, settings, limits, &files, &pid);
    if (r < 0) {
        text_append(reason, "the compiler program ");
        text_append_escaped(reason, path.data, path.length, PATH_MAX);
        return fail(r, reason, " does not start");
    }
    struct process_end ending;
    r = supervise(pid, cancel, limits->wall_seconds, &ending);
    if (r < 0)
        return fail(r, reason, "the compiler cannot be waited for");
    if (ending.cancelled)
        return COMPILE_CANCELLED;
    return judge(&files, &ending, limits, ret_code, reason);
}
