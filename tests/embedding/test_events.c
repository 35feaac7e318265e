/* SPDX-License-Identifier: Apache-2.0 */
/* Guests that push events and wait for changes, beside each other on one thread. */
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "fixture.h"

static struct host host;
static char root[64];

static void make_file(const char *name, const char *contents)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", root, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(contents, file);
    fclose(file);
}

static int open_all(void **state)
{
    char link[96];
    (void)state;
    snprintf(root, sizeof(root), "/tmp/berth-events-XXXXXX");
    assert_non_null(mkdtemp(root));
    make_file("visible", "hello\n");
    make_file("secret.key", "no");
    snprintf(link, sizeof(link), "%s/out", root);
    assert_int_equal(symlink("/etc/passwd", link), 0);
    host = host_open(100, false, false);
    return 0;
}

static int close_all(void **state)
{
    char command[96];
    (void)state;
    host_close(&host);
    snprintf(command, sizeof(command), "rm -r %s", root);
    return system(command);
}

/* ---- A guest ------------------------------------------------------------------------------------ */

struct guest {
    berth_instance *instance;
    berth_run *run;
    int n_events;
    int room; /* for events; -1: any number */
    char last[64];
    char denial[128];
    int n_denials;
};

static bool take_event(void *payload, const char *text, size_t size_bytes)
{
    struct guest *guest = payload;
    if (guest->room == 0)
        return false;
    guest->room -= guest->room > 0;
    guest->n_events++;
    snprintf(guest->last, sizeof(guest->last), "%.*s", (int)size_bytes, text);
    return true;
}

static void take_denial(void *payload, const struct berth_denial *denial)
{
    struct guest *guest = payload;
    guest->n_denials++;
    snprintf(guest->denial, sizeof(guest->denial), "%s", denial->sentence);
}

static void begin(struct guest *guest, const char *name, berth_contract *contract, berth_mounts *mounts)
{
    const char *const patterns[] = {"*.key"};
    const struct berth_mount mount = {.guest = "/logs", .host = root, .hide = patterns, .n_hide = 1};
    struct berth_instance_options options;
    berth_error *error = NULL;
    berth_module *module = host_module(&host, name);
    if (!mounts)
        assert_int_equal(berth_contract_add_mount(contract, &mount, "test", NULL), BERTH_OK);
    *guest = (struct guest){.room = -1};
    berth_instance_options_init(&options);
    options.on_event = take_event;
    options.on_denial = take_denial;
    options.payload = guest;
    options.mounts = mounts;
    if (berth_instance_new(host.schedule, module, contract, &options, &guest->instance, &error) != BERTH_OK ||
        berth_run_start(guest->instance, &guest->run, &error) != BERTH_OK)
        fail_msg("%s", berth_error_message(error));
    berth_module_unref(module);
    berth_contract_unref(contract);
}

static bool is_running(const struct guest *guest)
{
    return berth_run_outcome(guest->run)->kind == BERTH_OUTCOME_RUNNING;
}

/* Steps until nothing more happens by itself. Returns the schedule's descriptor. */
static int settle(void)
{
    struct berth_wait wait;
    do
        berth_schedule_step(host.schedule, &wait);
    while (wait.ready);
    return wait.descriptor;
}

/* What an embedder's loop does: sleeps until the schedule's descriptor can be read, then steps. */
static void settle_when_told(int descriptor)
{
    struct pollfd told = {.fd = descriptor, .events = POLLIN};
    assert_int_equal(poll(&told, 1, 60 * 1000), 1);
    settle();
}

static void assert_exited(const struct guest *guest)
{
    const struct berth_outcome *outcome = berth_run_outcome(guest->run);
    if (outcome->kind != BERTH_OUTCOME_EXITED || outcome->exit_code != 0)
        fail_msg("%s, code %u: %s", berth_outcome_name(outcome->kind), outcome->exit_code, outcome->cause);
}

/* ---- Events ------------------------------------------------------------------------------------- */

static void a_reader_without_room_parks_the_guest(void **state)
{
    (void)state;
    struct guest guest;
    struct berth_usage usage;
    begin(&guest, "pushes_numbered_events", contract_with("grants.events", "true", NULL), NULL);
    guest.room = 5;
    settle();
    assert_int_equal(guest.n_events, 5);
    assert_string_equal(guest.last, "00004");
    settle();
    assert_int_equal(guest.n_events, 5);
    guest.room = 10;
    berth_instance_resume_events(guest.instance);
    settle();
    assert_int_equal(guest.n_events, 15);
    /* Saying so without room is no harm. */
    berth_instance_resume_events(guest.instance);
    settle();
    assert_int_equal(guest.n_events, 15);
    guest.room = -1;
    berth_instance_resume_events(guest.instance);
    settle();
    assert_exited(&guest);
    assert_int_equal(guest.n_events, 12000);
    assert_string_equal(guest.last, "11999");
    berth_run_usage(guest.run, &usage);
    assert_int_equal(usage.host_calls, 12001);
    berth_instance_resume_events(guest.instance);
    berth_instance_free(guest.instance);
}

static void limits_hold_while_a_guest_waits_for_its_reader(void **state)
{
    (void)state;
    struct guest slow, cancelled;
    begin(&slow, "pushes_numbered_events",
          contract_with("grants.events", "true", "limits.wall_seconds", "0.05", NULL), NULL);
    begin(&cancelled, "pushes_numbered_events", contract_with("grants.events", "true", NULL), NULL);
    slow.room = cancelled.room = 0;
    settle();
    berth_run_cancel(cancelled.run);
    settle();
    assert_int_equal(berth_run_outcome(cancelled.run)->kind, BERTH_OUTCOME_CANCELLED);
    berth_run_wait(slow.run);
    assert_int_equal(berth_run_outcome(slow.run)->limit, BERTH_LIMIT_WALL);
    berth_instance_free(slow.instance);
    berth_instance_free(cancelled.instance);
}

static void without_the_grant_each_event_is_a_denial_and_the_guest_goes_on(void **state)
{
    (void)state;
    struct guest guest;
    struct berth_usage usage;
    begin(&guest, "pushes_numbered_events", contract_with(NULL), NULL);
    settle();
    assert_exited(&guest);
    assert_int_equal(guest.n_events, 0);
    assert_string_equal(guest.denial,
                        "push_event was refused: grants.events allows no events, this is one of 5 "
                        "bytes; to allow it: events = true");
    berth_run_usage(guest.run, &usage);
    assert_int_equal(usage.denials, 12000);
    berth_instance_free(guest.instance);
}

static void a_call_rate_counts_an_event_once(void **state)
{
    (void)state;
    struct guest guest;
    struct berth_usage usage;
    begin(&guest, "pushes_numbered_events",
          contract_with("grants.events", "true", "limits.host_calls_per_second", "1000000", NULL), NULL);
    guest.room = 3;
    settle();
    guest.room = -1;
    berth_instance_resume_events(guest.instance);
    berth_run_wait(guest.run);
    assert_exited(&guest);
    berth_run_usage(guest.run, &usage);
    assert_int_equal(usage.host_calls, 12001);
    berth_instance_free(guest.instance);
}

/* ---- Changes ------------------------------------------------------------------------------------ */

static berth_contract *watching(void)
{
    return contract_with("grants.events", "true", "grants.watch", "true", NULL);
}

static void a_guest_sleeps_until_its_directory_changes(void **state)
{
    (void)state;
    struct guest guest;
    begin(&guest, "watches_its_directory", watching(), NULL);
    int descriptor = settle();
    assert_string_equal(guest.last, "waiting");
    assert_true(is_running(&guest));
    make_file("other.key", "hidden");
    settle_when_told(descriptor); /* the kernel tells, the guest does not hear of it */
    assert_string_equal(guest.last, "waiting");
    make_file("new", "1");
    settle_when_told(descriptor);
    assert_exited(&guest);
    assert_string_equal(guest.last, "changed");
    berth_instance_free(guest.instance);
}

static void a_hundred_watchdogs_cost_no_thread_and_all_wake(void **state)
{
    (void)state;
    static struct guest guests[100];
    int before = count_descriptors();
    for (int i = 0; i < 100; i++)
        begin(&guests[i], "watches_its_directory", watching(), NULL);
    int descriptor = settle();
    for (int i = 0; i < 100; i++)
        assert_string_equal(guests[i].last, "waiting");
    make_file("new", "1");
    settle_when_told(descriptor);
    for (int i = 0; i < 100; i++) {
        assert_exited(&guests[i]);
        berth_instance_free(guests[i].instance);
    }
    assert_true(count_descriptors() <= before + 1); /* the one of the schedule */
}

static void a_waiting_guest_ends_at_its_wall_and_on_cancel(void **state)
{
    (void)state;
    struct guest late, cancelled;
    begin(&late, "watches_its_directory",
          contract_with("grants.events", "true", "grants.watch", "true", "limits.wall_seconds", "0.05", NULL),
          NULL);
    begin(&cancelled, "watches_its_directory", watching(), NULL);
    settle();
    berth_run_cancel(cancelled.run);
    settle();
    assert_int_equal(berth_run_outcome(cancelled.run)->kind, BERTH_OUTCOME_CANCELLED);
    berth_run_wait(late.run);
    assert_int_equal(berth_run_outcome(late.run)->limit, BERTH_LIMIT_WALL);
    berth_instance_free(late.instance);
    berth_instance_free(cancelled.instance);
    make_file("new", "1");
    settle();
}

static void without_the_grant_waiting_is_refused_with_the_line_that_allows_it(void **state)
{
    (void)state;
    struct guest guest;
    begin(&guest, "watches_its_directory", contract_with("grants.events", "true", NULL), NULL);
    settle();
    assert_int_equal(berth_run_outcome(guest.run)->exit_code, 8);
    assert_string_equal(guest.denial,
                        "wait_for_change in \"/logs\" was refused: grants.watch allows no waiting "
                        "for changes, this is one; to allow it: watch = true");
    berth_instance_free(guest.instance);
}

/* ---- Mounts from descriptors -------------------------------------------------------------------- */

static berth_contract *with_mount(berth_contract *contract, const char *name)
{
    const char *const patterns[] = {"*.key"};
    const struct berth_mount mount = {.guest = "/logs", .host = name, .hide = patterns, .n_hide = 1};
    assert_int_equal(berth_contract_add_mount(contract, &mount, "test", NULL), BERTH_OK);
    return contract;
}

static void mounts_can_be_given_as_descriptors(void **state)
{
    (void)state;
    struct guest guest;
    berth_contract *contract = with_mount(watching(), "/a name/for messages");
    berth_mounts *mounts;
    int descriptors[2] = {open(root, O_PATH | O_DIRECTORY | O_CLOEXEC), -1};
    assert_int_equal(berth_mounts_open_at(host.engine, contract, descriptors, 0, &mounts, NULL),
                     BERTH_INVALID);
    assert_int_equal(berth_mounts_open_at(host.engine, contract, descriptors, 2, &mounts, NULL),
                     BERTH_INVALID);
    assert_int_equal(berth_mounts_open_at(host.engine, contract, descriptors + 1, 1, &mounts, NULL),
                     BERTH_IO);
    assert_int_equal(berth_mounts_open_at(host.engine, contract, descriptors, 1, &mounts, NULL), BERTH_OK);
    close(descriptors[0]);
    begin(&guest, "watches_its_directory", contract, mounts);
    berth_mounts_unref(mounts);
    int descriptor = settle();
    assert_string_equal(guest.last, "waiting");
    make_file("new", "1");
    settle_when_told(descriptor);
    assert_exited(&guest);
    berth_instance_free(guest.instance);
}

static void what_is_no_directory_is_no_mount(void **state)
{
    (void)state;
    berth_contract *contract = with_mount(watching(), "/logs of somebody");
    berth_mounts *mounts;
    berth_error *error = NULL;
    int before = count_descriptors(), file = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_int_equal(berth_mounts_open_at(host.engine, contract, &file, 1, &mounts, &error), BERTH_IO);
    assert_non_null(
        strstr(berth_error_message(error), "the directory /logs of somebody cannot be mounted at /logs"));
    berth_error_free(error);
    close(file);
    assert_int_equal(count_descriptors(), before);
    berth_contract_unref(contract);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        embedding_test(a_reader_without_room_parks_the_guest),
        embedding_test(limits_hold_while_a_guest_waits_for_its_reader),
        embedding_test(without_the_grant_each_event_is_a_denial_and_the_guest_goes_on),
        embedding_test(a_call_rate_counts_an_event_once),
        embedding_test(a_guest_sleeps_until_its_directory_changes),
        embedding_test(a_hundred_watchdogs_cost_no_thread_and_all_wake),
        embedding_test(a_waiting_guest_ends_at_its_wall_and_on_cancel),
        embedding_test(without_the_grant_waiting_is_refused_with_the_line_that_allows_it),
        embedding_test(mounts_can_be_given_as_descriptors),
        embedding_test(what_is_no_directory_is_no_mount),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
