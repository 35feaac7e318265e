/* SPDX-License-Identifier: Apache-2.0 */
/* See settings.h. Life of settings, single values, and what flags add. */
#include "node/settings/settings.h"

#include <arpa/inet.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/json.h"
#include "node/settings/settings_contract.h"
#include "node/settings/settings_rows.h"
#include "node/settings/settings_tables.h"

enum { DEFAULT_PORT = 50051 };

int settings_new(struct settings **ret)
{
    cleanup_settings struct settings *settings = calloc(1, sizeof(*settings));
    if (!settings)
        return -ENOMEM;
    settings->origins = calloc(SETTINGS_ROWS, sizeof(*settings->origins));
    if (!settings->origins)
        return -ENOMEM;
    for (size_t i = 0; i < SETTINGS_ROWS; i++)
        if (setting_row_reset(&setting_rows[i], settings) < 0)
            return -ENOMEM;
    if (berth_contract_new(&settings->contract, NULL) != BERTH_OK)
        return -ENOMEM;
    *ret = take_ptr(settings);
    return 0;
}

void settings_free(struct settings *settings)
{
    if (!settings)
        return;
    for (size_t i = 0; i < SETTINGS_TABLES; i++)
        settings_table_done(&settings_tables[i], settings);
    for (size_t i = 0; i < SETTINGS_ROWS && settings->origins; i++)
        free(settings->origins[i]);
    free(settings->origins);
#define SETTING_BOOL(...)
#define SETTING_NUMBER(...)
#define SETTING_TEXT(group, name, ...)   free(settings->group##_##name);
#define SETTING_PATH(group, name, ...)   free(settings->group##_##name);
#define SETTING_CHOICE(group, name, ...) free(settings->group##_##name);
#include "node/settings/settings.def"
    berth_contract_unref(settings->contract);
    free(settings);
}

/* ---- Single values ----------------------------------------------------------------------------- */

static berth_status no_memory(berth_error **reterr)
{
    return error_set(reterr, BERTH_NO_MEMORY, "no memory for the settings");
}

/* A value as a person writes it on a command line: words and paths without quotes. */
static json_t *value_from_text(const struct setting_row *row, const char *text)
{
    json_t *value = NULL;
    cleanup_free char *message = NULL;
    bool quoted =
        row->kind == SETTING_KIND_TEXT || row->kind == SETTING_KIND_PATH || row->kind == SETTING_KIND_CHOICE;
    if (!quoted && json_read(text, strlen(text), &value, &message) == 0)
        return value;
    return json_string_nocheck(text);
}

static berth_status set_row(struct settings *settings, const struct setting_row *row, const char *text,
                            const char *origin, berth_error **reterr)
{
    cleanup_json json_t *value = value_from_text(row, text);
    cleanup_free char *directory = getcwd(NULL, 0);
    cleanup_text struct text requirement = {0}, found = {0};
    if (!text_is_utf8(text, strlen(text)))
        return error_set(reterr, BERTH_INVALID, "%s: %s is no UTF-8", origin, row->key);
    int r = value && directory ? setting_row_read(row, value, directory, settings) : -ENOMEM;
    if (r == 0) {
        cleanup_text struct text safe = {0};
        text_append_escaped(&safe, origin, strlen(origin), 200);
        free(settings->origins[row - setting_rows]);
        settings->origins[row - setting_rows] = text_take(&safe);
        return settings->origins[row - setting_rows] ? BERTH_OK : no_memory(reterr);
    }
    setting_row_append_requirement(row, &requirement);
    settings_append_found(&found, value);
    if (r < 0 || requirement.failed || found.failed)
        return no_memory(reterr);
    return error_set(reterr, BERTH_INVALID, "%s: %s is %s; it must be %s", origin, row->key, found.data,
                     requirement.data);
}

berth_status settings_set(struct settings *settings, const char *key, const char *value, const char *origin,
                          berth_error **reterr)
{
    static const char contract[] = "contract.";
    if (strncmp(key, contract, strlen(contract)) == 0) {
        berth_status status = settings_contract_set(settings, key + strlen(contract), value, origin, reterr);
        return status == BERTH_OK ? settings_contracts_update(settings, reterr) : status;
    }
    const struct setting_row *row = setting_row_find(key);
    if (row)
        return set_row(settings, row, value, origin, reterr);
    cleanup_text struct text quoted = {0};
    const char *nearest = setting_row_nearest(key);
    text_append_escaped(&quoted, key, strlen(key), 60);
    if (quoted.failed)
        return no_memory(reterr);
    return error_set(reterr, BERTH_INVALID, "%s: unknown setting \"%s\"%s%s%s", origin, quoted.data,
                     nearest ? "; did you mean \"" : "", nearest ? nearest : "", nearest ? "\"?" : "");
}

/* ---- Addresses --------------------------------------------------------------------------------- */

static bool read_port(const char *text, uint16_t *ret_port)
{
    enum { DIGITS_MAX = 5, PORT_MAX = 65535 };
    unsigned port = 0;
    size_t length = strlen(text);
    if (length == 0 || length > DIGITS_MAX || strspn(text, "0123456789") != length)
        return false;
    for (; *text; text++)
        port = port * 10 + (unsigned)(*text - '0');
    *ret_port = (uint16_t)port;
    return port <= PORT_MAX;
}

static bool is_address(const char *host)
{
    uint8_t bytes[16];
    return inet_pton(strchr(host, ':') ? AF_INET6 : AF_INET, host, bytes) == 1;
}

int settings_address_read(const char *text, uint16_t default_port, char ret_host[static 46],
                          uint16_t *ret_port)
{
    static const char v4[] = "127.0.0.1", localhost[] = "localhost";
    enum { HOST_CHARACTERS = 46 };
    bool bracketed = *text == '[';
    const char *start = text + bracketed, *colon = strchr(text, ':'), *port = NULL;
    size_t length = strcspn(start, bracketed ? "]" : "");
    if (bracketed) {
        const char *after = start + length;
        if (*after != ']' || (after[1] != '\0' && after[1] != ':'))
            return -EINVAL;
        port = after[1] ? after + 2 : NULL;
    } else if (colon && colon == strrchr(text, ':')) { /* more than one: IPv6 without a port */
        length = (size_t)(colon - text);
        port = colon + 1;
    }
    if (length >= HOST_CHARACTERS)
        return -EINVAL;
    memcpy(ret_host, start, length);
    ret_host[length] = '\0';
    if (!bracketed && strcmp(ret_host, localhost) == 0)
        memcpy(ret_host, v4, sizeof(v4));
    if (!is_address(ret_host) || (bracketed && !strchr(ret_host, ':')))
        return -EINVAL;
    *ret_port = default_port;
    return !port || read_port(port, ret_port) ? 0 : -EINVAL;
}

bool settings_address_is_loopback(const char *host)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (inet_pton(AF_INET, host, &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == 127;
    return inet_pton(AF_INET6, host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

/* ---- Flags ------------------------------------------------------------------------------------- */

static berth_status refuse_flag(const char *flag, const char *text, const char *requirement,
                                berth_error **reterr)
{
    cleanup_text struct text quoted = {0};
    text_append_escaped(&quoted, text, strlen(text), 100);
    if (quoted.failed)
        return no_memory(reterr);
    return error_set(reterr, BERTH_INVALID, "%s \"%s\": %s", flag, quoted.data ? quoted.data : "",
                     requirement);
}

/* Reads one key of an entry as if it stood in a file. */
static berth_status add_key(const struct settings_table *table, const char *key, json_t *value, void *entry,
                            const char *flag, berth_error **reterr)
{
    cleanup_json json_t *owned = value;
    cleanup_text struct text problem = {0};
    cleanup_free char *directory = getcwd(NULL, 0);
    const struct settings_field *field = settings_field_find(table, key);
    int r = owned && directory ? settings_field_read(field, owned, directory, entry, &problem) : -ENOMEM;
    if (r == 0)
        return BERTH_OK;
    if (r < 0 || problem.failed)
        return no_memory(reterr);
    return error_set(reterr, BERTH_INVALID, "%s: %s", flag, problem.data);
}

static berth_status add_entry(struct settings *settings, const struct settings_table *table, const char *flag,
                              void *ret_entry, berth_error **reterr)
{
    int r = settings_table_add(table, settings, flag, ret_entry);
    if (r == 0)
        return BERTH_OK;
    if (r < 0)
        return no_memory(reterr);
    return error_set(reterr, BERTH_INVALID, "%s: there are more than %zu", flag, table->maximum);
}

berth_status settings_add_listener(struct settings *settings, const char *text, berth_error **reterr)
{
    static const char flag[] = "--listen";
    struct settings_listener *listener;
    const struct settings_table *table = &settings_tables[TABLE_LISTENER];
    char host[46];
    uint16_t port;
    if (settings_address_read(text, DEFAULT_PORT, host, &port) < 0)
        return refuse_flag(flag, text,
                           "it must be an address and a port, as in 127.0.0.1:50051 or [::1]:50051", reterr);
    berth_status status = add_entry(settings, table, flag, &listener, reterr);
    return status ? status : add_key(table, "address", json_string(text), listener, flag, reterr);
}

/* A name for a mount that has none: the last part of the guest path, made unique. */
static int name_mount(const struct settings *settings, struct settings_mount *mount)
{
    const char *last = strrchr(mount->guest, '/') + 1;
    cleanup_text struct text base = {0};
    for (const char *c = last; *c && base.length < 40; c++)
        text_append_bytes(&base, settings_name_is_good((char[]){*c, '\0'}) ? c : "-", 1);
    if (base.length == 0)
        text_append(&base, "root");
    for (unsigned n = 1; !mount->name; n++) {
        char name[SETTINGS_NAME_MAX_BYTES];
        snprintf(name, sizeof(name), n == 1 ? "%s" : "%s-%u", base.data ? base.data : "", n);
        bool taken = false;
        for (size_t i = 0; i < settings->n_mounts; i++)
            taken |= settings->mounts[i].name && strcmp(settings->mounts[i].name, name) == 0;
        if (!taken && !(mount->name = strdup(name)))
            return -ENOMEM;
    }
    return base.failed ? -ENOMEM : 0;
}

/* Splits HOST[::GUEST][::write] in place; *ret_guest NULL: not given. */
static bool split_mount(char *text, char **ret_guest, bool *ret_writable)
{
    static const char write[] = "::write", read[] = "::read";
    size_t length = strlen(text);
    *ret_guest = NULL;
    *ret_writable = false;
    if (length > strlen(write) && strcmp(text + length - strlen(write), write) == 0) {
        *ret_writable = true;
        text[length - strlen(write)] = '\0';
    } else if (length > strlen(read) && strcmp(text + length - strlen(read), read) == 0) {
        text[length - strlen(read)] = '\0';
    }
    for (char *next = strstr(text, "::"); next; next = strstr(next + 1, "::"))
        *ret_guest = next;
    if (*ret_guest) {
        **ret_guest = '\0';
        *ret_guest += 2;
    }
    return *text != '\0' && (!*ret_guest || **ret_guest == '/');
}

/* "/logs" for ./logs and /var/logs/. */
static json_t *guest_of(const char *host)
{
    size_t end = strlen(host), start;
    while (end > 1 && host[end - 1] == '/')
        end--;
    for (start = end; start > 0 && host[start - 1] != '/'; start--)
        ;
    return json_sprintf("/%.*s", (int)(end - start), host + start);
}

berth_status settings_add_mount(struct settings *settings, const char *text, berth_error **reterr)
{
    static const char flag[] = "--mount";
    const struct settings_table *table = &settings_tables[TABLE_MOUNT];
    cleanup_free char *copy = strdup(text);
    struct settings_mount *mount;
    char *guest;
    bool writable;
    if (!copy)
        return no_memory(reterr);
    if (!text_is_utf8(text, strlen(text)) || !split_mount(copy, &guest, &writable))
        return refuse_flag(flag, text,
                           "it must be HOST::GUEST, as in ./logs::/logs, with ::write at the end if "
                           "visitors may change it",
                           reterr);
    berth_status status = add_entry(settings, table, flag, &mount, reterr);
    if (status == BERTH_OK)
        status = add_key(table, "host", json_string(copy), mount, flag, reterr);
    if (status == BERTH_OK)
        status =
            add_key(table, "guest", guest ? json_string(guest) : guest_of(mount->host), mount, flag, reterr);
    if (status != BERTH_OK)
        return status;
    mount->writable = writable;
    return name_mount(settings, mount) < 0 ? no_memory(reterr) : BERTH_OK;
}

berth_status settings_add_capability(struct settings *settings, const char *text, berth_error **reterr)
{
    static const char flag[] = "--capability";
    const struct settings_table *table = &settings_tables[TABLE_CAPABILITY];
    struct settings_capability *capability;
    cleanup_free char *copy = strdup(text);
    char *rest = NULL;
    if (!copy)
        return no_memory(reterr);
    char *mounts = strchr(copy, '=');
    if (!mounts || mounts == copy || !text_is_utf8(text, strlen(text)))
        return refuse_flag(flag, text, "it must be NAME=MOUNT,MOUNT, as in search=logs", reterr);
    *mounts++ = '\0';
    berth_status status = add_entry(settings, table, flag, &capability, reterr);
    if (status != BERTH_OK)
        return status;
    capability->events = capability->watch = capability->detach = capability->survive_restart = true;
    status = add_key(table, "name", json_string(copy), capability, flag, reterr);
    for (char *name = strtok_r(mounts, ",", &rest); name && status == BERTH_OK;
         name = strtok_r(NULL, ",", &rest))
        status = add_key(table, "mounts", json_string(name), capability, flag, reterr);
    return status;
}
