/*
 * Having a destination's memory present before pages are read into it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_MIGRATION_RAM_POPULATE_H
#define FERRY_MIGRATION_RAM_POPULATE_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "system/ramblock.h"

#define POPULATE_REGION (2ULL << 20)

typedef enum PopulateKind { POPULATE_SMALL, POPULATE_HUGE, POPULATE__MAX } PopulateKind;

/*
 * Which pages are cheaper here is measured: huge ones, as a rule, but not where the host
 * under this host has to find memory for every large piece.  The median of the last few
 * regions counts; now and then the other kind is tried again, the more seldom the more it
 * cost.  Pure.
 */
#define POPULATE_SAMPLES 3
typedef struct PopulateChoice {
    uint64_t ns[POPULATE__MAX][POPULATE_SAMPLES]; /* last costs of a region; 0: none yet */
    unsigned at[POPULATE__MAX];                   /* where the next one goes */
    uint64_t regions;                             /* so far */
    uint64_t next_probe;                          /* region at which the other kind is tried */
    unsigned probes;
} PopulateChoice;

PopulateKind populate_choose(PopulateChoice *c);
void populate_learn(PopulateChoice *c, PopulateKind kind, uint64_t ns);

/* One block, as the populator sees it. */
typedef struct PopulateBlock {
    RAMBlock *rb;              /* fixed; NULL: it is not to be populated ahead */
    uint64_t regions;          /* fixed */
    unsigned long *populated;  /* lock; a bit a region: done or being done */
    bool tied;                 /* lock; parts with different advice can be joined again */
    unsigned long *used;       /* reader's thread; a bit a region: data came */
} PopulateBlock;

typedef struct Populator Populator;
Populator *populator_new(void);
/* Ends the helper first.  NULL is fine. */
void populator_free(Populator *p);
/* Nothing is populated any more after this.  Reader's thread. */
void populator_stop(Populator *p);

void populate_block_init(PopulateBlock *b, RAMBlock *rb, bool wanted);
void populate_block_clear(PopulateBlock *b);
/*
 * Data is about to be put at offset: its region is present when this returns, as far as
 * that can be, and a helper thread goes on with those behind it while the reader reads.
 * Reader's thread; cheap within one region.
 */
void populate_for(Populator *p, PopulateBlock *b, uint64_t offset);
/* A zero page came at offset: look less far ahead. */
void populate_zero_seen(Populator *p);
/* Give back what was populated ahead and got zero pages only: all of it was received. */
void populate_trim(Populator *p, PopulateBlock *b, const unsigned long *received);

#endif
