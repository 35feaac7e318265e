/* SPDX-License-Identifier: Apache-2.0 */
/* Rates, against a simulation that keeps the fractions exactly, and the table of addresses against a list. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "node/access/address_table.h"
#include "node/access/token_bucket.h"

#define MINUTE (60 * NS_PER_S)

/* A repeatable stream of numbers (xorshift64). */
static uint64_t draw(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* The plain meaning: tokens in units of 1 / MINUTE, filled by the rate each nanosecond, never more than the
 * rate. */
struct simulation {
    unsigned __int128 tokens;
    uint64_t now_ns;
};

static bool simulate_take(struct simulation *simulation, uint64_t rate, uint64_t now_ns)
{
    const unsigned __int128 full = (unsigned __int128)rate * MINUTE;
    if (now_ns > simulation->now_ns) {
        simulation->tokens += (unsigned __int128)(now_ns - simulation->now_ns) * rate;
        simulation->now_ns = now_ns;
    }
    if (simulation->tokens > full)
        simulation->tokens = full;
    if (simulation->tokens < MINUTE)
        return false;
    simulation->tokens -= MINUTE;
    return true;
}

static void it_is_the_simulation_exactly(void **state)
{
    (void)state;
    static const uint64_t rates[] = {1, 2, 3, 7, 59, 60, 61, 1000, 999983, TOKEN_BUCKET_RATE_MAX};
    uint64_t random = 88172645463325252;
    for (size_t i = 0; i < sizeof(rates) / sizeof(*rates); i++) {
        struct token_bucket bucket = {0};
        struct simulation simulation = {.tokens = (unsigned __int128)rates[i] * MINUTE};
        uint64_t now_ns = draw(&random) % MINUTE;
        for (int step = 0; step < 20000; step++) {
            uint64_t pause = draw(&random) % (2 * MINUTE / rates[i] + 1);
            now_ns += draw(&random) % 3 ? 0 : pause;
            if (draw(&random) % 50 == 0)
                now_ns -= now_ns > MINUTE ? MINUTE : now_ns; /* a clock that jumps back */
            assert_int_equal(token_bucket_take(&bucket, rates[i], now_ns),
                             simulate_take(&simulation, rates[i], now_ns));
        }
    }
}

static void the_wait_is_the_shortest_that_helps(void **state)
{
    (void)state;
    uint64_t random = 1;
    for (int i = 0; i < 1000; i++) {
        struct token_bucket bucket = {0}, copy;
        uint64_t rate = draw(&random) % 1000 + 1, now_ns = draw(&random) % MINUTE;
        while (token_bucket_take(&bucket, rate, now_ns))
            ;
        uint64_t wait_ns = token_bucket_wait_ns(&bucket, rate, now_ns);
        copy = bucket;
        assert_false(token_bucket_take(&copy, rate, now_ns + wait_ns - 1));
        assert_true(token_bucket_take(&bucket, rate, now_ns + wait_ns));
    }
}

static void the_ends_of_the_clock_do_no_harm(void **state)
{
    (void)state;
    struct token_bucket bucket = {0};
    assert_true(token_bucket_take(&bucket, 1, UINT64_MAX));
    assert_false(token_bucket_take(&bucket, 1, UINT64_MAX));
    assert_false(token_bucket_take(&bucket, 1, 0));
    assert_true(token_bucket_take(&bucket, 0, 0));
    bucket = (struct token_bucket){0};
    assert_true(token_bucket_take(&bucket, TOKEN_BUCKET_RATE_MAX, 0));
    assert_true(token_bucket_take(&bucket, TOKEN_BUCKET_RATE_MAX, UINT64_MAX));
}

static void a_smaller_rate_holds_at_once(void **state)
{
    (void)state;
    struct token_bucket bucket = {0};
    for (int i = 0; i < 100; i++)
        assert_true(token_bucket_take(&bucket, 100, 0));
    assert_false(token_bucket_take(&bucket, 10, 0));
    assert_false(token_bucket_take(&bucket, 10, MINUTE)); /* 90 are still owed */
    assert_true(token_bucket_take(&bucket, 10, 10 * MINUTE));
}

/* ---- Addresses --------------------------------------------------------------------------------- */

static struct address_table *table_of(uint32_t maximum)
{
    struct address_table *table = NULL;
    assert_int_equal(address_table_new(maximum, &table), 0);
    return table;
}

static void an_address_is_one_however_it_is_written(void **state)
{
    (void)state;
    static const char *const same[][2] = {{"127.0.0.1", "::ffff:127.0.0.1"},
                                          {"2001:db8::1", "2001:db8:0:0:ffff::2"},
                                          {NULL, "no address"},
                                          {NULL, ""}};
    static const char *const other[][2] = {
        {"127.0.0.1", "127.0.0.2"}, {"2001:db8::1", "2001:db8:0:1::1"}, {"::ffff:1.2.3.4", "::ffff:1.2.3.5"}};
    struct address_table *table = table_of(16);
    for (size_t i = 0; i < sizeof(same) / sizeof(*same); i++)
        assert_ptr_equal(address_table_find(table, same[i][0]), address_table_find(table, same[i][1]));
    for (size_t i = 0; i < sizeof(other) / sizeof(*other); i++)
        assert_ptr_not_equal(address_table_find(table, other[i][0]), address_table_find(table, other[i][1]));
    address_table_free(table);
}

/* The same as the table, slowly: numbers of addresses, last seen first. */
struct list {
    unsigned numbers[8];
    uint64_t marks[8];
    size_t n;
};

static uint64_t list_touch(struct list *list, unsigned number, uint64_t mark)
{
    size_t i = 0;
    while (i < list->n && list->numbers[i] != number)
        i++;
    uint64_t found = i < list->n ? list->marks[i] : 0;
    if (i == list->n && list->n < 8)
        list->n++;
    else if (i == list->n)
        i--;
    memmove(list->numbers + 1, list->numbers, i * sizeof(*list->numbers));
    memmove(list->marks + 1, list->marks, i * sizeof(*list->marks));
    list->numbers[0] = number;
    list->marks[0] = mark;
    return found;
}

static void the_address_that_was_silent_longest_makes_room(void **state)
{
    (void)state;
    struct address_table *table = table_of(8);
    struct list list = {0};
    uint64_t random = 4711;
    for (uint64_t mark = 1; mark <= 20000; mark++) {
        char text[32];
        unsigned number = (unsigned)(draw(&random) % 12);
        snprintf(text, sizeof(text), "10.0.0.%u", number);
        struct address *address = address_table_find(table, text);
        assert_int_equal(address->proven[0], list_touch(&list, number, mark));
        address->proven[0] = mark;
    }
    assert_int_equal(address_table_count(table), 8);
    address_table_free(table);
}

static void an_address_remembers_a_few_credentials(void **state)
{
    (void)state;
    struct address_table *table = table_of(2);
    struct address *address = address_table_find(table, "::1");
    assert_false(address_has_proven(address, 0));
    for (uint64_t fingerprint = 1; fingerprint <= ADDRESS_PROVEN + 1; fingerprint++)
        address_prove(address, fingerprint);
    assert_false(address_has_proven(address, 1));
    for (uint64_t fingerprint = 2; fingerprint <= ADDRESS_PROVEN + 1; fingerprint++)
        assert_true(address_has_proven(address, fingerprint));
    address_table_free(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_the_simulation_exactly),
        cmocka_unit_test(the_wait_is_the_shortest_that_helps),
        cmocka_unit_test(the_ends_of_the_clock_do_no_harm),
        cmocka_unit_test(a_smaller_rate_holds_at_once),
        cmocka_unit_test(an_address_is_one_however_it_is_written),
        cmocka_unit_test(the_address_that_was_silent_longest_makes_room),
        cmocka_unit_test(an_address_remembers_a_few_credentials),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
