/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One ExecuteLogic call, for its two forms: execute.c opens the seal and answers in sealed pieces,
 * execute_v1.c does so for clients of LIOP version 1, who get one message.
 */
#ifndef BERTH_NODE_EXECUTION_H
#define BERTH_NODE_EXECUTION_H

#include "node/front/visit.h"
#include "wire/hash.h"
#include "wire/liop.pb-c.h"

struct execution {
    struct grpc_call *call; /* NULL: the caller has gone */
    struct front *front;
    struct principal *caller; /* whom the credentials of the call show; NULL: it has none */
    struct visit *visit;      /* NULL before it started and after its end */
    struct session *session;  /* used up; owned */
    uint8_t secret[KEM_SECRET_BYTES];
    /* Sealed: */
    struct seal *seal; /* to the caller */
    bool events;
    uint8_t *buffer; /* where messages are packed; kept, since most have the same size */
    size_t buffer_bytes;
    size_t untaken[2]; /* bytes of stdout and stderr without credit yet */
    /* Version 1: */
    struct text output, errors, pushed;
    uint8_t image_id[HASH_BYTES];
    bool too_large;
};

/* Runs what a client of LIOP version 1 sent. 0: it has started; 1: the call was finished; -ENOMEM. */
int execute_v1(struct execution *execution, Liop__V1__LogicRequest *logic);

/* The grant of the session's capability, or 1 and the call is finished. */
int execution_grant(struct execution *execution, const struct grant **ret);
/* Starts the visit. 0; 1: the call was finished with the refusal; -ENOMEM. */
int execution_start(struct execution *execution, const struct visit_request *request);
/* Nothing will run: said to the caller and, once it has a session, to the audit log. Returns 1. */
int execution_refuse(struct execution *execution, enum grpc_status status, const char *sentence);
/* Finishes the call and forgets it. */
void execution_finish(struct execution *execution, enum grpc_status status, const char *sentence);

#endif
