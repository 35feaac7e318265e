/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The name of a key in libp2p: base58btc of the identity multihash of the key's protobuf form
 * (libp2p specs, peer-ids/peer-ids.md). Of Ed25519 keys, which are the only ones that nodes have, it is
 * always 52 characters that begin with "12D3KooW".
 */
#ifndef BERTH_BASE_PEER_ID_H
#define BERTH_BASE_PEER_ID_H

#include <stdint.h>

#include "base/key_sizes.h"

enum {
    PEER_ID_CHARACTERS = 53, /* of an Ed25519 key, with the NUL */
};

void peer_id_of_ed25519(const uint8_t public_key[static ED25519_PUBLIC_KEY_BYTES],
                        char ret[static PEER_ID_CHARACTERS]);

#endif
