/*
 * Credentials for tests of migration over TLS, with any emulator on either side.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_TESTS_MIGRATION_TLS_H
#define FERRY_TESTS_MIGRATION_TLS_H

#include "libqtest.h"

#define TLS_HOST "there.example" /* in the server's certificate, as 127.0.0.1 is */
#define TLS_CLIENT "O=Ferry,CN=client"

/* Folders, made once. */
typedef struct TlsDirs {
    char *x509;      /* server and client of one authority */
    char *bare;      /* trusts it, and has no certificate */
    char *stranger;  /* trusts it, with a client certificate of somebody else */
    char *psk, *wrong_psk;
} TlsDirs;

TlsDirs *tls_dirs_new(void);
void tls_dirs_free(TlsDirs *d);
/*
 * Make the object "tls0" (in place of one there may be) and set tls-creds to it.  kind: "x509",
 * "psk" or "anon" (dir NULL).
 */
void tls_use(QTestState *s, const char *kind, const char *dir, bool server);

#endif
