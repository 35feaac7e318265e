/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See compile_queue.h. A job is one module that somebody waits for; all who ask for it at the same time share
 * it. It is looked up in the cache of the compiler process first, and compiled if it is not there and its
 * bytes are here. For each of the two there are turns: a job waits in the line of everyone who asked for it,
 * and begins when the first of them has a turn; so nobody waits behind the modules of another who happens to
 * want the same one.
 *
 * Messages are bounded by the number of jobs at work, so the socket has room for each of them; one that does
 * not fit means that the other side does not listen any more.
 */
#include "node/compile/compile_queue.h"

#include <errno.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "node/compile/artifacts.h"
#include "node/compile/compile_channel.h"
#include "node/compile/turns.h"

enum {
    ARTIFACTS_KEPT = 64,
    ARTIFACTS_KEPT_MB = 256,
    LOOK_UPS_AT_A_TIME = 32,
    LOOK_UPS_EACH = 8,            /* of one principal at a time */
    LOOK_UPS_WAITING_EACH = 1000, /* not less than a principal may have runs */
    ANSWERS_AT_A_TIME = 32,       /* so that the loop has other things to do as well */
};

enum job_phase { JOB_WAITS_FOR_LOOK_UP, JOB_LOOKED_UP, JOB_WAITS_FOR_COMPILER, JOB_COMPILED };

TAILQ_HEAD(request_list, compile_request);

struct job {
    TAILQ_ENTRY(job) next;
    enum job_phase phase;
    uint64_t id;               /* of the message that it waits to be answered */
    struct turn_taker *charge; /* whose place it has while it is at work */
    bool abandoned;            /* nobody waits for it any more, but it is still at work */
    struct request_list requests;
    int module; /* memory file; -1: asked for by hash alone */
    uint8_t sha256[32];
    char name[COMPILE_NAME_BYTES];
};

struct compile_request {
    TAILQ_ENTRY(compile_request) next;
    struct request_list *list; /* that it is in */
    struct compile_queue *queue;
    struct job *job;  /* NULL: it is about to be answered */
    struct turn turn; /* in a line while the job waits */
    compile_done_fn *done;
    void *payload;
    char principal[];
};

/* One connection to a compiler process. */
struct link {
    uv_poll_t poll;
    int socket;
    bool broken; /* the loop will find that it is at its end */
};

struct compile_queue {
    uv_loop_t *loop;
    struct link *link; /* NULL: there is no compiler process now */
    TAILQ_HEAD(, job) jobs;
    struct turns look_ups, compilations;
    struct artifacts artifacts;
    uint64_t next_id;
    struct compile_queue_counts counts;
};

/* ---- Requests ----------------------------------------------------------------------------------- */

static struct compile_request *request_new(struct compile_queue *queue, const char *principal,
                                           compile_done_fn *done, void *payload)
{
    size_t size = strlen(principal) + 1;
    struct compile_request *request = calloc(1, sizeof(*request) + size);
    if (!request)
        return NULL;
    request->queue = queue;
    request->done = done;
    request->payload = payload;
    memcpy(request->principal, principal, size);
    return request;
}

static void move_request(struct compile_request *request, struct request_list *to)
{
    if (request->list)
        TAILQ_REMOVE(request->list, request, next);
    request->list = to;
    TAILQ_INSERT_TAIL(to, request, next);
}

static struct turns *turns_of(struct compile_queue *queue, const struct job *job)
{
    return job->phase == JOB_WAITS_FOR_LOOK_UP ? &queue->look_ups : &queue->compilations;
}

static bool job_waits(const struct job *job)
{
    return job->phase == JOB_WAITS_FOR_LOOK_UP || job->phase == JOB_WAITS_FOR_COMPILER;
}

/* Those who are told may ask for more and cancel others, also of this list. */
static void answer_all(struct request_list *requests, enum compile_result result, int artifact, bool compiled,
                       const char *sentence)
{
    struct compile_request *request;
    while ((request = TAILQ_FIRST(requests))) {
        TAILQ_REMOVE(requests, request, next);
        request->done(request->payload, result, artifact, compiled, sentence);
        free(request);
    }
}

/* ---- Jobs --------------------------------------------------------------------------------------- */

static struct job *job_new(struct compile_queue *queue, const uint8_t *sha256, const char *name)
{
    struct job *job = calloc(1, sizeof(*job));
    struct compile_message message;
    if (!job)
        return NULL;
    TAILQ_INIT(&job->requests);
    job->module = -1;
    memcpy(job->sha256, sha256, sizeof(job->sha256));
    compile_message_set_text(&message, name, sizeof(job->name));
    memcpy(job->name, message.text, strlen(message.text) + 1);
    TAILQ_INSERT_TAIL(&queue->jobs, job, next);
    return job;
}

static void job_free(struct compile_queue *queue, struct job *job)
{
    TAILQ_REMOVE(&queue->jobs, job, next);
    close_keeping_errno(job->module);
    free(job);
}

static struct job *find_job(const struct compile_queue *queue, const uint8_t *sha256)
{
    struct job *job;
    TAILQ_FOREACH(job, &queue->jobs, next)
    if (!job->abandoned && memcmp(job->sha256, sha256, sizeof(job->sha256)) == 0)
        return job;
    return NULL;
}

static struct job *find_at_work(const struct compile_queue *queue, uint64_t id)
{
    struct job *job;
    TAILQ_FOREACH(job, &queue->jobs, next)
    if (!job_waits(job) && job->id == id)
        return job;
    return NULL;
}

/* Gives its place back. */
static void job_leaves_work(struct compile_queue *queue, struct job *job)
{
    turns_finish(job->phase == JOB_LOOKED_UP ? &queue->look_ups : &queue->compilations, job->charge);
    job->charge = NULL;
    queue->counts.working--;
}

/* The job is over. */
static void job_end(struct compile_queue *queue, struct job *job, enum compile_result result, int artifact,
                    bool compiled, const char *sentence)
{
    struct request_list requests = TAILQ_HEAD_INITIALIZER(requests);
    struct compile_request *request;
    while ((request = TAILQ_FIRST(&job->requests))) {
        move_request(request, &requests);
        request->job = NULL;
    }
    job_free(queue, job);
    answer_all(&requests, result, artifact, compiled, sentence);
}

/* ---- To the compiler process -------------------------------------------------------------------- */

/* What cannot be sent is lost with the link; the loop finds out, so that nobody is answered from inside of a
 * question. */
static void send_to_compiler(struct link *link, enum compile_message_kind kind, const struct job *job)
{
    struct compile_message message = {.kind = kind, .id = job->id};
    memcpy(message.sha256, job->sha256, sizeof(message.sha256));
    if (kind != COMPILE_MESSAGE_CANCEL)
        memcpy(message.text, job->name, sizeof(job->name));
    int module = kind == COMPILE_MESSAGE_COMPILE ? job->module : -1;
    if (compile_channel_send(link->socket, &message, module, MSG_DONTWAIT) == 0)
        return;
    shutdown(link->socket, SHUT_RDWR);
    link->broken = true;
}

static bool is_linked(const struct compile_queue *queue)
{
    return queue->link && !queue->link->broken;
}

/* Begins the job of whoever is next. False: nobody is. */
static bool begin_next(struct compile_queue *queue, struct turns *turns, enum compile_message_kind kind)
{
    struct compile_request *request;
    struct turn_taker *taker;
    struct turn *turn = is_linked(queue) ? turns_begin(turns, &taker) : NULL;
    if (!turn)
        return false;
    request = (struct compile_request *)((char *)turn - offsetof(struct compile_request, turn));
    struct job *job = request->job;
    job->charge = taker;
    job->id = queue->next_id++;
    job->phase = kind == COMPILE_MESSAGE_LOOK_UP ? JOB_LOOKED_UP : JOB_COMPILED;
    queue->counts.working++;
    TAILQ_FOREACH(request, &job->requests, next)
    turns_leave(turns, &request->turn);
    send_to_compiler(queue->link, kind, job);
    return true;
}

static void advance(struct compile_queue *queue)
{
    while (begin_next(queue, &queue->look_ups, COMPILE_MESSAGE_LOOK_UP))
        ;
    while (begin_next(queue, &queue->compilations, COMPILE_MESSAGE_COMPILE))
        ;
}

/* ---- The link ----------------------------------------------------------------------------------- */

static void on_closed(uv_handle_t *handle)
{
    struct link *link = (struct link *)handle;
    close_keeping_errno(link->socket);
    free(link);
}

static void close_link(struct compile_queue *queue)
{
    if (!queue->link)
        return;
    uv_close((uv_handle_t *)&queue->link->poll, on_closed);
    queue->link = NULL;
}

/* What was at work is lost; what waits goes on waiting for another compiler process. */
static void lose_link(struct compile_queue *queue)
{
    struct job *job;
    close_link(queue);
    do {
        TAILQ_FOREACH(job, &queue->jobs, next)
        if (!job_waits(job))
            break;
        if (job) {
            job_leaves_work(queue, job);
            job_end(queue, job, COMPILE_LOST, -1, false, "the compiler process ended; try again");
        }
    } while (job);
}

/* ---- From the compiler process ------------------------------------------------------------------ */

/* It is in no cache: now it waits to be compiled, for each that asked and has room in its line. */
static void await_compiler(struct compile_queue *queue, struct job *job)
{
    struct request_list rejected = TAILQ_HEAD_INITIALIZER(rejected);
    struct compile_request *request, *following;
    job->phase = JOB_WAITS_FOR_COMPILER;
    for (request = TAILQ_FIRST(&job->requests); request; request = following) {
        following = TAILQ_NEXT(request, next);
        if (turns_wait(&queue->compilations, request->principal, &request->turn) == 0)
            continue;
        move_request(request, &rejected);
        request->job = NULL;
    }
    if (TAILQ_EMPTY(&job->requests))
        job_free(queue, job);
    answer_all(&rejected, COMPILE_QUEUE_FULL, -1, false,
               "too many modules of this caller wait to be compiled");
}

static void take_answer(struct compile_queue *queue, struct job *job, const struct compile_message *message,
                        int artifact)
{
    bool looked_up = job->phase == JOB_LOOKED_UP;
    job_leaves_work(queue, job);
    if (message->result == COMPILE_READY) {
        artifacts_keep(&queue->artifacts, job->sha256, artifact);
        queue->counts.compiled_total += message->compiled;
        queue->counts.cache_hits_total += !message->compiled;
    }
    queue->counts.refused_total += message->result == COMPILE_REFUSED_MODULE;
    if (job->abandoned)
        job_free(queue, job);
    else if (looked_up && message->result == COMPILE_UNKNOWN && job->module >= 0)
        await_compiler(queue, job);
    else
        job_end(queue, job, (enum compile_result)message->result, artifact, message->compiled, message->text);
}

/* False: there is nothing more to be heard now. */
static bool hear(struct compile_queue *queue)
{
    struct compile_message message;
    cleanup_close int artifact = -1;
    int r = compile_channel_receive(queue->link->socket, &message, &artifact, MSG_DONTWAIT);
    if (r == -EAGAIN)
        return false;
    struct job *job = NULL;
    if (r == 0 && message.kind == COMPILE_MESSAGE_ANSWER)
        job = find_at_work(queue, message.id);
    /* It has gone, or does not keep to what was agreed. */
    if (!job)
        lose_link(queue);
    else
        take_answer(queue, job, &message, artifact);
    return queue->link;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct compile_queue *queue = poll->data;
    (void)events;
    if (status < 0)
        lose_link(queue);
    for (int i = 0; i < ANSWERS_AT_A_TIME && queue->link && hear(queue); i++)
        ;
    advance(queue);
}

/* ---- Life --------------------------------------------------------------------------------------- */

int compile_queue_replace(struct compile_queue *queue, int channel)
{
    lose_link(queue);
    if (channel < 0)
        return 0;
    struct link *link = calloc(1, sizeof(*link));
    int r = link ? uv_poll_init(queue->loop, &link->poll, channel) : -ENOMEM;
    if (r < 0) {
        close_keeping_errno(channel);
        free(link);
        return r;
    }
    link->socket = channel;
    link->poll.data = queue;
    queue->link = link;
    r = uv_poll_start(&link->poll, UV_READABLE, on_readable);
    if (r < 0)
        close_link(queue);
    else
        advance(queue);
    return r;
}

int compile_queue_new(uv_loop_t *loop, int channel, const struct settings *settings,
                      struct compile_queue **ret)
{
    struct compile_queue *queue = calloc(1, sizeof(*queue));
    if (!queue) {
        close_keeping_errno(channel);
        return -ENOMEM;
    }
    queue->loop = loop;
    TAILQ_INIT(&queue->jobs);
    turns_init(&queue->look_ups, LOOK_UPS_AT_A_TIME, LOOK_UPS_EACH, LOOK_UPS_WAITING_EACH);
    turns_init(&queue->compilations, settings->compile_at_a_time, 1, settings->compile_queue_per_principal);
    artifacts_init(&queue->artifacts, ARTIFACTS_KEPT, (uint64_t)ARTIFACTS_KEPT_MB << 20);
    int r = compile_queue_replace(queue, channel);
    if (r < 0) {
        compile_queue_free(queue);
        return r;
    }
    *ret = queue;
    return 0;
}

void compile_queue_free(struct compile_queue *queue)
{
    struct job *job;
    struct compile_request *request;
    if (!queue)
        return;
    close_link(queue);
    while ((job = TAILQ_FIRST(&queue->jobs))) {
        if (!job_waits(job))
            job_leaves_work(queue, job);
        while ((request = TAILQ_FIRST(&job->requests))) {
            turns_leave(turns_of(queue, job), &request->turn);
            TAILQ_REMOVE(&job->requests, request, next);
            free(request);
        }
        job_free(queue, job);
    }
    turns_done(&queue->look_ups);
    turns_done(&queue->compilations);
    artifacts_done(&queue->artifacts);
    free(queue);
}

/* ---- Asking ------------------------------------------------------------------------------------- */

/* Puts the request to the job and, if that waits, into the principal's line. 0, TURNS_FULL or -ENOMEM. */
static int join(struct compile_queue *queue, struct job *job, struct compile_request *request)
{
    int r = job_waits(job) ? turns_wait(turns_of(queue, job), request->principal, &request->turn) : 0;
    if (r != 0)
        return r;
    request->job = job;
    move_request(request, &job->requests);
    return 0;
}

/* The job for this module, with its bytes if there are any. */
static int get_job(struct compile_queue *queue, const struct compile_wish *wish, struct job **ret)
{
    struct job *job = find_job(queue, wish->sha256);
    if (!job && !(job = job_new(queue, wish->sha256, wish->name)))
        return -ENOMEM;
    *ret = job;
    if (!wish->bytes || job->module >= 0)
        return 0;
    job->module = compile_memory_file(wish->bytes, wish->size_bytes);
    return job->module < 0 ? job->module : 0;
}

static void drop_if_unwanted(struct compile_queue *queue, struct job *job)
{
    if (!TAILQ_EMPTY(&job->requests) || job->abandoned)
        return;
    if (job_waits(job)) {
        job_free(queue, job);
        return;
    }
    /* Its place is free when the answer comes. */
    job->abandoned = true;
    if (is_linked(queue))
        send_to_compiler(queue->link, COMPILE_MESSAGE_CANCEL, job);
}

int compile_queue_ask(struct compile_queue *queue, const struct compile_wish *wish, compile_done_fn *done,
                      void *payload, struct compile_request **ret)
{
    struct job *job = NULL;
    int artifact = artifacts_find(&queue->artifacts, wish->sha256);
    *ret = NULL;
    if (artifact >= 0) {
        queue->counts.cache_hits_total++;
        done(payload, COMPILE_READY, artifact, false, "");
        return 0;
    }
    cleanup_free struct compile_request *request = request_new(queue, wish->principal, done, payload);
    if (!request)
        return -ENOMEM;
    int r = get_job(queue, wish, &job);
    if (r == 0)
        r = join(queue, job, request);
    if (r != 0) {
        if (job)
            drop_if_unwanted(queue, job);
        if (r == TURNS_FULL)
            done(payload, COMPILE_QUEUE_FULL, -1, false,
                 "too many modules of this caller wait to be compiled");
        return r == TURNS_FULL ? 0 : -ENOMEM;
    }
    *ret = take_ptr(request);
    advance(queue);
    return 0;
}

void compile_request_cancel(struct compile_request *request)
{
    struct compile_queue *queue = request->queue;
    struct job *job = request->job;
    if (job)
        turns_leave(turns_of(queue, job), &request->turn);
    TAILQ_REMOVE(request->list, request, next);
    free(request);
    if (!job)
        return;
    drop_if_unwanted(queue, job);
    advance(queue);
}

void compile_queue_counts(const struct compile_queue *queue, struct compile_queue_counts *ret)
{
    *ret = queue->counts;
    ret->waiting = (uint32_t)(queue->look_ups.n_waiting + queue->compilations.n_waiting);
}
