/* SPDX-License-Identifier: Apache-2.0 */
/* What is written down of a visit: entries of the audit log, its row in the store, its receipt. */
#include "node/front/visit_record.h"

#include <inttypes.h>
#include <string.h>

#include "base/json.h"
#include "receipt/receipt.h"

enum { MOUNTS_MAX = 64 };

void visit_start_hashing(struct visit *visit)
{
    hash_init(&visit->streams[0].hash);
    hash_init(&visit->streams[1].hash);
    hash_init(&visit->events_hash);
}

static void insert(struct visit *visit, const char *state, const char *module, const void *request,
                   size_t request_bytes)
{
    struct front *front = visit->front;
    const struct run_record record = {
        .run_id = visit->run_id,
        .principal = principal_name(visit->principal),
        .capability = visit->capability,
        .name = visit->name,
        .module_sha256 = module,
        .state = state,
        .cause = "",
        .started_ns = visit->started_ns,
        .detached = visit->detached,
        .survive_restart = visit->survive_restart,
        .request = request,
        .request_bytes = request_bytes,
    };
    int r = run_store_insert(ledger_store(front->ledger), &record);
    if (r < 0)
        log_event(front->log, LOG_LEVEL_ERROR, "store_failed", log_text("run", visit->run_id),
                  log_text("error", strerror(-r)));
    visit->inserted = true;
}

void visit_record_start(struct visit *visit, bool running, const void *request, size_t request_bytes)
{
    struct front *front = visit->front;
    const char *state = running ? "running" : "queued";
    char module[HASH_CHARACTERS], contract[HASH_CHARACTERS];
    uint8_t contract_sha256[HASH_BYTES] = {0};
    hex_write(visit->module_sha256, HASH_BYTES, module);
    if (visit->inserted)
        run_store_set_state(ledger_store(front->ledger), visit->run_id, state);
    else
        insert(visit, state, module, request, request_bytes);
    if (!running)
        return;
    contract_digest(front, visit->contract, contract_sha256);
    hex_write(contract_sha256, HASH_BYTES, contract);
    ledger_note(front->ledger, "run_started", principal_name(visit->principal), visit->run_id,
                json_pack("{s:s, s:s, s:s, s:b}", "capability", visit->capability, "module", module,
                          "contract", contract, "detached", visit->detached));
}

void visit_record_end(struct visit *visit)
{
    struct front *front = visit->front;
    const char *state = berth_outcome_name(visit->outcome.kind);
    ledger_note(front->ledger, "run_ended", principal_name(visit->principal), visit->run_id,
                json_pack("{s:s, s:I, s:I, s:I, s:I, s:b}", "outcome", state, "exit_code",
                          (json_int_t)visit->outcome.exit_code, "output_bytes",
                          (json_int_t)visit->streams[0].bytes, "cpu_ns", (json_int_t)visit->usage.cpu_ns,
                          "denials", (json_int_t)visit->usage.denials, "lost", visit->lost));
    /* A caller who is there gets the receipt now; ten kilobytes a run need not be kept for that. */
    const char *kept = visit->detached || !visit->listener ? visit->receipt : NULL;
    int r = run_store_end(ledger_store(front->ledger), visit->run_id, visit->lost ? "lost" : state,
                          visit->outcome.cause, visit->outcome.exit_code, visit->ended_ns, kept);
    if (r < 0)
        log_event(front->log, LOG_LEVEL_ERROR, "store_failed", log_text("run", visit->run_id),
                  log_text("error", strerror(-r)));
}

static int sign(struct visit *visit, const char *body, size_t body_bytes)
{
    const struct identity *identity = visit->front->identity;
    uint8_t ed25519[ED25519_SIGNATURE_BYTES], ml_dsa[ML_DSA_65_SIGNATURE_BYTES];
    cleanup_free uint8_t *bytes = NULL;
    size_t size_bytes = 0;
    int r = receipt_signed_bytes(body, body_bytes, &bytes, &size_bytes);
    if (r == 0)
        r = identity_sign_ed25519(identity, bytes, size_bytes, ed25519);
    if (r == 0)
        r = identity_sign_ml_dsa_65(identity, bytes, size_bytes, ml_dsa);
    return r != 0 ? r
                  : receipt_text(body, identity_ed25519_public_key(identity), ed25519,
                                 identity_ml_dsa_65_public_key(identity), ml_dsa, &visit->receipt);
}

int visit_make_receipt(struct visit *visit)
{
    struct front *front = visit->front;
    uint8_t output[HASH_BYTES], errors[HASH_BYTES], events[HASH_BYTES], contract[HASH_BYTES];
    const char *mounts[MOUNTS_MAX];
    const struct berth_grants *grants = visit->contract ? berth_contract_grants(visit->contract) : NULL;
    size_t n_mounts = grants ? grants->n_mounts : 0;
    if (n_mounts > MOUNTS_MAX)
        return -E2BIG;
    for (size_t i = 0; i < n_mounts; i++)
        mounts[i] = grants->mounts[i].guest;
    int r = visit->contract ? contract_digest(front, visit->contract, contract) : 0;
    if (r < 0)
        return r;
    hash_end(&visit->streams[0].hash, output);
    hash_end(&visit->streams[1].hash, errors);
    hash_end(&visit->events_hash, events);
    memcpy(visit->output_sha256, output, HASH_BYTES);
    /* What passed while another front stood was not seen by this one. */
    bool whole = !visit->adopted;
    const struct receipt_facts facts = {
        .run_id = visit->run_id,
        .node = identity_peer_id(front->identity),
        .node_ml_dsa_65_sha256 = front->ml_dsa_sha256,
        .principal = principal_name(visit->principal),
        .capability = visit->capability,
        .module_name = visit->name,
        .module_sha256 = visit->module_sha256,
        .arguments_sha256 = whole ? visit->arguments_sha256 : NULL,
        .inputs_sha256 = whole ? visit->inputs_sha256 : NULL,
        .mounts = mounts,
        .n_mounts = n_mounts,
        .contract_sha256 = visit->contract ? contract : NULL,
        .output_sha256 = whole ? output : NULL,
        .errors_sha256 = whole ? errors : NULL,
        .output_bytes = visit->streams[0].bytes,
        .errors_bytes = visit->streams[1].bytes,
        .events = visit->n_events,
        .events_sha256 = whole ? events : NULL,
        .outcome = visit->outcome,
        .usage = visit->usage,
        .started_ns = visit->started_ns,
        .ended_ns = visit->ended_ns,
    };
    cleanup_free char *body = NULL;
    size_t body_bytes = 0;
    r = receipt_body(&facts, &body, &body_bytes);
    return r == 0 ? sign(visit, body, body_bytes) : r;
}
