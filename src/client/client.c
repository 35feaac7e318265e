/* SPDX-License-Identifier: Apache-2.0 */
/* See client.h: connecting, and who is there. */
#include "client/client.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <berth/version.h>

#include "base/text.h"
#include "client/visit_result.h"
#include "wire/berth.pb-c.h"

enum {
    CONNECT_TIMEOUT_MS = 10000,
    UNARY_TIMEOUT_MS = 30000,
    DESCRIPTION_MAX_BYTES = 64 << 10,
    TOKEN_MAX_BYTES = 16 << 10,
    SAFE_TEXT_MAX_BYTES = 4096,
};

char *client_safe_text(const char *string)
{
    struct text text = {0};
    text_append(&text, "");
    text_append_escaped_once(&text, string, strlen(string), SAFE_TEXT_MAX_BYTES);
    return text_take(&text);
}

char *client_string(const ProtobufCBinaryData *bytes)
{
    return bytes->len > 0 ? strndup((const char *)bytes->data, bytes->len) : strdup("");
}

/* ---- Calls --------------------------------------------------------------------------------------------- */

void client_call(berth_client *client, const struct grpc_request *request, struct grpc_answer *ret_answer)
{
    grpc_client_call(client->connection, request, ret_answer);
    client->grpc_status = ret_answer->status;
}

struct refusal_context client_refusal_context(const berth_client *client)
{
    return (struct refusal_context){
        .address = client->address.text,
        .identity = client->identity ? identity_peer_id(client->identity) : NULL,
        .has_credentials = client->has_credentials,
    };
}

struct unary_call {
    const struct unary *unary;
    ProtobufCMessage *answer;
    int failure; /* of message_unpack() */
};

static bool take_answer(void *payload, uint8_t *bytes, size_t size_bytes)
{
    struct unary_call *call = payload;
    call->failure = message_unpack(call->unary->answer, bytes, size_bytes, call->unary->max_fields,
                                   4 * call->unary->max_answer_bytes, &call->answer);
    return true;
}

berth_status client_unary(berth_client *client, const struct unary *unary, ProtobufCMessage **ret,
                          berth_error **reterr)
{
    struct unary_call call = {.unary = unary};
    struct grpc_answer answer;
    size_t size = protobuf_c_message_get_packed_size(unary->request);
    cleanup_free uint8_t *bytes = malloc(size ? size : 1);
    if (!bytes)
        return error_set(reterr, BERTH_NO_MEMORY, "out of memory");
    protobuf_c_message_pack(unary->request, bytes);
    const struct iovec piece = {bytes, size};
    const struct grpc_request request = {
        .path = unary->path,
        .pieces = &piece,
        .n_pieces = 1,
        .timeout_ms = UNARY_TIMEOUT_MS,
        .max_message_bytes = unary->max_answer_bytes,
        .max_messages = 1,
        .message = take_answer,
        .payload = &call,
    };
    client_call(client, &request, &answer);
    if (answer.end == GRPC_END_STATUS && answer.status == GRPC_OK && call.answer) {
        *ret = call.answer;
        return BERTH_OK;
    }
    message_free(call.answer);
    if (call.failure == -ENOMEM)
        return error_set(reterr, BERTH_NO_MEMORY, "out of memory");
    if (call.failure || (answer.end == GRPC_END_STATUS && answer.status == GRPC_OK))
        return error_set(reterr, BERTH_INTERNAL, "the answer of the node at %s to %s means nothing",
                         client->address.text, unary->path);
    const struct refusal_context context = client_refusal_context(client);
    return refusal_error(&context, &answer, reterr);
}

/* ---- Who is there -------------------------------------------------------------------------------------- */

static bool has_size(const ProtobufCBinaryData *bytes, size_t size_bytes)
{
    return bytes->len == size_bytes;
}

static berth_status take_description(berth_client *client, const Berth__V1__DescribeResponse *node,
                                     berth_error **reterr)
{
    struct node_keys keys = {0};
    char peer_id[PEER_ID_CHARACTERS];
    bool first = *client->peer_id == '\0';
    if (!has_size(&node->ed25519_public_key, sizeof(keys.ed25519)) ||
        !has_size(&node->ml_dsa_65_public_key, sizeof(client->ml_dsa_65)) ||
        !has_size(&node->nonce, sizeof(client->nonce)))
        return error_set(reterr, BERTH_INTERNAL, "the node at %s describes itself with keys that are none",
                         client->address.text);
    memcpy(keys.ed25519, node->ed25519_public_key.data, sizeof(keys.ed25519));
    hash_of(node->ml_dsa_65_public_key.data, node->ml_dsa_65_public_key.len, keys.ml_dsa_65_sha256);
    peer_id_of_ed25519(keys.ed25519, peer_id);
    if (strcmp(peer_id, node->peer_id) != 0)
        return error_set(reterr, BERTH_INTERNAL, "the node at %s calls itself by another key than it shows",
                         client->address.text);
    if (!first && memcmp(&keys, &client->keys, sizeof(keys)) != 0)
        return error_set(reterr, BERTH_REFUSED,
                         "the node at %s has changed its keys in the middle of a connection",
                         client->address.text);
    client->keys = keys;
    memcpy(client->ml_dsa_65, node->ml_dsa_65_public_key.data, sizeof(client->ml_dsa_65));
    memcpy(client->peer_id, peer_id, sizeof(peer_id));
    memcpy(client->nonce, node->nonce.data, sizeof(client->nonce));
    client->has_nonce = true;
    client->max_request_bytes = node->max_request_bytes;
    return BERTH_OK;
}

berth_status client_describe(berth_client *client, berth_error **reterr)
{
    cleanup_message ProtobufCMessage *answer = NULL;
    Berth__V1__DescribeRequest request;
    berth__v1__describe_request__init(&request);
    const struct unary unary = {
        .path = "/berth.v1.Node/Describe",
        .request = &request.base,
        .answer = &berth__v1__describe_response__descriptor,
        .max_answer_bytes = DESCRIPTION_MAX_BYTES,
        .max_fields = 64,
    };
    berth_status status = client_unary(client, &unary, &answer, reterr);
    if (status != BERTH_OK)
        return status;
    return take_description(client, (const Berth__V1__DescribeResponse *)answer, reterr);
}

/* ---- Whether it is the right one ----------------------------------------------------------------------- */

static berth_status changed_key(const berth_client *client, const char *file,
                                const struct known_nodes_finding *finding, berth_error **reterr)
{
    char before[PEER_ID_CHARACTERS];
    peer_id_of_ed25519(finding->before.ed25519, before);
    bool same_peer = strcmp(before, client->peer_id) == 0;
    return error_set(
        reterr, BERTH_REFUSED,
        "THE KEY OF THE NODE AT %s HAS CHANGED: it was %s, and now it is %s%s; somebody may be "
        "answering in its place; nothing was sent; if its owner confirms the change, remove line "
        "%zu of %s",
        client->address.text, before, client->peer_id, same_peer ? " with another ML-DSA-65 key" : "",
        finding->line, file);
}

static berth_status check_known_nodes(berth_client *client, const char *path, berth_error **reterr)
{
    struct known_nodes_finding finding;
    cleanup_free char *file = client_safe_text(path);
    if (!file)
        return error_set(reterr, BERTH_NO_MEMORY, "out of memory");
    int r = known_nodes_check(path, client->address.text, &client->keys, &finding);
    switch (r) {
    case 0:
        return BERTH_OK;
    case KNOWN_NODES_ADDED:
        client->first_use = true;
        return BERTH_OK;
    case KNOWN_NODES_CHANGED:
        return changed_key(client, file, &finding, reterr);
    case KNOWN_NODES_UNUSABLE:
        return error_set(reterr, BERTH_INVALID,
                         "line %zu of the known-nodes file %s means nothing; correct it or remove it",
                         finding.line, file);
    default:
        error_set_errno(reterr, r, "the known-nodes file %s cannot be used", file);
        return r == -ENOMEM ? BERTH_NO_MEMORY : BERTH_IO;
    }
}

static berth_status check_node(berth_client *client, const struct berth_client_options *options,
                               berth_error **reterr)
{
    cleanup_free char *default_path = NULL;
    if (options->node) {
        cleanup_free char *wanted = client_safe_text(options->node);
        if (strcmp(options->node, client->peer_id) == 0)
            return BERTH_OK;
        return error_set(reterr, BERTH_REFUSED,
                         "the node at %s is %s, and not %s as it should be; nothing was sent",
                         client->address.text, client->peer_id, wanted ? wanted : "");
    }
    if (options->known_nodes)
        return check_known_nodes(client, options->known_nodes, reterr);
    int r = known_nodes_default_path(&default_path);
    if (r == -ENOENT)
        return error_set(
            reterr, BERTH_INVALID,
            "the node cannot be remembered, because neither XDG_STATE_HOME nor HOME is set; name "
            "a known-nodes file, or the node that it must be");
    if (r < 0)
        return error_set(reterr, BERTH_NO_MEMORY, "out of memory");
    return check_known_nodes(client, default_path, reterr);
}

/* ---- Connecting ---------------------------------------------------------------------------------------- */

/* From now on the node hears who calls; not before, because until here it may have been anyone. The token
 * must not end the header. */
static berth_status authorize(berth_client *client, const char *token, berth_error **reterr)
{
    char *bearer;
    size_t length = token ? strlen(token) : 0;
    if (!token)
        return BERTH_OK;
    if (length == 0 || length > TOKEN_MAX_BYTES)
        return error_set(reterr, BERTH_INVALID,
                         length ? "the token is longer than 16 KiB" : "the token is empty");
    for (size_t i = 0; i < length; i++)
        if (token[i] <= ' ' || token[i] > '~')
            return error_set(
                reterr, BERTH_INVALID,
                "the token has a character that no token has: a space, a line break or no ASCII");
    if (asprintf(&bearer, "Bearer %s", token) < 0)
        return error_set(reterr, BERTH_NO_MEMORY, "out of memory");
    int r = grpc_client_authorize(client->connection, bearer);
    explicit_bzero(bearer, strlen(bearer));
    free(bearer);
    return r < 0 ? error_set(reterr, BERTH_NO_MEMORY, "out of memory") : BERTH_OK;
}

static berth_status connect_to_node(berth_client *client, const struct berth_client_options *options,
                                    berth_error **reterr)
{
    cleanup_free char *reason = NULL;
    struct grpc_client_options how;
    grpc_client_options_init(&how);
    how.host = client->address.host;
    how.port = client->address.port;
    how.tls = client->tls;
    how.user_agent = "berth/" BERTH_VERSION;
    how.connect_timeout_ms = options->connect_timeout_ms ? options->connect_timeout_ms : CONNECT_TIMEOUT_MS;
    int r = grpc_client_new(&how, &client->connection, &reason);
    if (r == 0)
        return BERTH_OK;
    if (r == -ENOMEM)
        return error_set(reterr, BERTH_NO_MEMORY, "out of memory");
    return error_set(reterr, BERTH_IO, "there is no connection to a node at %s: %s", client->address.text,
                     reason ? reason : strerror(-r));
}

static bool wants_tls(const struct berth_client_options *options)
{
    return options->tls || options->tls_ca || options->certificate;
}

static berth_status open_tls(berth_client *client, const struct berth_client_options *options,
                             berth_error **reterr)
{
    if (!options->certificate != !options->key)
        return error_set(reterr, BERTH_INVALID, "a certificate needs its key, and a key its certificate");
    if (!wants_tls(options))
        return BERTH_OK;
    const struct tls_client_options tls = {
        .ca = options->tls_ca, .certificate = options->certificate, .key = options->key};
    return tls_identity_new_client(&tls, &client->tls, reterr);
}

static int open_identity(berth_client *client, const uint8_t *secret)
{
    uint8_t both[IDENTITY_SECRET_BYTES] = {0};
    if (!secret)
        return 0;
    memcpy(both, secret, IDENTITY_SECRET_BYTES / 2);
    int r = identity_new(both, false, &client->identity);
    explicit_bzero(both, sizeof(both));
    return r;
}

/* A socket whose other end is gone must be an error, not the end of the process. */
static void ignore_broken_pipes(void)
{
    struct sigaction action;
    if (sigaction(SIGPIPE, NULL, &action) < 0 || action.sa_handler != SIG_DFL)
        return;
    action.sa_handler = SIG_IGN;
    (void)sigaction(SIGPIPE, &action, NULL);
}

static berth_status open_client(berth_client *client, const struct berth_client_options *options,
                                berth_error **reterr)
{
    if (!options->address || address_read(options->address, &client->address) < 0) {
        cleanup_free char *shown = client_safe_text(options->address ? options->address : "");
        return error_set(reterr, BERTH_INVALID,
                         "'%s' is no address of a node; it is HOST, HOST:PORT or [IPv6]:PORT",
                         shown ? shown : "");
    }
    if (options->token && !options->plain_anywhere && !wants_tls(options) &&
        !address_is_loopback(&client->address))
        return error_set(
            reterr, BERTH_INVALID,
            "the token would cross the network to %s in clear text; use TLS, or insist on plain_anywhere",
            client->address.text);
    client->has_credentials = options->token || options->certificate;
    ignore_broken_pipes();
    if (open_identity(client, options->identity) < 0)
        return error_set(reterr, BERTH_NO_MEMORY, "out of memory");
    berth_status status = open_tls(client, options, reterr);
    if (status == BERTH_OK)
        status = connect_to_node(client, options, reterr);
    if (status == BERTH_OK)
        status = client_describe(client, reterr);
    if (status == BERTH_OK)
        status = check_node(client, options, reterr);
    if (status == BERTH_OK)
        status = authorize(client, options->token, reterr);
    return status;
}

void berth_client_options_init(struct berth_client_options *options)
{
    *options =
        (struct berth_client_options){.size = sizeof(*options), .connect_timeout_ms = CONNECT_TIMEOUT_MS};
}

berth_status berth_client_new(const struct berth_client_options *options, berth_client **ret,
                              berth_error **reterr)
{
    if (!options || options->size != sizeof(*options))
        return error_set(reterr, BERTH_INVALID, "the client options were not initialised");
    berth_client *client = calloc(1, sizeof(*client));
    if (!client)
        return error_set(reterr, BERTH_NO_MEMORY, "out of memory");
    berth_status status = open_client(client, options, reterr);
    if (status != BERTH_OK) {
        berth_client_free(client);
        return status;
    }
    *ret = client;
    return BERTH_OK;
}

void berth_client_free(berth_client *client)
{
    if (!client)
        return;
    grpc_client_free(client->connection);
    tls_identity_unref(client->tls);
    identity_free(client->identity);
    visit_result_free(client->result);
    free(client);
}

const char *berth_client_node(const berth_client *client)
{
    return client->peer_id;
}

bool berth_client_first_use(const berth_client *client)
{
    return client->first_use;
}

int berth_client_grpc_status(const berth_client *client)
{
    return client->grpc_status;
}

void berth_client_cancel(berth_client *client)
{
    grpc_client_cancel(client->connection);
}
