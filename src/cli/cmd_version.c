/* SPDX-License-Identifier: Apache-2.0 */
/* berth version. */
#include <berth/version.h>

#include "base/json.h"
#include "cli/command.h"
#include "cli/exit_status.h"
#include "cli/output.h"

static const struct option version_options[] = {
    {.id = 1, .name = "json", .help = "one JSON object"},
    {0},
};

static const struct option_group version_option_group = {"Output", version_options};
static const struct option_group *const options[] = {&version_option_group, NULL};

static int take(void *payload, const struct option *option, const char *value)
{
    (void)option;
    (void)value;
    *(bool *)payload = true;
    return STATUS_OK;
}

static int main_version(const struct command *self, int argc, char **argv)
{
    struct operands operands;
    struct text text = {0};
    bool json = false;
    int status = options_read(self, argc, argv, take, &json, &operands);
    if (status != OPTIONS_GO_ON)
        return status;
    if (operands.count > 0)
        return usage_error(self, "'berth version' takes no operands");
    if (json) {
        cleanup_json json_t *object =
            json_pack("{s:s, s:s}", "version", berth_version(), "engine", berth_engine_version());
        cleanup_free char *line = object ? json_write(object, 0) : NULL;
        text.failed = !line;
        text_append_format(&text, "%s\n", line ? line : "");
    } else {
        text_append_format(&text, "berth %s (Wasmtime %s)\n", berth_version(), berth_engine_version());
    }
    return output_print(&text);
}

const struct command cmd_version = {
    .name = "version",
    .summary = "show the version of berth and of its engine",
    .synopsis = "[--json]",
    .description = "Shows the version of berth and of the engine inside.",
    .options = options,
    .main = main_version,
};
