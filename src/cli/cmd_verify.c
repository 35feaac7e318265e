/* SPDX-License-Identifier: Apache-2.0 */
/* berth verify: whether a receipt holds, without network and without a secret. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "cli/api.h"
#include "cli/command.h"
#include "cli/exit_status.h"
#include "cli/file.h"
#include "cli/module_file.h"
#include "cli/output.h"

enum {
    OPTION_OUTPUT = 1,
    OPTION_MODULE,
    OPTION_NODE,
    OPTION_PRINCIPAL,
    OPTION_RUN,
    OPTION_ARGUMENT,
    OPTION_NO_ARGUMENTS,
    OPTION_POST_QUANTUM,
    OPTION_JSON,
};

enum {
    ARGUMENTS_MAX = 1024,
    OUTPUT_FILE_MAX_BYTES = 1 << 30,
};

struct verify_settings {
    const char *output_path, *module_path;
    struct berth_receipt_expectation expectation;
    const char **arguments; /* room for ARGUMENTS_MAX and NULL */
    size_t n_arguments;
    bool json;
};

static const struct option expectation_options[] = {
    {.id = OPTION_OUTPUT,
     .name = "output",
     .argument = "FILE",
     .argument_kind = ARGUMENT_FILE,
     .help = "what the program wrote to stdout"},
    {.id = OPTION_MODULE,
     .name = "module",
     .argument = "FILE",
     .argument_kind = ARGUMENT_FILE,
     .help = "the module that was sent"},
    {.id = OPTION_ARGUMENT,
     .name = "argument",
     .argument = "TEXT",
     .help = "an argument that was given to it; once for each, in their order"},
    {.id = OPTION_NO_ARGUMENTS, .name = "no-arguments", .help = "it was given none"},
    {.id = OPTION_NODE,
     .name = "node",
     .argument = "PEER_ID",
     .help = "the node that must have signed, 12D3KooW…"},
    {.id = OPTION_PRINCIPAL,
     .name = "principal",
     .argument = "NAME",
     .help = "the caller, as the node calls it"},
    {.id = OPTION_RUN, .name = "run", .argument = "RUN_ID", .help = "the run"},
    {.id = OPTION_POST_QUANTUM,
     .name = "post-quantum",
     .help = "refuse a receipt without a signature of ML-DSA-65"},
    {0},
};
static const struct option_group expectation_option_group = {"What is compared", expectation_options};

static const struct option output_options[] = {
    {.id = OPTION_JSON, .name = "json", .help = "one JSON object"},
    {0},
};
static const struct option_group output_option_group = {"Output", output_options};

static const struct option_group *const options[] = {&expectation_option_group, &output_option_group, NULL};

static const struct example examples[] = {
    {"berth verify receipt.json", "form and signatures"},
    {"berth verify receipt.json --node 12D3KooW… --output lines.txt",
     "that this node says that these lines are what the program wrote"},
    {"berth verify receipt.json --module filter.wasm --argument CRITICAL",
     "that it ran this filter, and asked for CRITICAL"},
    {NULL, NULL},
};

static int take_argument(struct verify_settings *settings, const char *value)
{
    if (settings->n_arguments == ARGUMENTS_MAX)
        return usage_error(&cmd_verify, "--argument can be given %d times at most", ARGUMENTS_MAX);
    settings->arguments[settings->n_arguments++] = value;
    settings->expectation.arguments = settings->arguments;
    return STATUS_OK;
}

static int take(void *payload, const struct option *option, const char *value)
{
    struct verify_settings *settings = payload;
    switch (option->id) {
    case OPTION_OUTPUT:
        settings->output_path = value;
        break;
    case OPTION_MODULE:
        settings->module_path = value;
        break;
    case OPTION_NODE:
        settings->expectation.node = value;
        break;
    case OPTION_PRINCIPAL:
        settings->expectation.principal = value;
        break;
    case OPTION_RUN:
        settings->expectation.run_id = value;
        break;
    case OPTION_ARGUMENT:
        return take_argument(settings, value);
    case OPTION_NO_ARGUMENTS:
        settings->expectation.arguments = settings->arguments;
        break;
    case OPTION_POST_QUANTUM:
        settings->expectation.require_post_quantum = true;
        break;
    default:
        settings->json = true;
        break;
    }
    return STATUS_OK;
}

static int read_file(const char *what, const char *path, size_t max_bytes, char **ret, size_t *ret_size_bytes)
{
    int r = file_read(path, max_bytes, ret, ret_size_bytes);
    if (r == 0)
        return STATUS_OK;
    if (r == -ENOMEM)
        return fail(NULL, STATUS_FAILURE);
    cleanup_free char *shown = quoted(path);
    if (r == -EFBIG)
        message("%s %s is larger than %zu MiB", what, shown ? shown : "", max_bytes >> 20);
    else
        message("%s %s cannot be read: %s", what, shown ? shown : "", strerror(-r));
    return STATUS_USAGE;
}

/* ---- What is said ------------------------------------------------------------------------------------- */

struct report {
    struct text lines;
    json_t *checks;
    bool colour, failed;
};

static void add_check(void *payload, const char *field, bool ok, const char *expected, const char *found)
{
    struct report *report = payload;
    json_t *row =
        json_pack("{s:s, s:b, s:s, s:s}", "field", field, "ok", ok, "expected", expected, "found", found);
    report->failed |= json_array_append_new(report->checks, row) < 0;
    append_coloured(&report->lines, report->colour, ok ? COLOUR_DIM : COLOUR_RED,
                    ok ? "holds   " : "differs ");
    text_append_format(&report->lines, " %s", field);
    if (!ok)
        text_append_format(&report->lines, ": expected %s, found %s", *expected ? expected : "nothing",
                           *found ? found : "nothing");
    text_append(&report->lines, "\n");
}

static void append_member(struct text *text, const json_t *object, const char *key, size_t max_bytes)
{
    const json_t *value = json_object_get(object, key);
    if (json_is_string(value))
        text_append_escaped(text, json_string_value(value), json_string_length(value), max_bytes);
    else
        text_append_format(text, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
}

/* "12D3KooW… says: 'filter.wasm' ran for 'alice' and exited with code 0" */
static void append_statement(struct text *text, const json_t *receipt)
{
    enum { NAME_MAX_BYTES = 80 };
    const json_t *outcome = json_object_get(receipt, "outcome");
    const char *kind = json_text(json_object_get(outcome, "kind"));
    append_member(text, receipt, "node", NAME_MAX_BYTES);
    text_append(text, " says: '");
    append_member(text, json_object_get(receipt, "module"), "name", NAME_MAX_BYTES);
    text_append(text, "' ran for '");
    append_member(text, receipt, "principal", NAME_MAX_BYTES);
    if (kind && strcmp(kind, "exited") == 0) {
        text_append(text, "' and exited with code ");
        append_member(text, outcome, "exit_code", NAME_MAX_BYTES);
    } else {
        text_append(text, "' and ended: ");
        append_member(text, outcome, "kind", NAME_MAX_BYTES);
    }
    text_append(text, "\n");
}

/* What this verdict does not cover. */
static void append_open_questions(struct text *text, const struct verify_settings *settings, bool colour)
{
    const struct berth_receipt_expectation *expectation = &settings->expectation;
    const struct {
        bool compared;
        const char *option;
    } rows[] = {
        {expectation->node, "--node"},
        {settings->module_path, "--module"},
        {expectation->arguments, "--argument"},
        {settings->output_path, "--output"},
    };
    cleanup_text struct text line = {0};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (!rows[i].compared)
            text_append_format(&line, "%s%s",
                               line.length ? ", " : "not compared, because not given: ", rows[i].option);
    if (!line.length)
        return;
    append_coloured(text, colour, COLOUR_DIM, line.data);
    text_append(text, "\n");
}

static int print_as_json(struct report *report, const json_t *root, bool ok, const char *sentence)
{
    struct text text = {0};
    cleanup_json json_t *object = json_pack("{s:b, s:s, s:O, s:O?}", "ok", ok, "message", sentence, "checks",
                                            report->checks, "receipt", json_object_get(root, "receipt"));
    cleanup_free char *line = object ? json_write(object, 0) : NULL;
    if (!line)
        return fail(NULL, STATUS_FAILURE);
    text_append_format(&text, "%s\n", line);
    return output_print(&text);
}

static int print_as_text(struct report *report, const struct verify_settings *settings, const json_t *root,
                         bool ok)
{
    if (ok) {
        append_statement(&report->lines, json_object_get(root, "receipt"));
        append_open_questions(&report->lines, settings, report->colour);
    }
    return output_print(&report->lines);
}

/* ---- The verdict -------------------------------------------------------------------------------------- */

static int judge(const char *json, size_t size_bytes, const struct verify_settings *settings)
{
    cleanup_error berth_error *error = NULL;
    cleanup_free char *problem = NULL;
    cleanup_json json_t *root = NULL, *checks = json_array();
    struct report report = {.checks = checks, .colour = output_has_colour(STDOUT_FILENO)};
    berth_status status =
        berth_receipt_verify(json, size_bytes, &settings->expectation, add_check, &report, &error);
    bool ok = status == BERTH_OK;
    bool judged = ok || status == BERTH_REFUSED || status == BERTH_INVALID;
    /* What is no receipt has nothing to show. */
    if (judged && status != BERTH_INVALID && json_read(json, size_bytes, &root, &problem) < 0)
        judged = false;
    int printed = STATUS_FAILURE;
    if (judged && !report.failed)
        printed = settings->json ? print_as_json(&report, root, ok, berth_error_message(error))
                                 : print_as_text(&report, settings, root, ok);
    text_done(&report.lines);
    if (!judged || report.failed)
        return fail(error, STATUS_FAILURE);
    if (printed != STATUS_OK || ok)
        return printed;
    return fail(error, STATUS_REFUSED);
}

static int verify(const char *path, struct verify_settings *settings)
{
    struct berth_receipt_expectation *expectation = &settings->expectation;
    cleanup_free char *receipt = NULL, *output = NULL;
    cleanup(module_file_done) struct module_file module = {0};
    size_t receipt_bytes;
    int status = read_file("receipt", path, JSON_TEXT_MAX_BYTES, &receipt, &receipt_bytes);
    if (status == STATUS_OK && settings->module_path) {
        status = module_file_read(settings->module_path, &module);
        expectation->module = module.bytes;
        expectation->module_bytes = module.size_bytes;
    }
    if (status == STATUS_OK && settings->output_path) {
        status = read_file("output", settings->output_path, OUTPUT_FILE_MAX_BYTES, &output,
                           &expectation->output_bytes);
        expectation->output = output;
    }
    return status == STATUS_OK ? judge(receipt, receipt_bytes, settings) : status;
}

static int main_verify(const struct command *self, int argc, char **argv)
{
    cleanup_free const char **arguments = calloc(ARGUMENTS_MAX + 1, sizeof *arguments);
    struct verify_settings settings = {
        .expectation = {.size = sizeof settings.expectation},
        .arguments = arguments,
    };
    struct operands operands;
    if (!arguments)
        return fail(NULL, STATUS_FAILURE);
    int status = options_read(self, argc, argv, take, &settings, &operands);
    if (status != OPTIONS_GO_ON)
        return status;
    if (operands.count != 1)
        return usage_error(self, "'berth verify' needs one receipt, as in 'berth verify receipt.json'");
    return verify(operands.values[0], &settings);
}

const struct command cmd_verify = {
    .name = "verify",
    .summary = "check the receipt of a visit, offline",
    .synopsis = "[options] RECEIPT",
    .description =
        "Checks the form of a receipt, its signatures, and everything that is given to compare it with. Each "
        "line of the result is one thing that was checked. Needs no network, no node and no secret.\n\n"
        "A receipt is as good as the key that signed it: without --node any key will do, and the receipt "
        "says "
        "no more than that somebody wrote it. What a receipt proves and what it does not is in "
        "docs/receipts.md.\n\n"
        "The exit status is 126 if something differs or if the file is no receipt; a sentence on stderr "
        "names "
        "the first field that does not match.",
    .options = options,
    .examples = examples,
    .operands = ARGUMENT_FILE,
    .main = main_verify,
};
