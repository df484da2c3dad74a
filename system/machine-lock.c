/*
 * The machine lock.  A plain mutex plus a per-thread flag that says who holds it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "system/machine-lock.h"

static GMutex lock;
static __thread bool held;

void machine_lock(void)
{
    g_assert(!held);
    g_mutex_lock(&lock);
    held = true;
}

void machine_unlock(void)
{
    g_assert(held);
    held = false;
    g_mutex_unlock(&lock);
}

bool machine_locked(void)
{
    return held;
}

void machine_lock_wait(GCond *cond)
{
    g_assert(held);
    held = false;
    g_cond_wait(cond, &lock);
    held = true;
}

bool machine_lock_wait_until(GCond *cond, int64_t monotonic_us)
{
    bool signalled;

    g_assert(held);
    held = false;
    signalled = g_cond_wait_until(cond, &lock, monotonic_us);
    held = true;
    return signalled;
}

MachineLockGuard machine_lock_guard_take(void)
{
    if (held) {
        return false;
    }
    machine_lock();
    return true;
}
