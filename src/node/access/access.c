/* SPDX-License-Identifier: Apache-2.0 */
/* See access.h. Making it, what is granted, and budgets; who it is stands in access_authenticate.c. */
#include "node/access/access.h"

#include <fcntl.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "node/access/access_inside.h"
#include "node/settings/settings_contract.h"

DEFINE_CLEANUP(berth_contract *, berth_contract_unref)
#define cleanup_contract cleanup(berth_contract_unref_cleanup)
DEFINE_CLEANUP(struct access *, access_free)

static berth_status no_memory(berth_error **reterr)
{
    return error_set(reterr, BERTH_NO_MEMORY, "no memory for the principals");
}

int access_refuse(struct refusal *refusal, enum grpc_status status, const char *reason, const char *sentence)
{
    *refusal = (struct refusal){.status = status};
    snprintf(refusal->reason, sizeof(refusal->reason), "%s", reason);
    snprintf(refusal->sentence, sizeof(refusal->sentence), "%s", sentence);
    return 1;
}

/* ---- Files ------------------------------------------------------------------------------------- */

/* 0 or a negative errno; -EFBIG beyond JSON_TEXT_MAX_BYTES. */
static int read_file(const char *path, char **ret, size_t *ret_bytes)
{
    cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    cleanup_free char *bytes = malloc(JSON_TEXT_MAX_BYTES + 1);
    size_t n = 0;
    if (fd < 0 || !bytes)
        return fd < 0 ? -errno : -ENOMEM;
    while (n <= JSON_TEXT_MAX_BYTES) {
        ssize_t now = read(fd, bytes + n, JSON_TEXT_MAX_BYTES + 1 - n);
        if (now < 0 && errno != EINTR)
            return -errno;
        if (now == 0)
            break;
        n += now > 0 ? (size_t)now : 0;
    }
    if (n > JSON_TEXT_MAX_BYTES)
        return -EFBIG;
    *ret = take_ptr(bytes);
    *ret_bytes = n;
    return 0;
}

/* The status for what a parser of a file said. */
static berth_status conclude(int r, const char *key, const char *path, const char *message,
                             berth_error **reterr)
{
    cleanup_text struct text shown = {0};
    if (r == 0)
        return BERTH_OK;
    text_append_escaped(&shown, path, strlen(path), 200);
    if (r == -ENOMEM || shown.failed)
        return no_memory(reterr);
    if (message)
        return error_set(reterr, BERTH_INVALID, "%s: %s: %s", key, shown.data, message);
    return error_set_errno(reterr, r, "%s: %s", key, shown.data);
}

static berth_status read_revocations(struct access *access, berth_error **reterr)
{
    const char *path = access->settings->jwt_revoked;
    cleanup_free char *text = NULL;
    cleanup_free char *message = NULL;
    size_t size_bytes;
    if (!path)
        return BERTH_OK;
    int r = read_file(path, &text, &size_bytes);
    if (r == 0)
        r = revocations_parse(text, size_bytes, &access->revoked, &message);
    return conclude(r, "jwt.revoked", path, message, reterr);
}

const char *access_jwks_url(const struct access *access)
{
    const char *keys = access->settings->jwt_keys;
    return keys && *keys != '/' ? keys : NULL;
}

static berth_status set_keys(struct access *access, const char *json, size_t size_bytes, const char *source,
                             berth_error **reterr)
{
    cleanup_free char *message = NULL;
    struct jwt_keys *keys;
    int r = jwt_keys_parse(json, size_bytes, &keys, &message);
    if (r < 0)
        return conclude(r, "jwt.keys", source, message, reterr);
    jwt_keys_unref(access->jwt_keys);
    access->jwt_keys = keys;
    return BERTH_OK;
}

berth_status access_set_jwks(struct access *access, const char *json, size_t size_bytes, berth_error **reterr)
{
    return set_keys(access, json, size_bytes, access->settings->jwt_keys ? access->settings->jwt_keys : "",
                    reterr);
}

/* From a file now; those of a URL are kept over a reload until they are fetched again. */
static berth_status read_keys(struct access *access, const struct access *old, berth_error **reterr)
{
    const char *path = access->settings->jwt_keys, *url = access_jwks_url(access);
    cleanup_free char *text = NULL;
    size_t size_bytes;
    if (!path)
        return BERTH_OK;
    if (url) {
        const char *old_url = old ? access_jwks_url(old) : NULL;
        access->jwt_keys = old_url && strcmp(old_url, url) == 0 ? jwt_keys_ref(old->jwt_keys) : NULL;
        return BERTH_OK;
    }
    int r = read_file(path, &text, &size_bytes);
    return r < 0 ? conclude(r, "jwt.keys", path, NULL, reterr)
                 : set_keys(access, text, size_bytes, path, reterr);
}

/* ---- Life -------------------------------------------------------------------------------------- */

static const struct settings_capability *find_capability(const struct settings *settings, const char *name)
{
    for (size_t i = 0; i < settings->n_capabilities; i++)
        if (strcmp(settings->capabilities[i].name, name) == 0)
            return &settings->capabilities[i];
    return NULL;
}

static int make_policy(struct access *access, const struct settings_principal *principal,
                       struct policy *policy)
{
    policy->settings = principal;
    policy->grants = calloc(principal->n_capabilities, sizeof(*policy->grants));
    if (!policy->grants)
        return -ENOMEM;
    for (size_t i = 0; i < principal->n_capabilities; i++) {
        policy->grants[i].settings = find_capability(access->settings, principal->capabilities[i]);
        if (!policy->grants[i].settings)
            return -EINVAL;
        policy->grants[i].capability = policy->grants[i].settings->name;
    }
    for (size_t i = 0; i < principal->n_credentials; i++)
        policy->any_subject |= principal->credentials[i].kind == CREDENTIAL_JWT_SUBJECT &&
                               strcmp(principal->credentials[i].value, "*") == 0;
    if (principal->anyone)
        access->anyone = policy;
    return 0;
}

static int make(const struct settings *settings, const uint8_t *node_public_key, struct access *old,
                struct access **ret)
{
    cleanup(access_free_cleanup) struct access *access = calloc(1, sizeof(*access));
    if (!access)
        return -ENOMEM;
    access->settings = settings;
    memcpy(access->node_public_key, node_public_key, sizeof(access->node_public_key));
    access->policies = calloc(settings->n_principals + 1, sizeof(*access->policies));
    int r = access->policies ? credential_index_new(settings, &access->credentials) : -ENOMEM;
    for (size_t i = 0; i < settings->n_principals && r == 0; i++)
        r = make_policy(access, &settings->principals[i], &access->policies[i]);
    if (r == 0 && !old)
        r = principal_store_new(&access->store);
    if (r < 0)
        return r;
    if (old) {
        access->store = old->store;
        access->store->references++;
    }
    access->generation = ++access->store->generations;
    *ret = take_ptr(access);
    return 0;
}

berth_status access_new(const struct settings *settings, const uint8_t *node_public_key, struct access *old,
                        struct access **ret, berth_error **reterr)
{
    cleanup(access_free_cleanup) struct access *access = NULL;
    int r = make(settings, node_public_key, old, &access);
    if (r == -EINVAL)
        return error_set(reterr, BERTH_INTERNAL, "the settings of a principal are not complete");
    if (r < 0)
        return error_set_errno(reterr, r, "the principals");
    berth_status status = read_revocations(access, reterr);
    if (status == BERTH_OK)
        status = read_keys(access, old, reterr);
    if (status == BERTH_OK)
        *ret = take_ptr(access);
    return status;
}

void access_free(struct access *access)
{
    if (!access)
        return;
    for (size_t i = 0; access->policies && i < access->settings->n_principals; i++) {
        struct policy *policy = &access->policies[i];
        for (size_t j = 0; policy->grants && j < policy->settings->n_capabilities; j++)
            berth_contract_unref(policy->grants[j].contract);
        free(policy->grants);
    }
    free(access->policies);
    credential_index_free(access->credentials);
    revocations_free(access->revoked);
    jwt_keys_unref(access->jwt_keys);
    principal_store_unref(access->store);
    free(access);
}

bool access_admits_anyone(const struct access *access)
{
    return access->anyone != NULL;
}

/* ---- Principals -------------------------------------------------------------------------------- */

static const struct policy *find_policy(const struct access *access, const char *name)
{
    size_t length = strcspn(name, "/");
    for (size_t i = 0; i < access->settings->n_principals; i++) {
        const struct policy *policy = &access->policies[i];
        if (strncmp(policy->settings->name, name, length) == 0 && policy->settings->name[length] == '\0')
            return name[length] == '\0' || policy->any_subject ? policy : NULL;
    }
    return NULL;
}

const struct policy *access_policy_of(const struct access *access, struct principal *principal)
{
    if (principal->generation != access->generation) {
        principal->policy = find_policy(access, principal->name);
        principal->generation = access->generation;
    }
    return principal->policy;
}

struct principal *access_principal(struct access *access, const char *name)
{
    struct principal *principal;
    if (!find_policy(access, name) || principal_store_find(access->store, name, &principal) != 0)
        return NULL;
    return principal;
}

/* ---- Grants ------------------------------------------------------------------------------------ */

static bool has_quota(const struct berth_grants *grants)
{
    for (size_t i = 0; i < grants->n_mounts; i++)
        if (grants->mounts[i].writable && grants->mounts[i].quota_bytes)
            return true;
    return false;
}

static berth_status make_contract(const struct access *access, const struct policy *policy,
                                  struct grant *grant)
{
    cleanup_contract berth_contract *contract = NULL;
    berth_contract *own = policy->settings->contract;
    const struct settings_capability *capability = grant->settings;
    berth_status status = berth_contract_narrow(own, own, &contract, NULL); /* a copy */
    if (status == BERTH_OK)
        status = settings_capability_add_mounts(access->settings, capability, contract, NULL);
    if (status == BERTH_OK)
        status = berth_contract_set(contract, "grants.events", capability->events ? "true" : "false",
                                    capability->origin, NULL);
    if (status == BERTH_OK)
        status = berth_contract_set(contract, "grants.watch", capability->watch ? "true" : "false",
                                    capability->origin, NULL);
    if (status != BERTH_OK)
        return status;
    grant->exclusive = has_quota(berth_contract_grants(contract));
    grant->contract = take_ptr(contract);
    return BERTH_OK;
}

int access_grant(struct access *access, struct principal *principal, const char *capability,
                 const struct grant **ret, struct refusal *ret_refusal)
{
    const struct policy *policy = access_policy_of(access, principal);
    struct grant *grant = NULL;
    for (size_t i = 0; policy && i < policy->settings->n_capabilities && !grant; i++)
        if (*capability == '\0' || strcmp(policy->grants[i].capability, capability) == 0)
            grant = &policy->grants[i];
    if (!grant)
        return access_refuse(ret_refusal, GRPC_PERMISSION_DENIED, "capability",
                             "the capability does not exist or is not granted to this caller");
    if (!grant->contract && make_contract(access, policy, grant) != BERTH_OK)
        return -ENOMEM;
    *ret = grant;
    return 0;
}

/* ---- Budgets ----------------------------------------------------------------------------------- */

static int refuse_rate(struct refusal *refusal, const char *what, const struct token_bucket *bucket,
                       uint64_t rate, uint64_t now_ns)
{
    struct token_bucket copy = *bucket;
    uint64_t wait_ms = token_bucket_wait_ns(&copy, rate, now_ns) / NS_PER_MS + 1;
    access_refuse(refusal, GRPC_RESOURCE_EXHAUSTED, "rate", "");
    snprintf(refusal->sentence, sizeof(refusal->sentence),
             "too many %s: %llu a minute are allowed; try again in %llu ms", what, (unsigned long long)rate,
             (unsigned long long)wait_ms);
    return 1;
}

int access_charge_handshake(struct access *access, struct principal *principal, const char *address,
                            uint64_t now_ns, struct refusal *ret_refusal)
{
    const struct settings *settings = access->settings;
    struct address *from = address_table_find(access->store->addresses, address);
    if (!token_bucket_take(&from->handshakes, settings->limits_handshakes_per_address, now_ns))
        return refuse_rate(ret_refusal, "handshakes from this address", &from->handshakes,
                           settings->limits_handshakes_per_address, now_ns);
    if (!token_bucket_take(&principal->handshakes, settings->limits_handshakes_per_minute, now_ns))
        return refuse_rate(ret_refusal, "handshakes", &principal->handshakes,
                           settings->limits_handshakes_per_minute, now_ns);
    if (!principal->shows_once)
        return 0;
    principal->shows_once = false;
    if (principal_store_is_used(access->store, principal->once_sha256))
        return access_refuse(ret_refusal, GRPC_UNAUTHENTICATED, "used token",
                             "the bearer token is not valid");
    return principal_store_use(access->store, principal->once_sha256);
}

int access_begin_run(struct access *access, struct principal *principal, uint64_t now_ns,
                     struct refusal *ret_refusal)
{
    const struct settings *settings = access->settings;
    const struct policy *policy = access_policy_of(access, principal);
    if (!policy)
        return access_refuse(ret_refusal, GRPC_PERMISSION_DENIED, "principal",
                             "the capability does not exist or is not granted to this caller");
    const uint64_t concurrency =
        policy->settings->concurrency ? policy->settings->concurrency : settings->limits_concurrency;
    const uint64_t rate = policy->settings->runs_per_minute ? policy->settings->runs_per_minute
                                                            : settings->limits_runs_per_minute;
    if (principal->running >= concurrency)
        return access_refuse(ret_refusal, GRPC_RESOURCE_EXHAUSTED, "concurrency",
                             "too many runs of this caller at a time; try again when one has ended");
    if (access->store->running >= settings->limits_max_runs)
        return access_refuse(ret_refusal, GRPC_RESOURCE_EXHAUSTED, "max_runs",
                             "too many runs on this node at a time; try again later");
    if (!token_bucket_take(&principal->runs, rate, now_ns))
        return refuse_rate(ret_refusal, "runs", &principal->runs, rate, now_ns);
    principal->running++;
    access->store->running++;
    return 0;
}

void access_end_run(struct access *access, struct principal *principal)
{
    if (principal->running == 0) /* it was taken over from an earlier front without a place */
        return;
    principal->running--;
    access->store->running--;
}
