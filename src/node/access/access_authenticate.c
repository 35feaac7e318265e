/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From credentials to a principal. Every kind has one function, which answers 0 and the index of a principal,
 * 1 and a refusal, or a negative errno. What the answer to a wrong credential tells is no more than that it
 * is wrong; why goes to the log, and to those whose token was signed by a key that is trusted here.
 */
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "node/access/access_inside.h"
#include "node/access/jwt.h"

struct finding {
    const struct access *access;
    const struct credentials *credentials;
    int64_t now_s;
    const struct policy *policy;             /* NULL: not known yet */
    char subject[JWT_SUBJECT_MAX_BYTES + 1]; /* of a principal that stands for many; "": it does not */
    const char *token;                       /* in the authorization header */
    uint8_t token_sha256[HASH_BYTES];
    struct refusal *refusal;
};

static int refuse(const struct finding *finding, const char *reason, const char *sentence)
{
    return access_refuse(finding->refusal, GRPC_UNAUTHENTICATED, reason, sentence);
}

/* Two credentials of two principals are a mistake or worse. */
static int found(struct finding *finding, ptrdiff_t principal)
{
    const struct policy *policy = &finding->access->policies[principal];
    if (finding->policy && finding->policy != policy)
        return refuse(finding, "two principals", "the credentials are those of two principals");
    finding->policy = policy;
    return 0;
}

/* ---- Bearer tokens ----------------------------------------------------------------------------- */

/* RFC 6750, section 2.1: the scheme in any case, one or more spaces, and a token of these characters. */
static bool read_bearer(const char *header, const char **ret_token)
{
    static const char scheme[] = "Bearer";
    static const char characters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/=";
    size_t length = strlen(scheme);
    if (strncasecmp(header, scheme, length) != 0 || header[length] != ' ')
        return false;
    const char *token = header + length + strspn(header + length, " ");
    size_t token_length = strnlen(token, JWT_MAX_BYTES + 1);
    *ret_token = token;
    return token_length > 0 && token_length <= JWT_MAX_BYTES && strspn(token, characters) == token_length;
}

/* Whether a subject may be part of a principal's name, which goes to logs, records and receipts. */
static bool is_printable(const char *subject)
{
    for (; *subject; subject++)
        if (*subject <= 0x20 || *subject >= 0x7f || *subject == '\\' || *subject == '"')
            return false;
    return true;
}

static int find_subject(struct finding *finding, const char *subject)
{
    const struct credential_index *index = finding->access->credentials;
    ptrdiff_t principal = credential_index_find(index, CREDENTIAL_JWT_SUBJECT, subject, strlen(subject));
    if (principal >= 0 && strcmp(subject, "*") != 0)
        return found(finding, principal);
    principal = credential_index_find(index, CREDENTIAL_JWT_SUBJECT, "*", 1);
    if (principal < 0 || !is_printable(subject))
        return refuse(finding, "unknown subject", "the subject of the bearer token is not known here");
    memcpy(finding->subject, subject, strlen(subject) + 1);
    return found(finding, principal);
}

static int check_jwt(struct finding *finding)
{
    const struct settings *settings = finding->access->settings;
    const struct jwt_expected expected = {
        .issuer = settings->jwt_issuer,
        .audience = settings->jwt_audience,
        .scope = settings->jwt_scope,
        .now_s = finding->now_s,
        .leeway_s = (int64_t)settings->jwt_leeway_seconds,
    };
    struct jwt_claims claims;
    char sentence[128];
    if (!finding->access->jwt_keys)
        return access_refuse(finding->refusal, GRPC_UNAVAILABLE, "no keys",
                             "the keys for bearer tokens have not been fetched yet; try again");
    int r = jwt_verify(finding->access->jwt_keys, finding->token, &expected, &claims);
    if (r == 0)
        return find_subject(finding, claims.subject);
    if (r < 0)
        return r;
    const char *name = jwt_outcome_name((enum jwt_outcome)r);
    if (r == JWT_NO_SCOPE) {
        snprintf(sentence, sizeof(sentence), "the bearer token lacks the scope %.80s", settings->jwt_scope);
        return access_refuse(finding->refusal, GRPC_PERMISSION_DENIED, name, sentence);
    }
    snprintf(sentence, sizeof(sentence), "the bearer token is not valid%s%s",
             r > JWT_WRONG_SIGNATURE ? ": " : "", r > JWT_WRONG_SIGNATURE ? name : "");
    return refuse(finding, name, sentence);
}

static int check_token(struct finding *finding)
{
    const struct access *access = finding->access;
    if (!finding->token)
        return refuse(finding, "malformed token", "the authorization header must be \"Bearer\" and a token");
    if (revocations_have(access->revoked, finding->token_sha256))
        return refuse(finding, "revoked token", "the bearer token is not valid");
    ptrdiff_t principal = credential_index_find(access->credentials, CREDENTIAL_TOKEN_SHA256,
                                                finding->token_sha256, HASH_BYTES);
    if (principal < 0)
        return access->settings->jwt_keys && jwt_looks_like(finding->token)
                   ? check_jwt(finding)
                   : refuse(finding, "unknown token", "the bearer token is not valid");
    if (access->policies[principal].settings->once &&
        principal_store_is_used(access->store, finding->token_sha256))
        return refuse(finding, "used token", "the bearer token is not valid");
    return found(finding, principal);
}

/* ---- Keys -------------------------------------------------------------------------------------- */

static int check_proof(struct finding *finding)
{
    const struct credentials *shown = finding->credentials;
    uint8_t bytes[IDENTITY_PROOF_BYTES];
    ptrdiff_t principal = credential_index_find(finding->access->credentials, CREDENTIAL_ED25519,
                                                shown->proof_public_key, ED25519_PUBLIC_KEY_BYTES);
    if (principal < 0)
        return refuse(finding, "unknown key", "the identity proof is not valid");
    identity_proof_bytes(shown->proof_nonce, finding->access->node_public_key,
                         shown->capability ? shown->capability : "", bytes);
    if (!ed25519_verify(shown->proof_public_key, bytes, sizeof(bytes), shown->proof_signature))
        return refuse(finding, "wrong proof", "the identity proof is not valid");
    return found(finding, principal);
}

/* A certificate may be there for the connection alone: unknown, it only counts if nothing else is shown. */
static int check_certificate(struct finding *finding, bool alone)
{
    ptrdiff_t principal = credential_index_find(finding->access->credentials, CREDENTIAL_CERTIFICATE_SHA256,
                                                finding->credentials->certificate_sha256, HASH_BYTES);
    if (principal >= 0)
        return found(finding, principal);
    return alone ? refuse(finding, "unknown certificate", "the client certificate is not known here") : 0;
}

/* ---- All --------------------------------------------------------------------------------------- */

/* Names what is shown, for an address to remember; 0: nothing. */
static uint64_t fingerprint_of(const struct finding *finding)
{
    const struct credentials *shown = finding->credentials;
    uint8_t digest[HASH_BYTES];
    uint64_t fingerprint;
    struct hash hash;
    hash_init(&hash);
    hash_add(&hash, finding->access->store->seed, sizeof(finding->access->store->seed));
    if (finding->token)
        hash_add(&hash, finding->token_sha256, HASH_BYTES);
    else if (shown->proof_public_key)
        hash_add(&hash, shown->proof_public_key, ED25519_PUBLIC_KEY_BYTES);
    else if (shown->certificate_sha256)
        hash_add(&hash, shown->certificate_sha256, HASH_BYTES);
    else
        return 0;
    hash_end(&hash, digest);
    memcpy(&fingerprint, digest, sizeof(fingerprint));
    return fingerprint;
}

static int check_all(struct finding *finding)
{
    const struct credentials *shown = finding->credentials;
    bool others = shown->authorization || shown->proof_public_key;
    int r = 0;
    if (shown->proof_public_key)
        r = check_proof(finding);
    if (r == 0 && shown->authorization)
        r = check_token(finding);
    if (r == 0 && shown->certificate_sha256)
        r = check_certificate(finding, !others);
    if (r == 0 && !finding->policy && !finding->access->anyone)
        return refuse(finding, "no credential",
                      "this node asks for a bearer token, a client certificate or an identity proof");
    return r;
}

static int take_principal(struct finding *finding, struct principal **ret)
{
    const struct policy *policy = finding->policy ? finding->policy : finding->access->anyone;
    char name[SETTINGS_NAME_CHARACTERS + JWT_SUBJECT_MAX_BYTES + 1];
    snprintf(name, sizeof(name), "%s%s%s", policy->settings->name, *finding->subject ? "/" : "",
             finding->subject);
    int r = principal_store_find(finding->access->store, name, ret);
    if (r == 1)
        return access_refuse(finding->refusal, GRPC_RESOURCE_EXHAUSTED, "principals",
                             "this node knows too many callers; try again later");
    if (r < 0)
        return r;
    (*ret)->shows_once = policy->settings->once && finding->token;
    if ((*ret)->shows_once)
        memcpy((*ret)->once_sha256, finding->token_sha256, HASH_BYTES);
    return 0;
}

int access_authenticate(struct access *access, const struct credentials *credentials, uint64_t now_ns,
                        int64_t now_s, struct principal **ret, struct refusal *ret_refusal)
{
    struct address *from = address_table_find(access->store->addresses, credentials->address);
    const uint64_t rate = access->settings->limits_failures_per_address;
    struct finding finding = {
        .access = access, .credentials = credentials, .now_s = now_s, .refusal = ret_refusal};
    bool shows =
        credentials->authorization || credentials->proof_public_key || credentials->certificate_sha256;
    if (credentials->authorization && !read_bearer(credentials->authorization, &finding.token))
        finding.token = NULL;
    if (finding.token)
        hash_of(finding.token, strlen(finding.token), finding.token_sha256);
    uint64_t fingerprint = fingerprint_of(&finding);
    if (shows && !token_bucket_has(&from->failures, rate, now_ns) && !address_has_proven(from, fingerprint))
        return access_refuse(ret_refusal, GRPC_RESOURCE_EXHAUSTED, "rate",
                             "too many wrong credentials from this address; try again later");
    int r = check_all(&finding);
    if (r == 1 && shows && ret_refusal->status == GRPC_UNAUTHENTICATED)
        token_bucket_take(&from->failures, rate, now_ns);
    if (r == 0)
        r = take_principal(&finding, ret);
    if (r == 0 && shows)
        address_prove(from, fingerprint);
    return r;
}
