/* SPDX-License-Identifier: Apache-2.0 */
/* The artifacts of lately used modules, by the hash of the module: bounded in number and size, the one that
 * was not used for longest goes first. */
#ifndef BERTH_NODE_ARTIFACTS_H
#define BERTH_NODE_ARTIFACTS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

struct artifact;
TAILQ_HEAD(artifact_list, artifact);

struct artifacts {
    struct artifact_list list; /* the latest first */
    size_t n_artifacts, max_artifacts;
    uint64_t size_bytes, max_bytes;
};

void artifacts_init(struct artifacts *artifacts, size_t max_artifacts, uint64_t max_bytes);
void artifacts_done(struct artifacts *artifacts);

/* A borrowed descriptor, valid until the next artifacts_keep(); -1: there is none. */
int artifacts_find(struct artifacts *artifacts, const uint8_t sha256[static 32]);

/* Keeps a duplicate of the descriptor, if it fits and memory allows. */
void artifacts_keep(struct artifacts *artifacts, const uint8_t sha256[static 32], int descriptor);

#endif
