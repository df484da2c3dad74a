/*
 * Where a migration's channel comes from: addresses (URI, QMP), outgoing connections
 * and incoming listeners.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_MIGRATION_CHANNEL_H
#define FERRY_MIGRATION_CHANNEL_H

#include <stdbool.h>
#include <stdint.h>

#include "io/channel.h"
#include "qapi/qapi-types.h"
#include "qapi/sockets.h"
#include "util/error.h"

typedef enum MigTransport {
    MIG_TRANSPORT_SOCKET,
    MIG_TRANSPORT_EXEC,
    MIG_TRANSPORT_FILE,
} MigTransport;

typedef struct MigrateAddress {
    MigTransport transport;
    SocketAddr *socket;  /* MIG_TRANSPORT_SOCKET (fd: included) */
    char **args;         /* MIG_TRANSPORT_EXEC, NULL-terminated */
    char *filename;      /* MIG_TRANSPORT_FILE */
    uint64_t offset;
} MigrateAddress;

void migrate_address_free(MigrateAddress *a);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MigrateAddress, migrate_address_free)
MigrateAddress *migrate_address_copy(const MigrateAddress *a);
/* "tcp:H:P", "unix:PATH", "vsock:CID:PORT", "fd:NAME", "exec:COMMAND", "file:NAME[,offset=N]" */
MigrateAddress *migrate_address_parse(const char *uri, Error **errp);
MigrateAddress *migrate_address_from_qapi(const MigrationAddress *addr, Error **errp);
/* The arguments of migrate and migrate-incoming: exactly one; channels of MigrationChannel. */
MigrateAddress *migrate_address_from_args(const char *uri, const GPtrArray *channels,
                                          Error **errp);
/* The same with one of channel-type cpr beside it; *ret_cpr is NULL when there is none. */
MigrateAddress *migrate_channels_from_args(const char *uri, const GPtrArray *channels,
                                           MigrateAddress **ret_cpr, Error **errp);
/* Argument of -incoming, if it is a channel of type cpr; else NULL (errp: it is none at all). */
MigrateAddress *migrate_cpr_address_from_option(const char *arg, Error **errp);
/* Argument of -incoming: URI, a MigrationChannel as JSON, or as dotted keys. */
MigrateAddress *migrate_address_from_option(const char *arg, Error **errp);
char *migrate_address_to_str(const MigrateAddress *a); /* for messages */

/*
 * An outgoing connection in three steps, so that the monitor stays live and cancel
 * works: made in the main thread (machine lock; takes over a named descriptor),
 * connected in the migration thread, cancelled from any thread.  Connecting again, also from
 * several threads, gives another channel of the same kind (not with fd:).  TLS is part of
 * connecting when `tls-creds` was set as the connector was made.
 */
typedef struct MigConnector MigConnector;
MigConnector *mig_connector_new(const MigrateAddress *a, Error **errp);
/* Blocks.  The channel belongs to the caller; NULL also when cancelled. */
IOChannel *mig_connector_connect(MigConnector *c, Error **errp);
/* Any thread: a running or later connect fails with "cancelled". */
void mig_connector_cancel(MigConnector *c);
void mig_connector_free(MigConnector *c);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MigConnector, mig_connector_free)

/* ---- channel-file.c: files, whatever thread ---- */

/* For a stream from a->offset on; what was behind that is cut off. */
IOChannel *mig_file_open_out(const MigrateAddress *a, Error **errp);
IOChannel *mig_file_open_in(const MigrateAddress *a, Error **errp);
/* Can pages be put at positions of it beside the stream (mapped-ram)? */
bool mig_file_has_positions(const IOChannel *ioc, bool writing, Error **errp);
/*
 * The file that `main` is a channel of, once more and past the page cache: for pread and pwrite
 * of whole pages.
 */
IOChannel *mig_file_open_direct(const MigrateAddress *a, const IOChannel *main, bool writing,
                                Error **errp);

/*
 * Incoming: calls accepted(ioc, opaque) in the main thread under the machine lock for
 * every connection (ioc belongs to the callee); once for fd, exec and file, when the
 * first bytes can be read.  Machine lock, main thread.  With `tls-creds` set, a connection
 * is accepted when its handshake is over and tls-authz lets it in; the order stays.
 */
typedef struct MigListener MigListener;
typedef void MigAccepted(IOChannel *ioc, void *opaque);
MigListener *mig_listener_new(const MigrateAddress *a, MigAccepted *accepted, void *opaque,
                              Error **errp);
/* Stop listening; accepted channels live on.  May be called from accepted(). */
void mig_listener_free(MigListener *l);
/* What it listens on, for query-migrate; NULL for fd, exec and file.  The caller frees it. */
SocketAddress *mig_listener_address(const MigListener *l);
/* Why the last connection was not let in, NULL: none was refused; borrowed. */
const char *mig_listener_refusal(const MigListener *l);

/*
 * Incoming, for a thread that waits itself, so that no main loop is needed: the main thread
 * may be asleep over a page that only this connection brings.  Sockets only (fd: one that
 * listens or one that is connected).  Any thread; the caller excludes two at a time.
 */
typedef struct MigAcceptor MigAcceptor;
MigAcceptor *mig_acceptor_new(const MigrateAddress *a, Error **errp);
void mig_acceptor_free(MigAcceptor *acceptor);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MigAcceptor, mig_acceptor_free)
/* Readable when there is a connection to take; -1: nothing will come any more. */
int mig_acceptor_fd(const MigAcceptor *acceptor);
/* Take a connection without waiting.  NULL: there is none, or errp says what went wrong. */
IOChannel *mig_acceptor_take(MigAcceptor *acceptor, Error **errp);
SocketAddress *mig_acceptor_address(const MigAcceptor *acceptor); /* as mig_listener_address() */

#endif
