/* SPDX-License-Identifier: Apache-2.0 */
/* What a contract refuses while the visitor goes on: made into sentences and handed to the embedder. */
#ifndef BERTH_SANDBOX_DENIAL_H
#define BERTH_SANDBOX_DENIAL_H

#include <berth/run.h>

#include "wasi/wasi.h"

/* The on_denial of wasi_options; the payload is the instance. */
void denial_from_wasi(void *payload, const struct wasi_denial *denial);

/* A growth of memory or of a table beyond limits.memory_mb. */
void denial_report_memory(berth_instance *instance, const char *what, uint64_t used_bytes,
                          uint64_t desired_bytes);

#endif
