/* SPDX-License-Identifier: Apache-2.0 */
/*
 * berth watch: the events of a run as they come, until it ends. A connection that is lost is made again,
 * after pauses that grow, and goes on after the last event that was shown; so does one to a node that is
 * restarted.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "cli/command.h"
#include "cli/exit_status.h"
#include "cli/node_options.h"
#include "cli/output.h"
#include "cli/run_report.h"

enum { OPTION_AFTER = 1, OPTION_JSON, OPTION_QUIET };
enum { FIRST_PAUSE_MS = 500, LONGEST_PAUSE_MS = 30000 };

/* clang-format off */
static const struct option watch_rows[] = {
    {.id = OPTION_AFTER, .name = "after", .argument = "NUMBER",
     .help = "only events after that one; otherwise all that the node has kept"},
    {.id = OPTION_JSON, .name = "json", .help = "a JSON object per line: events, and last the run"},
    {.id = OPTION_QUIET, .letter = 'q', .name = "quiet", .help = "do not say how it ended, nor that it connects again"},
    {0},
};
/* clang-format on */

static const struct option_group watch_group = {"Output", watch_rows};
static const struct option_group *const options[] = {&node_option_group, &watch_group, NULL};

static const struct example examples[] = {
    {"berth watch --to node.example --tls 0123456789abcdef0123456789abcdef",
     "its events, from the oldest that is kept"},
    {NULL, NULL},
};

struct watch {
    struct node_options node;
    bool json, quiet;
    uint64_t after;
    bool ended;
    bool connected; /* once, at least */
    bool heard;     /* something, since the last connection was made */
    int status;
};

static int take_after(struct watch *watch, const char *value)
{
    char *end;
    errno = 0;
    unsigned long long number = strtoull(value, &end, 10);
    if (*value < '0' || *value > '9' || *end || errno) {
        cleanup_free char *shown = quoted(value);
        return usage_error(&cmd_watch, "--after cannot be %s; it is the number of an event",
                           shown ? shown : "");
    }
    watch->after = number;
    return STATUS_OK;
}

static int take(void *payload, const struct option *option, const char *value)
{
    struct watch *watch = payload;
    switch (option->id) {
    case OPTION_AFTER:
        return take_after(watch, value);
    case OPTION_JSON:
        watch->json = true;
        return STATUS_OK;
    case OPTION_QUIET:
        watch->quiet = true;
        return STATUS_OK;
    default:
        return node_options_take(&watch->node, option, value);
    }
}

/* ---- What comes ---------------------------------------------------------------------------------------- */

/* False once nobody reads any more. */
static bool print(struct watch *watch, struct text *line)
{
    int status = output_print(line);
    if (status != STATUS_OK) {
        watch->ended = true;
        watch->status = status;
    }
    return status == STATUS_OK;
}

static bool on_event(void *payload, uint64_t sequence, int64_t time_ns, const char *event)
{
    struct watch *watch = payload;
    struct text line = {0};
    watch->after = sequence;
    watch->heard = true;
    append_event(&line, watch->json, sequence, time_ns, event);
    return print(watch, &line);
}

static void on_dropped(void *payload, uint64_t up_to)
{
    struct watch *watch = payload;
    watch->heard = true;
    if (up_to > watch->after) {
        remark("the node has not kept the events %" PRIu64 " to %" PRIu64, watch->after + 1, up_to);
        watch->after = up_to;
    }
}

static bool on_end(void *payload, const struct berth_run_info *run)
{
    struct watch *watch = payload;
    struct text line = {0};
    watch->ended = true;
    watch->status = exit_status_of_run(run);
    if (watch->json) {
        append_json_line(&line, run_as_json(run));
        print(watch, &line);
    } else if (!watch->quiet) {
        append_run_row(&line, run, (int64_t)time(NULL));
        if (!line.failed && line.length > 0)
            remark("%.*s", (int)line.length - 1, line.data);
        text_done(&line);
    }
    return true;
}

/* ---- Connections --------------------------------------------------------------------------------------- */

/* One connection. BERTH_OK: there is nothing more to see. */
static berth_status follow(struct watch *watch, const char *run_id, int *ret_status, berth_error **reterr)
{
    cleanup_client berth_client *client = NULL;
    watch->heard = false;
    berth_status status = node_connect(&watch->node, &client, reterr);
    if (status == BERTH_OK) {
        watch->connected = true;
        if (!watch->quiet)
            node_say_first_use(&watch->node, client);
        status =
            berth_client_watch(client, run_id, watch->after, on_event, on_dropped, on_end, watch, reterr);
    }
    *ret_status = exit_status_of_call(status, client);
    return status;
}

static void pause_for(uint32_t pause_ms)
{
    struct timespec left = {.tv_sec = pause_ms / 1000, .tv_nsec = (long)(pause_ms % 1000) * 1000000};
    while (nanosleep(&left, &left) < 0 && errno == EINTR)
        ;
}

/* The first connection must succeed: an address that is wrong is not tried for ever. A connection that was of
 * use ends the growing of the pauses. */
static int watch_run(struct watch *watch, const char *run_id)
{
    uint32_t pause_ms = FIRST_PAUSE_MS;
    for (;;) {
        cleanup_error berth_error *error = NULL;
        uint64_t begun_ns = clock_monotonic_ns();
        int status;
        berth_status followed = follow(watch, run_id, &status, &error);
        if (followed == BERTH_OK || watch->ended)
            return watch->status;
        if (followed != BERTH_IO || !watch->connected)
            return fail(error, status);
        if (watch->heard || clock_monotonic_ns() - begun_ns > LONGEST_PAUSE_MS * NS_PER_MS)
            pause_ms = FIRST_PAUSE_MS;
        if (!watch->quiet)
            remark("%s; trying again in %.3g s", berth_error_message(error), pause_ms / 1000.0);
        pause_for(pause_ms);
        pause_ms = pause_ms * 2 < LONGEST_PAUSE_MS ? pause_ms * 2 : LONGEST_PAUSE_MS;
    }
}

static int main_watch(const struct command *self, int argc, char **argv)
{
    struct watch watch = {0};
    struct operands operands;
    int status = options_read(self, argc, argv, take, &watch, &operands);
    if (status == OPTIONS_GO_ON) {
        if (operands.count != 1)
            status =
                usage_error(self, "'berth watch' needs one run: its id, as 'berth send --detach' printed it");
        else
            status = node_options_complete(&watch.node, self);
        if (status == STATUS_OK)
            status = watch_run(&watch, operands.values[0]);
    }
    node_options_done(&watch.node);
    return status;
}

const struct command cmd_watch = {
    .name = "watch",
    .summary = "follow the events of a run on a node",
    .synopsis = "[options] RUN",
    .description =
        "Shows what a run pushes, each event with its number, until the run ends. When the connection is "
        "lost it "
        "is made again, and the events go on after the last one that was shown. The exit status is the "
        "program's own, as with 'berth send'.\n\n"
        "Ctrl-C ends the watching, not the run; 'berth runs stop' ends that.",
    .options = options,
    .examples = examples,
    .main = main_watch,
};
