/*
 * Blocktime statistics.  Belongs to no thread: one lock, held for a few instructions;
 * the fault thread begins waits, whoever places pages ends them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "migration/postcopy-ram/blocktime.h"

#include <glib.h>

/* One thread waiting for one page. */
typedef struct Wait {
    uint64_t page;
    int vcpu; /* index, -1: another thread */
    int64_t since_ns;
} Wait;

typedef struct VcpuTimes {
    int tid;
    unsigned waiting;     /* waits in progress (a thread has one; stale ones may overlap) */
    int64_t since_ns;     /* of the first of them */
    int64_t blocked_ns;   /* total */
    uint64_t faults;
    int64_t latency_ns;   /* sum */
} VcpuTimes;

struct Blocktime {
    GMutex lock;
    GArray *waits;        /* of Wait; as many as there are blocked threads */
    VcpuTimes *vcpus;
    unsigned num_vcpus;
    unsigned vcpus_waiting;
    int64_t all_since_ns; /* all vCPUs wait since then */
    int64_t all_blocked_ns;
    uint64_t faults, other_faults;
    int64_t latency_ns, other_latency_ns; /* sums */
    uint64_t buckets[BLOCKTIME_BUCKETS];
};

Blocktime *blocktime_new(const int *tids, unsigned num_vcpus)
{
    Blocktime *bt = g_new0(Blocktime, 1);

    g_mutex_init(&bt->lock);
    bt->waits = g_array_new(FALSE, FALSE, sizeof(Wait));
    bt->vcpus = g_new0(VcpuTimes, num_vcpus);
    bt->num_vcpus = num_vcpus;
    for (unsigned i = 0; i < num_vcpus; i++) {
        bt->vcpus[i].tid = tids[i];
    }
    return bt;
}

void blocktime_free(Blocktime *bt)
{
    if (!bt) {
        return;
    }
    g_array_unref(bt->waits);
    g_free(bt->vcpus);
    g_mutex_clear(&bt->lock);
    g_free(bt);
}

static int vcpu_of_tid(const Blocktime *bt, int tid)
{
    for (unsigned i = 0; i < bt->num_vcpus; i++) {
        if (bt->vcpus[i].tid == tid) {
            return i;
        }
    }
    return -1;
}

static void vcpu_begin_locked(Blocktime *bt, VcpuTimes *v, int64_t now_ns)
{
    if (v->waiting++) {
        return;
    }
    v->since_ns = now_ns;
    if (++bt->vcpus_waiting == bt->num_vcpus) {
        bt->all_since_ns = now_ns;
    }
}

static void vcpu_end_locked(Blocktime *bt, VcpuTimes *v, int64_t latency_ns, int64_t now_ns)
{
    v->faults++;
    v->latency_ns += latency_ns;
    if (--v->waiting) {
        return;
    }
    v->blocked_ns += now_ns - v->since_ns;
    if (bt->vcpus_waiting-- == bt->num_vcpus) {
        bt->all_blocked_ns += now_ns - bt->all_since_ns;
    }
}

void blocktime_begin(Blocktime *bt, uint64_t page, int tid, int64_t now_ns)
{
    Wait w = { .page = page, .since_ns = now_ns };

    g_mutex_lock(&bt->lock);
    w.vcpu = vcpu_of_tid(bt, tid);
    g_array_append_val(bt->waits, w);
    if (w.vcpu >= 0) {
        vcpu_begin_locked(bt, &bt->vcpus[w.vcpu], now_ns);
    }
    g_mutex_unlock(&bt->lock);
}

static unsigned bucket_of(int64_t ns)
{
    uint64_t us = ns > 0 ? ns / 1000 : 0;
    unsigned bucket = us ? 63 - __builtin_clzll(us) : 0;

    return MIN(bucket, BLOCKTIME_BUCKETS - 1);
}

static void end_one_locked(Blocktime *bt, const Wait *w, int64_t now_ns)
{
    int64_t latency = now_ns - w->since_ns;

    bt->faults++;
    bt->latency_ns += latency;
    bt->buckets[bucket_of(latency)]++;
    if (w->vcpu >= 0) {
        vcpu_end_locked(bt, &bt->vcpus[w->vcpu], latency, now_ns);
    } else {
        bt->other_faults++;
        bt->other_latency_ns += latency;
    }
}

void blocktime_end(Blocktime *bt, uint64_t start, uint64_t len, int64_t now_ns)
{
    g_mutex_lock(&bt->lock);
    for (unsigned i = 0; i < bt->waits->len;) {
        Wait w = g_array_index(bt->waits, Wait, i);

        if (w.page - start < len) {
            g_array_remove_index_fast(bt->waits, i);
            end_one_locked(bt, &w, now_ns);
        } else {
            i++;
        }
    }
    g_mutex_unlock(&bt->lock);
}

static int64_t mean(int64_t sum, uint64_t n)
{
    return n ? sum / (int64_t)n : 0;
}

void blocktime_report(Blocktime *bt, BlocktimeReport *ret_report)
{
    BlocktimeReport *r = ret_report;

    g_mutex_lock(&bt->lock);
    *r = (BlocktimeReport){
        .all_blocked_ns = bt->all_blocked_ns,
        .faults = bt->faults,
        .latency_ns = mean(bt->latency_ns, bt->faults),
        .non_vcpu_latency_ns = mean(bt->other_latency_ns, bt->other_faults),
        .num_vcpus = bt->num_vcpus,
        .vcpu_blocked_ns = g_new0(int64_t, bt->num_vcpus),
        .vcpu_latency_ns = g_new0(int64_t, bt->num_vcpus),
    };
    for (unsigned i = 0; i < BLOCKTIME_BUCKETS; i++) {
        r->buckets[i] = bt->buckets[i];
    }
    for (unsigned i = 0; i < bt->num_vcpus; i++) {
        r->vcpu_blocked_ns[i] = bt->vcpus[i].blocked_ns;
        r->vcpu_latency_ns[i] = mean(bt->vcpus[i].latency_ns, bt->vcpus[i].faults);
    }
    g_mutex_unlock(&bt->lock);
}

void blocktime_report_clear(BlocktimeReport *r)
{
    g_clear_pointer(&r->vcpu_blocked_ns, g_free);
    g_clear_pointer(&r->vcpu_latency_ns, g_free);
}
