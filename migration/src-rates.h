/*
 * How fast it goes, and from that: when to stop the machine.  Migration thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_MIGRATION_SRC_RATES_H
#define FERRY_MIGRATION_SRC_RATES_H

#include "migration-int.h"

/* Recompute bandwidth and expected downtime, once a window. */
void rates_update(Migration *m);
/*
 * The dirty log was read: a period of at least a second (the last one may be shorter) ends
 * here, and the dirty rate is what its syncs found.
 */
void rates_dirty_sync(Migration *m, bool last);
/* Count the bytes since the last call to precopy, downtime or postcopy. */
void rates_account(Migration *m);
/* m->out will be another stream: its bytes are counted from 0. */
void rates_new_stream(Migration *m);
/* Bytes that can be sent within downtime-limit; 0 while the bandwidth is not known. */
uint64_t rates_threshold(Migration *m);

/*
 * The decision to switch, a pure function of counters.  Under the threshold the machine
 * could be stopped at once; while the guest runs it pays to send what is left first,
 * round by round, as long as each leaves half as much as the one before.
 */
typedef struct SwitchDecision {
    bool settling;      /* under the threshold; rounds go on */
    unsigned rounds;
    uint64_t last;      /* bytes left at the last sync of a round */
} SwitchDecision;

bool switch_wants_sync(const SwitchDecision *d, uint64_t pending, uint64_t threshold);
/* After the sync: 1 switch now, 0 go on. */
int switch_decide(SwitchDecision *d, uint64_t pending, uint64_t threshold, bool running);

#endif
