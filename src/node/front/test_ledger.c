/* SPDX-License-Identifier: Apache-2.0 */
/* One commit a turn, nobody told before it, nobody told who has left, and what happens when it fails. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "node/front/ledger.h"
#include "wire/identity.h"

struct fixture {
    char directory[64], audit_path[96], store_path[96];
    uv_loop_t loop;
    struct log log;
    struct identity *identity;
    struct ledger *ledger;
};

static int sign(void *payload, const void *bytes, size_t size_bytes, uint8_t ret_signature[static 64])
{
    return identity_sign_ed25519(payload, bytes, size_bytes, ret_signature);
}

static void open_fixture(struct fixture *f)
{
    const uint8_t secret[IDENTITY_SECRET_BYTES] = {1};
    const struct run_store_limits limits = {
        .max_events_per_run = 10, .max_event_bytes_per_run = 1000, .keep_days = 1};
    struct audit_signer signer = {.sign = sign};
    struct audit_log *audit = NULL;
    struct run_store *store = NULL;
    memset(f, 0, sizeof(*f));
    snprintf(f->directory, sizeof(f->directory), "/tmp/berth-ledger-XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    snprintf(f->audit_path, sizeof(f->audit_path), "%s/audit.db", f->directory);
    snprintf(f->store_path, sizeof(f->store_path), "%s/runs.db", f->directory);
    assert_int_equal(identity_new(secret, false, &f->identity), 0);
    memcpy(signer.public_key, identity_ed25519_public_key(f->identity), sizeof(signer.public_key));
    signer.payload = f->identity;
    assert_int_equal(audit_open(f->audit_path, AUDIT_SYNC_NORMAL, &signer, &audit, NULL), 0);
    assert_int_equal(run_store_open(f->store_path, &limits, &store, NULL), 0);
    log_init(&f->log, -1, LOG_FORMAT_TEXT, LOG_LEVEL_ERROR, NULL);
    assert_int_equal(uv_loop_init(&f->loop), 0);
    assert_int_equal(ledger_new(&f->loop, audit, store, &f->log, &f->ledger), 0);
}

static void close_fixture(struct fixture *f)
{
    char command[160];
    ledger_free(f->ledger);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    identity_free(f->identity);
    log_done(&f->log);
    snprintf(command, sizeof(command), "rm -r %s", f->directory);
    assert_int_equal(system(command), 0);
}

static uint64_t entries_on_disk(const struct fixture *f)
{
    struct berth_audit_verdict verdict;
    assert_int_equal(berth_audit_verify(f->audit_path, NULL, NULL, &verdict, NULL), BERTH_OK);
    return verdict.entries;
}

struct waiter {
    struct ledger_wait wait;
    struct fixture *fixture;
    struct waiter *leaves; /* is taken out when this one is told */
    int told, result;
    uint64_t seen;
};

static void on_done(void *payload, int result)
{
    struct waiter *waiter = payload;
    waiter->told++;
    waiter->result = result;
    if (result == 0)
        waiter->seen = entries_on_disk(waiter->fixture);
    if (waiter->leaves)
        ledger_forget(&waiter->leaves->wait);
}

static void wait_for(struct fixture *f, struct waiter *waiter)
{
    waiter->wait.done = on_done;
    waiter->wait.payload = waiter;
    waiter->fixture = f;
    ledger_await(f->ledger, &waiter->wait);
}

static void who_waits_is_told_after_the_entries_are_on_disk(void **state)
{
    (void)state;
    struct fixture f;
    struct waiter first = {0}, second = {0};
    open_fixture(&f);
    ledger_note(f.ledger, "one", "alice", NULL, NULL);
    wait_for(&f, &first);
    ledger_note(f.ledger, "two", "alice", NULL, NULL);
    wait_for(&f, &second);
    assert_int_equal(first.told, 0);
    uv_run(&f.loop, UV_RUN_DEFAULT);
    assert_int_equal(first.told, 1);
    assert_int_equal(first.result, 0);
    assert_int_equal(first.seen, 2);
    assert_int_equal(second.told, 1);
    assert_int_equal(second.seen, 2);
    close_fixture(&f);
}

static void who_has_left_is_not_told(void **state)
{
    (void)state;
    struct fixture f;
    struct waiter first = {0}, second = {0};
    open_fixture(&f);
    wait_for(&f, &first);
    wait_for(&f, &second);
    first.leaves = &second;
    second.leaves = &first;
    uv_run(&f.loop, UV_RUN_DEFAULT);
    assert_int_equal(first.told + second.told, 1);
    close_fixture(&f);
}

static void what_nobody_waits_for_is_written_soon(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f);
    ledger_note(f.ledger, "one", NULL, NULL, NULL);
    assert_int_equal(ledger_entries(f.ledger), 0);
    uv_run(&f.loop, UV_RUN_DEFAULT); /* ends when the timer has fired */
    assert_int_equal(entries_on_disk(&f), 1);
    close_fixture(&f);
}

static void a_note_that_is_lost_makes_its_waiters_fail_and_no_later_ones(void **state)
{
    (void)state;
    struct fixture f;
    struct waiter first = {0}, second = {0};
    open_fixture(&f);
    ledger_note(f.ledger, "one", NULL, NULL, json_real(0)); /* no object: the log refuses it */
    wait_for(&f, &first);
    uv_run(&f.loop, UV_RUN_DEFAULT);
    assert_true(first.result < 0);
    assert_false(ledger_holds(f.ledger));
    assert_int_equal(ledger_failures(f.ledger), 1);
    ledger_note(f.ledger, "two", NULL, NULL, NULL);
    wait_for(&f, &second);
    uv_run(&f.loop, UV_RUN_DEFAULT);
    assert_int_equal(second.result, 0);
    assert_true(ledger_holds(f.ledger));
    close_fixture(&f);
}

struct late_waiter {
    uv_timer_t timer;
    struct fixture *fixture;
    struct waiter waiter;
};

static void lose_a_note_and_wait(uv_timer_t *timer)
{
    struct late_waiter *late = timer->data;
    ledger_note(late->fixture->ledger, "one", NULL, NULL, json_real(0));
    wait_for(late->fixture, &late->waiter);
    uv_close((uv_handle_t *)timer, NULL);
}

static void the_timer_of_the_unhurried_takes_no_failure_from_who_waits(void **state)
{
    (void)state;
    struct fixture f;
    struct late_waiter late = {.fixture = &f};
    open_fixture(&f);
    uv_timer_init(&f.loop, &late.timer);
    late.timer.data = &late;
    uv_timer_start(&late.timer, lose_a_note_and_wait, 1, 0);
    ledger_note(f.ledger, "zero", NULL, NULL, NULL);
    uv_sleep(100); /* both timers are due in one turn, the ledger's second */
    uv_run(&f.loop, UV_RUN_DEFAULT);
    assert_int_equal(late.waiter.told, 1);
    assert_true(late.waiter.result < 0);
    close_fixture(&f);
}

static bool look(void *payload, const struct berth_audit_entry *entry)
{
    snprintf(payload, 256, "%s", entry->details);
    return true;
}

static void the_newest(const struct fixture *f, const char *event, char details[static 256])
{
    const struct berth_audit_query query = {.size = sizeof(query), .event = event, .limit = 1};
    details[0] = '\0';
    assert_int_equal(berth_audit_list(f->audit_path, &query, look, details, NULL), BERTH_OK);
}

/* The disk is full for a while, as far as this process can tell. */
static void what_was_lost_is_told_when_the_log_holds_again(void **state)
{
    (void)state;
    struct fixture f;
    struct waiter first = {0}, second = {0};
    struct rlimit old, none = {0};
    char details[256];
    open_fixture(&f);
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &old);
    none.rlim_max = old.rlim_max;
    setrlimit(RLIMIT_FSIZE, &none);
    ledger_note(f.ledger, "one", NULL, NULL, NULL);
    ledger_note(f.ledger, "two", NULL, NULL, NULL);
    wait_for(&f, &first);
    uv_run(&f.loop, UV_RUN_DEFAULT);
    setrlimit(RLIMIT_FSIZE, &old);
    assert_true(first.result < 0);
    ledger_note(f.ledger, "three", NULL, NULL, NULL);
    wait_for(&f, &second);
    uv_run(&f.loop, UV_RUN_DEFAULT);
    assert_int_equal(second.result, 0);
    the_newest(&f, "audit_gap", details);
    assert_string_equal(details, "{\"entries\":2}");
    close_fixture(&f);
}

static void strangers_cannot_fill_the_log(void **state)
{
    (void)state;
    struct fixture f;
    char details[256];
    open_fixture(&f);
    for (int i = 0; i < 5000; i++)
        ledger_note_refused(f.ledger, NULL, json_object());
    uv_run(&f.loop, UV_RUN_DEFAULT);
    assert_in_range(entries_on_disk(&f), 600, 700);
    while (details[0] = '\0', the_newest(&f, "session_refused", details), !strstr(details, "left_out")) {
        ledger_note_refused(f.ledger, NULL, json_object());
        uv_run(&f.loop, UV_RUN_DEFAULT);
    }
    close_fixture(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_waits_is_told_after_the_entries_are_on_disk),
        cmocka_unit_test(who_has_left_is_not_told),
        cmocka_unit_test(what_nobody_waits_for_is_written_soon),
        cmocka_unit_test(what_was_lost_is_told_when_the_log_holds_again),
        cmocka_unit_test(strangers_cannot_fill_the_log),
        cmocka_unit_test(a_note_that_is_lost_makes_its_waiters_fail_and_no_later_ones),
        cmocka_unit_test(the_timer_of_the_unhurried_takes_no_failure_from_who_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
