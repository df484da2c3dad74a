/*
 * Dirty tracking: the switch, the merge of the accelerator's log, and marks by
 * writers.  Start, stop and sync under the machine lock; marks from any thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "system/dirty.h"

#include <string.h>

#include "accel/accel.h"
#include "system/machine-lock.h"
#include "util/bitmap.h"

bool dirty_log_on;
static unsigned users; /* machine lock */

void ram_mark_dirty_slow(RAMBlock *rb, uint64_t offset, uint64_t len)
{
    uint64_t first = offset >> TARGET_PAGE_BITS;
    uint64_t last = (offset + len - 1) >> TARGET_PAGE_BITS;

    if (len == 0) {
        return;
    }
    if (first == last) {
        /* The usual store: do not dirty the cache line when the bit is set. */
        if (!bitmap_test(rb->dirty, first)) {
            bitmap_test_and_set_atomic(rb->dirty, first);
        }
        return;
    }
    bitmap_set_atomic(rb->dirty, first, last - first + 1);
}

bool dirty_log_start(Error **errp)
{
    g_assert(machine_locked());
    if (users == 0) {
        RAMBLOCK_FOREACH(rb) {
            memset(rb->dirty, 0, BITMAP_BYTES(rb->max_length >> TARGET_PAGE_BITS));
        }
        __atomic_store_n(&dirty_log_on, true, __ATOMIC_SEQ_CST);
        if (accel && accel->dirty_start && !accel->dirty_start(errp)) {
            __atomic_store_n(&dirty_log_on, false, __ATOMIC_SEQ_CST);
            return false;
        }
    }
    users++;
    return true;
}

void dirty_log_stop(void)
{
    g_assert(machine_locked() && users > 0);
    if (--users == 0) {
        if (accel && accel->dirty_stop) {
            accel->dirty_stop();
        }
        __atomic_store_n(&dirty_log_on, false, __ATOMIC_SEQ_CST);
    }
}

bool dirty_log_sync(Error **errp)
{
    g_assert(machine_locked());
    return !accel || !accel->dirty_sync || accel->dirty_sync(errp);
}

void dirty_log_clear(RAMBlock *rb, uint64_t offset, uint64_t len)
{
    if (accel && accel->dirty_clear) {
        accel->dirty_clear(rb, offset, len);
    }
}

bool dirty_log_needs_clear(void)
{
    return accel && accel->dirty_clear;
}
