/* SPDX-License-Identifier: Apache-2.0 */
/* A ring gives back exactly what went in, in order, wherever it wraps. */
#include "base/ring.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { CAPACITY = 7 };

static void an_empty_ring_holds_no_memory(void **state)
{
    struct ring ring = {.capacity = CAPACITY};
    struct iovec pieces[2];
    (void)state;
    assert_int_equal(ring_append(&ring, "abc", 3), 0);
    assert_non_null(ring.data);
    ring_drop(&ring, 3);
    assert_null(ring.data);
    assert_int_equal(ring_peek(&ring, pieces), 0);
}

static void bytes_come_out_in_order_at_every_wrap(void **state)
{
    (void)state;
    for (size_t offset = 0; offset < CAPACITY; offset++) {
        for (size_t length = 1; length <= CAPACITY; length++) {
            struct ring ring = {.capacity = CAPACITY};
            char out[CAPACITY];
            /* One byte stays in, so that the start does not go back to zero. */
            for (size_t i = 0; i <= offset; i++)
                ring_append(&ring, "x", 1);
            ring_drop(&ring, offset);
            size_t fits = length < ring_room(&ring) ? length : ring_room(&ring);
            assert_int_equal(ring_append(&ring, "1234567", fits), 0);
            assert_int_equal(ring_take(&ring, out, 1), 1);
            assert_int_equal(out[0], 'x');
            assert_int_equal(ring_take(&ring, out, sizeof(out)), fits);
            assert_memory_equal(out, "1234567", fits);
            assert_null(ring.data);
        }
    }
}

static void a_full_ring_has_no_room(void **state)
{
    struct ring ring = {.capacity = CAPACITY};
    (void)state;
    ring_append(&ring, "1234567", CAPACITY);
    assert_int_equal(ring_room(&ring), 0);
    ring_drop(&ring, 1);
    assert_int_equal(ring_room(&ring), 1);
    ring_drop(&ring, SIZE_MAX);
    assert_int_equal(ring_room(&ring), CAPACITY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_ring_holds_no_memory),
        cmocka_unit_test(bytes_come_out_in_order_at_every_wrap),
        cmocka_unit_test(a_full_ring_has_no_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
