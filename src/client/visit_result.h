/* SPDX-License-Identifier: Apache-2.0 */
/* How a visit ended, as the node says it and as its receipt proves it. */
#ifndef BERTH_CLIENT_VISIT_RESULT_H
#define BERTH_CLIENT_VISIT_RESULT_H

#include <berth/client.h>

#include "wire/berth.pb-c.h"
#include "wire/hash.h"

enum { RUN_ID_CHARACTERS = 33 }; /* 32 lowercase hex digits and the NUL */

struct visit_result {
    struct berth_visit_end end; /* points to the rest */
    char run_id[RUN_ID_CHARACTERS];
    char *cause, *remedy, *receipt;
    char **denials; /* ends with NULL */
};

/* What the end of this visit must agree with. */
struct visit_evidence {
    const struct berth_client *client;
    const struct berth_visit *visit;
    const uint8_t *module_sha256;
    const uint8_t *output_sha256, *errors_sha256; /* of what was received */
    const char *run_id;                           /* NULL: it never started */
};

/* Whether that is the name of a run. */
bool run_id_is_valid(const char *run_id);

/* Verifies the receipt, then fills in *ret. BERTH_INTERNAL: it does not hold. */
berth_status visit_result_new(const struct visit_evidence *evidence, const Berth__V1__RunEnd *end,
                              struct visit_result **ret, berth_error **reterr);
/* Of a visit that goes on without its caller. */
berth_status visit_result_new_detached(const char *run_id, struct visit_result **ret, berth_error **reterr);
void visit_result_free(struct visit_result *result); /* accepts NULL */

#endif
