/* SPDX-License-Identifier: Apache-2.0 */
/* The contract object: defaults, ownership, lists, origins. See contract.h. */
#include "contract/contract.h"

#include <string.h>

#include "base/error.h"
#include "base/json.h"

static const char default_origin[] = "default";

static int set_defaults(berth_contract *contract)
{
    for (size_t i = 0; i < CONTRACT_KEYS; i++) {
        const struct contract_key *key = &contract_keys[i];
        uint64_t value;
        contract->origins[i] = default_origin;
        if (key->section == SECTION_MOUNT || !contract_key_is_scalar(key))
            continue;
        cleanup_json json_t *written = json_loads(key->default_text, JSON_DECODE_ANY, NULL);
        if (!written || !contract_key_read(key, written, &value))
            return -ENOMEM; /* the rows themselves are tested */
        contract_key_set(key, contract, value);
    }
    return 0;
}

berth_status berth_contract_new(berth_contract **ret, berth_error **reterr)
{
    cleanup_contract berth_contract *contract = calloc(1, sizeof(*contract));
    if (!contract)
        return error_set(reterr, BERTH_NO_MEMORY, "no memory for a contract");
    atomic_init(&contract->references, 1);
    int r = set_defaults(contract);
    if (r < 0)
        return error_set_errno(reterr, r, "a contract with the defaults");
    *ret = take_ptr(contract);
    return BERTH_OK;
}

berth_contract *berth_contract_ref(berth_contract *contract)
{
    atomic_fetch_add_explicit(&contract->references, 1, memory_order_relaxed);
    return contract;
}

static void contract_free(berth_contract *contract)
{
    for (size_t i = 0; i < contract->grants.n_env; i++)
        free(contract->env[i]);
    for (size_t i = 0; i < contract->grants.n_mounts; i++)
        free(contract->mount_memory[i].strings);
    for (size_t i = 0; i < contract->n_origin_strings; i++)
        free(contract->origin_strings[i]);
    free(contract->env);
    free(contract->env_origins);
    free(contract->mounts);
    free(contract->mount_memory);
    free(contract->origin_strings);
    free(contract);
}

void berth_contract_unref(berth_contract *contract)
{
    if (contract && atomic_fetch_sub_explicit(&contract->references, 1, memory_order_acq_rel) == 1)
        contract_free(contract);
}

const struct berth_limits *berth_contract_limits(const berth_contract *contract)
{
    return &contract->limits;
}

const struct berth_grants *berth_contract_grants(const berth_contract *contract)
{
    return &contract->grants;
}

bool berth_contract_deterministic(const berth_contract *contract)
{
    return contract->deterministic;
}

const char *contract_origin(const berth_contract *contract, const char *path)
{
    const struct contract_key *key = contract_key_find(path);
    return key ? contract->origins[key - contract_keys] : NULL;
}

char *contract_line(const char *path, uint64_t value)
{
    const struct contract_key *key = contract_key_find(path);
    cleanup_text struct text line = {0};
    if (!key || !contract_key_is_scalar(key))
        return NULL;
    if (key->kind == KIND_NUMBER) {
        uint64_t unit = value > key->per_unit ? key->per_unit : key->step;
        uint64_t above = value % unit;
        if (value >= key->maximum)
            value = key->maximum;
        else if (above)
            value += unit - above;
        if (value < key->minimum && !(key->zero_is_off && value == 0))
            value = key->minimum;
    }
    text_append_format(&line, "%s = ", key->name);
    contract_key_append_value(key, value, &line);
    return text_take(&line);
}

/* Room for one more element after `n`; the list stays valid on failure. */
static int grow(void *list_pointer, size_t n, size_t element_size)
{
    void **list = list_pointer;
    void *grown = reallocarray(*list, n + 1, element_size);
    if (!grown)
        return -ENOMEM;
    *list = grown;
    return 0;
}

const char *contract_intern_origin(berth_contract *contract, const char *origin)
{
    cleanup_text struct text safe = {0};
    if (!origin || strcmp(origin, default_origin) == 0)
        return default_origin;
    text_append_escaped(&safe, origin, strlen(origin), CONTRACT_ORIGIN_MAX_BYTES);
    cleanup_free char *interned = text_take(&safe);
    if (!interned)
        return NULL;
    for (size_t i = 0; i < contract->n_origin_strings; i++)
        if (strcmp(contract->origin_strings[i], interned) == 0)
            return contract->origin_strings[i];
    if (grow(&contract->origin_strings, contract->n_origin_strings, sizeof(char *)) < 0)
        return NULL;
    return contract->origin_strings[contract->n_origin_strings++] = take_ptr(interned);
}

void contract_append_quoted(struct text *text, const char *string)
{
    text_append(text, "\"");
    text_append_escaped(text, string, strlen(string), CONTRACT_FOUND_MAX_BYTES);
    text_append(text, "\"");
}

static bool is_env_name(const char *name)
{
    size_t length = strlen(name);
    if (length == 0 || length > CONTRACT_NAME_MAX_BYTES || !text_is_utf8(name, length))
        return false;
    for (const char *c = name; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f || *c == '=')
            return false;
    return true;
}

int contract_add_env(berth_contract *contract, const char *name, const char *origin, struct text *problem)
{
    size_t n = contract->grants.n_env;
    if (!name || !is_env_name(name)) {
        text_append(problem, "grants.env has ");
        contract_append_quoted(problem, name ? name : "");
        text_append_format(
            problem, "; a name has 1 to %d printable characters and no \"=\" (values come with the run)",
            CONTRACT_NAME_MAX_BYTES);
        return CONTRACT_INVALID;
    }
    for (size_t i = 0; i < n; i++)
        if (strcmp(contract->env[i], name) == 0)
            return 0;
    if (n == CONTRACT_ENV_MAX) {
        text_append_format(problem, "grants.env has more than %d names; it must have fewer",
                           CONTRACT_ENV_MAX);
        return CONTRACT_INVALID;
    }
    cleanup_free char *copy = strdup(name);
    const char *interned = contract_intern_origin(contract, origin);
    if (!copy || !interned || grow(&contract->env, n, sizeof(*contract->env)) < 0 ||
        grow(&contract->env_origins, n, sizeof(*contract->env_origins)) < 0)
        return -ENOMEM;
    contract->env[n] = take_ptr(copy);
    contract->env_origins[n] = interned;
    contract->grants.env = (const char *const *)contract->env;
    contract->grants.n_env = n + 1;
    contract->origins[KEY_GRANTS_env] = interned;
    return 0;
}

static bool has_mount(const berth_contract *contract, const char *guest)
{
    for (size_t i = 0; i < contract->grants.n_mounts; i++)
        if (strcmp(contract->mounts[i].guest, guest) == 0)
            return true;
    return false;
}

int contract_add_mount(berth_contract *contract, const struct berth_mount *mount, const char *origin,
                       struct text *problem)
{
    size_t n = contract->grants.n_mounts;
    struct berth_mount copy;
    cleanup_free void *strings = NULL;
    int r = contract_mount_check(mount, problem);
    if (r)
        return r;
    r = contract_mount_copy(mount, &copy, &strings);
    if (r < 0)
        return r;
    if (has_mount(contract, copy.guest)) {
        text_append(problem, "grants.mount.guest is ");
        contract_append_quoted(problem, copy.guest);
        text_append(problem, " in two mounts; each needs a path of its own");
        return CONTRACT_INVALID;
    }
    if (n == CONTRACT_MOUNTS_MAX) {
        text_append_format(problem, "grants.mount has more than %d mounts; it must have fewer",
                           CONTRACT_MOUNTS_MAX);
        return CONTRACT_INVALID;
    }
    const char *interned = contract_intern_origin(contract, origin);
    if (!interned || grow(&contract->mounts, n, sizeof(*contract->mounts)) < 0)
        return -ENOMEM;
    contract->grants.mounts = contract->mounts;
    if (grow(&contract->mount_memory, n, sizeof(*contract->mount_memory)) < 0)
        return -ENOMEM;
    contract->mounts[n] = copy;
    contract->mount_memory[n] = (struct contract_mount_memory){take_ptr(strings), interned};
    contract->grants.n_mounts = n + 1;
    contract->origins[KEY_GRANTS_mount] = interned;
    return 0;
}

berth_status contract_conclude(int result, const char *source, const struct text *problem,
                               berth_error **reterr)
{
    cleanup_text struct text safe = {0};
    if (result == 0)
        return BERTH_OK;
    if (result < 0 || problem->failed)
        return error_set(reterr, BERTH_NO_MEMORY, "no memory for a contract");
    text_append_escaped(&safe, source ? source : "contract", strlen(source ? source : "contract"),
                        CONTRACT_ORIGIN_MAX_BYTES);
    return error_set(reterr, BERTH_INVALID, "%s: %s", safe.data ? safe.data : "contract", problem->data);
}

berth_status berth_contract_add_mount(berth_contract *contract, const struct berth_mount *mount,
                                      const char *origin, berth_error **reterr)
{
    cleanup_text struct text problem = {0};
    return contract_conclude(contract_add_mount(contract, mount, origin, &problem), origin, &problem, reterr);
}

berth_status berth_contract_add_env(berth_contract *contract, const char *name, const char *origin,
                                    berth_error **reterr)
{
    cleanup_text struct text problem = {0};
    return contract_conclude(contract_add_env(contract, name, origin, &problem), origin, &problem, reterr);
}
