/* SPDX-License-Identifier: Apache-2.0 */
/* berth serve: the data node. */
#include "base/error.h"
#include "cli/command.h"
#include "cli/exit_status.h"
#include "cli/output.h"
#include "cli/serve_options.h"
#include "node/node.h"

static const struct example examples[] = {
    {"berth serve --mount ./logs::/logs",
     "callers with the token that it prints may send filters over ./logs"},
    {"berth serve --config berth.toml",
     "listeners, mounts, capabilities, callers and their limits from a file"},
    {"berth serve --config berth.toml --check", "what that file says, with every default"},
    {"berth serve --mount /var/log --memory-mb 32 --concurrency 4", "limits for every run and every caller"},
    {NULL, NULL},
};

static int take(void *payload, const struct option *option, const char *value)
{
    return serve_options_take(payload, &cmd_serve, option, value);
}

static berth_status reload(void *payload, struct settings **ret, berth_error **reterr)
{
    return serve_options_build(payload, ret, reterr);
}

static int check(const struct serve_options *options, const struct settings *settings)
{
    cleanup_error berth_error *error = NULL;
    cleanup_free char *written = NULL;
    berth_status status =
        settings_write(settings, options->json ? BERTH_FORMAT_JSON : BERTH_FORMAT_TOML, &written, &error);
    if (status != BERTH_OK)
        return fail(error, exit_status_of_error(status));
    struct text text = {0};
    text_append(&text, written);
    if (text.length && text.data[text.length - 1] != '\n')
        text_append(&text, "\n");
    return output_print(&text);
}

static int serve(struct serve_options *options)
{
    cleanup_error berth_error *error = NULL;
    cleanup_settings struct settings *settings = NULL;
    berth_status status = serve_options_build(options, &settings, &error);
    if (status != BERTH_OK)
        return fail(error, status == BERTH_NOT_FOUND ? STATUS_USAGE : exit_status_of_error(status));
    if (options->check)
        return check(options, settings);
    const struct node_arguments arguments = {
        .settings = take_ptr(settings),
        .reload = reload,
        .payload = options,
        .json = options->json,
        .quiet = options->quiet,
    };
    return node_serve(&arguments);
}

static int main_serve(const struct command *self, int argc, char **argv)
{
    struct serve_options options = {0};
    struct operands operands;
    int status = options_read(self, argc, argv, take, &options, &operands);
    if (status == OPTIONS_GO_ON && operands.count > 0) {
        cleanup_free char *shown = quoted(operands.values[0]);
        status = usage_error(
            self, "'berth serve' takes options only, not %s; a directory is shown with --mount", shown);
    }
    if (status == OPTIONS_GO_ON)
        status = serve(&options);
    serve_options_done(&options);
    return status;
}

const struct command cmd_serve = {
    .name = "serve",
    .summary = "be a data node that others send filters to",
    .synopsis = "[options]",
    .description = "Runs the WebAssembly programs that callers send with 'berth send', each in a sandbox, "
                   "under limits, over the "
                   "directories named here. Callers see what a program writes, and get a receipt; the "
                   "directories stay here.\n\n"
                   "The first start makes an identity in the state directory. Without principals in the "
                   "configuration there is "
                   "one caller, the owner, with a token that is shown once and good until the node stops.\n\n"
                   "SIGHUP reads the configuration again: callers, limits and certificates. SIGTERM and "
                   "Ctrl-C let runs go on "
                   "for --drain-seconds, then end; a second Ctrl-C ends at once.\n\n"
                   "Messages go to stderr: text on a terminal, JSON otherwise.",
    .options = serve_option_groups,
    .examples = examples,
    .operands = ARGUMENT_TEXT,
    .main = main_serve,
};
