/*
 * The software CPU's accelerator: the execution loop of a vCPU, events between
 * instructions, and registers to and from the CPU object.
 *
 * Threads: interp_exec() and everything it calls run in the vCPU's own thread,
 * without the machine lock; the other operations run under the machine lock with
 * the vCPU stopped (or in its own thread).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "accel/accel.h"
#include "hw/intc/apic.h"
#include "operand.h"
#include "ops.h"
#include "system/clock.h"
#include "system/machine-lock.h"
#include "system/runstate.h"
#include "trace/accel_interp.h"
#include "util/log.h"

#define INSNS_PER_CHECK 256

/* mp_state, KVM numbering */
enum { MP_RUNNABLE, MP_UNINITIALIZED, MP_INIT_RECEIVED, MP_HALTED, MP_SIPI_RECEIVED };

/* ---- state ---- */

void interp_flags_to_env(InterpCPU *c)
{
    c->env->eflags = (c->env->eflags & ~(uint64_t)FL_ARITH) | flags_get(&c->fl) | FL_1;
}
void interp_flags_from_env(InterpCPU *c)
{
    flags_put(&c->fl, (uint32_t)c->env->eflags);
}
uint32_t interp_get_eflags(InterpCPU *c)
{
    interp_flags_to_env(c);
    return (uint32_t)c->env->eflags;
}
void interp_set_eflags(InterpCPU *c, uint32_t val, uint32_t mask)
{
    uint32_t old = interp_get_eflags(c);
    uint32_t new = (old & ~mask) | (val & mask);
    c->env->eflags = (new & ~FL_RF) | FL_1;
    interp_flags_from_env(c);
    if ((old ^ new) & FL_AC && (c->env->cr[4] & CR4_SMAP)) {
        mmu_flush(c);
    }
    if ((old ^ new) & (FL_TF | FL_IF)) {
        c->budget = 0;
    }
}

static uint64_t scaled_clock(const InterpCPU *c)
{
    uint64_t khz = c->env->tsc_khz > 0 ? (uint64_t)c->env->tsc_khz : 1000000;
    return (uint64_t)((unsigned __int128)virtual_clock_ns() * khz / 1000000);
}
uint64_t interp_read_tsc(InterpCPU *c)
{
    return scaled_clock(c) + (uint64_t)c->tsc_base;
}
void interp_write_tsc(InterpCPU *c, uint64_t val)
{
    c->tsc_base = (int64_t)(val - scaled_clock(c));
}

/* The derived flags of the wire format. */
static uint32_t compute_hflags(const InterpCPU *c)
{
    const CPUX86State *env = c->env;
    uint32_t h = c->cpl | (env->interrupt_shadow ? 1 << 3 : 0);
    bool wide = c->mode == CODE_64;
    h |= c->mode != CODE_16 ? 1 << 4 : 0;
    h |= wide || (env->segs[R_SS].flags & DESC_B) ? 1 << 5 : 0;
    if (!wide) {
        bool flat = c->pe && !(env->eflags & FL_VM) && c->mode == CODE_32 &&
                    !env->segs[R_DS].base && !env->segs[R_ES].base && !env->segs[R_SS].base;
        h |= flat ? 0 : 1 << 6;
    }
    h |= c->pe ? 1 << 7 : 0;
    h |= (env->cr[0] & (CR0_MP | CR0_EM | CR0_TS)) << 8;
    h |= env->eflags & (FL_TF | FL_IOPL | FL_VM | FL_AC);
    h |= c->lma ? 1 << 14 : 0;
    h |= wide ? 1 << 15 : 0;
    h |= env->cr[4] & CR4_OSFXSR ? 1 << 22 : 0;
    h |= env->cr[4] & CR4_SMAP ? 1 << 23 : 0;
    return h;
}

static bool waits_for_sipi(const CPUX86State *env)
{
    return env->mp_state == MP_UNINITIALIZED || env->mp_state == MP_INIT_RECEIVED;
}

static bool interp_get_regs(CPUState *cpu, Error **errp)
{
    InterpCPU *c = X86_CPU(cpu)->interp;
    CPUX86State *env = c->env;
    int pending = __atomic_load_n(&c->cpu->interrupt_pending, __ATOMIC_SEQ_CST);

    interp_flags_to_env(c);
    env->hflags = compute_hflags(c);
    env->tsc = interp_read_tsc(c);
    env->nmi_pending = !!(pending & CPU_INT_NMI);
    if (!waits_for_sipi(env)) {
        env->mp_state = env->halted ? MP_HALTED : MP_RUNNABLE;
    }
    env->triple_fault_pending = c->shutdown;
    return true;
}

static bool interp_put_regs(CPUState *cpu, PutLevel level, Error **errp)
{
    InterpCPU *c = X86_CPU(cpu)->interp;
    CPUX86State *env = c->env;

    interp_flags_from_env(c);
    segment_update_all(c);
    mmu_flush(c);
    if (level == PUT_RUNTIME) {
        return true;
    }
    interp_write_tsc(c, env->tsc);
    if (!waits_for_sipi(env)) {
        env->halted = env->mp_state == MP_HALTED;
    }
    if (env->nmi_pending) {
        x86_cpu_interrupt(c->cpu, CPU_INT_NMI);
    }
    c->shutdown = env->triple_fault_pending;
    c->delivering = -1;
    c->delivering_ext = false;
    c->stop = false;
    return true;
}

/* ---- stopping ---- */

void interp_stop(InterpCPU *c, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    g_autofree char *text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    interp_flags_to_env(c);
    error_report("CPU %d at 0x%x:0x%" PRIx64 ": %s; the machine is stopped",
                 c->cpu->parent.index, c->env->segs[R_CS].selector, c->env->eip, text);
    trace_interp_stop(c->cpu->parent.index, c->env->eip);
    c->stop = true;
    vm_stop_request(RUN_STATE_INTERNAL_ERROR);
    g_free(g_steal_pointer(&text));
    leave_insn(c);
}

void op_unknown(InterpCPU *c, const Insn *i)
{
    GString *s = g_string_new(NULL);
    char bytes[16 * 3 + 1] = "";
    for (unsigned k = 0; k < 15; k++) {
        g_string_append_printf(s, "%s%02x", k ? " " : "", i->bytes[k]);
    }
    g_strlcpy(bytes, s->str, MIN((unsigned)i->len * 3, sizeof(bytes)));
    g_string_free(s, TRUE);
    static const uint8_t bits[] = {16, 32, 64};
    interp_stop(c, "the software CPU does not know the instruction %s (%d-bit code)", bytes,
                bits[c->mode]);
}
void op_undefined(InterpCPU *c, const Insn *i)
{
    raise_exception(c, EXC_UD);
}
void op_too_long(InterpCPU *c, const Insn *i)
{
    raise_exception_err(c, EXC_GP, 0);
}

/* ---- events between instructions ---- */

static int pending_interrupts(const InterpCPU *c)
{
    return __atomic_load_n(&c->cpu->interrupt_pending, __ATOMIC_ACQUIRE);
}

static bool interp_has_work(CPUState *cpu)
{
    const InterpCPU *c = X86_CPU(cpu)->interp;
    const CPUX86State *env = c->env;
    int pending = pending_interrupts(c);
    if (c->shutdown) {
        return false;
    }
    if (waits_for_sipi(env)) {
        return pending & (CPU_INT_INIT | CPU_INT_SIPI);
    }
    if (!env->halted || (pending & (CPU_INT_INIT | CPU_INT_SMI))) {
        return true;
    }
    if (env->interrupt_injected >= 0 || env->nmi_injected || env->exception_injected) {
        return true;
    }
    return ((pending & CPU_INT_NMI) && !env->nmi_masked) ||
           ((pending & (CPU_INT_HARD | CPU_INT_POLL)) && (env->eflags & FL_IF));
}

/* Registers were set by INIT or SIPI. */
static void registers_replaced(InterpCPU *c)
{
    interp_flags_from_env(c);
    segment_update_all(c);
    mmu_flush(c);
}

static void take_init_sipi(InterpCPU *c, int pending)
{
    MACHINE_LOCK_GUARD();
    interp_flags_to_env(c);
    if (pending & CPU_INT_INIT) {
        x86_cpu_interrupt_reset(c->cpu, CPU_INT_INIT);
        x86_cpu_do_init(c->cpu);
    } else {
        x86_cpu_interrupt_reset(c->cpu, CPU_INT_SIPI);
        if (waits_for_sipi(c->env)) {
            x86_cpu_do_sipi(c->cpu, (uint8_t)c->cpu->apic->sipi_vector);
        }
    }
    registers_replaced(c);
}

static void deliver_external(InterpCPU *c, int vec)
{
    c->env->halted = 0;
    interrupt_deliver(c, vec, INT_HARDWARE, false, 0);
    c->env->eip = c->next_ip;
}

/* What a KVM host had begun to deliver when the state was saved; true when there was. */
static bool redeliver(InterpCPU *c)
{
    CPUX86State *env = c->env;
    if (env->exception_injected || env->exception_pending) {
        env->exception_injected = env->exception_pending = 0;
        c->exc_vec = env->exception_nr;
        c->exc_has_err = env->has_error_code;
        c->exc_err = env->error_code;
        if (env->exception_has_payload && c->exc_vec == EXC_PF) {
            env->cr[2] = env->exception_payload;
        }
        env->exception_has_payload = 0;
        interrupt_handle_exception(c);
    } else if (env->nmi_injected) {
        env->nmi_injected = 0;
        deliver_external(c, EXC_NMI);
    } else if (env->interrupt_injected >= 0) {
        int vec = env->interrupt_injected;
        env->interrupt_injected = -1;
        deliver_external(c, vec & 0xff);
    } else {
        return false;
    }
    return true;
}

static void take_events(InterpCPU *c, int pending)
{
    CPUX86State *env = c->env;
    if (pending & (CPU_INT_INIT | CPU_INT_SIPI)) {
        take_init_sipi(c, pending);
        return;
    }
    if (pending & CPU_INT_SMI) {
        x86_cpu_interrupt_reset(c->cpu, CPU_INT_SMI);
        log_debug(LOG_UNIMP, "CPU %d: SMI dropped, no SMM here", c->cpu->parent.index);
    }
    if (waits_for_sipi(env) || env->interrupt_shadow) {
        return;
    }
    if ((pending & CPU_INT_NMI) && !env->nmi_masked) {
        x86_cpu_interrupt_reset(c->cpu, CPU_INT_NMI);
        env->nmi_masked = 1;
        deliver_external(c, EXC_NMI);
    } else if ((pending & (CPU_INT_HARD | CPU_INT_POLL)) && (env->eflags & FL_IF)) {
        x86_cpu_interrupt_reset(c->cpu, CPU_INT_POLL);
        int vec = pic_apic_get_interrupt(c->cpu);
        if (vec >= 0) {
            deliver_external(c, vec);
        }
    }
}

/* ---- the loop ---- */

INLINE void step(InterpCPU *c)
{
    CPUX86State *env = c->env;
    uint64_t ip = env->eip;
    if (unlikely(ip > c->cs_limit)) {
        raise_exception_err(c, EXC_GP, 0);
    }
    const Insn *i = decode_fetch(c, (c->cs_base + ip) & c->lin_mask);
    c->next_ip = (ip + i->len) & c->ip_mask;
    i->fn(c, i);
    env->eip = c->next_ip;
}

void interp_run(InterpCPU *c, int budget)
{
    CPUX86State *env = c->env;
    bool trap = env->eflags & FL_TF;
    c->budget = trap || env->interrupt_shadow ? 1 : budget;
    env->interrupt_shadow = 0;
    do {
        step(c);
    } while (--c->budget > 0);
    if (unlikely(trap)) {
        env->dr[6] |= 1 << 14;
        raise_exception(c, EXC_DB);
    }
}

/* True when instructions may be run; else *ret_why says how to leave. */
static bool ready(InterpCPU *c, VcpuExit *ret_why)
{
    CPUState *cpu = &c->cpu->parent;
    *ret_why = VCPU_EXIT_AGAIN;
    if (c->stop) {
        c->stop = false;
        *ret_why = VCPU_EXIT_STOPPED;
        return false;
    }
    if (__atomic_load_n(&cpu->exit_request, __ATOMIC_ACQUIRE)) {
        return false;
    }
    mmu_check_map(c);
    if (unlikely(c->redeliver) && !c->shutdown) {
        c->redeliver = redeliver(c);
    }
    int pending = pending_interrupts(c);
    if (unlikely(pending) && !c->shutdown) {
        take_events(c, pending);
    }
    if (unlikely(c->shutdown || c->env->halted || waits_for_sipi(c->env))) {
        *ret_why = VCPU_EXIT_HALT;
        return false;
    }
    return true;
}

static VcpuExit interp_exec(CPUState *cpu)
{
    InterpCPU *c = X86_CPU(cpu)->interp;
    VcpuExit why;

    c->redeliver = true;
    interp_flags_from_env(c);
    if (sigsetjmp(c->jmp, 0) == 1) {
        interrupt_handle_exception(c);
    }
    while (ready(c, &why)) {
        interp_run(c, INSNS_PER_CHECK);
    }
    interp_flags_to_env(c);
    return why;
}

/* ---- life ---- */

static bool interp_init(GHashTable *options, Error **errp)
{
    GHashTableIter it;
    gpointer key;

    if (!options) {
        return true;
    }
    g_hash_table_iter_init(&it, options);
    if (g_hash_table_iter_next(&it, &key, NULL)) {
        error_setg(errp, "-accel interp has no option '%s'", (const char *)key);
        return false;
    }
    return true;
}

static bool interp_vcpu_init(CPUState *cpu, Error **errp)
{
    X86CPU *x86 = X86_CPU(cpu);
    InterpCPU *c = g_new0(InterpCPU, 1);
    uint32_t eax, ebx, ecx, edx;

    c->cpu = x86;
    c->env = &x86->env;
    c->delivering = -1;
    for (unsigned k = 0; k < ICACHE_SIZE; k++) {
        c->icache[k].mode = CODE_NONE;
    }
    x86_cpuid(x86, 0x80000008, 0, &eax, &ebx, &ecx, &edx);
    unsigned phys_bits = (eax & 0xff) >= 32 && (eax & 0xff) <= 52 ? eax & 0xff : 40;
    c->phys_reserved = 0x000fffffffffffffULL & ~((1ULL << phys_bits) - 1);
    x86_cpuid(x86, 7, 0, &eax, &ebx, &ecx, &edx);
    c->has_bmi1 = ebx & (1 << 3);
    x86_cpuid(x86, 0x80000001, 0, &eax, &ebx, &ecx, &edx);
    c->has_lzcnt = ecx & (1 << 5);
    x86->interp = cpu->accel = c;
    return interp_put_regs(cpu, PUT_FULL, errp);
}

static void interp_vcpu_destroy(CPUState *cpu)
{
    X86CPU *x86 = X86_CPU(cpu);
    g_free(x86->interp);
    x86->interp = cpu->accel = NULL;
}

const AccelOps interp_accel_ops = {
    .name = "interp",
    .alias = "tcg",
    .init = interp_init,
    .vcpu_init = interp_vcpu_init,
    .vcpu_destroy = interp_vcpu_destroy,
    .vcpu_exec = interp_exec,
    .vcpu_has_work = interp_has_work,
    .get_regs = interp_get_regs,
    .put_regs = interp_put_regs,
};
