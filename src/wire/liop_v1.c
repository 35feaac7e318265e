/* SPDX-License-Identifier: Apache-2.0 */
/* What public LIOP clients seal, of seal.h. */
#include "wire/seal.h"

#include <errno.h>
#include <openssl/evp.h>

#include "wire/key_cleanup.h"

enum {
    PIECE_MAX_BYTES = 1 << 30, /* the library counts in int */
};

static int apply(EVP_CIPHER_CTX *context, uint8_t *bytes, size_t size_bytes)
{
    while (size_bytes > 0) {
        int piece = size_bytes < PIECE_MAX_BYTES ? (int)size_bytes : PIECE_MAX_BYTES;
        int written;
        if (EVP_CipherUpdate(context, bytes, &written, bytes, piece) != 1 || written != piece)
            return SEAL_BROKEN;
        bytes += piece;
        size_bytes -= (size_t)piece;
    }
    return 0;
}

/* Decrypts in place, then looks at the tag. In counter mode encrypting what came out gives back what went in.
 */
int liop_open(const uint8_t secret[static KEM_SECRET_BYTES], const uint8_t *nonce, size_t nonce_bytes,
              uint8_t *bytes, size_t size_bytes)
{
    int written;
    uint8_t none[1];
    if (nonce_bytes != SEAL_NONCE_BYTES || size_bytes < SEAL_TAG_BYTES)
        return SEAL_BROKEN;
    size_t plain_bytes = size_bytes - SEAL_TAG_BYTES;
    cleanup_cipher EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    if (!context)
        return -ENOMEM;
    if (EVP_DecryptInit_ex(context, EVP_aes_256_gcm(), NULL, secret, nonce) != 1)
        return -ENOMEM;
    int r = apply(context, bytes, plain_bytes);
    if (r == 0 &&
        EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, SEAL_TAG_BYTES, bytes + plain_bytes) == 1 &&
        EVP_DecryptFinal_ex(context, none, &written) == 1)
        return 0;
    if (EVP_EncryptInit_ex(context, EVP_aes_256_gcm(), NULL, secret, nonce) == 1)
        apply(context, bytes, plain_bytes);
    return SEAL_BROKEN;
}

int liop_open_input(const uint8_t secret[static KEM_SECRET_BYTES], uint8_t *bytes, size_t size_bytes,
                    uint8_t **ret_plain, size_t *ret_plain_bytes)
{
    if (size_bytes < SEAL_NONCE_BYTES + SEAL_TAG_BYTES)
        return SEAL_BROKEN;
    int r =
        liop_open(secret, bytes, SEAL_NONCE_BYTES, bytes + SEAL_NONCE_BYTES, size_bytes - SEAL_NONCE_BYTES);
    if (r != 0)
        return r;
    *ret_plain = bytes + SEAL_NONCE_BYTES;
    *ret_plain_bytes = size_bytes - SEAL_NONCE_BYTES - SEAL_TAG_BYTES;
    return 0;
}
