/* SPDX-License-Identifier: Apache-2.0 */
/* What only can be said once everything was read: names that refer to each other, and what follows from the
 * rest. */
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "node/settings/settings_contract.h"
#include "node/settings/settings_tables.h"

DEFINE_CLEANUP(berth_contract *, berth_contract_unref)
#define cleanup_contract cleanup(berth_contract_unref_cleanup)

static berth_status no_memory(berth_error **reterr)
{
    return error_set(reterr, BERTH_NO_MEMORY, "no memory for the settings");
}

/* ---- Listeners --------------------------------------------------------------------------------- */

static berth_status add_default_listener(struct settings *settings, berth_error **reterr)
{
    if (settings->n_listeners > 0)
        return BERTH_OK;
    berth_status status = settings_add_listener(settings, "127.0.0.1:50051", reterr);
    if (status == BERTH_OK)
        free(take_ptr(settings->listeners[0].origin));
    if (status == BERTH_OK && !(settings->listeners[0].origin = strdup("default")))
        return no_memory(reterr);
    return status;
}

static berth_status check_listener(const struct settings_listener *listener, berth_error **reterr)
{
    const char *problem = NULL;
    if (!listener->certificate != !listener->key)
        problem = "certificate and key belong together";
    else if (listener->client_ca && !listener->certificate)
        problem = "client_ca needs a certificate of the node's own";
    else if (listener->client_required && !listener->client_ca)
        problem = "client_required needs client_ca";
    else if (!listener->certificate && !listener->plain_anywhere &&
             !settings_address_is_loopback(listener->host))
        problem =
            "other machines reach it and it has no certificate; give it one, or say plain_anywhere = true";
    if (!problem)
        return BERTH_OK;
    return error_set(reterr, BERTH_INVALID, "listener %s port %u: %s", listener->host,
                     (unsigned)listener->port, problem);
}

static berth_status check_listeners(const struct settings *settings, berth_error **reterr)
{
    for (size_t i = 0; i < settings->n_listeners; i++) {
        const struct settings_listener *a = &settings->listeners[i];
        berth_status status = check_listener(a, reterr);
        if (status != BERTH_OK)
            return status;
        for (size_t j = 0; j < i && a->port != 0; j++)
            if (settings->listeners[j].port == a->port && strcmp(settings->listeners[j].host, a->host) == 0)
                return error_set(reterr, BERTH_INVALID, "listener %s port %u is there twice", a->host,
                                 (unsigned)a->port);
    }
    return BERTH_OK;
}

static berth_status check_health_listen(const struct settings *settings, berth_error **reterr)
{
    char host[46];
    uint16_t port;
    if (!settings->node_health_listen ||
        settings_address_read(settings->node_health_listen, 0, host, &port) == 0)
        return BERTH_OK;
    return error_set(reterr, BERTH_INVALID,
                     "node.health_listen must be an address and a port, as in 127.0.0.1:50052");
}

/* ---- Names ------------------------------------------------------------------------------------- */

/* Where the name of an entry is: the first key of the tables that have one. */
static const char *name_of(const struct settings_table *table, const struct settings *settings, size_t i)
{
    const void *entry = settings_table_entry(table, settings, i);
    char *const *name = settings_const_member(entry, settings_field_find(table, "name")->offset);
    return *name;
}

static bool is_named(const struct settings_table *table, const struct settings *settings, const char *name,
                     size_t *ret_index)
{
    for (size_t i = 0; i < settings_table_length(table, settings); i++)
        if (strcmp(name_of(table, settings, i), name) == 0) {
            *ret_index = i;
            return true;
        }
    return false;
}

static berth_status check_unique(const struct settings_table *table, const struct settings *settings,
                                 berth_error **reterr)
{
    for (size_t i = 0; i < settings_table_length(table, settings); i++) {
        size_t first;
        const char *name = name_of(table, settings, i);
        if (is_named(table, settings, name, &first) && first != i)
            return error_set(reterr, BERTH_INVALID, "more than one %s has the name \"%s\"", table->name,
                             name);
    }
    return BERTH_OK;
}

/* Each of the names must be an entry of the table, and be there once. */
static berth_status check_names(const struct settings *settings, const char *who, char *const *names,
                                size_t n, const struct settings_table *table, berth_error **reterr)
{
    for (size_t i = 0; i < n; i++) {
        size_t index;
        for (size_t j = 0; j < i; j++)
            if (strcmp(names[j], names[i]) == 0)
                return error_set(reterr, BERTH_INVALID, "%s names the %s \"%s\" twice", who, table->name,
                                 names[i]);
        if (is_named(table, settings, names[i], &index))
            continue;
        const char *candidates[SETTINGS_PRINCIPALS_MAX + 1] = {NULL};
        for (size_t j = 0; j < settings_table_length(table, settings); j++)
            candidates[j] = name_of(table, settings, j);
        const char *nearest = text_nearest(names[i], candidates);
        return error_set(reterr, BERTH_INVALID, "%s names the %s \"%s\", which does not exist%s%s%s", who,
                         table->name, names[i], nearest ? "; did you mean \"" : "", nearest ? nearest : "",
                         nearest ? "\"?" : "");
    }
    return BERTH_OK;
}

/* ---- Mounts and capabilities ------------------------------------------------------------------- */

static berth_status check_mount(const struct settings_mount *mount, berth_error **reterr)
{
    struct stat status;
    cleanup_text struct text host = {0};
    text_append_escaped(&host, mount->host, strlen(mount->host), 200);
    if (host.failed)
        return no_memory(reterr);
    if (stat(mount->host, &status) < 0)
        return error_set_errno(reterr, -errno, "mount \"%s\": %s", mount->name, host.data);
    if (!S_ISDIR(status.st_mode))
        return error_set(reterr, BERTH_INVALID, "mount \"%s\": %s is no directory", mount->name, host.data);
    if (mount->quota_bytes && !mount->writable)
        return error_set(reterr, BERTH_INVALID, "mount \"%s\": quota_mb needs mode = \"write\"", mount->name);
    return BERTH_OK;
}

berth_status settings_capability_add_mounts(const struct settings *settings,
                                            const struct settings_capability *capability,
                                            berth_contract *contract, berth_error **reterr)
{
    for (size_t i = 0; i < capability->n_mounts; i++) {
        size_t index;
        if (!is_named(&settings_tables[TABLE_MOUNT], settings, capability->mounts[i], &index))
            return error_set(reterr, BERTH_INTERNAL, "a mount of \"%s\" is gone", capability->name);
        const struct settings_mount *mount = &settings->mounts[index];
        const struct berth_mount shown = {
            .guest = mount->guest,
            .host = mount->host,
            .writable = mount->writable,
            .hide = (const char *const *)mount->hide,
            .n_hide = mount->n_hide,
            .quota_bytes = mount->quota_bytes,
        };
        berth_status status = berth_contract_add_mount(contract, &shown, mount->origin, reterr);
        if (status != BERTH_OK)
            return status;
    }
    return BERTH_OK;
}

/* Guest paths and patterns are judged where they will be used. */
static berth_status check_capability(const struct settings *settings,
                                     const struct settings_capability *capability, berth_error **reterr)
{
    cleanup_contract berth_contract *contract = NULL;
    cleanup_error berth_error *detail = NULL;
    cleanup_text struct text who = {0};
    text_append_format(&who, "capability \"%s\"", capability->name);
    if (who.failed)
        return no_memory(reterr);
    berth_status status = check_names(settings, who.data, capability->mounts, capability->n_mounts,
                                      &settings_tables[TABLE_MOUNT], reterr);
    if (status == BERTH_OK && capability->survive_restart && !capability->detach)
        return error_set(reterr, BERTH_INVALID, "%s: survive_restart needs detach = true", who.data);
    if (status == BERTH_OK)
        status = berth_contract_new(&contract, reterr);
    if (status != BERTH_OK)
        return status;
    status = settings_capability_add_mounts(settings, capability, contract, &detail);
    return status == BERTH_OK ? BERTH_OK
                              : error_set(reterr, status, "%s: %s", who.data, berth_error_message(detail));
}

/* Without any: one with all mounts, for whoever serves a directory with a flag. */
static berth_status add_default_capability(struct settings *settings, berth_error **reterr)
{
    cleanup_text struct text line = {0};
    if (settings->n_capabilities > 0)
        return BERTH_OK;
    text_append(&line, "default=");
    for (size_t i = 0; i < settings->n_mounts; i++)
        text_append_format(&line, "%s%s", i ? "," : "", settings->mounts[i].name);
    if (line.failed)
        return no_memory(reterr);
    berth_status status = settings_add_capability(settings, line.data, reterr);
    if (status == BERTH_OK)
        free(take_ptr(settings->capabilities[0].origin));
    if (status == BERTH_OK && !(settings->capabilities[0].origin = strdup("default")))
        return no_memory(reterr);
    return status;
}

/* ---- Principals -------------------------------------------------------------------------------- */

static const char *const credential_keys[] = {
    [CREDENTIAL_TOKEN_SHA256] = "token_sha256",
    [CREDENTIAL_CERTIFICATE_SHA256] = "certificate_sha256",
    [CREDENTIAL_ED25519] = "ed25519",
    [CREDENTIAL_JWT_SUBJECT] = "jwt_subject",
};

static bool same_credential(const struct settings_credential *a, const struct settings_credential *b)
{
    return a->kind == b->kind && strcmp(a->value, b->value) == 0;
}

/* A credential says who somebody is, so it must say it once. */
static berth_status check_credential(const struct settings *settings, size_t principal, size_t credential,
                                     berth_error **reterr)
{
    const struct settings_principal *mine = &settings->principals[principal];
    const struct settings_credential *shown = &mine->credentials[credential];
    if (shown->kind == CREDENTIAL_JWT_SUBJECT && !settings->jwt_keys)
        return error_set(reterr, BERTH_INVALID, "principal \"%s\": jwt_subject needs jwt.keys", mine->name);
    for (size_t i = 0; i <= principal; i++)
        for (size_t j = 0; j < (i < principal ? settings->principals[i].n_credentials : credential); j++)
            if (same_credential(&settings->principals[i].credentials[j], shown))
                return error_set(reterr, BERTH_INVALID, "principals \"%s\" and \"%s\" have the same %s",
                                 settings->principals[i].name, mine->name, credential_keys[shown->kind]);
    return BERTH_OK;
}

static bool has_token(const struct settings_principal *principal)
{
    for (size_t i = 0; i < principal->n_credentials; i++)
        if (principal->credentials[i].kind == CREDENTIAL_TOKEN_SHA256)
            return true;
    return false;
}

static berth_status check_principal(const struct settings *settings, size_t index, berth_error **reterr)
{
    const struct settings_principal *principal = &settings->principals[index];
    cleanup_text struct text who = {0};
    text_append_format(&who, "principal \"%s\"", principal->name);
    if (who.failed)
        return no_memory(reterr);
    for (size_t i = 0; i < index && principal->anyone; i++)
        if (settings->principals[i].anyone)
            return error_set(reterr, BERTH_INVALID, "%s: only one principal can be anyone", who.data);
    if (principal->n_credentials == 0 && !principal->anyone)
        return error_set(
            reterr, BERTH_INVALID,
            "%s has no credential; give it token_sha256, certificate_sha256, ed25519, jwt_subject, or "
            "anyone = true",
            who.data);
    if (principal->n_capabilities == 0)
        return error_set(reterr, BERTH_INVALID, "%s has no capability", who.data);
    if (principal->once && !has_token(principal))
        return error_set(reterr, BERTH_INVALID, "%s: once needs token_sha256", who.data);
    berth_status status = check_names(settings, who.data, principal->capabilities, principal->n_capabilities,
                                      &settings_tables[TABLE_CAPABILITY], reterr);
    for (size_t i = 0; i < principal->n_credentials && status == BERTH_OK; i++)
        status = check_credential(settings, index, i, reterr);
    return status;
}

static berth_status check_jwt(const struct settings *settings, berth_error **reterr)
{
    if (!settings->jwt_keys)
        return BERTH_OK;
    if (strncmp(settings->jwt_keys, "http://", 7) == 0)
        return error_set(reterr, BERTH_INVALID,
                         "jwt.keys must be a file or an https URL; keys over http are anybody's");
    if (!settings->jwt_audience)
        return error_set(reterr, BERTH_INVALID,
                         "jwt.audience must not be empty: a token for another service would be good here");
    return BERTH_OK;
}

/* ---- All --------------------------------------------------------------------------------------- */

berth_status settings_complete(struct settings *settings, berth_error **reterr)
{
    static const int named[] = {TABLE_MOUNT, TABLE_CAPABILITY, TABLE_PRINCIPAL};
    berth_status status = add_default_listener(settings, reterr);
    for (size_t i = 0; i < sizeof(named) / sizeof(*named) && status == BERTH_OK; i++)
        status = check_unique(&settings_tables[named[i]], settings, reterr);
    if (status == BERTH_OK)
        status = add_default_capability(settings, reterr);
    if (status == BERTH_OK)
        status = check_listeners(settings, reterr);
    if (status == BERTH_OK)
        status = check_health_listen(settings, reterr);
    if (status == BERTH_OK)
        status = check_jwt(settings, reterr);
    for (size_t i = 0; i < settings->n_mounts && status == BERTH_OK; i++)
        status = check_mount(&settings->mounts[i], reterr);
    for (size_t i = 0; i < settings->n_capabilities && status == BERTH_OK; i++)
        status = check_capability(settings, &settings->capabilities[i], reterr);
    for (size_t i = 0; i < settings->n_principals && status == BERTH_OK; i++)
        status = check_principal(settings, i, reterr);
    return status == BERTH_OK ? settings_contracts_update(settings, reterr) : status;
}
