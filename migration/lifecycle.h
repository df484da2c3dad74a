/*
 * Starting and ending migrations, for the monitor commands (qmp.c, hmp.c).  Main
 * thread, machine lock held.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_MIGRATION_LIFECYCLE_H
#define FERRY_MIGRATION_LIFECYCLE_H

#include "channel.h"
#include "migration-int.h"
#include "state.h"

/*
 * Start an outgoing migration, or (resume) connect a paused postcopy to addr; returns when it is
 * under way.
 */
bool migration_start(const MigrateAddress *addr, const MigrateAddress *cpr, bool resume,
                     Error **errp); /* cpr: NULL but in mode cpr-transfer */
/* Cancel the outgoing one; true also when there is nothing to cancel. */
bool migration_cancel(Error **errp);
/*
 * Break the connection of a postcopy, on either side: it becomes postcopy-paused.  Any thread, the
 * machine lock need not be held.
 */
bool migration_pause(Error **errp);
/*
 * Do fn with the paused outgoing / incoming migration, which stays while it runs: not for long, no IO.
 * False: there is none (errp says what there is), or fn failed.  Any thread, the machine lock need
 * not be held.
 */
typedef bool MigrationCall(Migration *m, void *opaque, Error **errp);
bool migration_call_paused(bool source, MigrationCall *fn, void *opaque, Error **errp);
/* Listen for the incoming one; the first connection starts the load. */
bool migration_incoming_start(const MigrateAddress *addr, bool exit_on_error, Error **errp);
/* -incoming defer was given and migrate-incoming was not. */
bool migration_incoming_deferred(void);

MigState migration_source_state(void);
MigState migration_destination_state(void);
const GPtrArray *migration_blockers(void); /* of Error * */

#endif
