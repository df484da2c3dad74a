/*
 * vCPUs: one thread each, and how the rest of the program stops, starts and asks
 * them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_SYSTEM_CPUS_H
#define FERRY_SYSTEM_CPUS_H

#include <glib.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "qom/object.h"
#include "util/error.h"

typedef struct CPUState CPUState;
struct CPUState {
    Object obj;         /* /machine/unattached/... or /machine/peripheral/... */
    int index;          /* fixed: cpu_index */
    GThread *thread;    /* fixed after creation */
    pthread_t tid;      /* of the running thread, for the kick signal */
    int host_tid;       /* gettid(), for query-cpus-fast */
    void *accel;        /* accelerator's private part; owned by it */

    bool stop;          /* machine lock: asked to stop */
    bool stopped;       /* machine lock: out of the guest and staying out */
    bool created;       /* machine lock: thread is up */
    bool unplug;        /* machine lock: thread is to end */
    int exit_request;   /* atomic: leave the guest soon (see cpu_kick) */
    GCond *halt_cond;   /* machine lock; the vCPU sleeps here while stopped or halted */
    int64_t nap_us;     /* atomic: microseconds to sleep before more guest code (cpu-throttle.h) */
    bool nap_over;      /* machine lock: the present sleep of that kind ends early */
    uint64_t ring_pages; /* atomic: pages taken from its dirty ring so far */
    bool regs_dirty;    /* machine lock or own thread: registers here are newer than
                           the accelerator's and are put before the next entry */
    bool regs_valid;    /* same: registers here are as new as the accelerator's */
    CPUState *next;
};

CPUState *cpu_first(void);
CPUState *cpu_by_index(int index);
int cpu_count(void);
#define CPU_FOREACH(cpu) for (CPUState *cpu = cpu_first(); cpu; cpu = cpu->next)

/* Add to the list and start the thread (it stays stopped until cpu_resume_all). Machine lock. */
bool cpu_start_thread(CPUState *cpu, Error **errp);
/* End every vCPU thread; machine lock held, process is going down. */
void cpu_join_all(void);

/* Any thread: make the vCPU leave the guest as soon as it can. */
void cpu_kick(CPUState *cpu);
/*
 * Machine lock held.  Tell all vCPUs to stop, without waiting: one that is blocked on a
 * page of a broken postcopy stops as soon as somebody releases it.
 */
void cpu_ask_stop_all(void);
/* Machine lock held (dropped while waiting).  Return when all are out / released. */
void cpu_pause_all(void);
void cpu_resume_all(void);
bool cpu_is_self(const CPUState *cpu);
CPUState *cpu_current(void); /* NULL outside of vCPU threads */

/* Bring registers of a stopped (or the own) vCPU into the CPU object / mark them changed. */
void cpu_synchronize_state(CPUState *cpu);
void cpu_synchronize_all(void);
/* Write all registers of all vCPUs into the accelerator: after reset or a load. */
void cpu_put_all_reset(void);
void cpu_put_all_init(void);

#endif
