/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Configurations from hostile text: nothing crashes, a refusal is one printable sentence, and what was read
 * can be written in both formats, each of which gives the same settings again.
 *
 * The input is a berth.toml or its JSON form. Each of its lines is also tried as "key=value" of a flag, and
 * whole as an address, a mount and a capability.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "node/settings/settings.h"

static void must(bool condition)
{
    if (!condition)
        abort();
}

static void check(berth_status status, const berth_error *error)
{
    const char *sentence = berth_error_message(error);
    must((status == BERTH_OK) == (error == NULL));
    if (status == BERTH_OK)
        return;
    must(*sentence != '\0' && strlen(sentence) < 4096);
    must(text_is_utf8(sentence, strlen(sentence)));
    for (const char *c = sentence; *c; c++)
        must((unsigned char)*c >= 0x20 && *c != 0x7f);
}

static struct settings *read_settings(const char *text, size_t length)
{
    struct settings *settings = NULL;
    cleanup_error berth_error *error = NULL;
    must(settings_new(&settings) == 0);
    berth_status status = settings_read(settings, text, length, "/input", &error);
    must(status == BERTH_OK || status == BERTH_INVALID);
    check(status, error);
    if (status == BERTH_OK)
        return settings;
    settings_free(settings);
    return NULL;
}

/* NULL: it became longer than a file may be. */
static char *write_settings(const struct settings *settings, berth_format format)
{
    char *text = NULL;
    berth_status status = settings_write(settings, format, &text, NULL);
    must(status == BERTH_OK || status == BERTH_INVALID);
    must(!text || text_is_utf8(text, strlen(text)));
    return text;
}

static void check_round_trips(const struct settings *settings)
{
    cleanup_free char *json = write_settings(settings, BERTH_FORMAT_JSON);
    for (int format = BERTH_FORMAT_JSON; format <= BERTH_FORMAT_TOML && json; format++) {
        cleanup_free char *written = write_settings(settings, (berth_format)format);
        if (!written)
            continue;
        cleanup_settings struct settings *again = read_settings(written, strlen(written));
        must(again != NULL);
        cleanup_free char *json_again = write_settings(again, BERTH_FORMAT_JSON);
        must(json_again && strcmp(json, json_again) == 0);
    }
}

static void try_flags(char *lines)
{
    cleanup_settings struct settings *settings = NULL;
    char host[46];
    uint16_t port;
    must(settings_new(&settings) == 0);
    for (char *line = lines, *next; line; line = next) {
        cleanup_error berth_error *set_error = NULL, *add_error = NULL;
        cleanup_settings struct settings *others = NULL;
        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        must(settings_new(&others) == 0);
        if (settings_address_read(line, 1, host, &port) == 0)
            must(settings_add_listener(others, line, NULL) == BERTH_OK);
        berth_status status = settings_add_mount(others, line, &add_error);
        check(status, add_error);
        berth_error_free(take_ptr(add_error));
        status = settings_add_capability(others, line, &add_error);
        check(status, add_error);
        char *value = strchr(line, '=');
        if (!value)
            continue;
        *value++ = '\0';
        status = settings_set(settings, line, value, "--flag", &set_error);
        check(status, set_error);
    }
    check_round_trips(settings);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cleanup_free char *lines = strndup((const char *)data, size);
    cleanup_settings struct settings *settings = read_settings((const char *)data, size);
    cleanup_error berth_error *error = NULL;
    if (settings) {
        check_round_trips(settings);
        berth_status status = settings_complete(settings, &error);
        check(status, error);
    }
    try_flags(lines);
    return 0;
}
