/*
 * Hints to the kernel's scheduler.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_UTIL_SCHED_H
#define FERRY_UTIL_SCHED_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Slice that wakes a thread at once although others are busy on every core.  Linux
 * (EEVDF, since 6.12) lets a thread with a short slice preempt one with a long slice when
 * it wakes; it then gets no more than its fair share, in smaller pieces.
 */
#define SCHED_SLICE_URGENT_NS 100000
#define SCHED_SLICE_DEFAULT_NS 0

/*
 * Set the slice of thread `tid` (0: the caller).  A hint: kernels that do not know
 * slices ignore it, and a thread of another scheduling class is left alone.  False
 * when the kernel refused.
 */
bool sched_set_slice(int tid, int64_t slice_ns);

/*
 * The caller's thread gives way to others for the rest of its life: under contention it gets
 * about a tenth of what an ordinary thread does, on an idle core all of it.
 */
void sched_set_background(void);

#endif
