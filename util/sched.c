/*
 * Scheduler hints.  Belongs to no thread.
 *
 * Fact: sched_setattr(2); for SCHED_OTHER the kernel takes sched_runtime as the slice
 * (Documentation/scheduler/sched-eevdf.rst).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "util/sched.h"

#include <linux/sched.h>
#include <linux/sched/types.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Weight 110 of 1024. */
#define BACKGROUND_NICE 10

void sched_set_background(void)
{
    /* On Linux the caller's thread; to be nicer is always allowed. */
    setpriority(PRIO_PROCESS, 0, BACKGROUND_NICE);
}

bool sched_set_slice(int tid, int64_t slice_ns)
{
    struct sched_attr attr = { .size = sizeof(attr) };

    if (syscall(SYS_sched_getattr, tid, &attr, sizeof(attr), 0) < 0) {
        return false;
    }
    if (attr.sched_policy != SCHED_NORMAL) {
        return true;
    }
    attr.sched_flags = 0;
    attr.sched_runtime = (uint64_t)slice_ns;
    return syscall(SYS_sched_setattr, tid, &attr, 0) == 0;
}
