/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who we are and whom we trust in TLS: certificate, key and authorities, read once and never changed. A
 * reload makes a new one; connections keep the one that they began with, which is why it is
 * reference-counted. On one thread.
 */
#ifndef BERTH_NET_TLS_H
#define BERTH_NET_TLS_H

#include <stdbool.h>

#include "base/error.h"

struct tls_identity;

/* PEM files. */
struct tls_server_options {
    const char *certificate, *key; /* chain, own certificate first */
    const char *client_ca; /* client certificates are asked for and must be of these; NULL: not asked */
    bool client_required;  /* a client without a certificate is refused */
};

struct tls_client_options {
    const char *ca;                /* the only authorities that are trusted; NULL: the system's */
    const char *certificate, *key; /* our own; NULL: none */
    bool tls12;                    /* TLS 1.2 will do: for servers that are not ours */
};

/* TLS 1.3. BERTH_INVALID, BERTH_NOT_FOUND, BERTH_IO or BERTH_NO_MEMORY, with a sentence that names the
 * file. */
berth_status tls_identity_new_server(const struct tls_server_options *options, struct tls_identity **ret,
                                     berth_error **reterr);
berth_status tls_identity_new_client(const struct tls_client_options *options, struct tls_identity **ret,
                                     berth_error **reterr);

/* One more reference. Whoever is given an identity for longer than a call takes its own. */
struct tls_identity *tls_identity_ref(struct tls_identity *identity);
/* Accepts NULL. */
void tls_identity_unref(struct tls_identity *identity);
DEFINE_CLEANUP(struct tls_identity *, tls_identity_unref)
#define cleanup_tls_identity cleanup(tls_identity_unref_cleanup)

#endif
