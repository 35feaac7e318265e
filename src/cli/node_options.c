/* SPDX-License-Identifier: Apache-2.0 */
/* See node_options.h. */
#include "cli/node_options.h"

#include <errno.h>
#include <string.h>

#include "cli/exit_status.h"
#include "cli/file.h"
#include "cli/output.h"

enum {
    TOKEN_FILE_MAX_BYTES = 64 << 10,
    IDENTITY_FILE_MAX_BYTES = 128,
    NODE_IDENTITY_BYTES = 64, /* as `berth serve` keeps it: the first half is Ed25519's */
};

enum {
    OPTION_TO = 4000,
    OPTION_TOKEN,
    OPTION_TOKEN_FILE,
    OPTION_TLS,
    OPTION_TLS_CA,
    OPTION_PLAIN_ANYWHERE,
    OPTION_CERTIFICATE,
    OPTION_KEY,
    OPTION_IDENTITY,
    OPTION_KNOWN_NODES,
    OPTION_NODE,
};

/* clang-format off */
static const struct option rows[] = {
    {.id = OPTION_TO, .name = "to", .argument = "HOST[:PORT]",
     .help = "the node; port 50051 if none is given"},
    {.id = OPTION_TOKEN, .name = "token", .argument = "TOKEN",
     .help = "who calls, as the node's owner gave it out; other users of this machine may see it here"},
    {.id = OPTION_TOKEN_FILE, .name = "token-file", .argument = "FILE", .argument_kind = ARGUMENT_FILE,
     .help = "a file with the token"},
    {.id = OPTION_TLS, .name = "tls", .help = "TLS 1.3, with the authorities of this machine"},
    {.id = OPTION_TLS_CA, .name = "tls-ca", .argument = "FILE", .argument_kind = ARGUMENT_FILE,
     .help = "TLS 1.3, with the authorities in this file only (PEM)"},
    {.id = OPTION_PLAIN_ANYWHERE, .name = "plain-anywhere",
     .help = "send the token without TLS, also to other machines"},
    {.id = OPTION_CERTIFICATE, .name = "certificate", .argument = "FILE", .argument_kind = ARGUMENT_FILE,
     .help = "who calls, as a client certificate (PEM)"},
    {.id = OPTION_KEY, .name = "key", .argument = "FILE", .argument_kind = ARGUMENT_FILE,
     .help = "the certificate's key (PEM)"},
    {.id = OPTION_IDENTITY, .name = "identity", .argument = "FILE", .argument_kind = ARGUMENT_FILE,
     .help = "who calls, as an Ed25519 secret: 32 bytes, or 64 hex digits"},
    {.id = OPTION_KNOWN_NODES, .name = "known-nodes", .argument = "FILE", .argument_kind = ARGUMENT_FILE,
     .help = "where the keys of nodes are remembered"},
    {.id = OPTION_NODE, .name = "node", .argument = "PEER-ID",
     .help = "the node must be this one; nothing is remembered"},
    {0},
};
/* clang-format on */

const struct option_group node_option_group = {"Node", rows};

int node_options_take(struct node_options *options, const struct option *option, const char *value)
{
    switch (option->id) {
    case OPTION_TO:
        options->to = value;
        break;
    case OPTION_TOKEN:
        options->token = value;
        break;
    case OPTION_TOKEN_FILE:
        options->token_file = value;
        break;
    case OPTION_TLS:
        options->tls = true;
        break;
    case OPTION_PLAIN_ANYWHERE:
        options->plain_anywhere = true;
        break;
    case OPTION_TLS_CA:
        options->tls_ca = value;
        break;
    case OPTION_CERTIFICATE:
        options->certificate = value;
        break;
    case OPTION_KEY:
        options->key = value;
        break;
    case OPTION_IDENTITY:
        options->identity_file = value;
        break;
    case OPTION_KNOWN_NODES:
        options->known_nodes = value;
        break;
    case OPTION_NODE:
        options->node = value;
        break;
    default:
        break;
    }
    return STATUS_OK;
}

void node_options_done(struct node_options *options)
{
    if (options->token_text)
        explicit_bzero(options->token_text, strlen(options->token_text));
    free(options->token_text);
    explicit_bzero(options->identity, sizeof(options->identity));
}

/* ---- Files --------------------------------------------------------------------------------------------- */

static int read_secret(const char *what, const char *path, size_t maximum, const struct command *command,
                       char **ret, size_t *ret_length)
{
    cleanup_free char *shown = quoted(path);
    int r = file_read(path, maximum, ret, ret_length);
    if (r == 0)
        return STATUS_OK;
    if (r == -ENOENT || r == -ENOTDIR)
        return usage_error(command, "there is no %s file %s", what, shown ? shown : "");
    message("%s file %s cannot be read: %s", what, shown ? shown : "",
            r == -EFBIG ? "it is too large to be one" : strerror(-r));
    return STATUS_FAILURE;
}

/* The first line, as editors and shells leave one behind the token. */
static int read_token(struct node_options *options, const struct command *command)
{
    cleanup_free char *text = NULL;
    size_t length;
    int status = read_secret("token", options->token_file, TOKEN_FILE_MAX_BYTES, command, &text, &length);
    if (status != STATUS_OK)
        return status;
    while (length > 0 && (text[length - 1] == '\n' || text[length - 1] == '\r' || text[length - 1] == ' '))
        length--;
    options->token_text = strndup(text, length);
    explicit_bzero(text, length);
    options->token = options->token_text;
    return options->token ? STATUS_OK : fail(NULL, STATUS_FAILURE);
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

static bool secret_from_hex(const char *text, uint8_t ret[static CALLER_SECRET_BYTES])
{
    for (size_t i = 0; i < CALLER_SECRET_BYTES; i++) {
        int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        ret[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static int read_identity(struct node_options *options, const struct command *command)
{
    cleanup_free char *text = NULL, *shown = quoted(options->identity_file);
    size_t length;
    int status =
        read_secret("identity", options->identity_file, IDENTITY_FILE_MAX_BYTES, command, &text, &length);
    if (status != STATUS_OK)
        return status;
    bool has_line_end = length == 2 * CALLER_SECRET_BYTES + 1 && text[length - 1] == '\n';
    bool usable = true;
    if ((length != 2 * CALLER_SECRET_BYTES && !has_line_end) || !secret_from_hex(text, options->identity)) {
        usable = length == CALLER_SECRET_BYTES || length == NODE_IDENTITY_BYTES;
        if (usable)
            memcpy(options->identity, text, CALLER_SECRET_BYTES);
    }
    explicit_bzero(text, length);
    if (usable)
        return STATUS_OK;
    return usage_error(command, "identity file %s holds no secret; it is 32 bytes, or 64 hex digits",
                       shown ? shown : "");
}

static const char *from_environment(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

int node_options_complete(struct node_options *options, const struct command *command)
{
    int status = STATUS_OK;
    if (!options->to)
        options->to = from_environment("BERTH_NODE");
    if (!options->to)
        return usage_error(command, "name the node: --to HOST[:PORT], or BERTH_NODE in the environment");
    if (options->token && options->token_file)
        return usage_error(command, "--token and --token-file cannot both say who calls");
    if (options->token_file)
        status = read_token(options, command);
    else if (!options->token && !options->certificate && !options->identity_file)
        options->token = from_environment("BERTH_TOKEN");
    if (status == STATUS_OK && options->identity_file)
        status = read_identity(options, command);
    return status;
}

/* ---- Connecting ---------------------------------------------------------------------------------------- */

berth_status node_connect(const struct node_options *options, berth_client **ret, berth_error **ret_error)
{
    struct berth_client_options client;
    berth_client_options_init(&client);
    client.address = options->to;
    client.token = options->token;
    client.tls = options->tls;
    client.tls_ca = options->tls_ca;
    client.plain_anywhere = options->plain_anywhere;
    client.certificate = options->certificate;
    client.key = options->key;
    client.identity = options->identity_file ? options->identity : NULL;
    client.known_nodes = options->known_nodes;
    client.node = options->node;
    return berth_client_new(&client, ret, ret_error);
}

void node_say_first_use(const struct node_options *options, const berth_client *client)
{
    cleanup_free char *shown = quoted(options->to);
    if (berth_client_first_use(client))
        remark("the node at %s is %s; from now on it must be", shown ? shown : "", berth_client_node(client));
}

int exit_status_of_call(berth_status status, const berth_client *client)
{
    enum { DEADLINE_EXCEEDED = 4 }; /* of gRPC */
    if (status == BERTH_NOT_FOUND)
        return STATUS_NOT_FOUND;
    if (status == BERTH_ENDED && client && berth_client_grpc_status(client) == DEADLINE_EXCEEDED)
        return STATUS_WALL;
    return exit_status_of_error(status);
}
