/*
 * Registers between the CPU object and the kernel: general and system registers,
 * events, debug registers, multiprocessor state.  kvm-fpu.c and kvm-msr.c have the rest.
 *
 * The vCPU is out of the guest with every access finished.  The caller is its own
 * thread, or holds the machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <inttypes.h>
#include <string.h>

#include "hw/intc/apic.h"
#include "kvm-int.h"
#include "trace/accel_kvm.h"
#include "util/log.h"
#include "util/util.h"

static bool vcpu_ioctl(KvmVcpu *v, unsigned long request, void *arg, const char *what,
                       Error **errp)
{
    if (kvm_ioctl(v->fd, request, arg) < 0) {
        error_setg_errno(errp, errno, "%s", what);
        return false;
    }
    return true;
}

/* The same registers have one place in the kernel's struct and one in ours. */
static void copy_gprs(CPUX86State *env, struct kvm_regs *r, bool get)
{
    __u64 *theirs[16] = { &r->rax, &r->rcx, &r->rdx, &r->rbx, &r->rsp, &r->rbp, &r->rsi, &r->rdi,
                          &r->r8, &r->r9, &r->r10, &r->r11, &r->r12, &r->r13, &r->r14, &r->r15 };

    for (int i = 0; i < 16; i++) {
        if (get) {
            env->regs[i] = *theirs[i];
        } else {
            *theirs[i] = env->regs[i];
        }
    }
}

static bool get_gprs(KvmVcpu *v, Error **errp)
{
    CPUX86State *env = &v->cpu->env;
    struct kvm_regs r;

    if (!vcpu_ioctl(v, KVM_GET_REGS, &r, "KVM_GET_REGS", errp)) {
        return false;
    }
    copy_gprs(env, &r, true);
    env->eip = r.rip;
    env->eflags = r.rflags;
    return true;
}

static bool put_gprs(KvmVcpu *v, Error **errp)
{
    CPUX86State *env = &v->cpu->env;
    struct kvm_regs r = { .rip = env->eip, .rflags = env->eflags | 2 };

    copy_gprs(env, &r, false);
    return vcpu_ioctl(v, KVM_SET_REGS, &r, "KVM_SET_REGS", errp);
}

static void seg_from_kvm(SegmentCache *s, const struct kvm_segment *k)
{
    s->selector = k->selector;
    s->base = k->base;
    s->limit = k->limit;
    s->flags = (uint32_t)k->type << DESC_TYPE_SHIFT | (k->s ? DESC_S : 0) |
               (uint32_t)k->dpl << DESC_DPL_SHIFT | (k->present && !k->unusable ? DESC_P : 0) |
               (k->avl ? DESC_AVL : 0) | (k->l ? DESC_L : 0) | (k->db ? DESC_B : 0) |
               (k->g ? DESC_G : 0);
}

static void seg_to_kvm(struct kvm_segment *k, const SegmentCache *s)
{
    uint32_t f = s->flags;

    *k = (struct kvm_segment){
        .selector = s->selector, .base = s->base, .limit = s->limit,
        .type = (f >> DESC_TYPE_SHIFT) & 15, .s = (f & DESC_S) != 0,
        .dpl = (f & DESC_DPL_MASK) >> DESC_DPL_SHIFT, .present = (f & DESC_P) != 0,
        .avl = (f & DESC_AVL) != 0, .l = (f & DESC_L) != 0, .db = (f & DESC_B) != 0,
        .g = (f & DESC_G) != 0, .unusable = (f & DESC_P) == 0,
    };
}

/* Virtual-8086 mode: the hardware wants these attributes whatever was loaded. */
static void seg_to_kvm_v86(struct kvm_segment *k, const SegmentCache *s)
{
    *k = (struct kvm_segment){ .selector = s->selector, .base = s->base, .limit = s->limit,
                               .type = 3, .s = 1, .dpl = 3, .present = 1 };
}

/*
 * kvm_sregs and kvm_sregs2 are alike up to apic_base; where only the first is there
 * its last member, the pending interrupt, travels in the events instead.
 */
static bool get_sregs(KvmVcpu *v, Error **errp)
{
    CPUX86State *env = &v->cpu->env;
    union { struct kvm_sregs s1; struct kvm_sregs2 s2; } u = { 0 };
    struct kvm_sregs2 *s = &u.s2;

    G_STATIC_ASSERT(offsetof(struct kvm_sregs, apic_base) ==
                    offsetof(struct kvm_sregs2, apic_base));
    if (!vcpu_ioctl(v, kvm.has_sregs2 ? KVM_GET_SREGS2 : KVM_GET_SREGS, &u, "KVM_GET_SREGS",
                    errp)) {
        return false;
    }
    seg_from_kvm(&env->segs[R_CS], &s->cs);
    seg_from_kvm(&env->segs[R_DS], &s->ds);
    seg_from_kvm(&env->segs[R_ES], &s->es);
    seg_from_kvm(&env->segs[R_FS], &s->fs);
    seg_from_kvm(&env->segs[R_GS], &s->gs);
    seg_from_kvm(&env->segs[R_SS], &s->ss);
    seg_from_kvm(&env->tr, &s->tr);
    seg_from_kvm(&env->ldt, &s->ldt);
    env->gdt.base = s->gdt.base;
    env->gdt.limit = s->gdt.limit;
    env->idt.base = s->idt.base;
    env->idt.limit = s->idt.limit;
    env->cr[0] = s->cr0;
    env->cr[2] = s->cr2;
    env->cr[3] = s->cr3;
    env->cr[4] = s->cr4;
    env->cr8 = s->cr8;
    env->efer = s->efer;
    if (v->cpu->apic) {
        v->cpu->apic->apicbase = s->apic_base;
        v->cpu->apic->tpr = s->cr8 << 4;
    }
    env->pdptrs_valid = kvm.has_sregs2 && (s->flags & KVM_SREGS2_FLAGS_PDPTRS_VALID);
    if (env->pdptrs_valid) {
        memcpy(env->pdptrs, s->pdptrs, sizeof(env->pdptrs));
    }
    return true;
}

static void put_segments(const CPUX86State *env, struct kvm_sregs2 *s)
{
    void (*fn)(struct kvm_segment *, const SegmentCache *) =
        env->eflags & (1u << 17) ? seg_to_kvm_v86 : seg_to_kvm;

    fn(&s->cs, &env->segs[R_CS]);
    fn(&s->ds, &env->segs[R_DS]);
    fn(&s->es, &env->segs[R_ES]);
    fn(&s->fs, &env->segs[R_FS]);
    fn(&s->gs, &env->segs[R_GS]);
    fn(&s->ss, &env->segs[R_SS]);
    seg_to_kvm(&s->tr, &env->tr);
    seg_to_kvm(&s->ldt, &env->ldt);
    s->gdt.base = env->gdt.base;
    s->gdt.limit = env->gdt.limit;
    s->idt.base = env->idt.base;
    s->idt.limit = env->idt.limit;
}

static bool put_sregs(KvmVcpu *v, PutLevel level, Error **errp)
{
    CPUX86State *env = &v->cpu->env;
    APICState *apic = v->cpu->apic;
    union { struct kvm_sregs s1; struct kvm_sregs2 s2; } u = { 0 };
    struct kvm_sregs2 *s = &u.s2;

    put_segments(env, s);
    s->cr0 = env->cr[0];
    s->cr2 = env->cr[2];
    s->cr3 = env->cr[3];
    s->cr4 = env->cr[4];
    s->efer = env->efer;
    if (apic && level != PUT_RUNTIME) {
        env->cr8 = apic->tpr >> 4; /* the local APIC's section has it */
    }
    s->cr8 = env->cr8;
    s->apic_base = apic ? apic->apicbase : APIC_DEFAULT_BASE | APICBASE_ENABLE;
    if (kvm.has_sregs2) {
        s->flags = env->pdptrs_valid ? KVM_SREGS2_FLAGS_PDPTRS_VALID : 0;
        memcpy(s->pdptrs, env->pdptrs, sizeof(s->pdptrs));
        return vcpu_ioctl(v, KVM_SET_SREGS2, &u, "KVM_SET_SREGS2", errp);
    }
    memset(u.s1.interrupt_bitmap, 0, sizeof(u.s1.interrupt_bitmap));
    return vcpu_ioctl(v, KVM_SET_SREGS, &u, "KVM_SET_SREGS", errp);
}

static bool get_events(KvmVcpu *v, Error **errp)
{
    CPUX86State *env = &v->cpu->env;
    struct kvm_vcpu_events e = { 0 };

    if (!vcpu_ioctl(v, KVM_GET_VCPU_EVENTS, &e, "KVM_GET_VCPU_EVENTS", errp)) {
        return false;
    }
    env->exception_pending = kvm.has_exception_payload && e.exception.pending;
    env->exception_injected = e.exception.injected;
    env->exception_has_payload = kvm.has_exception_payload && e.exception_has_payload;
    env->exception_payload = env->exception_has_payload ? e.exception_payload : 0;
    env->exception_nr =
        env->exception_pending || env->exception_injected ? e.exception.nr : -1;
    env->has_error_code = e.exception.has_error_code;
    env->error_code = e.exception.error_code;
    env->interrupt_injected = e.interrupt.injected ? e.interrupt.nr : -1;
    env->soft_interrupt = e.interrupt.soft;
    env->interrupt_shadow = e.interrupt.shadow;
    env->nmi_injected = e.nmi.injected;
    env->nmi_pending = e.nmi.pending;
    env->nmi_masked = e.nmi.masked;
    env->sipi_vector = e.sipi_vector;
    if (e.flags & KVM_VCPUEVENT_VALID_SMM) {
        env->smm = e.smi.smm;
        env->smi_pending = e.smi.pending;
        env->smm_inside_nmi = e.smi.smm_inside_nmi;
    }
    env->triple_fault_pending = (e.flags & KVM_VCPUEVENT_VALID_TRIPLE_FAULT) &&
                                e.triple_fault.pending;
    return true;
}

static bool put_events(KvmVcpu *v, PutLevel level, Error **errp)
{
    CPUX86State *env = &v->cpu->env;
    struct kvm_vcpu_events e = { 0 };

    e.exception.injected = env->exception_injected;
    if (kvm.has_exception_payload) {
        e.flags |= KVM_VCPUEVENT_VALID_PAYLOAD;
        e.exception.pending = env->exception_pending;
        e.exception_has_payload = env->exception_has_payload;
        e.exception_payload = env->exception_payload;
    } else if (env->exception_pending) {
        e.exception.injected = 1;
    }
    e.exception.nr = env->exception_nr >= 0 ? env->exception_nr : 0;
    e.exception.has_error_code = env->has_error_code;
    e.exception.error_code = env->error_code;
    e.interrupt.injected = env->interrupt_injected >= 0;
    e.interrupt.nr = env->interrupt_injected >= 0 ? env->interrupt_injected : 0;
    e.interrupt.soft = env->soft_interrupt;
    e.interrupt.shadow = env->interrupt_shadow;
    e.flags |= KVM_VCPUEVENT_VALID_SHADOW;
    e.nmi.injected = env->nmi_injected;
    e.nmi.pending = env->nmi_pending;
    e.nmi.masked = env->nmi_masked;
    e.sipi_vector = env->sipi_vector;
    if (level != PUT_RUNTIME) {
        e.flags |= KVM_VCPUEVENT_VALID_NMI_PENDING;
        if (v->cpu->env.mp_state == KVM_MP_STATE_SIPI_RECEIVED) {
            e.flags |= KVM_VCPUEVENT_VALID_SIPI_VECTOR;
        }
    }
    if (env->smm || env->smi_pending || level != PUT_RUNTIME) {
        e.flags |= kvm.has_smm ? KVM_VCPUEVENT_VALID_SMM : 0;
        e.smi.smm = env->smm;
        e.smi.pending = env->smi_pending;
        e.smi.smm_inside_nmi = env->smm_inside_nmi;
    }
    if (kvm.has_triple_fault) {
        e.flags |= KVM_VCPUEVENT_VALID_TRIPLE_FAULT;
        e.triple_fault.pending = env->triple_fault_pending;
    }
    return vcpu_ioctl(v, KVM_SET_VCPU_EVENTS, &e, "KVM_SET_VCPU_EVENTS", errp);
}

static bool get_debugregs(KvmVcpu *v, Error **errp)
{
    CPUX86State *env = &v->cpu->env;
    struct kvm_debugregs d = { 0 };

    if (!kvm.has_debugregs) {
        return true;
    }
    if (!vcpu_ioctl(v, KVM_GET_DEBUGREGS, &d, "KVM_GET_DEBUGREGS", errp)) {
        return false;
    }
    memcpy(env->dr, d.db, sizeof(d.db));
    env->dr[4] = env->dr[6] = d.dr6;
    env->dr[5] = env->dr[7] = d.dr7;
    return true;
}

static bool put_debugregs(KvmVcpu *v, Error **errp)
{
    CPUX86State *env = &v->cpu->env;
    struct kvm_debugregs d = { .dr6 = env->dr[6], .dr7 = env->dr[7] };

    if (!kvm.has_debugregs) {
        return true;
    }
    memcpy(d.db, env->dr, sizeof(d.db));
    return vcpu_ioctl(v, KVM_SET_DEBUGREGS, &d, "KVM_SET_DEBUGREGS", errp);
}

static bool get_mp_state(KvmVcpu *v, Error **errp)
{
    CPUX86State *env = &v->cpu->env;
    struct kvm_mp_state m = { 0 };

    if (!vcpu_ioctl(v, KVM_GET_MP_STATE, &m, "KVM_GET_MP_STATE", errp)) {
        return false;
    }
    env->mp_state = m.mp_state;
    env->halted = m.mp_state == KVM_MP_STATE_HALTED;
    return true;
}

static bool put_mp_state(KvmVcpu *v, Error **errp)
{
    struct kvm_mp_state m = { .mp_state = v->cpu->env.mp_state };

    return vcpu_ioctl(v, KVM_SET_MP_STATE, &m, "KVM_SET_MP_STATE", errp);
}

/* A guest that comes from a host with another TSC frequency. */
static void put_tsc_khz(KvmVcpu *v)
{
    int64_t want = v->cpu->env.tsc_khz;
    int have = kvm.has_get_tsc_khz ? ioctl(v->fd, KVM_GET_TSC_KHZ, 0) : 0;

    if (want <= 0 || have == want) {
        return;
    }
    if (kvm.has_tsc_control && ioctl(v->fd, KVM_SET_TSC_KHZ, (unsigned long)want) == 0) {
        return;
    }
    /* Crystals differ by some parts per million: only tell what a guest can notice. */
    if (have <= 0 || llabs(want - have) > have / 4000) {
        warn_report("vCPU %d: its TSC ran at %" PRId64 " kHz, here it runs at %d kHz",
                    v->cpu->parent.index, want, have);
    }
}

bool kvm_get_regs(CPUState *cpu, Error **errp)
{
    KvmVcpu *v = kvm_vcpu(cpu);
    bool ok = get_events(v, errp) && get_mp_state(v, errp) && get_gprs(v, errp) &&
              kvm_get_fpu(v, errp) && get_sregs(v, errp) && kvm_get_msrs(v, errp) &&
              get_debugregs(v, errp);

    if (ok) {
        x86_cpu_update_hflags(&v->cpu->env);
    }
    return ok;
}

bool kvm_put_regs(CPUState *cpu, PutLevel level, Error **errp)
{
    KvmVcpu *v = kvm_vcpu(cpu);

    trace_kvm_put_regs(cpu->index, level);
    if (level == PUT_FULL) {
        put_tsc_khz(v);
    }
    return put_sregs(v, level, errp) && put_gprs(v, errp) && kvm_put_fpu(v, errp) &&
           kvm_put_msrs(v, level, errp) &&
           (level == PUT_RUNTIME || put_mp_state(v, errp)) &&
           put_events(v, level, errp) && put_debugregs(v, errp);
}
