/* SPDX-License-Identifier: Apache-2.0 */
/* Sizes of raw keys and signatures: Ed25519 (RFC 8032) and ML-DSA-65 (FIPS 204, table 2). */
#ifndef BERTH_BASE_KEY_SIZES_H
#define BERTH_BASE_KEY_SIZES_H

enum {
    ED25519_PUBLIC_KEY_BYTES = 32,
    ED25519_SIGNATURE_BYTES = 64,
    ML_DSA_65_PUBLIC_KEY_BYTES = 1952,
    ML_DSA_65_SIGNATURE_BYTES = 3309,
};

#endif
