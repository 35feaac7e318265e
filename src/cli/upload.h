/* SPDX-License-Identifier: Apache-2.0 */
/* How far a module has gone to its node: a line on the terminal that is drawn anew, and gone when all of it
 * has left. Nothing where stderr is no terminal, or before half a second has passed. */
#ifndef BERTH_CLI_UPLOAD_H
#define BERTH_CLI_UPLOAD_H

#include <stdbool.h>
#include <stdint.h>

struct upload {
    const char *name; /* of the module, safe to print */
    bool wanted;
    bool drawn;
    uint64_t begun_ns, drawn_ns; /* CLOCK_MONOTONIC */
};

void upload_begin(struct upload *upload, const char *name, bool wanted);
void upload_show(struct upload *upload, uint64_t sent_bytes, uint64_t total_bytes);
/* Also when it was broken off. */
void upload_end(struct upload *upload);

#endif
