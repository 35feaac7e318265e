/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a node is told to do: listeners, mounts, capabilities, principals, limits, audit, cache, isolation.
 * Plain data, read once by the supervisor from flags and berth.toml, handed to the front as JSON, never
 * changed; a reload makes a new one. Scalar settings are rows of settings.def (key, type, unit, default,
 * doc), the tables' keys rows of settings_tables.def; parser, flags, `--check` and docs/serve.md are made
 * from them.
 *
 * All text in it is UTF-8 without NUL, all paths are absolute, and every principal has its contract,
 * whichever function changed it last.
 */
#ifndef BERTH_NODE_SETTINGS_H
#define BERTH_NODE_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <berth/contract.h>

#include "base/cleanup.h"

struct json_t;

enum { SETTINGS_NAME_CHARACTERS = 65 /* of a mount, capability or principal, with the NUL */ };

struct settings_listener {
    char *host; /* an address, "127.0.0.1" or "::1" */
    uint16_t port;
    bool plain_anywhere;     /* h2c also beyond loopback */
    char *certificate, *key; /* PEM files; NULL: no TLS */
    char *client_ca;         /* PEM file; client certificates are asked for and verified */
    bool client_required;
    char *origin; /* "berth.toml", "--listen"; NULL: default. So everywhere */
};

/* A directory that capabilities may show. */
struct settings_mount {
    char *name;  /* "logs" */
    char *host;  /* absolute */
    char *guest; /* where a visitor sees it by default, "/logs" */
    bool writable;
    char **hide;
    size_t n_hide;
    uint64_t quota_bytes;
    char *origin;
};

/* A named set of grants that a caller asks for. */
struct settings_capability {
    char *name;
    char **mounts; /* names of settings_mount */
    size_t n_mounts;
    bool watch;  /* may wait for changes in its mounts */
    bool events; /* may push events */
    bool detach, survive_restart;
    char *origin;
};

enum settings_credential_kind {
    CREDENTIAL_TOKEN_SHA256,       /* of a bearer token; 64 lowercase hex digits */
    CREDENTIAL_CERTIFICATE_SHA256, /* of a client certificate; likewise */
    CREDENTIAL_ED25519,            /* a public key; likewise */
    CREDENTIAL_JWT_SUBJECT,        /* `sub` of a JWT that verifies; "*": any */
};

struct settings_credential {
    enum settings_credential_kind kind;
    char *value;
};

/* Who may call, and what then holds. */
struct settings_principal {
    char *name;
    struct settings_credential *credentials;
    size_t n_credentials;
    char **capabilities; /* names; the first is the default one */
    size_t n_capabilities;
    berth_contract *contract; /* the node's own, narrowed; without mounts, which come from the capability */
    struct json_t *contract_document; /* what was written about it, as contract JSON; may be NULL */
    uint32_t concurrency;             /* runs at a time; 0: the node's default */
    uint32_t runs_per_minute;         /* 0: the node's default */
    bool anyone;                      /* callers without any credential are this one */
    bool once; /* each of its tokens is good for one session: the one that is printed at start is not this */
    char *origin;
};

struct settings {
#define SETTING_BOOL(group, name, ...)   bool group##_##name;
#define SETTING_NUMBER(group, name, ...) uint64_t group##_##name;
#define SETTING_TEXT(group, name, ...)   char *group##_##name;
#define SETTING_PATH(group, name, ...)   char *group##_##name;
#define SETTING_CHOICE(group, name, ...) char *group##_##name;
#include "node/settings/settings.def"
#undef SETTING_BOOL
#undef SETTING_NUMBER
#undef SETTING_TEXT
#undef SETTING_PATH
#undef SETTING_CHOICE
    struct settings_listener *listeners;
    size_t n_listeners;
    struct settings_mount *mounts;
    size_t n_mounts;
    struct settings_capability *capabilities;
    size_t n_capabilities;
    struct settings_principal *principals;
    size_t n_principals;
    berth_contract *contract; /* caps everybody */
    char **origins;           /* of the scalar settings, by row (settings_rows.h); NULL: default */
};

/* The defaults. 0 or -ENOMEM. */
int settings_new(struct settings **ret);
void settings_free(struct settings *settings); /* accepts NULL */
DEFINE_CLEANUP(struct settings *, settings_free)
#define cleanup_settings cleanup(settings_free_cleanup)

/* Reads berth.toml (TOML or JSON, told apart by a '{' at the start; at most 1 MiB) over what is there:
 * scalars are replaced, entries of tables added. `source` is the path of the file, for messages and because
 * paths in the file are relative to its directory. Errors: BERTH_INVALID names file, key, what was found and
 * what would be right, and the nearest known key; the settings may then have changed in part. */
berth_status settings_read(struct settings *settings, const char *text, size_t length_bytes,
                           const char *source, berth_error **reterr);
/* One scalar by key from text, as a flag gives it: "limits.max_runs", or "contract." and a key of a contract.
 * Paths are relative to the working directory. `origin` is copied. */
berth_status settings_set(struct settings *settings, const char *key, const char *value, const char *origin,
                          berth_error **reterr);
/* --listen ADDRESS[:PORT], --mount HOST[::GUEST][::write] and --capability NAME=MOUNT,MOUNT… The capability
 * has all grants: it serves the owner. */
berth_status settings_add_listener(struct settings *settings, const char *text, berth_error **reterr);
berth_status settings_add_mount(struct settings *settings, const char *text, berth_error **reterr);
berth_status settings_add_capability(struct settings *settings, const char *text, berth_error **reterr);

/* After everything was read: names that refer to nothing, plain listeners beyond loopback, mounts without a
 * directory, principals without a credential. Fills in what follows from the rest (a default listener, a
 * capability with all mounts, if none is named). Completing twice is fine. */
berth_status settings_complete(struct settings *settings, berth_error **reterr);

/* The effective settings: as TOML with origins as comments for `--check`, as JSON for the front and `--json`;
 * settings_read() of either gives the same settings. No secret is in them but hashes. The caller frees *ret.
 */
berth_status settings_write(const struct settings *settings, berth_format format, char **ret,
                            berth_error **reterr);

/* "127.0.0.1:50051", "[::1]:50051", "localhost:50051", or without the port. ret_host: with room for 46
 * characters. 0 or -EINVAL. */
int settings_address_read(const char *text, uint16_t default_port, char ret_host[static 46],
                          uint16_t *ret_port);
/* Whether that address can only be reached from this machine. */
bool settings_address_is_loopback(const char *host);

#endif
