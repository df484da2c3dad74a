/*
 * Credentials for tests of migration over TLS.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "migration-tls.h"

#include "../tls-files.h"

TlsDirs *tls_dirs_new(void)
{
    static const TlsIdentity server = { .name = "server", .dns = TLS_HOST, .local_ip = true };
    static const TlsIdentity client = { .name = "client" };
    TlsDirs *d = g_new0(TlsDirs, 1);
    TlsCa *ca = tls_ca_new(), *other = tls_ca_new();

    d->x509 = tls_dir_new();
    d->bare = tls_dir_new();
    d->stranger = tls_dir_new();
    d->psk = tls_dir_new();
    d->wrong_psk = tls_dir_new();
    tls_write_x509(d->x509, ca, &server, &client);
    tls_write_x509(d->bare, ca, NULL, NULL);
    tls_write_x509(d->stranger, other, NULL, &client);
    tls_write_x509(d->stranger, ca, NULL, NULL); /* the other authority's name only */
    tls_write_psk(d->psk, "qemu", "00112233445566778899aabbccddeeff");
    tls_write_psk(d->wrong_psk, "qemu", "ffeeddccbbaa99887766554433221100");
    tls_ca_free(ca);
    tls_ca_free(other);
    return d;
}

void tls_dirs_free(TlsDirs *d)
{
    tls_dir_free(d->x509);
    tls_dir_free(d->bare);
    tls_dir_free(d->stranger);
    tls_dir_free(d->psk);
    tls_dir_free(d->wrong_psk);
    g_free(d);
}

void tls_use(QTestState *s, const char *kind, const char *dir, bool server)
{
    g_autofree char *where = dir ? g_strdup_printf(", 'dir': '%s'", dir) : g_strdup("");

    /* It may be there or not. */
    qtest_qmp_send_raw(s, "{\"execute\": \"object-del\", \"arguments\": {\"id\": \"tls0\"}}");
    json_object_unref(qtest_qmp_receive(s));
    qtest_qmp_ok(s, "object-add", "{'qom-type': 'tls-creds-%s', 'id': 'tls0', 'endpoint': '%s', "
                 "%s 'verify-peer': true%s}", kind, server ? "server" : "client",
                 g_str_equal(kind, "x509") ? "'sanity-check': false," : "", where);
    qtest_qmp_ok(s, "migrate-set-parameters", "{'tls-creds': 'tls0'}");
}
