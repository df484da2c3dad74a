/*
 * Modes cpr-transfer and cpr-exec: memory is not sent, its descriptors are handed over.
 *
 *   transfer  source: connect the cpr channel -> descriptors -> wait until the other side
 *             closes it -> main channel, as any migration, without RAM
 *             other side, before it makes its machine: accept -> take -> (machine, main
 *             listener) -> close
 *   exec      source: main channel into a file; descriptors into a memfd; exec
 *             the new program: finds the memfd by QEMU_CPR_EXEC_STATE -> take
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_MIGRATION_CPR_H
#define FERRY_MIGRATION_CPR_H

#include "channel.h"
#include "config.h"
#include "migration-int.h"

/* Memory stays, no block is sent. */
bool cpr_keeps_memory(const MigConfig *config);
/*
 * May a migration with these settings start?  `cpr`: address of the cpr channel, NULL:
 * none was given.  Main thread, machine lock held.
 */
bool cpr_check_start(const MigConfig *config, const MigrateAddress *main_addr,
                     const MigrateAddress *cpr, Error **errp);
/* Source, before the main channel.  Migration thread; blocks, ends with a cancel. */
bool cpr_transfer(Migration *m, Error **errp);
/*
 * Source, machine stopped, everything written: become the other program.  Returns only
 * when that failed, false.  Migration thread, machine lock not held.
 */
bool cpr_exec(Migration *m, Error **errp);
/* Destination: the main channel is listened on, the source may go on.  Machine lock. */
void cpr_listening(void);
/* Is this argument of -incoming the cpr channel? */
bool cpr_is_option(const char *arg);

#endif
