/*
 * Counters of one migration.  Every field is written by the thread named and read
 * racily by any (query-migrate): use the stat_ helpers.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_MIGRATION_STATS_H
#define FERRY_MIGRATION_STATS_H

#include <stdint.h>

typedef struct MigStats {
    /* pages and bytes, migration thread */
    uint64_t normal_pages, zero_pages;
    uint64_t precopy_bytes, downtime_bytes, postcopy_bytes;
    uint64_t total_bytes;          /* of RAM to be sent: constant after setup */
    uint64_t dirty_pages;          /* still to send (RamSource keeps it) */
    uint64_t dirty_sync_count;
    uint64_t dirty_pages_rate;     /* pages/s, of the last period of syncs */
    uint64_t pages_per_second;
    uint64_t mbps_x1000;           /* megabits/s times 1000 */
    uint64_t expected_downtime_ms;
    uint64_t xbzrle_cache_size;    /* bytes, as last looked at */
    uint64_t xbzrle_bytes, xbzrle_pages, xbzrle_cache_miss, xbzrle_overflow;
    uint64_t multifd_bytes;        /* of the three classes: sent on multifd channels */
    uint64_t mapped_bytes;         /* the same: put into the file beside the stream (mapped-ram) */
    uint64_t postcopy_requests;    /* return-path thread */
    /* times, host_clock_ms() */
    int64_t start_ms, setup_end_ms, stop_ms, end_ms; /* 0: not reached yet */
    int64_t downtime_ms;           /* -1: not known yet */
} MigStats;

#define stat_get(field) __atomic_load_n(&(field), __ATOMIC_RELAXED)
#define stat_set(field, v) __atomic_store_n(&(field), (v), __ATOMIC_RELAXED)
#define stat_add(field, v) __atomic_fetch_add(&(field), (v), __ATOMIC_RELAXED)

#endif
