/* SPDX-License-Identifier: Apache-2.0 */
/* The sealed messages of seal.h. */
#include "wire/seal.h"

#include <errno.h>
#include <openssl/aead.h>
#include <openssl/evp.h>
#include <openssl/hkdf.h>
#include <openssl/mem.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

enum {
    KEY_BYTES = 32,
    TOKEN_MAX_BYTES = SESSION_TOKEN_CHARACTERS - 1,
};

struct seal {
    EVP_AEAD_CTX context;
    uint8_t bound[1 + TOKEN_MAX_BYTES]; /* additional data: direction, session token */
    size_t bound_bytes;
    uint64_t sequence; /* of the next message; the last number is never used, so that it cannot wrap */
};

static int derive_key(const uint8_t secret[static KEM_SECRET_BYTES], const char *session_token,
                      const char *capability, enum seal_direction direction,
                      uint8_t ret_key[static KEY_BYTES])
{
    static const char label[] = "berth seal v1";
    uint8_t info[sizeof label + 2 + SHA256_DIGEST_LENGTH];
    uint8_t *end = mempcpy(info, label, sizeof label); /* with its NUL */
    *end++ = (uint8_t)direction;
    *end++ = 0;
    SHA256((const uint8_t *)capability, strlen(capability), end);
    int done = HKDF(ret_key, KEY_BYTES, EVP_sha256(), secret, KEM_SECRET_BYTES,
                    (const uint8_t *)session_token, strlen(session_token), info, sizeof info);
    return done == 1 ? 0 : -ENOMEM;
}

int seal_new(const uint8_t secret[static KEM_SECRET_BYTES], const char *session_token, const char *capability,
             enum seal_direction direction, struct seal **ret)
{
    uint8_t key[KEY_BYTES];
    size_t token_bytes = strlen(session_token);
    if (token_bytes == 0 || token_bytes > TOKEN_MAX_BYTES)
        return -EINVAL;
    cleanup_seal struct seal *seal = calloc(1, sizeof *seal);
    if (!seal)
        return -ENOMEM;
    seal->bound[0] = (uint8_t)direction;
    memcpy(seal->bound + 1, session_token, token_bytes);
    seal->bound_bytes = 1 + token_bytes;
    int r = derive_key(secret, session_token, capability, direction, key);
    if (r == 0 &&
        EVP_AEAD_CTX_init(&seal->context, EVP_aead_aes_256_gcm(), key, sizeof key, SEAL_TAG_BYTES, NULL) != 1)
        r = -ENOMEM;
    OPENSSL_cleanse(key, sizeof key);
    if (r < 0)
        return r;
    *ret = take_ptr(seal);
    return 0;
}

void seal_free(struct seal *seal)
{
    if (!seal)
        return;
    EVP_AEAD_CTX_cleanup(&seal->context);
    OPENSSL_cleanse(seal, sizeof *seal); /* the expanded key lies inside */
    free(seal);
}

static void write_nonce(uint64_t sequence, uint8_t ret[static SEAL_NONCE_BYTES])
{
    uint64_t big_endian = __builtin_bswap64(sequence);
    memset(ret, 0, SEAL_NONCE_BYTES - sizeof big_endian);
    memcpy(ret + SEAL_NONCE_BYTES - sizeof big_endian, &big_endian, sizeof big_endian);
}

int seal_close(struct seal *seal, const uint8_t *bytes, size_t size_bytes, uint8_t *out)
{
    uint8_t nonce[SEAL_NONCE_BYTES];
    size_t out_bytes;
    if (seal->sequence == UINT64_MAX || size_bytes > SIZE_MAX - SEAL_TAG_BYTES)
        return SEAL_BROKEN;
    write_nonce(seal->sequence, nonce);
    if (EVP_AEAD_CTX_seal(&seal->context, out, &out_bytes, size_bytes + SEAL_TAG_BYTES, nonce, sizeof nonce,
                          bytes, size_bytes, seal->bound, seal->bound_bytes) != 1)
        return SEAL_BROKEN;
    seal->sequence++;
    return 0;
}

int seal_open(struct seal *seal, const uint8_t *bytes, size_t size_bytes, uint8_t *out)
{
    uint8_t nonce[SEAL_NONCE_BYTES];
    uint8_t none[1]; /* the library takes no NULL to write nothing to */
    size_t out_bytes;
    if (seal->sequence == UINT64_MAX || size_bytes < SEAL_TAG_BYTES)
        return SEAL_BROKEN;
    write_nonce(seal->sequence, nonce);
    if (EVP_AEAD_CTX_open(&seal->context, out ? out : none, &out_bytes, size_bytes - SEAL_TAG_BYTES, nonce,
                          sizeof nonce, bytes, size_bytes, seal->bound, seal->bound_bytes) != 1)
        return SEAL_BROKEN;
    seal->sequence++;
    return 0;
}
