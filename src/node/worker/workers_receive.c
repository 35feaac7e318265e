/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a worker says. It is not trusted: a run that it does not have, output that it has no credit for, or a
 * word out of turn ends it. Form was checked by channel_decode(); here is what needs memory of what was
 * agreed.
 */
#include <string.h>

#include "node/worker/workers_inside.h"

static struct worker_run *find_run(const struct worker_link *link, uint32_t number)
{
    return number < link->n_numbers ? link->runs[number] : NULL;
}

/* ---- Greeting --------------------------------------------------------------------------------------- */

static const char *take_hello(struct worker_link *link, const struct channel_hello *hello)
{
    if (link->n_unheard != UINT32_MAX)
        return "it says hello twice";
    link->n_unheard = hello->n_alive;
    if (hello->n_alive == 0)
        link->state = LINK_UP;
    return NULL;
}

static bool is_adopted(const struct workers *workers, const char *run_id)
{
    struct worker_run *run;
    LIST_FOREACH(run, &workers->adopted, among_adopted)
    if (strcmp(run->run_id, run_id) == 0)
        return true;
    return false;
}

static bool adopt(struct worker_link *link, struct worker_run *run)
{
    struct workers *workers = link->workers;
    const struct workers_options *options = &workers->options;
    if (!options->adopt || is_adopted(workers, run->run_id) ||
        !options->adopt(options->owner, run->run_id, run, &run->events_to, &run->payload))
        return false;
    run->adopted = true;
    LIST_INSERT_HEAD(&workers->adopted, run, among_adopted);
    return true;
}

static const char *take_alive(struct worker_link *link, const struct channel_alive *alive)
{
    struct worker_run *run;
    if (link->state != LINK_GREETING || link->n_unheard == UINT32_MAX || link->n_unheard == 0)
        return "it has more runs than it said";
    run = calloc(1, sizeof(*run));
    if (!run || link_add_run(link, run) < 0) {
        free(run);
        return "there is no memory for its runs";
    }
    memcpy(run->run_id, alive->run_id, sizeof(run->run_id));
    struct channel_adopt answer = {
        .header = {.kind = CHANNEL_ADOPT, .run = run->number},
        .ticket = alive->ticket,
        .keep = adopt(link, run),
    };
    if (!answer.keep)
        link_remove_run(link, run);
    if (--link->n_unheard == 0)
        link->state = LINK_UP;
    if (link_send(link, &answer, sizeof(answer), NULL, 0, NULL, 0) < 0)
        return "there is no memory for its runs";
    if (!answer.keep)
        return NULL;
    run->told = true;
    link_tell(run);
    return NULL;
}

/* ---- Runs ------------------------------------------------------------------------------------------- */

static const char *take_bytes(struct worker_run *run, int stream, const uint8_t *bytes, size_t size_bytes)
{
    uint64_t *credit = &run->credit_bytes[stream - 1];
    if (size_bytes > *credit)
        return "more output than it had credit for";
    *credit -= size_bytes;
    if (size_bytes > 0)
        run->events_to->output(run->payload, stream, bytes, size_bytes);
    return NULL;
}

/* The callback may look at outcome and usage while it lasts. */
static const char *take_ended(struct worker_link *link, struct worker_run *run,
                              const struct channel_message *message)
{
    const struct channel_ended *ended = &message->of.ended;
    struct channel_ending parts;
    channel_ending(message, &parts);
    const char *fault = take_bytes(run, 1, parts.output, ended->output_bytes);
    if (!fault)
        fault = take_bytes(run, 2, parts.errors, ended->errors_bytes);
    if (fault)
        return fault;
    const struct berth_outcome outcome = {
        .kind = (berth_outcome_kind)ended->outcome,
        .limit = (berth_limit_kind)ended->limit,
        .exit_code = ended->exit_code,
        .cause = parts.cause,
        .remedy = parts.remedy,
    };
    const struct worker_run_events *events_to = run->events_to;
    void *payload = run->payload;
    link_remove_run(link, run);
    events_to->ended(payload, &outcome, &ended->usage, false);
    return NULL;
}

static const char *take_of_run(struct worker_link *link, const struct channel_message *message)
{
    struct worker_run *run = find_run(link, message->of.header.run);
    if (link->state != LINK_UP)
        return "it speaks before it said hello";
    if (!run)
        return "it has no such run";
    switch ((enum channel_kind)message->of.header.kind) {
    case CHANNEL_OUTPUT:
        return take_bytes(run, (int)message->of.output.stream, message->bytes, message->size_bytes);
    case CHANNEL_EVENT:
        run->events_to->event(run->payload, (const char *)message->bytes, message->size_bytes);
        return NULL;
    case CHANNEL_DENIAL:
        /* Each is a line in the audit log. */
        if (run->n_denials++ >= CHANNEL_DENIALS_MAX)
            return "more denials than are told of a run";
        run->events_to->denial(run->payload, (const char *)message->bytes);
        return NULL;
    case CHANNEL_ENDED:
        return take_ended(link, run, message);
    default:
        return "it says what only the front may say";
    }
}

int link_take(struct worker_link *link, const void *packet, size_t size_bytes, const char **ret_fault)
{
    struct channel_message message;
    const char *fault;
    if (channel_decode(CHANNEL_FROM_WORKER, packet, size_bytes, &message, &fault) == 0) {
        if (message.of.header.kind == CHANNEL_HELLO)
            fault = take_hello(link, &message.of.hello);
        else if (message.of.header.kind == CHANNEL_ALIVE)
            fault = take_alive(link, &message.of.alive);
        else
            fault = take_of_run(link, &message);
    }
    *ret_fault = fault;
    return fault ? 1 : 0;
}
