/* SPDX-License-Identifier: Apache-2.0 */
/* See test_certificates.h. */
#include "net/test_certificates.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

enum { DAY_S = 86400 };

struct made {
    gnutls_x509_crt_t certificate;
    gnutls_x509_privkey_t key;
};

static void must(int result)
{
    if (result < 0) {
        fprintf(stderr, "making certificates: %s\n", gnutls_strerror(result));
        abort();
    }
}

static void write_file(const char *directory, const char *name, const char *kind,
                       const gnutls_datum_t *content)
{
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/%s.%s", directory, name, kind);
    FILE *file = fopen(path, "w");
    if (!file || fwrite(content->data, 1, content->size, file) != content->size || fclose(file) != 0)
        abort();
}

static void write_made(const char *directory, const char *name, const struct made *made)
{
    gnutls_datum_t text;
    must(gnutls_x509_crt_export2(made->certificate, GNUTLS_X509_FMT_PEM, &text));
    write_file(directory, name, "pem", &text);
    gnutls_free(text.data);
    must(gnutls_x509_privkey_export2(made->key, GNUTLS_X509_FMT_PEM, &text));
    write_file(directory, name, "key", &text);
    gnutls_free(text.data);
}

static struct made begin(const char *name, time_t from, time_t until)
{
    struct made made;
    unsigned char serial[8];
    must(gnutls_rnd(GNUTLS_RND_NONCE, serial, sizeof serial));
    serial[0] &= 0x7f;
    must(gnutls_x509_privkey_init(&made.key));
    must(gnutls_x509_privkey_generate(made.key, GNUTLS_PK_ECDSA,
                                      GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0));
    must(gnutls_x509_crt_init(&made.certificate));
    must(gnutls_x509_crt_set_version(made.certificate, 3));
    must(gnutls_x509_crt_set_serial(made.certificate, serial, sizeof serial));
    must(gnutls_x509_crt_set_dn_by_oid(made.certificate, GNUTLS_OID_X520_COMMON_NAME, 0, name,
                                       (unsigned int)strlen(name)));
    must(gnutls_x509_crt_set_activation_time(made.certificate, from));
    must(gnutls_x509_crt_set_expiration_time(made.certificate, until));
    must(gnutls_x509_crt_set_key(made.certificate, made.key));
    return made;
}

static struct made make_authority(const char *name)
{
    struct made made = begin(name, time(NULL) - DAY_S, time(NULL) + DAY_S);
    must(gnutls_x509_crt_set_basic_constraints(made.certificate, 1, -1));
    must(gnutls_x509_crt_set_key_usage(made.certificate, GNUTLS_KEY_KEY_CERT_SIGN));
    must(gnutls_x509_crt_sign2(made.certificate, made.certificate, made.key, GNUTLS_DIG_SHA256, 0));
    return made;
}

static void make_leaf(const char *directory, const char *name, const struct made *authority, bool server,
                      time_t until)
{
    static const unsigned char four[] = {127, 0, 0, 1}, six[16] = {[15] = 1};
    struct made made = begin(name, time(NULL) - 2 * DAY_S, until);
    gnutls_x509_crt_t certificate = made.certificate;
    must(gnutls_x509_crt_set_key_purpose_oid(
        certificate, server ? GNUTLS_KP_TLS_WWW_SERVER : GNUTLS_KP_TLS_WWW_CLIENT, 0));
    if (server) {
        must(gnutls_x509_crt_set_subject_alt_name(certificate, GNUTLS_SAN_DNSNAME, "localhost", 9,
                                                  GNUTLS_FSAN_SET));
        must(gnutls_x509_crt_set_subject_alt_name(certificate, GNUTLS_SAN_IPADDRESS, four, sizeof four,
                                                  GNUTLS_FSAN_APPEND));
        must(gnutls_x509_crt_set_subject_alt_name(certificate, GNUTLS_SAN_IPADDRESS, six, sizeof six,
                                                  GNUTLS_FSAN_APPEND));
    }
    must(gnutls_x509_crt_sign2(certificate, authority->certificate, authority->key, GNUTLS_DIG_SHA256, 0));
    write_made(directory, name, &made);
    gnutls_x509_crt_deinit(made.certificate);
    gnutls_x509_privkey_deinit(made.key);
}

void test_certificates_write(const char *directory)
{
    time_t now = time(NULL);
    struct made authority = make_authority("berth test"), other = make_authority("somebody else");
    write_made(directory, "ca", &authority);
    write_made(directory, "other-ca", &other);
    make_leaf(directory, "server", &authority, true, now + DAY_S);
    make_leaf(directory, "expired", &authority, true, now - DAY_S);
    make_leaf(directory, "client", &authority, false, now + DAY_S);
    make_leaf(directory, "stranger", &other, false, now + DAY_S);
    gnutls_x509_crt_deinit(authority.certificate);
    gnutls_x509_privkey_deinit(authority.key);
    gnutls_x509_crt_deinit(other.certificate);
    gnutls_x509_privkey_deinit(other.key);
}
