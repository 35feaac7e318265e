/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Modules and contracts that the front has told of, by place. What cannot be used is remembered with its
 * sentence: the runs that name it end with that.
 */
#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "node/worker/worker.h"

static const char inputs_path[] = "/inputs";

static char *sentence_of(const berth_error *error)
{
    return strdup(error ? berth_error_message(error) : "out of memory");
}

/* ---- Modules ---------------------------------------------------------------------------------------- */

static void module_done(struct worker_module *module)
{
    berth_module_unref(module->module);
    free(module->failure);
    *module = (struct worker_module){0};
}

void worker_set_module(struct worker *worker, uint32_t place, const char *name, int artifact)
{
    struct worker_module *module = &worker->modules[place];
    cleanup_error berth_error *error = NULL;
    module_done(module);
    if (berth_module_import(worker->engine, artifact, name, &module->module, &error) != BERTH_OK)
        module->failure = sentence_of(error);
}

/* ---- Contracts -------------------------------------------------------------------------------------- */

static void contract_done(struct worker_contract *contract)
{
    berth_mounts_unref(contract->mounts);
    berth_contract_unref(contract->with_inputs);
    berth_contract_unref(contract->contract);
    free(contract->descriptors);
    free(contract->failure);
    *contract = (struct worker_contract){0};
}

static int find_mount(const struct worker *worker, const char *host)
{
    for (size_t i = 0; i < worker->n_mounts; i++)
        if (strcmp(worker->mounts[i].host, host) == 0)
            return worker->mounts[i].descriptor;
    return -1;
}

static berth_status open_mounts(struct worker *worker, struct worker_contract *contract, berth_error **reterr)
{
    const struct berth_grants *grants = berth_contract_grants(contract->contract);
    contract->descriptors = calloc(grants->n_mounts + 1, sizeof(int));
    if (!contract->descriptors)
        return error_set(reterr, BERTH_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < grants->n_mounts; i++) {
        contract->descriptors[i] = find_mount(worker, grants->mounts[i].host);
        if (contract->descriptors[i] < 0)
            return error_set(reterr, BERTH_NOT_FOUND, "the node has no mount for %s",
                             grants->mounts[i].guest);
    }
    return berth_mounts_open_at(worker->engine, contract->contract, contract->descriptors, grants->n_mounts,
                                &contract->mounts, reterr);
}

static berth_status read_contract(uint32_t flags, const char *text, size_t text_bytes, berth_contract **ret,
                                  berth_error **reterr)
{
    const char *watch = flags & CHANNEL_MAY_WATCH ? "true" : "false";
    const char *events = flags & CHANNEL_MAY_PUSH_EVENTS ? "true" : "false";
    berth_status status = berth_contract_parse(text, text_bytes, "the node", ret, reterr);
    if (status == BERTH_OK)
        status = berth_contract_set(*ret, "grants.watch", watch, "the capability", reterr);
    return status ? status : berth_contract_set(*ret, "grants.events", events, "the capability", reterr);
}

void worker_set_contract(struct worker *worker, uint32_t place, uint32_t flags, const char *text,
                         size_t text_bytes)
{
    struct worker_contract *contract = &worker->contracts[place];
    cleanup_error berth_error *error = NULL;
    contract_done(contract);
    berth_status status = read_contract(flags, text, text_bytes, &contract->contract, &error);
    if (status == BERTH_OK)
        status = open_mounts(worker, contract, &error);
    if (status != BERTH_OK)
        contract->failure = sentence_of(error);
}

/* A contract cannot be copied as such, but it can be written and read again. */
static berth_status add_inputs(struct worker_contract *contract, berth_error **reterr)
{
    const struct berth_mount mount = {.guest = inputs_path, .host = inputs_path};
    cleanup_free char *text = NULL;
    berth_status status = berth_contract_explain(contract->contract, BERTH_FORMAT_TOML, &text, reterr);
    if (status == BERTH_OK)
        status = berth_contract_parse(text, strlen(text), "the node", &contract->with_inputs, reterr);
    if (status == BERTH_OK)
        status = berth_contract_add_mount(contract->with_inputs, &mount, "the node", reterr);
    if (status != BERTH_OK) {
        berth_contract_unref(contract->with_inputs);
        contract->with_inputs = NULL;
    }
    return status;
}

berth_status worker_contract_with_inputs(struct worker *worker, struct worker_contract *contract, int inputs,
                                         berth_contract **ret_contract, berth_mounts **ret_mounts,
                                         berth_error **reterr)
{
    size_t n_mounts = berth_contract_grants(contract->contract)->n_mounts;
    berth_status status = contract->with_inputs ? BERTH_OK : add_inputs(contract, reterr);
    if (status != BERTH_OK)
        return status;
    contract->descriptors[n_mounts] = inputs;
    status = berth_mounts_open_at(worker->engine, contract->with_inputs, contract->descriptors, n_mounts + 1,
                                  ret_mounts, reterr);
    contract->descriptors[n_mounts] = -1;
    if (status != BERTH_OK)
        return status;
    berth_mounts_share_quotas(*ret_mounts, contract->mounts);
    *ret_contract = berth_contract_ref(contract->with_inputs);
    return BERTH_OK;
}

void worker_clear_tables(struct worker *worker)
{
    for (size_t i = 0; i < CHANNEL_MODULES; i++)
        module_done(&worker->modules[i]);
    for (size_t i = 0; i < CHANNEL_CONTRACTS; i++)
        contract_done(&worker->contracts[i]);
}
