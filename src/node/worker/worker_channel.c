/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the front says, put into effect. The front is trusted; its messages are checked all the same, so that
 * a mistake there gets a name here.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "node/worker/worker.h"

enum { PACKETS_AT_A_TIME = 32, CONTRACT_BYTES_MAX = 1 << 20 };

static void adopt(struct worker *worker, const struct channel_adopt *message)
{
    struct guest *guest;
    TAILQ_FOREACH(guest, &worker->guests, all)
    if (guest->orphaned && guest->announced && guest->ticket == message->ticket)
        break;
    if (!guest)
        return;
    guest->orphaned = false;
    if (!message->keep || guest_number(guest, message->header.run) < 0) {
        guest->unheard = true;
        guest_cancel(guest);
    }
    guest_queue(guest);
}

static void credit(struct worker *worker, const struct channel_credit *message)
{
    struct guest *guest = guest_find(worker, message->header.run);
    if (!guest)
        return;
    guest->credit_bytes[message->stream - 1] += message->bytes;
    guest_queue(guest);
}

static void take_contract(struct worker *worker, const struct channel_message *message, int text_file)
{
    const struct channel_contract *contract = &message->of.contract;
    if (!(contract->flags & CHANNEL_TEXT_IN_FILE)) {
        worker_set_contract(worker, contract->place, contract->flags, (const char *)message->bytes,
                            message->size_bytes);
        return;
    }
    size_t size = contract->text_bytes > CONTRACT_BYTES_MAX ? 0 : contract->text_bytes;
    cleanup_free char *text = malloc(size + 1);
    /* What cannot be read is no contract, and the runs that name it will be told so. */
    if (!text || pread(text_file, text, size, 0) != (ssize_t)size)
        size = 0;
    worker_set_contract(worker, contract->place, contract->flags, text ? text : "", size);
}

static int start(struct worker *worker, const struct channel_message *message, int *descriptors)
{
    uint32_t flags = message->of.start.flags;
    int *next = descriptors;
    int data = flags & CHANNEL_DATA_IN_FILE ? take_fd(next++) : -1;
    int inputs = flags & CHANNEL_HAS_INPUTS ? take_fd(next++) : -1;
    return guest_start(worker, message, data, inputs);
}

static int take(struct worker *worker, const struct channel_message *message, int *descriptors)
{
    switch ((enum channel_kind)message->of.header.kind) {
    case CHANNEL_MODULE:
        worker_set_module(worker, message->of.module.place, (const char *)message->bytes, descriptors[0]);
        return 0;
    case CHANNEL_CONTRACT:
        take_contract(worker, message, descriptors[0]);
        return 0;
    case CHANNEL_START:
        return start(worker, message, descriptors);
    case CHANNEL_CREDIT:
        credit(worker, &message->of.credit);
        return 0;
    case CHANNEL_CANCEL:
        guest_cancel(guest_find(worker, message->of.header.run));
        return 0;
    case CHANNEL_ADOPT:
        adopt(worker, &message->of.adopt);
        return 0;
    default:
        return -EBADMSG;
    }
}

int worker_listen(struct worker *worker)
{
    int r = 0;
    for (int i = 0; i < PACKETS_AT_A_TIME && r == 0; i++) {
        struct channel_message message;
        int descriptors[CHANNEL_DESCRIPTORS_MAX];
        const char *fault;
        size_t size;
        r = channel_receive(worker->channel, worker->packet, &size, descriptors);
        if (r != 0)
            return r;
        if (channel_decode(CHANNEL_FROM_FRONT, worker->packet, size, &message, &fault) != 0)
            r = -EBADMSG;
        else
            r = take(worker, &message, descriptors);
        for (int j = 0; j < CHANNEL_DESCRIPTORS_MAX; j++)
            close_keeping_errno(descriptors[j]);
    }
    return r;
}
