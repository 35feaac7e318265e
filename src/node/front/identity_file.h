/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The node's secret on disk: 64 bytes in STATE/identity, mode 0600. Whoever has it can speak as this node, so
 * a file that others may read is refused, not repaired: it has to be taken for known to them.
 */
#ifndef BERTH_NODE_IDENTITY_FILE_H
#define BERTH_NODE_IDENTITY_FILE_H

#include <berth/error.h>

#include "wire/identity.h"

#define IDENTITY_FILE_NAME "identity"

/* Reads the secret of that state directory; makes it if there is none, so that it is whole or absent after a
 * crash. Errors: BERTH_REFUSED (readable by others, another owner, no secret in it), BERTH_IO,
 * BERTH_NO_MEMORY; the sentence names the file. */
berth_status identity_file_load(const char *state_directory, struct identity **ret, berth_error **reterr);

#endif
