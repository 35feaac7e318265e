/* SPDX-License-Identifier: Apache-2.0 */
/* See compile.h: which way a module is compiled, and the memory of those that were refused. */
#include "sandbox/compile.h"

#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#include "sandbox/compile_process.h"

enum {
    SHA256_BYTES = 32,
    REFUSALS_KEPT = 64,
    MESSAGE_BYTES_SHOWN = 300,
};

/* A ring: the oldest is forgotten first. */
struct refusal {
    uint8_t sha256[SHA256_BYTES];
    char *reason; /* NULL: the slot is free */
};

struct compiler {
    const struct berth_engine_options *options;
    struct engine_settings settings;
    int turns;            /* eventfd that counts the compilations that may still begin; -1: any number may */
    pthread_mutex_t lock; /* of what follows */
    struct refusal refusals[REFUSALS_KEPT];
    size_t next;
};

void machine_code_done(struct machine_code *code)
{
    if (code->mapping)
        munmap(code->mapping, code->mapping_bytes);
    if (code->vector.data)
        wasm_byte_vec_delete(&code->vector);
    *code = (struct machine_code){0};
}

int compiler_new(const struct berth_engine_options *options, const struct engine_settings *settings,
                 struct compiler **ret)
{
    struct compiler *compiler = calloc(1, sizeof(*compiler));
    if (!compiler)
        return -ENOMEM;
    compiler->options = options;
    compiler->settings = *settings;
    pthread_mutex_init(&compiler->lock, NULL);
    compiler->turns = -1;
    if (options->compile_at_a_time) {
        compiler->turns = eventfd(options->compile_at_a_time, EFD_SEMAPHORE | EFD_NONBLOCK | EFD_CLOEXEC);
        if (compiler->turns < 0) {
            int r = -errno;
            compiler_free(compiler);
            return r;
        }
    }
    *ret = compiler;
    return 0;
}

void compiler_free(struct compiler *compiler)
{
    if (!compiler)
        return;
    for (size_t i = 0; i < REFUSALS_KEPT; i++)
        free(compiler->refusals[i].reason);
    pthread_mutex_destroy(&compiler->lock);
    close_keeping_errno(compiler->turns);
    free(compiler);
}

void compile_append_message(struct text *reason, const char *message, size_t length)
{
    char line[MESSAGE_BYTES_SHOWN + 1]; /* one more, so that a cut shows */
    size_t used = 0;
    for (size_t i = 0; i < length && used < sizeof(line); i++) {
        bool blank = message[i] == ' ' || message[i] == '\n';
        if (!blank)
            line[used++] = message[i];
        else if (used > 0 && line[used - 1] != ' ')
            line[used++] = ' ';
    }
    text_append_escaped(reason, line, used, MESSAGE_BYTES_SHOWN);
}

/* ---- Memory of refusals ------------------------------------------------------------------------- */

bool compiler_remembers(struct compiler *compiler, const uint8_t *sha256, struct text *reason)
{
    bool found = false;
    pthread_mutex_lock(&compiler->lock);
    for (size_t i = 0; i < REFUSALS_KEPT && !found; i++) {
        const struct refusal *refusal = &compiler->refusals[i];
        found = refusal->reason && memcmp(refusal->sha256, sha256, SHA256_BYTES) == 0;
        if (found)
            text_append(reason, refusal->reason);
    }
    pthread_mutex_unlock(&compiler->lock);
    return found;
}

void compiler_remember(struct compiler *compiler, const uint8_t *sha256, const char *why)
{
    char *copy = why ? strdup(why) : NULL;
    if (!copy)
        return;
    pthread_mutex_lock(&compiler->lock);
    struct refusal *refusal = &compiler->refusals[compiler->next];
    compiler->next = (compiler->next + 1) % REFUSALS_KEPT;
    free(refusal->reason);
    refusal->reason = copy;
    memcpy(refusal->sha256, sha256, SHA256_BYTES);
    pthread_mutex_unlock(&compiler->lock);
}

/* ---- In this process ---------------------------------------------------------------------------- */

struct in_process {
    wasm_engine_t *engine;
    const uint8_t *wasm;
    size_t size_bytes;
    wasm_byte_vec_t code;
    wasmtime_error_t *error;
};

static void *compile_on_thread(void *argument)
{
    struct in_process *work = argument;
    wasmtime_module_t *module = NULL;
    work->error = wasmtime_module_new(work->engine, work->wasm, work->size_bytes, &module);
    if (!work->error) {
        work->error = wasmtime_module_serialize(module, &work->code);
        wasmtime_module_delete(module);
    }
    return NULL;
}

/* On a thread of its own for its stack; the caller's may be small. */
static int run_on_large_stack(struct in_process *work)
{
    pthread_attr_t attributes;
    pthread_t thread;
    int r = pthread_attr_init(&attributes);
    if (r != 0)
        return -r;
    r = pthread_attr_setstacksize(&attributes, COMPILE_STACK_BYTES);
    if (r == 0)
        r = pthread_create(&thread, &attributes, compile_on_thread, work);
    pthread_attr_destroy(&attributes);
    if (r == 0)
        pthread_join(thread, NULL);
    return -r;
}

static int compile_in_process(wasm_engine_t *engine, const uint8_t *wasm, size_t size_bytes,
                              struct machine_code *ret_code, struct text *reason)
{
    struct in_process work = {.engine = engine, .wasm = wasm, .size_bytes = size_bytes};
    int r = run_on_large_stack(&work);
    if (r < 0) {
        text_append(reason, "there is no thread for the compiler");
        return r;
    }
    if (work.error) {
        wasm_byte_vec_t message;
        wasmtime_error_message(work.error, &message);
        text_append(reason, "the compiler does not take it: ");
        compile_append_message(reason, message.data, message.size);
        wasm_byte_vec_delete(&message);
        wasmtime_error_delete(work.error);
        return COMPILE_REFUSED;
    }
    *ret_code = (struct machine_code){
        .bytes = (const uint8_t *)work.code.data, .size_bytes = work.code.size, .vector = work.code};
    return 0;
}

/* ---- Turns -------------------------------------------------------------------------------------- */

static bool is_cancelled(int cancel)
{
    struct pollfd wanted = {.fd = cancel, .events = POLLIN};
    return cancel >= 0 && poll(&wanted, 1, 0) > 0;
}

/* A turn of the eventfd, which leave() gives back. 0, COMPILE_CANCELLED or a negative errno. */
static int take_turn(struct compiler *compiler, int cancel)
{
    uint64_t one;
    while (compiler->turns >= 0 && !is_cancelled(cancel)) {
        struct pollfd wanted[2] = {{.fd = compiler->turns, .events = POLLIN},
                                   {.fd = cancel, .events = POLLIN}};
        if (read(compiler->turns, &one, sizeof(one)) == (ssize_t)sizeof(one))
            return 0;
        if (errno != EAGAIN && errno != EINTR)
            return -errno;
        if (poll(wanted, 2, -1) < 0 && errno != EINTR)
            return -errno;
    }
    return is_cancelled(cancel) ? COMPILE_CANCELLED : 0;
}

static void leave_turn(struct compiler *compiler)
{
    const uint64_t one = 1;
    ssize_t ignored = compiler->turns >= 0 ? write(compiler->turns, &one, sizeof(one)) : 0;
    (void)ignored; /* what was taken out fits in */
}

/* ---- Either ---------------------------------------------------------------------------------- */

static int run_in_turn(struct compiler *compiler, wasm_engine_t *engine, const uint8_t *wasm,
                       size_t size_bytes, int cancel, struct machine_code *ret_code, struct text *why)
{
    const struct berth_engine_options *options = compiler->options;
    const struct compile_limits limits = {.memory_mb = options->compile_memory_mb,
                                          .cpu_seconds = options->compile_cpu_seconds,
                                          .wall_seconds = options->compile_wall_seconds};
    return options->compile == BERTH_COMPILE_IN_PROCESS
               ? compile_in_process(engine, wasm, size_bytes, ret_code, why)
               : compile_process_run(options->compiler, &compiler->settings, &limits, wasm, size_bytes,
                                     cancel, ret_code, why);
}

int compiler_run(struct compiler *compiler, wasm_engine_t *engine, const uint8_t *sha256, const uint8_t *wasm,
                 size_t size_bytes, int cancel, struct machine_code *ret_code, struct text *reason)
{
    cleanup_text struct text why = {0};
    int r = take_turn(compiler, cancel);
    if (r != 0) {
        if (r < 0)
            text_append(reason, "there is no turn to be had for the compiler");
        return r;
    }
    /* While it waited, the same bytes may have been refused. */
    if (compiler_remembers(compiler, sha256, reason)) {
        leave_turn(compiler);
        return COMPILE_REFUSED;
    }
    r = run_in_turn(compiler, engine, wasm, size_bytes, cancel, ret_code, &why);
    leave_turn(compiler);
    if (why.failed)
        return -ENOMEM;
    if (why.data)
        text_append(reason, why.data);
    if (r == COMPILE_REFUSED)
        compiler_remember(compiler, sha256, why.data);
    return r;
}
