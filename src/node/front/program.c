/* SPDX-License-Identifier: Apache-2.0 */
/* See program.h. */
#include "node/front/program.h"

#include <stdio.h>
#include <string.h>

#include "wire/hash.h"
#include "wire/protobuf.h"

enum {
    ARGUMENTS_MAX = 4096,
    ARGUMENTS_MAX_BYTES = 1 << 20,
    NAME_MAX_BYTES = 255,
    FIELDS_MAX = 200000,
    UNPACKED_SPARE_BYTES = 16 << 20,
};

static int refuse(struct refusal *refusal, enum grpc_status status, const char *sentence)
{
    refusal->status = status;
    snprintf(refusal->reason, sizeof(refusal->reason), "request");
    snprintf(refusal->sentence, sizeof(refusal->sentence), "%s", sentence);
    return 1;
}

int program_unpack(const uint8_t *bytes, size_t size_bytes, Berth__V1__RunRequest **ret)
{
    ProtobufCMessage *message = NULL;
    int r = message_unpack(&berth__v1__run_request__descriptor, bytes, size_bytes, FIELDS_MAX,
                           2 * size_bytes + UNPACKED_SPARE_BYTES, &message);
    *ret = (Berth__V1__RunRequest *)message;
    return r;
}

static size_t bytes_of(char *const *strings, size_t n_strings)
{
    size_t total = 0;
    for (size_t i = 0; i < n_strings; i++)
        total += strlen(strings[i]) + 1;
    return total;
}

static int check(const Berth__V1__RunRequest *run, struct refusal *refusal)
{
    uint8_t sha256[HASH_BYTES];
    if (run->n_arguments + run->n_environment > ARGUMENTS_MAX ||
        bytes_of(run->arguments, run->n_arguments) + bytes_of(run->environment, run->n_environment) >
            ARGUMENTS_MAX_BYTES)
        return refuse(refusal, GRPC_RESOURCE_EXHAUSTED,
                      "arguments and environment have at most 4096 entries and 1 MiB together");
    if (strlen(run->name) > NAME_MAX_BYTES)
        return refuse(refusal, GRPC_INVALID_ARGUMENT, "the module's name has at most 255 bytes");
    if (run->module_sha256.len != HASH_BYTES)
        return refuse(refusal, GRPC_INVALID_ARGUMENT, "module_sha256 has 32 bytes");
    if (run->module.len == 0)
        return 0;
    hash_of(run->module.data, run->module.len, sha256);
    if (memcmp(sha256, run->module_sha256.data, HASH_BYTES) != 0)
        return refuse(refusal, GRPC_INVALID_ARGUMENT,
                      "the module's bytes do not have the SHA-256 that is said");
    return 0;
}

static int copy_lists(const Berth__V1__RunRequest *run, struct program *program)
{
    program->argv = calloc(run->n_arguments + 2, sizeof(*program->argv));
    program->environment = calloc(run->n_environment + 1, sizeof(*program->environment));
    program->inputs = calloc(run->n_inputs + 1, sizeof(*program->inputs));
    if (!program->argv || !program->environment || !program->inputs)
        return -ENOMEM;
    program->argv[0] = *run->name ? run->name : "filter.wasm";
    for (size_t i = 0; i < run->n_arguments; i++)
        program->argv[i + 1] = run->arguments[i];
    for (size_t i = 0; i < run->n_environment; i++)
        program->environment[i] = run->environment[i];
    for (size_t i = 0; i < run->n_inputs; i++)
        program->inputs[i] = (struct visit_input){.name = run->inputs[i]->key,
                                                  .json = (const char *)run->inputs[i]->value.data,
                                                  .json_bytes = run->inputs[i]->value.len};
    return 0;
}

int program_read(const Berth__V1__RunRequest *run, const struct grant *grant, struct program *ret,
                 struct refusal *ret_refusal)
{
    int r = check(run, ret_refusal);
    if (r == 0)
        r = copy_lists(run, ret);
    if (r == 0)
        r = contract_request(grant, run->contract, strlen(run->contract), &ret->contract, ret_refusal);
    if (r != 0)
        return r;
    ret->request = (struct visit_request){
        .grant = grant,
        .contract = ret->contract,
        .module = run->module.len ? run->module.data : NULL,
        .module_bytes = run->module.len,
        .name = ret->argv[0],
        .argv = ret->argv,
        .environment = ret->environment,
        .inputs = ret->inputs,
        .n_inputs = run->n_inputs,
        .deadline_ns = UINT64_MAX,
        .detach = run->detach,
        .survive_restart = run->survive_restart,
    };
    memcpy(ret->request.module_sha256, run->module_sha256.data, HASH_BYTES);
    return 0;
}

void program_done(struct program *program)
{
    free(program->argv);
    free(program->environment);
    free(program->inputs);
    berth_contract_unref(program->contract);
}

int program_start_again(struct front *front, const struct run_record *record, struct refusal *ret_refusal)
{
    cleanup_program struct program program = {0};
    Berth__V1__RunRequest *run = NULL;
    const struct grant *grant;
    struct visit *visit;
    struct principal *principal = access_principal(front->access, record->principal);
    if (!principal)
        return refuse(ret_refusal, GRPC_PERMISSION_DENIED, "its principal is no longer known here");
    int r = access_grant(front->access, principal, record->capability, &grant, ret_refusal);
    if (r == 0)
        r = program_unpack(record->request, record->request_bytes, &run);
    if (r == 0)
        r = program_read(run, grant, &program, ret_refusal);
    if (r == 0) {
        program.request.principal = principal;
        program.request.run_id = record->run_id;
        r = visit_start(front, &program.request, &visit, ret_refusal);
    }
    if (run)
        berth__v1__run_request__free_unpacked(run, NULL);
    return r;
}
