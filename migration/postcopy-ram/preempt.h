/*
 * The preempt channel: a second connection that carries the pages that somebody waits for, so that
 * they do not wait behind the others.  It has no header, no handshake and no way back: RAM records,
 * and EOS at the end.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_MIGRATION_POSTCOPY_PREEMPT_H
#define FERRY_MIGRATION_POSTCOPY_PREEMPT_H

#include <stdbool.h>
#include <stdint.h>

#include "migration/migration-int.h"
#include "migration/ram.h"

/* ======== preempt-source.c ======== */

/*
 * Connect, if the options ask for the channel and it is not there yet.  Migration thread; behind
 * the greeting, and again in each recovery.
 */
bool preempt_source_connect(Migration *m, Error **errp);
/*
 * The destination waits for these pages of b: send those that are still here, at once.
 * Return-path thread.  When the channel breaks, all of m's are shut down.
 */
void preempt_source_send(PreemptSource *p, RamSourceBlock *b, uint64_t start, uint64_t len);
/* Everything is sent: say so on the channel.  Migration thread. */
void preempt_source_finish(PreemptSource *p);
/* The return-path thread has ended: the channel, if there is one, goes.  Migration thread. */
void preempt_source_end(Migration *m);
void preempt_source_free(PreemptSource *p); /* NULL is fine */

/* ======== preempt-dest.c ======== */

typedef struct PreemptDest PreemptDest;

/*
 * Before a package is loaded: wait until the channel is there, if the options ask for it.
 * Thread that reads the main stream, without the machine lock.
 */
bool preempt_dest_wait(Migration *m, Error **errp);
/* Start the thread that reads the channel, if there is one. */
bool preempt_dest_start(PostcopyDest *pd, Error **errp);
/*
 * The main stream has ended: wait until the pages that are on their way over the channel have
 * come, or no more will come.  Listen thread.
 */
void preempt_dest_drain(PostcopyDest *pd);
/* End the thread (the channel is shut down) and let the channel go.  Fine when there is none. */
void preempt_dest_stop(PostcopyDest *pd);

#endif
