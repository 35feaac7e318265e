/* SPDX-License-Identifier: Apache-2.0 */
/* How calls fail, in sentences: what the node or the connection said, and what the caller can do about it. */
#ifndef BERTH_CLIENT_REFUSAL_H
#define BERTH_CLIENT_REFUSAL_H

#include "base/error.h"
#include "net/grpc_client.h"

struct refusal_context {
    const char *address;  /* "host:port" */
    bool has_credentials; /* a token or a client certificate */
    const char *identity; /* peer id of the caller's own key, or NULL */
    bool in_session;      /* the call was to use a session */
    uint64_t deadline_ms; /* that the caller gave; 0: none */
};

/* The error for an answer that is not GRPC_OK. */
berth_status refusal_error(const struct refusal_context *context, const struct grpc_answer *answer,
                           berth_error **reterr);

#endif
