/*
 * TLS: credentials, and a channel that encrypts what passes through another one.
 *
 * Nothing here ever prints a key, a password or a certificate's content.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_IO_TLS_H
#define FERRY_IO_TLS_H

#include <glib.h>
#include <stdbool.h>

#include "io/channel.h"
#include "util/error.h"

/* Credentials of one end: constant once made, so any number of threads may use them. */
typedef struct TlsCreds TlsCreds;

typedef enum TlsCredsKind { TLS_CREDS_ANON, TLS_CREDS_PSK, TLS_CREDS_X509 } TlsCredsKind;

typedef struct TlsCredsOptions {
    TlsCredsKind kind;
    bool server;              /* which end of a connection they are for */
    bool verify_peer;         /* X.509: ask for the peer's certificate and check it */
    bool sanity_check;        /* X.509: refuse our own certificate if the peer would */
    const char *dir;          /* of the files; may be NULL for anon */
    const char *priority;     /* GnuTLS priority string, NULL: NORMAL */
    const char *username;     /* PSK client: whose key of keys.psk */
    const char *key_password; /* X.509: of the private key, NULL: none */
} TlsCredsOptions;

/*
 * Reads ca-cert.pem, ca-crl.pem, {server,client}-{cert,key}.pem, dh-params.pem or keys.psk in
 * dir.  The caller owns one reference; NULL with errp set, which names the file.
 */
TlsCreds *tls_creds_new(const TlsCredsOptions *o, Error **errp);
TlsCreds *tls_creds_ref(TlsCreds *c);
void tls_creds_unref(TlsCreds *c); /* any thread; NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TlsCreds, tls_creds_unref)
bool tls_creds_is_server(const TlsCreds *c);
/* Will the certificate of the peer be compared with a host name? */
bool tls_creds_wants_hostname(const TlsCreds *c);

/*
 * A channel over `raw`, whose reference it takes (also on failure).  hostname (clients with
 * X.509, may be NULL otherwise): what the certificate must be for.  The handshake comes next.
 *
 * As with a socket one thread may read while another writes; io_channel_shutdown() from any
 * thread ends a handshake too.  An end of stream that the peer did not announce reads like any
 * other end: migration streams say themselves where they end, and stock emulators of version
 * 7.2 close some channels like that.
 */
IOChannel *io_channel_tls_new(IOChannel *raw, TlsCreds *creds, const char *hostname, Error **errp);
/*
 * Blocks until the session stands, for timeout_ms at most.  False with errp set: why, and the
 * peer was told with an alert.  A client of TLS 1.3 can be refused after this: then its next
 * IO fails with the alert's text.
 */
bool io_channel_tls_handshake(IOChannel *ioc, int timeout_ms, Error **errp);
/*
 * Who the peer is, after the handshake: distinguished name of its certificate (if that was
 * checked), name of its key with PSK; NULL: nobody knows.  g_free().
 */
char *io_channel_tls_peer(IOChannel *ioc);
/* Server: "access denied" to the client, and wait a moment so that it arrives. */
void io_channel_tls_deny(IOChannel *ioc);
/* New keys in both directions (TLS 1.3; nothing otherwise).  The writer's thread. */
bool io_channel_tls_rekey(IOChannel *ioc, Error **errp);
/* Its credentials, borrowed; NULL for a channel without TLS. */
TlsCreds *io_channel_tls_creds(const IOChannel *ioc);

#endif
