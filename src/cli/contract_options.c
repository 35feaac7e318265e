/* SPDX-License-Identifier: Apache-2.0 */
/* See contract_options.h. */
#include "cli/contract_options.h"

#include <string.h>

#include "base/text.h"
#include "cli/api.h"
#include "cli/exit_status.h"
#include "cli/file.h"
#include "cli/output.h"

enum { CONTRACT_FILE_MAX_BYTES = 1 << 20 };

enum {
    OPTION_CONTRACT = OPTION_CONTRACT_FIRST,
    OPTION_DIR,
    OPTION_DIR_WRITE,
    OPTION_ENV,
    OPTION_KEY, /* sets the key of its row */
    OPTION_CONTRACT_LAST = OPTION_KEY,
};

static const char *const clock_words[] = {"none", "coarse", "fine", NULL};
static const char *const random_words[] = {"none", "seeded", "os", NULL};

/* clang-format off */
static const struct option grant_rows[] = {
    {.id = OPTION_CONTRACT, .name = "contract", .argument = "FILE", .argument_kind = ARGUMENT_FILE,
     .help = "read the contract from a TOML or JSON file; the options here go over it"},
    {.id = OPTION_DIR, .name = "dir", .argument = "HOST[::GUEST]", .argument_kind = ARGUMENT_DIRECTORY,
     .help = "show the directory HOST to the guest as GUEST, to be read"},
    {.id = OPTION_DIR_WRITE, .name = "dir-write", .argument = "HOST[::GUEST]",
     .argument_kind = ARGUMENT_DIRECTORY,
     .help = "the same, and files in it may be created, written, renamed and removed"},
    {.id = OPTION_ENV, .name = "env", .argument = "NAME[=VALUE]",
     .help = "pass an environment variable; without VALUE, the one that berth has"},
    {.id = OPTION_KEY, .name = "clock", .argument = "none|coarse|fine", .key = "grants.clock",
     .words = clock_words,
     .help = "how well the guest can tell the time"},
    {.id = OPTION_KEY, .name = "random", .argument = "none|seeded|os", .key = "grants.random",
     .words = random_words,
     .help = "where its random numbers come from"},
    {.id = OPTION_KEY, .name = "simd", .key = "grants.simd",
     .help = "let the module use 128-bit vector instructions"},
    {.id = OPTION_KEY, .name = "events", .key = "grants.events",
     .help = "let the guest push events; each becomes a line on stderr"},
    {.id = OPTION_KEY, .name = "watch", .key = "grants.watch",
     .help = "let the guest wait for changes of what it has open"},
    {.id = OPTION_KEY, .name = "deterministic", .key = "deterministic",
     .help = "same module, arguments and data give the same output and fuel: virtual clock, seeded random"},
    {0},
};

static const struct option limit_rows[] = {
    {.id = OPTION_KEY, .name = "memory-mb", .argument = "NUMBER", .key = "limits.memory_mb",
     .help = "linear memory and tables, in MiB"},
    {.id = OPTION_KEY, .name = "wall-seconds", .argument = "NUMBER", .key = "limits.wall_seconds",
     .help = "time from start to end, also while it sleeps or waits; 0 is off"},
    {.id = OPTION_KEY, .name = "cpu-percent", .argument = "NUMBER", .key = "limits.cpu_percent",
     .help = "share of one core"},
    {.id = OPTION_KEY, .name = "fuel", .argument = "NUMBER", .key = "limits.fuel",
     .help = "instructions it may execute; 0 is off"},
    {.id = OPTION_KEY, .name = "output-mb", .argument = "NUMBER", .key = "limits.output_mb",
     .help = "what it may write to stdout and stderr, in MiB; 0 is off"},
    {.id = OPTION_KEY, .name = "open-files", .argument = "NUMBER", .key = "limits.open_files",
     .help = "files open at a time"},
    {.id = OPTION_KEY, .name = "host-calls-per-second", .argument = "NUMBER",
     .key = "limits.host_calls_per_second",
     .help = "calls out of the sandbox; a faster guest is slowed down; 0 is off"},
    {0},
};
/* clang-format on */

const struct option_group contract_grant_options = {"What the guest sees", grant_rows};
const struct option_group contract_limit_options = {
    "Limits ('berth contract explain' shows each with its default)", limit_rows};

bool contract_options_has(const struct option *option)
{
    return option->id >= OPTION_CONTRACT_FIRST && option->id <= OPTION_CONTRACT_LAST;
}

int contract_options_take(struct contract_options *options, const struct command *command,
                          const struct option *option, const char *value)
{
    if (option->id == OPTION_CONTRACT) {
        if (options->file)
            return usage_error(command, "a contract was given twice; there is one");
        options->file = value;
        return STATUS_OK;
    }
    struct contract_use *uses = reallocarray(options->uses, options->n_uses + 1, sizeof(*uses));
    if (!uses)
        return fail(NULL, STATUS_FAILURE);
    options->uses = uses;
    uses[options->n_uses++] = (struct contract_use){option, value};
    return STATUS_OK;
}

void contract_options_done(struct contract_options *options)
{
    free(options->uses);
    *options = (struct contract_options){0};
}

/* ---- Mounts ------------------------------------------------------------------------------------- */

/* The path as the guest sees it: "./logs/" is "/logs", "." is "/". False if a ".." makes it unclear. */
static bool append_guest_path(struct text *text, const char *given)
{
    size_t before = text->length;
    while (*given) {
        size_t length = strcspn(given, "/");
        if (length == 2 && strncmp(given, "..", 2) == 0)
            return false;
        if (length > 0 && !(length == 1 && given[0] == '.')) {
            text_append(text, "/");
            text_append_bytes(text, given, length);
        }
        given += length;
        given += *given == '/';
    }
    if (text->length == before)
        text_append(text, "/");
    return true;
}

/* The last "::" divides, so that a host path may contain one. */
static const char *find_divider(const char *value)
{
    const char *found = NULL;
    for (const char *next = strstr(value, "::"); next; next = strstr(next + 1, "::"))
        found = next;
    return found;
}

static int add_mount(berth_contract *contract, const struct command *command, const struct contract_use *use)
{
    const char *name = use->option->name, *divider = find_divider(use->value);
    size_t host_length = divider ? (size_t)(divider - use->value) : strlen(use->value);
    cleanup_free char *host = strndup(use->value, host_length), *shown = quoted(use->value);
    cleanup_text struct text guest = {0}, origin = {0};
    if (!host || !shown)
        return fail(NULL, STATUS_FAILURE);
    if (host_length == 0 || (divider && divider[2] == '\0'))
        return usage_error(command, "--%s needs a directory, as in --%s /var/log::/logs", name, name);
    if (!append_guest_path(&guest, divider ? divider + 2 : host))
        return usage_error(command, "the guest path of --%s %s is unclear because of '..'; write it as %s",
                           name, shown, "HOST::GUEST with GUEST as in /logs");
    text_append_format(&origin, "--%s", name);
    if (guest.failed || origin.failed)
        return fail(NULL, STATUS_FAILURE);
    struct berth_mount mount = {
        .guest = guest.data, .host = host, .writable = use->option->id == OPTION_DIR_WRITE};
    cleanup_error berth_error *error = NULL;
    if (berth_contract_add_mount(contract, &mount, origin.data, &error) != BERTH_OK)
        return usage_error(command, "%s", berth_error_message(error));
    return STATUS_OK;
}

/* ---- Environment -------------------------------------------------------------------------------- */

static int add_env(berth_contract *contract, const struct command *command, const struct contract_use *use)
{
    size_t length = strcspn(use->value, "=");
    cleanup_free char *name = strndup(use->value, length);
    if (!name)
        return fail(NULL, STATUS_FAILURE);
    if (length == 0)
        return usage_error(command, "--env needs a name, as in --env LANG or --env LANG=C");
    cleanup_error berth_error *error = NULL;
    if (berth_contract_add_env(contract, name, "--env", &error) != BERTH_OK)
        return usage_error(command, "%s", berth_error_message(error));
    return STATUS_OK;
}

/* The value of "NAME=VALUE" if it is about that name. */
static const char *value_for(const char *assignment, const char *name)
{
    size_t length = strlen(name);
    bool same = strncmp(assignment, name, length) == 0 && assignment[length] == '=';
    return same ? assignment + length + 1 : NULL;
}

static const char *find_value(const struct contract_options *options, const char *name)
{
    const char *value = getenv(name);
    for (size_t i = 0; i < options->n_uses; i++) {
        const struct contract_use *use = &options->uses[i];
        const char *given = use->option->id == OPTION_ENV ? value_for(use->value, name) : NULL;
        if (given)
            value = given;
    }
    return value;
}

char **contract_environment(const struct contract_options *options, const berth_contract *contract)
{
    const struct berth_grants *grants = berth_contract_grants(contract);
    char **environment = calloc(grants->n_env + 1, sizeof(*environment));
    size_t count = 0;
    for (size_t i = 0; environment && i < grants->n_env; i++) {
        const char *value = find_value(options, grants->env[i]);
        struct text assignment = {0};
        if (!value)
            continue;
        text_append_format(&assignment, "%s=%s", grants->env[i], value);
        environment[count] = text_take(&assignment);
        if (!environment[count++]) {
            contract_environment_free(environment);
            return NULL;
        }
    }
    return environment;
}

void contract_environment_free(char **environment)
{
    for (char **variable = environment; variable && *variable; variable++)
        free(*variable);
    free(environment);
}

/* ---- The contract ------------------------------------------------------------------------------- */

static int set_key(berth_contract *contract, const struct command *command, const struct contract_use *use)
{
    cleanup_error berth_error *error = NULL;
    cleanup_text struct text origin = {0};
    text_append_format(&origin, "--%s", use->option->name);
    if (origin.failed)
        return fail(NULL, STATUS_FAILURE);
    const char *value = use->value ? use->value : "true";
    if (berth_contract_set(contract, use->option->key, value, origin.data, &error) != BERTH_OK)
        return usage_error(command, "%s", berth_error_message(error));
    return STATUS_OK;
}

static int apply(berth_contract *contract, const struct command *command, const struct contract_use *use)
{
    switch (use->option->id) {
    case OPTION_DIR:
    case OPTION_DIR_WRITE:
        return add_mount(contract, command, use);
    case OPTION_ENV:
        return add_env(contract, command, use);
    default:
        return set_key(contract, command, use);
    }
}

static int read_contract(const char *path, const struct command *command, berth_contract **ret)
{
    cleanup_error berth_error *error = NULL;
    cleanup_free char *text = NULL, *shown = quoted(path);
    size_t length;
    int r = file_read(path, CONTRACT_FILE_MAX_BYTES, &text, &length);
    if (!shown || r == -ENOMEM)
        return fail(NULL, STATUS_FAILURE);
    if (r == -ENOENT || r == -ENOTDIR)
        return usage_error(command, "there is no contract file %s", shown);
    if (r == -EFBIG)
        message("contract %s is larger than %d MiB", shown, CONTRACT_FILE_MAX_BYTES >> 20);
    else if (r < 0)
        message("contract %s cannot be read: %s", shown, strerror(-r));
    if (r < 0)
        return STATUS_REFUSED;
    berth_status status = berth_contract_parse(text, length, path, ret, &error);
    if (status != BERTH_OK)
        return fail(error, status == BERTH_INVALID ? STATUS_REFUSED : STATUS_FAILURE);
    return STATUS_OK;
}

int contract_options_build(const struct contract_options *options, const struct command *command,
                           berth_contract **ret)
{
    cleanup_contract berth_contract *contract = NULL;
    cleanup_error berth_error *error = NULL;
    int status = STATUS_OK;
    if (options->file)
        status = read_contract(options->file, command, &contract);
    else if (berth_contract_new(&contract, &error) != BERTH_OK)
        status = fail(error, STATUS_FAILURE);
    for (size_t i = 0; status == STATUS_OK && i < options->n_uses; i++)
        status = apply(contract, command, &options->uses[i]);
    if (status == STATUS_OK)
        *ret = take_ptr(contract);
    return status;
}

char *contract_options_flag(const char *line)
{
    const char *equals = strstr(line, " = ");
    for (const struct option *option = limit_rows; equals && option->name; option++) {
        const char *key = option->key + strlen("limits.");
        size_t length = (size_t)(equals - line);
        if (strlen(key) == length && strncmp(key, line, length) == 0) {
            struct text flag = {0};
            text_append_format(&flag, "--%s %s", option->name, equals + 3);
            return text_take(&flag);
        }
    }
    return NULL;
}
