/* SPDX-License-Identifier: Apache-2.0 */
/* See tls_session.h. */
#include "net/tls_session.h"

#include <arpa/inet.h>
#include <gnutls/x509.h>
#include <string.h>

#include "base/text.h"

struct tls_session {
    gnutls_session_t gnutls;
    struct tls_identity *identity; /* one reference */
    char *peer_name;               /* clients */
    bool wants_alpn;
    struct byte_queue *output; /* borrowed */
    const uint8_t *input;      /* borrowed, what is left of it */
    size_t input_bytes;
    unsigned int certificate_status; /* of a peer that was turned down */
    char *error;
};

static ssize_t pull(gnutls_transport_ptr_t pointer, void *buffer, size_t capacity)
{
    struct tls_session *session = pointer;
    size_t size = session->input_bytes < capacity ? session->input_bytes : capacity;
    if (size == 0) {
        gnutls_transport_set_errno(session->gnutls, EAGAIN);
        return -1;
    }
    memcpy(buffer, session->input, size);
    session->input += size;
    session->input_bytes -= size;
    return (ssize_t)size;
}

static int pull_timeout(gnutls_transport_ptr_t pointer, unsigned int timeout_ms)
{
    const struct tls_session *session = pointer;
    (void)timeout_ms;
    return session->input_bytes > 0;
}

static ssize_t push(gnutls_transport_ptr_t pointer, const giovec_t *pieces, int n_pieces)
{
    struct tls_session *session = pointer;
    size_t total = 0;
    for (int i = 0; i < n_pieces; i++)
        total += pieces[i].iov_len;
    if (byte_queue_reserve(session->output, total) < 0) {
        gnutls_transport_set_errno(session->gnutls, ENOMEM);
        return -1;
    }
    for (int i = 0; i < n_pieces; i++)
        (void)byte_queue_append(session->output, pieces[i].iov_base, pieces[i].iov_len);
    return (ssize_t)total;
}

/* Called by GnuTLS when the peer's certificate is there, or is known not to come. */
static int verify(gnutls_session_t gnutls)
{
    struct tls_session *session = gnutls_session_get_ptr(gnutls);
    bool server = session->identity->server;
    unsigned int n_certificates = 0;
    unsigned char for_clients[] = GNUTLS_KP_TLS_WWW_CLIENT, for_servers[] = GNUTLS_KP_TLS_WWW_SERVER;
    gnutls_typed_vdata_st expected[2] = {
        {.type = GNUTLS_DT_KEY_PURPOSE_OID, .data = server ? for_clients : for_servers},
        {.type = GNUTLS_DT_DNS_HOSTNAME, .data = (unsigned char *)session->peer_name},
    };
    gnutls_certificate_get_peers(gnutls, &n_certificates);
    if (n_certificates == 0)
        return server && !session->identity->client_required ? 0 : GNUTLS_E_NO_CERTIFICATE_FOUND;
    int r = gnutls_certificate_verify_peers(gnutls, expected, session->peer_name ? 2 : 1,
                                            &session->certificate_status);
    if (r < 0)
        return r;
    return session->certificate_status == 0 ? 0 : GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR;
}

static int set_peer_name(struct tls_session *session, const char *peer_name)
{
    struct in6_addr address;
    if (!peer_name)
        return 0;
    session->peer_name = strdup(peer_name);
    if (!session->peer_name)
        return GNUTLS_E_MEMORY_ERROR;
    /* RFC 6066, section 3: no addresses in the server name. */
    if (inet_pton(AF_INET, peer_name, &address) == 1 || inet_pton(AF_INET6, peer_name, &address) == 1)
        return 0;
    return gnutls_server_name_set(session->gnutls, GNUTLS_NAME_DNS, peer_name, strlen(peer_name));
}

static int set_alpn(struct tls_session *session, const char *alpn)
{
    if (!alpn)
        return 0;
    gnutls_datum_t protocol = {(unsigned char *)strdup(alpn), (unsigned int)strlen(alpn)};
    if (!protocol.data)
        return GNUTLS_E_MEMORY_ERROR;
    int r = gnutls_alpn_set_protocols(session->gnutls, &protocol, 1, GNUTLS_ALPN_MANDATORY);
    free(protocol.data);
    session->wants_alpn = true;
    return r;
}

static int set_up(struct tls_session *session, const char *peer_name, const char *alpn)
{
    struct tls_identity *identity = session->identity;
    /* A client shows its certificate even to a server that may not know its authority: then the refusal says
     * so. */
    unsigned int kind = identity->server ? GNUTLS_SERVER : GNUTLS_CLIENT | GNUTLS_FORCE_CLIENT_CERT;
    int r = gnutls_init(&session->gnutls, kind | GNUTLS_NONBLOCK);
    if (r < 0)
        return r;
    gnutls_session_set_ptr(session->gnutls, session);
    gnutls_transport_set_ptr(session->gnutls, session);
    gnutls_transport_set_pull_function(session->gnutls, pull);
    gnutls_transport_set_pull_timeout_function(session->gnutls, pull_timeout);
    gnutls_transport_set_vec_push_function(session->gnutls, push);
    if (!identity->server || identity->asks_client)
        gnutls_session_set_verify_function(session->gnutls, verify);
    if (identity->asks_client)
        gnutls_certificate_server_set_request(
            session->gnutls, identity->client_required ? GNUTLS_CERT_REQUIRE : GNUTLS_CERT_REQUEST);
    if (identity->ticket_key.data)
        r = gnutls_session_ticket_enable_server(session->gnutls, &identity->ticket_key);
    if (r >= 0)
        r = gnutls_priority_set(session->gnutls, identity->priority);
    if (r >= 0)
        r = gnutls_credentials_set(session->gnutls, GNUTLS_CRD_CERTIFICATE, identity->credentials);
    if (r >= 0)
        r = set_peer_name(session, peer_name);
    return r < 0 ? r : set_alpn(session, alpn);
}

int tls_session_new(struct tls_identity *identity, const char *peer_name, const char *alpn,
                    struct byte_queue *output, struct tls_session **ret)
{
    struct tls_session *session = calloc(1, sizeof *session);
    if (!session)
        return -ENOMEM;
    session->identity = tls_identity_ref(identity);
    session->output = output;
    int r = set_up(session, peer_name, alpn);
    if (r < 0) {
        tls_session_free(session);
        return r == GNUTLS_E_MEMORY_ERROR ? -ENOMEM : -EINVAL;
    }
    *ret = session;
    return 0;
}

void tls_session_free(struct tls_session *session)
{
    if (!session)
        return;
    if (session->gnutls)
        gnutls_deinit(session->gnutls);
    tls_identity_unref(session->identity);
    free(session->peer_name);
    free(session->error);
    free(session);
}

void tls_session_feed(struct tls_session *session, const uint8_t *bytes, size_t size_bytes)
{
    session->input = bytes;
    session->input_bytes = size_bytes;
}

static void describe_certificate(struct tls_session *session, struct text *text)
{
    gnutls_datum_t reasons = {0};
    text_append(text, "the peer's certificate");
    if (session->peer_name) {
        text_append(text, " is not accepted for ");
        text_append_escaped(text, session->peer_name, strlen(session->peer_name), 256);
    } else {
        text_append(text, " is not accepted");
    }
    if (session->certificate_status != 0 &&
        gnutls_certificate_verification_status_print(session->certificate_status, GNUTLS_CRT_X509, &reasons,
                                                     0) == 0) {
        size_t length = reasons.size;
        while (length > 0 && (reasons.data[length - 1] == ' ' || reasons.data[length - 1] == '\0'))
            length--;
        text_append(text, ": ");
        text_append_escaped(text, (const char *)reasons.data, length, 512);
        gnutls_free(reasons.data);
    }
}

static int fail(struct tls_session *session, int code)
{
    cleanup_text struct text text = {0};
    free(session->error);
    if (code == GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR || session->certificate_status != 0)
        describe_certificate(session, &text);
    else if (code == GNUTLS_E_FATAL_ALERT_RECEIVED)
        text_append_format(&text, "the peer ended TLS: %s",
                           gnutls_alert_get_name(gnutls_alert_get(session->gnutls)) ?: "unknown alert");
    else if (code == GNUTLS_E_NO_APPLICATION_PROTOCOL)
        text_append(&text, "the peer does not speak our protocol over TLS (ALPN)");
    else
        text_append_format(&text, "TLS: %s", gnutls_strerror(code));
    session->error = text_take(&text);
    return code == GNUTLS_E_MEMORY_ERROR ? -ENOMEM : -EPROTO;
}

static int check_alpn(struct tls_session *session)
{
    gnutls_datum_t chosen;
    if (!session->wants_alpn || gnutls_alpn_get_selected_protocol(session->gnutls, &chosen) == 0)
        return TLS_DONE;
    (void)gnutls_alert_send(session->gnutls, GNUTLS_AL_FATAL, GNUTLS_A_NO_APPLICATION_PROTOCOL);
    return fail(session, GNUTLS_E_NO_APPLICATION_PROTOCOL);
}

int tls_session_handshake(struct tls_session *session)
{
    for (;;) {
        int r = gnutls_handshake(session->gnutls);
        if (r == GNUTLS_E_SUCCESS)
            return check_alpn(session);
        if (r == GNUTLS_E_AGAIN)
            return TLS_WANTS_INPUT;
        if (gnutls_error_is_fatal(r)) {
            (void)gnutls_alert_send_appropriate(session->gnutls, r);
            return fail(session, r);
        }
    }
}

int tls_session_read(struct tls_session *session, uint8_t *buffer, size_t capacity_bytes, size_t *ret_bytes)
{
    for (;;) {
        ssize_t size = gnutls_record_recv(session->gnutls, buffer, capacity_bytes);
        if (size > 0) {
            *ret_bytes = (size_t)size;
            return TLS_DONE;
        }
        if (size == 0)
            return TLS_ENDED;
        if (size == GNUTLS_E_AGAIN && session->input_bytes == 0)
            return TLS_WANTS_INPUT;
        if (gnutls_error_is_fatal((int)size))
            return fail(session, (int)size);
    }
}

int tls_session_write(struct tls_session *session, struct byte_queue *plaintext)
{
    int r = 0;
    gnutls_record_cork(session->gnutls);
    while (plaintext->size_bytes > 0) {
        struct iovec piece;
        byte_queue_peek(plaintext, &piece, 1);
        ssize_t sent = gnutls_record_send(session->gnutls, piece.iov_base, piece.iov_len);
        if (sent < 0)
            return fail(session, (int)sent);
        byte_queue_drop(plaintext, (size_t)sent);
    }
    do
        r = gnutls_record_uncork(session->gnutls, 0);
    while (r == GNUTLS_E_AGAIN || r == GNUTLS_E_INTERRUPTED);
    return r < 0 ? fail(session, r) : 0;
}

void tls_session_end(struct tls_session *session)
{
    (void)gnutls_bye(session->gnutls, GNUTLS_SHUT_WR);
}

bool tls_session_certificate_sha256(const struct tls_session *session, uint8_t ret[static 32])
{
    unsigned int n_certificates = 0;
    size_t size = 32;
    const gnutls_datum_t *certificates = gnutls_certificate_get_peers(session->gnutls, &n_certificates);
    return n_certificates > 0 && gnutls_fingerprint(GNUTLS_DIG_SHA256, certificates, ret, &size) >= 0;
}

const char *tls_session_error(const struct tls_session *session)
{
    return session->error ? session->error : "out of memory";
}
