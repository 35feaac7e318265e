/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Seals from hostile bytes: nothing opens that was not closed for it, what does not open is not shown, and
 * the LIOP mode leaves it as it was for the next secret.
 *
 * The input is a ciphertext, a public key or a sealed message, as its length allows.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "wire/seal.h"

static void must(int condition)
{
    if (!condition)
        abort();
}

static void check_exchange(const uint8_t *data, size_t size)
{
    cleanup_kem_key struct kem_key *key = NULL;
    uint8_t public_key[KEM_PUBLIC_KEY_BYTES], ciphertext[KEM_CIPHERTEXT_BYTES];
    uint8_t secret[KEM_SECRET_BYTES], again[KEM_SECRET_BYTES];
    must(kem_key_new(&key, public_key) == 0);
    must(kem_decapsulate(key, data, size, secret) == (size == KEM_CIPHERTEXT_BYTES ? 0 : SEAL_BROKEN));
    if (size == KEM_CIPHERTEXT_BYTES) {
        must(kem_decapsulate(key, data, size, again) == 0);
        must(memcmp(secret, again, sizeof secret) == 0);
    }
    int r = kem_encapsulate(data, size, ciphertext, secret);
    must(r == SEAL_BROKEN || (r == 0 && size == KEM_PUBLIC_KEY_BYTES));
}

static void check_message(const uint8_t *data, size_t size)
{
    uint8_t secret[KEM_SECRET_BYTES] = {1};
    cleanup_seal struct seal *in = NULL, *out = NULL;
    cleanup_free uint8_t *opened = malloc(size + 1), *closed = malloc(size + SEAL_TAG_BYTES);
    must(seal_new(secret, "00112233445566778899aabbccddeeff", "logs", SEAL_TO_NODE, &in) == 0);
    must(seal_new(secret, "00112233445566778899aabbccddeeff", "logs", SEAL_TO_NODE, &out) == 0);
    must(seal_open(in, data, size, opened) == SEAL_BROKEN);
    must(seal_close(out, data, size, closed) == 0);
    must(seal_open(in, closed, size + SEAL_TAG_BYTES, opened) == 0);
    must(memcmp(opened, data, size) == 0);
    must(seal_open(in, closed, size + SEAL_TAG_BYTES, opened) == SEAL_BROKEN);
}

static void check_liop(const uint8_t *data, size_t size)
{
    uint8_t secret[KEM_SECRET_BYTES] = {2}, nonce[SEAL_NONCE_BYTES] = {3}, *plain;
    size_t plain_bytes;
    cleanup_free uint8_t *bytes = malloc(size + 1);
    memcpy(bytes, data, size);
    must(liop_open(secret, nonce, sizeof nonce, bytes, size) == SEAL_BROKEN);
    must(liop_open_input(secret, bytes, size, &plain, &plain_bytes) == SEAL_BROKEN);
    must(memcmp(bytes, data, size) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t nothing[1];
    const uint8_t *bytes = size ? data : nothing;
    check_exchange(bytes, size);
    check_message(bytes, size);
    check_liop(bytes, size);
    return 0;
}
