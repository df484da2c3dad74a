/*
 * vCPU threads: the loop that each of them runs, and pausing, resuming and asking
 * them.  Fields of CPUState belong to the machine lock unless their comment says
 * otherwise.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "system/cpus.h"

#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "accel/accel.h"
#include "system/cpu-throttle.h"
#include "system/machine-lock.h"
#include "system/runstate.h"
#include "trace/system.h"
#include "util/log.h"
#include "util/util.h"

static CPUState *cpus;           /* machine lock; ascending index */
static int n_cpus;
static GCond stopped_cond;       /* a vCPU was created or has stopped */
static bool paused = true;       /* new vCPUs wait for cpu_resume_all() */
static __thread CPUState *current;

CPUState *cpu_first(void)
{
    return cpus;
}

int cpu_count(void)
{
    return n_cpus;
}

CPUState *cpu_by_index(int index)
{
    CPU_FOREACH(cpu) {
        if (cpu->index == index) {
            return cpu;
        }
    }
    return NULL;
}

CPUState *cpu_current(void)
{
    return current;
}

bool cpu_is_self(const CPUState *cpu)
{
    return cpu == current;
}

/* Sleep while there is nothing to run; the machine lock is dropped meanwhile. */
static void wait_for_work(CPUState *cpu)
{
    while (!cpu->unplug) {
        if (cpu->stop) {
            if (!cpu->stopped) {
                cpu->stopped = true;
                g_cond_broadcast(&stopped_cond);
            }
        } else if (accel->vcpu_has_work(cpu)) {
            break;
        }
        machine_lock_wait(cpu->halt_cond);
    }
    cpu->stopped = false;
    __atomic_store_n(&cpu->exit_request, 0, __ATOMIC_SEQ_CST);
}

static bool put_changed_regs(CPUState *cpu)
{
    g_autoptr(Error) err = NULL;

    if (cpu->regs_dirty && !accel->put_regs(cpu, PUT_RUNTIME, &err)) {
        error_report("vCPU %d: %s", cpu->index, error_get_pretty(err));
        return false;
    }
    cpu->regs_dirty = false;
    cpu->regs_valid = false;
    return true;
}

typedef struct VcpuStart {
    CPUState *cpu;
    Error *err;
    bool done;
} VcpuStart;

static bool thread_begin(VcpuStart *start)
{
    CPUState *cpu = start->cpu;
    bool ok;

    current = cpu;
    cpu->tid = pthread_self();
    cpu->host_tid = (int)syscall(SYS_gettid);
    cpu->stop = paused;
    ok = accel->vcpu_init(cpu, &start->err);
    cpu->created = ok;
    start->done = true;
    g_cond_broadcast(&stopped_cond);
    return ok;
}

static gpointer vcpu_thread(gpointer opaque)
{
    VcpuStart *start = opaque;
    CPUState *cpu = start->cpu;

    machine_lock();
    if (!thread_begin(start)) {
        machine_unlock();
        return NULL;
    }
    for (;;) {
        wait_for_work(cpu);
        if (cpu->unplug) {
            break;
        }
        if (cpu_throttle_nap(cpu)) {
            continue;
        }
        if (!put_changed_regs(cpu)) {
            vm_stop_request(RUN_STATE_INTERNAL_ERROR);
            continue;
        }
        machine_unlock();
        VcpuExit why = accel->vcpu_exec(cpu);
        machine_lock();
        if (why == VCPU_EXIT_STOPPED) {
            cpu->stop = true;
        }
    }
    accel->vcpu_destroy(cpu);
    cpu->created = false;
    machine_unlock();
    return NULL;
}

bool cpu_start_thread(CPUState *cpu, Error **errp)
{
    VcpuStart start = { .cpu = cpu };
    g_autofree char *name = g_strdup_printf("CPU %d/%s", cpu->index, accel->name);
    CPUState **p = &cpus;

    g_assert(machine_locked());
    cpu->halt_cond = g_new(GCond, 1);
    g_cond_init(cpu->halt_cond);
    cpu->thread = thread_start(name, vcpu_thread, &start);
    while (!start.done) {
        machine_lock_wait(&stopped_cond);
    }
    if (start.err) {
        g_thread_join(g_steal_pointer(&cpu->thread));
        error_propagate(errp, start.err);
        error_prefix(errp, "vCPU %d: ", cpu->index);
        return false;
    }
    while (*p && (*p)->index < cpu->index) {
        p = &(*p)->next;
    }
    cpu->next = *p;
    *p = cpu;
    n_cpus++;
    return true;
}

void cpu_kick(CPUState *cpu)
{
    __atomic_store_n(&cpu->exit_request, 1, __ATOMIC_SEQ_CST);
    if (cpu->halt_cond) {
        g_cond_broadcast(cpu->halt_cond);
    }
    if (accel->vcpu_kick && cpu->created) {
        accel->vcpu_kick(cpu);
    }
}

static void wait_stopped(CPUState *cpu)
{
    while (cpu->created && !cpu->stopped) {
        /* A kick can be lost between two entries; ask again now and then. */
        int64_t deadline = g_get_monotonic_time() + 20 * G_TIME_SPAN_MILLISECOND;
        if (!machine_lock_wait_until(&stopped_cond, deadline)) {
            cpu_kick(cpu);
        }
    }
}

void cpu_ask_stop_all(void)
{
    g_assert(machine_locked() && !current);
    paused = true;
    CPU_FOREACH(cpu) {
        cpu->stop = true;
        cpu_kick(cpu);
    }
}

void cpu_pause_all(void)
{
    trace_cpu_pause_all();
    cpu_ask_stop_all();
    CPU_FOREACH(cpu) {
        wait_stopped(cpu);
    }
}

static void resume_one(CPUState *cpu)
{
    cpu->stop = false;
    cpu->stopped = false;
    g_cond_broadcast(cpu->halt_cond);
}

void cpu_resume_all(void)
{
    g_assert(machine_locked());
    trace_cpu_resume_all();
    paused = false;
    CPU_FOREACH(cpu) {
        resume_one(cpu);
    }
}

void cpu_join_all(void)
{
    g_assert(machine_locked());
    CPU_FOREACH(cpu) {
        cpu->unplug = true;
        cpu_kick(cpu);
    }
    CPU_FOREACH(cpu) {
        while (cpu->created) {
            machine_unlock();
            g_usleep(200);
            machine_lock();
            cpu_kick(cpu);
        }
        machine_unlock();
        g_thread_join(g_steal_pointer(&cpu->thread));
        machine_lock();
        g_cond_clear(cpu->halt_cond);
        g_clear_pointer(&cpu->halt_cond, g_free);
    }
}

static void fetch_regs(CPUState *cpu)
{
    g_autoptr(Error) err = NULL;

    if (cpu->regs_valid) {
        cpu->regs_dirty = true;
        return;
    }
    if (!accel->get_regs(cpu, &err)) {
        error_report("vCPU %d: cannot read its registers: %s", cpu->index, error_get_pretty(err));
        return;
    }
    cpu->regs_valid = true;
    /* The caller may change them. */
    cpu->regs_dirty = true;
}

void cpu_synchronize_state(CPUState *cpu)
{
    bool was_stopped = cpu->stop;

    g_assert(machine_locked());
    if (cpu_is_self(cpu)) {
        fetch_regs(cpu);
        return;
    }
    cpu->stop = true;
    cpu_kick(cpu);
    wait_stopped(cpu);
    fetch_regs(cpu);
    if (!was_stopped) {
        resume_one(cpu);
    }
}

void cpu_synchronize_all(void)
{
    CPU_FOREACH(cpu) {
        cpu_synchronize_state(cpu);
    }
}

static void put_all(PutLevel level)
{
    CPU_FOREACH(cpu) {
        g_autoptr(Error) err = NULL;
        if (!accel->put_regs(cpu, level, &err)) {
            error_report("vCPU %d: cannot set its registers: %s", cpu->index, error_get_pretty(err));
        }
        cpu->regs_valid = true;
        cpu->regs_dirty = false;
    }
}

void cpu_put_all_reset(void)
{
    put_all(PUT_RESET);
}

void cpu_put_all_init(void)
{
    put_all(PUT_FULL);
}
