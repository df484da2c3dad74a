/*
 * Dirty tracking: which pages of which RAMBlock were written.
 *
 * Writers: devices, monitors and the software CPU call ram_mark_dirty(); the
 * accelerator's own log (KVM) is merged by dirty_log_sync().  Both end in
 * RAMBlock.dirty, whose bits are only ever set here; the migration thread takes
 * them from there (migration/ram-dirty.c).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_SYSTEM_DIRTY_H
#define FERRY_SYSTEM_DIRTY_H

#include <stdbool.h>
#include <stdint.h>

#include "system/ramblock.h"
#include "util/error.h"

extern bool dirty_log_on; /* written under the machine lock with vCPUs kicked; read by any thread */

/* [offset, offset+len) of rb was written.  Any thread; cheap when logging is off. */
void ram_mark_dirty_slow(RAMBlock *rb, uint64_t offset, uint64_t len);
static inline void ram_mark_dirty(RAMBlock *rb, uint64_t offset, uint64_t len)
{
    /* Who sees the log on must see that the bitmaps were cleared before: else a mark is lost. */
    if (__atomic_load_n(&dirty_log_on, __ATOMIC_ACQUIRE)) {
        ram_mark_dirty_slow(rb, offset, len);
    }
}

/*
 * Start/stop logging (accelerator included).  Nested users are counted.
 * RAMBlock.dirty is cleared when logging starts.  Machine lock held.
 */
bool dirty_log_start(Error **errp);
void dirty_log_stop(void);

/*
 * Merge the accelerator's log into RAMBlock.dirty and (KVM) re-protect what it
 * reports, or leave that to dirty_log_clear().  Machine lock held.
 */
bool dirty_log_sync(Error **errp);
/*
 * Counting, for whoever wants to know how much is written and takes nothing.  The first
 * also starts the log, which a later dirty_log_stop() ends; the difference of two counts
 * is the pages written in between, those counted twice that a migration took meanwhile.
 * Sync before the second.  Machine lock held.
 */
bool dirty_log_start_count(uint64_t *ret_count, Error **errp);
uint64_t dirty_log_count(void);
/* The migration thread took so many bits out of RAMBlock.dirty. */
void dirty_log_note_taken(uint64_t pages);
/* Entries of each vCPU's dirty ring; 0: the accelerator uses none.  Any thread. */
uint32_t dirty_ring_entries(void);

/*
 * With KVM's manual protect: write-protect [offset, offset+len) of rb again, just
 * before its pages are read for sending.  The range is widened to multiples of 64
 * pages by the accelerator: call it per chunk before taking any page of the chunk.
 * Migration thread, no lock needed.
 */
void dirty_log_clear(RAMBlock *rb, uint64_t offset, uint64_t len);
/* True when dirty_log_clear() must be called (lazy re-protection). */
bool dirty_log_needs_clear(void);

#endif
