/* SPDX-License-Identifier: Apache-2.0 */
/* See visit_result.h. */
#include "client/visit_result.h"

#include <stdlib.h>
#include <string.h>

#include <berth/receipt.h>

#include "client/client.h"

enum { DENIALS_MAX = 32 };

bool run_id_is_valid(const char *run_id)
{
    return strlen(run_id) == RUN_ID_CHARACTERS - 1 &&
           strspn(run_id, "0123456789abcdef") == RUN_ID_CHARACTERS - 1;
}

void visit_result_free(struct visit_result *result)
{
    if (!result)
        return;
    for (char **denial = result->denials; denial && *denial; denial++)
        free(*denial);
    free(result->denials);
    free(result->cause);
    free(result->remedy);
    free(result->receipt);
    free(result);
}

/* ---- The receipt --------------------------------------------------------------------------------------- */

static berth_status untrusted(const struct visit_evidence *evidence, const char *why, berth_error **reterr)
{
    return error_set(reterr, BERTH_INTERNAL,
                     "THE RECEIPT OF THE NODE AT %s DOES NOT HOLD, do not trust what it sent: %s",
                     evidence->client->address.text, why);
}

static berth_status verify(const struct visit_evidence *evidence, const Berth__V1__RunEnd *end,
                           berth_error **reterr)
{
    static const char *const no_arguments[] = {NULL};
    cleanup_error berth_error *why = NULL;
    const char *receipt = (const char *)end->receipt.data;
    const struct berth_receipt_expectation expectation = {
        .size = sizeof(expectation),
        .node = evidence->client->peer_id,
        .run_id = evidence->run_id,
        .module_sha256 = evidence->module_sha256,
        .output_sha256 = evidence->output_sha256,
        .arguments = evidence->visit->arguments ? evidence->visit->arguments : no_arguments,
        .require_post_quantum = true,
        .ml_dsa_65_public_key = evidence->client->ml_dsa_65,
        .errors_sha256 = evidence->errors_sha256,
        .outcome = end->outcome,
        .exit_code = end->exit_code,
    };
    if (end->receipt.len == 0)
        return untrusted(evidence, "there is none", reterr);
    berth_status status = berth_receipt_verify(receipt, end->receipt.len, &expectation, NULL, NULL, &why);
    if (status == BERTH_NO_MEMORY)
        return error_set(reterr, status, "out of memory");
    if (status != BERTH_OK)
        return untrusted(evidence, berth_error_message(why), reterr);
    return BERTH_OK;
}

/* ---- The words ----------------------------------------------------------------------------------------- */

static bool outcome_read(const char *word, enum berth_outcome_kind *ret)
{
    for (int kind = BERTH_OUTCOME_EXITED; kind <= BERTH_OUTCOME_HOST_ERROR; kind++)
        if (strcmp(word, berth_outcome_name((berth_outcome_kind)kind)) == 0) {
            *ret = (berth_outcome_kind)kind;
            return true;
        }
    return false;
}

static berth_limit_kind limit_read(const char *word)
{
    for (int limit = BERTH_LIMIT_MEMORY; limit <= BERTH_LIMIT_OUTPUT; limit++)
        if (strcmp(word, berth_limit_name((berth_limit_kind)limit)) == 0)
            return (berth_limit_kind)limit;
    return BERTH_LIMIT_NONE;
}

static void copy_usage(const Berth__V1__Usage *usage, struct berth_usage *ret)
{
    if (!usage)
        return;
    *ret = (struct berth_usage){
        .wall_ns = usage->wall_ns,
        .cpu_ns = usage->cpu_ns,
        .fuel = usage->fuel,
        .memory_peak_bytes = usage->memory_peak_bytes,
        .host_calls = usage->host_calls,
        .input_bytes = usage->input_bytes,
        .output_bytes = usage->output_bytes,
        .written_bytes = usage->written_bytes,
        .files_opened = usage->files_opened,
        .parked_ns = usage->parked_ns,
        .denials = usage->denials,
    };
}

/* Everything that is printed later is safe from here on. */
static int copy_words(struct visit_result *result, const Berth__V1__RunEnd *end)
{
    size_t n_denials = end->n_denials < DENIALS_MAX ? end->n_denials : DENIALS_MAX;
    result->cause = client_safe_text(end->cause);
    result->remedy = client_safe_text(end->remedy);
    result->receipt = client_string(&end->receipt);
    result->denials = calloc(n_denials + 1, sizeof(*result->denials));
    if (!result->cause || !result->remedy || !result->receipt || !result->denials)
        return -1;
    for (size_t i = 0; i < n_denials; i++)
        if (!(result->denials[i] = client_safe_text(end->denials[i])))
            return -1;
    return 0;
}

static void point(struct visit_result *result)
{
    result->end.run_id = result->run_id;
    result->end.receipt = result->receipt;
    result->end.denials = (const char *const *)result->denials;
    result->end.outcome.cause = result->cause;
    result->end.outcome.remedy = result->remedy;
}

berth_status visit_result_new(const struct visit_evidence *evidence, const Berth__V1__RunEnd *end,
                              struct visit_result **ret, berth_error **reterr)
{
    berth_outcome_kind kind;
    berth_status status = verify(evidence, end, reterr);
    if (status != BERTH_OK)
        return status;
    if (!outcome_read(end->outcome, &kind))
        return untrusted(evidence, "it ends in a way that is unknown here", reterr);
    struct visit_result *result = calloc(1, sizeof(*result));
    if (!result || copy_words(result, end) < 0) {
        visit_result_free(result);
        return error_set(reterr, BERTH_NO_MEMORY, "out of memory");
    }
    if (evidence->run_id)
        memcpy(result->run_id, evidence->run_id, RUN_ID_CHARACTERS);
    result->end.outcome.kind = kind;
    result->end.outcome.limit = limit_read(end->limit);
    result->end.outcome.exit_code = end->exit_code;
    copy_usage(end->usage, &result->end.usage);
    point(result);
    *ret = result;
    return BERTH_OK;
}

berth_status visit_result_new_detached(const char *run_id, struct visit_result **ret, berth_error **reterr)
{
    struct visit_result *result = calloc(1, sizeof(*result));
    Berth__V1__RunEnd none;
    berth__v1__run_end__init(&none);
    if (!result || copy_words(result, &none) < 0) {
        visit_result_free(result);
        return error_set(reterr, BERTH_NO_MEMORY, "out of memory");
    }
    memcpy(result->run_id, run_id, RUN_ID_CHARACTERS);
    result->end.outcome.kind = BERTH_OUTCOME_RUNNING;
    result->end.detached = true;
    point(result);
    result->end.receipt = NULL;
    *ret = result;
    return BERTH_OK;
}
