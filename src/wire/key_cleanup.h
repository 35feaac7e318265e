/* SPDX-License-Identifier: Apache-2.0 */
/* Cleanup by scope for what AWS-LC hands out. */
#ifndef BERTH_WIRE_KEY_CLEANUP_H
#define BERTH_WIRE_KEY_CLEANUP_H

#include <openssl/evp.h>

#include "base/cleanup.h"

DEFINE_CLEANUP(EVP_PKEY *, EVP_PKEY_free)
#define cleanup_key cleanup(EVP_PKEY_free_cleanup)
DEFINE_CLEANUP(EVP_PKEY_CTX *, EVP_PKEY_CTX_free)
#define cleanup_key_context cleanup(EVP_PKEY_CTX_free_cleanup)
DEFINE_CLEANUP(EVP_MD_CTX *, EVP_MD_CTX_free)
#define cleanup_digest cleanup(EVP_MD_CTX_free_cleanup)
DEFINE_CLEANUP(EVP_CIPHER_CTX *, EVP_CIPHER_CTX_free)
#define cleanup_cipher cleanup(EVP_CIPHER_CTX_free_cleanup)

#endif
