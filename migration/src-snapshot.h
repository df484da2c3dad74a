/*
 * background-snapshot: memory as it is at one moment, written out while the guest goes
 * on.
 *
 *   freeze   machine stopped: device state into memory, RAM write-protected; machine goes on
 *   drain    pages go out; one that somebody wants to write to goes first; each may be
 *            written to once it is out
 *   finish   device state behind the last page
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_MIGRATION_SRC_SNAPSHOT_H
#define FERRY_MIGRATION_SRC_SNAPSHOT_H

#include "migration-int.h"
#include "ram.h"

typedef struct Snapshot Snapshot;

/* Can this host protect the memory of this machine?  Machine lock held. */
bool snapshot_supported(Error **errp);

/* The course between setup and the end.  Migration thread. */
bool snapshot_course(Migration *m, Error **errp);
/*
 * Protection ends, and whoever waits goes on.  Before the machine lock is taken: its
 * holder may be among them.  Migration thread; NULL m->snapshot is fine.
 */
void snapshot_end(Migration *m);

/* ---- for ram-save.c; migration thread, m->snapshot is there ---- */

/* Those pages that somebody wants to write to are taken next: see urgent_next(). */
void snapshot_poll(Migration *m);
/* The run is in the stream: let it be written to.  False: the stream or userfaultfd failed. */
bool snapshot_release(Migration *m, const PageRun *run, Error **errp);

#endif
