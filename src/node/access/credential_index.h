/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which credential is whose. Entries are sorted by a hash of the credential with a secret of this process, so
 * that neither the search nor a comparison takes a time that says something about a credential. Built once,
 * then read.
 */
#ifndef BERTH_NODE_CREDENTIAL_INDEX_H
#define BERTH_NODE_CREDENTIAL_INDEX_H

#include <stddef.h>
#include <stdint.h>

#include "node/settings/settings.h"

struct credential_index;

/* The credentials of all principals. 0, -ENOMEM, -EIO (no randomness). Settings are complete. */
int credential_index_new(const struct settings *settings, struct credential_index **ret);
void credential_index_free(struct credential_index *index); /* accepts NULL */

/* The index of the principal in the settings, or -1. bytes: the hash or key itself, or the subject's
 * characters. */
ptrdiff_t credential_index_find(const struct credential_index *index, enum settings_credential_kind kind,
                                const void *bytes, size_t size_bytes);

#endif
