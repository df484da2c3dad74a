/*
 * A limit of how fast each vCPU dirties memory, kept by making it sleep.
 *
 * Needs to know which vCPU wrote a page: KVM's dirty ring.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_SYSTEM_DIRTY_LIMIT_H
#define FERRY_SYSTEM_DIRTY_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "system/cpus.h"
#include "util/error.h"

#define DIRTY_LIMIT_PERIOD_MS 1000

/* Is there a dirty ring?  Any thread. */
bool dirty_limit_supported(Error **errp);
/*
 * From now on vCPU `index` (-1: all) may dirty `mib_per_second`; 0 ends its limit.
 * Starts and stops the dirty log and the thread that looks.  Machine lock held.
 */
bool dirty_limit_set(int index, uint64_t mib_per_second, Error **errp);
/* Milliseconds between two looks (default DIRTY_LIMIT_PERIOD_MS).  Any thread. */
void dirty_limit_set_period(int64_t ms);
/* Limit and last known rate, MiB/s; false: no limit.  Any thread. */
bool dirty_limit_get(int index, uint64_t *ret_limit, uint64_t *ret_rate);
/* Longest nap of the last round / how long a vCPU takes to fill its ring now, microseconds. */
void dirty_limit_stats(uint64_t *ret_nap_us, uint64_t *ret_ring_full_us);
/* The accelerator took `cpu`'s full ring; its own thread, no lock held.  May sleep. */
void dirty_limit_ring_full(CPUState *cpu);

/*
 * An account of what one vCPU may dirty: a pure thing, for tests.  Pages that were written
 * have to be waited for; time in which less was written is not saved up.
 */
typedef struct DirtyAccount {
    int64_t since_us;     /* the account begins here, ... */
    uint64_t since_pages; /* ... with so many pages written */
} DirtyAccount;
/*
 * Until `now_us` the vCPU wrote `pages` in all; how long must it sleep to keep to
 * `limit` MiB/s?  Microseconds, 0: not at all (then a new account begins).
 */
int64_t dirty_account_nap_us(DirtyAccount *a, uint64_t limit, uint64_t pages, int64_t now_us);

#endif
