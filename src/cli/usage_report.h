/* SPDX-License-Identifier: Apache-2.0 */
/* What a run took, on stderr: as lines for a person, or as one line of JSON. */
#ifndef BERTH_CLI_USAGE_REPORT_H
#define BERTH_CLI_USAGE_REPORT_H

#include <berth/run.h>

#include "base/text.h"

enum usage_form {
    USAGE_NONE,
    USAGE_TEXT,
    USAGE_JSON,
};

struct usage_report {
    const char *module_name;        /* safe to print */
    const char *module_sha256;      /* NULL if it is not known yet */
    const berth_contract *contract; /* NULL: the limits are not known here */
    const struct berth_outcome *outcome;
    const struct berth_usage *usage;
};

void usage_report_append(struct text *text, const struct usage_report *report, enum usage_form form);
void usage_report_print(const struct usage_report *report, enum usage_form form);

#endif
