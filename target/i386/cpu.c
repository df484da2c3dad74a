/*
 * The x86 CPU object: its types, making one, reset, INIT and SIPI.
 *
 * Machine lock, unless a function's comment in the header says otherwise.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "target/i386/cpu.h"

#include <string.h>

#include "accel/accel.h"
#include "cpu-internal.h"
#include "hw/intc/apic.h"
#include "migration/migration.h"
#include "system/machine-lock.h"
#include "system/runstate.h"
#include "topology.h"
#include "util/util.h"

#define MCG_CTL_P (1u << 8)
#define MCG_SER_P (1u << 24)
#define INVTSC_BIT 8
#define PAT_RESET 0x0007040600070406ULL

void x86_cpu_interrupt(X86CPU *cpu, int bits)
{
    __atomic_fetch_or(&cpu->interrupt_pending, bits, __ATOMIC_SEQ_CST);
    if (!cpu_is_self(&cpu->parent)) {
        cpu_kick(&cpu->parent);
    }
}

void x86_cpu_interrupt_reset(X86CPU *cpu, int bits)
{
    __atomic_fetch_and(&cpu->interrupt_pending, ~bits, __ATOMIC_SEQ_CST);
}

uint64_t x86_msr_reset_value(uint32_t index)
{
    switch (index) {
    case 0x1a0: /* IA32_MISC_ENABLE: fast strings */
        return 1;
    case 0x277:
        return PAT_RESET;
    case 0x17b:
        return ~0ULL;
    case 0x9e: /* SMBASE */
        return 0x30000;
    case 0x4b564d05: /* KVM: the host may poll */
        return 1;
    default:
        /* Control registers of the machine check banks. */
        return index >= 0x400 && index < 0x400 + 4 * X86_MCE_BANKS && index % 4 == 0 ? ~0ULL : 0;
    }
}

/* What INIT and power-on have in common. */
static void reset_registers(X86CPU *cpu)
{
    CPUX86State *env = &cpu->env;

    memset(env->regs, 0, sizeof(env->regs));
    env->regs[R_EDX] = cpu->version;
    env->eip = 0xfff0;
    env->eflags = EFLAGS_FIXED;
    for (int i = 0; i < 6; i++) {
        env->segs[i] = (SegmentCache){ .limit = 0xffff,
                                       .flags = DESC_P | DESC_S | DESC_W | DESC_A };
    }
    env->segs[R_CS].selector = 0xf000;
    env->segs[R_CS].base = 0xffff0000;
    env->segs[R_CS].flags |= DESC_CS;
    env->ldt = (SegmentCache){ .limit = 0xffff, .flags = DESC_P | 2u << DESC_TYPE_SHIFT };
    env->tr = (SegmentCache){ .limit = 0xffff, .flags = DESC_P | 11u << DESC_TYPE_SHIFT };
    env->gdt = (SegmentCache){ .limit = 0xffff };
    env->idt = (SegmentCache){ .limit = 0xffff };
    env->cr[0] = CR0_CD | CR0_NW | CR0_ET;
    env->cr[2] = env->cr[3] = env->cr[4] = env->cr8 = 0;
    memset(env->dr, 0, sizeof(env->dr));
    env->dr[6] = 0xffff0ff0;
    env->dr[7] = 0x400;
    env->efer = 0;
    env->hflags &= ~X86_HFLAGS_STATE;
    env->interrupt_shadow = 0;
    env->interrupt_injected = -1;
    env->exception_nr = env->exception_index = -1;
    env->exception_pending = env->exception_injected = env->exception_has_payload = 0;
    env->exception_payload = 0;
    env->has_error_code = env->soft_interrupt = 0;
    env->error_code = 0;
    env->nmi_injected = env->nmi_pending = env->nmi_masked = 0;
    env->triple_fault_pending = 0;
    env->smm = env->smi_pending = env->smm_inside_nmi = 0;
    env->pdptrs_valid = false;
    env->interrupt_request = 0;
    env->crash_occurred = false;
    env->sipi_vector = 0;
    env->a20_mask = -1;
    env->hflags2 = HF2_GIF | HF2_VGIF;
    env->halted = !cpu->is_bsp;
    env->mp_state = cpu->is_bsp ? 0 : 1;
    cpu->interrupt_pending = 0;
    x86_cpu_update_hflags(env);
}

static void reset_fpu(CPUX86State *env)
{
    env->fpuc = 0x37f;
    env->fpus = env->fptag = env->fpstt = env->fpop = 0;
    env->fpip = env->fpdp = 0;
    memset(env->fpregs, 0, sizeof(env->fpregs));
    memset(env->xmm, 0, sizeof(env->xmm));
    memset(env->opmask, 0, sizeof(env->opmask));
    env->mxcsr = 0x1f80;
    env->xcr0 = 1;
    env->xstate_bv = 0;
    env->xss = 0;
    env->pkru = env->pkrs = 0;
}

static void reset_msrs(X86CPU *cpu)
{
    CPUX86State *env = &cpu->env;
    uint64_t mtrr_high = ((1ULL << 52) - 1) & ~((1ULL << x86_cpu_phys_bits(cpu)) - 1);

    env->sysenter_cs = 0;
    env->sysenter_esp = env->sysenter_eip = 0;
    env->star = env->lstar = env->cstar = env->fmask = env->kernelgsbase = 0;
    env->smbase = 0x30000;
    env->pat = PAT_RESET;
    memset(env->mtrr_fixed, 0, sizeof(env->mtrr_fixed));
    env->mtrr_deftype = 0;
    memset(env->mtrr_var, 0, sizeof(env->mtrr_var));
    for (int i = 0; i < 8 && kvm_enabled(); i++) {
        env->mtrr_var[i].mask = mtrr_high;
    }
    env->tsc = env->tsc_aux = env->tsc_adjust = env->tsc_deadline = 0;
    env->system_time_msr = env->wall_clock_msr = 0;
    env->async_pf_en_msr = env->async_pf_int_msr = env->pv_eoi_en_msr = 0;
    env->steal_time_msr = 0;
    env->poll_control_msr = kvm_enabled() ? 1 : 0;
    env->msr_ia32_misc_enable = 1;
    env->msr_ia32_feature_control = 0;
    env->spec_ctrl = env->virt_ssbd = env->msr_smi_count = env->msr_hwcr = 0;
    env->umwait = env->tsx_ctrl = 0;
    env->vm_hsave = env->vm_vmcb = env->tsc_offset = env->intercept = 0;
}

static void reset_mce(CPUX86State *env)
{
    env->mcg_status = env->mcg_ext_ctl = 0;
    env->mcg_ctl = env->mcg_cap & MCG_CTL_P ? ~0ULL : 0;
    memset(env->mce_banks, 0, sizeof(env->mce_banks));
    for (unsigned i = 0; i < X86_MCE_BANKS && i < (env->mcg_cap & 0xff); i++) {
        env->mce_banks[4 * i] = ~0ULL;
    }
}

void x86_cpu_reset(X86CPU *cpu)
{
    reset_registers(cpu);
    reset_fpu(&cpu->env);
    reset_msrs(cpu);
    reset_mce(&cpu->env);
    if (cpu->apic) {
        apic_reset(cpu->apic);
    }
}

void x86_cpu_do_init(X86CPU *cpu)
{
    /* A SIPI that came before this thread got round to the INIT waits on, with its vector. */
    int sipi = __atomic_load_n(&cpu->interrupt_pending, __ATOMIC_SEQ_CST) & CPU_INT_SIPI;
    int32_t vector = cpu->apic ? cpu->apic->sipi_vector : 0;

    reset_registers(cpu);
    if (cpu->apic) {
        apic_init_reset(cpu->apic);
        if (sipi) {
            cpu->apic->sipi_vector = vector;
        }
    }
    __atomic_fetch_or(&cpu->interrupt_pending, sipi, __ATOMIC_SEQ_CST);
}

void x86_cpu_do_sipi(X86CPU *cpu, uint8_t vector)
{
    CPUX86State *env = &cpu->env;

    if (cpu->apic) {
        cpu->apic->wait_for_sipi = 0;
    }
    env->eip = 0;
    env->segs[R_CS].selector = vector << 8;
    env->segs[R_CS].base = (uint64_t)vector << 12;
    env->segs[R_CS].limit = 0xffff;
    env->halted = 0;
    env->mp_state = 0;
}

static void reset_handler(void *opaque)
{
    X86CPU *cpu = opaque;

    x86_cpu_reset(cpu);
    if (cpu->parent.accel && !cpu->parent.regs_valid) {
        cpu->parent.regs_valid = true;
    }
    cpu->parent.regs_dirty = true;
}

/* Model of the type name "MODEL-x86_64-cpu". */
static char *model_of_type(const char *type_name)
{
    return g_strndup(type_name, strlen(type_name) - strlen("-" TYPE_X86_CPU));
}

/*
 * A guest with an invariant TSC may never see its rate change, and on another host it would:
 * unless the rate was given, so that it is the same there.
 */
static bool forbid_migration(const X86CPU *cpu, Error **errp)
{
    static Error *reason;

    if (reason || cpu->tsc_khz_user || !feature_has(cpu, FEAT_8000_0007_EDX, INVTSC_BIT)) {
        return true;
    }
    error_setg(&reason, "State blocked by non-migratable CPU device (invtsc flag)");
    return migrate_add_blocker(&reason, errp);
}

/* Everything that the object is made of, in the order in which failure undoes it. */
static bool cpu_set_up(X86CPU *cpu, const char *options, int index, Error **errp)
{
    CPUX86State *env = &cpu->env;

    cpu->parent.index = index;
    cpu->is_bsp = index == 0;
    x86_topology_place(cpu, index);
    cpu_model_apply(cpu, cpu_model_find(cpu->model));
    if (!x86_cpu_parse_options(cpu, options, errp)) {
        return false;
    }
    if (!forbid_migration(cpu, errp)) {
        return false;
    }
    x86_cpu_build_cpuid(cpu);
    env->tsc_khz = cpu->tsc_khz_user;
    if (feature_has(cpu, FEAT_1_EDX, 7) && feature_has(cpu, FEAT_1_EDX, 14)) {
        env->mcg_cap = MCG_CTL_P | MCG_SER_P | X86_MCE_BANKS;
    }
    if (!x86_cpu_register_vmstate(cpu, errp)) {
        return false;
    }
    cpu->apic = apic_new(cpu, errp);
    if (!cpu->apic) {
        x86_cpu_unregister_vmstate(cpu);
        return false;
    }
    x86_cpu_reset(cpu);
    if (!cpu_start_thread(&cpu->parent, errp)) {
        x86_cpu_unregister_vmstate(cpu);
        apic_free(g_steal_pointer(&cpu->apic));
        return false;
    }
    return true;
}

X86CPU *x86_cpu_create(const char *cpu_option, int index, Error **errp)
{
    const char *text = cpu_option && *cpu_option ? cpu_option : "qemu64";
    size_t len = strcspn(text, ",");
    g_autofree char *model = g_strndup(text, len);
    g_autofree char *type = NULL;
    X86CPU *cpu;

    if (g_str_has_suffix(model, "-" TYPE_X86_CPU)) {
        char *bare = model_of_type(model);

        g_free(model);
        model = bare;
    }
    if (!cpu_model_find(model)) {
        error_setg(errp, "unable to find CPU model '%s'", model);
        return NULL;
    }
    if (!strcmp(model, "host") && !kvm_enabled()) {
        error_setg(errp, "CPU model 'host' requires KVM");
        return NULL;
    }
    type = g_strdup_printf("%s-" TYPE_X86_CPU, model);
    cpu = X86_CPU(object_new(type));
    if (!cpu_set_up(cpu, text[len] ? text + len + 1 : NULL, index, errp)) {
        object_unref(&cpu->parent.obj);
        return NULL;
    }
    cpu->parent.obj.realized = true;
    reset_handler_add(reset_handler, cpu);
    return cpu;
}

static void x86_cpu_init(Object *obj)
{
    X86CPU *cpu = X86_CPU(obj);

    cpu->model = model_of_type(obj->type->name);
    cpu->migratable = true;
}

static void x86_cpu_finalize(Object *obj)
{
    X86CPU *cpu = X86_CPU(obj);

    if (cpu->cpuid) {
        g_array_free(cpu->cpuid, true);
    }
    g_free(cpu->model);
}

static const TypeInfo cpu_type = { .name = "cpu", .abstract = true,
                                   .instance_size = sizeof(CPUState) };
TYPE_REGISTER(cpu_type)

static const TypeInfo x86_cpu_type = {
    .name = TYPE_X86_CPU, .parent = "cpu", .abstract = true, .instance_size = sizeof(X86CPU),
    .init = x86_cpu_init, .finalize = x86_cpu_finalize, .props = x86_cpu_props,
};
TYPE_REGISTER(x86_cpu_type)

/* One type a model. */
static void __attribute__((constructor)) register_models(void)
{
    static TypeInfo types[64];
    static char names[64][48];
    int n = 0;

    for (const CPUModelDef *d = cpu_model_defs; d->name; d++, n++) {
        g_assert(n < 64);
        g_snprintf(names[n], sizeof(names[n]), "%s-" TYPE_X86_CPU, d->name);
        types[n] = (TypeInfo){ .name = names[n], .parent = TYPE_X86_CPU, .description = d->desc,
                                .props = d->max_like ? x86_max_cpu_props : NULL };
        type_register(&types[n]);
    }
}

const X86CPUModel *x86_cpu_models(void)
{
    static X86CPUModel list[64];
    static gsize once;

    if (g_once_init_enter(&once)) {
        int n = 0;

        for (const CPUModelDef *d = cpu_model_defs; d->name; d++, n++) {
            list[n] = (X86CPUModel){ .name = d->name, .desc = d->desc,
                                     .migration_safe = !d->max_like, .is_static = d->is_static,
                                     .max_like = d->max_like };
        }
        g_once_init_leave(&once, 1);
    }
    return list;
}
