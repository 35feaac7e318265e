/* SPDX-License-Identifier: Apache-2.0 */
/* What keeps peers within bounds: deadlines, counts of addresses, token buckets. */
#include "net/test_loop.h"

#include "base/clock.h"
#include "net/address_counts.h"
#include "net/deadlines.h"
#include "net/token_bucket.h"

/* ---- Deadlines -------------------------------------------------------------------------------------------
 */

enum { N_DEADLINES = 200 };

struct watch {
    struct deadlines *deadlines;
    struct deadline deadline;
    uint64_t due_ns;
    uint64_t *last_ns;
    size_t *n_due;
    bool early, out_of_order;
};

static void note(void *owner)
{
    struct watch *watch = owner;
    watch->early = clock_monotonic_ns() < watch->due_ns;
    watch->out_of_order = watch->due_ns < *watch->last_ns;
    *watch->last_ns = watch->due_ns;
    (*watch->n_due)++;
}

static bool half_due(void *payload)
{
    return *(size_t *)payload == N_DEADLINES / 2;
}

static void deadlines_come_in_order_and_not_early(void **state)
{
    uv_loop_t loop;
    struct deadlines deadlines;
    struct watch *watches = calloc(N_DEADLINES, sizeof *watches);
    uint64_t last_ns = 0, start_ns = clock_monotonic_ns();
    size_t n_due = 0;
    unsigned int seed = 11;
    (void)state;
    uv_loop_init(&loop);
    assert_int_equal(deadlines_init(&deadlines, &loop), 0);
    for (size_t i = 0; i < N_DEADLINES; i++) {
        watches[i].last_ns = &last_ns;
        watches[i].n_due = &n_due;
        assert_int_equal(deadline_join(&deadlines, &watches[i].deadline, note, &watches[i]), 0);
        deadline_set(&deadlines, &watches[i].deadline, start_ns + (uint64_t)rand_r(&seed));
    }
    /* Moved, cleared, and moved again. */
    for (size_t i = 0; i < N_DEADLINES; i++) {
        watches[i].due_ns = start_ns + (uint64_t)rand_r(&seed) % (100 * NS_PER_MS);
        deadline_set(&deadlines, &watches[i].deadline, i % 2 ? watches[i].due_ns : DEADLINE_NEVER);
    }
    assert_true(test_run_until(&loop, half_due, &n_due));
    for (size_t i = 0; i < N_DEADLINES; i++) {
        assert_false(watches[i].early);
        assert_false(watches[i].out_of_order);
        deadline_leave(&deadlines, &watches[i].deadline);
    }
    assert_int_equal(deadlines.n_set, 0);
    assert_int_equal(deadlines.n_members, 0);
    deadlines_done(&deadlines);
    test_loop_done(&loop);
    free(watches);
}

static void leave_in_callback(void *owner)
{
    struct watch *watch = owner;
    (*watch->n_due)++;
    deadline_leave(watch->deadlines, &watch->deadline);
}

static bool all_due(void *payload)
{
    return *(size_t *)payload == 3;
}

static void deadline_may_leave_in_its_callback(void **state)
{
    uv_loop_t loop;
    struct deadlines deadlines;
    struct watch watches[3] = {0};
    size_t n_due = 0;
    (void)state;
    uv_loop_init(&loop);
    assert_int_equal(deadlines_init(&deadlines, &loop), 0);
    for (size_t i = 0; i < 3; i++) {
        watches[i].deadlines = &deadlines;
        watches[i].n_due = &n_due;
        assert_int_equal(deadline_join(&deadlines, &watches[i].deadline, leave_in_callback, &watches[i]), 0);
        deadline_set(&deadlines, &watches[i].deadline, 1); /* long ago */
    }
    assert_true(test_run_until(&loop, all_due, &n_due));
    deadlines_done(&deadlines);
    test_loop_done(&loop);
}

static bool one_due(void *payload)
{
    return *(size_t *)payload == 1;
}

static void deadline_may_be_moved_forward(void **state)
{
    uv_loop_t loop;
    struct deadlines deadlines;
    uint64_t last_ns = 0, start_ns = clock_monotonic_ns();
    size_t n_due = 0;
    struct watch watch = {.last_ns = &last_ns, .n_due = &n_due};
    (void)state;
    uv_loop_init(&loop);
    assert_int_equal(deadlines_init(&deadlines, &loop), 0);
    assert_int_equal(deadline_join(&deadlines, &watch.deadline, note, &watch), 0);
    deadline_set(&deadlines, &watch.deadline, start_ns + 3600 * NS_PER_S);
    watch.due_ns = start_ns + NS_PER_MS;
    deadline_set(&deadlines, &watch.deadline, watch.due_ns);
    assert_true(test_run_until(&loop, one_due, &n_due));
    deadline_leave(&deadlines, &watch.deadline);
    deadlines_done(&deadlines);
    test_loop_done(&loop);
}

/* ---- Addresses -------------------------------------------------------------------------------------------
 */

static void address_has_its_maximum(void **state)
{
    struct address_counts counts;
    struct address_count *entries[3], *other;
    (void)state;
    assert_int_equal(address_counts_init(&counts, 10), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(address_counts_add(&counts, "192.0.2.1", 3, &entries[i]), 0);
    assert_int_equal(address_counts_add(&counts, "192.0.2.1", 3, &other), -EAGAIN);
    assert_int_equal(address_counts_add(&counts, "192.0.2.2", 3, &other), 0);
    address_counts_drop(&counts, entries[0]);
    assert_int_equal(address_counts_add(&counts, "192.0.2.1", 3, &entries[0]), 0);
    for (int i = 0; i < 3; i++)
        address_counts_drop(&counts, entries[i]);
    address_counts_drop(&counts, other);
    address_counts_done(&counts);
}

static void ipv6_customers_count_by_their_network(void **state)
{
    struct address_counts counts;
    struct address_count *one, *two;
    (void)state;
    assert_int_equal(address_counts_init(&counts, 10), 0);
    assert_int_equal(address_counts_add(&counts, "2001:db8:0:1::1", 1, &one), 0);
    assert_int_equal(address_counts_add(&counts, "2001:db8:0:1:ffff::2", 1, &two), -EAGAIN);
    assert_int_equal(address_counts_add(&counts, "2001:db8:0:2::1", 1, &two), 0);
    address_counts_drop(&counts, one);
    address_counts_drop(&counts, two);
    address_counts_done(&counts);
}

static void maximum_of_nothing_lets_nobody_in(void **state)
{
    struct address_counts counts;
    struct address_count *entry;
    (void)state;
    assert_int_equal(address_counts_init(&counts, 10), 0);
    assert_int_equal(address_counts_add(&counts, "192.0.2.1", 0, &entry), -EAGAIN);
    assert_int_equal(address_counts_add(&counts, "", 1, &entry), 0);
    address_counts_drop(&counts, entry);
    address_counts_done(&counts);
}

/* ---- Tokens ----------------------------------------------------------------------------------------------
 */

static void bucket_gives_its_burst_and_then_its_rate(void **state)
{
    struct token_bucket bucket;
    (void)state;
    token_bucket_init(&bucket, 5, 1);
    for (int i = 0; i < 5; i++)
        assert_true(token_bucket_take(&bucket));
    assert_false(token_bucket_take(&bucket));
    bucket.filled_ns -= 2 * NS_PER_S;
    assert_true(token_bucket_take(&bucket));
    assert_true(token_bucket_take(&bucket));
    assert_false(token_bucket_take(&bucket));
}

static void bucket_never_holds_more_than_its_burst(void **state)
{
    struct token_bucket bucket;
    (void)state;
    token_bucket_init(&bucket, 3, 1000000);
    token_bucket_earn(&bucket, UINT32_MAX);
    assert_int_equal(bucket.tokens, 3);
    bucket.tokens = 0;
    bucket.filled_ns = 0; /* since the machine began */
    assert_true(token_bucket_take(&bucket));
    assert_int_equal(bucket.tokens, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deadlines_come_in_order_and_not_early),
        cmocka_unit_test(deadline_may_leave_in_its_callback),
        cmocka_unit_test(deadline_may_be_moved_forward),
        cmocka_unit_test(address_has_its_maximum),
        cmocka_unit_test(ipv6_customers_count_by_their_network),
        cmocka_unit_test(maximum_of_nothing_lets_nobody_in),
        cmocka_unit_test(bucket_gives_its_burst_and_then_its_rate),
        cmocka_unit_test(bucket_never_holds_more_than_its_burst),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
