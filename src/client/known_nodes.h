/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The known-nodes file: which keys the node at an address had when it was first seen. A line each:
 *
 *    HOST:PORT PEER-ID ed25519:HEX ml-dsa-65-sha256:HEX YYYY-MM-DD
 *
 * Empty lines and lines that begin with '#' are kept and mean nothing. An address has one line. The file is
 * made with mode 0600 and replaced as a whole, under a lock on it, so that a reader sees the old one or the
 * new one and two writers lose nothing of each other.
 */
#ifndef BERTH_CLIENT_KNOWN_NODES_H
#define BERTH_CLIENT_KNOWN_NODES_H

#include <stddef.h>
#include <stdint.h>

#include "wire/hash.h"
#include "wire/identity.h"

struct node_keys {
    uint8_t ed25519[ED25519_PUBLIC_KEY_BYTES];
    uint8_t ml_dsa_65_sha256[HASH_BYTES];
};

enum known_nodes_outcome {
    KNOWN_NODES_ADDED = 1,    /* first use: the address was not in the file, now it is */
    KNOWN_NODES_CHANGED = 2,  /* the file has other keys for the address; nothing was written */
    KNOWN_NODES_UNUSABLE = 3, /* a line of the file means nothing; nothing was written */
};

struct known_nodes_finding {
    size_t line;             /* of the address, or of what means nothing; from 1 */
    struct node_keys before; /* of KNOWN_NODES_CHANGED */
};

/* Looks the address up ("host:port" as address_read() writes it) and adds it if it is not there. 0: known
 * with the same keys. An outcome above, with *ret filled in. Or a negative errno: the file cannot be read or
 * written; -EFBIG if it is larger than 1 MiB. A missing folder is made, mode 0700. */
int known_nodes_check(const char *path, const char *address, const struct node_keys *keys,
                      struct known_nodes_finding *ret);

/* $XDG_STATE_HOME/berth/known-nodes, or the same below ~/.local/state. The caller frees *ret. 0, -ENOMEM, or
 * -ENOENT if neither variable is set. */
int known_nodes_default_path(char **ret);

#endif
