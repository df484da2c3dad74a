/*
 * Having a destination's memory present before pages are read into it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_MIGRATION_RAM_POPULATE_H
#define FERRY_MIGRATION_RAM_POPULATE_H

#include <stdbool.h>
#include <stdint.h>

#include "system/ramblock.h"

#define POPULATE_REGION (2ULL << 20)

typedef enum PopulateKind { POPULATE_SMALL, POPULATE_HUGE, POPULATE__MAX } PopulateKind;

/*
 * Which pages are cheaper here is measured: huge ones, as a rule, but not where the host
 * under this host has to find memory for every large piece.  The median of the last few
 * regions counts; now and then the other kind is tried again.  Pure.
 */
#define POPULATE_SAMPLES 5
typedef struct PopulateChoice {
    uint64_t ns[POPULATE__MAX][POPULATE_SAMPLES]; /* last costs of a region; 0: none yet */
    unsigned at[POPULATE__MAX];                   /* where the next one goes */
    uint64_t regions;                             /* so far */
} PopulateChoice;

PopulateKind populate_choose(PopulateChoice *c);
void populate_learn(PopulateChoice *c, PopulateKind kind, uint64_t ns);

/* Of one destination.  Incoming thread. */
typedef struct Populator {
    uint64_t budget; /* bytes that may still be populated ahead */
    PopulateChoice choice;
} Populator;

void populator_init(Populator *p);
/*
 * [start, start+len) of rb, a region or the rest of the block, is about to be filled.
 * False: populating ahead does not work for this block (any more).
 */
bool populate_ahead(Populator *p, RAMBlock *rb, uint64_t start, uint64_t len);

#endif
