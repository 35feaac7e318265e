/* SPDX-License-Identifier: Apache-2.0 */
/*
 * berth-compiler: the process that compiles one module and ends. Started by libberth with the arguments
 * VERSION SETTINGS MEMORY_MB CPU_SECONDS; what it reads and writes is in compile.h.
 *
 * It expects that the module makes the compiler misbehave. So it first gives away what it does not need:
 * other descriptors, the right to gain privileges, memory and time beyond the limits, and, once the engine
 * stands, every system call that compiling does not use. If a limit or a crash ends it, a handler says which
 * before it dies.
 */
#include <berth/version.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sysexits.h>
#include <unistd.h>

#include "sandbox/compile.h"

/* GCC and Clang say it differently. A sanitizer's shadow memory and system calls do not fit into any limits.
 */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

enum {
    MIB = 1 << 20,
    RESULT_MAX_MB = 512,
    DESCRIPTORS = 16,
    SIGNAL_STACK_BYTES = 64 << 10,
};

/* ---- Reports ------------------------------------------------------------------------------------ */

static _Noreturn void finish(const struct compile_report *report)
{
    ssize_t written = pwrite(COMPILE_RESULT_FD, report, sizeof(*report), 0);
    _exit(written == (ssize_t)sizeof(*report) ? EX_OK : EX_IOERR);
}

static _Noreturn void finish_with(enum compile_report_kind kind, const char *message, size_t length)
{
    struct compile_report report = {.kind = kind};
    memcpy(report.message, message, length < sizeof(report.message) ? length : sizeof(report.message) - 1);
    finish(&report);
}

static _Noreturn void fail(const char *what)
{
    char message[COMPILE_MESSAGE_BYTES];
    const int number = errno;
    snprintf(message, sizeof(message), "%s: %s", what, strerror(number));
    finish_with(number == ENOMEM ? COMPILE_REPORT_MEMORY : COMPILE_REPORT_FAILED, message, strlen(message));
}

/* abort(3) asks for its signal by tgkill(2), which the filter stops: no signal leaves this process. */
static void on_fatal_signal(int number, siginfo_t *info, void *context)
{
    (void)context;
    bool aborts = number == SIGSYS && info->si_syscall == SYS_tgkill;
    const struct compile_report report = {.kind = COMPILE_REPORT_SIGNAL,
                                          .signal = (uint32_t)(aborts ? SIGABRT : number),
                                          .system_call = number == SIGSYS ? (uint32_t)info->si_syscall : 0};
    finish(&report);
}

/* On a stack of its own: one of the reasons to be here is that the main one is used up. */
static void catch_fatal_signals(void)
{
    static char stack_memory[SIGNAL_STACK_BYTES];
    static const int fatal[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS, SIGXCPU};
    const stack_t stack = {.ss_sp = stack_memory, .ss_size = sizeof(stack_memory)};
    const struct sigaction action = {.sa_sigaction = on_fatal_signal, .sa_flags = SA_ONSTACK | SA_SIGINFO};
    if (sigaltstack(&stack, NULL) < 0)
        fail("sigaltstack");
    for (size_t i = 0; i < sizeof(fatal) / sizeof(fatal[0]); i++)
        if (sigaction(fatal[i], &action, NULL) < 0)
            fail("sigaction");
    signal(SIGXFSZ, SIG_IGN); /* too much code is an error of write(2) then */
}

/* ---- Limits ------------------------------------------------------------------------------------- */

static void limit(int resource, rlim_t soft, rlim_t hard)
{
    struct rlimit old;
    if (getrlimit(resource, &old) < 0)
        fail("getrlimit");
    if (hard > old.rlim_max)
        hard = old.rlim_max;
    const struct rlimit new = {.rlim_cur = soft < hard ? soft : hard, .rlim_max = hard};
    if (setrlimit(resource, &new) < 0)
        fail("setrlimit");
}

static void set_limits(unsigned long memory_mb, unsigned long cpu_seconds)
{
    limit(RLIMIT_CORE, 0, 0);
    limit(RLIMIT_NOFILE, DESCRIPTORS, DESCRIPTORS);
    limit(RLIMIT_FSIZE, RESULT_MAX_MB * (rlim_t)MIB, RESULT_MAX_MB * (rlim_t)MIB);
    /* The main thread's stack grows up to this from now on. */
    limit(RLIMIT_STACK, COMPILE_STACK_BYTES, RLIM_INFINITY);
    /* The second between the two is for the handler of SIGXCPU. */
    limit(RLIMIT_CPU, cpu_seconds, cpu_seconds + 1);
    if (!SANITIZED)
        limit(RLIMIT_AS, memory_mb * (rlim_t)MIB, memory_mb * (rlim_t)MIB);
}

/* The embedder may have leaked descriptors into us, may end before us, and may be privileged. */
static void let_go(void)
{
    if (syscall(SYS_close_range, COMPILE_PRINTED_FD + 1, ~0U, 0) < 0)
        for (int fd = COMPILE_PRINTED_FD + 1; fd < 1024; fd++)
            close(fd);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ||
        prctl(PR_SET_DUMPABLE, 0) < 0)
        fail("prctl");
}

/* ---- System calls ------------------------------------------------------------------------------- */

#if defined(__x86_64__)
#define FILTER_ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define FILTER_ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

#ifdef FILTER_ARCHITECTURE
#define LOAD(member)  BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, member))
#define RETURN(value) BPF_STMT(BPF_RET | BPF_K, (value))
#define ALLOW(call)   BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##call, 0, 1), RETURN(SECCOMP_RET_ALLOW)
/* Asked for by libraries that can do without: which processors there are, which kernel. */
#define DENY(call) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##call, 0, 1), RETURN(SECCOMP_RET_ERRNO | EACCES)

/* Memory, the three files, time, locks and ending. Nothing opens a file or a socket, makes a process, or
 * reaches another one. A call that is not here raises SIGSYS, whose handler reports it. */
static struct sock_filter filter[] = {
    LOAD(arch),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, FILTER_ARCHITECTURE, 1, 0),
    RETURN(SECCOMP_RET_KILL_PROCESS),
    LOAD(nr),
    ALLOW(brk),
    ALLOW(mmap),
    ALLOW(munmap),
    ALLOW(mremap),
    ALLOW(mprotect),
    ALLOW(madvise),
    ALLOW(futex),
    ALLOW(write),
    ALLOW(pwrite64),
    ALLOW(clock_gettime),
    ALLOW(getrandom),
    ALLOW(sched_yield),
    ALLOW(sched_getaffinity),
    ALLOW(membarrier),
    ALLOW(rt_sigaction),
    ALLOW(rt_sigprocmask),
    ALLOW(rt_sigreturn),
    ALLOW(sigaltstack),
    ALLOW(getpid),
    ALLOW(gettid),
    ALLOW(exit),
    ALLOW(exit_group),
    DENY(openat),
    DENY(newfstatat),
    DENY(statx),
    DENY(readlinkat),
    DENY(uname),
    DENY(prctl),
#ifdef SYS_open
    DENY(open),
    DENY(readlink),
    DENY(access),
#endif
    RETURN(SECCOMP_RET_TRAP),
};

/* A kernel without seccomp still has the limits. */
static void filter_system_calls(void)
{
    const struct sock_fprog program = {.len = sizeof(filter) / sizeof(filter[0]), .filter = filter};
    if (!SANITIZED && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0 && errno != EINVAL &&
        errno != ENOSYS)
        fail("seccomp");
}
#else
static void filter_system_calls(void)
{
}
#endif

/* ---- Compiling ---------------------------------------------------------------------------------- */

static _Noreturn void finish_with_error(wasmtime_error_t *error)
{
    wasm_byte_vec_t message;
    wasmtime_error_message(error, &message);
    /* How Rust writes ENOMEM. */
    bool starved = memmem(message.data, message.size, "(os error 12)", 13);
    finish_with(starved ? COMPILE_REPORT_MEMORY : COMPILE_REPORT_NOT_TAKEN, message.data, message.size);
}

static void write_code(const wasm_byte_vec_t *code)
{
    static const char too_large[] = "its machine code is larger than 512 MiB";
    for (size_t done = 0; done < code->size;) {
        ssize_t n = pwrite(COMPILE_RESULT_FD, code->data + done, code->size - done,
                           (off_t)(COMPILE_CODE_OFFSET + done));
        if (n < 0 && errno == EFBIG)
            finish_with(COMPILE_REPORT_NOT_TAKEN, too_large, sizeof(too_large) - 1);
        if (n < 0)
            fail("write");
        done += (size_t)n;
    }
}

static _Noreturn void compile(wasm_engine_t *engine, const uint8_t *wasm, size_t size_bytes)
{
    wasmtime_module_t *module = NULL;
    wasm_byte_vec_t code = {0};
    wasmtime_error_t *error = wasmtime_module_new(engine, wasm, size_bytes, &module);
    if (!error)
        error = wasmtime_module_serialize(module, &code);
    if (error)
        finish_with_error(error);
    write_code(&code);
    const struct compile_report report = {.kind = COMPILE_REPORT_DONE, .code_bytes = code.size};
    finish(&report);
}

static const uint8_t *map_module(size_t *ret_size_bytes)
{
    struct stat status;
    if (fstat(COMPILE_MODULE_FD, &status) < 0 || status.st_size <= 0)
        fail("the module");
    void *mapping = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, COMPILE_MODULE_FD, 0);
    if (mapping == MAP_FAILED)
        fail("the module");
    *ret_size_bytes = (size_t)status.st_size;
    return mapping;
}

int main(int argc, char **argv)
{
    struct engine_settings settings;
    struct stat status;
    if (argc != 5 || fstat(COMPILE_RESULT_FD, &status) < 0 || !S_ISREG(status.st_mode)) {
        fprintf(stderr, "berth-compiler is started by libberth and of no use by itself; see berth(1)\n");
        return EX_USAGE;
    }
    if (strcmp(argv[1], BERTH_VERSION) != 0 || !engine_settings_parse(argv[2], &settings)) {
        static const char other[] = "berth-compiler is of version " BERTH_VERSION ", the library is not";
        finish_with(COMPILE_REPORT_FAILED, other, sizeof(other) - 1);
    }
    let_go();
    catch_fatal_signals();
    set_limits(strtoul(argv[3], NULL, 10), strtoul(argv[4], NULL, 10));

    size_t size_bytes = 0;
    const uint8_t *wasm = map_module(&size_bytes);
    wasm_config_t *config = engine_config_new(&settings);
    wasm_engine_t *engine = config ? wasm_engine_new_with_config(config) : NULL;
    if (!engine)
        fail("the engine");
    /* Again: the engine has its own use for some of the signals. */
    catch_fatal_signals();
    filter_system_calls();
    compile(engine, wasm, size_bytes);
}
