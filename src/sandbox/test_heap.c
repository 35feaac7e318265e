/* SPDX-License-Identifier: Apache-2.0 */
/* The heap gives times in order under any mixture of insertions, moves and removals. */
#include "sandbox/heap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { ENTRIES = 500, ROUNDS = 20000 };

static uint64_t smallest(const struct heap_entry *entries)
{
    uint64_t smallest_ns = UINT64_MAX;
    for (int i = 0; i < ENTRIES; i++)
        if (entries[i].place && entries[i].time_ns < smallest_ns)
            smallest_ns = entries[i].time_ns;
    return smallest_ns;
}

static void the_first_is_always_the_smallest(void **state)
{
    struct heap heap = {0};
    struct heap_entry entries[ENTRIES] = {0};
    unsigned seed = 1;
    (void)state;
    assert_int_equal(heap_reserve(&heap, ENTRIES), 0);
    for (int i = 0; i < ROUNDS; i++) {
        struct heap_entry *entry = &entries[rand_r(&seed) % ENTRIES];
        heap_set(&heap, entry, rand_r(&seed) % 4 ? (uint64_t)rand_r(&seed) % 1000 : UINT64_MAX);
        const struct heap_entry *first = heap_first(&heap);
        assert_int_equal(first ? first->time_ns : UINT64_MAX, smallest(entries));
    }
    heap_done(&heap);
}

static void taking_out_what_is_not_in_changes_nothing(void **state)
{
    struct heap heap = {0};
    struct heap_entry in = {0}, out = {0};
    (void)state;
    assert_int_equal(heap_reserve(&heap, 1), 0);
    heap_set(&heap, &in, 5);
    heap_set(&heap, &out, UINT64_MAX);
    assert_ptr_equal(heap_first(&heap), &in);
    heap_set(&heap, &in, UINT64_MAX);
    assert_null(heap_first(&heap));
    heap_done(&heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_is_always_the_smallest),
        cmocka_unit_test(taking_out_what_is_not_in_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
