/* SPDX-License-Identifier: Apache-2.0 */
/* One call is one line, whatever is in it; floods are counted; nobody is waited for. */
#include "base/log.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/json.h"

enum { PIPE_BYTES = 1 << 16 };

struct fixture {
    int pipe[2];
    struct log log;
    char read[PIPE_BYTES + 1];
};

static void open_pipe(struct fixture *fixture, enum log_format format)
{
    *fixture = (struct fixture){0};
    assert_int_equal(pipe2(fixture->pipe, O_NONBLOCK), 0);
    log_init(&fixture->log, fixture->pipe[1], format, LOG_LEVEL_INFO, "front");
}

static const char *written(struct fixture *fixture)
{
    ssize_t n = read(fixture->pipe[0], fixture->read, PIPE_BYTES);
    fixture->read[n < 0 ? 0 : n] = '\0';
    return fixture->read;
}

static void done(struct fixture *fixture)
{
    close(fixture->pipe[0]);
    close(fixture->pipe[1]);
}

static size_t lines_in(const char *text)
{
    size_t n = 0;
    for (; *text; text++)
        n += *text == '\n';
    return n;
}

static json_t *parsed(const char *line)
{
    json_t *object = NULL;
    cleanup_free char *why = NULL;
    if (json_read(line, strlen(line), &object, &why) < 0)
        fail_msg("%s in %s", why, line);
    return object;
}

static void a_line_of_json_has_typed_fields(void **state)
{
    (void)state;
    struct fixture f;
    open_pipe(&f, LOG_FORMAT_AUTOMATIC);
    log_event(&f.log, LOG_LEVEL_WARNING, "run_ended", log_text("run", "3f"), log_integer("code", -7),
              log_duration("wall", 1234567890), log_boolean("detached", true), log_text("absent", NULL));
    const char *line = written(&f);
    assert_int_equal(lines_in(line), 1);
    cleanup_json json_t *object = parsed(line);
    assert_string_equal(json_string_value(json_object_get(object, "level")), "warning");
    assert_string_equal(json_string_value(json_object_get(object, "process")), "front");
    assert_string_equal(json_string_value(json_object_get(object, "event")), "run_ended");
    assert_string_equal(json_string_value(json_object_get(object, "run")), "3f");
    assert_int_equal(json_integer_value(json_object_get(object, "code")), -7);
    assert_true(json_is_true(json_object_get(object, "detached")));
    assert_null(json_object_get(object, "absent"));
    assert_non_null(strstr(line, "\"wall_seconds\":1.234567"));
    log_done(&f.log);
    done(&f);
}

static void a_line_of_text_is_for_people(void **state)
{
    (void)state;
    struct fixture f;
    open_pipe(&f, LOG_FORMAT_TEXT);
    log_event(&f.log, LOG_LEVEL_INFO, "node_started", log_text("address", "127.0.0.1:50051"),
              log_text("reason", "two words"), log_text("nothing", ""), log_duration("wall", 1500000000));
    const char *line = written(&f);
    assert_non_null(strstr(line, "Z info    front node_started address=127.0.0.1:50051 reason=\"two words\""
                                 " nothing=\"\" wall=1.500s\n"));
    log_event(&f.log, LOG_LEVEL_ERROR, "bare");
    assert_non_null(strstr(written(&f), "Z error   front bare\n"));
    log_done(&f.log);
    done(&f);
}

static void hostile_text_neither_breaks_the_line_nor_forges_a_field(void **state)
{
    static const char hostile[] = "a\nb\x1b[31m\" run=\"other\\ \xff\xe2\x80\xae\",\"x\":1";
    (void)state;
    struct fixture f;
    open_pipe(&f, LOG_FORMAT_JSON);
    log_event(&f.log, LOG_LEVEL_INFO, "denial", log_bytes("path", hostile, sizeof hostile));
    const char *line = written(&f);
    assert_int_equal(lines_in(line), 1);
    assert_null(strchr(line, '\x1b'));
    cleanup_json json_t *object = parsed(line);
    assert_int_equal(json_object_size(object), 5);
    assert_null(strchr(json_string_value(json_object_get(object, "path")), '\n'));
    done(&f);

    open_pipe(&f, LOG_FORMAT_TEXT);
    log_event(&f.log, LOG_LEVEL_INFO, "denial", log_bytes("path", hostile, sizeof hostile));
    line = written(&f);
    assert_int_equal(lines_in(line), 1);
    assert_null(strchr(line, '\x1b'));
    assert_non_null(strstr(line, "path=\"a\\nb\\x1b[31m\\\" run=\\\"other\\\\ "));
    done(&f);
}

static void a_long_line_is_cut_between_fields(void **state)
{
    (void)state;
    struct fixture f;
    char bytes[4 * LOG_TEXT_MAX_BYTES];
    memset(bytes, 1, sizeof bytes);
    open_pipe(&f, LOG_FORMAT_JSON);
    log_event(&f.log, LOG_LEVEL_INFO, "denial", log_bytes("one", bytes, sizeof bytes),
              log_bytes("two", bytes, sizeof bytes), log_integer("last", 3));
    const char *line = written(&f);
    assert_true(strlen(line) <= LOG_LINE_BYTES);
    cleanup_json json_t *object = parsed(line);
    assert_non_null(json_object_get(object, "one"));
    assert_null(json_object_get(object, "two"));
    assert_int_equal(json_integer_value(json_object_get(object, "last")), 3);
    assert_true(json_is_true(json_object_get(object, "truncated")));
    done(&f);
}

static void less_important_lines_are_left_out(void **state)
{
    (void)state;
    struct fixture f;
    open_pipe(&f, LOG_FORMAT_JSON);
    log_event(&f.log, LOG_LEVEL_DEBUG, "detail");
    assert_string_equal(written(&f), "");
    done(&f);
}

static void a_flood_of_one_event_is_counted_and_leaves_others_alone(void **state)
{
    (void)state;
    struct fixture f;
    size_t floods = 0;
    open_pipe(&f, LOG_FORMAT_JSON);
    for (int i = 0; i < 3 * LOG_EVENTS_PER_SECOND; i++)
        log_event(&f.log, LOG_LEVEL_INFO, "flood");
    floods = lines_in(written(&f));
    log_event(&f.log, LOG_LEVEL_INFO, "other");
    assert_non_null(strstr(written(&f), "\"event\":\"other\""));
    log_done(&f.log);
    const char *line = written(&f);
    /* Unless the machine was so slow that the second was over. */
    if (floods == LOG_EVENTS_PER_SECOND) {
        assert_non_null(strstr(line, "\"event\":\"suppressed\",\"name\":\"flood\",\"lines\":200}"));
        assert_int_equal(lines_in(line), 1);
    }
    done(&f);
}

static void a_window_that_has_ended_is_told_of_by_the_next_line(void **state)
{
    (void)state;
    struct fixture f;
    open_pipe(&f, LOG_FORMAT_JSON);
    for (int i = 0; i < LOG_EVENTS_PER_SECOND + 5; i++)
        log_event(&f.log, LOG_LEVEL_INFO, "flood");
    written(&f);
    f.log.rates[0].suppressed = 5;
    f.log.rates[0].window_started_ns -= UINT64_C(2000000000);
    log_event(&f.log, LOG_LEVEL_INFO, "other");
    const char *lines = written(&f);
    assert_non_null(strstr(lines, "\"event\":\"suppressed\",\"name\":\"flood\",\"lines\":5}\n"));
    assert_non_null(strstr(lines, "\"event\":\"other\"}\n"));
    done(&f);
}

static void more_names_than_are_known_share_a_count(void **state)
{
    (void)state;
    struct fixture f;
    char names[4 * LOG_NAMES_MAX][16];
    open_pipe(&f, LOG_FORMAT_JSON);
    for (size_t i = 0; i < 4 * LOG_NAMES_MAX; i++) {
        snprintf(names[i], sizeof names[i], "event_%zu", i);
        log_write(&f.log, LOG_LEVEL_INFO, names[i], (const struct log_field[]){{0}});
    }
    assert_int_equal(f.log.n_rates, LOG_NAMES_MAX);
    assert_true(lines_in(written(&f)) <= LOG_NAMES_MAX + LOG_EVENTS_PER_SECOND);
    done(&f);
}

static void a_reader_that_does_not_read_costs_lines_and_no_time(void **state)
{
    (void)state;
    struct fixture f;
    char junk[4096] = {0};
    open_pipe(&f, LOG_FORMAT_JSON);
    /* Also for a descriptor that would block. */
    assert_int_equal(fcntl(f.pipe[1], F_SETFL, O_NONBLOCK), 0);
    while (write(f.pipe[1], junk, sizeof junk) > 0)
        continue;
    assert_int_equal(fcntl(f.pipe[1], F_SETFL, 0), 0);
    log_event(&f.log, LOG_LEVEL_INFO, "lost");
    log_event(&f.log, LOG_LEVEL_INFO, "lost");
    while (read(f.pipe[0], junk, sizeof junk) > 0)
        continue;
    log_event(&f.log, LOG_LEVEL_INFO, "seen");
    const char *lines = written(&f);
    assert_non_null(strstr(lines, "\"event\":\"dropped\",\"lines\":2}\n"));
    assert_non_null(strstr(lines, "\"event\":\"seen\"}\n"));
    assert_null(strstr(lines, "\"lost\""));
    done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_of_json_has_typed_fields),
        cmocka_unit_test(a_line_of_text_is_for_people),
        cmocka_unit_test(hostile_text_neither_breaks_the_line_nor_forges_a_field),
        cmocka_unit_test(a_long_line_is_cut_between_fields),
        cmocka_unit_test(less_important_lines_are_left_out),
        cmocka_unit_test(a_flood_of_one_event_is_counted_and_leaves_others_alone),
        cmocka_unit_test(a_window_that_has_ended_is_told_of_by_the_next_line),
        cmocka_unit_test(more_names_than_are_known_share_a_count),
        cmocka_unit_test(a_reader_that_does_not_read_costs_lines_and_no_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
