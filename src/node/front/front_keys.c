/* SPDX-License-Identifier: Apache-2.0 */
/* See front_keys.h. */
#include "node/front/front_keys.h"

#include <string.h>

#include "base/error.h"
#include "net/http1.h"
#include "wire/hash.h"

enum { RETRY_MS = 10000 };

struct front_keys {
    struct front *front;
    uv_timer_t timer;
    struct http1_fetch *fetch;  /* NULL: none is under way */
    uint8_t sha256[HASH_BYTES]; /* of the set that was taken last; zero: none */
};

static void on_timer(uv_timer_t *timer)
{
    front_keys_fetch(timer->data);
}

static void fail(struct front_keys *keys, const char *why)
{
    log_event(keys->front->log, LOG_LEVEL_WARNING, "jwt_keys_not_fetched", log_text("reason", why),
              log_text("keys", "those of before stay"));
    uv_timer_start(&keys->timer, on_timer, RETRY_MS, 0);
}

/* The audit log has each set once, not each fetch. */
static void note(struct front_keys *keys, const struct http1_answer *answer)
{
    struct front *front = keys->front;
    uint8_t sha256[HASH_BYTES];
    char hex[HASH_CHARACTERS];
    hash_of(answer->body, answer->body_bytes, sha256);
    if (memcmp(sha256, keys->sha256, HASH_BYTES) == 0)
        return;
    memcpy(keys->sha256, sha256, HASH_BYTES);
    hex_write(sha256, HASH_BYTES, hex);
    ledger_note(front->ledger, "jwt_keys_loaded", NULL, NULL,
                json_pack("{s:s, s:s}", "url", access_jwks_url(front->access), "sha256", hex));
    log_event(front->log, LOG_LEVEL_INFO, "jwt_keys_loaded", log_text("sha256", hex));
}

static void on_answer(void *owner, const struct http1_answer *answer)
{
    struct front_keys *keys = owner;
    struct front *front = keys->front;
    cleanup_error berth_error *error = NULL;
    keys->fetch = NULL;
    if (answer->error) {
        fail(keys, answer->error);
        return;
    }
    if (access_set_jwks(front->access, answer->body, answer->body_bytes, &error) != BERTH_OK) {
        fail(keys, berth_error_message(error));
        return;
    }
    note(keys, answer);
    uv_timer_start(&keys->timer, on_timer, front->settings->jwt_refresh_seconds * 1000, 0);
}

void front_keys_fetch(struct front_keys *keys)
{
    const struct http1_get_options options = {
        .url = access_jwks_url(keys->front->access),
        .ca = keys->front->settings->jwt_keys_ca,
    };
    http1_get_cancel(keys->fetch);
    keys->fetch = NULL;
    uv_timer_stop(&keys->timer);
    if (!options.url) {
        memset(keys->sha256, 0, sizeof(keys->sha256));
        return;
    }
    int r = http1_get(&keys->front->loop, &options, on_answer, keys, &keys->fetch);
    if (r < 0)
        fail(keys, r == -EINVAL ? "jwt.keys is no URL, or jwt.keys_ca has no authorities" : strerror(-r));
}

int front_keys_new(struct front *front, struct front_keys **ret)
{
    struct front_keys *keys = calloc(1, sizeof(*keys));
    if (!keys)
        return -ENOMEM;
    keys->front = front;
    uv_timer_init(&front->loop, &keys->timer);
    keys->timer.data = keys;
    *ret = keys;
    return 0;
}
