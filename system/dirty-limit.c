/*
 * The dirty limit: what a vCPU wrote is counted when its dirty ring is emptied, and a
 * vCPU that wrote more than its limit allows sleeps until it is even again.
 *
 * The account is looked at in two places: in the vCPU's own thread when its ring was full,
 * and in the thread "dirty-limit", once a period, for those that never fill theirs.
 * That thread lives while any vCPU has a limit; the dirty log is on as long.
 *
 * Lock: limit_lock, a leaf behind the machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "system/dirty-limit.h"

#include <string.h>

#include "accel/accel.h"
#include "system/cpu-throttle.h"
#include "system/dirty.h"
#include "system/machine-lock.h"
#include "trace/system.h"
#include "util/log.h"
#include "util/util.h"

#define NAP_MIN_US 1000 /* shorter ones cost more than they bring */

typedef struct VcpuLimit {
    uint64_t limit;      /* MiB/s, 0: none */
    uint64_t rate;       /* MiB/s in the last period */
    uint64_t last_pages; /* at the last look of the thread */
    int64_t last_us;
    uint64_t nap_us;     /* longest of this period / of the last one */
    uint64_t last_nap_us;
    DirtyAccount account;
} VcpuLimit;

static GMutex limit_lock;
static VcpuLimit *vcpus;  /* limit_lock; by index */
static unsigned n_vcpus;  /* limit_lock */
static unsigned in_force; /* limit_lock: how many have a limit */
static bool thread_alive; /* machine lock */
static GCond wake;        /* with the machine lock */
static int64_t period_ms = DIRTY_LIMIT_PERIOD_MS; /* atomic */

bool dirty_limit_supported(Error **errp)
{
    if (!dirty_ring_entries()) {
        error_setg(errp, "a dirty limit needs KVM with a dirty ring: start with -accel "
                   "kvm,dirty-ring-size=4096");
        return false;
    }
    return true;
}

int64_t dirty_account_nap_us(DirtyAccount *a, uint64_t limit, uint64_t pages, int64_t now_us)
{
    double bytes = (double)(pages - a->since_pages) * TARGET_PAGE_SIZE;
    int64_t even_us = a->since_us + (int64_t)(bytes * G_USEC_PER_SEC / ((double)limit * MiB));

    if (even_us - now_us < NAP_MIN_US) {
        *a = (DirtyAccount){ .since_us = now_us, .since_pages = pages };
        return 0;
    }
    return even_us - now_us;
}

static uint64_t pages_of(const CPUState *cpu)
{
    return __atomic_load_n(&cpu->ring_pages, __ATOMIC_RELAXED);
}

/* The nap that is due for a vCPU now. */
static int64_t due_us(CPUState *cpu, int64_t now_us)
{
    int64_t us = 0;

    g_mutex_lock(&limit_lock);
    if ((unsigned)cpu->index < n_vcpus && vcpus[cpu->index].limit) {
        VcpuLimit *v = &vcpus[cpu->index];

        us = dirty_account_nap_us(&v->account, v->limit, pages_of(cpu), now_us);
        v->nap_us = MAX(v->nap_us, us);
    }
    g_mutex_unlock(&limit_lock);
    return us;
}

void dirty_limit_ring_full(CPUState *cpu)
{
    int64_t us = due_us(cpu, g_get_monotonic_time());

    if (us) {
        trace_dirty_limit_nap(cpu->index, us);
        cpu_nap(cpu, us);
    }
}

static void measure(CPUState *cpu, int64_t now_us)
{
    g_mutex_lock(&limit_lock);
    if ((unsigned)cpu->index < n_vcpus) {
        VcpuLimit *v = &vcpus[cpu->index];
        uint64_t pages = pages_of(cpu);

        if (v->last_us && now_us > v->last_us) {
            v->rate = (pages - v->last_pages) * TARGET_PAGE_SIZE * G_USEC_PER_SEC /
                      (now_us - v->last_us) / MiB;
        }
        v->last_us = now_us;
        v->last_pages = pages;
        v->last_nap_us = v->nap_us;
        v->nap_us = 0;
    }
    g_mutex_unlock(&limit_lock);
}

/* Machine lock held. */
static void look(void)
{
    g_autoptr(Error) err = NULL;
    int64_t now_us = g_get_monotonic_time();

    if (!dirty_log_sync(&err)) {
        warn_report("dirty limit: %s", error_get_pretty(err));
        return;
    }
    CPU_FOREACH(cpu) {
        int64_t us = due_us(cpu, now_us);

        measure(cpu, now_us);
        if (us) {
            trace_dirty_limit_nap(cpu->index, us);
            __atomic_store_n(&cpu->nap_us, us, __ATOMIC_RELAXED);
            cpu_kick(cpu);
        }
    }
}

static bool any_limit(void)
{
    bool any;

    g_mutex_lock(&limit_lock);
    any = in_force > 0;
    g_mutex_unlock(&limit_lock);
    return any;
}

static void *limit_thread(void *unused)
{
    MACHINE_LOCK_GUARD();
    while (any_limit()) {
        int64_t ms = __atomic_load_n(&period_ms, __ATOMIC_RELAXED);
        int64_t end = g_get_monotonic_time() + ms * 1000;

        while (any_limit() && machine_lock_wait_until(&wake, end)) {
            /* woken to see whether there is still a limit */
        }
        if (any_limit()) {
            look();
        }
    }
    dirty_log_stop();
    thread_alive = false;
    return NULL;
}

static void set_one(unsigned index, uint64_t limit)
{
    VcpuLimit *v;

    if (index >= n_vcpus) {
        vcpus = g_renew(VcpuLimit, vcpus, index + 1);
        memset(&vcpus[n_vcpus], 0, (index + 1 - n_vcpus) * sizeof(VcpuLimit));
        n_vcpus = index + 1;
    }
    v = &vcpus[index];
    in_force += (limit != 0) - (v->limit != 0);
    v->limit = limit;
    v->account = (DirtyAccount){ .since_us = g_get_monotonic_time(),
                                 .since_pages = pages_of(cpu_by_index(index)) };
}

bool dirty_limit_set(int index, uint64_t mib_per_second, Error **errp)
{
    g_assert(machine_locked());
    if (!dirty_limit_supported(errp)) {
        return false;
    }
    if (mib_per_second && !thread_alive && !dirty_log_start(errp)) {
        return false;
    }
    g_mutex_lock(&limit_lock);
    CPU_FOREACH(cpu) {
        if (index < 0 || cpu->index == index) {
            set_one(cpu->index, mib_per_second);
            cpu_nap_end(cpu); /* it was for the former limit */
        }
    }
    g_mutex_unlock(&limit_lock);
    if (mib_per_second && !thread_alive) {
        thread_alive = true;
        g_thread_unref(thread_start("dirty-limit", limit_thread, NULL));
    }
    g_cond_broadcast(&wake);
    return true;
}

void dirty_limit_set_period(int64_t ms)
{
    __atomic_store_n(&period_ms, ms, __ATOMIC_RELAXED);
}

bool dirty_limit_get(int index, uint64_t *ret_limit, uint64_t *ret_rate)
{
    bool limited;

    g_mutex_lock(&limit_lock);
    limited = index >= 0 && (unsigned)index < n_vcpus && vcpus[index].limit;
    *ret_limit = limited ? vcpus[index].limit : 0;
    *ret_rate = limited ? vcpus[index].rate : 0;
    g_mutex_unlock(&limit_lock);
    return limited;
}

void dirty_limit_stats(uint64_t *ret_nap_us, uint64_t *ret_ring_full_us)
{
    uint64_t ring = (uint64_t)dirty_ring_entries() * TARGET_PAGE_SIZE, rate = 0;

    *ret_nap_us = 0;
    g_mutex_lock(&limit_lock);
    for (unsigned i = 0; i < n_vcpus; i++) {
        *ret_nap_us = MAX(*ret_nap_us, MAX(vcpus[i].nap_us, vcpus[i].last_nap_us));
        rate = MAX(rate, vcpus[i].rate);
    }
    g_mutex_unlock(&limit_lock);
    *ret_ring_full_us = rate ? ring * G_USEC_PER_SEC / (rate * MiB) : 0;
}
