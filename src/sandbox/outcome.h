/* SPDX-License-Identifier: Apache-2.0 */
/* How a run ended, found out and put into words. An ending is made once and becomes the run's public outcome.
 */
#ifndef BERTH_SANDBOX_OUTCOME_H
#define BERTH_SANDBOX_OUTCOME_H

#include <berth/run.h>

struct ending {
    berth_outcome_kind kind; /* BERTH_OUTCOME_RUNNING: there is none */
    berth_limit_kind limit;
    uint32_t exit_code;
    bool instance_lives;  /* more calls may follow */
    char *cause, *remedy; /* owned; NULL if there is nothing to say */
};

void ending_done(struct ending *ending);

/* The call returned, trapped, or was stopped by a host function. */
struct ending outcome_of_guest(const struct berth_run *run);
/* The output account says stop. */
struct ending outcome_of_streams(const berth_instance *instance);
struct ending outcome_of_deadline(const struct berth_run *run);
struct ending outcome_of_cancel(void);

/* Moves the ending into the run's outcome. */
void outcome_set(struct berth_run *run, struct ending ending);
/* Frees what the outcome points to. */
void outcome_done(struct berth_run *run);

#endif
