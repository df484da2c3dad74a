/*
 * Folders with keys and certificates for tests of TLS, made on the spot.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_TESTS_TLS_FILES_H
#define FERRY_TESTS_TLS_FILES_H

#include <stdbool.h>

/* A certificate authority; tls_ca_free() when all is signed. */
typedef struct TlsCa TlsCa;
TlsCa *tls_ca_new(void);
void tls_ca_free(TlsCa *ca);

typedef struct TlsIdentity {
    const char *name;     /* common name; organisation is "Ferry" */
    const char *dns;      /* name in the certificate, NULL: none */
    bool local_ip;        /* and the address 127.0.0.1 */
    bool expired;
    const char *password; /* of the key, NULL: none */
} TlsIdentity;

/* ca-cert.pem, and {server,client}-{cert,key}.pem for identities that are not NULL. */
void tls_write_x509(const char *dir, const TlsCa *ca, const TlsIdentity *server,
                    const TlsIdentity *client);
/* keys.psk with one user. */
void tls_write_psk(const char *dir, const char *user, const char *hex_key);
/* A new folder; and away with it and its files. */
char *tls_dir_new(void);
void tls_dir_free(char *dir);

#endif
