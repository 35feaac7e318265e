/* SPDX-License-Identifier: Apache-2.0 */
/* Streams between a guest and its embedder: order, back-pressure, exact limits, and descriptors left as they
 * were. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "fixture.h"

enum { MIB = 1 << 20, RING = 64 << 10 };

static struct host host;

static int open_host(void **state)
{
    (void)state;
    host = host_open(4, false, false);
    return 0;
}

static int close_host(void **state)
{
    (void)state;
    host_close(&host);
    return 0;
}

static void a_writer_parks_when_its_reader_does_not_read(void **state)
{
    berth_contract *contract = contract_with(NULL);
    berth_module *module = host_module(&host, "floods_stdout");
    struct visitor visitor;
    struct berth_wait wait;
    struct berth_usage usage;
    (void)state;
    visitor_start(&visitor, &host, module, contract, NULL);
    do
        berth_run_step(visitor.run, &wait);
    while (wait.ready);
    berth_run_usage(visitor.run, &usage);
    assert_int_equal(usage.output_bytes, RING);
    visitor_read(&visitor);
    assert_int_equal(visitor.output_length, RING);
    do
        berth_run_step(visitor.run, &wait);
    while (wait.ready);
    berth_run_usage(visitor.run, &usage);
    assert_int_equal(usage.output_bytes, 2 * RING);
    visitor_end(&visitor);
    berth_module_unref(module);
    berth_contract_unref(contract);
}

static void the_output_limit_is_exact_and_all_of_it_arrives(void **state)
{
    berth_contract *contract = contract_with("limits.output_mb", "3", NULL);
    berth_module *module = host_module(&host, "floods_stdout");
    struct visitor visitor;
    (void)state;
    visitor_start(&visitor, &host, module, contract, NULL);
    visitors_finish(&host, &visitor, 1);
    visitor_read(&visitor);
    assert_int_equal(berth_run_outcome(visitor.run)->limit, BERTH_LIMIT_OUTPUT);
    assert_int_equal(visitor.output_length, 3 * MIB);
    visitor_end(&visitor);
    berth_module_unref(module);
    berth_contract_unref(contract);
}

static void what_goes_in_comes_out(void **state)
{
    berth_contract *contract = contract_with(NULL);
    berth_module *module = host_module(&host, "echoes_stdin");
    struct visitor visitor;
    struct berth_wait wait;
    size_t given = 0, total = 1 * MIB, size;
    char expected[OUTPUT_MAX], chunk[10000];
    (void)state;
    for (size_t i = 0; i < OUTPUT_MAX; i++)
        expected[i] = (char)(i % 10000 * 7);
    for (size_t i = 0; i < sizeof(chunk); i++)
        chunk[i] = (char)(i * 7);
    visitor_start(&visitor, &host, module, contract, NULL);
    while (given < total) {
        size_t offset = given % sizeof(chunk), left = total - given;
        size_t piece = sizeof(chunk) - offset < left ? sizeof(chunk) - offset : left;
        berth_instance_write(visitor.instance, chunk + offset, piece, &size);
        given += size;
        berth_run_step(visitor.run, &wait);
        visitor_read(&visitor);
    }
    berth_instance_close_input(visitor.instance);
    visitors_finish(&host, &visitor, 1);
    assert_int_equal(berth_run_outcome(visitor.run)->kind, BERTH_OUTCOME_EXITED);
    assert_int_equal(visitor.output_length, total);
    assert_memory_equal(visitor.output, expected, OUTPUT_MAX);
    visitor_end(&visitor);
    berth_module_unref(module);
    berth_contract_unref(contract);
}

/* Runs floods_stdout on a descriptor whose reader takes `wanted` bytes and then leaves. */
static berth_outcome_kind flood(int descriptor, int reader, size_t wanted)
{
    struct berth_instance_options options;
    berth_contract *contract = contract_with(NULL);
    berth_module *module = host_module(&host, "floods_stdout");
    berth_instance *instance;
    berth_run *run;
    struct berth_wait wait;
    char chunk[5000];
    berth_instance_options_init(&options);
    options.output = (struct berth_stream){.kind = BERTH_STREAM_FD, .descriptor = descriptor};
    assert_int_equal(berth_instance_new(host.schedule, module, contract, &options, &instance, NULL),
                     BERTH_OK);
    assert_int_equal(berth_run_start(instance, &run, NULL), BERTH_OK);
    while (wanted > 0) {
        assert_true(berth_run_step(run, &wait));
        ssize_t n = read(reader, chunk, wanted < sizeof(chunk) ? wanted : sizeof(chunk));
        assert_true(n > 0);
        for (ssize_t i = 0; i < n; i++)
            assert_int_equal(chunk[i], 'x');
        wanted -= (size_t)n;
    }
    close(reader);
    berth_run_wait(run);
    berth_outcome_kind kind = berth_run_outcome(run)->kind;
    berth_instance_free(instance);
    berth_module_unref(module);
    berth_contract_unref(contract);
    return kind;
}

static void a_pipe_whose_reader_leaves_ends_the_run(void **state)
{
    int ends[2];
    (void)state;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(flood(ends[1], ends[0], 2 * MIB), BERTH_OUTCOME_HOST_ERROR);
    /* Whoever shares the pipe still has a blocking one. */
    assert_false(fcntl(ends[1], F_GETFL) & O_NONBLOCK);
    close(ends[1]);
}

static void a_socket_whose_reader_leaves_ends_the_run(void **state)
{
    int ends[2];
    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    assert_int_equal(flood(ends[1], ends[0], 2 * MIB), BERTH_OUTCOME_HOST_ERROR);
    close(ends[1]);
}

static void a_full_disk_ends_the_run(void **state)
{
    int full = open("/dev/full", O_WRONLY), zero = open("/dev/zero", O_RDONLY);
    (void)state;
    assert_int_equal(flood(full, zero, 0), BERTH_OUTCOME_HOST_ERROR);
    close(full);
}

static void a_reader_that_stops_is_cut_off_at_the_deadline(void **state)
{
    int ends[2];
    struct berth_instance_options options;
    berth_contract *contract = contract_with("limits.wall_seconds", "0.2", NULL);
    berth_module *module = host_module(&host, "floods_stdout");
    berth_instance *instance;
    berth_run *run;
    (void)state;
    assert_int_equal(pipe(ends), 0);
    berth_instance_options_init(&options);
    options.output = (struct berth_stream){.kind = BERTH_STREAM_FD, .descriptor = ends[1]};
    assert_int_equal(berth_instance_new(host.schedule, module, contract, &options, &instance, NULL),
                     BERTH_OK);
    assert_int_equal(berth_run_start(instance, &run, NULL), BERTH_OK);
    berth_run_wait(run);
    assert_int_equal(berth_run_outcome(run)->limit, BERTH_LIMIT_WALL);
    berth_instance_free(instance);
    berth_module_unref(module);
    berth_contract_unref(contract);
    close(ends[0]);
    close(ends[1]);
}

/* Runs a guest on two descriptors; -1 for none. */
static berth_outcome_kind run_between(const char *guest, int input, int output)
{
    struct berth_instance_options options;
    berth_contract *contract = contract_with("limits.wall_seconds", "20", NULL);
    berth_module *module = host_module(&host, guest);
    berth_instance *instance;
    berth_run *run;
    berth_instance_options_init(&options);
    if (input >= 0)
        options.input = (struct berth_stream){.kind = BERTH_STREAM_FD, .descriptor = input};
    if (output >= 0)
        options.output = (struct berth_stream){.kind = BERTH_STREAM_FD, .descriptor = output};
    assert_int_equal(berth_instance_new(host.schedule, module, contract, &options, &instance, NULL),
                     BERTH_OK);
    assert_int_equal(berth_run_start(instance, &run, NULL), BERTH_OK);
    berth_run_wait(run);
    berth_outcome_kind kind = berth_run_outcome(run)->kind;
    berth_instance_free(instance);
    berth_module_unref(module);
    berth_contract_unref(contract);
    return kind;
}

/* Not at the deadline: such a descriptor never becomes ready. */
static void descriptors_that_are_open_the_other_way_fail_at_once(void **state)
{
    int ends[2];
    (void)state;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(run_between("echoes_stdin", ends[1], -1), BERTH_OUTCOME_TRAPPED);
    assert_int_equal(run_between("says_hello", -1, ends[0]), BERTH_OUTCOME_HOST_ERROR);
    close(ends[0]);
    close(ends[1]);
}

static void input_may_come_from_a_file_but_not_from_a_directory(void **state)
{
    char name[] = "/tmp/berth-input-XXXXXX", found[8] = "";
    int file = mkstemp(name), directory = open("/", O_RDONLY | O_DIRECTORY), ends[2];
    (void)state;
    unlink(name);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(pwrite(file, "lines\n", 6, 0), 6);
    assert_int_equal(run_between("echoes_stdin", file, ends[1]), BERTH_OUTCOME_EXITED);
    assert_int_equal(read(ends[0], found, sizeof(found)), 6);
    assert_memory_equal(found, "lines\n", 6);
    assert_int_equal(run_between("echoes_stdin", directory, -1), BERTH_OUTCOME_TRAPPED);
    close(file);
    close(directory);
    close(ends[0]);
    close(ends[1]);
}

static void the_master_of_a_terminal_reaches_its_own_terminal(void **state)
{
    char found[8] = "";
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    (void)state;
    assert_true(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
    int terminal = open(ptsname(master), O_RDWR | O_NOCTTY | O_NONBLOCK);
    assert_int_equal(run_between("says_hello", -1, master), BERTH_OUTCOME_EXITED);
    assert_int_equal(read(terminal, found, sizeof(found)), 6);
    assert_memory_equal(found, "hello\n", 6);
    close(terminal);
    close(master);
}

/* Its output is on its way when the reader leaves; nothing else would wake it. */
static void a_sleeping_writer_whose_reader_leaves_is_ended(void **state)
{
    int ends[2];
    struct berth_instance_options options;
    struct berth_wait wait;
    berth_contract *contract = contract_with("limits.wall_seconds", "0", NULL);
    berth_module *module = host_module(&host, "writes_much_and_sleeps");
    berth_instance *instance;
    berth_run *run;
    (void)state;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(fcntl(ends[1], F_SETPIPE_SZ, 4096), 4096);
    berth_instance_options_init(&options);
    options.output = (struct berth_stream){.kind = BERTH_STREAM_FD, .descriptor = ends[1]};
    assert_int_equal(berth_instance_new(host.schedule, module, contract, &options, &instance, NULL),
                     BERTH_OK);
    assert_int_equal(berth_run_start(instance, &run, NULL), BERTH_OK);
    do
        assert_true(berth_run_step(run, &wait));
    while (wait.ready);
    close(ends[0]);
    berth_run_wait(run);
    assert_int_equal(berth_run_outcome(run)->kind, BERTH_OUTCOME_HOST_ERROR);
    berth_instance_free(instance);
    berth_module_unref(module);
    berth_contract_unref(contract);
    close(ends[1]);
}

static void count(void *payload)
{
    ++*(unsigned *)payload;
}

static void an_embedder_hears_of_slices_and_of_ends(void **state)
{
    berth_contract *contract = contract_with(NULL);
    berth_module *module = host_module(&host, "sleeps_forever");
    struct berth_instance_options options;
    berth_instance *instance;
    berth_run *run;
    struct berth_wait wait;
    unsigned n_moved = 0, n_asleep;
    (void)state;
    berth_instance_options_init(&options);
    options.on_moved = count;
    options.payload = &n_moved;
    assert_int_equal(berth_instance_new(host.schedule, module, contract, &options, &instance, NULL),
                     BERTH_OK);
    assert_int_equal(berth_run_start(instance, &run, NULL), BERTH_OK);
    do
        berth_run_step(run, &wait);
    while (wait.ready);
    n_asleep = n_moved;
    assert_true(n_asleep > 0);
    berth_run_step(run, &wait);
    assert_int_equal(n_moved, n_asleep);
    berth_run_cancel(run);
    berth_run_step(run, &wait);
    assert_int_equal(n_moved, n_asleep + 1);
    assert_int_equal(berth_run_outcome(run)->kind, BERTH_OUTCOME_CANCELLED);
    berth_instance_free(instance);
    assert_int_equal(n_moved, n_asleep + 1);
    berth_module_unref(module);
    berth_contract_unref(contract);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        embedding_test(a_writer_parks_when_its_reader_does_not_read),
        embedding_test(the_output_limit_is_exact_and_all_of_it_arrives),
        embedding_test(what_goes_in_comes_out),
        embedding_test(a_pipe_whose_reader_leaves_ends_the_run),
        embedding_test(a_socket_whose_reader_leaves_ends_the_run),
        embedding_test(a_full_disk_ends_the_run),
        embedding_test(a_sleeping_writer_whose_reader_leaves_is_ended),
        embedding_test(a_reader_that_stops_is_cut_off_at_the_deadline),
        embedding_test(descriptors_that_are_open_the_other_way_fail_at_once),
        embedding_test(input_may_come_from_a_file_but_not_from_a_directory),
        embedding_test(the_master_of_a_terminal_reaches_its_own_terminal),
        embedding_test(an_embedder_hears_of_slices_and_of_ends),
    };
    return cmocka_run_group_tests(tests, open_host, close_host);
}
