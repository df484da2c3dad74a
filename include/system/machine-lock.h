/*
 * The machine lock: the one big lock over devices, the run state, the monitors
 * and the lists of RAMBlocks and CPUs.
 *
 * The main thread holds it whenever it is not waiting in poll; vCPU threads take
 * it for device access; the migration threads take it to stop the machine and to
 * save or load devices.  Order: machine lock first, any other lock after it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_SYSTEM_MACHINE_LOCK_H
#define FERRY_SYSTEM_MACHINE_LOCK_H

#include <glib.h>
#include <stdbool.h>

void machine_lock(void);
void machine_unlock(void);
/* Does the calling thread hold it? */
bool machine_locked(void);
/* Wait on cond, which is signalled under the machine lock. */
void machine_lock_wait(GCond *cond);
bool machine_lock_wait_until(GCond *cond, int64_t monotonic_us);

#define MACHINE_LOCK_GUARD() \
    g_auto(MachineLockGuard) machine_lock_guard_ G_GNUC_UNUSED = machine_lock_guard_take()
typedef bool MachineLockGuard; /* true: this guard took the lock */
MachineLockGuard machine_lock_guard_take(void);
static inline void machine_lock_guard_clear(MachineLockGuard *g)
{
    if (*g) {
        machine_unlock();
    }
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(MachineLockGuard, machine_lock_guard_clear)

#endif
