/*
 * Accelerators: what runs guest code.  KVM, the software CPU ("interp", also
 * answering to "tcg") or nothing at all ("qtest").
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_ACCEL_ACCEL_H
#define FERRY_ACCEL_ACCEL_H

#include <stdbool.h>
#include <stdint.h>

#include "system/cpus.h"
#include "system/ramblock.h"
#include "util/error.h"

typedef enum PutLevel { PUT_RUNTIME, PUT_RESET, PUT_FULL } PutLevel;

/* What vcpu_exec came back for. */
typedef enum VcpuExit {
    VCPU_EXIT_AGAIN,    /* nothing to do: handled, or kicked */
    VCPU_EXIT_HALT,     /* guest waits for an interrupt: sleep on halt_cond */
    VCPU_EXIT_STOPPED,  /* the machine was asked to stop (vm_stop_request done) */
} VcpuExit;

typedef struct AccelOps {
    const char *name;        /* name in -accel and in QOM ("kvm-accel" is made of it) */
    const char *alias;       /* second name, or NULL */
    /*
     * Options are the rest of -accel NAME,... as {key -> value} strings (GHashTable);
     * unknown ones are an error.  False: does not work here, with the reason.
     */
    bool (*init)(GHashTable *options, Error **errp);
    /* vCPU thread, machine lock held. */
    bool (*vcpu_init)(CPUState *cpu, Error **errp);
    void (*vcpu_destroy)(CPUState *cpu);
    /* vCPU thread, machine lock NOT held.  Runs guest code until there is a reason not to. */
    VcpuExit (*vcpu_exec)(CPUState *cpu);
    /* Is there work for a halted vCPU?  Machine lock held. */
    bool (*vcpu_has_work)(CPUState *cpu);
    /* Any thread; exit_request is set: make vcpu_exec return.  May be NULL. */
    void (*vcpu_kick)(CPUState *cpu);
    /* Registers between CPU object and accelerator; vCPU is out of the guest. */
    bool (*get_regs)(CPUState *cpu, Error **errp);
    bool (*put_regs)(CPUState *cpu, PutLevel level, Error **errp);
    /* Dirty log; NULL where guest stores go through ram_mark_dirty(). Machine lock held. */
    bool (*dirty_start)(Error **errp);
    void (*dirty_stop)(void);
    bool (*dirty_sync)(Error **errp);
    void (*dirty_clear)(RAMBlock *rb, uint64_t offset, uint64_t len); /* NULL: not lazy */
    uint32_t (*dirty_ring_entries)(void); /* of each vCPU; NULL or 0: no dirty ring.  Any thread */
    bool kernel_irqchip;       /* APIC, IOAPIC and PIC live in the kernel */
    bool kernel_touches_ram;   /* user-mode-only userfaultfd is not enough */
} AccelOps;

/* The accelerator in use; NULL before accel_init. */
extern const AccelOps *accel;

extern const AccelOps kvm_accel_ops, interp_accel_ops, qtest_accel_ops;

static inline bool kvm_enabled(void)
{
    return accel == &kvm_accel_ops;
}
static inline bool interp_enabled(void)
{
    return accel == &interp_accel_ops;
}
static inline bool qtest_accel_enabled(void)
{
    return accel == &qtest_accel_ops;
}

/* One -accel argument ("kvm,dirty-ring-size=4096"): false with the reason. */
bool accel_try_init(const char *arg, Error **errp);
/* Is this accelerator usable on this host (query-kvm, capabilities)? */
bool accel_kvm_available(void);

#endif
