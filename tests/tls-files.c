/*
 * Keys and certificates for tests of TLS.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "tls-files.h"

#include <glib.h>
#include <glib/gstdio.h>
#include <gnutls/x509.h>
#include <string.h>
#include <time.h>

#define DAY (24 * 3600)

struct TlsCa {
    gnutls_x509_crt_t cert;
    gnutls_x509_privkey_t key;
};

static void ok(int ret)
{
    if (ret < 0) {
        g_error("gnutls: %s", gnutls_strerror(ret));
    }
}

/* An elliptic curve: quick to make. */
static gnutls_x509_privkey_t new_key(void)
{
    gnutls_x509_privkey_t key;

    ok(gnutls_x509_privkey_init(&key));
    ok(gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA,
                                    GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0));
    return key;
}

static gnutls_x509_crt_t new_cert(const char *name, gnutls_x509_privkey_t key, bool expired)
{
    static unsigned char serial[4];
    gnutls_x509_crt_t cert;
    time_t now = time(NULL);

    serial[3]++;
    ok(gnutls_x509_crt_init(&cert));
    ok(gnutls_x509_crt_set_version(cert, 3));
    ok(gnutls_x509_crt_set_serial(cert, serial, sizeof(serial)));
    ok(gnutls_x509_crt_set_dn_by_oid(cert, GNUTLS_OID_X520_ORGANIZATION_NAME, 0, "Ferry", 5));
    ok(gnutls_x509_crt_set_dn_by_oid(cert, GNUTLS_OID_X520_COMMON_NAME, 0, name, strlen(name)));
    ok(gnutls_x509_crt_set_activation_time(cert, now - 10 * DAY));
    ok(gnutls_x509_crt_set_expiration_time(cert, expired ? now - DAY : now + DAY));
    ok(gnutls_x509_crt_set_key(cert, key));
    return cert;
}

static void write_file(const char *dir, const char *name, const gnutls_datum_t *data)
{
    g_autofree char *path = g_build_filename(dir, name, NULL);

    g_assert_true(g_file_set_contents(path, (const char *)data->data, data->size, NULL));
}

static void write_cert(const char *dir, const char *name, gnutls_x509_crt_t cert)
{
    gnutls_datum_t data;

    ok(gnutls_x509_crt_export2(cert, GNUTLS_X509_FMT_PEM, &data));
    write_file(dir, name, &data);
    gnutls_free(data.data);
}

TlsCa *tls_ca_new(void)
{
    TlsCa *ca = g_new(TlsCa, 1);

    ca->key = new_key();
    ca->cert = new_cert("authority", ca->key, false);
    ok(gnutls_x509_crt_set_basic_constraints(ca->cert, 1, -1));
    ok(gnutls_x509_crt_set_key_usage(ca->cert, GNUTLS_KEY_KEY_CERT_SIGN | GNUTLS_KEY_CRL_SIGN));
    ok(gnutls_x509_crt_sign2(ca->cert, ca->cert, ca->key, GNUTLS_DIG_SHA256, 0));
    return ca;
}

void tls_ca_free(TlsCa *ca)
{
    gnutls_x509_crt_deinit(ca->cert);
    gnutls_x509_privkey_deinit(ca->key);
    g_free(ca);
}

static void write_identity(const char *dir, const TlsCa *ca, const char *side,
                           const TlsIdentity *id)
{
    static const unsigned char loopback[4] = { 127, 0, 0, 1 };
    g_autofree char *cert_name = g_strdup_printf("%s-cert.pem", side);
    g_autofree char *key_name = g_strdup_printf("%s-key.pem", side);
    gnutls_x509_privkey_t key = new_key();
    gnutls_x509_crt_t cert = new_cert(id->name, key, id->expired);
    gnutls_datum_t data;

    if (id->dns) {
        ok(gnutls_x509_crt_set_subject_alt_name(cert, GNUTLS_SAN_DNSNAME, id->dns,
                                                strlen(id->dns), GNUTLS_FSAN_APPEND));
    }
    if (id->local_ip) {
        ok(gnutls_x509_crt_set_subject_alt_name(cert, GNUTLS_SAN_IPADDRESS, loopback,
                                                sizeof(loopback), GNUTLS_FSAN_APPEND));
    }
    ok(gnutls_x509_crt_set_basic_constraints(cert, 0, -1));
    ok(gnutls_x509_crt_set_key_usage(cert, GNUTLS_KEY_DIGITAL_SIGNATURE));
    ok(gnutls_x509_crt_set_key_purpose_oid(cert, !strcmp(side, "server")
                                                     ? GNUTLS_KP_TLS_WWW_SERVER
                                                     : GNUTLS_KP_TLS_WWW_CLIENT, 0));
    ok(gnutls_x509_crt_sign2(cert, ca->cert, ca->key, GNUTLS_DIG_SHA256, 0));
    write_cert(dir, cert_name, cert);
    ok(gnutls_x509_privkey_export2_pkcs8(key, GNUTLS_X509_FMT_PEM, id->password,
                                         id->password ? 0 : GNUTLS_PKCS_PLAIN, &data));
    write_file(dir, key_name, &data);
    gnutls_free(data.data);
    gnutls_x509_crt_deinit(cert);
    gnutls_x509_privkey_deinit(key);
}

void tls_write_x509(const char *dir, const TlsCa *ca, const TlsIdentity *server,
                    const TlsIdentity *client)
{
    write_cert(dir, "ca-cert.pem", ca->cert);
    if (server) {
        write_identity(dir, ca, "server", server);
    }
    if (client) {
        write_identity(dir, ca, "client", client);
    }
}

void tls_write_psk(const char *dir, const char *user, const char *hex_key)
{
    g_autofree char *path = g_build_filename(dir, "keys.psk", NULL);
    g_autofree char *line = g_strdup_printf("other:00ff00ff00ff00ff\n%s:%s\n", user, hex_key);

    g_assert_true(g_file_set_contents(path, line, -1, NULL));
}

char *tls_dir_new(void)
{
    char *dir = g_dir_make_tmp("ferry-tls-XXXXXX", NULL);

    g_assert_nonnull(dir);
    return dir;
}

void tls_dir_free(char *dir)
{
    g_autoptr(GDir) d = g_dir_open(dir, 0, NULL);
    const char *name;

    while (d && (name = g_dir_read_name(d))) {
        g_autofree char *path = g_build_filename(dir, name, NULL);

        g_unlink(path);
    }
    g_rmdir(dir);
    g_free(dir);
}
