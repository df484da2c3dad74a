/*
 * Watching that a migration's peer is alive: when nothing has moved for the parameter x-peer-timeout
 * in a state in which something must, the channels are shut down, and whoever waits on them hears of it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_MIGRATION_WATCH_H
#define FERRY_MIGRATION_WATCH_H

#include "migration-int.h"

/*
 * Start the thread ("mig/watch") that watches m; it ends by itself when m has ended.  False: no
 * thread can be had.  Machine lock; once a migration.
 */
bool mig_watch_start(Migration *m, Error **errp);
/* End it, if it was started.  Machine lock need not be held; m's threads may run on. */
void mig_watch_stop(Migration *m);
/* Migration thread: it is silent by its own choice, because of a limit or of a word to come. */
void mig_watch_nap(Migration *m);

#endif
