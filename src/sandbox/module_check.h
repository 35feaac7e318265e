/* SPDX-License-Identifier: Apache-2.0 */
/* What a contract says to a module before it runs, from the facts of its scan alone. */
#ifndef BERTH_SANDBOX_MODULE_CHECK_H
#define BERTH_SANDBOX_MODULE_CHECK_H

#include <berth/contract.h>

#include "base/text.h"
#include "sandbox/module_facts.h"

enum module_check_outcome { MODULE_CHECK_REFUSED = 1 };

enum {
    WASM_PAGE_BYTES = 64 << 10,
    /* What the engine takes for an entry of a table. */
    TABLE_ENTRY_BYTES = 8,
};

/* 0, or MODULE_CHECK_REFUSED with a reason appended: a clause for "filter.wasm is refused: ..." that says
 * what is asked for, what is allowed, and the contract line that would allow it. */
int module_check(const struct module_facts *facts, const berth_contract *contract, struct text *reason);

/* The clause for vector instructions, which a scan may meet before there are facts. */
void module_check_append_simd(struct text *reason);

#endif
