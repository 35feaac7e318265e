/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One TLS connection without a socket: ciphertext goes in, ciphertext to send comes out in a queue. GnuTLS
 * underneath. Every function that returns a negative number leaves a sentence in tls_session_error().
 */
#ifndef BERTH_NET_TLS_SESSION_H
#define BERTH_NET_TLS_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <gnutls/gnutls.h>

#include "net/byte_queue.h"
#include "net/tls.h"

struct tls_session;

enum { TLS_DONE = 0, TLS_WANTS_INPUT = 1, TLS_ENDED = 2 };

/* `peer_name` (clients): what the certificate must be for. `alpn`: see tcp.h. `output` is borrowed. 0 or
 * -ENOMEM. */
int tls_session_new(struct tls_identity *identity, const char *peer_name, const char *alpn,
                    struct byte_queue *output, struct tls_session **ret);
void tls_session_free(struct tls_session *session); /* accepts NULL */

/* What has arrived; borrowed until handshake or read have said TLS_WANTS_INPUT. */
void tls_session_feed(struct tls_session *session, const uint8_t *bytes, size_t size_bytes);
/* TLS_DONE, TLS_WANTS_INPUT or negative. */
int tls_session_handshake(struct tls_session *session);
/* One piece of plaintext: TLS_DONE with *ret_bytes of at least 1, TLS_WANTS_INPUT, TLS_ENDED or negative. */
int tls_session_read(struct tls_session *session, uint8_t *buffer, size_t capacity_bytes, size_t *ret_bytes);
/* Encrypts the whole queue. 0 or negative. */
int tls_session_write(struct tls_session *session, struct byte_queue *plaintext);
/* Says good-bye (close_notify). */
void tls_session_end(struct tls_session *session);

/* SHA-256 of the peer's verified certificate; false if it showed none. */
bool tls_session_certificate_sha256(const struct tls_session *session, uint8_t ret[static 32]);
/* Safe to print. */
const char *tls_session_error(const struct tls_session *session);

/* What tls.c reads and the sessions use. */
struct tls_identity {
    uint32_t references;
    bool server, asks_client, client_required;
    gnutls_certificate_credentials_t credentials;
    gnutls_priority_t priority;
    gnutls_datum_t ticket_key; /* servers that ask for no certificate: a resumed session shows none */
};

#endif
