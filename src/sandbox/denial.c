/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A denial is a sentence: what was tried, which rule said no, observed and allowed, and the line that would
 * allow it. A guest can ask as often as it likes, so only the first few are told; all are counted. Growths
 * and WASI calls are counted apart, or a guest could silence the ones by the others.
 */
#include "sandbox/denial.h"

#include "base/text.h"
#include "contract/contract.h"
#include "sandbox/instance.h"
#include "sandbox/words.h"

enum { GROWTHS_TOLD = 16 };

static void report(berth_instance *instance, const struct wasi_denial *denial)
{
    cleanup_text struct text sentence = {0};
    if (!instance->on_denial)
        return;
    text_append_format(&sentence, "%s was refused: %s allows %s, this is %s; to allow it: %s", denial->tried,
                       denial->rule, denial->allowed, denial->observed, denial->remedy);
    if (sentence.failed)
        return;
    struct berth_denial told = {.rule = denial->rule,
                                .tried = denial->tried,
                                .observed = denial->observed,
                                .allowed = denial->allowed,
                                .remedy = denial->remedy,
                                .sentence = sentence.data};
    instance->on_denial(instance->payload, &told);
}

void denial_from_wasi(void *payload, const struct wasi_denial *denial)
{
    berth_instance *instance = payload;
    report(instance, denial);
}

void denial_report_memory(berth_instance *instance, const char *what, uint64_t used_bytes,
                          uint64_t desired_bytes)
{
    char tried[96], observed[32], allowed[32], from[32], to[32];
    if (instance->memory_denials++ >= GROWTHS_TOLD)
        return;
    cleanup_free char *remedy = contract_line("limits.memory_mb", instance->memory_account.refused_bytes);
    words_bytes(used_bytes, from, sizeof(from));
    words_bytes(desired_bytes, to, sizeof(to));
    words_bytes(instance->memory_account.refused_bytes, observed, sizeof(observed));
    words_bytes(instance->memory_account.limit_bytes, allowed, sizeof(allowed));
    snprintf(tried, sizeof(tried), "%s from %s to %s", what, from, to);
    report(instance, &(struct wasi_denial){.rule = "limits.memory_mb",
                                           .tried = tried,
                                           .observed = observed,
                                           .allowed = allowed,
                                           .remedy = remedy ? remedy : ""});
}
