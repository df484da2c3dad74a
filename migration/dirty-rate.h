/*
 * Measuring how fast the guest dirties its memory.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_MIGRATION_DIRTY_RATE_H
#define FERRY_MIGRATION_DIRTY_RATE_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "qapi/qapi-types.h"
#include "util/error.h"

#define DIRTY_RATE_MS_MAX 60000
#define DIRTY_RATE_SAMPLES 512 /* pages a GiB */
#define DIRTY_RATE_SAMPLES_MIN 128
#define DIRTY_RATE_SAMPLES_MAX 16384

/* One measurement; machine lock. */
typedef struct DirtyRate {
    DirtyRateStatus status;
    DirtyRateMeasureMode mode;
    int64_t ms;            /* length */
    uint64_t sample_pages; /* a GiB */
    int64_t start_s;       /* seconds since 1970 */
    int64_t rate;          /* MiB/s, once measured */
    GArray *vcpus;         /* of int64_t MiB/s, by index: mode dirty-ring; else NULL */
} DirtyRate;

/*
 * Start the thread that measures; returns at once.  Main thread, machine lock held.
 * False with errp: out of range, not possible here, or another one is not over.
 */
bool dirty_rate_start(DirtyRateMeasureMode mode, int64_t ms, uint64_t sample_pages,
                      Error **errp);
/* The last one; valid while the machine lock is held. */
const DirtyRate *dirty_rate_last(void);
/* The program ends: give up a measurement that is under way.  Machine lock held. */
void dirty_rate_shutdown(void);

/* ---- dirty-rate-sample.c ---- */

/* Pages of guest memory as they were. */
typedef struct SampleSet SampleSet;

/*
 * Remember some pages of every block that migrates, so many a GiB.  Machine lock held;
 * no page of the guest may be missing here.
 */
SampleSet *sample_take(uint64_t pages_per_gib);
/* How many bytes of memory have changed since, by what the samples say.  Machine lock held. */
uint64_t sample_changed_bytes(const SampleSet *set);
void sample_free(SampleSet *set);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SampleSet, sample_free)

#endif
