/* SPDX-License-Identifier: Apache-2.0 */
/* Queues of bytes: order, sharing, and that nothing is lost or kept. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "net/byte_queue.h"

/* All bytes in one piece; freed by the caller. */
static uint8_t *copy(const struct byte_queue *queue)
{
    struct iovec pieces[256];
    uint8_t *bytes = malloc(queue->size_bytes + 1);
    size_t at = 0;
    int n = byte_queue_peek(queue, pieces, 256);
    for (int i = 0; i < n; i++) {
        memcpy(bytes + at, pieces[i].iov_base, pieces[i].iov_len);
        at += pieces[i].iov_len;
    }
    assert_int_equal(at, queue->size_bytes);
    bytes[at] = '\0';
    return bytes;
}

static void assert_holds(const struct byte_queue *queue, const char *expected)
{
    uint8_t *bytes = copy(queue);
    assert_string_equal((char *)bytes, expected);
    free(bytes);
}

static void small_appends_share_a_piece(void **state)
{
    struct byte_queue queue = {0};
    struct iovec pieces[4];
    (void)state;
    for (const char *each = "frame header"; *each; each++)
        assert_int_equal(byte_queue_append(&queue, each, 1), 0);
    assert_int_equal(byte_queue_peek(&queue, pieces, 4), 1);
    assert_holds(&queue, "frame header");
    byte_queue_drop(&queue, 6);
    assert_holds(&queue, "header");
    byte_queue_done(&queue);
}

static void reserved_appends_lie_in_one_piece(void **state)
{
    struct byte_queue queue = {0};
    struct iovec pieces[4];
    uint8_t bytes[6000] = {0};
    (void)state;
    assert_int_equal(byte_queue_append(&queue, bytes, 4000), 0);
    assert_int_equal(byte_queue_reserve(&queue, 6005), 0);
    assert_int_equal(byte_queue_append(&queue, "head:", 5), 0);
    assert_int_equal(byte_queue_append(&queue, bytes, 6000), 0);
    assert_int_equal(byte_queue_peek(&queue, pieces, 4), 2);
    assert_int_equal(pieces[1].iov_len, 6005);
    byte_queue_done(&queue);
}

static void moved_bytes_are_the_same_memory(void **state)
{
    struct byte_queue from = {0}, to = {0};
    struct iovec before, after;
    uint8_t bytes[2000];
    (void)state;
    memset(bytes, 'x', sizeof bytes);
    assert_int_equal(byte_queue_append(&from, bytes, sizeof bytes), 0);
    byte_queue_peek(&from, &before, 1);
    assert_int_equal(byte_queue_move(&from, 1500, &to), 0);
    byte_queue_peek(&to, &after, 1);
    assert_ptr_equal(before.iov_base, after.iov_base);
    assert_int_equal(to.size_bytes, 1500);
    assert_int_equal(from.size_bytes, 500);
    /* Whoever lets go first, the other's bytes stay. */
    byte_queue_done(&from);
    assert_memory_equal(after.iov_base, bytes, 1500);
    byte_queue_done(&to);
}

static void move_and_drop_stop_at_the_end(void **state)
{
    struct byte_queue from = {0}, to = {0};
    (void)state;
    assert_int_equal(byte_queue_append(&from, "abc", 3), 0);
    assert_int_equal(byte_queue_move(&from, SIZE_MAX, &to), 0);
    assert_int_equal(from.size_bytes, 0);
    assert_holds(&to, "abc");
    byte_queue_drop(&to, SIZE_MAX);
    assert_int_equal(to.size_bytes, 0);
    assert_null(to.segments);
    assert_null(to.open);
}

static void append_after_move_does_not_touch_what_was_moved(void **state)
{
    struct byte_queue from = {0}, to = {0};
    uint8_t bytes[1000];
    (void)state;
    memset(bytes, 'm', sizeof bytes);
    assert_int_equal(byte_queue_append(&from, bytes, sizeof bytes), 0);
    assert_int_equal(byte_queue_move(&from, 600, &to), 0);
    assert_int_equal(byte_queue_append(&from, "later", 5), 0);
    assert_int_equal(byte_queue_append(&to, "other", 5), 0);
    uint8_t *moved = copy(&to), *rest = copy(&from);
    assert_memory_equal(moved, bytes, 600);
    assert_string_equal((char *)moved + 600, "other");
    assert_memory_equal(rest, bytes, 400);
    assert_string_equal((char *)rest + 400, "later");
    free(moved);
    free(rest);
    byte_queue_done(&from);
    byte_queue_done(&to);
}

/* Random appends, moves and drops against a plain buffer. */
static void queue_agrees_with_a_buffer(void **state)
{
    enum { SIZE = 1 << 20 };
    struct byte_queue first = {0}, second = {0};
    uint8_t *bytes = malloc(SIZE), *out = malloc(SIZE);
    size_t in = 0, moved = 0, taken = 0;
    unsigned int seed = 7;
    (void)state;
    for (size_t i = 0; i < SIZE; i++)
        bytes[i] = (uint8_t)rand_r(&seed);
    while (taken < SIZE) {
        size_t size = (size_t)rand_r(&seed) % (rand_r(&seed) % 2 ? 40 : 9000);
        struct iovec piece;
        switch (rand_r(&seed) % 3) {
        case 0:
            size = size < SIZE - in ? size : SIZE - in;
            assert_int_equal(byte_queue_append(&first, bytes + in, size), 0);
            in += size;
            break;
        case 1:
            size = size < first.size_bytes ? size : first.size_bytes;
            assert_int_equal(byte_queue_move(&first, size, &second), 0);
            moved += size;
            break;
        default:
            if (byte_queue_peek(&second, &piece, 1) == 1) {
                size = size < piece.iov_len ? size : piece.iov_len;
                memcpy(out + taken, piece.iov_base, size);
                byte_queue_drop(&second, size);
                taken += size;
            }
        }
        assert_int_equal(first.size_bytes, in - moved);
        assert_int_equal(second.size_bytes, moved - taken);
    }
    assert_memory_equal(out, bytes, SIZE);
    byte_queue_done(&first);
    byte_queue_done(&second);
    free(bytes);
    free(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_appends_share_a_piece),
        cmocka_unit_test(reserved_appends_lie_in_one_piece),
        cmocka_unit_test(moved_bytes_are_the_same_memory),
        cmocka_unit_test(move_and_drop_stop_at_the_end),
        cmocka_unit_test(append_after_move_does_not_touch_what_was_moved),
        cmocka_unit_test(queue_agrees_with_a_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
