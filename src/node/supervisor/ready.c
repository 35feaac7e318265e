/* SPDX-License-Identifier: Apache-2.0 */
/* See ready.h. */
#include "node/supervisor/ready.h"

#include <string.h>

#include "base/json.h"
#include "base/text.h"

static const char *member(const json_t *object, const char *key)
{
    return json_text(json_object_get(object, key));
}

static json_t *string_or_null(const char *string)
{
    return string ? json_string(string) : json_null();
}

static void append_json(struct text *text, const json_t *front, const char *token)
{
    cleanup_json json_t *line = json_object();
    json_object_set_new(line, "address", string_or_null(member(front, "address")));
    json_object_set_new(line, "peer_id", string_or_null(member(front, "peer_id")));
    json_object_set_new(line, "token", string_or_null(token));
    json_object_set_new(line, "pid", json_integer(getpid()));
    json_object_set_new(line, "health", string_or_null(member(front, "health")));
    cleanup_free char *written = json_write(line, 0);
    text->failed |= !written || json_object_size(line) != 5;
    if (written)
        text_append_format(text, "%s\n", written);
}

/* A node that listens on every address can be reached by many names; which one, its owner knows. */
static void append_reachable(struct text *text, const char *address)
{
    static const char *const any[] = {"0.0.0.0:", "[::]:"};
    for (size_t i = 0; i < sizeof(any) / sizeof(any[0]); i++) {
        if (strncmp(address, any[i], strlen(any[i])) == 0) {
            text_append_format(text, "HOST:%s", address + strlen(any[i]));
            return;
        }
    }
    text_append(text, address);
}

static void append_try(struct text *text, const char *address, const char *token,
                       const struct settings *settings)
{
    text_append(text, "berth send --to ");
    append_reachable(text, address);
    if (settings->n_listeners > 0 && settings->listeners[0].certificate)
        text_append(text, " --tls-ca CA.pem");
    text_append_format(text, " --token %s FILTER.wasm", token ? token : "TOKEN");
}

static void append_mounts(struct text *text, const struct settings *settings)
{
    for (size_t i = 0; i < settings->n_mounts; i++) {
        const struct settings_mount *mount = &settings->mounts[i];
        text_append(text, i == 0 ? "  mounts   " : "           ");
        text_append_escaped(text, mount->guest, strlen(mount->guest), 256);
        text_append(text, " = ");
        text_append_escaped(text, mount->host, strlen(mount->host), 256);
        text_append(text, mount->writable ? " (may be written)\n" : "\n");
    }
}

static void append_text(struct text *text, const json_t *front, const char *token,
                        const struct settings *settings)
{
    const char *address = member(front, "address"), *health = member(front, "health");
    text_append_format(text, "berth node is ready\n\n  id       %s\n  address  %s\n",
                       member(front, "peer_id"), address);
    if (health)
        text_append_format(text, "  health   http://%s/healthz\n", health);
    append_mounts(text, settings);
    if (token)
        text_append_format(text, "  token    %s\n           shown this one time, good until the node stops\n",
                           token);
    text_append(text, "\n  try      ");
    append_try(text, address, token, settings);
    text_append(text, "\n\n");
}

static int write_all(const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t written = write(STDOUT_FILENO, bytes, length);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return -errno;
        bytes += written;
        length -= (size_t)written;
    }
    return 0;
}

int ready_print(const char *front, const char *token, const struct settings *settings, bool json)
{
    cleanup_json json_t *said = NULL;
    cleanup_free char *problem = NULL;
    cleanup_text struct text text = {0};
    int r = json_read(front, strlen(front), &said, &problem);
    if (r < 0)
        return r;
    if (!member(said, "address") || !member(said, "peer_id"))
        return -EINVAL;
    if (json)
        append_json(&text, said, token);
    else
        append_text(&text, said, token, settings);
    r = text.failed ? -ENOMEM : write_all(text.data, text.length);
    if (text.data)
        explicit_bzero(text.data, text.length);
    return r;
}
