/* SPDX-License-Identifier: Apache-2.0 */
/* See settings_contract.h. */
#include "node/settings/settings_contract.h"

#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"

DEFINE_CLEANUP(berth_contract *, berth_contract_unref)
#define cleanup_contract cleanup(berth_contract_unref_cleanup)

/* Keys that a capability decides on. */
static const char *const others[] = {"grants.mount", "grants.events", "grants.watch"};

static bool is_other(const char *section, const char *name)
{
    cleanup_text struct text path = {0};
    text_append_format(&path, "%s%s%s", section, *section ? "." : "", name);
    for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
        if (path.data && strcmp(path.data, others[i]) == 0)
            return true;
    return false;
}

static berth_status no_memory(berth_error **reterr)
{
    return error_set(reterr, BERTH_NO_MEMORY, "no memory for a contract");
}

static berth_status refuse_other(const char *source, const char *key, berth_error **reterr)
{
    return error_set(
        reterr, BERTH_INVALID,
        "%s: %s has no place in a contract of a node; mounts, events and watching are granted by a "
        "[[capability]]",
        source, key);
}

/* ---- As JSON ----------------------------------------------------------------------------------- */

/* {"value": …, "origin": …} of every key becomes the value here and the origin there. */
static int split_section(json_t *section, const char *name_of_section, json_t *values, json_t *origins)
{
    const char *name;
    json_t *entry;
    int r = 0;
    json_object_foreach(section, name, entry)
    {
        json_t *value = json_object_get(entry, "value");
        if (!value || is_other(name_of_section, name))
            continue;
        r |= json_object_set(values, name, value);
        r |= json_object_set(origins, name, json_object_get(entry, "origin"));
    }
    return r;
}

int settings_contract_write(const berth_contract *contract, json_t **ret, json_t **ret_origins)
{
    static const char *const sections[] = {"limits", "grants"};
    cleanup_free char *explained = NULL;
    cleanup_json json_t *values = json_object();
    cleanup_json json_t *origins = json_object();
    if (berth_contract_explain(contract, BERTH_FORMAT_JSON, &explained, NULL) != BERTH_OK)
        return -ENOMEM;
    cleanup_json json_t *document = json_loads(explained, 0, NULL);
    int r = split_section(document, "", values, origins);
    for (size_t i = 0; i < 2; i++) {
        json_t *values_here = json_object(), *origins_here = json_object();
        r |= split_section(json_object_get(document, sections[i]), sections[i], values_here, origins_here);
        r |= json_object_set_new(values, sections[i], values_here);
        r |= json_object_set_new(origins, sections[i], origins_here);
    }
    if (r || !document)
        return -ENOMEM;
    *ret = take_ptr(values);
    *ret_origins = take_ptr(origins);
    return 0;
}

/* ---- One over another -------------------------------------------------------------------------- */

struct layer {
    berth_contract *contract;
    const char *section;   /* "", "limits", "grants" */
    const json_t *origins; /* of this section; NULL: `origin` for all */
    const char *origin;
};

static berth_status add_env(const struct layer *layer, const json_t *names, berth_error **reterr)
{
    size_t i;
    json_t *name;
    json_array_foreach(names, i, name)
    {
        berth_status status = berth_contract_add_env(layer->contract, json_text(name), layer->origin, reterr);
        if (status != BERTH_OK)
            return status;
    }
    return BERTH_OK;
}

static berth_status set_value(const struct layer *layer, const char *name, const json_t *value,
                              berth_error **reterr)
{
    cleanup_text struct text key = {0};
    cleanup_free char *written = json_is_string(value) ? NULL : json_write(value, 0);
    const char *text = json_is_string(value) ? json_text(value) : written;
    const char *origin = layer->origins ? json_text(json_object_get(layer->origins, name)) : layer->origin;
    if (strcmp(layer->section, "grants") == 0 && strcmp(name, "env") == 0)
        return add_env(layer, value, reterr);
    text_append_format(&key, "%s%s%s", layer->section, *layer->section ? "." : "", name);
    if (!text || key.failed)
        return no_memory(reterr);
    return berth_contract_set(layer->contract, key.data, text, origin ? origin : layer->origin, reterr);
}

/* Sets all values of a document that berth_contract_parse() accepts. */
static berth_status put(const struct layer *layer, json_t *values, berth_error **reterr)
{
    const char *name;
    json_t *value;
    json_object_foreach(values, name, value)
    {
        struct layer inner = *layer;
        inner.section = name;
        inner.origins = layer->origins ? json_object_get(layer->origins, name) : NULL;
        bool is_section = !*layer->section && json_is_object(value);
        berth_status status = is_section ? put(&inner, value, reterr) : set_value(layer, name, value, reterr);
        if (status != BERTH_OK)
            return status;
    }
    return BERTH_OK;
}

/* Whether a document is a contract, and one that belongs here. */
static berth_status check(const json_t *document, const char *source, berth_error **reterr)
{
    cleanup_contract berth_contract *contract = NULL;
    cleanup_free char *text = json_write(document, 0);
    if (!text)
        return no_memory(reterr);
    berth_status status = berth_contract_parse(text, strlen(text), source, &contract, reterr);
    if (status != BERTH_OK)
        return status;
    for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
        if (json_object_get(json_object_get(document, "grants"), others[i] + strlen("grants.")))
            return refuse_other(source, others[i], reterr);
    return BERTH_OK;
}

/* A new contract: what `document` says, and `base` where it says nothing. A list that it names replaces the
 * other. */
static berth_status over(const berth_contract *base, json_t *document, const char *source,
                         berth_contract **ret, berth_error **reterr)
{
    cleanup_contract berth_contract *contract = NULL;
    cleanup_json json_t *values = NULL;
    cleanup_json json_t *origins = NULL;
    berth_status status = check(document, source, reterr);
    if (status == BERTH_OK)
        status = berth_contract_new(&contract, reterr);
    if (status != BERTH_OK)
        return status;
    if (settings_contract_write(base, &values, &origins) < 0)
        return no_memory(reterr);
    if (json_object_get(json_object_get(document, "grants"), "env"))
        json_object_del(json_object_get(values, "grants"), "env");
    status = put(&(struct layer){contract, "", origins, "default"}, values, reterr);
    if (status == BERTH_OK)
        status = put(&(struct layer){contract, "", NULL, source}, document, reterr);
    if (status == BERTH_OK)
        *ret = take_ptr(contract);
    return status;
}

/* ---- In settings ------------------------------------------------------------------------------- */

berth_status settings_contract_set(struct settings *settings, const char *key, const char *value,
                                   const char *origin, berth_error **reterr)
{
    return is_other("", key) ? refuse_other(origin, key, reterr)
                             : berth_contract_set(settings->contract, key, value, origin, reterr);
}

berth_status settings_contract_read(struct settings *settings, json_t *document, const char *source,
                                    berth_error **reterr)
{
    berth_contract *contract;
    berth_status status = over(settings->contract, document, source, &contract, reterr);
    if (status != BERTH_OK)
        return status;
    berth_contract_unref(settings->contract);
    settings->contract = contract;
    return BERTH_OK;
}

static berth_status update(const struct settings *settings, struct settings_principal *principal,
                           berth_error **reterr)
{
    cleanup_contract berth_contract *asked = NULL;
    cleanup_text struct text source = {0};
    berth_contract *contract = NULL;
    if (!principal->contract_document) {
        contract = berth_contract_ref(settings->contract);
    } else {
        text_append_format(&source, "%s: principal %s", principal->origin, principal->name);
        if (source.failed)
            return no_memory(reterr);
        berth_status status =
            over(settings->contract, principal->contract_document, source.data, &asked, reterr);
        if (status == BERTH_OK)
            status = berth_contract_narrow(asked, settings->contract, &contract, reterr);
        if (status != BERTH_OK)
            return status;
    }
    berth_contract_unref(principal->contract);
    principal->contract = contract;
    return BERTH_OK;
}

berth_status settings_contracts_update(struct settings *settings, berth_error **reterr)
{
    for (size_t i = 0; i < settings->n_principals; i++) {
        berth_status status = update(settings, &settings->principals[i], reterr);
        if (status != BERTH_OK)
            return status;
    }
    return BERTH_OK;
}
