/*
 * Throttling of vCPUs: a thread of its own hands out naps, each vCPU takes its nap in
 * its own thread.
 *
 * The thread "cpu-throttle" lives while the share is not 0.  Every vCPU gets SLICE_US of
 * work, then a nap that makes up the share; a vCPU that is halted loses nothing.
 *
 * Locks: throttle_lock is a leaf, never held while the machine lock is taken.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "system/cpu-throttle.h"

#include "system/machine-lock.h"
#include "trace/system.h"
#include "util/util.h"

#define SLICE_US 10000

static GMutex throttle_lock;
static GCond throttle_cond;
static bool thread_alive; /* throttle_lock */
static int share;         /* percent; atomic, written under throttle_lock */

int64_t cpu_throttle_nap_us(int percent)
{
    return (int64_t)SLICE_US * percent / (100 - percent);
}

int cpu_throttle_percent(void)
{
    return __atomic_load_n(&share, __ATOMIC_RELAXED);
}

/* Machine lock held; it is dropped while the vCPU sleeps. */
static void sleep_locked(CPUState *cpu, int64_t us)
{
    int64_t end = g_get_monotonic_time() + us;

    cpu->nap_over = false;
    while (!cpu->stop && !cpu->unplug && !cpu->nap_over && g_get_monotonic_time() < end) {
        machine_lock_wait_until(cpu->halt_cond, end);
    }
}

bool cpu_throttle_nap(CPUState *cpu)
{
    int64_t us = __atomic_exchange_n(&cpu->nap_us, 0, __ATOMIC_RELAXED);

    if (us <= 0) {
        return false;
    }
    sleep_locked(cpu, us);
    return true;
}

void cpu_nap(CPUState *cpu, int64_t us)
{
    g_assert(cpu_is_self(cpu));
    MACHINE_LOCK_GUARD();
    sleep_locked(cpu, us);
}

void cpu_nap_end(CPUState *cpu)
{
    g_assert(machine_locked());
    __atomic_store_n(&cpu->nap_us, 0, __ATOMIC_RELAXED);
    cpu->nap_over = true;
    g_cond_broadcast(cpu->halt_cond);
}

static void hand_out(int64_t nap_us)
{
    MACHINE_LOCK_GUARD();
    CPU_FOREACH(cpu) {
        __atomic_store_n(&cpu->nap_us, nap_us, __ATOMIC_RELAXED);
        cpu_kick(cpu);
    }
}

/* Until the end of this round or the end of throttling; throttle_lock held. */
static bool wait_round(int64_t nap_us)
{
    int64_t end = g_get_monotonic_time() + SLICE_US + nap_us;

    while (share && g_get_monotonic_time() < end) {
        g_cond_wait_until(&throttle_cond, &throttle_lock, end);
    }
    return share;
}

static void *throttle_thread(void *unused)
{
    g_mutex_lock(&throttle_lock);
    while (share) {
        int64_t nap = cpu_throttle_nap_us(share);

        g_mutex_unlock(&throttle_lock);
        hand_out(nap);
        g_mutex_lock(&throttle_lock);
        wait_round(nap);
    }
    thread_alive = false;
    g_mutex_unlock(&throttle_lock);
    return NULL;
}

void cpu_throttle_set(int percent)
{
    g_assert(percent >= 0 && percent <= CPU_THROTTLE_MAX);
    g_mutex_lock(&throttle_lock);
    if (percent != share) {
        trace_cpu_throttle(percent);
    }
    __atomic_store_n(&share, percent, __ATOMIC_RELAXED);
    if (percent && !thread_alive) {
        thread_alive = true;
        g_thread_unref(thread_start("cpu-throttle", throttle_thread, NULL));
    }
    g_cond_signal(&throttle_cond);
    g_mutex_unlock(&throttle_lock);
}
