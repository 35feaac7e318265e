/* SPDX-License-Identifier: Apache-2.0 */
/* berth cache: the machine code that earlier visits left on disk. */
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "base/json.h"
#include "cli/api.h"
#include "cli/command.h"
#include "cli/exit_status.h"
#include "cli/output.h"
#include "cli/units.h"

enum { OPTION_JSON = 1 };
enum { SHORT_HASH_CHARACTERS = 16 };

static const struct option cache_options[] = {
    {.id = OPTION_JSON, .name = "json", .help = "one JSON object"},
    {0},
};

static const struct option_group cache_option_group = {"Output", cache_options};
static const struct option_group *const options[] = {&cache_option_group, NULL};

static const struct word actions[] = {
    {"list", "show what is kept: the module's SHA-256, size and age"},
    {"clear", "remove all of it"},
    {NULL, NULL},
};

static int take(void *payload, const struct option *option, const char *value)
{
    (void)option;
    (void)value;
    *(bool *)payload = true;
    return STATUS_OK;
}

static int print_json(json_t *object)
{
    struct text text = {0};
    cleanup_free char *line = object ? json_write(object, 0) : NULL;
    if (!line)
        return fail(NULL, STATUS_FAILURE);
    text_append_format(&text, "%s\n", line);
    return output_print(&text);
}

/* ---- list --------------------------------------------------------------------------------------- */

struct listing {
    struct text rows;
    json_t *entries;
    uint64_t count, size_bytes;
    int64_t now_s;
    bool failed;
};

static void append_row(struct listing *listing, const struct berth_cache_entry *entry)
{
    cleanup_text struct text size = {0};
    append_bytes(&size, entry->size_bytes);
    text_append_format(&listing->rows, "%.*s  %10s  ", SHORT_HASH_CHARACTERS, entry->module_sha256,
                       size.data ? size.data : "");
    append_age(&listing->rows, entry->last_used_s, listing->now_s);
    text_append(&listing->rows, entry->usable ? "\n" : "  (of another version)\n");
}

static bool visit(void *payload, const struct berth_cache_entry *entry)
{
    struct listing *listing = payload;
    json_t *object = json_pack("{s:s, s:I, s:I, s:b}", "module_sha256", entry->module_sha256, "size_bytes",
                               (json_int_t)entry->size_bytes, "last_used_s", (json_int_t)entry->last_used_s,
                               "usable", entry->usable);
    listing->failed |= json_array_append_new(listing->entries, object) < 0;
    append_row(listing, entry);
    listing->count++;
    listing->size_bytes += entry->size_bytes;
    return !listing->failed;
}

static int print_listing(struct listing *listing, const char *directory, bool json)
{
    if (json) {
        cleanup_json json_t *object = json_pack(
            "{s:o, s:O, s:I}", "directory", json_escaped(directory, strlen(directory), strlen(directory)),
            "entries", listing->entries, "size_bytes", (json_int_t)listing->size_bytes);
        return print_json(object);
    }
    cleanup_text struct text size = {0};
    append_bytes(&size, listing->size_bytes);
    text_append_format(&listing->rows, "%" PRIu64 " module%s, %s in ", listing->count,
                       listing->count == 1 ? "" : "s", size.data ? size.data : "");
    text_append_escaped(&listing->rows, directory, strlen(directory), strlen(directory));
    text_append(&listing->rows, "\n");
    return output_print(&listing->rows);
}

static int list(bool json)
{
    cleanup_error berth_error *error = NULL;
    cleanup_free char *directory = NULL;
    cleanup_json json_t *entries = json_array();
    struct listing listing = {.entries = entries, .now_s = (int64_t)time(NULL)};
    berth_status status = berth_cache_default_directory(&directory, &error);
    if (status == BERTH_OK)
        status = berth_cache_list(directory, visit, &listing, &error);
    int result = status != BERTH_OK || listing.failed ? fail(error, STATUS_FAILURE)
                                                      : print_listing(&listing, directory, json);
    text_done(&listing.rows);
    return result;
}

/* ---- clear -------------------------------------------------------------------------------------- */

static int clear(bool json)
{
    cleanup_error berth_error *error = NULL;
    struct text text = {0};
    uint64_t count = 0, size_bytes = 0;
    if (berth_cache_clear(NULL, &count, &size_bytes, &error) != BERTH_OK)
        return fail(error, STATUS_FAILURE);
    if (json) {
        cleanup_json json_t *object =
            json_pack("{s:I, s:I}", "removed", (json_int_t)count, "size_bytes", (json_int_t)size_bytes);
        return print_json(object);
    }
    text_append_format(&text, "removed %" PRIu64 " module%s, ", count, count == 1 ? "" : "s");
    append_bytes(&text, size_bytes);
    text_append(&text, "\n");
    return output_print(&text);
}

static int main_cache(const struct command *self, int argc, char **argv)
{
    struct operands operands;
    bool json = false;
    int status = options_read(self, argc, argv, take, &json, &operands);
    if (status != OPTIONS_GO_ON)
        return status;
    const struct word *action = command_action(self, &operands);
    if (!action)
        return STATUS_USAGE;
    if (operands.count > 1)
        return usage_error(self, "'berth cache %s' takes no operands", action->name);
    return action == &actions[0] ? list(json) : clear(json);
}

const struct command cmd_cache = {
    .name = "cache",
    .summary = "list or clear the compiled modules",
    .synopsis = "list|clear [--json]",
    .description = "A module is compiled once and its machine code kept, sealed for this machine, so that "
                   "the next visit "
                   "starts at once. Removing it is always safe.",
    .actions = actions,
    .options = options,
    .main = main_cache,
};
