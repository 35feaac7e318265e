/* SPDX-License-Identifier: Apache-2.0 */
/* berth audit: what a node has done, and whether its record of that is whole. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "cli/api.h"
#include "cli/audit_entry.h"
#include "cli/command.h"
#include "cli/exit_status.h"
#include "cli/moment.h"
#include "cli/output.h"
#include "node/node.h"

enum {
    OPTION_STATE = 1,
    OPTION_EVENT,
    OPTION_SUBJECT,
    OPTION_RUN,
    OPTION_SINCE,
    OPTION_LIMIT,
    OPTION_HEAD,
    OPTION_NODE,
    OPTION_JSON,
};

enum { LIST_LIMIT = 100, PRINT_AT_BYTES = 64 << 10 };

struct audit_settings {
    const char *state, *file;
    struct berth_audit_query query;
    const char *head, *node;
    bool limit_given, json;
};

static const struct option place_options[] = {
    {.id = OPTION_STATE,
     .name = "state",
     .argument = "DIR",
     .argument_kind = ARGUMENT_DIRECTORY,
     .help = "state directory of the node; audit.db in it is read"},
    {0},
};
static const struct option_group place_option_group = {"Place", place_options};

static const struct option query_options[] = {
    {.id = OPTION_EVENT, .name = "event", .argument = "NAME", .help = "only such events: run_started"},
    {.id = OPTION_SUBJECT, .name = "subject", .argument = "NAME", .help = "only those of this principal"},
    {.id = OPTION_RUN, .name = "run", .argument = "RUN_ID", .help = "only those of this run"},
    {.id = OPTION_SINCE,
     .name = "since",
     .argument = "TIME",
     .help = "only those since then, by the node's clock: 1h, 7d, 2026-02-01, 2026-02-01T12:00 (UTC)"},
    {.id = OPTION_LIMIT,
     .name = "limit",
     .argument = "N",
     .help = "the newest N of them; 0: all. Without it list shows 100, export all"},
    {0},
};
static const struct option_group query_option_group = {"Selection, for list and export", query_options};

static const struct option verify_options[] = {
    {.id = OPTION_NODE,
     .name = "node",
     .argument = "PEER_ID",
     .help = "the node that must have signed, 12D3KooW…"},
    {.id = OPTION_HEAD,
     .name = "head",
     .argument = "HASH",
     .help = "a head that an earlier verify gave, which must still be in the chain"},
    {0},
};
static const struct option_group verify_option_group = {"Expectations, for verify", verify_options};

static const struct option output_options[] = {
    {.id = OPTION_JSON, .name = "json", .help = "one JSON object; export always writes one a line"},
    {0},
};
static const struct option_group output_option_group = {"Output", output_options};

static const struct option_group *const options[] = {&place_option_group, &query_option_group,
                                                     &verify_option_group, &output_option_group, NULL};

enum { ACTION_LIST = 0, ACTION_VERIFY, ACTION_EXPORT };

static const struct word actions[] = {
    [ACTION_LIST] = {"list", "show the newest entries"},
    [ACTION_VERIFY] = {"verify", "check every hash and every signature"},
    [ACTION_EXPORT] = {"export", "write entries as JSON, one a line"},
    {NULL, NULL},
};

static const struct example examples[] = {
    {"berth audit list --since 1h --event denial", "what was denied in the last hour"},
    {"berth audit verify", "whether the chain is whole; prints its head, to be kept elsewhere"},
    {"berth audit verify --node 12D3KooW… --head 5e1d… copy/audit.db",
     "that a copy is of this node, and was not cut back since that head"},
    {"berth audit export --limit 0 >audit.jsonl", "all of it for other programs"},
    {NULL, NULL},
};

/* ---- options --------------------------------------------------------------------------------------- */

static int take_since(struct audit_settings *settings, const char *value)
{
    if (moment_read(value, (int64_t)clock_now_ns(CLOCK_REALTIME), &settings->query.since_ns))
        return STATUS_OK;
    cleanup_free char *shown = quoted(value);
    return usage_error(&cmd_audit,
                       "--since takes a time such as 1h, 7d, 2026-02-01 or 2026-02-01T12:00, not %s", shown);
}

static int take_limit(struct audit_settings *settings, const char *value)
{
    char *end;
    errno = 0;
    settings->query.limit = strtoull(value, &end, 10);
    settings->limit_given = true;
    if (*value >= '0' && *value <= '9' && !*end && errno == 0)
        return STATUS_OK;
    cleanup_free char *shown = quoted(value);
    return usage_error(&cmd_audit, "--limit takes a number of entries, not %s", shown);
}

static int take(void *payload, const struct option *option, const char *value)
{
    struct audit_settings *settings = payload;
    switch (option->id) {
    case OPTION_STATE:
        settings->state = value;
        break;
    case OPTION_EVENT:
        settings->query.event = value;
        break;
    case OPTION_SUBJECT:
        settings->query.subject = value;
        break;
    case OPTION_RUN:
        settings->query.run = value;
        break;
    case OPTION_SINCE:
        return take_since(settings, value);
    case OPTION_LIMIT:
        return take_limit(settings, value);
    case OPTION_HEAD:
        settings->head = value;
        break;
    case OPTION_NODE:
        settings->node = value;
        break;
    default:
        settings->json = true;
        break;
    }
    return STATUS_OK;
}

static int find_file(const struct audit_settings *settings, char **ret)
{
    cleanup_free char *directory = NULL;
    struct text path = {0};
    if (settings->file) {
        text_append(&path, settings->file);
    } else {
        int r = node_state_directory(settings->state, false, &directory);
        if (r == -ENOENT) {
            message("there is no home directory to look in; use --state DIR, or name the file");
            return STATUS_USAGE;
        }
        if (r == 0)
            text_append_format(&path, "%s/audit.db", directory);
    }
    *ret = text_take(&path);
    return *ret ? STATUS_OK : fail(NULL, STATUS_FAILURE);
}

static int status_of(berth_status status)
{
    return status == BERTH_NOT_FOUND ? STATUS_USAGE : exit_status_of_error(status);
}

/* ---- list and export ------------------------------------------------------------------------------- */

struct listing {
    struct text text;
    void (*append)(struct text *text, const struct berth_audit_entry *entry);
    const char *separator;
    uint64_t count;
    int status;
};

static bool visit(void *payload, const struct berth_audit_entry *entry)
{
    struct listing *listing = payload;
    if (listing->count++ > 0)
        text_append(&listing->text, listing->separator);
    listing->append(&listing->text, entry);
    if (listing->text.length >= PRINT_AT_BYTES || listing->text.failed)
        listing->status = output_print(&listing->text);
    return listing->status == STATUS_OK;
}

static int print_entries(const char *path, const struct berth_audit_query *query, struct listing *listing)
{
    cleanup_error berth_error *error = NULL;
    berth_status status = berth_audit_list(path, query, visit, listing, &error);
    if (status != BERTH_OK) {
        text_done(&listing->text);
        return fail(error, status_of(status));
    }
    return listing->status;
}

static int list_json(const char *path, const struct audit_settings *settings)
{
    struct listing listing = {.append = audit_entry_append_json, .separator = ","};
    cleanup_json json_t *file = json_escaped(path, strlen(path), strlen(path));
    text_append(&listing.text, "{\"file\":");
    audit_append_ascii_json(&listing.text, file, SIZE_MAX);
    text_append(&listing.text, ",\"entries\":[");
    int status = print_entries(path, &settings->query, &listing);
    if (status != STATUS_OK)
        return status;
    text_append(&listing.text, "]}\n");
    return output_print(&listing.text);
}

static int list(const char *path, const struct audit_settings *settings)
{
    struct listing listing = {.append = audit_entry_append_row, .separator = "\n"};
    if (settings->json)
        return list_json(path, settings);
    int status = print_entries(path, &settings->query, &listing);
    if (status != STATUS_OK)
        return status;
    if (listing.count == 0) {
        remark("no entry is like that");
        return STATUS_OK;
    }
    text_append(&listing.text, "\n");
    status = output_print(&listing.text);
    if (status == STATUS_OK && listing.count == LIST_LIMIT && !settings->limit_given)
        remark("these are the newest %d; --limit 0 shows all", LIST_LIMIT);
    return status;
}

static int export(const char *path, const struct audit_settings *settings)
{
    struct listing listing = {.append = audit_entry_append_json, .separator = "\n"};
    int status = print_entries(path, &settings->query, &listing);
    if (status != STATUS_OK || listing.count == 0)
        return status;
    text_append(&listing.text, "\n");
    return output_print(&listing.text);
}

/* ---- verify ---------------------------------------------------------------------------------------- */

static int verify(const char *path, const struct audit_settings *settings)
{
    cleanup_error berth_error *error = NULL;
    struct berth_audit_verdict verdict;
    struct text text = {0};
    berth_status status = berth_audit_verify(path, settings->node, settings->head, &verdict, &error);
    if (status != BERTH_OK)
        return fail(error, status_of(status));
    if (settings->json) {
        cleanup_json json_t *object =
            json_pack("{s:o, s:I, s:I, s:s, s:s}", "file", json_escaped(path, strlen(path), strlen(path)),
                      "entries", (json_int_t)verdict.entries, "signatures", (json_int_t)verdict.signatures,
                      "head", verdict.head, "node", verdict.node);
        audit_append_ascii_json(&text, object, SIZE_MAX);
        text_append(&text, "\n");
        return output_print(&text);
    }
    text_append_format(&text,
                       "the chain is whole: %" PRIu64 " entr%s, %" PRIu64 " signature%s\n"
                       "node  %s%s\n"
                       "head  %s\n",
                       verdict.entries, verdict.entries == 1 ? "y" : "ies", verdict.signatures,
                       verdict.signatures == 1 ? "" : "s", verdict.node,
                       settings->node ? "" : " (by its own account; compare with --node)", verdict.head);
    if (!settings->head)
        text_append(
            &text,
            "Whether the end was cut off shows only with --head and a head of another day: keep this one.\n");
    return output_print(&text);
}

/* ---- the command ----------------------------------------------------------------------------------- */

static bool selects(const struct audit_settings *settings)
{
    const struct berth_audit_query *query = &settings->query;
    return query->event || query->subject || query->run || query->since_ns || settings->limit_given;
}

static int act(const struct audit_settings *settings, const struct word *action)
{
    cleanup_free char *path = NULL;
    int status = find_file(settings, &path);
    if (status != STATUS_OK)
        return status;
    if (action == &actions[ACTION_VERIFY])
        return verify(path, settings);
    return action == &actions[ACTION_EXPORT] ? export(path, settings) : list(path, settings);
}

static int main_audit(const struct command *self, int argc, char **argv)
{
    struct audit_settings settings = {.query.size = sizeof settings.query};
    struct operands operands;
    int status = options_read(self, argc, argv, take, &settings, &operands);
    if (status != OPTIONS_GO_ON)
        return status;
    const struct word *action = command_action(self, &operands);
    if (!action)
        return STATUS_USAGE;
    bool verifies = action == &actions[ACTION_VERIFY];
    if (operands.count > 2)
        return usage_error(self, "'berth audit %s' takes one file", action->name);
    if (operands.count == 2 && settings.state)
        return usage_error(self, "either a file or --state, not both");
    if (verifies && selects(&settings))
        return usage_error(self,
                           "'berth audit verify' looks at all entries; a selection is for list and export");
    if (!verifies && (settings.head || settings.node))
        return usage_error(self, "--head and --node are for 'berth audit verify'");
    if (action == &actions[ACTION_LIST] && !settings.limit_given)
        settings.query.limit = LIST_LIMIT;
    settings.file = operands.count == 2 ? operands.values[1] : NULL;
    return act(&settings, action);
}

const struct command cmd_audit = {
    .name = "audit",
    .summary = "list, verify or export what a node has done",
    .synopsis = "list|verify|export [options] [FILE]",
    .description =
        "A node writes down every session, decision, run and denial before it acts on it. Each entry holds "
        "the "
        "hash of the one before, and each commit is signed with the node's key, so that nothing can be "
        "changed, "
        "inserted or taken out unseen. These commands need no key and work beside a running node.\n\n"
        "FILE is the node's audit.db, or a copy of it; without it, that of this user's node. 'verify' ends "
        "with "
        "126 if something does not fit, and names the first entry. It cannot see that entries were cut off "
        "at the "
        "end, unless it is given a head that it has printed before.",
    .actions = actions,
    .options = options,
    .examples = examples,
    .operands = ARGUMENT_FILE,
    .main = main_audit,
};
