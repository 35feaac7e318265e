/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The socket to one worker on the front's loop. Packets wait in order; what runs have to say besides (credit,
 * cancel) waits in the runs and goes after them.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "node/worker/workers_inside.h"

/* So many packets of one worker before another one has its turn. */
enum { PACKETS_AT_A_TIME = 64 };

static void watch(struct worker_link *link);

/* ---- Out -------------------------------------------------------------------------------------------- */

static void packet_free(struct backlog_packet *packet)
{
    for (size_t i = 0; i < packet->n_descriptors; i++)
        close(packet->descriptors[i]);
    free(packet);
}

static int keep(struct worker_link *link, const void *fixed, size_t fixed_bytes, const struct iovec *pieces,
                int n_pieces, const int *descriptors, size_t n_descriptors)
{
    size_t size = fixed_bytes;
    for (int i = 0; i < n_pieces; i++)
        size += pieces[i].iov_len;
    struct backlog_packet *packet = calloc(1, sizeof(*packet) + size);
    if (!packet)
        return -ENOMEM;
    memcpy(packet->bytes, fixed, fixed_bytes);
    packet->size_bytes = fixed_bytes;
    for (int i = 0; i < n_pieces; i++) {
        memcpy(packet->bytes + packet->size_bytes, pieces[i].iov_base, pieces[i].iov_len);
        packet->size_bytes += pieces[i].iov_len;
    }
    for (size_t i = 0; i < n_descriptors; i++) {
        int copy = fcntl(descriptors[i], F_DUPFD_CLOEXEC, 3);
        if (copy < 0) {
            int r = -errno;
            packet_free(packet);
            return r;
        }
        packet->descriptors[packet->n_descriptors++] = copy;
    }
    STAILQ_INSERT_TAIL(&link->backlog, packet, next);
    link->n_backlog++;
    link->backlog_bytes += size;
    return 0;
}

int link_send(struct worker_link *link, const void *fixed, size_t fixed_bytes, const struct iovec *pieces,
              int n_pieces, const int *descriptors, size_t n_descriptors)
{
    if (link->n_backlog == 0 && channel_send(link->channel, fixed, fixed_bytes, pieces, n_pieces, descriptors,
                                             n_descriptors) != -EAGAIN)
        return 0;
    int r = keep(link, fixed, fixed_bytes, pieces, n_pieces, descriptors, n_descriptors);
    watch(link);
    return r;
}

bool link_is_crowded(const struct worker_link *link)
{
    return link->n_backlog >= BACKLOG_PACKETS_MAX || link->backlog_bytes >= BACKLOG_BYTES_MAX;
}

static void drop_first(struct worker_link *link)
{
    struct backlog_packet *packet = STAILQ_FIRST(&link->backlog);
    STAILQ_REMOVE_HEAD(&link->backlog, next);
    link->n_backlog--;
    link->backlog_bytes -= packet->size_bytes;
    packet_free(packet);
}

/* False: the socket is full. */
static bool send_backlog(struct worker_link *link)
{
    struct backlog_packet *packet;
    while ((packet = STAILQ_FIRST(&link->backlog))) {
        if (channel_send(link->channel, packet->bytes, packet->size_bytes, NULL, 0, packet->descriptors,
                         packet->n_descriptors) == -EAGAIN)
            return false;
        drop_first(link);
    }
    return true;
}

static bool send_credit(struct worker_run *run, uint32_t stream)
{
    uint64_t *due = &run->credit_due_bytes[stream - 1];
    while (*due > 0) {
        struct channel_credit credit = {
            .header = {.kind = CHANNEL_CREDIT, .run = run->number},
            .stream = stream,
            .bytes = *due > UINT32_MAX ? UINT32_MAX : (uint32_t)*due,
        };
        if (channel_send(run->link->channel, &credit, sizeof(credit), NULL, 0, NULL, 0) == -EAGAIN)
            return false;
        *due -= credit.bytes;
    }
    return true;
}

static bool send_cancel(struct worker_run *run)
{
    struct channel_plain cancel = {.header = {.kind = CHANNEL_CANCEL, .run = run->number}};
    if (run->cancel_due &&
        channel_send(run->link->channel, &cancel, sizeof(cancel), NULL, 0, NULL, 0) == -EAGAIN)
        return false;
    run->cancel_due = false;
    return true;
}

static void flush(struct worker_link *link)
{
    struct worker_run *run;
    if (link->state == LINK_DOWN || !send_backlog(link))
        return;
    while ((run = TAILQ_FIRST(&link->dirty))) {
        if (!send_cancel(run) || !send_credit(run, 1) || !send_credit(run, 2))
            return;
        TAILQ_REMOVE(&link->dirty, run, among_dirty);
        run->dirty = false;
    }
}

void link_tell(struct worker_run *run)
{
    struct worker_link *link = run->link;
    if (!run->told)
        return;
    if (!run->dirty)
        TAILQ_INSERT_TAIL(&link->dirty, run, among_dirty);
    run->dirty = true;
    flush(link);
    watch(link);
}

/* ---- In --------------------------------------------------------------------------------------------- */

static void receive(struct worker_link *link)
{
    struct workers *workers = link->workers;
    const char *fault = NULL;
    for (int i = 0; i < PACKETS_AT_A_TIME && link->state != LINK_DOWN; i++) {
        size_t size = 0;
        int r = channel_receive(link->channel, workers->packet, &size, NULL);
        if (r == -EAGAIN)
            return;
        if (r == 0)
            r = link_take(link, workers->packet, size, &fault);
        else if (r == -EBADMSG)
            fault = "a packet that is too long, or with descriptors";
        if (r != 0)
            link_lose(link, fault);
    }
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct worker_link *link = poll->data;
    if (!link)
        return;
    if (events & UV_WRITABLE)
        flush(link);
    if (status < 0 || events & UV_READABLE)
        receive(link);
    /* libuv has stopped watching: nothing more would be heard. */
    if (status < 0 && link->poll == poll)
        link_lose(link, NULL);
    if (link->state != LINK_DOWN)
        watch(link);
}

/* ---- Life ------------------------------------------------------------------------------------------- */

static void watch(struct worker_link *link)
{
    bool wanted = link->n_backlog > 0 || !TAILQ_EMPTY(&link->dirty);
    if (!link->poll || wanted == link->polls_writable)
        return;
    link->polls_writable = wanted;
    uv_poll_start(link->poll, wanted ? UV_READABLE | UV_WRITABLE : UV_READABLE, on_poll);
}

static void free_poll(uv_handle_t *handle)
{
    free(handle);
}

int link_open(struct worker_link *link, int channel_taken)
{
    cleanup_close int channel = channel_taken;
    const int size = CHANNEL_BUFFER_BYTES;
    cleanup_free uv_poll_t *poll = calloc(1, sizeof(*poll));
    if (!poll)
        return -ENOMEM;
    setsockopt(channel, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    int r = uv_poll_init(link->workers->options.loop, poll, channel);
    if (r < 0)
        return r;
    poll->data = link;
    link->poll = take_ptr(poll);
    link->channel = take_fd(&channel);
    link->state = LINK_GREETING;
    link->n_unheard = UINT32_MAX;
    link->polls_writable = false;
    return uv_poll_start(link->poll, UV_READABLE, on_poll);
}

void link_close(struct worker_link *link)
{
    link->state = LINK_DOWN;
    while (!STAILQ_EMPTY(&link->backlog))
        drop_first(link);
    TAILQ_INIT(&link->dirty);
    if (link->poll) {
        link->poll->data = NULL;
        uv_poll_stop(link->poll);
        uv_close((uv_handle_t *)link->poll, free_poll);
    }
    link->poll = NULL;
    link->channel = close_keeping_errno(link->channel);
}
