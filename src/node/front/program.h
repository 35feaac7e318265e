/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A berth.v1.RunRequest as the visit it asks for: checked against bounds, its contract narrowed, its strings
 * in the form a visit takes. The same for a caller's request and for one that was stored to be started again.
 */
#ifndef BERTH_NODE_PROGRAM_H
#define BERTH_NODE_PROGRAM_H

#include "node/front/visit.h"
#include "wire/berth.pb-c.h"

struct program {
    struct visit_request
        request; /* principal, deadline, listener and the stored request are the asker's to fill in */
    const char **argv, **environment;
    struct visit_input *inputs;
    berth_contract *contract;
};

/* The message from its bytes. 0; 1: it is none; -ENOMEM. */
int program_unpack(const uint8_t *bytes, size_t size_bytes, Berth__V1__RunRequest **ret);

/* Borrows from `run` and `grant`. 0; 1 and a refusal; -ENOMEM. */
int program_read(const Berth__V1__RunRequest *run, const struct grant *grant, struct program *ret,
                 struct refusal *ret_refusal);
void program_done(struct program *program);
#define cleanup_program cleanup(program_done)

/* Starts a stored run again, under its old name. 0; 1: it cannot be, the refusal says why; -ENOMEM. */
int program_start_again(struct front *front, const struct run_record *record, struct refusal *ret_refusal);

#endif
