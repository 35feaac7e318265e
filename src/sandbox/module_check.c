/* SPDX-License-Identifier: Apache-2.0 */
/* See module_check.h. What a module imports is no reason to refuse it: a function that is not granted fails
 * when it is called. What it declares is, because it would get it before it runs. */
#include "sandbox/module_check.h"
#include "contract/contract.h"

#include "base/checked_math.h"
#include "sandbox/words.h"

void module_check_append_simd(struct text *reason)
{
    text_append(reason,
                "it uses 128-bit vector instructions, and grants.simd is false; to allow it: simd = true");
}

static int refuse_memory(uint64_t declared_bytes, uint64_t limit_bytes, struct text *reason)
{
    char observed[32], allowed[32];
    cleanup_free char *remedy = contract_line("limits.memory_mb", declared_bytes);
    words_bytes(declared_bytes, observed, sizeof(observed));
    words_bytes(limit_bytes, allowed, sizeof(allowed));
    text_append_format(reason, "it declares %s of memory, and limits.memory_mb allows %s; to allow it: %s",
                       observed, allowed, remedy ? remedy : "memory_mb");
    return MODULE_CHECK_REFUSED;
}

int module_check(const struct module_facts *facts, const berth_contract *contract, struct text *reason)
{
    const uint64_t limit_bytes = berth_contract_limits(contract)->memory_bytes;
    const uint64_t declared_bytes =
        saturating_add_u64(saturating_mul_u64(facts->memory_min_pages, WASM_PAGE_BYTES),
                           saturating_mul_u64(facts->table_min_elements, TABLE_ENTRY_BYTES));
    if (facts->uses_simd && !berth_contract_grants(contract)->simd) {
        module_check_append_simd(reason);
        return MODULE_CHECK_REFUSED;
    }
    return declared_bytes > limit_bytes ? refuse_memory(declared_bytes, limit_bytes, reason) : 0;
}
