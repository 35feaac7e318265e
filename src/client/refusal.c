/* SPDX-License-Identifier: Apache-2.0 */
/* See refusal.h. A row per gRPC status; the node's own sentence stands in the middle. */
#include "client/refusal.h"

#include <inttypes.h>

struct row {
    berth_status status;
    const char *what;   /* "the node at HOST " … */
    const char *advice; /* or NULL */
};

static const struct row rows[] = {
    [GRPC_OK] = {BERTH_INTERNAL, "ended the call well, but too early", NULL},
    [GRPC_CANCELLED] = {BERTH_IO, "ended the call", "send again"},
    [GRPC_UNKNOWN] = {BERTH_IO, "failed", "the node's log says why"},
    [GRPC_INVALID_ARGUMENT] = {BERTH_REFUSED, "refuses the request", NULL},
    [GRPC_DEADLINE_EXCEEDED] = {BERTH_ENDED, "was not done in time", NULL},
    [GRPC_NOT_FOUND] = {BERTH_NOT_FOUND, "does not have it", NULL},
    [GRPC_ALREADY_EXISTS] = {BERTH_REFUSED, "has it already", NULL},
    [GRPC_PERMISSION_DENIED] = {BERTH_REFUSED, "does not allow it",
                                "its owner decides what this caller may do"},
    [GRPC_RESOURCE_EXHAUSTED] = {BERTH_REFUSED, "takes no more from this caller now", "try again later"},
    [GRPC_FAILED_PRECONDITION] = {BERTH_REFUSED, "cannot do it as things are", NULL},
    [GRPC_ABORTED] = {BERTH_IO, "broke it off", "send again"},
    [GRPC_OUT_OF_RANGE] = {BERTH_REFUSED, "refuses the request", NULL},
    [GRPC_UNIMPLEMENTED] = {BERTH_UNSUPPORTED, "does not know this call",
                            "what listens there is no berth node, or one of another version"},
    [GRPC_INTERNAL] = {BERTH_IO, "failed", "the node's log says why"},
    [GRPC_UNAVAILABLE] = {BERTH_IO, "cannot take calls now", "try again later"},
    [GRPC_DATA_LOSS] = {BERTH_IO, "has lost data", "the node's log says which"},
};

static const struct row token_row = {BERTH_REFUSED, "does not accept this token or certificate",
                                     "ask its owner for one that is valid"};
static const struct row nobody_row = {BERTH_REFUSED, "wants to know who calls",
                                      "give a token, a client certificate or an identity"};
static const struct row session_row = {BERTH_REFUSED, "does not know the session any more", "send again"};

static const struct row *row_of(const struct refusal_context *context, enum grpc_status status)
{
    if (status == GRPC_UNAUTHENTICATED)
        return context->in_session ? &session_row : context->has_credentials ? &token_row : &nobody_row;
    return &rows[status];
}

static berth_status of_the_node(const struct refusal_context *context, const struct grpc_answer *answer,
                                berth_error **reterr)
{
    const struct row *row = row_of(context, answer->status);
    if (answer->status == GRPC_UNAUTHENTICATED && context->identity && !context->in_session)
        return error_set(
            reterr, BERTH_REFUSED,
            "the node at %s does not accept this caller's identity, %s: %s; ask its owner to let "
            "that peer id in",
            context->address, context->identity, answer->message);
    bool said = *answer->message != '\0';
    return error_set(reterr, row->status, "the node at %s %s%s%s%s%s", context->address, row->what,
                     said ? ": " : "", answer->message, row->advice ? "; " : "",
                     row->advice ? row->advice : "");
}

berth_status refusal_error(const struct refusal_context *context, const struct grpc_answer *answer,
                           berth_error **reterr)
{
    switch (answer->end) {
    case GRPC_END_CANCELLED:
        return error_set(reterr, BERTH_CANCELLED, "it was cancelled here");
    case GRPC_END_DEADLINE:
        if (context->deadline_ms)
            return error_set(reterr, BERTH_ENDED, "it was not done within its deadline of %" PRIu64 " ms",
                             context->deadline_ms);
        return error_set(reterr, BERTH_IO, "the node at %s did not answer in time", context->address);
    case GRPC_END_LOST:
        return error_set(reterr, BERTH_IO, "the connection to the node at %s is lost: %s", context->address,
                         answer->message);
    case GRPC_END_BROKEN:
        return error_set(reterr, BERTH_INTERNAL, "the answer of the node at %s cannot be trusted: %s",
                         context->address, answer->message);
    case GRPC_END_STATUS:
        break;
    }
    return of_the_node(context, answer, reterr);
}
