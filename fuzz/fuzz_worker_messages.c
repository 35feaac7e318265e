/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a worker says to the front: nothing crashes, a run hears no more output than it gave credit for, and
 * each run ends exactly once, whatever came.
 *
 * The input is a list of packets, each with its length before it (two bytes, the lower one first). The first
 * byte says whether the worker has said hello, so that runs exist.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/text.h"
#include "node/worker/workers_inside.h"

enum { RUNS = 3, CREDIT = 1000, ADOPTED_MAX = 64 };

struct heard {
    size_t n_endings, output_bytes[2];
};

struct stage {
    uv_loop_t loop;
    struct workers *workers;
    int worker;
    berth_contract *contract;
    struct heard runs[RUNS], adopted[ADOPTED_MAX];
    size_t n_started, n_adopted;
};

static void must(bool condition)
{
    if (!condition)
        abort();
}

static void on_output(void *payload, int stream, const uint8_t *bytes, size_t size_bytes)
{
    struct heard *heard = payload;
    must(heard->n_endings == 0 && size_bytes > 0 && (stream == 1 || stream == 2));
    heard->output_bytes[stream - 1] += size_bytes + 0 * bytes[size_bytes - 1];
    must(heard->output_bytes[stream - 1] <= CREDIT);
}

static void on_event(void *payload, const char *text, size_t size_bytes)
{
    struct heard *heard = payload;
    must(heard->n_endings == 0 && text_is_utf8(text, size_bytes));
}

static void check_sentence(const char *sentence)
{
    must(text_is_utf8(sentence, strlen(sentence)));
    for (const char *c = sentence; *c; c++)
        must((unsigned char)*c >= 0x20 && *c != 0x7f);
}

static void on_denial(void *payload, const char *sentence)
{
    struct heard *heard = payload;
    must(heard->n_endings == 0);
    check_sentence(sentence);
}

static void on_ended(void *payload, const struct berth_outcome *outcome, const struct berth_usage *usage,
                     bool lost)
{
    struct heard *heard = payload;
    (void)usage, (void)lost;
    must(heard->n_endings++ == 0 && outcome->kind != BERTH_OUTCOME_RUNNING);
    check_sentence(outcome->cause);
    check_sentence(outcome->remedy);
}

static const struct worker_run_events listens = {on_output, on_event, on_denial, on_ended};

static bool adopt(void *owner, const char *run_id, struct worker_run *run,
                  const struct worker_run_events **ret_events, void **ret_payload)
{
    struct stage *stage = owner;
    must(strlen(run_id) == RUN_ID_CHARACTERS - 1);
    if (stage->n_adopted == ADOPTED_MAX || run_id[0] == '0')
        return false;
    *ret_events = &listens;
    *ret_payload = &stage->adopted[stage->n_adopted++];
    worker_run_credit(run, 1, CREDIT);
    return true;
}

static void begin(struct stage *stage, bool greeted)
{
    static const uint8_t hash[32];
    const struct channel_hello hello = {.header.kind = CHANNEL_HELLO, .version = CHANNEL_VERSION};
    const char *fault;
    int pair[2];
    *stage = (struct stage){0};
    must(uv_loop_init(&stage->loop) == 0);
    must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
    must(berth_contract_new(&stage->contract, NULL) == BERTH_OK);
    stage->worker = pair[1];
    const struct workers_options options = {
        .loop = &stage->loop, .channels = pair, .n_channels = 1, .adopt = adopt, .owner = stage};
    must(workers_new(&options, &stage->workers) == 0);
    if (!greeted)
        return;
    must(link_take(&stage->workers->links[0], &hello, sizeof(hello), &fault) == 0);
    for (; stage->n_started < RUNS; stage->n_started++) {
        struct worker_run *run;
        struct worker_run_request request = {
            .module = stage->worker,
            .module_sha256 = hash,
            .name = "any",
            .contract = stage->contract,
            .inputs_directory = -1,
            .credit_bytes = CREDIT,
            .events_to = &listens,
            .payload = &stage->runs[stage->n_started],
        };
        memset(request.run_id, 'a' + (int)stage->n_started, RUN_ID_CHARACTERS - 1);
        must(workers_start(stage->workers, &request, &run) == 0);
    }
}

static void finish(struct stage *stage)
{
    struct worker_link *link = &stage->workers->links[0];
    if (link->state != LINK_DOWN)
        link_lose(link, NULL);
    for (size_t i = 0; i < stage->n_started; i++)
        must(stage->runs[i].n_endings == 1);
    for (size_t i = 0; i < stage->n_adopted; i++)
        must(stage->adopted[i].n_endings == 1);
    workers_free(stage->workers);
    uv_run(&stage->loop, UV_RUN_NOWAIT);
    must(uv_loop_close(&stage->loop) == 0);
    berth_contract_unref(stage->contract);
    close(stage->worker);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct stage stage;
    if (size == 0)
        return 0;
    begin(&stage, data[0] & 1);
    struct worker_link *link = &stage.workers->links[0];
    for (size_t at = 1; size - at >= 2 && link->state != LINK_DOWN;) {
        size_t length = data[at] | (size_t)data[at + 1] << 8;
        const char *fault;
        at += 2;
        if (length > size - at)
            length = size - at;
        if (link_take(link, data + at, length, &fault) != 0) {
            must(fault != NULL);
            link_lose(link, fault);
        }
        at += length;
    }
    finish(&stage);
    return 0;
}
