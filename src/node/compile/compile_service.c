/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The compiler process: answers what the front asks (compile_channel.h). One thread listens, one looks
 * modules up in the cache, so that this never waits for a compilation, and as many as may compile at a time
 * wait for the child that does it. Which module is next is not decided here (compile_queue.c).
 *
 * A task is one question. It is in the list of all from when it was asked until it was answered; `lock` is
 * for lists and descriptors of tasks, `sending` for the socket. When the front goes, everything that it asked
 * is cancelled, and what is ready too late is dropped: `front` counts them.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <berth/berth.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "node/compile/compile_channel.h"
#include "node/compile/compile_isolation.h"
#include "node/engine_options.h"
#include "node/front/front_start.h"
#include "node/node.h"
#include "node/process.h"
#include "wire/hash.h"

DEFINE_CLEANUP(berth_module *, berth_module_unref)

struct task {
    TAILQ_ENTRY(task) all, next;
    struct compile_message asked;
    uint64_t front; /* who asked */
    int module;     /* memory file, or -1 */
    int cancel;     /* eventfd */
};

TAILQ_HEAD(task_list, task);

/* A line of tasks and those who work on it. */
struct line {
    struct task_list tasks;
    pthread_cond_t more;
};

struct service {
    berth_engine *engine;
    pthread_mutex_t lock;
    struct task_list all;
    size_t n_tasks;
    struct line look_ups, compilations;
    pthread_mutex_t sending;
    int channel; /* socket to the front, -1: none */
    uint64_t front;
};

/* ---- Tasks -------------------------------------------------------------------------------------- */

static void task_free(struct task *task)
{
    close_keeping_errno(task->module);
    close_keeping_errno(task->cancel);
    free(task);
}

/* Takes the module over. NULL if memory or descriptors are short. */
static struct task *task_new(const struct compile_message *asked, int module, uint64_t front)
{
    struct task *task = malloc(sizeof(*task));
    if (!task) {
        close_keeping_errno(module);
        return NULL;
    }
    *task = (struct task){.asked = *asked, .front = front, .module = module};
    task->cancel = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (task->cancel >= 0)
        return task;
    task_free(task);
    return NULL;
}

static void task_cancel(const struct task *task)
{
    const uint64_t one = 1;
    (void)!write(task->cancel, &one, sizeof(one));
}

/* ---- Answers ------------------------------------------------------------------------------------ */

static void answer(struct service *service, const struct compile_message *asked, uint64_t front,
                   enum compile_result result, bool compiled, const char *sentence, int artifact)
{
    struct compile_message message = {
        .kind = COMPILE_MESSAGE_ANSWER, .id = asked->id, .result = result, .compiled = compiled};
    memcpy(message.sha256, asked->sha256, sizeof(message.sha256));
    compile_message_set_text(&message, sentence, sizeof(message.text));
    pthread_mutex_lock(&service->sending);
    /* If it fails, the front has gone, which the listening thread hears as well. */
    if (service->channel >= 0 && service->front == front)
        (void)compile_channel_send(service->channel, &message, artifact, 0);
    pthread_mutex_unlock(&service->sending);
}

static enum compile_result result_of(berth_status status)
{
    switch (status) {
    case BERTH_OK:
        return COMPILE_READY;
    case BERTH_NOT_FOUND:
        return COMPILE_UNKNOWN;
    case BERTH_REFUSED:
        return COMPILE_REFUSED_MODULE;
    default:
        return COMPILE_LOST;
    }
}

/* Takes the task away. `module` if it could be had. */
static void conclude(struct service *service, struct task *task, berth_status status,
                     const berth_module *module, const berth_error *why)
{
    cleanup_error berth_error *error = NULL;
    cleanup_close int artifact = -1;
    if (status == BERTH_OK) {
        status = berth_module_export(module, &artifact, &error);
        why = error;
    }
    pthread_mutex_lock(&service->lock);
    TAILQ_REMOVE(&service->all, task, all);
    service->n_tasks--;
    pthread_mutex_unlock(&service->lock);
    answer(service, &task->asked, task->front, result_of(status),
           status == BERTH_OK && !berth_module_from_cache(module), berth_error_message(why), artifact);
    task_free(task);
}

/* ---- Work --------------------------------------------------------------------------------------- */

static void look_up(struct service *service, struct task *task)
{
    cleanup_error berth_error *error = NULL;
    cleanup(berth_module_unref_cleanup) berth_module *module = NULL;
    berth_status status =
        berth_module_load_cached(service->engine, task->asked.sha256, task->asked.text, &module, &error);
    conclude(service, task, status, module, error);
}

/* The bytes of a sealed memory file; one that could still change would be another by the time it is used. */
static berth_status map_module(int module, void **ret_bytes, size_t *ret_size_bytes, berth_error **reterr)
{
    const int needed = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
    struct stat status;
    int seals = fcntl(module, F_GET_SEALS);
    if (seals < 0 || (seals & needed) != needed || fstat(module, &status) < 0)
        return error_set(reterr, BERTH_INTERNAL, "the front sent something else than a module");
    if (status.st_size == 0)
        return error_set(reterr, BERTH_REFUSED, "the module is refused: it is empty");
    void *bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, module, 0);
    if (bytes == MAP_FAILED)
        return error_set_errno(reterr, -errno, "the module cannot be mapped");
    *ret_bytes = bytes;
    *ret_size_bytes = (size_t)status.st_size;
    return BERTH_OK;
}

static berth_status load(struct service *service, const struct task *task, const void *bytes,
                         size_t size_bytes, berth_module **ret, berth_error **reterr)
{
    struct berth_module_load_options options;
    uint8_t sha256[HASH_BYTES];
    hash_of(bytes, size_bytes, sha256);
    if (memcmp(sha256, task->asked.sha256, HASH_BYTES) != 0)
        return error_set(reterr, BERTH_REFUSED,
                         "the module is refused: its bytes do not have the SHA-256 that was said");
    berth_module_load_options_init(&options);
    options.cancel_descriptor = task->cancel;
    return berth_module_load_cancellable(service->engine, bytes, size_bytes, task->asked.text, &options, ret,
                                         reterr);
}

static void compile(struct service *service, struct task *task)
{
    cleanup_error berth_error *error = NULL;
    cleanup(berth_module_unref_cleanup) berth_module *module = NULL;
    void *bytes = NULL;
    size_t size_bytes = 0;
    berth_status status = map_module(task->module, &bytes, &size_bytes, &error);
    if (status == BERTH_OK) {
        status = load(service, task, bytes, size_bytes, &module, &error);
        munmap(bytes, size_bytes);
    }
    conclude(service, task, status, module, error);
}

static struct task *next_task(struct service *service, struct line *line)
{
    struct task *task;
    pthread_mutex_lock(&service->lock);
    while (!(task = TAILQ_FIRST(&line->tasks)))
        pthread_cond_wait(&line->more, &service->lock);
    TAILQ_REMOVE(&line->tasks, task, next);
    pthread_mutex_unlock(&service->lock);
    return task;
}

static __attribute__((noreturn)) void *look_up_for_ever(void *argument)
{
    struct service *service = argument;
    for (;;)
        look_up(service, next_task(service, &service->look_ups));
}

static __attribute__((noreturn)) void *compile_for_ever(void *argument)
{
    struct service *service = argument;
    for (;;)
        compile(service, next_task(service, &service->compilations));
}

/* ---- The front ---------------------------------------------------------------------------------- */

static void cancel_tasks(struct service *service, bool all, uint64_t id)
{
    struct task *task;
    pthread_mutex_lock(&service->lock);
    TAILQ_FOREACH(task, &service->all, all)
    if (all || (task->asked.id == id && task->front == service->front))
        task_cancel(task);
    pthread_mutex_unlock(&service->lock);
}

static void add_task(struct service *service, const struct compile_message *asked, int module)
{
    struct line *line = asked->kind == COMPILE_MESSAGE_COMPILE ? &service->compilations : &service->look_ups;
    struct task *task = task_new(asked, module, service->front);
    pthread_mutex_lock(&service->lock);
    bool taken = task && service->n_tasks < COMPILE_ASKED_MAX;
    if (taken) {
        service->n_tasks++;
        TAILQ_INSERT_TAIL(&service->all, task, all);
        TAILQ_INSERT_TAIL(&line->tasks, task, next);
        pthread_cond_signal(&line->more);
    }
    pthread_mutex_unlock(&service->lock);
    if (taken)
        return;
    answer(service, asked, service->front, COMPILE_LOST, false, "the compiler process has no room", -1);
    if (task)
        task_free(task);
}

/* Takes the descriptor over; -1: there is no front now. */
static void set_front(struct service *service, int channel)
{
    /* First of all a thread that still sends to the old one must get its answer. */
    if (service->channel >= 0)
        shutdown(service->channel, SHUT_RDWR);
    cancel_tasks(service, true, 0);
    pthread_mutex_lock(&service->sending);
    close_keeping_errno(service->channel);
    service->channel = channel;
    service->front++;
    pthread_mutex_unlock(&service->sending);
}

static void hear_front(struct service *service)
{
    struct compile_message message;
    cleanup_close int module = -1;
    int r = compile_channel_receive(service->channel, &message, &module, MSG_DONTWAIT);
    if (r == -EAGAIN)
        return;
    /* Gone, or so wrong that it is better taken for gone. */
    if (r != 0 || message.kind == COMPILE_MESSAGE_ANSWER)
        set_front(service, -1);
    else if (message.kind == COMPILE_MESSAGE_CANCEL)
        cancel_tasks(service, false, message.id);
    else
        add_task(service, &message, take_fd(&module));
}

/* ---- The supervisor ----------------------------------------------------------------------------- */

/* False: it has gone. */
static bool hear_supervisor(struct service *service)
{
    struct control_message message;
    cleanup_close int descriptor = -1;
    int r = control_receive(CONTROL_FD, &message, &descriptor);
    if (r == 0 && message.kind == CONTROL_COMPILER && descriptor >= 0)
        set_front(service, take_fd(&descriptor));
    return r == 0 || r == -EAGAIN || r == -EBADMSG;
}

static int serve(struct service *service)
{
    for (;;) {
        struct pollfd wanted[2] = {{.fd = CONTROL_FD, .events = POLLIN},
                                   {.fd = service->channel, .events = POLLIN}};
        if (poll(wanted, 2, -1) < 0) {
            if (errno == EINTR)
                continue;
            return NODE_FAILURE;
        }
        if (wanted[0].revents) {
            if (!hear_supervisor(service))
                return NODE_ENDED;
        } else if (wanted[1].revents) {
            hear_front(service);
        }
    }
}

/* ---- Start -------------------------------------------------------------------------------------- */

/* What the supervisor sends before CONTROL_GO. */
static berth_status receive_start(struct settings **ret_settings, int *ret_channel, berth_error **reterr)
{
    struct control_message message = {0};
    berth_status status = BERTH_OK;
    while (status == BERTH_OK) {
        cleanup_close int descriptor = -1;
        int r = control_receive(CONTROL_FD, &message, &descriptor);
        if (r == 1)
            return error_set(reterr, BERTH_ENDED, "the supervisor has gone");
        if (r < 0)
            return error_set_errno(reterr, r, "the supervisor cannot be understood");
        if (message.kind == CONTROL_GO)
            break;
        if (message.kind == CONTROL_SETTINGS && !*ret_settings)
            status = front_settings_read(take_fd(&descriptor), ret_settings, reterr);
        else if (message.kind == CONTROL_COMPILER && *ret_channel < 0)
            *ret_channel = take_fd(&descriptor);
    }
    if (status == BERTH_OK && !*ret_settings)
        return error_set(reterr, BERTH_INTERNAL, "the supervisor sent no settings");
    return status;
}

static berth_status open_engine(const struct settings *settings, bool *ret_confined, berth_engine **ret,
                                berth_error **reterr)
{
    struct berth_engine_options options;
    node_engine_options(settings, &options);
    options.max_instances = 1;
    /* Before the engine, whose clock is a thread. */
    int r = compile_isolation_harden();
    if (r == 0 && options.cache_directory)
        r = compile_isolation_confine(options.cache_directory, ret_confined);
    if (r < 0)
        return error_set_errno(reterr, r, "the compiler process cannot be confined");
    return berth_engine_new(&options, ret, reterr);
}

static int start_thread(struct service *service, void *(*work)(void *service))
{
    pthread_t thread;
    int r = pthread_create(&thread, NULL, work, service);
    if (r == 0)
        pthread_detach(thread);
    return -r;
}

/* Threads for as many compilations as the engine lets go on, and one for look-ups. */
static int start_threads(struct service *service, uint64_t at_a_time)
{
    int r = start_thread(service, look_up_for_ever);
    for (uint64_t i = 0; r == 0 && i < at_a_time; i++)
        r = start_thread(service, compile_for_ever);
    return r;
}

static void service_init(struct service *service)
{
    *service = (struct service){.channel = -1};
    pthread_mutex_init(&service->lock, NULL);
    pthread_mutex_init(&service->sending, NULL);
    pthread_cond_init(&service->look_ups.more, NULL);
    pthread_cond_init(&service->compilations.more, NULL);
    TAILQ_INIT(&service->all);
    TAILQ_INIT(&service->look_ups.tasks);
    TAILQ_INIT(&service->compilations.tasks);
}

static berth_status start(struct service *service, berth_error **reterr)
{
    cleanup_settings struct settings *settings = NULL;
    int channel = -1;
    bool confined = false;
    berth_status status = receive_start(&settings, &channel, reterr);
    if (channel >= 0)
        set_front(service, channel);
    if (status == BERTH_OK)
        status = open_engine(settings, &confined, &service->engine, reterr);
    if (status != BERTH_OK)
        return status;
    int r = start_threads(service, settings->compile_at_a_time);
    if (r < 0)
        return error_set_errno(reterr, r, "the compiler process has no threads");
    const char *isolation = confined ? "{\"missing\": []}" : "{\"missing\": [\"files\"]}";
    r = control_send(CONTROL_FD, CONTROL_READY, 0, isolation, -1);
    return r < 0 ? error_set_errno(reterr, r, "the supervisor cannot be told") : BERTH_OK;
}

int compiler_service_main(void)
{
    struct service service;
    cleanup_error berth_error *error = NULL;
    service_init(&service);
    if (start(&service, &error) != BERTH_OK) {
        (void)control_send(CONTROL_FD, CONTROL_FAILED, NODE_FAILURE, berth_error_message(error), -1);
        _exit(NODE_FAILURE);
    }
    /* Threads are at work; nothing that they use may be taken down. */
    _exit(serve(&service));
}
