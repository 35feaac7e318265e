/* SPDX-License-Identifier: Apache-2.0 */
/* See tls.h. */
#include "net/tls_session.h"

#include <fcntl.h>

#define TLS13_ONLY "NORMAL:-VERS-ALL:+VERS-TLS1.3"

static berth_status tls_error(berth_error **reterr, int code, const char *what, const char *file)
{
    if (code == GNUTLS_E_MEMORY_ERROR)
        return error_set(reterr, BERTH_NO_MEMORY, "no memory for %s", what);
    return error_set(reterr, BERTH_INVALID, "%s in %s cannot be used: %s", what, file, gnutls_strerror(code));
}

/* GnuTLS says of every file that cannot be read the same; the system knows more. */
static berth_status check_readable(const char *what, const char *file, berth_error **reterr)
{
    cleanup_close int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return error_set_errno(reterr, -errno, "cannot read %s from %s", what, file);
    return BERTH_OK;
}

static berth_status read_key(struct tls_identity *identity, const char *certificate, const char *key,
                             berth_error **reterr)
{
    berth_status status = check_readable("the certificate", certificate, reterr);
    if (status == BERTH_OK)
        status = check_readable("the key", key, reterr);
    if (status != BERTH_OK)
        return status;
    int r = gnutls_certificate_set_x509_key_file2(identity->credentials, certificate, key,
                                                  GNUTLS_X509_FMT_PEM, NULL, 0);
    if (r == GNUTLS_E_CERTIFICATE_KEY_MISMATCH)
        return error_set(reterr, BERTH_INVALID, "the key in %s does not belong to the certificate in %s", key,
                         certificate);
    return r < 0 ? tls_error(reterr, r, "the certificate or its key", certificate) : BERTH_OK;
}

static berth_status read_authorities(struct tls_identity *identity, const char *file, berth_error **reterr)
{
    if (!file) {
        int r = gnutls_certificate_set_x509_system_trust(identity->credentials);
        return r < 0 ? tls_error(reterr, r, "the list of trusted authorities", "this system") : BERTH_OK;
    }
    berth_status status = check_readable("the certificate authorities", file, reterr);
    if (status != BERTH_OK)
        return status;
    int r = gnutls_certificate_set_x509_trust_file(identity->credentials, file, GNUTLS_X509_FMT_PEM);
    if (r == 0)
        return error_set(reterr, BERTH_INVALID, "%s holds no certificate", file);
    return r < 0 ? tls_error(reterr, r, "the certificate authorities", file) : BERTH_OK;
}

/* NULL and *ret_status if it cannot be. */
static struct tls_identity *begin(const char *priority, berth_status *ret_status, berth_error **reterr)
{
    struct tls_identity *identity = calloc(1, sizeof *identity);
    if (!identity) {
        *ret_status = error_set(reterr, BERTH_NO_MEMORY, "no memory for TLS");
        return NULL;
    }
    identity->references = 1;
    int r = gnutls_certificate_allocate_credentials(&identity->credentials);
    if (r >= 0)
        r = gnutls_priority_init(&identity->priority, priority, NULL);
    if (r < 0) {
        tls_identity_unref(identity);
        *ret_status = tls_error(reterr, r, "the TLS settings", "this system");
        return NULL;
    }
    return identity;
}

berth_status tls_identity_new_server(const struct tls_server_options *options, struct tls_identity **ret,
                                     berth_error **reterr)
{
    berth_status status = BERTH_OK;
    cleanup_tls_identity struct tls_identity *identity = begin(TLS13_ONLY, &status, reterr);
    if (!identity)
        return status;
    identity->server = true;
    identity->asks_client = options->client_ca != NULL;
    identity->client_required = options->client_required;
    if (options->client_required && !options->client_ca)
        return error_set(reterr, BERTH_INVALID,
                         "client certificates are required but no authority for them is named");
    status = read_key(identity, options->certificate, options->key, reterr);
    if (status == BERTH_OK && options->client_ca)
        status = read_authorities(identity, options->client_ca, reterr);
    if (status != BERTH_OK)
        return status;
    int r = identity->asks_client ? 0 : gnutls_session_ticket_key_generate(&identity->ticket_key);
    if (r < 0)
        return tls_error(reterr, r, "a ticket key", "memory");
    *ret = take_ptr(identity);
    return BERTH_OK;
}

berth_status tls_identity_new_client(const struct tls_client_options *options, struct tls_identity **ret,
                                     berth_error **reterr)
{
    berth_status status = BERTH_OK;
    const char *priority = options->tls12 ? TLS13_ONLY ":+VERS-TLS1.2" : TLS13_ONLY;
    cleanup_tls_identity struct tls_identity *identity = begin(priority, &status, reterr);
    if (!identity)
        return status;
    status = read_authorities(identity, options->ca, reterr);
    if (status == BERTH_OK && options->certificate)
        status = read_key(identity, options->certificate, options->key, reterr);
    if (status == BERTH_OK)
        *ret = take_ptr(identity);
    return status;
}

struct tls_identity *tls_identity_ref(struct tls_identity *identity)
{
    if (identity)
        identity->references++;
    return identity;
}

void tls_identity_unref(struct tls_identity *identity)
{
    if (!identity || --identity->references > 0)
        return;
    if (identity->credentials)
        gnutls_certificate_free_credentials(identity->credentials);
    if (identity->priority)
        gnutls_priority_deinit(identity->priority);
    if (identity->ticket_key.data) {
        explicit_bzero(identity->ticket_key.data, identity->ticket_key.size);
        gnutls_free(identity->ticket_key.data);
    }
    free(identity);
}
