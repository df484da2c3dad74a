/*
 * Blocktime: who waited how long for pages on the destination.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_MIGRATION_POSTCOPY_BLOCKTIME_H
#define FERRY_MIGRATION_POSTCOPY_BLOCKTIME_H

#include <stdbool.h>
#include <stdint.h>

/* Bucket n counts waits of 2^n to 2^(n+1) microseconds (bucket 0: also shorter ones,
   the last one: also longer ones). */
#define BLOCKTIME_BUCKETS 24

typedef struct Blocktime Blocktime;

/*
 * tids[i] is the thread of vCPU i; other threads are counted together.  Any thread may
 * call the functions; a lock inside orders them.  Times are host_clock_ns().
 */
Blocktime *blocktime_new(const int *tids, unsigned num_vcpus);
void blocktime_free(Blocktime *bt);

/* Thread tid waits for the host page at address `page` since now_ns. */
void blocktime_begin(Blocktime *bt, uint64_t page, int tid, int64_t now_ns);
/* Everybody who waits for a page in [start, start+len) goes on. */
void blocktime_end(Blocktime *bt, uint64_t start, uint64_t len, int64_t now_ns);

typedef struct BlocktimeReport {
    int64_t all_blocked_ns;       /* every vCPU was waiting */
    uint64_t faults;              /* ended waits */
    int64_t latency_ns;           /* their mean */
    int64_t non_vcpu_latency_ns;  /* mean of those of other threads; 0: none */
    uint64_t buckets[BLOCKTIME_BUCKETS];
    unsigned num_vcpus;
    int64_t *vcpu_blocked_ns;     /* [num_vcpus], owned */
    int64_t *vcpu_latency_ns;     /* [num_vcpus] mean, owned */
} BlocktimeReport;
void blocktime_report(Blocktime *bt, BlocktimeReport *ret_report);
void blocktime_report_clear(BlocktimeReport *r);

#endif
