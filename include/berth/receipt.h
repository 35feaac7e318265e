/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Receipts: signed statements of a node about one run. Checking one needs no network, no engine and no
 * secret, only the node's key; see docs/receipts.md for what a receipt proves and what it does not.
 */
#ifndef BERTH_RECEIPT_H
#define BERTH_RECEIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <berth/error.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What the receipt is compared with. Everything that is NULL is not compared. */
struct berth_receipt_expectation {
    size_t size;      /* sizeof(struct berth_receipt_expectation) */
    const char *node; /* peer id, "12D3KooW…" */
    const char *principal;
    const char *run_id;
    const void *module; /* its bytes, module_bytes of them */
    size_t module_bytes;
    const uint8_t *module_sha256; /* instead of the bytes: 32 bytes */
    const void *output;           /* stdout as it was received */
    size_t output_bytes;
    const uint8_t *output_sha256; /* instead of the bytes: 32 bytes */
    const char *const *arguments; /* without argv[0]; ends with NULL */
    bool require_post_quantum;    /* refuse a receipt without an ML-DSA-65 signature */
    /* The ML-DSA-65 key that is known for this node, 1952 bytes; NULL: the one in the receipt. */
    const uint8_t *ml_dsa_65_public_key;
    const uint8_t *errors_sha256; /* of stderr as it was received: 32 bytes */
    const char *outcome;          /* how the run ended, as the node told it: "exited", … */
    uint32_t exit_code;           /* with `outcome` */
};

/* Called once for each thing that was checked, in order; field is "signatures.ed25519", "output.sha256", …,
 * `ok` whether it matches. */
typedef void berth_receipt_check_fn(void *payload, const char *field, bool ok, const char *expected,
                                    const char *found);

/* Checks form, both signatures, that their keys are those that the receipt names, and everything that is
 * expected. json: size_bytes bytes, at most 1 MiB. expectation: NULL: nothing is compared. check: NULL:
 * nothing is told. What it gets is safe to print and valid during the call; all checks are made, also after
 * one has failed. Errors: BERTH_INVALID (no receipt), BERTH_REFUSED: a field does not match; the sentence
 * names the first one, expected and found. */
BERTH_API BERTH_MUST_USE berth_status
berth_receipt_verify(const char *json, size_t size_bytes, const struct berth_receipt_expectation *expectation,
                     berth_receipt_check_fn *check, void *payload, berth_error **reterr);

#ifdef __cplusplus
}
#endif

#endif
