/* SPDX-License-Identifier: Apache-2.0 */
/* See artifacts.h. */
#include "node/compile/artifacts.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"

struct artifact {
    TAILQ_ENTRY(artifact) next;
    uint8_t sha256[32];
    int descriptor;
    uint64_t size_bytes;
};

void artifacts_init(struct artifacts *artifacts, size_t max_artifacts, uint64_t max_bytes)
{
    *artifacts = (struct artifacts){.max_artifacts = max_artifacts, .max_bytes = max_bytes};
    TAILQ_INIT(&artifacts->list);
}

static void drop(struct artifacts *artifacts, struct artifact *artifact)
{
    TAILQ_REMOVE(&artifacts->list, artifact, next);
    artifacts->n_artifacts--;
    artifacts->size_bytes -= artifact->size_bytes;
    close_keeping_errno(artifact->descriptor);
    free(artifact);
}

void artifacts_done(struct artifacts *artifacts)
{
    while (!TAILQ_EMPTY(&artifacts->list))
        drop(artifacts, TAILQ_FIRST(&artifacts->list));
}

static struct artifact *find(const struct artifacts *artifacts, const uint8_t *sha256)
{
    struct artifact *artifact;
    TAILQ_FOREACH(artifact, &artifacts->list, next)
    if (memcmp(artifact->sha256, sha256, sizeof(artifact->sha256)) == 0)
        return artifact;
    return NULL;
}

int artifacts_find(struct artifacts *artifacts, const uint8_t sha256[static 32])
{
    struct artifact *artifact = find(artifacts, sha256);
    if (!artifact)
        return -1;
    TAILQ_REMOVE(&artifacts->list, artifact, next);
    TAILQ_INSERT_HEAD(&artifacts->list, artifact, next);
    return artifact->descriptor;
}

static struct artifact *artifact_new(const uint8_t *sha256, int descriptor)
{
    struct stat status;
    struct artifact *artifact = calloc(1, sizeof(*artifact));
    if (!artifact)
        return NULL;
    memcpy(artifact->sha256, sha256, sizeof(artifact->sha256));
    artifact->descriptor = fcntl(descriptor, F_DUPFD_CLOEXEC, 3);
    if (artifact->descriptor >= 0 && fstat(artifact->descriptor, &status) == 0) {
        artifact->size_bytes = (uint64_t)status.st_size;
        return artifact;
    }
    close_keeping_errno(artifact->descriptor);
    free(artifact);
    return NULL;
}

void artifacts_keep(struct artifacts *artifacts, const uint8_t sha256[static 32], int descriptor)
{
    if (find(artifacts, sha256))
        return;
    struct artifact *artifact = artifact_new(sha256, descriptor);
    if (!artifact)
        return;
    TAILQ_INSERT_HEAD(&artifacts->list, artifact, next);
    artifacts->n_artifacts++;
    artifacts->size_bytes += artifact->size_bytes;
    /* One that is too large by itself goes at once, the others stay. */
    if (artifact->size_bytes > artifacts->max_bytes)
        drop(artifacts, artifact);
    while (artifacts->n_artifacts > artifacts->max_artifacts || artifacts->size_bytes > artifacts->max_bytes)
        drop(artifacts, TAILQ_LAST(&artifacts->list, artifact_list));
}
