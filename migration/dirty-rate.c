/*
 * Measuring how fast the guest dirties its memory, in one of three ways.
 *
 * The measurement has a thread, "dirty-rate": it looks, sleeps for the time that was
 * asked for, looks again.  Everything here is under the machine lock; the thread drops it
 * while it sleeps.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "dirty-rate.h"

#include <inttypes.h>

#include "accel/accel.h"
#include "migration/migration.h"
#include "system/cpus.h"
#include "system/dirty.h"
#include "system/machine-lock.h"
#include "trace/migration.h"
#include "util/log.h"
#include "util/util.h"

static DirtyRate last = { .sample_pages = DIRTY_RATE_SAMPLES }; /* machine lock */
static GThread *thread; /* machine lock; joined before the next one starts */
static bool give_up;    /* machine lock */
static GCond wake;

const DirtyRate *dirty_rate_last(void)
{
    return &last;
}

/* Machine lock held, dropped meanwhile.  Microseconds that have passed; 0: given up. */
static int64_t pause_for(int64_t ms)
{
    int64_t start = g_get_monotonic_time(), end = start + ms * 1000;

    while (!give_up && g_get_monotonic_time() < end) {
        machine_lock_wait_until(&wake, end);
    }
    return give_up ? 0 : MAX(g_get_monotonic_time() - start, 1);
}

static int64_t mib_per_second(uint64_t bytes, int64_t us)
{
    return (int64_t)((double)bytes * G_USEC_PER_SEC / us / MiB + 0.5);
}

static bool measure_samples(Error **errp)
{
    g_autoptr(SampleSet) set = sample_take(last.sample_pages);
    int64_t us = pause_for(last.ms);

    if (us) {
        last.rate = mib_per_second(sample_changed_bytes(set), us);
    }
    return us > 0;
}

static bool measure_bitmap(Error **errp)
{
    uint64_t before, after;
    int64_t us;
    bool ok;

    if (!dirty_log_start_count(&before, errp)) {
        return false;
    }
    us = pause_for(last.ms);
    ok = us && dirty_log_sync(errp);
    after = dirty_log_count();
    dirty_log_stop();
    if (ok) {
        last.rate = mib_per_second((after > before ? after - before : 0) << TARGET_PAGE_BITS, us);
    }
    return ok;
}

static GArray *ring_counts(void)
{
    GArray *counts = g_array_new(false, true, sizeof(int64_t));

    g_array_set_size(counts, cpu_count());
    for (guint i = 0; i < counts->len; i++) {
        CPUState *cpu = cpu_by_index(i);

        g_array_index(counts, int64_t, i) =
            cpu ? __atomic_load_n(&cpu->ring_pages, __ATOMIC_RELAXED) : 0;
    }
    return counts;
}

static bool measure_ring(Error **errp)
{
    g_autoptr(GArray) before = NULL;
    uint64_t pages = 0, unused;
    int64_t us;
    bool ok;

    if (!dirty_log_start_count(&unused, errp)) {
        return false;
    }
    before = ring_counts();
    us = pause_for(last.ms);
    ok = us && dirty_log_sync(errp);
    dirty_log_stop();
    if (!ok) {
        return false;
    }
    last.vcpus = ring_counts();
    for (guint i = 0; i < last.vcpus->len; i++) {
        int64_t *v = &g_array_index(last.vcpus, int64_t, i);

        *v -= i < before->len ? g_array_index(before, int64_t, i) : 0;
        pages += *v;
        *v = mib_per_second((uint64_t)*v << TARGET_PAGE_BITS, us);
    }
    last.rate = mib_per_second(pages << TARGET_PAGE_BITS, us);
    return true;
}

static bool (*const measures[])(Error **errp) = {
    [DIRTY_RATE_MEASURE_MODE_PAGE_SAMPLING] = measure_samples,
    [DIRTY_RATE_MEASURE_MODE_DIRTY_RING] = measure_ring,
    [DIRTY_RATE_MEASURE_MODE_DIRTY_BITMAP] = measure_bitmap,
};

static void *dirty_rate_thread(void *unused)
{
    g_autoptr(Error) err = NULL;

    MACHINE_LOCK_GUARD();
    if (measures[last.mode](&err)) {
        last.status = DIRTY_RATE_STATUS_MEASURED;
    } else {
        last.status = DIRTY_RATE_STATUS_UNSTARTED;
        if (err) {
            error_report("the dirty rate could not be measured: %s", error_get_pretty(err));
        }
    }
    trace_dirty_rate(last.mode, last.ms, last.rate);
    return NULL;
}

static bool may_start(DirtyRateMeasureMode mode, int64_t ms, uint64_t sample_pages, Error **errp)
{
    if (last.status == DIRTY_RATE_STATUS_MEASURING) {
        error_setg(errp, "a dirty rate measurement of %" PRId64 " ms is not over yet", last.ms);
    } else if (ms < 1 || ms > DIRTY_RATE_MS_MAX) {
        error_setg(errp, "calc-time must be from 1 to %d ms, not %" PRId64 " ms",
                   DIRTY_RATE_MS_MAX, ms);
    } else if (sample_pages < DIRTY_RATE_SAMPLES_MIN || sample_pages > DIRTY_RATE_SAMPLES_MAX) {
        error_setg(errp, "sample-pages must be from %d to %d, not %" PRIu64,
                   DIRTY_RATE_SAMPLES_MIN, DIRTY_RATE_SAMPLES_MAX, sample_pages);
    } else if (mode == DIRTY_RATE_MEASURE_MODE_DIRTY_RING && !dirty_ring_entries()) {
        error_setg(errp, "mode dirty-ring needs KVM with a dirty ring (-accel "
                   "kvm,dirty-ring-size=4096); dirty-bitmap and page-sampling do not");
    } else if (migration_incoming_pending()) {
        error_setg(errp, "the dirty rate cannot be measured while a migration comes in: not all "
                   "of the memory is here");
    } else {
        return true;
    }
    return false;
}

/* It has nothing left to do but to give the machine lock back. */
static void join_thread(void)
{
    GThread *t = g_steal_pointer(&thread);

    if (t) {
        machine_unlock();
        g_thread_join(t);
        machine_lock();
    }
}

bool dirty_rate_start(DirtyRateMeasureMode mode, int64_t ms, uint64_t sample_pages, Error **errp)
{
    if (!may_start(mode, ms, sample_pages, errp)) {
        return false;
    }
    join_thread();
    g_clear_pointer(&last.vcpus, g_array_unref);
    last = (DirtyRate){ .status = DIRTY_RATE_STATUS_MEASURING, .mode = mode, .ms = ms,
                        .sample_pages = sample_pages,
                        .start_s = g_get_real_time() / G_USEC_PER_SEC };
    thread = thread_start("dirty-rate", dirty_rate_thread, NULL);
    return true;
}

void dirty_rate_shutdown(void)
{
    give_up = true;
    g_cond_broadcast(&wake);
    join_thread();
    g_clear_pointer(&last.vcpus, g_array_unref);
}
