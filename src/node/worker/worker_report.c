/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What leaves a worker. Guests with something to send stand in one queue and send a packet each in turn. The
 * socket is never waited for: a packet that it has no room for is kept, and nothing else is made until that
 * one has left. So a guest is parked by its own buffers, and the worker by nothing.
 */
#include <errno.h>
#include <string.h>

#include "base/checked_math.h"
#include "node/worker/worker.h"

enum { PACKETS_AT_A_TIME = 64, ENDING_OUTPUT_BYTES = CHANNEL_PAYLOAD_BYTES - 2 * CHANNEL_SENTENCE_BYTES };

/* What became of a guest that had its turn. */
enum turn { TURN_IDLE, TURN_MORE, TURN_GONE };

void guest_queue(struct guest *guest)
{
    if (guest->queued)
        return;
    TAILQ_INSERT_TAIL(&guest->worker->waiting, guest, waiting);
    guest->queued = true;
}

/* ---- Packets ---------------------------------------------------------------------------------------- */

static void keep_unsent(struct worker *worker, const void *fixed, size_t fixed_bytes,
                        const struct iovec *pieces, int n_pieces)
{
    struct unsent *unsent = &worker->unsent[worker->n_unsent++];
    memcpy(unsent->bytes, fixed, fixed_bytes);
    unsent->size_bytes = fixed_bytes;
    for (int i = 0; i < n_pieces; i++) {
        memcpy(unsent->bytes + unsent->size_bytes, pieces[i].iov_base, pieces[i].iov_len);
        unsent->size_bytes += pieces[i].iov_len;
    }
}

/* A turn sends UNSENT_MAX packets at most, and begins only when none is unsent. A front that has gone is
 * noticed where the channel is read. */
static void send_packet(struct worker *worker, const void *fixed, size_t fixed_bytes,
                        const struct iovec *pieces, int n_pieces)
{
    if (worker->n_unsent > 0 ||
        channel_send(worker->channel, fixed, fixed_bytes, pieces, n_pieces, NULL, 0) == -EAGAIN)
        keep_unsent(worker, fixed, fixed_bytes, pieces, n_pieces);
}

static void send_unsent(struct worker *worker)
{
    struct unsent *unsent = worker->unsent;
    while (worker->n_unsent > 0 && channel_send(worker->channel, unsent[0].bytes, unsent[0].size_bytes, NULL,
                                                0, NULL, 0) != -EAGAIN) {
        const struct unsent sent = unsent[0];
        memmove(unsent, unsent + 1, (UNSENT_MAX - 1) * sizeof(*unsent));
        unsent[UNSENT_MAX - 1] = sent;
        worker->n_unsent--;
    }
}

/* ---- Hello ------------------------------------------------------------------------------------------ */

static void greet(struct worker *worker)
{
    struct channel_hello hello = {.header.kind = CHANNEL_HELLO, .version = CHANNEL_VERSION};
    struct guest *guest;
    TAILQ_FOREACH(guest, &worker->guests, all)
    if (guest->orphaned && !guest->unheard) {
        hello.n_alive++;
        guest_queue(guest);
    }
    worker->greeted = true;
    send_packet(worker, &hello, sizeof(hello), NULL, 0);
}

static void announce(struct guest *guest)
{
    struct channel_alive alive = {.header.kind = CHANNEL_ALIVE, .ticket = guest->ticket};
    memcpy(alive.run_id, guest->run_id, sizeof(guest->run_id));
    guest->announced = true;
    send_packet(guest->worker, &alive, sizeof(alive), NULL, 0);
}

/* ---- Events and denials ----------------------------------------------------------------------------- */

bool guest_note(struct guest *guest, enum channel_kind kind, const char *text, size_t size_bytes)
{
    size_t notes_max = guest->orphaned ? ORPHAN_NOTES_MAX : GUEST_NOTES_MAX;
    size_t bytes_max = guest->orphaned ? ORPHAN_NOTES_BYTES_MAX : GUEST_NOTES_BYTES_MAX;
    if (guest->unheard)
        return true;
    if (size_bytes > CHANNEL_PAYLOAD_BYTES || guest->n_notes >= notes_max ||
        guest->notes_bytes + size_bytes > bytes_max)
        return false;
    struct note *note = malloc(sizeof(*note) + size_bytes);
    if (!note)
        return false;
    note->kind = kind;
    note->size_bytes = size_bytes;
    memcpy(note->text, text, size_bytes);
    STAILQ_INSERT_TAIL(&guest->notes, note, next);
    guest->n_notes++;
    guest->notes_bytes += size_bytes;
    guest_queue(guest);
    return true;
}

static void send_note(struct guest *guest)
{
    struct note *note = STAILQ_FIRST(&guest->notes);
    struct channel_plain plain = {.header = {.kind = note->kind, .run = guest->number}};
    struct iovec piece = {note->text, note->size_bytes};
    send_packet(guest->worker, &plain, sizeof(plain), &piece, 1);
    STAILQ_REMOVE_HEAD(&guest->notes, next);
    guest->n_notes--;
    guest->notes_bytes -= note->size_bytes;
    free(note);
    if (guest->starved && guest->n_notes <= GUEST_NOTES_MAX / 2) {
        guest->starved = false;
        guest->worker->stirred = true;
        berth_instance_resume_events(guest->instance);
    }
}

/* ---- Output ----------------------------------------------------------------------------------------- */

static size_t take_output(struct guest *guest, int stream, void *bytes, size_t capacity)
{
    uint64_t *credit = &guest->credit_bytes[stream - 1];
    size_t size = 0;
    if (!guest->instance || *credit == 0 || capacity == 0)
        return 0;
    berth_instance_read(guest->instance, stream, bytes, *credit < capacity ? (size_t)*credit : capacity,
                        &size);
    *credit -= size;
    guest->taken_bytes += size;
    guest->worker->stirred = guest->worker->stirred || size > 0;
    return size;
}

static void send_output(struct guest *guest, int stream, void *bytes, size_t size)
{
    struct channel_output output = {.header = {.kind = CHANNEL_OUTPUT, .run = guest->number},
                                    .stream = (uint32_t)stream};
    struct iovec piece = {bytes, size};
    send_packet(guest->worker, &output, sizeof(output), &piece, 1);
}

/* One packet of either stream, if there is any under credit. */
static bool report_output(struct guest *guest)
{
    uint8_t *bytes = guest->worker->packet;
    for (int stream = 1; stream <= 2; stream++) {
        size_t size = take_output(guest, stream, bytes, CHANNEL_PAYLOAD_BYTES);
        if (size > 0) {
            send_output(guest, stream, bytes, size);
            return true;
        }
    }
    return false;
}

/* ---- Endings ---------------------------------------------------------------------------------------- */

static bool has_ended(const struct guest *guest)
{
    return !guest->run || berth_run_outcome(guest->run)->kind != BERTH_OUTCOME_RUNNING;
}

static struct berth_outcome outcome_of(const struct guest *guest)
{
    struct berth_outcome outcome = {
        .kind = guest->refused ? BERTH_OUTCOME_REFUSED : BERTH_OUTCOME_HOST_ERROR,
        .cause = guest->failure ? guest->failure : "out of memory",
        .remedy = "",
    };
    if (guest->run)
        outcome = *berth_run_outcome(guest->run);
    if (outcome.kind == BERTH_OUTCOME_CANCELLED && guest->deadline_passed)
        outcome.cause = "the caller's deadline passed";
    return outcome;
}

static void send_ended(struct guest *guest, const struct berth_usage *usage, void *output,
                       size_t output_bytes, void *errors, size_t errors_bytes)
{
    char cause[CHANNEL_SENTENCE_BYTES], remedy[CHANNEL_SENTENCE_BYTES];
    struct berth_outcome outcome = outcome_of(guest);
    struct channel_ended ended = {
        .header = {.kind = CHANNEL_ENDED, .run = guest->number},
        .outcome = outcome.kind,
        .limit = outcome.limit,
        .exit_code = outcome.exit_code,
        .cause_bytes = (uint32_t)channel_sentence(outcome.cause, cause),
        .remedy_bytes = (uint32_t)channel_sentence(outcome.remedy, remedy),
        .output_bytes = (uint32_t)output_bytes,
        .errors_bytes = (uint32_t)errors_bytes,
        .usage = *usage,
    };
    const struct iovec pieces[] = {{cause, ended.cause_bytes},
                                   {remedy, ended.remedy_bytes},
                                   {output, output_bytes},
                                   {errors, errors_bytes}};
    send_packet(guest->worker, &ended, sizeof(ended), pieces, 4);
}

/* The ending leaves with the rest of the output in one packet, if it fits; before that, output leaves. What
 * is beyond the credit of a cancelled run nobody waits for. */
static enum turn report_ending(struct guest *guest)
{
    struct berth_usage usage = {0};
    uint8_t *output = guest->worker->packet;
    if (guest->run)
        berth_run_usage(guest->run, &usage);
    uint64_t left = saturating_sub_u64(usage.output_bytes, guest->taken_bytes);
    if (left > ENDING_OUTPUT_BYTES && report_output(guest))
        return TURN_MORE;
    size_t output_bytes = take_output(guest, 1, output, ENDING_OUTPUT_BYTES);
    uint8_t *errors = output + output_bytes;
    size_t errors_bytes = take_output(guest, 2, errors, ENDING_OUTPUT_BYTES - output_bytes);
    if (output_bytes + errors_bytes == left || guest->cancelled) {
        send_ended(guest, &usage, output, output_bytes, errors, errors_bytes);
        return TURN_GONE;
    }
    if (output_bytes > 0)
        send_output(guest, 1, output, output_bytes);
    if (errors_bytes > 0)
        send_output(guest, 2, errors, errors_bytes);
    return TURN_IDLE;
}

/* ---- Turns ------------------------------------------------------------------------------------------ */

static enum turn report(struct guest *guest)
{
    bool ended = has_ended(guest);
    if (guest->unheard)
        return ended ? TURN_GONE : TURN_IDLE;
    if (guest->worker->channel < 0)
        return TURN_IDLE;
    if (guest->orphaned) {
        if (!guest->announced)
            announce(guest);
        return TURN_IDLE;
    }
    if (!STAILQ_EMPTY(&guest->notes)) {
        send_note(guest);
        return TURN_MORE;
    }
    if (ended)
        return report_ending(guest);
    return report_output(guest) ? TURN_MORE : TURN_IDLE;
}

void guests_report(struct worker *worker)
{
    struct guest *guest;
    if (worker->channel >= 0)
        send_unsent(worker);
    if (worker->channel >= 0 && !worker->greeted)
        greet(worker);
    for (int i = 0; i < PACKETS_AT_A_TIME && worker->n_unsent == 0; i++) {
        if (!(guest = TAILQ_FIRST(&worker->waiting)))
            return;
        TAILQ_REMOVE(&worker->waiting, guest, waiting);
        guest->queued = false;
        enum turn turn = report(guest);
        if (turn == TURN_GONE)
            guest_free(guest);
        else if (turn == TURN_MORE)
            guest_queue(guest);
    }
}
