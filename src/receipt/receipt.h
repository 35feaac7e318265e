/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A receipt: what ran on what, for whom, under which contract, with which result. JSON (docs/receipts.md)
 * whose "receipt" member is signed in canonical form (RFC 8785; keys are ASCII, numbers are integers below
 * 2^53) with Ed25519 and ML-DSA-65. No private keys here: the node signs, anyone verifies
 * (include/berth/receipt.h).
 *
 * Beside it the receipt of LIOP version 1, which public clients check: an HMAC-SHA-256 under the session's
 * secret over a small journal.
 */
#ifndef BERTH_RECEIPT_RECEIPT_H
#define BERTH_RECEIPT_RECEIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <berth/run.h>

enum {
    RECEIPT_HASH_BYTES = 32,
    RECEIPT_VERSION = 1,
};

/* What a receipt says. Strings are borrowed UTF-8, NULL: ""; bytes that are not UTF-8 are escaped as
 * text_append_escaped() does. Hashes are SHA-256, 32 bytes, NULL: absent. Numbers of 2^53 and more are
 * written as 2^53 - 1. */
struct receipt_facts {
    const char *run_id;
    const char *node; /* peer id */
    /* Of the raw ML-DSA-65 public key that signs beside the Ed25519 one; NULL: none does. */
    const uint8_t *node_ml_dsa_65_sha256;
    const char *principal; /* verified name of the caller */
    const char *capability;
    const char *module_name;
    const uint8_t *module_sha256;
    const uint8_t *arguments_sha256; /* over each argument followed by a NUL byte */
    const uint8_t *inputs_sha256;    /* over the stdin object, byte for byte */
    const char *const *mounts;       /* guest paths, n_mounts */
    size_t n_mounts;
    const uint8_t *contract_sha256; /* over the effective contract as berth_contract_explain() writes TOML */
    const uint8_t *output_sha256;   /* stdout, byte for byte */
    const uint8_t *errors_sha256;   /* stderr */
    uint64_t output_bytes, errors_bytes;
    uint64_t events;              /* how many */
    const uint8_t *events_sha256; /* over each event's text followed by a NUL byte */
    struct berth_outcome outcome;
    struct berth_usage usage;
    int64_t started_ns, ended_ns; /* since 1970, the node's clock */
};

/* The canonical text of the receipt member; the caller frees it. 0 or -ENOMEM. */
int receipt_body(const struct receipt_facts *facts, char **ret, size_t *ret_size_bytes);

/* What either key signs, ML-DSA-65 with an empty context string: "berth receipt v1" | 0x00 | body. The caller
 * frees *ret. 0 or -ENOMEM. */
int receipt_signed_bytes(const char *body, size_t body_bytes, uint8_t **ret, size_t *ret_size_bytes);

/* The whole receipt as one line of JSON from the body, the keys and their signatures. ml_dsa NULL: Ed25519
 * alone. The caller frees *ret. 0 or -ENOMEM. */
int receipt_text(const char *body, const uint8_t *ed25519_public_key, const uint8_t *ed25519_signature,
                 const uint8_t *ml_dsa_public_key, const uint8_t *ml_dsa_signature, char **ret);

/* ---- LIOP version 1 ------------------------------------------------------------------------------------ */

/* SHA-256 that a LIOP client expects for what it sent: of a wasm module its bytes; of text, without a
 * `@LIOP{…}` … `@END` envelope around all of it and without white space around that, its UTF-8. Bytes that
 * are not UTF-8 count as U+FFFD, as JavaScript reads them. */
void receipt_v1_image_id(const uint8_t *payload, size_t size_bytes, uint8_t ret[static RECEIPT_HASH_BYTES]);

/* 0x01 | u16be length | journal | HMAC-SHA-256 under the secret over the journal; the journal is a JSON
 * object with image_id and output_hash (lowercase hex), fuel and ts (milliseconds since 1970). The caller
 * frees *ret. 0 or -ENOMEM. */
int receipt_v1_new(const uint8_t secret[static 32], const uint8_t image_id[static RECEIPT_HASH_BYTES],
                   const uint8_t output_sha256[static RECEIPT_HASH_BYTES], uint64_t fuel, int64_t time_ms,
                   uint8_t **ret, size_t *ret_size_bytes);

#endif
