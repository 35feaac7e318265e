/* SPDX-License-Identifier: Apache-2.0 */
/*
 * berth send: a program goes to where the data is. Its output and its errors are ours as they arrive; it
 * counts as done when the node's receipt for exactly that was verified.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <string.h>

#include "base/clock.h"
#include "cli/command.h"
#include "cli/exit_status.h"
#include "cli/interrupt.h"
#include "cli/module_file.h"
#include "cli/output.h"
#include "cli/run_report.h"
#include "cli/send_options.h"
#include "cli/upload.h"

enum {
    NAME_MAX_BYTES = 120,
    PIECE_BYTES = 4096, /* PIPE_BUF: a pipe that is ready takes it without blocking */
    PATIENCE_MS = 200,  /* until a signal that came between two system calls is seen */
};

static const struct example examples[] = {
    {"berth send --to node.example --tls --token-file token filter.wasm CRITICAL",
     "the matching lines of the node's logs, as they are found"},
    {"berth send --to 127.0.0.1:50051 --input 'limit=10' --receipt r.json top.wasm",
     "an input, and the receipt kept for 'berth verify'"},
    {"berth send --to node.example --tls --detach watchdog.wasm /logs/system.log",
     "prints the run's id; 'berth watch' follows it"},
    {NULL, NULL},
};

struct sending {
    const struct send_options *options;
    char *name; /* of the module, safe to print */
    struct upload upload;
    struct text last_words;
    bool output_failed; /* stdout or stderr takes nothing any more */
    uint64_t begun_ns;  /* CLOCK_MONOTONIC */
};

/* ---- What comes back ----------------------------------------------------------------------------------- */

/* Blocks as long as nobody reads, which parks the program on the node. False: nobody will, or a signal came.
 */
static bool write_stream(struct sending *sending, int fd, const char *bytes, size_t length)
{
    while (length > 0) {
        struct pollfd ready = {.fd = fd, .events = POLLOUT};
        if (interrupt_signal())
            return false;
        int r = poll(&ready, 1, PATIENCE_MS);
        if (r == 0 || (r < 0 && errno == EINTR))
            continue;
        ssize_t n = write(fd, bytes, length < PIECE_BYTES ? length : PIECE_BYTES);
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (n < 0) {
            if (errno != EPIPE)
                message("%s cannot be written: %s", fd == STDOUT_FILENO ? "stdout" : "stderr",
                        strerror(errno));
            sending->output_failed = true;
            return false;
        }
        bytes += n;
        length -= (size_t)n;
    }
    return true;
}

static bool on_output(void *payload, const void *bytes, size_t size_bytes)
{
    return write_stream(payload, STDOUT_FILENO, bytes, size_bytes);
}

static bool on_errors(void *payload, const void *bytes, size_t size_bytes)
{
    return write_stream(payload, STDERR_FILENO, bytes, size_bytes);
}

static bool on_event(void *payload, uint64_t sequence, int64_t time_ns, const char *event)
{
    struct sending *sending = payload;
    cleanup_text struct text line = {0};
    append_event(&line, sending->options->events == EVENTS_JSON, sequence, time_ns, event);
    return line.failed || write_stream(sending, STDERR_FILENO, line.data, line.length);
}

static void on_uploaded(void *payload, uint64_t sent_bytes, uint64_t total_bytes)
{
    struct sending *sending = payload;
    upload_show(&sending->upload, sent_bytes, total_bytes);
}

static void on_started(void *payload, const char *run_id)
{
    struct sending *sending = payload;
    struct text line = {0};
    upload_end(&sending->upload);
    if (!sending->options->detach)
        return;
    text_append_format(&line, "%s\n", run_id);
    output_print(&line);
}

/* ---- How it ended -------------------------------------------------------------------------------------- */

static void say_how_it_ended(const struct sending *sending, const struct berth_outcome *outcome)
{
    switch (outcome->kind) {
    case BERTH_OUTCOME_RUNNING:
        break;
    case BERTH_OUTCOME_EXITED:
        if (outcome->exit_code > 255)
            remark("%s ended with exit code %" PRIu32 ", of which the exit status can only show %" PRIu32,
                   sending->name, outcome->exit_code, outcome->exit_code & 0xff);
        break;
    case BERTH_OUTCOME_TRAPPED:
        message("%s trapped: %s", sending->name, outcome->cause);
        break;
    case BERTH_OUTCOME_REFUSED:
        message("%s was refused by the node: %s%s%s", sending->name, outcome->cause,
                *outcome->remedy ? "; the node's owner could allow it: " : "", outcome->remedy);
        break;
    case BERTH_OUTCOME_LIMIT:
    case BERTH_OUTCOME_CANCELLED:
    case BERTH_OUTCOME_HOST_ERROR:
        message("%s was stopped by the node: %s%s%s", sending->name, outcome->cause,
                *outcome->remedy ? "; the node's owner could allow it: " : "", outcome->remedy);
        break;
    }
}

/* The node ends a run that is past the caller's deadline as one that the caller has cancelled. */
static bool is_late(const struct sending *sending, const struct berth_outcome *outcome)
{
    uint64_t deadline_ms = sending->options->deadline_ms;
    return outcome->kind == BERTH_OUTCOME_CANCELLED && deadline_ms && !interrupt_signal() &&
           clock_monotonic_ns() - sending->begun_ns >= deadline_ms * NS_PER_MS;
}

static int conclude(const struct sending *sending, const struct berth_visit_end *end)
{
    const struct send_options *options = sending->options;
    uint64_t n_shown = 0;
    for (; end->denials[n_shown] && !options->quiet; n_shown++)
        remark("%s", end->denials[n_shown]);
    if (end->usage.denials > n_shown && !options->quiet)
        remark("%" PRIu64 " more refusals are not shown", end->usage.denials - n_shown);
    if (!options->quiet)
        say_how_it_ended(sending, &end->outcome);
    const struct usage_report report = {
        .module_name = sending->name, .outcome = &end->outcome, .usage = &end->usage};
    usage_report_print(&report, options->usage);
    int status = options->receipt_file ? keep_receipt(options->receipt_file, end->receipt) : STATUS_OK;
    if (status != STATUS_OK)
        return status;
    if (is_late(sending, &end->outcome))
        return STATUS_WALL;
    return exit_status_of_outcome(&end->outcome, interrupt_signal(), output_is_closed());
}

static int explain_failure(const struct sending *sending, berth_status status, const berth_client *client,
                           const berth_error *error)
{
    int number = interrupt_signal();
    if (status != BERTH_CANCELLED)
        return fail(error, exit_status_of_call(status, client));
    if (sending->output_failed)
        return output_is_closed() ? STATUS_OUTPUT_CLOSED : STATUS_FAILURE;
    if (!sending->options->quiet)
        message("%s was stopped by %s", sending->name, number == SIGTERM ? "SIGTERM" : "Ctrl-C");
    return number == SIGTERM ? STATUS_TERMINATED : STATUS_INTERRUPTED;
}

/* ---- Sending ------------------------------------------------------------------------------------------- */

static int visit(struct sending *sending, const struct module_file *module, char **arguments,
                 berth_client *client)
{
    const struct send_options *options = sending->options;
    const struct berth_visit_end *end;
    cleanup_error berth_error *error = NULL;
    const struct berth_visit visit = {
        .size = sizeof(visit),
        .module = module->bytes,
        .module_bytes = module->size_bytes,
        .name = module->name,
        .arguments = (const char *const *)arguments,
        .environment = options->environment,
        .inputs = options->inputs,
        .n_inputs = options->n_inputs,
        .capability = options->capability,
        .contract = options->contract,
        .deadline_ms = options->deadline_ms,
        .events = options->events != EVENTS_NONE,
        .detach = options->detach,
        .survive_restart = options->survive_restart,
        .output = on_output,
        .errors = on_errors,
        .event = on_event,
        .uploaded = on_uploaded,
        .started = on_started,
        .payload = sending,
    };
    upload_begin(&sending->upload, sending->name, !options->quiet);
    sending->begun_ns = clock_monotonic_ns();
    interrupt_watch_client(client);
    berth_status status = berth_client_visit(client, &visit, &end, &error);
    interrupt_forget();
    upload_end(&sending->upload);
    if (status != BERTH_OK)
        return explain_failure(sending, status, client, error);
    return end->detached ? STATUS_OK : conclude(sending, end);
}

static int send_module(struct sending *sending, const struct module_file *module, char **arguments)
{
    cleanup_error berth_error *error = NULL;
    cleanup_client berth_client *client = NULL;
    struct text name = {0};
    text_append_escaped(&name, module->name, strlen(module->name), NAME_MAX_BYTES);
    sending->name = text_take(&name);
    if (!sending->name)
        return fail(NULL, STATUS_FAILURE);
    if (!sending->options->quiet)
        append_message(&sending->last_words, "%s was stopped before it was sent", sending->name);
    if (sending->last_words.failed)
        return fail(NULL, STATUS_FAILURE);
    interrupt_prepare(&sending->last_words);
    berth_status status = node_connect(&sending->options->node, &client, &error);
    if (status != BERTH_OK)
        return fail(error, exit_status_of_call(status, NULL));
    if (!sending->options->quiet)
        node_say_first_use(&sending->options->node, client);
    return visit(sending, module, arguments, client);
}

static int take(void *payload, const struct option *option, const char *value)
{
    return send_options_take(payload, &cmd_send, option, value);
}

static int main_send(const struct command *self, int argc, char **argv)
{
    cleanup_send_options struct send_options options = {0};
    cleanup_module_file struct module_file module = {0};
    struct sending sending = {.options = &options};
    struct operands operands;
    int status = options_read(self, argc, argv, take, &options, &operands);
    if (status != OPTIONS_GO_ON)
        return status;
    if (operands.count == 0)
        return usage_error(self, "'berth send' needs a module, as in 'berth send --to HOST filter.wasm'");
    operands.values[operands.count] = NULL;
    status = send_options_complete(&options, self);
    if (status == STATUS_OK)
        status = module_file_read(operands.values[0], &module);
    if (status == STATUS_OK)
        status = send_module(&sending, &module, operands.values + 1);
    interrupt_forget();
    text_done(&sending.last_words);
    free(sending.name);
    return status;
}

const struct command cmd_send = {
    .name = "send",
    .summary = "send a program to a node's data",
    .synopsis = "[options] MODULE [ARGUMENTS…]",
    .description =
        "Sends a WebAssembly program to a node that 'berth serve' runs, where it sees what the node grants "
        "this "
        "caller, and streams its output back. Both ways are sealed for the two ends with a post-quantum key "
        "exchange, with or without TLS. The node's receipt is verified before the exit status says "
        "success.\n\n"
        "A node is remembered by its keys when it is first used; if another one answers at its address "
        "later, "
        "nothing is sent. A module that the node knows is not sent a second time.\n\n"
        "The exit status is the program's own, as with 'berth run'; 126 if the node or berth refuses, 125 if "
        "the node cannot be reached or what it sent cannot be trusted.",
    .options = send_option_groups,
    .examples = examples,
    .operands = ARGUMENT_MODULE,
    .operands_end_options = true,
    .main = main_send,
};
