/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest: one run on an instance of its own. It is in the list of all and, while the front has a number for
 * it, in the table by number. One that could not be started is a guest all the same, whose ending is the
 * sentence why.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/checked_math.h"
#include "base/clock.h"
#include "base/error.h"
#include "node/worker/worker.h"

enum { OUTPUT_BUFFER_BYTES = 256 << 10, INPUT_CHUNK_BYTES = 32 << 10 };

/* ---- Numbers ---------------------------------------------------------------------------------------- */

struct guest *guest_find(struct worker *worker, uint32_t number)
{
    return number < worker->n_numbers ? worker->by_number[number] : NULL;
}

static void forget_number(struct guest *guest)
{
    struct worker *worker = guest->worker;
    if (guest_find(worker, guest->number) == guest)
        worker->by_number[guest->number] = NULL;
}

int guest_number(struct guest *guest, uint32_t number)
{
    struct worker *worker = guest->worker;
    if (number >= CHANNEL_RUNS_MAX || guest_find(worker, number))
        return -EBADMSG;
    if (number >= worker->n_numbers) {
        size_t count = (size_t)number + 64;
        struct guest **table = reallocarray(worker->by_number, count, sizeof(*table));
        if (!table)
            return -ENOMEM;
        memset(table + worker->n_numbers, 0, (count - worker->n_numbers) * sizeof(*table));
        worker->by_number = table;
        worker->n_numbers = count;
    }
    guest->number = number;
    worker->by_number[number] = guest;
    return 0;
}

/* ---- Data of a start -------------------------------------------------------------------------------- */

/* Arguments and environment: two lists that end with NULL, over one block of strings. */
struct strings {
    char *owned; /* if they came in a memory file */
    const char **lists;
    const char **environment; /* inside lists */
};

static void strings_done(struct strings *strings)
{
    free(strings->owned);
    free(strings->lists);
}

static int split_strings(const struct channel_start *start, const char *bytes, struct strings *ret)
{
    size_t n_strings = (size_t)start->n_arguments + start->n_environment, index = 0;
    const char *end = bytes + start->strings_bytes;
    ret->lists = calloc(n_strings + 2, sizeof(*ret->lists));
    if (!ret->lists)
        return -ENOMEM;
    for (size_t i = 0; i < n_strings; i++) {
        const char *nul = bytes < end ? memchr(bytes, '\0', (size_t)(end - bytes)) : NULL;
        if (!nul)
            return -EBADMSG;
        if (i == start->n_arguments)
            index++;
        ret->lists[index++] = bytes;
        bytes = nul + 1;
    }
    ret->environment = ret->lists + start->n_arguments + 1;
    return bytes == end ? 0 : -EBADMSG;
}

static int read_strings(const struct channel_message *message, int data, struct strings *ret)
{
    const struct channel_start *start = &message->of.start;
    if (data < 0)
        return split_strings(start, (const char *)message->bytes, ret);
    ret->owned = malloc(start->strings_bytes + 1);
    if (!ret->owned)
        return -ENOMEM;
    if (pread(data, ret->owned, start->strings_bytes, 0) != (ssize_t)start->strings_bytes)
        return -EBADMSG;
    return split_strings(start, ret->owned, ret);
}

/* ---- stdin ------------------------------------------------------------------------------------------ */

static void feed(struct guest *guest)
{
    struct guest_input *input = &guest->input;
    uint8_t chunk[INPUT_CHUNK_BYTES];
    size_t given = 1;
    while (input->left_bytes > 0 && given > 0) {
        size_t size = input->left_bytes < sizeof(chunk) ? input->left_bytes : sizeof(chunk);
        ssize_t got = pread(input->descriptor, chunk, size, (off_t)input->offset);
        if (got <= 0) {
            /* The front's own memory file: shorter than it said. The guest reads an end. */
            input->left_bytes = 0;
            break;
        }
        berth_instance_write(guest->instance, chunk, (size_t)got, &given);
        input->offset += given;
        input->left_bytes -= given;
    }
    if (input->left_bytes > 0)
        return;
    berth_instance_close_input(guest->instance);
    input->descriptor = close_keeping_errno(input->descriptor);
}

static void give_input(struct guest *guest, const struct channel_message *message, int *data)
{
    const struct channel_start *start = &message->of.start;
    size_t given;
    if (*data < 0) {
        /* The buffer has room for all that fits into a packet. */
        berth_instance_write(guest->instance, message->bytes + start->strings_bytes, start->input_bytes,
                             &given);
        berth_instance_close_input(guest->instance);
        return;
    }
    guest->input = (struct guest_input){take_fd(data), start->strings_bytes, start->input_bytes};
    feed(guest);
}

/* ---- Starting --------------------------------------------------------------------------------------- */

static void tell_denial(void *payload, const struct berth_denial *denial)
{
    char sentence[CHANNEL_SENTENCE_BYTES];
    /* If there is no room for it, the count in the usage tells. */
    guest_note(payload, CHANNEL_DENIAL, sentence, channel_sentence(denial->sentence, sentence));
}

static bool take_event(void *payload, const char *text, size_t size_bytes)
{
    struct guest *guest = payload;
    guest->starved = !guest_note(guest, CHANNEL_EVENT, text, size_bytes);
    return !guest->starved;
}

static void look(void *payload)
{
    struct guest *guest = payload;
    if (guest->input.left_bytes > 0)
        feed(guest);
    guest_queue(guest);
}

static berth_status make_instance(struct guest *guest, const struct channel_start *start,
                                  const struct strings *strings, int inputs, berth_error **reterr)
{
    struct worker *worker = guest->worker;
    struct worker_module *module = &worker->modules[start->module];
    struct worker_contract *contract = &worker->contracts[start->contract];
    struct berth_instance_options options;
    berth_instance_options_init(&options);
    options.args = strings->lists;
    options.env = strings->environment;
    if (start->input_bytes > 0)
        options.input.kind = BERTH_STREAM_BUFFER;
    options.output = (struct berth_stream){.kind = BERTH_STREAM_BUFFER, .buffer_size = OUTPUT_BUFFER_BYTES};
    options.errors = (struct berth_stream){.kind = BERTH_STREAM_BUFFER};
    options.random_seed = start->random_seed;
    options.on_denial = tell_denial;
    options.on_event = take_event;
    options.on_moved = look;
    options.payload = guest;
    if (inputs < 0) {
        options.mounts = contract->mounts;
        return berth_instance_new(worker->schedule, module->module, contract->contract, &options,
                                  &guest->instance, reterr);
    }
    berth_contract *with_inputs;
    berth_mounts *mounts;
    berth_status status =
        worker_contract_with_inputs(worker, contract, inputs, &with_inputs, &mounts, reterr);
    if (status != BERTH_OK)
        return status;
    options.mounts = mounts;
    status =
        berth_instance_new(worker->schedule, module->module, with_inputs, &options, &guest->instance, reterr);
    berth_mounts_unref(mounts);
    berth_contract_unref(with_inputs);
    return status;
}

static berth_status check_places(const struct worker *worker, const struct channel_start *start,
                                 berth_error **reterr)
{
    const struct worker_module *module = &worker->modules[start->module];
    const struct worker_contract *contract = &worker->contracts[start->contract];
    if (contract->failure)
        return error_set(reterr, BERTH_IO, "%s", contract->failure);
    if (module->failure)
        return error_set(reterr, BERTH_IO, "%s", module->failure);
    if (!module->module || !contract->contract)
        return error_set(reterr, BERTH_INTERNAL, "the worker was not told of this module or contract");
    return BERTH_OK;
}

static berth_status begin(struct guest *guest, const struct channel_message *message, int *data, int inputs,
                          berth_error **reterr)
{
    cleanup(strings_done) struct strings strings = {0};
    berth_status status = check_places(guest->worker, &message->of.start, reterr);
    if (status != BERTH_OK)
        return status;
    int r = read_strings(message, *data, &strings);
    if (r < 0)
        return error_set_errno(reterr, r, "the arguments cannot be read");
    status = make_instance(guest, &message->of.start, &strings, inputs, reterr);
    if (status != BERTH_OK)
        return status;
    if (message->of.start.input_bytes > 0)
        give_input(guest, message, data);
    return berth_run_start(guest->instance, &guest->run, reterr);
}

static struct guest *guest_new(struct worker *worker, const struct channel_start *start)
{
    struct guest *guest = calloc(1, sizeof(*guest));
    if (!guest)
        return NULL;
    guest->worker = worker;
    guest->ticket = worker->next_ticket++;
    guest->number = UINT32_MAX;
    memcpy(guest->run_id, start->run_id, sizeof(guest->run_id));
    guest->detached = start->flags & CHANNEL_DETACHED;
    guest->deadline_ns = start->deadline_ns;
    guest->credit_bytes[0] = guest->credit_bytes[1] = start->credit_bytes;
    guest->input.descriptor = -1;
    STAILQ_INIT(&guest->notes);
    TAILQ_INSERT_TAIL(&worker->guests, guest, all);
    if (guest->deadline_ns < worker->next_deadline_ns)
        worker->next_deadline_ns = guest->deadline_ns;
    return guest;
}

int guest_start(struct worker *worker, const struct channel_message *message, int data_taken,
                int inputs_taken)
{
    cleanup_close int data = data_taken, inputs = inputs_taken;
    cleanup_error berth_error *error = NULL;
    struct guest *guest = guest_new(worker, &message->of.start);
    if (!guest)
        return -ENOMEM;
    int r = guest_number(guest, message->of.header.run);
    if (r < 0) {
        guest_free(guest);
        return r;
    }
    berth_status status = begin(guest, message, &data, inputs, &error);
    if (status == BERTH_OK)
        return 0;
    guest->refused = status == BERTH_REFUSED;
    guest->failure = strdup(error ? berth_error_message(error) : "out of memory");
    guest_queue(guest);
    return guest->failure ? 0 : -ENOMEM;
}

/* ---- Ending ----------------------------------------------------------------------------------------- */

void guest_cancel(struct guest *guest)
{
    if (!guest || guest->cancelled)
        return;
    guest->cancelled = true;
    if (guest->run)
        berth_run_cancel(guest->run);
    guest_queue(guest);
}

void guests_expire(struct worker *worker, uint64_t now_ns)
{
    struct guest *guest;
    if (now_ns < worker->next_deadline_ns)
        return;
    worker->next_deadline_ns = UINT64_MAX;
    TAILQ_FOREACH(guest, &worker->guests, all)
    {
        if (guest->deadline_ns <= now_ns) {
            guest->deadline_passed = !guest->cancelled;
            guest->deadline_ns = UINT64_MAX;
            guest_cancel(guest);
        } else if (guest->deadline_ns < worker->next_deadline_ns) {
            worker->next_deadline_ns = guest->deadline_ns;
        }
    }
}

void guest_free(struct guest *guest)
{
    struct worker *worker = guest->worker;
    struct note *note;
    forget_number(guest);
    TAILQ_REMOVE(&worker->guests, guest, all);
    if (guest->queued)
        TAILQ_REMOVE(&worker->waiting, guest, waiting);
    while ((note = STAILQ_FIRST(&guest->notes))) {
        STAILQ_REMOVE_HEAD(&guest->notes, next);
        free(note);
    }
    berth_instance_free(guest->instance);
    close_keeping_errno(guest->input.descriptor);
    free(guest->failure);
    free(guest);
}
