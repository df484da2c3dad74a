/*
 * TLS for migration channels, as tls-creds, tls-hostname and tls-authz say.  Used by
 * channel.c, so whatever goes through a MigConnector or a MigListener is secured; who accepts by
 * other means calls mig_tls_secure_incoming().
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_MIGRATION_CHANNEL_TLS_H
#define FERRY_MIGRATION_CHANNEL_TLS_H

#include "io/tls.h"
#include "migration/channel.h"

#define MIG_TLS_TIMEOUT_MS 10000

/*
 * For a connection of a migration that is under way, accepted in a thread: TLS with the
 * credentials of its first one (NULL: none), and tls-authz ("" none).  Blocks, for
 * MIG_TLS_TIMEOUT_MS at most; takes raw; NULL with errp set when it is refused.  The machine lock
 * is taken for a moment, so the caller must not hold a lock that comes before it.
 */
IOChannel *mig_tls_secure_incoming(IOChannel *raw, TlsCreds *creds, const char *authz,
                                   Error **errp);

/* How outgoing channels are secured; constant. */
typedef struct MigTls {
    TlsCreds *creds;
    char *hostname; /* NULL: no certificate is checked */
} MigTls;

/*
 * From the present settings and the address (its host stands in for tls-hostname); *ret NULL:
 * no TLS is wanted.  False with errp set when it is and cannot be.  Machine lock.
 */
bool mig_tls_outgoing(const MigrateAddress *a, MigTls **ret, Error **errp);
void mig_tls_free(MigTls *tls);

/* Can the listener for this address do what the settings say?  Machine lock. */
bool mig_tls_check_incoming(const MigrateAddress *a, Error **errp);

/*
 * Where accepted connections wait while their handshake goes on in a thread of its own.  Those
 * that are let in come out in the order in which they were taken; the settings of the moment
 * count.  Main thread, machine lock.
 */
typedef struct MigTlsGate MigTlsGate;
MigTlsGate *mig_tls_gate_new(MigAccepted *accepted, void *opaque);
/* Takes ioc; true: it will come out of accepted(), or be refused; false: no TLS is wanted. */
bool mig_tls_gate_take(MigTlsGate *g, IOChannel *ioc);
/* Ends the handshakes that go on; nothing comes out any more.  Also inside accepted(). */
void mig_tls_gate_free(MigTlsGate *g);
/* Why the last one was refused, NULL: none was; borrowed. */
const char *mig_tls_gate_refusal(const MigTlsGate *g);

#endif
