/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A session: what NegotiateIntent gave for one ExecuteLogic. Its key was signed by the node that is known
 * here, so that what is sealed with it is sealed for that node alone. Wiped when it is done.
 */
#ifndef BERTH_CLIENT_SESSION_H
#define BERTH_CLIENT_SESSION_H

#include "client/client.h"
#include "wire/seal.h"

struct client_session {
    char token[SESSION_TOKEN_CHARACTERS];
    uint8_t ciphertext[KEM_CIPHERTEXT_BYTES]; /* what the node needs to find the secret */
    struct seal *to_node, *to_caller;
    bool module_known;
};

/* `capability` is "" for the default one. module_sha256: 32 bytes. */
berth_status client_session_open(berth_client *client, const char *capability, const uint8_t *module_sha256,
                                 struct client_session *ret, berth_error **reterr);
void client_session_done(struct client_session *session);

#define cleanup_client_session cleanup(client_session_done)

#endif
