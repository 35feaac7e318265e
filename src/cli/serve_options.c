/* SPDX-License-Identifier: Apache-2.0 */
/* See serve_options.h. */
#include "cli/serve_options.h"

#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "cli/contract_options.h"
#include "cli/exit_status.h"
#include "cli/file.h"
#include "cli/output.h"

enum { CONFIG_MAX_BYTES = 1 << 20 };

enum {
    OPTION_CONFIG = 1,
    OPTION_CHECK,
    OPTION_JSON,
    OPTION_QUIET,
    OPTION_LISTEN,
    OPTION_MOUNT,
    OPTION_MOUNT_WRITE,
    OPTION_CAPABILITY,
    OPTION_TLS_CERTIFICATE,
    OPTION_TLS_KEY,
    OPTION_TLS_CLIENT_CA,
    OPTION_PLAIN_ANYWHERE,
    OPTION_SETTING, /* the setting of its row's key */
};

/* clang-format off */
static const struct option node_rows[] = {
    {.id = OPTION_CONFIG, .letter = 'c', .name = "config", .argument = "FILE", .argument_kind = ARGUMENT_FILE,
     .help = "read settings from berth.toml; the options here go over it"},
    {.id = OPTION_LISTEN, .name = "listen", .argument = "ADDRESS[:PORT]",
     .help = "where callers connect, 127.0.0.1:50051 by default; port 0 is any that is free"},
    {.id = OPTION_MOUNT, .name = "mount", .argument = "HOST[::GUEST]", .argument_kind = ARGUMENT_DIRECTORY,
     .help = "let visitors see the directory HOST as GUEST, to be read"},
    {.id = OPTION_MOUNT_WRITE, .name = "mount-write", .argument = "HOST[::GUEST]",
     .argument_kind = ARGUMENT_DIRECTORY,
     .help = "the same, and files in it may be created, written, renamed and removed"},
    {.id = OPTION_CAPABILITY, .name = "capability", .argument = "NAME=MOUNT,MOUNT…",
     .help = "what callers ask for by name; without one, 'default' has all mounts"},
    {.id = OPTION_TLS_CERTIFICATE, .name = "tls-certificate", .argument = "FILE", .argument_kind = ARGUMENT_FILE,
     .help = "serve with TLS 1.3 and this certificate chain (PEM)"},
    {.id = OPTION_TLS_KEY, .name = "tls-key", .argument = "FILE", .argument_kind = ARGUMENT_FILE,
     .help = "its key (PEM)"},
    {.id = OPTION_TLS_CLIENT_CA, .name = "tls-client-ca", .argument = "FILE", .argument_kind = ARGUMENT_FILE,
     .help = "ask callers for certificates of these authorities (PEM)"},
    {.id = OPTION_PLAIN_ANYWHERE, .name = "plain-anywhere",
     .help = "serve without TLS on addresses that other machines reach, too"},
    {.id = OPTION_CHECK, .name = "check", .help = "say what would hold, and do not serve"},
    {.id = OPTION_JSON, .name = "json", .help = "say that it is ready, or what would hold, in JSON"},
    {.id = OPTION_QUIET, .letter = 'q', .name = "quiet", .help = "only warnings and errors"},
    {0},
};

/* How each setting is called on the command line. */
#define FLAG_node_state_directory "state"
#define FLAG_node_require_isolation "require-isolation"
#define FLAG_node_workers "workers"
#define FLAG_node_drain_seconds "drain-seconds"
#define FLAG_node_health_listen "health-listen"
#define FLAG_limits_max_request_mb "max-request-mb"
#define FLAG_limits_max_inputs_mb "max-inputs-mb"
#define FLAG_limits_max_inputs "max-inputs"
#define FLAG_limits_sealed_result_mb "sealed-result-mb"
#define FLAG_limits_max_runs "max-runs"
#define FLAG_limits_concurrency "concurrency"
#define FLAG_limits_runs_per_minute "runs-per-minute"
#define FLAG_limits_handshakes_per_minute "handshakes-per-minute"
#define FLAG_limits_handshakes_per_address "handshakes-per-address"
#define FLAG_limits_failures_per_address "failures-per-address"
#define FLAG_limits_max_connections "max-connections"
#define FLAG_limits_max_connections_per_address "max-connections-per-address"
#define FLAG_sessions_seconds "session-seconds"
#define FLAG_sessions_max "max-sessions"
#define FLAG_sessions_max_per_principal "max-sessions-per-principal"
#define FLAG_events_max_per_run "max-events-per-run"
#define FLAG_events_max_mb_per_run "max-event-mb-per-run"
#define FLAG_runs_keep_days "keep-days"
#define FLAG_audit_sync "audit-sync"
#define FLAG_cache_directory "cache"
#define FLAG_compile_wall_seconds "compile-wall-seconds"
#define FLAG_compile_memory_mb "compile-memory-mb"
#define FLAG_compile_at_a_time "compile-at-a-time"
#define FLAG_compile_queue_per_principal "compile-queue-per-principal"
#define FLAG_jwt_keys "jwt-keys"
#define FLAG_jwt_keys_ca "jwt-keys-ca"
#define FLAG_jwt_revoked "jwt-revoked"
#define FLAG_jwt_issuer "jwt-issuer"
#define FLAG_jwt_audience "jwt-audience"
#define FLAG_jwt_scope "jwt-scope"
#define FLAG_jwt_leeway_seconds "jwt-leeway-seconds"
#define FLAG_jwt_refresh_seconds "jwt-refresh-seconds"

#define ROW(group, key_name, doc, ...) \
    {.id = OPTION_SETTING, .name = FLAG_##group##_##key_name, .key = #group "." #key_name, .help = doc, __VA_ARGS__},
#define SETTING_BOOL(group, name, unit, default_, doc) ROW(group, name, doc, .argument = NULL)
#define SETTING_NUMBER(group, name, unit, default_, minimum, maximum, doc) ROW(group, name, doc, .argument = "NUMBER")
#define SETTING_TEXT(group, name, unit, default_, doc) ROW(group, name, doc, .argument = "TEXT")
#define SETTING_PATH(group, name, unit, default_, doc) \
    ROW(group, name, doc, .argument = "PATH", .argument_kind = ARGUMENT_FILE)
#define SETTING_CHOICE(group, name, unit, default_, words_, doc) \
    ROW(group, name, doc, .argument = CHOICE_##words_)
#define CHOICE_sync_words "normal|full"

static const struct option setting_rows_of_flags[] = {
#include "node/settings/settings.def"
    {0},
};
/* clang-format on */

static const struct option_group node_options = {"The node", node_rows};
static const struct option_group setting_options = {
    "Settings ('berth serve --check' shows each with its value)", setting_rows_of_flags};

const struct option_group *const serve_option_groups[] = {
    &node_options,
    &contract_limit_options,
    &setting_options,
    NULL,
};

int serve_options_take(struct serve_options *options, const struct command *command,
                       const struct option *option, const char *value)
{
    if (option->id == OPTION_CONFIG && options->config)
        return usage_error(command, "a configuration was given twice; there is one");
    if (option->id == OPTION_CONFIG)
        options->config = value;
    options->check |= option->id == OPTION_CHECK;
    options->json |= option->id == OPTION_JSON;
    options->quiet |= option->id == OPTION_QUIET;
    if (option->id >= OPTION_CONFIG && option->id <= OPTION_QUIET)
        return STATUS_OK;
    struct serve_use *uses = reallocarray(options->uses, options->n_uses + 1, sizeof(*uses));
    if (!uses)
        return fail(NULL, STATUS_FAILURE);
    options->uses = uses;
    uses[options->n_uses++] = (struct serve_use){option, value};
    return STATUS_OK;
}

void serve_options_done(struct serve_options *options)
{
    free(options->uses);
    *options = (struct serve_options){0};
}

/* ---- Building
 * ------------------------------------------------------------------------------------------------- */

static berth_status no_memory(berth_error **reterr)
{
    return error_set_errno(reterr, -ENOMEM, "the settings cannot be read");
}

static berth_status read_config(struct settings *settings, const char *path, berth_error **reterr)
{
    cleanup_free char *text = NULL, *shown = quoted(path);
    size_t length;
    int r = file_read(path, CONFIG_MAX_BYTES, &text, &length);
    if (!shown || r == -ENOMEM)
        return no_memory(reterr);
    if (r == -ENOENT || r == -ENOTDIR)
        return error_set(reterr, BERTH_NOT_FOUND, "there is no configuration file %s", shown);
    if (r == -EFBIG)
        return error_set(reterr, BERTH_INVALID, "configuration %s is larger than %d MiB", shown,
                         CONFIG_MAX_BYTES >> 20);
    if (r < 0)
        return error_set_errno(reterr, r, "configuration %s cannot be read", shown);
    return settings_read(settings, text, length, path, reterr);
}

static berth_status add_writable_mount(struct settings *settings, const char *value, berth_error **reterr)
{
    cleanup_text struct text text = {0};
    text_append_format(&text, "%s::write", value);
    return text.failed ? no_memory(reterr) : settings_add_mount(settings, text.data, reterr);
}

static berth_status set_scalar(struct settings *settings, const struct serve_use *use, berth_error **reterr)
{
    cleanup_text struct text key = {0}, origin = {0};
    text_append_format(&key, "%s%s", contract_options_has(use->option) ? "contract." : "", use->option->key);
    text_append_format(&origin, "--%s", use->option->name);
    if (key.failed || origin.failed)
        return no_memory(reterr);
    return settings_set(settings, key.data, use->value ? use->value : "true", origin.data, reterr);
}

static berth_status apply(struct settings *settings, const struct serve_use *use, berth_error **reterr)
{
    switch (use->option->id) {
    case OPTION_LISTEN:
        return settings_add_listener(settings, use->value, reterr);
    case OPTION_MOUNT:
        return settings_add_mount(settings, use->value, reterr);
    case OPTION_MOUNT_WRITE:
        return add_writable_mount(settings, use->value, reterr);
    case OPTION_CAPABILITY:
        return settings_add_capability(settings, use->value, reterr);
    case OPTION_TLS_CERTIFICATE:
    case OPTION_TLS_KEY:
    case OPTION_TLS_CLIENT_CA:
    case OPTION_PLAIN_ANYWHERE:
        return BERTH_OK; /* when all listeners are there */
    default:
        return set_scalar(settings, use, reterr);
    }
}

static bool is_of_listener(const struct serve_use *use)
{
    return use->option->id >= OPTION_TLS_CERTIFICATE && use->option->id <= OPTION_PLAIN_ANYWHERE;
}

/* Replaces a path; it means the same from any working directory. */
static berth_status set_path(char **place, const char *path, berth_error **reterr)
{
    struct text absolute = {0};
    cleanup_free char *here = *path == '/' ? NULL : getcwd(NULL, 0);
    text_append_format(&absolute, "%s%s%s", here ? here : "", here ? "/" : "", path);
    char *result = text_take(&absolute);
    if (!result)
        return no_memory(reterr);
    free(*place);
    *place = result;
    return BERTH_OK;
}

static berth_status apply_to_listener(struct settings_listener *listener, const struct serve_use *use,
                                      berth_error **reterr)
{
    if (use->option->id == OPTION_TLS_CERTIFICATE)
        return set_path(&listener->certificate, use->value, reterr);
    if (use->option->id == OPTION_TLS_KEY)
        return set_path(&listener->key, use->value, reterr);
    if (use->option->id == OPTION_TLS_CLIENT_CA)
        return set_path(&listener->client_ca, use->value, reterr);
    listener->plain_anywhere = true;
    return BERTH_OK;
}

/* Flags about TLS hold for all listeners, those of the file included. */
static berth_status apply_to_listeners(struct settings *settings, const struct serve_options *options,
                                       berth_error **reterr)
{
    berth_status status = BERTH_OK;
    for (size_t i = 0; i < options->n_uses && status == BERTH_OK; i++) {
        if (!is_of_listener(&options->uses[i]))
            continue;
        if (settings->n_listeners == 0)
            status = settings_add_listener(settings, "127.0.0.1", reterr);
        for (size_t j = 0; j < settings->n_listeners && status == BERTH_OK; j++)
            status = apply_to_listener(&settings->listeners[j], &options->uses[i], reterr);
    }
    return status;
}

berth_status serve_options_build(const struct serve_options *options, struct settings **ret,
                                 berth_error **reterr)
{
    cleanup_settings struct settings *settings = NULL;
    if (settings_new(&settings) < 0)
        return no_memory(reterr);
    berth_status status = options->config ? read_config(settings, options->config, reterr) : BERTH_OK;
    for (size_t i = 0; i < options->n_uses && status == BERTH_OK; i++)
        status = apply(settings, &options->uses[i], reterr);
    if (status == BERTH_OK)
        status = apply_to_listeners(settings, options, reterr);
    if (status == BERTH_OK)
        status = settings_complete(settings, reterr);
    if (status == BERTH_OK)
        *ret = take_ptr(settings);
    return status;
}
