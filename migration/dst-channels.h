/*
 * The destination's connections: which one is what.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_MIGRATION_DST_CHANNELS_H
#define FERRY_MIGRATION_DST_CHANNELS_H

#include "channel.h"
#include "migration-int.h"

typedef enum DstChannelKind {
    DST_CHANNEL_MAIN,
    DST_CHANNEL_MULTIFD,
    DST_CHANNEL_PREEMPT,  /* the last to come; says nothing by itself */
    DST_CHANNEL_EXTRA,    /* one more than there may be */
    DST_CHANNEL_STRANGER, /* its first bytes are of no channel */
} DstChannelKind;

/*
 * By its first four bytes (NULL: they cannot be looked at, and order decides: the main
 * channel comes first).  missing: multifd channels that are still to come; preempt: the
 * preempt channel is.  Pure.
 */
DstChannelKind dst_channel_kind(const uint8_t *first, bool have_main, unsigned missing,
                                bool preempt);

/* MigAccepted of the incoming migration `opaque`. */
void dst_channels_accepted(IOChannel *ioc, void *opaque);
/*
 * In the main thread, for a multifd channel that has failed: ends the migration when there is
 * no thread yet that would (the main channel has not come).
 */
void dst_channels_failed_bh(void *migration);
/* Drop connections that have not said what they are. */
void dst_channels_clear(Migration *m);

#endif
