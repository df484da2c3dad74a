/*
 * TLS credentials out of the files of a folder.
 *
 * Belongs to no thread: made once, constant afterwards.  GnuTLS reads credentials from several
 * sessions at once.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <gnutls/x509.h>
#include <string.h>

#include "io/tls-private.h"

#define PSK_FILE "keys.psk"
#define PSK_DEFAULT_USER "qemu" /* that of stock emulators */

static void clear_data(gnutls_datum_t *d)
{
    if (d->data) {
        explicit_bzero(d->data, d->size);
        gnutls_free(d->data);
        d->data = NULL;
    }
}

static bool check(int ret, const char *what, Error **errp)
{
    if (ret < 0) {
        error_setg(errp, "TLS credentials: %s: %s", what, gnutls_strerror(ret));
    }
    return ret >= 0;
}

/* Path of a file in the folder; NULL, with errp set only if `needed`, when it is not there. */
static char *find_file(const TlsCredsOptions *o, const char *name, bool needed, Error **errp)
{
    g_autofree char *path = o->dir ? g_build_filename(o->dir, name, NULL) : NULL;

    if (path && g_file_test(path, G_FILE_TEST_EXISTS)) {
        return g_steal_pointer(&path);
    }
    if (needed) {
        error_setg(errp, path ? "TLS credentials need the file '%s'"
                              : "TLS credentials of this kind need 'dir' (for the file %s)",
                   path ? path : name);
    }
    return NULL;
}

/* dh-params.pem if there is one; without, the parameters that GnuTLS knows. */
static bool load_dh(TlsCreds *c, const TlsCredsOptions *o, Error **errp)
{
    g_autofree char *path = find_file(o, "dh-params.pem", false, NULL);
    gnutls_datum_t data;
    int ret;

    if (!path) {
        return true;
    }
    if (!check(gnutls_load_file(path, &data), path, errp)) {
        return false;
    }
    ret = gnutls_dh_params_init(&c->dh);
    if (ret >= 0) {
        ret = gnutls_dh_params_import_pkcs3(c->dh, &data, GNUTLS_X509_FMT_PEM);
    }
    clear_data(&data);
    return check(ret, path, errp);
}

/* ---- X.509 ---- */

static const char *why_untrusted(unsigned status)
{
    return status & GNUTLS_CERT_EXPIRED ? "it has expired"
           : status & GNUTLS_CERT_NOT_ACTIVATED ? "it is not valid yet"
           : status & GNUTLS_CERT_REVOKED ? "it was revoked"
           : status & (GNUTLS_CERT_SIGNER_NOT_FOUND | GNUTLS_CERT_SIGNATURE_FAILURE)
               ? "ca-cert.pem does not know who signed it"
           : status & GNUTLS_CERT_SIGNER_NOT_CA ? "who signed it is no certificate authority"
           : status & GNUTLS_CERT_INSECURE_ALGORITHM ? "it is signed with an insecure algorithm"
                                                     : "it cannot be verified";
}

/* Would a peer with the same ca-cert.pem take our certificate? */
static bool check_own(const TlsCreds *c, const char *path, Error **errp)
{
    gnutls_x509_trust_list_t trust;
    gnutls_x509_crt_t *list = NULL;
    unsigned n = 0, status = 0;
    int ret;

    gnutls_certificate_get_trust_list(c->x509, &trust);
    ret = gnutls_certificate_get_x509_crt(c->x509, 0, &list, &n);
    if (ret >= 0) {
        ret = gnutls_x509_trust_list_verify_crt(trust, list, n, 0, &status, NULL);
    }
    for (unsigned i = 0; i < n; i++) {
        gnutls_x509_crt_deinit(list[i]);
    }
    gnutls_free(list);
    if (!check(ret, path, errp)) {
        return false;
    }
    if (status) {
        error_setg(errp, "TLS credentials: the certificate '%s' would be refused: %s", path,
                   why_untrusted(status));
    }
    return status == 0;
}

/* Certificate and key: servers need them, clients have both or neither. */
static bool load_identity(TlsCreds *c, const TlsCredsOptions *o, Error **errp)
{
    g_autofree char *cert_name = g_strdup_printf("%s-cert.pem", o->server ? "server" : "client");
    g_autofree char *key_name = g_strdup_printf("%s-key.pem", o->server ? "server" : "client");
    g_autofree char *cert = find_file(o, cert_name, o->server, errp);
    g_autofree char *key = NULL;
    int ret;

    if (!cert && o->server) {
        return false;
    }
    key = find_file(o, key_name, cert != NULL, errp);
    if (!key) {
        return !cert;
    }
    if (!cert) {
        error_setg(errp, "TLS credentials: there is a file '%s' but no '%s'", key, cert_name);
        return false;
    }
    ret = gnutls_certificate_set_x509_key_file2(c->x509, cert, key, GNUTLS_X509_FMT_PEM,
                                                o->key_password, 0);
    if (ret == GNUTLS_E_DECRYPTION_FAILED || ret == GNUTLS_E_PK_INVALID_PRIVKEY) {
        error_setg(errp, "TLS credentials: '%s' cannot be decrypted: %s", key,
                   o->key_password ? "the secret of 'passwordid' is not its password"
                                   : "it needs 'passwordid'");
        return false;
    }
    if (ret < 0) {
        error_setg(errp, "TLS credentials: '%s' with '%s': %s", cert, key, gnutls_strerror(ret));
        return false;
    }
    return !o->sanity_check || check_own(c, cert, errp);
}

static bool load_x509(TlsCreds *c, const TlsCredsOptions *o, Error **errp)
{
    g_autofree char *ca = find_file(o, "ca-cert.pem", true, errp);
    g_autofree char *crl = find_file(o, "ca-crl.pem", false, NULL);
    int ret;

    if (!ca || !check(gnutls_certificate_allocate_credentials(&c->x509), "no memory", errp)) {
        return false;
    }
    ret = gnutls_certificate_set_x509_trust_file(c->x509, ca, GNUTLS_X509_FMT_PEM);
    if (!check(ret ? ret : GNUTLS_E_NO_CERTIFICATE_FOUND, ca, errp)) {
        return false;
    }
    if (crl && !check(gnutls_certificate_set_x509_crl_file(c->x509, crl, GNUTLS_X509_FMT_PEM),
                      crl, errp)) {
        return false;
    }
    if (!load_identity(c, o, errp) || !load_dh(c, o, errp)) {
        return false;
    }
    if (c->dh) {
        gnutls_certificate_set_dh_params(c->x509, c->dh);
    } else {
        gnutls_certificate_set_known_dh_params(c->x509, GNUTLS_SEC_PARAM_MEDIUM);
    }
    return true;
}

/* ---- PSK ---- */

/* The hexadecimal key of `user`: lines are "USER:KEY". */
static char *find_key(const char *path, const char *user, Error **errp)
{
    g_autofree char *text = NULL, *found = NULL;
    g_autoptr(GError) bad = NULL;
    size_t user_len = strlen(user);
    gsize len;

    if (!g_file_get_contents(path, &text, &len, &bad)) {
        error_setg(errp, "TLS credentials: %s", bad->message);
        return NULL;
    }
    for (const char *line = text; line && !found;) {
        const char *end = strchr(line, '\n');

        if (!strncmp(line, user, user_len) && line[user_len] == ':') {
            const char *key = line + user_len + 1;
            found = g_strchomp(g_strndup(key, end ? (size_t)(end - key) : strlen(key)));
        }
        line = end ? end + 1 : NULL;
    }
    explicit_bzero(text, len);
    if (!found) {
        error_setg(errp, "TLS credentials: '%s' has no key of the user '%s' ('username')", path,
                   user);
    }
    return g_steal_pointer(&found);
}

static bool load_psk_client(TlsCreds *c, const TlsCredsOptions *o, const char *path, Error **errp)
{
    const char *user = o->username ? o->username : PSK_DEFAULT_USER;
    g_autofree char *key = find_key(path, user, errp);
    gnutls_datum_t datum = { (unsigned char *)key, key ? strlen(key) : 0 };
    int ret;

    if (!key) {
        return false;
    }
    ret = gnutls_psk_allocate_client_credentials(&c->psk_client);
    if (ret >= 0) {
        ret = gnutls_psk_set_client_credentials(c->psk_client, user, &datum, GNUTLS_PSK_KEY_HEX);
    }
    explicit_bzero(key, strlen(key));
    return check(ret, path, errp);
}

static bool load_psk_server(TlsCreds *c, const TlsCredsOptions *o, const char *path, Error **errp)
{
    int ret = gnutls_psk_allocate_server_credentials(&c->psk_server);

    if (ret >= 0) {
        ret = gnutls_psk_set_server_credentials_file(c->psk_server, path);
    }
    if (!check(ret, path, errp) || !load_dh(c, o, errp)) {
        return false;
    }
    if (c->dh) {
        gnutls_psk_set_server_dh_params(c->psk_server, c->dh);
    } else {
        gnutls_psk_set_server_known_dh_params(c->psk_server, GNUTLS_SEC_PARAM_MEDIUM);
    }
    return true;
}

static bool load_psk(TlsCreds *c, const TlsCredsOptions *o, Error **errp)
{
    g_autofree char *path = find_file(o, PSK_FILE, true, errp);

    if (!path) {
        return false;
    }
    if (o->server && o->username) {
        error_setg(errp, "TLS credentials: 'username' is for endpoint=client; a server takes "
                   "every user of %s", PSK_FILE);
        return false;
    }
    return o->server ? load_psk_server(c, o, path, errp) : load_psk_client(c, o, path, errp);
}

/* ---- anonymous ---- */

static bool load_anon(TlsCreds *c, const TlsCredsOptions *o, Error **errp)
{
    if (!o->server) {
        return check(gnutls_anon_allocate_client_credentials(&c->anon_client), "no memory", errp);
    }
    if (!check(gnutls_anon_allocate_server_credentials(&c->anon_server), "no memory", errp) ||
        !load_dh(c, o, errp)) {
        return false;
    }
    if (c->dh) {
        gnutls_anon_set_server_dh_params(c->anon_server, c->dh);
    } else {
        gnutls_anon_set_server_known_dh_params(c->anon_server, GNUTLS_SEC_PARAM_MEDIUM);
    }
    return true;
}

/* ---- all ---- */

/* What each kind adds to the priorities: key exchanges that are off by default. */
static const char *const exchanges[] = {
    [TLS_CREDS_ANON] = ":+ANON-ECDH:+ANON-DH",
    [TLS_CREDS_PSK] = ":+ECDHE-PSK:+DHE-PSK:+PSK",
    [TLS_CREDS_X509] = "",
};

static bool check_priority(const TlsCreds *c, const TlsCredsOptions *o, Error **errp)
{
    gnutls_priority_t p;
    const char *bad = NULL;

    if (gnutls_priority_init(&p, c->priority, &bad) < 0) {
        error_setg(errp, "TLS credentials: priority '%s' is not one that GnuTLS knows (at '%s')",
                   o->priority, bad ? bad : "");
        return false;
    }
    gnutls_priority_deinit(p);
    return true;
}

TlsCreds *tls_creds_new(const TlsCredsOptions *o, Error **errp)
{
    g_autoptr(TlsCreds) c = g_new0(TlsCreds, 1);
    bool ok;

    c->ref = 1;
    c->kind = o->kind;
    c->server = o->server;
    c->verify_peer = o->verify_peer;
    c->priority = g_strconcat(o->priority ? o->priority : "NORMAL", exchanges[o->kind], NULL);
    if (!check_priority(c, o, errp)) {
        return NULL;
    }
    if (o->dir && !g_file_test(o->dir, G_FILE_TEST_IS_DIR)) {
        error_setg(errp, "TLS credentials: '%s' ('dir') is not a folder", o->dir);
        return NULL;
    }
    ok = o->kind == TLS_CREDS_X509 ? load_x509(c, o, errp)
         : o->kind == TLS_CREDS_PSK ? load_psk(c, o, errp)
                                    : load_anon(c, o, errp);
    return ok ? g_steal_pointer(&c) : NULL;
}

TlsCreds *tls_creds_ref(TlsCreds *c)
{
    g_atomic_int_inc(&c->ref);
    return c;
}

void tls_creds_unref(TlsCreds *c)
{
    if (!c || !g_atomic_int_dec_and_test(&c->ref)) {
        return;
    }
    if (c->x509) {
        gnutls_certificate_free_credentials(c->x509);
    }
    if (c->psk_server) {
        gnutls_psk_free_server_credentials(c->psk_server);
    }
    if (c->psk_client) {
        gnutls_psk_free_client_credentials(c->psk_client);
    }
    if (c->anon_server) {
        gnutls_anon_free_server_credentials(c->anon_server);
    }
    if (c->anon_client) {
        gnutls_anon_free_client_credentials(c->anon_client);
    }
    if (c->dh) {
        gnutls_dh_params_deinit(c->dh);
    }
    g_free(c->priority);
    g_free(c);
}

bool tls_creds_is_server(const TlsCreds *c)
{
    return c->server;
}

bool tls_creds_wants_hostname(const TlsCreds *c)
{
    return !c->server && c->kind == TLS_CREDS_X509 && c->verify_peer;
}

bool tls_creds_apply(const TlsCreds *c, gnutls_session_t session, Error **errp)
{
    int ret = gnutls_priority_set_direct(session, c->priority, NULL);

    if (ret >= 0 && c->kind == TLS_CREDS_X509) {
        ret = gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, c->x509);
        if (c->server) {
            gnutls_certificate_server_set_request(session, c->verify_peer ? GNUTLS_CERT_REQUIRE
                                                                          : GNUTLS_CERT_IGNORE);
        }
    } else if (ret >= 0 && c->kind == TLS_CREDS_PSK) {
        ret = gnutls_credentials_set(session, GNUTLS_CRD_PSK, c->server ? (void *)c->psk_server
                                                                        : (void *)c->psk_client);
    } else if (ret >= 0) {
        ret = gnutls_credentials_set(session, GNUTLS_CRD_ANON, c->server ? (void *)c->anon_server
                                                                         : (void *)c->anon_client);
    }
    return check(ret, "session", errp);
}
