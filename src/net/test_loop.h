/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of this folder share: a loop that is run until something holds, and one end of a stream that
 * remembers what it heard. */
#ifndef BERTH_NET_TEST_LOOP_H
#define BERTH_NET_TEST_LOOP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <uv.h>

#include "base/text.h"
#include "net/tcp.h"

enum {
    PATIENCE_TICKS = 1500, /* only a bound against hanging */
    TICK_MS = 20,          /* a condition may come true where no event follows */
};

/* One end of a stream. */
struct test_end {
    struct stream *stream; /* NULL once it is gone */
    struct text received;
    size_t received_bytes;
    bool keeps; /* what it receives; counts otherwise */
    bool opened, closed;
    uint32_t n_writable;
    char *error;
};

static inline void test_end_opened(void *owner)
{
    ((struct test_end *)owner)->opened = true;
}

static inline void test_end_received(void *owner, const uint8_t *bytes, size_t size_bytes)
{
    struct test_end *end = owner;
    end->received_bytes += size_bytes;
    if (end->keeps)
        text_append_bytes(&end->received, (const char *)bytes, size_bytes);
}

static inline void test_end_writable(void *owner)
{
    ((struct test_end *)owner)->n_writable++;
}

static inline void test_end_closed(void *owner, const char *error)
{
    struct test_end *end = owner;
    end->closed = true;
    end->stream = NULL;
    end->error = error ? strdup(error) : NULL;
}

static const struct stream_events test_end_events = {
    .opened = test_end_opened,
    .received = test_end_received,
    .writable = test_end_writable,
    .closed = test_end_closed,
};

static inline void test_end_done(struct test_end *end)
{
    stream_close(end->stream);
    text_done(&end->received);
    free(end->error);
    memset(end, 0, sizeof *end);
}

static inline void test_tick(uv_timer_t *timer)
{
    (*(int *)timer->data)++;
}

static inline void test_free_handle(uv_handle_t *handle)
{
    free(handle);
}

/* Runs the loop until the condition holds; false if it does not in PATIENCE_TICKS. */
static inline bool test_run_until(uv_loop_t *loop, bool (*condition)(void *payload), void *payload)
{
    int n_ticks = 0;
    uv_timer_t *timer = malloc(sizeof *timer);
    uv_timer_init(loop, timer);
    timer->data = &n_ticks;
    uv_timer_start(timer, test_tick, TICK_MS, TICK_MS);
    while (!condition(payload) && n_ticks < PATIENCE_TICKS)
        uv_run(loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)timer, test_free_handle);
    return n_ticks < PATIENCE_TICKS;
}

static inline bool test_is_true(void *payload)
{
    return *(bool *)payload;
}

static inline bool test_wait(uv_loop_t *loop, bool *condition)
{
    return test_run_until(loop, test_is_true, condition);
}

/* Everything that was begun comes to its end. */
static inline void test_loop_done(uv_loop_t *loop)
{
    uv_run(loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(loop), 0);
}

#endif
