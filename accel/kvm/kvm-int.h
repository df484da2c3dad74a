/*
 * Private to accel/kvm: the one VM, its vCPUs, and what the files there show each
 * other.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_ACCEL_KVM_INT_H
#define FERRY_ACCEL_KVM_INT_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>

#include "accel/accel.h"
#include "accel/kvm.h"
#include "target/i386/cpu.h"
#include "util/error.h"

/* The VM.  Set up by kvm_init() before any other thread exists; constant afterwards. */
typedef struct KvmVm {
    int fd;                    /* /dev/kvm */
    int vm_fd;
    size_t run_size;           /* of the mapping of a vCPU */
    size_t xsave_size;         /* 0: only KVM_GET_FPU */
    unsigned max_slots;
    bool has_sregs2, has_xcrs, has_debugregs, has_exception_payload, has_triple_fault;
    bool has_tsc_control, has_get_tsc_khz, has_mce, has_kvmclock_ctrl, has_msi, has_smm;
    bool has_nested_state;
    bool manual_protect;       /* re-protection is done by dirty_clear */
    uint32_t ring_entries;     /* dirty ring of each vCPU; 0: dirty bitmap */
} KvmVm;
extern KvmVm kvm;

/* One vCPU: CPUState.accel. */
typedef struct KvmVcpu {
    int fd;
    X86CPU *cpu;
    struct kvm_run *run;
    struct kvm_dirty_gfn *ring; /* slot lock; NULL without dirty ring */
    unsigned ring_full_empty;   /* own thread: exits in a row, ring full but empty */
    uint32_t ring_next;         /* slot lock: next entry to collect */
    void *xsave;                /* kvm.xsave_size bytes, page aligned */
    struct kvm_msrs *msrs;      /* scratch for one batch */
    uint16_t *msr_row;          /* row of the MSR table of each entry there */
} KvmVcpu;

/* Slot lock: every vCPU, for collecting their dirty rings. */
extern GPtrArray *kvm_vcpus;

static inline KvmVcpu *kvm_vcpu(CPUState *cpu)
{
    return cpu->accel;
}

/* kvm.c: ioctl that starts again when a signal interrupts it. */
int kvm_ioctl(int fd, unsigned long request, void *arg);
int kvm_check_cap(int cap);

/* kvm-cpuid.c: give the vCPU its CPUID.  Vcpu thread, before it runs. */
bool kvm_cpuid_set(KvmVcpu *v, Error **errp);

/* kvm-vcpu.c */
bool kvm_vcpu_init(CPUState *cpu, Error **errp);
void kvm_vcpu_destroy(CPUState *cpu);
VcpuExit kvm_vcpu_exec(CPUState *cpu);
bool kvm_vcpu_has_work(CPUState *cpu);
void kvm_vcpu_kick(CPUState *cpu);
void kvm_kick_init(void);

/* kvm-regs.c, kvm-fpu.c, kvm-msr.c: registers; the vCPU is out of the guest. */
bool kvm_get_regs(CPUState *cpu, Error **errp);
bool kvm_put_regs(CPUState *cpu, PutLevel level, Error **errp);
bool kvm_get_fpu(KvmVcpu *v, Error **errp);
bool kvm_put_fpu(KvmVcpu *v, Error **errp);
bool kvm_msr_init(Error **errp);
bool kvm_get_msrs(KvmVcpu *v, Error **errp);
bool kvm_put_msrs(KvmVcpu *v, PutLevel level, Error **errp);
/* Set a single MSR; false when the kernel does not take it. */
bool kvm_set_one_msr(KvmVcpu *v, uint32_t index, uint64_t value);

/* kvm-memory.c: slots and the dirty bitmap. */
bool kvm_memory_init(Error **errp);
bool kvm_dirty_start(Error **errp);
void kvm_dirty_stop(void);
bool kvm_dirty_sync(Error **errp);
void kvm_dirty_clear(RAMBlock *rb, uint64_t offset, uint64_t len);
/* Slot lock held: page number `page` of slot `slot` was written. */
void kvm_slot_mark_page(uint32_t slot, uint64_t page);
/* Slot lock held: move what kvm_slot_mark_page() noted into RAMBlock.dirty. */
void kvm_slots_publish(void);
void kvm_slots_lock(void);
void kvm_slots_unlock(void);

/* kvm-dirty-ring.c */
uint32_t kvm_ring_entries(void); /* of each vCPU; 0: dirty bitmap */
bool kvm_ring_enable(uint32_t entries, Error **errp);
bool kvm_ring_map(KvmVcpu *v, Error **errp);
void kvm_ring_unmap(KvmVcpu *v);
/*
 * Collect all rings and re-protect the pages; ret_entries (may be NULL): how many were
 * taken.  Any thread; takes the slot lock.
 */
bool kvm_ring_reap(unsigned *ret_entries, Error **errp);
/* Slot lock held: KVM_RESET_DIRTY_RINGS before a slot goes away. */
bool kvm_ring_reap_locked(unsigned *ret_entries, Error **errp);

/* kvm-irqchip.c */
bool kvm_irqchip_create(Error **errp);

#endif
