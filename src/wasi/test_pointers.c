/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every function with every kind of bad argument in every position. Nothing may crash, nothing outside of
 * memory may be touched (the pages around it cannot be), nothing but documented results may come back, and
 * the host's directory must still be there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "wasi/preview1.h"
#include "wasi/test_guest.h"

static const uint64_t values_32[] = {
    0,
    1,
    2,
    3,
    4,
    5,
    6,
    1U << 16,
    GUEST_MEMORY_SIZE - 1,
    GUEST_MEMORY_SIZE,
    GUEST_MEMORY_SIZE + 1,
    AT_PATH,
    AT_PATH + 1,
    AT_IOVEC,
    AT_RESULT,
    INT32_MAX,
    1U << 31,
    UINT32_MAX,
};
static const uint64_t values_64[] = {
    0, 1, 4096, UINT64_C(1) << 62, (UINT64_C(1) << 63) - 1, UINT64_C(1) << 63, UINT64_MAX,
};
enum { N_32 = sizeof values_32 / sizeof values_32[0], N_64 = sizeof values_64 / sizeof values_64[0] };

/* Arguments with which the function does its work, so that one bad one among them is reached. */
static void good_arguments(enum wasi_function function, uint64_t arguments[static WASI_MAX_ARGUMENTS])
{
    static const uint64_t pairs[] = {AT_RESULT, AT_RESULT + 64, 1};
    memset(arguments, 0, WASI_MAX_ARGUMENTS * sizeof arguments[0]);
    const char *name = wasi_functions[function].name;
    size_t n = strlen(wasi_functions[function].parameters);
    if (strncmp(name, "path_", 5) == 0) {
        static const struct {
            enum wasi_function function;
            uint64_t arguments[WASI_MAX_ARGUMENTS];
        } rows[] = {
            {WASI_path_create_directory, {3, AT_PATH, 3}},
            {WASI_path_filestat_get, {3, 1, AT_PATH, 1, AT_RESULT}},
            {WASI_path_filestat_set_times, {3, 1, AT_PATH, 1, 1, 2, FSTFLAGS_ATIM}},
            {WASI_path_link, {3, 0, AT_PATH, 1, 3, AT_PATH_2, 3}},
            {WASI_path_open, {3, 1, AT_PATH, 1, 0, RIGHTS_FD_READ, 0, 0, AT_RESULT}},
            {WASI_path_readlink, {3, AT_PATH, 1, AT_BUFFER, 64, AT_RESULT}},
            {WASI_path_remove_directory, {3, AT_PATH, 3}},
            {WASI_path_rename, {3, AT_PATH, 1, 3, AT_PATH_2, 3}},
            {WASI_path_symlink, {AT_PATH, 1, 3, AT_PATH_2, 3}},
            {WASI_path_unlink_file, {3, AT_PATH_2, 3}},
        };
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
            if (rows[i].function == function)
                memcpy(arguments, rows[i].arguments, sizeof rows[i].arguments);
        return;
    }
    if (function == WASI_poll_oneoff) {
        memcpy(arguments, (uint64_t[]){AT_BUFFER, AT_BUFFER + 4096, 2, AT_RESULT}, 4 * sizeof arguments[0]);
        return;
    }
    if (function == WASI_fd_readdir) {
        memcpy(arguments, (uint64_t[]){3, AT_BUFFER, 4096, 0, AT_RESULT}, 5 * sizeof arguments[0]);
        return;
    }
    if (function == WASI_fd_pread || function == WASI_fd_pwrite) {
        memcpy(arguments, (uint64_t[]){4, AT_IOVEC, 2, 0, AT_RESULT}, 5 * sizeof arguments[0]);
        return;
    }
    if (function == WASI_fd_read || function == WASI_fd_write) {
        memcpy(arguments, (uint64_t[]){4, AT_IOVEC, 2, AT_RESULT}, 4 * sizeof arguments[0]);
        return;
    }
    for (size_t i = 0; i < n; i++)
        arguments[i] = pairs[i < 3 ? i : 2];
    if (strncmp(name, "fd_", 3) == 0 || function == WASI_berth_wait_for_change)
        arguments[0] = 4;
}

/* What the functions above point to: a path, a vector, two subscriptions, descriptor 4, some input. */
static void prepare(struct test_guest *g)
{
    guest_string(g, AT_PATH, "f");
    guest_string(g, AT_PATH_2, "new");
    store_u32(g->memory.data + AT_IOVEC, AT_BUFFER);
    store_u32(g->memory.data + AT_IOVEC + 4, 100);
    store_u32(g->memory.data + AT_IOVEC + 8, AT_BUFFER + 100);
    store_u32(g->memory.data + AT_IOVEC + 12, 100);
    memset(g->memory.data + AT_BUFFER, 0, 2 * SUBSCRIPTION_SIZE);
    g->memory.data[AT_BUFFER + SUBSCRIPTION_SIZE + SUBSCRIPTION_TAG] = EVENTTYPE_FD_READ;
    g->streams[0].length = 10;
    g->streams[1].length = g->streams[2].length = 0;
}

static struct test_guest *start(void)
{
    struct test_guest *g = calloc(1, sizeof *g);
    uint32_t fd;
    assert_non_null(g);
    test_guest_start(g, &(struct test_setup){.writable = true,
                                             .random = WASI_RANDOM_SEEDED,
                                             .clock = WASI_CLOCK_FINE,
                                             .quota_bytes = 1 << 20,
                                             .events = true,
                                             .watch = true,
                                             .hide = (const char *const[]){"*.key", "/hidden/x"},
                                             .n_hide = 2});
    host_file(g, "f", "contents");
    assert_int_equal(guest_open(g, 3, "f", 0, ALL_RIGHTS, &fd), 0);
    assert_int_equal(fd, 4);
    return g;
}

static void check(const struct test_guest *g, uint32_t r)
{
    bool known = r <= ERRNO_NOTCAPABLE || (r >= WAITS && r <= 1000 + WASI_LIMIT);
    if (!known)
        fail_msg("%u came back", r);
    if (g->result == WASI_FAULT)
        assert_true(strlen(wasi_context_fault(g->context)) > 10);
}

/* What must be as before whatever the guest did; a new guest if it closed or renamed too much. */
static struct test_guest *renew(struct test_guest *g)
{
    assert_int_equal(host_size(g, "../secret"), 6);
    test_guest_end(g);
    free(g);
    return start();
}

static const uint64_t *values_for(char kind, size_t *ret_n)
{
    *ret_n = kind == 'I' ? N_64 : N_32;
    return kind == 'I' ? values_64 : values_32;
}

static void every_function_survives_every_bad_argument(void **state)
{
    (void)state;
    struct test_guest *g = start();
    uint64_t arguments[WASI_MAX_ARGUMENTS];
    for (int f = 0; f < WASI_N_FUNCTIONS; f++) {
        const char *parameters = wasi_functions[f].parameters;
        for (size_t p = 0; parameters[p]; p++) {
            size_t n;
            const uint64_t *values = values_for(parameters[p], &n);
            for (size_t v = 0; v < n; v++) {
                prepare(g);
                good_arguments((enum wasi_function)f, arguments);
                arguments[p] = values[v];
                check(g, test_guest_call(g, (enum wasi_function)f, arguments));
                wasi_context_abandon_call(g->context);
            }
            g = renew(g);
        }
    }
    test_guest_end(g);
    free(g);
}

static void every_function_survives_two_bad_arguments(void **state)
{
    (void)state;
    struct test_guest *g = start();
    uint64_t arguments[WASI_MAX_ARGUMENTS];
    for (int f = 0; f < WASI_N_FUNCTIONS; f++) {
        const char *parameters = wasi_functions[f].parameters;
        for (size_t p = 0; parameters[p]; p++) {
            for (size_t q = p + 1; parameters[q]; q++) {
                size_t n, m;
                const uint64_t *first = values_for(parameters[p], &n),
                               *second = values_for(parameters[q], &m);
                for (size_t v = 0; v < n * m; v++) {
                    prepare(g);
                    good_arguments((enum wasi_function)f, arguments);
                    arguments[p] = first[v / m];
                    arguments[q] = second[v % m];
                    check(g, test_guest_call(g, (enum wasi_function)f, arguments));
                    wasi_context_abandon_call(g->context);
                }
            }
        }
        g = renew(g);
    }
    test_guest_end(g);
    free(g);
}

static void bad_items_of_vectors_and_subscriptions_are_survived(void **state)
{
    (void)state;
    struct test_guest *g = start();
    for (size_t a = 0; a < N_32; a++) {
        for (size_t b = 0; b < N_32; b++) {
            prepare(g);
            store_u32(g->memory.data + AT_IOVEC + 8, (uint32_t)values_32[a]);
            store_u32(g->memory.data + AT_IOVEC + 12, (uint32_t)values_32[b]);
            for (uint32_t fd = 0; fd < 6; fd++) {
                check(g, guest_call(g, fd_read, fd, AT_IOVEC, 2, AT_RESULT));
                wasi_context_abandon_call(g->context);
                check(g, guest_call(g, fd_write, fd, AT_IOVEC, 2, AT_RESULT));
                wasi_context_abandon_call(g->context);
                prepare(g);
            }
            uint8_t *subscription = g->memory.data + AT_BUFFER;
            store_u32(subscription + SUBSCRIPTION_CLOCK_ID, (uint32_t)values_32[a]);
            store_u64(subscription + SUBSCRIPTION_TIMEOUT, values_64[b % N_64]);
            store_u16(subscription + SUBSCRIPTION_FLAGS, (uint16_t)values_32[b]);
            store_u8(subscription + SUBSCRIPTION_TAG, (uint8_t)(values_32[a] % 4));
            check(g, guest_call(g, poll_oneoff, AT_BUFFER, AT_BUFFER + 4096, 2, AT_RESULT));
            wasi_context_abandon_call(g->context);
        }
    }
    test_guest_end(g);
    free(g);
}

static void a_guest_without_memory_faults(void **state)
{
    (void)state;
    struct test_guest *g = start();
    struct wasi_memory kept = g->memory;
    uint64_t arguments[WASI_MAX_ARGUMENTS] = {0};
    g->memory = (struct wasi_memory){.data = NULL, .size = 0};
    for (int f = 0; f < WASI_N_FUNCTIONS; f++) {
        check(g, test_guest_call(g, (enum wasi_function)f, arguments));
        wasi_context_abandon_call(g->context);
    }
    g->memory = kept;
    test_guest_end(g);
    free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_function_survives_every_bad_argument),
        cmocka_unit_test(every_function_survives_two_bad_arguments),
        cmocka_unit_test(bad_items_of_vectors_and_subscriptions_are_survived),
        cmocka_unit_test(a_guest_without_memory_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
