/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a node is told to do: listeners, mounts, capabilities, principals, limits, audit, cache, isolation.
 * Plain data, read once by the supervisor from flags and berth.toml, handed to the front as JSON, never
 * changed; a reload makes a new one. Scalar settings are rows of settings.def (key, type, unit, default,
 * doc), from which parser, flags,
 * `--check` and docs/serve.md are made.
 */
#ifndef BERTH_NODE_SETTINGS_H
#define BERTH_NODE_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <berth/contract.h>

#include "base/cleanup.h"

struct settings_listener {
    char *host;
    uint16_t port;
    bool plain_anywhere;     /* h2c also beyond loopback */
    char *certificate, *key; /* PEM files; NULL: no TLS */
    char *client_ca;         /* PEM file; client certificates are asked for and verified */
    bool client_required;
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
};

/* A named set of grants that a caller asks for. */
struct settings_capability {
    char *name;
    char **mounts; /* names of settings_mount */
    size_t n_mounts;
    bool watch;  /* may wait for changes in its mounts */
    bool events; /* may push events */
    bool detach, survive_restart;
};

enum settings_credential_kind {
    CREDENTIAL_TOKEN_SHA256,       /* of a bearer token; 64 hex digits */
    CREDENTIAL_CERTIFICATE_SHA256, /* of a client certificate */
    CREDENTIAL_ED25519,            /* peer id or 64 hex digits of a public key */
    CREDENTIAL_JWT_SUBJECT,        /* `sub` of a JWT that verifies */
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
    berth_contract *contract; /* over the node's own; without mounts, which come from the capability */
    uint32_t concurrency;     /* runs at a time; 0: the node's default */
    uint32_t runs_per_minute; /* 0: the node's default */
    bool once; /* its token is good for one session: the one that is printed at start is not this */
};

struct settings {
#define SETTING_BOOL(group, name, ...)   bool group##_##name;
#define SETTING_NUMBER(group, name, ...) uint64_t group##_##name;
#define SETTING_TEXT(group, name, ...)   char *group##_##name;
#include "node/settings.def"
#undef SETTING_BOOL
#undef SETTING_NUMBER
#undef SETTING_TEXT
    struct settings_listener *listeners;
    size_t n_listeners;
    struct settings_mount *mounts;
    size_t n_mounts;
    struct settings_capability *capabilities;
    size_t n_capabilities;
    struct settings_principal *principals;
    size_t n_principals;
    berth_contract *contract; /* caps everybody */
};

/* The defaults. 0 or -ENOMEM. */
int settings_new(struct settings **ret);
void settings_free(struct settings *settings); /* accepts NULL */
DEFINE_CLEANUP(struct settings *, settings_free)
#define cleanup_settings cleanup(settings_free_cleanup)

/* Reads berth.toml (TOML or JSON) over what is there. Errors: BERTH_INVALID names file, key, what was found
 * and what would be right, and the nearest known key. */
berth_status settings_read(struct settings *settings, const char *text, size_t length_bytes,
                           const char *source, berth_error **reterr);
/* One scalar by key from text, as a flag gives it. */
berth_status settings_set(struct settings *settings, const char *key, const char *value, const char *origin,
                          berth_error **reterr);
/* --mount HOST[::GUEST] and --capability NAME=MOUNT… */
berth_status settings_add_mount(struct settings *settings, const char *text, berth_error **reterr);
berth_status settings_add_capability(struct settings *settings, const char *text, berth_error **reterr);

/* After everything was read: names that refer to nothing, plain listeners beyond loopback, mounts without a
 * directory, principals without a credential. Fills in what follows from the rest (a default listener, a
 * capability with all mounts, if none is named). */
berth_status settings_complete(struct settings *settings, berth_error **reterr);

/* The effective settings: as TOML with origins as comments for `--check`, as JSON for the front and `--json`.
 * No secret is in them but hashes. The caller frees *ret. */
berth_status settings_write(const struct settings *settings, berth_format format, char **ret,
                            berth_error **reterr);

#endif
