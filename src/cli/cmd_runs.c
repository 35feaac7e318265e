/* SPDX-License-Identifier: Apache-2.0 */
/* berth runs: what the caller's programs do on a node. */
#include <string.h>
#include <time.h>

#include "cli/command.h"
#include "cli/exit_status.h"
#include "cli/node_options.h"
#include "cli/output.h"
#include "cli/run_report.h"

enum { OPTION_JSON = 1, OPTION_RUNNING, OPTION_LIMIT, OPTION_RECEIPT };
enum { LIMIT_MAX = 1000 };

/* clang-format off */
static const struct option runs_rows[] = {
    {.id = OPTION_RUNNING, .name = "running", .help = "list: only those that have not ended"},
    {.id = OPTION_LIMIT, .name = "limit", .argument = "NUMBER", .help = "list: at most that many, 100 by default"},
    {.id = OPTION_RECEIPT, .name = "receipt", .argument = "FILE", .argument_kind = ARGUMENT_FILE,
     .help = "show: keep the node's receipt there, for 'berth verify'"},
    {.id = OPTION_JSON, .name = "json", .help = "one JSON object"},
    {0},
};
/* clang-format on */

static const struct option_group runs_group = {"Output", runs_rows};
static const struct option_group *const options[] = {&node_option_group, &runs_group, NULL};

static const struct word actions[] = {
    {"list", "the caller's own runs, newest first"},
    {"show", "show RUN: all that the node knows of one"},
    {"stop", "stop RUN: end one"},
    {NULL, NULL},
};

static const struct example examples[] = {
    {"berth runs list --to node.example --tls --running", "what is going on"},
    {"berth runs stop --to node.example --tls 0123456789abcdef0123456789abcdef", "ends that run"},
    {NULL, NULL},
};

struct runs {
    struct node_options node;
    bool json, running;
    uint32_t limit;
    const char *receipt_file;
    struct text text;
    json_t *list; /* borrowed */
    int64_t now_s;
    int status; /* of keeping a receipt */
};

static int take_limit(struct runs *runs, const char *value)
{
    char *end;
    long number = strtol(value, &end, 10);
    if (*value < '0' || *value > '9' || *end || number < 1 || number > LIMIT_MAX) {
        cleanup_free char *shown = quoted(value);
        return usage_error(&cmd_runs, "--limit cannot be %s; it is a number from 1 to %d", shown ? shown : "",
                           LIMIT_MAX);
    }
    runs->limit = (uint32_t)number;
    return STATUS_OK;
}

static int take(void *payload, const struct option *option, const char *value)
{
    struct runs *runs = payload;
    switch (option->id) {
    case OPTION_JSON:
        runs->json = true;
        return STATUS_OK;
    case OPTION_RUNNING:
        runs->running = true;
        return STATUS_OK;
    case OPTION_LIMIT:
        return take_limit(runs, value);
    case OPTION_RECEIPT:
        runs->receipt_file = value;
        return STATUS_OK;
    default:
        return node_options_take(&runs->node, option, value);
    }
}

/* ---- What is shown ------------------------------------------------------------------------------------- */

static bool list_one(void *payload, const struct berth_run_info *run)
{
    struct runs *runs = payload;
    if (!runs->json)
        append_run_row(&runs->text, run, runs->now_s);
    else if (json_array_append_new(runs->list, run_as_json(run)) < 0)
        runs->text.failed = true;
    return !runs->text.failed;
}

static bool show_one(void *payload, const struct berth_run_info *run)
{
    struct runs *runs = payload;
    if (runs->receipt_file)
        runs->status = keep_receipt(runs->receipt_file, run->receipt);
    if (runs->json)
        append_json_line(&runs->text, run_as_json(run));
    else
        append_run(&runs->text, run, runs->now_s);
    return true;
}

/* ---- Actions ------------------------------------------------------------------------------------------- */

static berth_status act(struct runs *runs, const struct word *action, const char *run_id,
                        berth_client *client, berth_error **reterr)
{
    if (strcmp(action->name, "show") == 0)
        return berth_client_show(client, run_id, show_one, runs, reterr);
    if (strcmp(action->name, "stop") == 0)
        return berth_client_stop(client, run_id, show_one, runs, reterr);
    cleanup_json json_t *list = json_array();
    runs->list = list;
    berth_status status = berth_client_runs(client, runs->running, runs->limit, list_one, runs, reterr);
    if (status == BERTH_OK && runs->json)
        append_json_line(&runs->text, json_pack("{s:O}", "runs", list));
    return status;
}

static int run_action(struct runs *runs, const struct word *action, const char *run_id)
{
    cleanup_error berth_error *error = NULL;
    cleanup_client berth_client *client = NULL;
    berth_status status = node_connect(&runs->node, &client, &error);
    if (status == BERTH_OK) {
        node_say_first_use(&runs->node, client);
        status = act(runs, action, run_id, client, &error);
    }
    if (status != BERTH_OK)
        return fail(error, exit_status_of_call(status, client));
    int printed = runs->text.length > 0 || runs->text.failed ? output_print(&runs->text) : STATUS_OK;
    return runs->status != STATUS_OK ? runs->status : printed;
}

static int main_runs(const struct command *self, int argc, char **argv)
{
    struct runs runs = {.now_s = (int64_t)time(NULL)};
    struct operands operands;
    int status = options_read(self, argc, argv, take, &runs, &operands);
    if (status == OPTIONS_GO_ON) {
        const struct word *action = command_action(self, &operands);
        int wanted = action == &actions[0] ? 1 : 2;
        if (!action)
            status = STATUS_USAGE;
        else if (operands.count != wanted)
            status = usage_error(self,
                                 wanted == 1 ? "'berth runs %s' takes no operands"
                                             : "'berth runs %s' needs one run: its id",
                                 action->name);
        else
            status = node_options_complete(&runs.node, self);
        if (status == STATUS_OK)
            status = run_action(&runs, action, wanted == 2 ? operands.values[1] : NULL);
    }
    node_options_done(&runs.node);
    text_done(&runs.text);
    return status;
}

const struct command cmd_runs = {
    .name = "runs",
    .summary = "list, show or stop one's runs on a node",
    .synopsis = "list|show|stop [options] [RUN]",
    .description =
        "Runs belong to the caller who sent them; those of others cannot be seen. A receipt that the "
        "node shows is verified first.",
    .actions = actions,
    .options = options,
    .examples = examples,
    .main = main_runs,
};
