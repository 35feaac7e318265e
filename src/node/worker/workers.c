/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pool. A run goes to the worker with the fewest runs, or, if its quota must be counted in one place, to
 * the one that its contract chooses by its hash. Before it, the worker is told of module and contract unless
 * it knows them.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "node/worker/workers_inside.h"
#include "wire/hash.h"

_Static_assert((int)RUN_ID_CHARACTERS == (int)CHANNEL_RUN_ID_BYTES, "one form of run ids");
_Static_assert((int)KNOWN_KEY_BYTES == (int)HASH_BYTES, "keys are hashes");

/* ---- Life ------------------------------------------------------------------------------------------- */

static void link_init(struct worker_link *link, struct workers *workers, size_t index)
{
    link->workers = workers;
    link->index = index;
    link->channel = -1;
    TAILQ_INIT(&link->dirty);
    STAILQ_INIT(&link->backlog);
}

int workers_new(const struct workers_options *options, struct workers **ret)
{
    struct workers *workers = calloc(1, sizeof(*workers));
    int r = workers && options->n_channels <= KNOWN_WORKERS_MAX ? 0 : -ENOMEM;
    if (workers) {
        workers->options = *options;
        workers->packet = malloc(CHANNEL_PACKET_BYTES);
        workers->links = calloc(options->n_channels + 1, sizeof(*workers->links));
        known_init(&workers->modules, CHANNEL_MODULES);
        known_init(&workers->contracts, CHANNEL_CONTRACTS);
        r = workers->packet && workers->links ? r : -ENOMEM;
    }
    for (size_t i = 0; i < options->n_channels; i++) {
        if (r < 0) {
            close_keeping_errno(options->channels[i]);
            continue;
        }
        workers->n_links++;
        link_init(&workers->links[i], workers, i);
        r = link_open(&workers->links[i], options->channels[i]);
    }
    if (r < 0) {
        workers_free(workers);
        return r;
    }
    *ret = workers;
    return 0;
}

static void drop_runs(struct worker_link *link)
{
    for (uint32_t i = 0; i < link->n_numbers; i++)
        if (link->runs[i])
            link_remove_run(link, link->runs[i]);
    free(link->runs);
    free(link->free_numbers);
}

void workers_free(struct workers *workers)
{
    if (!workers)
        return;
    /* A worker ends what is not detached when its channel closes. */
    for (size_t i = 0; i < workers->n_links; i++) {
        link_close(&workers->links[i]);
        drop_runs(&workers->links[i]);
    }
    known_done(&workers->modules);
    known_done(&workers->contracts);
    for (size_t i = 0; i < DIGESTS; i++)
        berth_contract_unref(workers->keys[i].contract);
    free(workers->links);
    free(workers->packet);
    free(workers);
}

int workers_replace(struct workers *workers, size_t worker, int channel)
{
    if (worker >= workers->n_links) {
        close(channel);
        return -EINVAL;
    }
    struct worker_link *link = &workers->links[worker];
    if (link->state != LINK_DOWN)
        link_lose(link, NULL);
    return link_open(link, channel);
}

void workers_counts(const struct workers *workers, struct workers_counts *ret)
{
    *ret = (struct workers_counts){.workers = (uint32_t)workers->n_links, .lost_total = workers->lost_total};
    for (size_t i = 0; i < workers->n_links; i++) {
        ret->alive += workers->links[i].state == LINK_UP;
        ret->runs += workers->links[i].n_runs;
    }
}

/* ---- Runs of a link --------------------------------------------------------------------------------- */

static int more_numbers(struct worker_link *link)
{
    uint32_t count = link->n_numbers ? 2 * link->n_numbers : 64;
    if (link->n_numbers >= CHANNEL_RUNS_MAX)
        return -EMFILE;
    struct worker_run **runs = reallocarray(link->runs, count, sizeof(*runs));
    if (runs)
        link->runs = runs;
    uint32_t *free_numbers = reallocarray(link->free_numbers, count, sizeof(*free_numbers));
    if (free_numbers)
        link->free_numbers = free_numbers;
    if (!runs || !free_numbers)
        return -ENOMEM;
    for (uint32_t i = count; i-- > link->n_numbers;) {
        link->runs[i] = NULL;
        link->free_numbers[link->n_free++] = i;
    }
    link->n_numbers = count;
    return 0;
}

int link_add_run(struct worker_link *link, struct worker_run *run)
{
    int r = link->n_free > 0 ? 0 : more_numbers(link);
    if (r < 0)
        return r;
    run->link = link;
    run->number = link->free_numbers[--link->n_free];
    link->runs[run->number] = run;
    link->n_runs++;
    return 0;
}

/* Out of the tables, not yet freed. */
static void detach(struct worker_link *link, struct worker_run *run)
{
    link->runs[run->number] = NULL;
    link->free_numbers[link->n_free++] = run->number;
    link->n_runs--;
    if (run->dirty && link->state != LINK_DOWN)
        TAILQ_REMOVE(&link->dirty, run, among_dirty);
    if (run->adopted)
        LIST_REMOVE(run, among_adopted);
    run->link = NULL;
}

void link_remove_run(struct worker_link *link, struct worker_run *run)
{
    detach(link, run);
    free(run);
}

/* ---- Losing a worker -------------------------------------------------------------------------------- */

static void end_lost(struct worker_link *link, struct worker_run *run)
{
    static const struct berth_outcome outcome = {
        .kind = BERTH_OUTCOME_HOST_ERROR,
        .cause = "the worker process that ran it has ended",
        .remedy = "",
    };
    static const struct berth_usage usage = {0};
    detach(link, run);
    run->events_to->ended(run->payload, &outcome, &usage, true);
    free(run);
}

void link_lose(struct worker_link *link, const char *fault)
{
    struct workers *workers = link->workers;
    const struct workers_options *options = &workers->options;
    link_close(link);
    workers->lost_total++;
    known_forget_worker(&workers->modules, link->index);
    known_forget_worker(&workers->contracts, link->index);
    if (fault && options->broke)
        options->broke(options->owner, link->index, fault);
    /* No run can come to a link that is down, so these are all. */
    for (uint32_t i = 0; i < link->n_numbers; i++)
        if (link->runs[i])
            end_lost(link, link->runs[i]);
    if (options->lost)
        options->lost(options->owner, link->index);
}

/* ---- What a worker must know first ------------------------------------------------------------------ */

static int text_of(berth_contract *contract, char **ret)
{
    return berth_contract_explain(contract, BERTH_FORMAT_TOML, ret, NULL) == BERTH_OK ? 0 : -ENOMEM;
}

/* The same contract for the same capability has the same key, however many objects it is. */
static int key_of(struct workers *workers, berth_contract *contract, uint32_t flags,
                  uint8_t ret[static KNOWN_KEY_BYTES])
{
    struct contract_key *key = &workers->keys[((uintptr_t)contract >> 4) % DIGESTS];
    if (key->contract != contract) {
        cleanup_free char *text = NULL;
        int r = text_of(contract, &text);
        if (r < 0)
            return r;
        berth_contract_unref(key->contract);
        key->contract = berth_contract_ref(contract);
        hash_of(text, strlen(text), key->sha256);
    }
    memcpy(ret, key->sha256, KNOWN_KEY_BYTES);
    ret[KNOWN_KEY_BYTES - 1] ^= (uint8_t)flags;
    return 0;
}

static int memory_file(const char *name, const struct iovec *pieces, int n_pieces, int *ret)
{
    cleanup_close int file = memfd_create(name, MFD_CLOEXEC);
    if (file < 0)
        return -errno;
    for (int i = 0; i < n_pieces; i++) {
        const uint8_t *at = pieces[i].iov_base;
        size_t left = pieces[i].iov_len;
        while (left > 0) {
            ssize_t written = write(file, at, left);
            if (written < 0)
                return -errno;
            at += written;
            left -= (size_t)written;
        }
    }
    *ret = take_fd(&file);
    return 0;
}

static int tell_module(struct worker_link *link, const struct worker_run_request *request,
                       uint32_t *ret_place)
{
    struct known_entry *entry;
    int r = known_get(&link->workers->modules, request->module_sha256, &entry);
    if (r < 0)
        return r;
    *ret_place = entry->place;
    if (known_by(entry, link->index))
        return 0;
    char name[CHANNEL_NAME_BYTES];
    snprintf(name, sizeof(name), "%s", request->name);
    struct channel_module module = {.header.kind = CHANNEL_MODULE, .place = entry->place};
    const struct iovec piece = {name, strlen(name) + 1};
    r = link_send(link, &module, sizeof(module), &piece, 1, &request->module, 1);
    if (r == 0)
        known_tell(entry, link->index);
    return r;
}

static int send_contract(struct worker_link *link, berth_contract *contract, uint32_t place, uint32_t flags)
{
    cleanup_free char *text = NULL;
    cleanup_close int file = -1;
    int r = text_of(contract, &text);
    if (r < 0)
        return r;
    struct channel_contract message = {.header.kind = CHANNEL_CONTRACT, .place = place, .flags = flags};
    const struct iovec piece = {text, strlen(text)};
    message.text_bytes = piece.iov_len;
    if (piece.iov_len <= CHANNEL_INLINE_BYTES)
        return link_send(link, &message, sizeof(message), &piece, 1, NULL, 0);
    message.flags |= CHANNEL_TEXT_IN_FILE;
    r = memory_file("berth-contract", &piece, 1, &file);
    return r < 0 ? r : link_send(link, &message, sizeof(message), NULL, 0, &file, 1);
}

static uint32_t contract_flags(const struct worker_run_request *request)
{
    return (request->watch ? (uint32_t)CHANNEL_MAY_WATCH : 0) |
           (request->events ? (uint32_t)CHANNEL_MAY_PUSH_EVENTS : 0);
}

static int tell_contract(struct worker_link *link, const struct worker_run_request *request,
                         const uint8_t key[static KNOWN_KEY_BYTES], uint32_t *ret_place)
{
    struct known_entry *entry;
    int r = known_get(&link->workers->contracts, key, &entry);
    if (r < 0)
        return r == -ENOSPC ? -EMFILE : r;
    /* What was added to its quota is remembered with the contract. */
    if (request->exclusive)
        known_pin(&link->workers->contracts, entry);
    *ret_place = entry->place;
    if (known_by(entry, link->index))
        return 0;
    r = send_contract(link, request->contract, entry->place, contract_flags(request));
    if (r == 0)
        known_tell(entry, link->index);
    return r;
}

/* ---- Starting --------------------------------------------------------------------------------------- */

/* All arguments, then all variables, each with its NUL. */
static int join(const char *const *arguments, const char *const *environment, struct channel_start *start,
                char **ret)
{
    const char *const *lists[] = {arguments, environment};
    uint32_t counts[2] = {0};
    uint64_t size = 0;
    for (int i = 0; i < 2; i++)
        for (const char *const *string = lists[i]; string && *string; string++) {
            size += strlen(*string) + 1;
            if (++counts[i] > CHANNEL_STRINGS_MAX || size > CHANNEL_STRINGS_BYTES_MAX)
                return -E2BIG;
        }
    char *bytes = malloc(size + 1), *at = bytes;
    if (!bytes)
        return -ENOMEM;
    for (int i = 0; i < 2; i++)
        for (const char *const *string = lists[i]; string && *string; string++) {
            size_t length = strlen(*string) + 1;
            memcpy(at, *string, length);
            at += length;
        }
    start->n_arguments = counts[0];
    start->n_environment = counts[1];
    start->strings_bytes = size;
    *ret = bytes;
    return 0;
}

static int send_start(struct worker_run *run, const struct worker_run_request *request,
                      struct channel_start *start)
{
    cleanup_free char *strings = NULL;
    cleanup_close int file = -1;
    int descriptors[CHANNEL_DESCRIPTORS_MAX];
    size_t n_descriptors = 0;
    int r = join(request->arguments, request->environment, start, &strings);
    if (r < 0)
        return r;
    const struct iovec pieces[] = {{strings, start->strings_bytes},
                                   {(void *)(uintptr_t)request->input, request->input_bytes}};
    int n_pieces = request->input_bytes > 0 ? 2 : 1;
    start->input_bytes = request->input_bytes;
    if (start->strings_bytes + start->input_bytes > CHANNEL_INLINE_BYTES) {
        r = memory_file("berth-start", pieces, n_pieces, &file);
        if (r < 0)
            return r;
        start->flags |= CHANNEL_DATA_IN_FILE;
        descriptors[n_descriptors++] = file;
        n_pieces = 0;
    }
    if (request->inputs_directory >= 0) {
        start->flags |= CHANNEL_HAS_INPUTS;
        descriptors[n_descriptors++] = request->inputs_directory;
    }
    return link_send(run->link, start, sizeof(*start), pieces, n_pieces, descriptors, n_descriptors);
}

static struct worker_link *choose(struct workers *workers, const struct worker_run_request *request,
                                  const uint8_t key[static KNOWN_KEY_BYTES])
{
    struct worker_link *best = NULL;
    if (workers->n_links == 0)
        return NULL;
    if (request->exclusive) {
        best = &workers->links[(key[0] << 8 | key[1]) % workers->n_links];
        return best->state == LINK_UP && !link_is_crowded(best) ? best : NULL;
    }
    /* Among equals, each in turn. */
    for (size_t i = 0; i < workers->n_links; i++) {
        struct worker_link *link = &workers->links[(workers->next_link + i) % workers->n_links];
        if (link->state == LINK_UP && !link_is_crowded(link) && (!best || link->n_runs < best->n_runs))
            best = link;
    }
    if (best)
        workers->next_link = best->index + 1;
    return best;
}

static int begin(struct worker_run *run, const struct worker_run_request *request,
                 const uint8_t key[static KNOWN_KEY_BYTES])
{
    struct channel_start start = {
        .header = {.kind = CHANNEL_START, .run = run->number},
        .flags = request->detached ? CHANNEL_DETACHED : 0,
        .credit_bytes = request->credit_bytes,
        .random_seed = request->random_seed,
        .deadline_ns = request->deadline_ns,
    };
    memcpy(start.run_id, request->run_id, sizeof(request->run_id));
    int r = tell_module(run->link, request, &start.module);
    if (r == 0)
        r = tell_contract(run->link, request, key, &start.contract);
    return r < 0 ? r : send_start(run, request, &start);
}

int workers_start(struct workers *workers, const struct worker_run_request *request, struct worker_run **ret)
{
    uint8_t key[KNOWN_KEY_BYTES];
    int r = key_of(workers, request->contract, contract_flags(request), key);
    if (r < 0)
        return r;
    struct worker_link *link = choose(workers, request, key);
    if (!link)
        return -EAGAIN;
    struct worker_run *run = calloc(1, sizeof(*run));
    if (!run)
        return -ENOMEM;
    r = link_add_run(link, run);
    if (r < 0) {
        free(run);
        return r;
    }
    memcpy(run->run_id, request->run_id, sizeof(run->run_id));
    run->events_to = request->events_to;
    run->payload = request->payload;
    run->credit_bytes[0] = run->credit_bytes[1] = request->credit_bytes;
    r = begin(run, request, key);
    if (r < 0) {
        link_remove_run(link, run);
        return r;
    }
    run->told = true;
    *ret = run;
    return 0;
}

void worker_run_credit(struct worker_run *run, int stream, uint32_t bytes)
{
    if (!run->link || bytes == 0)
        return;
    run->credit_bytes[stream - 1] += bytes;
    run->credit_due_bytes[stream - 1] += bytes;
    link_tell(run);
}

void worker_run_cancel(struct worker_run *run)
{
    if (!run->link || run->cancelled)
        return;
    run->cancelled = run->cancel_due = true;
    link_tell(run);
}
