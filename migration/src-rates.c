/*
 * Throughput, dirty rate and the decision to switch.
 *
 * Belongs to the source's migration thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "src-rates.h"

#include "config.h"
#include "ram.h"
#include "state.h"
#include "stream-internal.h"
#include "system/clock.h"
#include "trace/migration.h"
#include "util/util.h"

#define WINDOW_NS (100 * 1000000LL)
#define DIRTY_PERIOD_NS (1000 * 1000000LL)
/* What is left is not worth a round of its own below this. */
#define SETTLED_BYTES (256 * KiB)
#define SETTLE_ROUNDS 6

/* By all channels. */
static uint64_t sent_bytes(const Migration *m)
{
    return stream_bytes(m->out) + stat_get(m->stats.multifd_bytes) +
           stat_get(m->stats.mapped_bytes);
}

void rates_account(Migration *m)
{
    uint64_t now = sent_bytes(m);
    uint64_t fresh = now - m->rates.accounted;

    m->rates.accounted = now;
    if (m->in_postcopy) {
        stat_add(m->stats.postcopy_bytes, fresh);
    } else if (runstate_is_running()) {
        stat_add(m->stats.precopy_bytes, fresh);
    } else {
        stat_add(m->stats.downtime_bytes, fresh);
    }
}

void rates_new_stream(Migration *m)
{
    m->rates.accounted = 0;
    m->rates.window_start_ns = 0;
}

void rates_dirty_sync(Migration *m, bool last)
{
    RateState *r = &m->rates;
    int64_t now = host_clock_ns(), ns = now - r->dirty_start_ns;

    if (r->dirty_start_ns && ns >= (last ? WINDOW_NS : DIRTY_PERIOD_NS)) {
        stat_set(m->stats.dirty_pages_rate, m->ram->period_dirty * NS_PER_SEC / ns);
        r->dirty_start_ns = now;
        m->ram->period_dirty = 0;
    }
}

void rates_update(Migration *m)
{
    RateState *r = &m->rates;
    int64_t now = host_clock_ns(), ns;
    uint64_t pages, bytes;

    rates_account(m);
    if (!r->dirty_start_ns) {
        r->dirty_start_ns = now;
    }
    ram_xbzrle_update(m);
    if (!r->window_start_ns) {
        r->window_start_ns = now;
        r->window_bytes = sent_bytes(m);
        return;
    }
    ns = now - r->window_start_ns;
    /* The first estimate need not wait for a whole window. */
    if (ns <= 0 || (ns < WINDOW_NS && r->windows)) {
        return;
    }
    bytes = sent_bytes(m) - r->window_bytes;
    pages = stat_get(m->stats.normal_pages) + stat_get(m->stats.zero_pages);
    r->bytes_per_ms = bytes * 1000000.0 / ns;
    stat_set(m->stats.mbps_x1000, (uint64_t)(bytes * 8.0 * 1000.0 * 1000.0 / ns));
    if (ns < WINDOW_NS) {
        return;
    }
    stat_set(m->stats.pages_per_second, (pages - r->window_pages) * NS_PER_SEC / ns);
    if (r->bytes_per_ms > 0 && stat_get(m->stats.dirty_sync_count) > 1) {
        stat_set(m->stats.expected_downtime_ms,
                 (uint64_t)(ram_dirty_bytes(m->ram) / r->bytes_per_ms));
    }
    r->windows++;
    r->window_start_ns = now;
    r->window_bytes = sent_bytes(m);
    r->window_pages = pages;
    trace_migration_rate((uint64_t)(r->bytes_per_ms * 1000), ram_dirty_bytes(m->ram),
                         rates_threshold(m));
}

uint64_t rates_threshold(Migration *m)
{
    double per_ms = m->rates.bytes_per_ms;
    uint64_t given = mig_live(MIG_PARAM_AVAIL_SWITCHOVER_BANDWIDTH);

    if (given) {
        per_ms = given / 1000.0;
    }
    per_ms *= mig_live(MIG_PARAM_DOWNTIME_LIMIT);
    return per_ms >= (double)(1ULL << 62) ? 1ULL << 62 : (uint64_t)per_ms;
}

bool switch_wants_sync(const SwitchDecision *d, uint64_t pending, uint64_t threshold)
{
    return pending <= (d->settling ? 0 : threshold);
}

int switch_decide(SwitchDecision *d, uint64_t pending, uint64_t threshold, bool running)
{
    if (pending > threshold) {
        d->settling = false;
        return 0;
    }
    if (!running || pending <= SETTLED_BYTES || d->rounds >= SETTLE_ROUNDS ||
        (d->settling && pending > d->last / 2)) {
        return 1;
    }
    d->settling = true;
    d->rounds++;
    d->last = pending;
    return 0;
}
