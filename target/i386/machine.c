/*
 * Sections cpu_common and cpu: the saved state of a CPU, in the layout that the stock
 * program has.
 *
 * Runs under the machine lock with the vCPU out of the guest.  Not a plain copy: the
 * floating point top of stack travels inside the status word, three bits of hidden
 * state inside hflags and hflags2, and what follows from other registers is recomputed
 * on load.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "accel/accel.h"
#include "cpu-internal.h"
#include "hw/intc/apic.h"
#include "migration/vmstate.h"
#include "system/machine-lock.h"
#include "util/util.h"

enum { MP_RUNNABLE, MP_UNINITIALIZED, MP_INIT_RECEIVED, MP_HALTED, MP_SIPI_RECEIVED };

/* ---- nested descriptions ---- */

static const VMStateDescription vmstate_segment = {
    .name = "segment", .version_id = 1, .minimum_version_id = 1,
    .fields = (const VMStateField[]){
        VMSTATE_UINT32(selector, SegmentCache),
        VMSTATE_UINT64(base, SegmentCache),
        VMSTATE_UINT32(limit, SegmentCache),
        VMSTATE_UINT32(flags, SegmentCache),
        VMSTATE_END_OF_LIST()
    },
};

static const VMStateDescription vmstate_fpreg = {
    .name = "fpreg", .version_id = 1, .minimum_version_id = 1,
    .fields = (const VMStateField[]){
        VMSTATE_UINT64(mantissa, FpReg),
        VMSTATE_UINT16_V(exponent, FpReg, 0),
        VMSTATE_END_OF_LIST()
    },
};

/* Parts of a vector register. */
#define XMM_PART(name_, first, count)                                          \
    static const VMStateDescription vmstate_##name_ = {                        \
        .name = #name_, .version_id = 1, .minimum_version_id = 1,              \
        .fields = (const VMStateField[]){                                      \
            { .name = "q", .info = &vmstate_info_uint64, .size = 8,            \
              .num = (count), .flags = VMS_ARRAY,                              \
              .offset = offsetof(XmmReg, q) + 8 * (first) },                   \
            VMSTATE_END_OF_LIST()                                              \
        },                                                                     \
    }
XMM_PART(xmm_reg, 0, 2);
XMM_PART(ymmh_reg, 2, 2);
XMM_PART(zmmh_reg, 4, 4);
XMM_PART(zmm_reg, 0, 8);

typedef __typeof__(((CPUX86State *)0)->mtrr_var[0]) MtrrVar;
static const VMStateDescription vmstate_mtrr_var = {
    .name = "mtrr_var", .version_id = 1, .minimum_version_id = 1,
    .fields = (const VMStateField[]){
        VMSTATE_UINT64(base, MtrrVar),
        VMSTATE_UINT64(mask, MtrrVar),
        VMSTATE_END_OF_LIST()
    },
};

/* ---- subsections ---- */

/* A subsection that is one MSR or the like, sent when it is not at its default. */
#define SUB_NOT(name_, field, default_, macro)                                     \
    static bool name_##_needed(void *opaque)                                       \
    {                                                                              \
        return ((X86CPU *)opaque)->env.field != (default_);                        \
    }                                                                              \
    static const VMStateDescription vmstate_##name_ = {                            \
        .name = "cpu/" #name_, .version_id = 1, .minimum_version_id = 1,           \
        .needed = name_##_needed,                                                  \
        .fields = (const VMStateField[]){ macro(env.field, X86CPU), VMSTATE_END_OF_LIST() }, \
    }

SUB_NOT(async_pf_msr, async_pf_en_msr, 0, VMSTATE_UINT64);
SUB_NOT(async_pf_int_msr, async_pf_int_msr, 0, VMSTATE_UINT64);
SUB_NOT(async_pv_eoi_msr, pv_eoi_en_msr, 0, VMSTATE_UINT64);
SUB_NOT(steal_time_msr, steal_time_msr, 0, VMSTATE_UINT64);
SUB_NOT(poll_control_msr, poll_control_msr, 1, VMSTATE_UINT64);
SUB_NOT(msr_tsc_adjust, tsc_adjust, 0, VMSTATE_UINT64);
SUB_NOT(msr_tscdeadline, tsc_deadline, 0, VMSTATE_UINT64);
SUB_NOT(msr_ia32_misc_enable, msr_ia32_misc_enable, 1, VMSTATE_UINT64);
SUB_NOT(msr_ia32_feature_control, msr_ia32_feature_control, 0, VMSTATE_UINT64);
SUB_NOT(xss, xss, 0, VMSTATE_UINT64);
SUB_NOT(umwait, umwait, 0, VMSTATE_UINT32);
SUB_NOT(tsc_khz, tsc_khz, 0, VMSTATE_INT64);
SUB_NOT(msr_smi_count, msr_smi_count, 0, VMSTATE_UINT64);
SUB_NOT(pkru, pkru, 0, VMSTATE_UINT32);
SUB_NOT(pkrs, pkrs, 0, VMSTATE_UINT32);
SUB_NOT(spec_ctrl, spec_ctrl, 0, VMSTATE_UINT64);
SUB_NOT(mcg_ext_ctl, mcg_ext_ctl, 0, VMSTATE_UINT64);
SUB_NOT(virt_ssbd, virt_ssbd, 0, VMSTATE_UINT64);
SUB_NOT(msr_tsx_ctrl, tsx_ctrl, 0, VMSTATE_UINT32);
SUB_NOT(msr_hwcr, msr_hwcr, 0, VMSTATE_UINT64);
SUB_NOT(triple_fault, triple_fault_pending, 0, VMSTATE_UINT8);

static bool exception_info_needed(void *opaque)
{
    CPUX86State *env = &((X86CPU *)opaque)->env;

    return env->exception_pending && (env->hflags & HF_GUEST);
}

static const VMStateDescription vmstate_exception_info = {
    .name = "cpu/exception_info", .version_id = 1, .minimum_version_id = 1,
    .needed = exception_info_needed,
    .fields = (const VMStateField[]){
        VMSTATE_UINT8(env.exception_pending, X86CPU),
        VMSTATE_UINT8(env.exception_injected, X86CPU),
        VMSTATE_UINT8(env.exception_has_payload, X86CPU),
        VMSTATE_UINT64(env.exception_payload, X86CPU),
        VMSTATE_END_OF_LIST()
    },
};

static bool fpop_ip_dp_needed(void *opaque)
{
    CPUX86State *env = &((X86CPU *)opaque)->env;

    return env->fpop || env->fpip || env->fpdp;
}

static const VMStateDescription vmstate_fpop_ip_dp = {
    .name = "cpu/fpop_ip_dp", .version_id = 1, .minimum_version_id = 1,
    .needed = fpop_ip_dp_needed,
    .fields = (const VMStateField[]){
        VMSTATE_UINT16_V(env.fpop, X86CPU, 0),
        VMSTATE_UINT64(env.fpip, X86CPU),
        VMSTATE_UINT64(env.fpdp, X86CPU),
        VMSTATE_END_OF_LIST()
    },
};

static bool avx512_needed(void *opaque)
{
    CPUX86State *env = &((X86CPU *)opaque)->env;

    for (int i = 0; i < 32; i++) {
        int first = i < 16 ? 4 : 0;

        if (!buffer_is_zero(&env->xmm[i].q[first], 8 * (8 - first))) {
            return true;
        }
    }
    return !buffer_is_zero(env->opmask, sizeof(env->opmask));
}

static const VMStateDescription vmstate_avx512 = {
    .name = "cpu/avx512", .version_id = 1, .minimum_version_id = 1,
    .needed = avx512_needed,
    .fields = (const VMStateField[]){
        VMSTATE_UINT64_ARRAY(env.opmask, X86CPU, 8),
        VMSTATE_STRUCT_SUB_ARRAY(env.xmm, X86CPU, 16, 0, vmstate_zmmh_reg, XmmReg),
        { .name = "env.xmm[16]", .vmsd = &vmstate_zmm_reg, .size = sizeof(XmmReg), .num = 16,
          .flags = VMS_STRUCT | VMS_ARRAY, .offset = offsetof(X86CPU, env.xmm[16]) },
        VMSTATE_END_OF_LIST()
    },
};

static bool pdptrs_needed(void *opaque)
{
    return ((X86CPU *)opaque)->env.pdptrs_valid;
}

static bool pdptrs_post_load(void *opaque, int version_id, Error **errp)
{
    ((X86CPU *)opaque)->env.pdptrs_valid = true;
    return true;
}

static const VMStateDescription vmstate_pdptrs = {
    .name = "cpu/pdptrs", .version_id = 1, .minimum_version_id = 1,
    .needed = pdptrs_needed, .post_load = pdptrs_post_load,
    .fields = (const VMStateField[]){
        VMSTATE_UINT64_ARRAY(env.pdptrs, X86CPU, 4),
        VMSTATE_END_OF_LIST()
    },
};

/* Received from newer peers; not sent, since older ones refuse the name. */
static bool never_needed(void *opaque)
{
    return false;
}

static const VMStateDescription vmstate_error_code = {
    .name = "cpu/error_code", .version_id = 1, .minimum_version_id = 1,
    .needed = never_needed,
    .fields = (const VMStateField[]){
        VMSTATE_UINT32(env.error_code, X86CPU),
        VMSTATE_END_OF_LIST()
    },
};

static bool tsc_scale_needed(void *opaque)
{
    return false; /* the CPUID bit that has this MSR is never offered */
}

static const VMStateDescription vmstate_tsc_scale = {
    .name = "cpu/amd_tsc_scale_msr", .version_id = 1, .minimum_version_id = 1,
    .needed = tsc_scale_needed,
    .fields = (const VMStateField[]){
        VMSTATE_UINT64(env.amd_tsc_scale_msr, X86CPU),
        VMSTATE_END_OF_LIST()
    },
};

static const VMStateDescription *const cpu_subsections[] = {
    &vmstate_exception_info,
    &vmstate_error_code,
    &vmstate_async_pf_msr,
    &vmstate_async_pf_int_msr,
    &vmstate_async_pv_eoi_msr,
    &vmstate_steal_time_msr,
    &vmstate_poll_control_msr,
    &vmstate_fpop_ip_dp,
    &vmstate_msr_tsc_adjust,
    &vmstate_msr_tscdeadline,
    &vmstate_msr_ia32_misc_enable,
    &vmstate_msr_ia32_feature_control,
    &vmstate_avx512,
    &vmstate_xss,
    &vmstate_umwait,
    &vmstate_tsc_khz,
    &vmstate_msr_smi_count,
    &vmstate_pkru,
    &vmstate_pkrs,
    &vmstate_spec_ctrl,
    &vmstate_tsc_scale,
    &vmstate_mcg_ext_ctl,
    &vmstate_virt_ssbd,
    &vmstate_msr_tsx_ctrl,
    &vmstate_pdptrs,
    &vmstate_msr_hwcr,
    &vmstate_triple_fault,
    NULL,
};

/* ---- section cpu ---- */

/*
 * A code segment may keep a privilege level that real mode does not have; the stock
 * program makes the three that matter agree.
 */
static void normalise_real_mode(CPUX86State *env)
{
    if (!(env->cr[0] & CR0_PE) && (env->segs[R_CS].flags & DESC_DPL_MASK)) {
        env->segs[R_CS].flags &= ~DESC_DPL_MASK;
        env->segs[R_DS].flags &= ~DESC_DPL_MASK;
        env->segs[R_ES].flags &= ~DESC_DPL_MASK;
        env->segs[R_SS].flags &= ~DESC_DPL_MASK;
        env->segs[R_FS].flags &= ~DESC_DPL_MASK;
        env->segs[R_GS].flags &= ~DESC_DPL_MASK;
    }
}

/* The software CPU keeps "halted" and "waits for SIPI"; the section has mp_state. */
static void mp_state_from_halted(X86CPU *cpu)
{
    CPUX86State *env = &cpu->env;

    if (!interp_enabled()) {
        return;
    }
    if (cpu->apic && cpu->apic->wait_for_sipi) {
        env->mp_state = MP_UNINITIALIZED;
    } else {
        env->mp_state = env->halted ? MP_HALTED : MP_RUNNABLE;
    }
}

static void halted_from_mp_state(X86CPU *cpu)
{
    CPUX86State *env = &cpu->env;

    if (!interp_enabled()) {
        return;
    }
    env->halted = env->halted || env->mp_state != MP_RUNNABLE;
    if (cpu->apic && (env->mp_state == MP_UNINITIALIZED || env->mp_state == MP_INIT_RECEIVED)) {
        cpu->apic->wait_for_sipi = 1;
    }
}

static void hidden_to_hflags(CPUX86State *env)
{
    env->hflags &= ~(HF_INHIBIT_IRQ | HF_SMM);
    env->hflags |= (env->interrupt_shadow ? HF_INHIBIT_IRQ : 0) | (env->smm ? HF_SMM : 0);
    env->hflags2 &= ~(HF2_NMI_MASKED | HF2_SMM_INSIDE_NMI);
    env->hflags2 |= (env->nmi_masked ? HF2_NMI_MASKED : 0) |
                    (env->smm_inside_nmi ? HF2_SMM_INSIDE_NMI : 0);
}

static bool cpu_pre_save(void *opaque, Error **errp)
{
    X86CPU *cpu = opaque;
    CPUX86State *env = &cpu->env;

    if (accel && cpu->parent.accel) {
        cpu_synchronize_state(&cpu->parent);
    }
    if (env->exception_pending && !(env->hflags & HF_GUEST)) {
        /* Outside of a nested guest a pending exception is as good as an injected one. */
        env->exception_pending = 0;
        env->exception_injected = 1;
        if (env->exception_has_payload && env->exception_nr == 14) {
            env->cr[2] = env->exception_payload;
        } else if (env->exception_has_payload && env->exception_nr == 1) {
            env->dr[6] |= env->exception_payload;
        }
        env->exception_has_payload = 0;
    }
    env->fpus_wire = (env->fpus & ~0x3800) | (env->fpstt & 7) << 11;
    env->fptag_wire = env->fptag;
    env->fpformat_wire = 0;
    normalise_real_mode(env);
    x86_cpu_update_hflags(env);
    hidden_to_hflags(env);
    mp_state_from_halted(cpu);
    return true;
}

/* Optional state is at its default when the stream does not have it. */
static bool cpu_pre_load(void *opaque, Error **errp)
{
    X86CPU *cpu = opaque;
    CPUX86State *env = &cpu->env;
    int64_t tsc_khz = env->tsc_khz;

    env->exception_pending = env->exception_injected = env->exception_has_payload = 0;
    env->exception_payload = 0;
    env->error_code = 0;
    env->async_pf_en_msr = env->async_pf_int_msr = env->pv_eoi_en_msr = 0;
    env->steal_time_msr = 0;
    env->poll_control_msr = 1;
    env->fpop = 0;
    env->fpip = env->fpdp = 0;
    env->tsc_adjust = env->tsc_deadline = 0;
    env->msr_ia32_misc_enable = 1;
    env->msr_ia32_feature_control = 0;
    memset(env->opmask, 0, sizeof(env->opmask));
    memset(env->xmm, 0, sizeof(env->xmm));
    env->xss = 0;
    env->umwait = env->pkru = env->pkrs = env->tsx_ctrl = 0;
    env->msr_smi_count = env->spec_ctrl = env->mcg_ext_ctl = env->virt_ssbd = env->msr_hwcr = 0;
    env->pdptrs_valid = false;
    env->triple_fault_pending = 0;
    env->tsc_khz = tsc_khz;
    return true;
}

static bool check_loaded(const CPUX86State *env, Error **errp)
{
    if (env->fpformat_wire != 0) {
        error_setg(errp, "floating point format %u is not supported", env->fpformat_wire);
        return false;
    }
    if (env->mp_state > MP_SIPI_RECEIVED) {
        error_setg(errp, "mp_state %u is not between 0 and 4", env->mp_state);
        return false;
    }
    if (env->exception_nr < -1 || env->exception_nr > 31) {
        error_setg(errp, "exception %d is not between 0 and 31", env->exception_nr);
        return false;
    }
    if (env->interrupt_injected < -1 || env->interrupt_injected > 255) {
        error_setg(errp, "interrupt %d is not between 0 and 255", env->interrupt_injected);
        return false;
    }
    if (env->hflags & HF_GUEST) {
        error_setg(errp, "the CPU is inside a nested guest, which is not supported");
        return false;
    }
    return true;
}

static bool cpu_post_load(void *opaque, int version_id, Error **errp)
{
    X86CPU *cpu = opaque;
    CPUX86State *env = &cpu->env;

    if (!check_loaded(env, errp)) {
        return false;
    }
    if (cpu->tsc_khz_user && env->tsc_khz && env->tsc_khz != cpu->tsc_khz_user) {
        error_setg(errp, "TSC frequency %" G_GINT64_FORMAT " kHz in the stream, %"
                   G_GINT64_FORMAT " kHz on the command line", env->tsc_khz, cpu->tsc_khz_user);
        return false;
    }
    env->fpus = env->fpus_wire & ~0x3800;
    env->fpstt = (env->fpus_wire >> 11) & 7;
    env->fptag = env->fptag_wire & 0xff;
    normalise_real_mode(env);
    env->interrupt_shadow = (env->hflags & HF_INHIBIT_IRQ) != 0;
    env->smm = (env->hflags & HF_SMM) != 0;
    env->nmi_masked = (env->hflags2 & HF2_NMI_MASKED) != 0;
    env->smm_inside_nmi = (env->hflags2 & HF2_SMM_INSIDE_NMI) != 0;
    if (!env->exception_pending && env->exception_nr != -1) {
        env->exception_injected = 1; /* a peer that does not tell them apart */
    }
    x86_cpu_update_hflags(env);
    halted_from_mp_state(cpu);
    cpu->parent.regs_valid = true;
    cpu->parent.regs_dirty = true;
    return true;
}

const VMStateDescription vmstate_x86_cpu = {
    .name = "cpu",
    .version_id = 12,
    .minimum_version_id = 11,
    .pre_save = cpu_pre_save,
    .pre_load = cpu_pre_load,
    .post_load = cpu_post_load,
    .fields = (const VMStateField[]){
        VMSTATE_UINT64_ARRAY(env.regs, X86CPU, 16),
        VMSTATE_UINT64(env.eip, X86CPU),
        VMSTATE_UINT64(env.eflags, X86CPU),
        VMSTATE_UINT32(env.hflags, X86CPU),
        VMSTATE_UINT16_V(env.fpuc, X86CPU, 0),
        VMSTATE_UINT16_V(env.fpus_wire, X86CPU, 0),
        VMSTATE_UINT16_V(env.fptag_wire, X86CPU, 0),
        VMSTATE_UINT16_V(env.fpformat_wire, X86CPU, 0),
        VMSTATE_STRUCT_ARRAY(env.fpregs, X86CPU, 8, 0, vmstate_fpreg, FpReg),
        VMSTATE_STRUCT_ARRAY(env.segs, X86CPU, 6, 0, vmstate_segment, SegmentCache),
        VMSTATE_STRUCT(env.ldt, X86CPU, 0, vmstate_segment, SegmentCache),
        VMSTATE_STRUCT(env.tr, X86CPU, 0, vmstate_segment, SegmentCache),
        VMSTATE_STRUCT(env.gdt, X86CPU, 0, vmstate_segment, SegmentCache),
        VMSTATE_STRUCT(env.idt, X86CPU, 0, vmstate_segment, SegmentCache),
        VMSTATE_UINT32(env.sysenter_cs, X86CPU),
        VMSTATE_UINT64(env.sysenter_esp, X86CPU),
        VMSTATE_UINT64(env.sysenter_eip, X86CPU),
        VMSTATE_UINT64(env.cr[0], X86CPU),
        VMSTATE_UINT64(env.cr[2], X86CPU),
        VMSTATE_UINT64(env.cr[3], X86CPU),
        VMSTATE_UINT64(env.cr[4], X86CPU),
        VMSTATE_UINT64_ARRAY(env.dr, X86CPU, 8),
        VMSTATE_INT32(env.a20_mask, X86CPU),
        VMSTATE_UINT32(env.mxcsr, X86CPU),
        VMSTATE_STRUCT_SUB_ARRAY(env.xmm, X86CPU, 16, 0, vmstate_xmm_reg, XmmReg),
        VMSTATE_UINT64(env.efer, X86CPU),
        VMSTATE_UINT64(env.star, X86CPU),
        VMSTATE_UINT64(env.lstar, X86CPU),
        VMSTATE_UINT64(env.cstar, X86CPU),
        VMSTATE_UINT64(env.fmask, X86CPU),
        VMSTATE_UINT64(env.kernelgsbase, X86CPU),
        VMSTATE_UINT32(env.smbase, X86CPU),
        VMSTATE_UINT64(env.pat, X86CPU),
        VMSTATE_UINT32(env.hflags2, X86CPU),
        VMSTATE_UINT64(env.vm_hsave, X86CPU),
        VMSTATE_UINT64(env.vm_vmcb, X86CPU),
        VMSTATE_UINT64(env.tsc_offset, X86CPU),
        VMSTATE_UINT64(env.intercept, X86CPU),
        VMSTATE_UINT16_V(env.intercept_cr_read, X86CPU, 0),
        VMSTATE_UINT16_V(env.intercept_cr_write, X86CPU, 0),
        VMSTATE_UINT16_V(env.intercept_dr_read, X86CPU, 0),
        VMSTATE_UINT16_V(env.intercept_dr_write, X86CPU, 0),
        VMSTATE_UINT32(env.intercept_exceptions, X86CPU),
        VMSTATE_UINT8(env.v_tpr, X86CPU),
        VMSTATE_UINT64_ARRAY(env.mtrr_fixed, X86CPU, 11),
        VMSTATE_UINT64(env.mtrr_deftype, X86CPU),
        VMSTATE_STRUCT_ARRAY(env.mtrr_var, X86CPU, 8, 0, vmstate_mtrr_var, MtrrVar),
        VMSTATE_INT32(env.interrupt_injected, X86CPU),
        VMSTATE_UINT32(env.mp_state, X86CPU),
        VMSTATE_UINT64(env.tsc, X86CPU),
        VMSTATE_INT32(env.exception_nr, X86CPU),
        VMSTATE_UINT8(env.soft_interrupt, X86CPU),
        VMSTATE_UINT8(env.nmi_injected, X86CPU),
        VMSTATE_UINT8(env.nmi_pending, X86CPU),
        VMSTATE_UINT8(env.has_error_code, X86CPU),
        VMSTATE_UINT32(env.sipi_vector, X86CPU),
        VMSTATE_UINT64(env.mcg_cap, X86CPU),
        VMSTATE_UINT64(env.mcg_status, X86CPU),
        VMSTATE_UINT64(env.mcg_ctl, X86CPU),
        VMSTATE_UINT64_ARRAY(env.mce_banks, X86CPU, X86_MCE_BANKS * 4),
        VMSTATE_UINT64(env.tsc_aux, X86CPU),
        VMSTATE_UINT64(env.system_time_msr, X86CPU),
        VMSTATE_UINT64(env.wall_clock_msr, X86CPU),
        VMSTATE_UINT64_V(env.xcr0, X86CPU, 12),
        VMSTATE_UINT64_V(env.xstate_bv, X86CPU, 12),
        VMSTATE_STRUCT_SUB_ARRAY(env.xmm, X86CPU, 16, 12, vmstate_ymmh_reg, XmmReg),
        VMSTATE_END_OF_LIST()
    },
    .subsections = cpu_subsections,
};

/* ---- section cpu_common ---- */

static bool common_pre_save(void *opaque, Error **errp)
{
    X86CPU *cpu = opaque;

    if (accel && cpu->parent.accel) {
        cpu_synchronize_state(&cpu->parent);
    }
    return true;
}

static bool common_pre_load(void *opaque, Error **errp)
{
    X86CPU *cpu = opaque;

    cpu->env.exception_index = -1;
    cpu->env.crash_occurred = false;
    return true;
}

static bool exception_index_needed(void *opaque)
{
    return interp_enabled() && ((X86CPU *)opaque)->env.exception_index != -1;
}

static const VMStateDescription vmstate_exception_index = {
    .name = "cpu_common/exception_index", .version_id = 1, .minimum_version_id = 1,
    .needed = exception_index_needed,
    .fields = (const VMStateField[]){
        VMSTATE_INT32(env.exception_index, X86CPU),
        VMSTATE_END_OF_LIST()
    },
};

static bool crash_needed(void *opaque)
{
    return ((X86CPU *)opaque)->env.crash_occurred;
}

static const VMStateDescription vmstate_crash = {
    .name = "cpu_common/crash_occurred", .version_id = 1, .minimum_version_id = 1,
    .needed = crash_needed,
    .fields = (const VMStateField[]){
        VMSTATE_BOOL(env.crash_occurred, X86CPU),
        VMSTATE_END_OF_LIST()
    },
};

const VMStateDescription vmstate_x86_cpu_common = {
    .name = "cpu_common",
    .version_id = 1,
    .minimum_version_id = 1,
    .pre_save = common_pre_save,
    .pre_load = common_pre_load,
    .fields = (const VMStateField[]){
        VMSTATE_UINT32(env.halted, X86CPU),
        VMSTATE_UINT32(env.interrupt_request, X86CPU),
        VMSTATE_END_OF_LIST()
    },
    .subsections = (const VMStateDescription *const[]){ &vmstate_exception_index, &vmstate_crash,
                                                        NULL },
};

bool x86_cpu_register_vmstate(X86CPU *cpu, Error **errp)
{
    int index = cpu->parent.index;

    if (!vmstate_register(NULL, index, &vmstate_x86_cpu_common, cpu, errp)) {
        return false;
    }
    if (!vmstate_register(NULL, index, &vmstate_x86_cpu, cpu, errp)) {
        vmstate_unregister(&vmstate_x86_cpu_common, cpu);
        return false;
    }
    return true;
}

void x86_cpu_unregister_vmstate(X86CPU *cpu)
{
    vmstate_unregister(&vmstate_x86_cpu, cpu);
    vmstate_unregister(&vmstate_x86_cpu_common, cpu);
}
