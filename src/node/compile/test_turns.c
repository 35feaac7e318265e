/* SPDX-License-Identifier: Apache-2.0 */
/* Who is next: in turn by principal, bounded in line and at work. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/compile/turns.h"

static struct turn_taker *assert_next(struct turns *turns, const struct turn *expected)
{
    struct turn_taker *taker = NULL;
    assert_ptr_equal(turns_begin(turns, &taker), expected);
    return taker;
}

static void test_principals_take_turns(void **state)
{
    struct turns turns;
    struct turn many[4] = {0}, few[2] = {0};
    (void)state;
    turns_init(&turns, 10, 10, 10);
    for (int i = 0; i < 4; i++)
        assert_int_equal(turns_wait(&turns, "many", &many[i]), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(turns_wait(&turns, "few", &few[i]), 0);
    const struct turn *order[] = {&many[0], &few[0], &many[1], &few[1], &many[2], &many[3]};
    struct turn_taker *takers[6];
    for (int i = 0; i < 6; i++)
        takers[i] = assert_next(&turns, order[i]);
    assert_next(&turns, NULL);
    for (int i = 0; i < 6; i++)
        turns_finish(&turns, takers[i]);
    assert_int_equal(turns.n_waiting + turns.n_working, 0);
    turns_done(&turns);
}

static void test_who_comes_while_another_has_a_turn_is_before_its_next_one(void **state)
{
    struct turns turns;
    struct turn many[3] = {0}, one = {0};
    (void)state;
    turns_init(&turns, 1, 1, 10);
    for (int i = 0; i < 3; i++)
        assert_int_equal(turns_wait(&turns, "many", &many[i]), 0);
    struct turn_taker *taker = assert_next(&turns, &many[0]);
    assert_int_equal(turns_wait(&turns, "one", &one), 0);
    turns_finish(&turns, taker);
    turns_finish(&turns, assert_next(&turns, &one));
    turns_finish(&turns, assert_next(&turns, &many[1]));
    turns_finish(&turns, assert_next(&turns, &many[2]));
    turns_done(&turns);
}

static void test_places_and_lines_are_bounded(void **state)
{
    struct turns turns;
    struct turn a[3] = {0}, b[2] = {0}, c = {0};
    (void)state;
    turns_init(&turns, 2, 1, 2);
    assert_int_equal(turns_wait(&turns, "a", &a[0]), 0);
    assert_int_equal(turns_wait(&turns, "a", &a[1]), 0);
    assert_int_equal(turns_wait(&turns, "a", &a[2]), TURNS_FULL);
    struct turn_taker *first = assert_next(&turns, &a[0]);
    assert_next(&turns, NULL); /* one at work each */
    assert_int_equal(turns_wait(&turns, "b", &b[0]), 0);
    struct turn_taker *second = assert_next(&turns, &b[0]);
    assert_int_equal(turns_wait(&turns, "c", &c), 0);
    assert_next(&turns, NULL); /* two in all */
    turns_finish(&turns, second);
    struct turn_taker *third = assert_next(&turns, &c);
    turns_finish(&turns, first);
    first = assert_next(&turns, &a[1]);
    turns_finish(&turns, first);
    turns_finish(&turns, third);
    turns_done(&turns);
}

static void test_who_leaves_is_not_called(void **state)
{
    struct turns turns;
    struct turn a[3] = {0};
    (void)state;
    turns_init(&turns, 3, 3, 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(turns_wait(&turns, "a", &a[i]), 0);
    turns_leave(&turns, &a[1]);
    turns_leave(&turns, &a[1]);
    turns_finish(&turns, assert_next(&turns, &a[0]));
    turns_finish(&turns, assert_next(&turns, &a[2]));
    assert_next(&turns, NULL);
    assert_int_equal(turns_wait(&turns, "a", &a[1]), 0);
    turns_leave(&turns, &a[1]);
    assert_int_equal(turns.n_waiting, 0);
    turns_done(&turns);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_principals_take_turns),
        cmocka_unit_test(test_who_comes_while_another_has_a_turn_is_before_its_next_one),
        cmocka_unit_test(test_places_and_lines_are_bounded),
        cmocka_unit_test(test_who_leaves_is_not_called),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
