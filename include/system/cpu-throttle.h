/*
 * Taking time away from the vCPUs, so that they write less.
 *
 * Two ways that can be used at once: a share of all time (cpu_throttle_set), and a nap
 * that the accelerator takes at places of its own choice (cpu_nap, dirty ring full).  A
 * vCPU naps outside the guest without the machine lock, and a request to stop ends the
 * nap at once.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_SYSTEM_CPU_THROTTLE_H
#define FERRY_SYSTEM_CPU_THROTTLE_H

#include <stdbool.h>
#include <stdint.h>

#include "system/cpus.h"

#define CPU_THROTTLE_MAX 99 /* percent */

/*
 * From now on every vCPU sleeps `percent` (0..99) of the time, in pieces; 0 ends it.
 * Any thread; does not wait.
 */
void cpu_throttle_set(int percent);
/* Present value, 0: off.  Any thread. */
int cpu_throttle_percent(void);
/* How long a vCPU sleeps between two slices of work: microseconds.  Pure. */
int64_t cpu_throttle_nap_us(int percent);

/*
 * vCPU thread, machine lock not held: sleep for so long, or until the vCPU is asked to
 * stop.
 */
void cpu_nap(CPUState *cpu, int64_t us);
/* Machine lock held: a vCPU that naps goes on at once, and the nap it was told of is off. */
void cpu_nap_end(CPUState *cpu);
/* vCPU loop (system/cpus.c), machine lock held: take the nap that is due; false: none was. */
bool cpu_throttle_nap(CPUState *cpu);

#endif
