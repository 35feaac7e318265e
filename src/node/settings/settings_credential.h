/* SPDX-License-Identifier: Apache-2.0 */
/* The forms in which people write hashes and keys, brought to one: 64 lowercase hex digits. */
#ifndef BERTH_NODE_SETTINGS_CREDENTIAL_H
#define BERTH_NODE_SETTINGS_CREDENTIAL_H

#include <stdbool.h>

enum { CREDENTIAL_HEX_CHARACTERS = 65 /* with the NUL */ };

/* Digits of either case, perhaps with a colon between bytes, as `openssl x509 -fingerprint` prints them. */
bool credential_read_hex(const char *text, char ret[static CREDENTIAL_HEX_CHARACTERS]);
/* The key in a libp2p peer id of an Ed25519 key (base/peer_id.h). */
bool credential_read_peer_id(const char *text, char ret[static CREDENTIAL_HEX_CHARACTERS]);

#endif
