/* SPDX-License-Identifier: Apache-2.0 */
/* What a visit asks for, as the bytes that leave: a RunRequest, sealed, in a LogicRequest. */
#ifndef BERTH_CLIENT_VISIT_REQUEST_H
#define BERTH_CLIENT_VISIT_REQUEST_H

#include <sys/uio.h>

#include "client/session.h"

struct visit_request {
    uint8_t *head, *sealed;
    struct iovec pieces[2]; /* of the LogicRequest */
};

/* Whether everything in it can be said to a node: UTF-8 where the messages want it, JSON where it is JSON. */
berth_status visit_check(const struct berth_visit *visit, berth_error **reterr);

/* The module's bytes go along only if `with_module`. */
berth_status visit_request_seal(const struct berth_visit *visit, const uint8_t *module_sha256,
                                bool with_module, struct client_session *session, struct visit_request *ret,
                                berth_error **reterr);
void visit_request_done(struct visit_request *request);

#define cleanup_visit_request cleanup(visit_request_done)

#endif
