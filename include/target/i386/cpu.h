/*
 * The x86 CPU: registers in the form in which they are saved (section `cpu`,
 * version 12), CPUID, and helpers that both accelerators share.
 *
 * Registers belong to the vCPU's thread while it runs, and to the holder of the
 * machine lock while it is stopped.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_TARGET_I386_CPU_H
#define FERRY_TARGET_I386_CPU_H

#include <stdbool.h>
#include <stdint.h>

#include "hw/core/irq.h"
#include "system/cpus.h"

#define TYPE_X86_CPU "x86_64-cpu"
#define X86_CPU(obj) ((X86CPU *)(obj)) /* CPUState is the first member */

enum { R_EAX, R_ECX, R_EDX, R_EBX, R_ESP, R_EBP, R_ESI, R_EDI,
       R_R8, R_R9, R_R10, R_R11, R_R12, R_R13, R_R14, R_R15 };
enum { R_ES, R_CS, R_SS, R_DS, R_FS, R_GS };

/* flags: high dword of the descriptor (type, S, DPL, P, AVL, L, D/B, G in bits 8..23) */
typedef struct SegmentCache {
    uint32_t selector;
    uint64_t base;
    uint32_t limit;
    uint32_t flags;
} SegmentCache;

#define DESC_TYPE_SHIFT 8
#define DESC_S (1u << 12)
#define DESC_DPL_SHIFT 13
#define DESC_DPL_MASK (3u << DESC_DPL_SHIFT)
#define DESC_P (1u << 15)
#define DESC_AVL (1u << 20)
#define DESC_L (1u << 21)
#define DESC_B (1u << 22)
#define DESC_G (1u << 23)
#define DESC_CS (1u << 11)
#define DESC_C (1u << 10)
#define DESC_W (1u << 9)
#define DESC_R (1u << 9)
#define DESC_A (1u << 8)

#define CR0_PE (1u << 0)
#define CR0_MP (1u << 1)
#define CR0_EM (1u << 2)
#define CR0_TS (1u << 3)
#define CR0_ET (1u << 4)
#define CR0_NE (1u << 5)
#define CR0_WP (1u << 16)
#define CR0_AM (1u << 18)
#define CR0_NW (1u << 29)
#define CR0_CD (1u << 30)
#define CR0_PG (1u << 31)
#define CR4_DE (1u << 3)
#define CR4_PSE (1u << 4)
#define CR4_PAE (1u << 5)
#define CR4_PGE (1u << 7)
#define CR4_OSFXSR (1u << 9)
#define CR4_UMIP (1u << 11)
#define CR4_LA57 (1u << 12)
#define CR4_FSGSBASE (1u << 16)
#define CR4_PCIDE (1u << 17)
#define CR4_OSXSAVE (1u << 18)
#define CR4_SMEP (1u << 20)
#define CR4_SMAP (1u << 21)
#define CR4_PKE (1u << 22)
#define EFER_SCE (1u << 0)
#define EFER_LME (1u << 8)
#define EFER_LMA (1u << 10)
#define EFER_NXE (1u << 11)
#define EFER_SVME (1u << 12)

#define EFLAGS_FIXED (1u << 1)
#define EFLAGS_TF (1u << 8)
#define EFLAGS_IF (1u << 9)
#define EFLAGS_VM (1u << 17)

/*
 * Bits of hflags and hflags2 as they are on the wire.  Most follow from other
 * registers (x86_cpu_update_hflags); those of X86_HFLAGS_STATE are state of their own.
 */
#define HF_CPL_MASK 3u
#define HF_INHIBIT_IRQ (1u << 3)
#define HF_CS32 (1u << 4)
#define HF_SS32 (1u << 5)
#define HF_ADDSEG (1u << 6)
#define HF_PE (1u << 7)
#define HF_TF (1u << 8)
#define HF_MP (1u << 9)
#define HF_EM (1u << 10)
#define HF_TS (1u << 11)
#define HF_IOPL_MASK (3u << 12)
#define HF_LMA (1u << 14)
#define HF_CS64 (1u << 15)
#define HF_VM (1u << 17)
#define HF_SMM (1u << 19)
#define HF_SVME (1u << 20)
#define HF_GUEST (1u << 21)
#define HF_OSFXSR (1u << 22)
#define HF_SMAP (1u << 23)
#define HF_IOBPT (1u << 24)
#define HF_UMIP (1u << 27)
#define HF_AVX_EN (1u << 28)
#define X86_HFLAGS_STATE (HF_INHIBIT_IRQ | HF_SMM | HF_GUEST | HF_IOBPT)
#define HF2_GIF (1u << 0)
#define HF2_NMI_MASKED (1u << 2)
#define HF2_SMM_INSIDE_NMI (1u << 4)
#define HF2_VGIF (1u << 8)

typedef union XmmReg {
    uint64_t q[8]; /* 512 bits: xmm low 128, ymm 256, zmm 512 */
    uint32_t d[16];
    uint8_t b[64];
} XmmReg;

typedef struct FpReg {
    uint64_t mantissa;
    uint16_t exponent;
} FpReg;

#define X86_MCE_BANKS 10

typedef struct CPUX86State {
    uint64_t regs[16];
    uint64_t eip, eflags;
    uint32_t hflags, hflags2; /* derived; kept for the wire, recomputed on load */

    uint16_t fpuc, fpus, fptag; /* fptag: bit i = physical register i holds a value */
    uint8_t fpstt;              /* top of stack, merged into fpus on the wire */
    uint16_t fpop;
    uint64_t fpip, fpdp;
    FpReg fpregs[8];            /* physical numbering */

    SegmentCache segs[6], ldt, tr, gdt, idt;
    uint32_t sysenter_cs;
    uint64_t sysenter_esp, sysenter_eip;
    uint64_t cr[5]; /* 0, 2, 3, 4 used */
    uint64_t cr8;
    uint64_t dr[8];
    int32_t a20_mask;
    uint32_t mxcsr;
    XmmReg xmm[32];
    uint64_t opmask[8];
    uint64_t efer, star, lstar, cstar, fmask, kernelgsbase;
    uint32_t smbase;
    uint64_t pat;
    uint64_t vm_hsave, vm_vmcb, tsc_offset, intercept;
    uint16_t intercept_cr_read, intercept_cr_write, intercept_dr_read, intercept_dr_write;
    uint32_t intercept_exceptions;
    uint8_t v_tpr;
    uint64_t mtrr_fixed[11], mtrr_deftype;
    struct { uint64_t base, mask; } mtrr_var[8];
    int32_t interrupt_injected; /* vector, -1 none */
    uint32_t mp_state;          /* KVM numbering */
    uint64_t tsc;
    int32_t exception_nr;       /* -1 none */
    uint8_t soft_interrupt, nmi_injected, nmi_pending, has_error_code;
    uint32_t error_code;
    uint8_t exception_pending, exception_injected, exception_has_payload;
    uint64_t exception_payload;
    uint32_t sipi_vector;
    uint8_t smm, smi_pending, smm_inside_nmi, nmi_masked;
    uint8_t interrupt_shadow;
    uint8_t triple_fault_pending;
    uint64_t mcg_cap, mcg_status, mcg_ctl, mce_banks[X86_MCE_BANKS * 4];
    uint64_t tsc_aux, system_time_msr, wall_clock_msr;
    uint64_t xcr0, xstate_bv, xss;

    /* Optional state, each a subsection. */
    uint64_t async_pf_en_msr, async_pf_int_msr, pv_eoi_en_msr, steal_time_msr, poll_control_msr;
    uint64_t tsc_adjust, tsc_deadline, msr_ia32_misc_enable, msr_ia32_feature_control;
    uint64_t spec_ctrl, virt_ssbd, msr_smi_count, amd_tsc_scale_msr, mcg_ext_ctl, msr_hwcr;
    uint32_t pkru, pkrs, umwait, tsx_ctrl;
    uint64_t pdptrs[4];
    bool pdptrs_valid;
    int64_t tsc_khz;
    uint16_t fpus_wire, fptag_wire, fpformat_wire; /* only during save and load */
    uint32_t halted, interrupt_request; /* cpu_common section */
    int32_t exception_index;
    bool crash_occurred;
} CPUX86State;

typedef struct CPUIDEntry {
    uint32_t function, index;
    bool has_index;
    uint32_t eax, ebx, ecx, edx;
} CPUIDEntry;

/* Words of feature bits; names in target/i386/features.c. */
enum { FEAT_1_EDX, FEAT_1_ECX, FEAT_7_0_EBX, FEAT_7_0_ECX, FEAT_7_0_EDX, FEAT_7_1_EAX,
       FEAT_8000_0001_EDX, FEAT_8000_0001_ECX, FEAT_8000_0007_EDX, FEAT_8000_0008_EBX,
       FEAT_D_1_EAX, FEAT_6_EAX, FEAT_KVM, FEAT_WORDS };

typedef struct X86CPU {
    CPUState parent;
    CPUX86State env;
    uint32_t apic_id;
    bool is_bsp;
    GArray *cpuid;       /* of CPUIDEntry; built at realize, same for both accelerators */
    char *model;         /* "qemu64", "max", ... */
    uint32_t vendor_ebx, vendor_ecx, vendor_edx;
    uint32_t features[FEAT_WORDS];
    uint32_t lacking[FEAT_WORDS]; /* asked for, but the accelerator cannot give them */
    uint32_t version;    /* CPUID leaf 1 eax: family, model, stepping */
    uint32_t level, xlevel;
    uint32_t phys_bits;  /* physical address bits */
    char model_id[48];
    bool expose_kvm;     /* leaves 0x40000000.. when KVM runs the guest */
    bool l3_cache;
    bool migratable;     /* max and host: only features that other hosts can have */
    uint32_t socket_id, die_id, core_id, thread_id;
    int64_t tsc_khz_user; /* tsc-frequency=, 0: the host's */
    struct APICState *apic; /* hw/intc: section `apic`; model of interp, or mirror of the kernel's */
    /* Interrupt inputs used by the userspace APIC/PIC (interp); machine lock or atomic. */
    int interrupt_pending; /* atomic bits below */
    void *interp;          /* private to accel/interp */
} X86CPU;

/* Bits of interrupt_pending; set with x86_cpu_interrupt() from any thread. */
enum {
    CPU_INT_HARD = 1,
    CPU_INT_NMI = 2,
    CPU_INT_INIT = 4,
    CPU_INT_SIPI = 8,
    CPU_INT_SMI = 16,
    CPU_INT_POLL = 32,
};
void x86_cpu_interrupt(X86CPU *cpu, int bits);
void x86_cpu_interrupt_reset(X86CPU *cpu, int bits);

/*
 * "MODEL[,+feat][,-feat][,prop=value]": make CPU number `index` with its thread and
 * sections, outside of the object tree.  NULL: qemu64.  Machine lock.
 */
X86CPU *x86_cpu_create(const char *cpu_option, int index, Error **errp);
void x86_cpu_reset(X86CPU *cpu);       /* power-on state; APs wait for SIPI */
void x86_cpu_do_init(X86CPU *cpu);     /* INIT signal */
void x86_cpu_do_sipi(X86CPU *cpu, uint8_t vector);
/* hflags from the registers that they follow from; X86_HFLAGS_STATE is kept. */
void x86_cpu_update_hflags(CPUX86State *env);
/* Value of an MSR after power-on; 0 for the many that start at zero. */
uint64_t x86_msr_reset_value(uint32_t index);
bool x86_cpu_has_xsave(X86CPU *cpu);
/* Physical address bits of the model (MTRR masks, page tables). */
unsigned x86_cpu_phys_bits(X86CPU *cpu);
/* Sections cpu_common and cpu: migration/vmstate.h. Machine lock. */
bool x86_cpu_register_vmstate(X86CPU *cpu, Error **errp);
void x86_cpu_unregister_vmstate(X86CPU *cpu);
/*
 * How CPUs are arranged: before the first x86_cpu_create().  APIC ids, CPUID
 * topology leaves and the socket-id, core-id ... properties follow from it.
 */
void x86_cpu_set_topology(unsigned dies, unsigned cores, unsigned threads);

/* CPUID leaf as the guest sees it now (OSXSAVE and APIC id filled in). */
void x86_cpuid(X86CPU *cpu, uint32_t fn, uint32_t index, uint32_t *eax, uint32_t *ebx,
               uint32_t *ecx, uint32_t *edx);
/* query-cpu-definitions. */
typedef struct X86CPUModel {
    const char *name;
    const char *desc;
    bool migration_safe, is_static, max_like;
} X86CPUModel;
const X86CPUModel *x86_cpu_models(void); /* ends with name NULL */
/* HMP info registers text. */
char *x86_cpu_describe(X86CPU *cpu);
/* Guest-virtual to guest-physical with the current page tables; false when unmapped. */
bool x86_cpu_translate(X86CPU *cpu, uint64_t vaddr, uint64_t *ret_paddr);

/*
 * Userspace interrupt controllers (hw/intc), used by interp and qtest.
 * Highest pending vector that may be delivered, acknowledged; -1 if none.
 */
int pic_apic_get_interrupt(X86CPU *cpu);
uint64_t apic_read_base_msr(X86CPU *cpu);
void apic_write_base_msr(X86CPU *cpu, uint64_t val);
uint8_t apic_get_tpr(X86CPU *cpu);         /* CR8 value, 0..15 */
void apic_set_tpr(X86CPU *cpu, uint8_t cr8);
bool apic_accepts_pic(X86CPU *cpu);
/* x2APIC MSR or MMIO register access from the CPU. */
uint32_t apic_mmio_read(X86CPU *cpu, uint32_t offset);
void apic_mmio_write(X86CPU *cpu, uint32_t offset, uint32_t value);

#endif
