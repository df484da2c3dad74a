/*
 * Running guest code: making a vCPU, the loop around KVM_RUN, and kicking it out.
 *
 * Everything here but the kick runs in the vCPU's own thread.
 *
 * Leaving the guest: a kick sets CPUState.exit_request and kvm_run.immediate_exit and
 * sends SIGUSR1, whose handler does nothing.  A KVM_RUN that is running is
 * interrupted by the signal, one about to run sees immediate_exit; both end with EINTR.
 * The loop is left only on EINTR (or for good): an exit for port or memory access is
 * finished by the *next* KVM_RUN, so after such an exit the loop always enters again,
 * where the kernel first completes the access and then honours immediate_exit.
 * Registers read after that are whole.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "kvm-int.h"
#include "system/address-space.h"
#include "system/dirty-limit.h"
#include "system/machine-lock.h"
#include "system/runstate.h"
#include "trace/accel_kvm.h"
#include "util/log.h"
#include "util/util.h"

#define SIG_IPI SIGUSR1

static void ipi_handler(int sig)
{
}

void kvm_kick_init(void)
{
    struct sigaction act = { .sa_handler = ipi_handler, .sa_flags = SA_RESTART };

    sigaction(SIG_IPI, &act, NULL);
}

void kvm_vcpu_kick(CPUState *cpu)
{
    KvmVcpu *v = kvm_vcpu(cpu);

    if (v && !cpu_is_self(cpu)) {
        __atomic_store_n(&v->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
        pthread_kill(cpu->tid, SIG_IPI);
    } else if (v) {
        __atomic_store_n(&v->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
    }
}

bool kvm_vcpu_has_work(CPUState *cpu)
{
    /* The kernel has the APIC, so a halted vCPU waits inside KVM_RUN. */
    return true;
}

static bool setup_mce(KvmVcpu *v, Error **errp)
{
    CPUX86State *env = &v->cpu->env;
    uint64_t supported = 0;

    if (!kvm.has_mce || !env->mcg_cap) {
        return true;
    }
    if (kvm_ioctl(kvm.fd, KVM_X86_GET_MCE_CAP_SUPPORTED, &supported) < 0) {
        error_setg_errno(errp, errno, "KVM does not tell its machine check capabilities");
        return false;
    }
    env->mcg_cap &= supported | 0xff;
    if (kvm_ioctl(v->fd, KVM_X86_SETUP_MCE, &env->mcg_cap) < 0) {
        error_setg_errno(errp, errno, "KVM refuses machine check capabilities 0x%" PRIx64,
                         env->mcg_cap);
        return false;
    }
    return true;
}

static bool map_vcpu(KvmVcpu *v, Error **errp)
{
    void *p = mmap(NULL, kvm.run_size, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);

    if (p == MAP_FAILED) {
        error_setg_errno(errp, errno, "cannot map the vCPU's shared page");
        return false;
    }
    v->run = p;
    if (kvm.xsave_size) {
        v->xsave = g_aligned_alloc0(1, ROUND_UP(kvm.xsave_size, 4096), 4096);
    }
    return true;
}

bool kvm_vcpu_init(CPUState *cpu, Error **errp)
{
    KvmVcpu *v = g_new0(KvmVcpu, 1);
    sigset_t set;

    v->cpu = X86_CPU(cpu);
    do {
        v->fd = ioctl(kvm.vm_fd, KVM_CREATE_VCPU, (unsigned long)v->cpu->apic_id);
    } while (v->fd < 0 && errno == EINTR);
    if (v->fd < 0) {
        error_setg_errno(errp, errno, "KVM cannot make it (APIC id %u)", v->cpu->apic_id);
        g_free(v);
        return false;
    }
    cpu->accel = v;
    if (!map_vcpu(v, errp) || !kvm_ring_map(v, errp) || !kvm_cpuid_set(v, errp) ||
        !setup_mce(v, errp)) {
        kvm_vcpu_destroy(cpu);
        return false;
    }
    if (kvm.has_get_tsc_khz && !v->cpu->env.tsc_khz) {
        int khz = ioctl(v->fd, KVM_GET_TSC_KHZ, 0);

        v->cpu->env.tsc_khz = khz > 0 ? khz : 0;
    }
    sigemptyset(&set);
    sigaddset(&set, SIG_IPI);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    return true;
}

void kvm_vcpu_destroy(CPUState *cpu)
{
    KvmVcpu *v = cpu->accel;

    if (!v) {
        return;
    }
    cpu->accel = NULL;
    kvm_ring_unmap(v);
    if (v->run) {
        munmap(v->run, kvm.run_size);
    }
    g_aligned_free(v->xsave);
    g_free(v->msrs);
    g_free(v->msr_row);
    close_fd(&v->fd);
    g_free(v);
}

/* One port access exit: `count` items of `size` bytes (string instructions have many). */
static void do_io(struct kvm_run *run)
{
    uint8_t *p = (uint8_t *)run + run->io.data_offset;
    bool many = run->io.count > 1;

    if (many) {
        machine_lock();
    }
    for (uint32_t i = 0; i < run->io.count; i++, p += run->io.size) {
        uint32_t value = 0;

        if (run->io.direction == KVM_EXIT_IO_OUT) {
            memcpy(&value, p, run->io.size);
            ioport_write(run->io.port, value, run->io.size);
        } else {
            value = ioport_read(run->io.port, run->io.size);
            memcpy(p, &value, run->io.size);
        }
    }
    if (many) {
        machine_unlock();
    }
}

static void do_mmio(struct kvm_run *run)
{
    if (run->mmio.is_write) {
        memory_write(run->mmio.phys_addr, run->mmio.data, run->mmio.len);
    } else {
        memory_read(run->mmio.phys_addr, run->mmio.data, run->mmio.len);
    }
}

/* Stop the machine: the guest cannot go on.  `what` says why, registers say where. */
static VcpuExit stop_internal_error(CPUState *cpu, const char *what)
{
    CPUX86State *env = &X86_CPU(cpu)->env;

    machine_lock();
    cpu_synchronize_state(cpu);
    error_report("vCPU %d cannot go on: %s; RIP=%016" PRIx64 " CS=%04x RFL=%08x CR0=%08x "
                 "CR3=%08" PRIx64 " EFER=%" PRIx64, cpu->index, what, env->eip,
                 env->segs[R_CS].selector, (uint32_t)env->eflags, (uint32_t)env->cr[0],
                 env->cr[3], env->efer);
    vm_stop_request(RUN_STATE_INTERNAL_ERROR);
    machine_unlock();
    return VCPU_EXIT_STOPPED;
}

static VcpuExit do_internal_error(CPUState *cpu, struct kvm_run *run)
{
    g_autoptr(GString) s = g_string_new(NULL);
    const char *what = "KVM internal error";

    if (run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION) {
        what = "KVM cannot emulate an instruction";
    }
    g_string_printf(s, "%s (suberror %u", what, run->internal.suberror);
    for (uint32_t i = 0; i < MIN(run->internal.ndata, 16); i++) {
        g_string_append_printf(s, " %" PRIx64, (uint64_t)run->internal.data[i]);
    }
    g_string_append_c(s, ')');
    return stop_internal_error(cpu, s->str);
}

static VcpuExit do_system_event(CPUState *cpu, struct kvm_run *run)
{
    switch (run->system_event.type) {
    case KVM_SYSTEM_EVENT_SHUTDOWN:
        system_shutdown_request(SHUTDOWN_CAUSE_GUEST_SHUTDOWN);
        return VCPU_EXIT_STOPPED;
    case KVM_SYSTEM_EVENT_RESET:
        system_reset_request(SHUTDOWN_CAUSE_GUEST_RESET);
        return VCPU_EXIT_STOPPED;
    default: {
        g_autofree char *s = g_strdup_printf("KVM system event %u", run->system_event.type);
        return stop_internal_error(cpu, s);
    }
    }
}

/*
 * The ring is full: take its entries.  A kernel that emulates guest code may write past
 * a full ring; then entries are lost, the ring stays full for ever, and the guest can
 * only be stopped.
 */
static bool do_ring_full(CPUState *cpu, VcpuExit *ret)
{
    KvmVcpu *v = kvm_vcpu(cpu);
    g_autoptr(Error) err = NULL;
    unsigned n = 0;

    if (!kvm_ring_reap(&n, &err)) {
        *ret = stop_internal_error(cpu, error_get_pretty(err));
        return true;
    }
    dirty_limit_ring_full(cpu);
    v->ring_full_empty = n ? 0 : v->ring_full_empty + 1;
    if (v->ring_full_empty > 10000) {
        *ret = stop_internal_error(cpu, "KVM calls a dirty ring full that has no entries; "
                                   "this host cannot run with dirty-ring-size");
        return true;
    }
    return false;
}

/* Exits that are not the everyday port and memory access; false: go on running. */
static bool handle_rare_exit(CPUState *cpu, struct kvm_run *run, VcpuExit *ret)
{
    g_autofree char *text = NULL;

    *ret = VCPU_EXIT_AGAIN;
    switch (run->exit_reason) {
    case KVM_EXIT_INTR:
    case KVM_EXIT_IRQ_WINDOW_OPEN:
    case KVM_EXIT_SET_TPR:
        return false;
    case KVM_EXIT_HLT:
        *ret = VCPU_EXIT_HALT;
        return true;
    case KVM_EXIT_SHUTDOWN:
        system_reset_request(SHUTDOWN_CAUSE_GUEST_RESET);
        *ret = VCPU_EXIT_STOPPED;
        return true;
    case KVM_EXIT_SYSTEM_EVENT:
        *ret = do_system_event(cpu, run);
        return true;
    case KVM_EXIT_DIRTY_RING_FULL:
        return do_ring_full(cpu, ret);
    case KVM_EXIT_DEBUG:
        vm_stop_request(RUN_STATE_DEBUG);
        *ret = VCPU_EXIT_STOPPED;
        return true;
    case KVM_EXIT_INTERNAL_ERROR:
        *ret = do_internal_error(cpu, run);
        return true;
    case KVM_EXIT_FAIL_ENTRY:
        text = g_strdup_printf("the hardware refuses to enter the guest, reason 0x%" PRIx64,
                               (uint64_t)run->fail_entry.hardware_entry_failure_reason);
        break;
    default:
        text = g_strdup_printf("KVM exit with unknown reason %u (0x%" PRIx64 ")",
                               run->exit_reason, (uint64_t)run->hw.hardware_exit_reason);
        break;
    }
    *ret = stop_internal_error(cpu, text);
    return true;
}

/* NMIs asked for by a monitor; the kernel has all other interrupts. */
static void inject_requested(KvmVcpu *v)
{
    int bits = __atomic_load_n(&v->cpu->interrupt_pending, __ATOMIC_RELAXED);

    if (bits & CPU_INT_NMI) {
        __atomic_fetch_and(&v->cpu->interrupt_pending, ~CPU_INT_NMI, __ATOMIC_SEQ_CST);
        if (ioctl(v->fd, KVM_NMI, 0) < 0) {
            warn_report("vCPU %d: KVM does not take an NMI: %s", v->cpu->parent.index,
                        g_strerror(errno));
        }
    }
}

VcpuExit kvm_vcpu_exec(CPUState *cpu)
{
    KvmVcpu *v = kvm_vcpu(cpu);
    struct kvm_run *run = v->run;
    VcpuExit why;

    inject_requested(v);
    __atomic_store_n(&run->immediate_exit, 0, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&cpu->exit_request, __ATOMIC_SEQ_CST)) {
        __atomic_store_n(&run->immediate_exit, 1, __ATOMIC_SEQ_CST);
    }
    for (;;) {
        int ret = ioctl(v->fd, KVM_RUN, 0);

        if (ret < 0) {
            g_autofree char *text = NULL;

            if (errno == EINTR || errno == EAGAIN) {
                return VCPU_EXIT_AGAIN;
            }
            text = g_strdup_printf("KVM_RUN failed: %s", g_strerror(errno));
            return stop_internal_error(cpu, text);
        }
        trace_kvm_exit(cpu->index, run->exit_reason);
        if (run->exit_reason == KVM_EXIT_IO) {
            do_io(run);
        } else if (run->exit_reason == KVM_EXIT_MMIO) {
            do_mmio(run);
        } else if (handle_rare_exit(cpu, run, &why)) {
            return why;
        }
    }
}
