/*
 * What the rest of Ferry sees of migration.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_MIGRATION_MIGRATION_H
#define FERRY_MIGRATION_MIGRATION_H

#include <glib.h>
#include <stdbool.h>

#include "util/error.h"

/* Make the migration object (main thread, once, before devices exist): registers `ram`, `timer`. */
void migration_init(void);
/* Register what must come last in a stream (globalstate), after the devices. */
void migration_machine_ready(void);
/* End every migration thread and free it; machine lock held, process is going down. */
void migration_shutdown(void);

/*
 * Before there is a machine: take the memory that a former program hands over (mode
 * cpr-transfer: waits for it; cpr-exec).  incoming: arguments of -incoming.  Main thread.
 */
bool migration_take_kept(const GPtrArray *incoming, Error **errp);
/* -incoming ARG (URI, "defer", JSON or dotted channel).  Machine lock held. */
bool migration_incoming_option(const char *arg, Error **errp);
/* Is a load expected or running: the machine must not run and CPUs must not be reset on it? */
bool migration_incoming_pending(void);
/* -global migration.PROP=VALUE and -only-migratable. */
bool migration_global_property(const char *prop, const char *value, Error **errp);
extern bool only_migratable;

/* True in setup..device on the source, and while a destination loads. */
bool migration_in_progress(void);

/*
 * Something forbids migration: `reason` is shown in errors and in blocked-reasons.
 * Machine lock held.  False (reason freed) when a migration is in progress or with
 * -only-migratable.
 */
bool migrate_add_blocker(Error **reason, Error **errp);
void migrate_del_blocker(Error **reason);

#endif
