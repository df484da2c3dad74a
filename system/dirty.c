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

static uint64_t taken; /* atomic: pages that migrations took out of the bitmaps */

void dirty_log_note_taken(uint64_t pages)
{
    __atomic_fetch_add(&taken, pages, __ATOMIC_RELAXED);
}

uint64_t dirty_log_count(void)
{
    uint64_t n = __atomic_load_n(&taken, __ATOMIC_RELAXED);

    RAMBLOCK_FOREACH(rb) {
        n += bitmap_count(rb->dirty, 0, ramblock_pages(rb));
    }
    return n;
}

/* The log may begin with every page written; nobody else wants to know that. */
static void forget_all(void)
{
    RAMBLOCK_FOREACH(rb) {
        dirty_log_clear(rb, 0, rb->used_length);
        for (uint64_t w = 0; w < BITMAP_WORDS(ramblock_pages(rb)); w++) {
            __atomic_store_n(&rb->dirty[w], 0, __ATOMIC_SEQ_CST);
        }
    }
}

bool dirty_log_start_count(uint64_t *ret_count, Error **errp)
{
    bool first = users == 0;

    if (!dirty_log_start(errp)) {
        return false;
    }
    if (!dirty_log_sync(errp)) {
        dirty_log_stop();
        return false;
    }
    if (first) {
        forget_all();
    }
    *ret_count = dirty_log_count();
    return true;
}

uint32_t dirty_ring_entries(void)
{
    return accel && accel->dirty_ring_entries ? accel->dirty_ring_entries() : 0;
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
