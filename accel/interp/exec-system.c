/*
 * System instructions of the software CPU: descriptor tables, control and debug
 * registers, MSRs, fast system calls, cpuid, halt.
 *
 * Thread: the vCPU's own; the APIC is reached under the machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "operand.h"
#include "ops.h"
#include "system/machine-lock.h"

void op_nop(InterpCPU *c, const Insn *i)
{
}
void op_fence(InterpCPU *c, const Insn *i)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}
void op_clflush(InterpCPU *c, const Insn *i)
{
    mem_load(c, i->seg, insn_ea(c, i), 1);
}
void op_wbinvd(InterpCPU *c, const Insn *i)
{
    require_cpl0(c);
}
void op_hlt(InterpCPU *c, const Insn *i)
{
    require_cpl0(c);
    c->env->halted = 1;
    c->budget = 0;
}

static unsigned iopl(const InterpCPU *c)
{
    return (c->env->eflags & FL_IOPL) >> 12;
}
void op_cli(InterpCPU *c, const Insn *i)
{
    if (c->pe && c->cpl > iopl(c)) {
        raise_exception_err(c, EXC_GP, 0);
    }
    c->env->eflags &= ~(uint64_t)FL_IF;
}
void op_sti(InterpCPU *c, const Insn *i)
{
    if (c->pe && c->cpl > iopl(c)) {
        raise_exception_err(c, EXC_GP, 0);
    }
    if (!(c->env->eflags & FL_IF)) {
        c->env->eflags |= FL_IF;
        c->env->interrupt_shadow = 1;
        c->budget = 0;
    }
}

/* ---- segment registers and tables ---- */

void op_mov_from_seg(InterpCPU *c, const Insn *i)
{
    if ((i->raw_modrm >> 3 & 7) > R_GS) {
        raise_exception(c, EXC_UD);
    }
    rm_store(c, i, c->env->segs[i->reg & 7].selector, i->mod3 ? i->size : 2);
}
void op_mov_to_seg(InterpCPU *c, const Insn *i)
{
    int seg = i->reg & 7;
    if (seg > R_GS || seg == R_CS) {
        raise_exception(c, EXC_UD);
    }
    segment_load(c, seg, (uint16_t)rm_load(c, i, 2));
    if (seg == R_SS) {
        c->env->interrupt_shadow = 1;
        c->budget = 0;
    }
}

static void need_protected(InterpCPU *c)
{
    if (!c->pe || (c->env->eflags & FL_VM)) {
        raise_exception(c, EXC_UD);
    }
}
void op_sldt(InterpCPU *c, const Insn *i)
{
    need_protected(c);
    rm_store(c, i, c->env->ldt.selector, i->mod3 ? i->size : 2);
}
void op_str(InterpCPU *c, const Insn *i)
{
    need_protected(c);
    rm_store(c, i, c->env->tr.selector, i->mod3 ? i->size : 2);
}
void op_lldt(InterpCPU *c, const Insn *i)
{
    need_protected(c);
    require_cpl0(c);
    segment_load_ldt(c, (uint16_t)rm_load(c, i, 2));
}
void op_ltr(InterpCPU *c, const Insn *i)
{
    need_protected(c);
    require_cpl0(c);
    segment_load_tr(c, (uint16_t)rm_load(c, i, 2));
}

static void store_table(InterpCPU *c, const Insn *i, const SegmentCache *t)
{
    uint64_t ea = insn_ea(c, i);
    unsigned n = c->mode == CODE_64 ? 8 : 4;
    mem_store(c, i->seg, ea, t->limit, 2);
    mem_store(c, i->seg, addr_mask(ea + 2, i->asize), t->base, n);
}
static void load_table(InterpCPU *c, const Insn *i, SegmentCache *t)
{
    require_cpl0(c);
    uint64_t ea = insn_ea(c, i);
    unsigned n = c->mode == CODE_64 ? 8 : 4;
    uint32_t limit = (uint32_t)mem_load(c, i->seg, ea, 2);
    uint64_t base = mem_load(c, i->seg, addr_mask(ea + 2, i->asize), n);
    if (i->size == 2 && n == 4) {
        base &= 0xffffff;
    }
    t->limit = limit;
    t->base = base;
}
void op_sgdt(InterpCPU *c, const Insn *i)
{
    store_table(c, i, &c->env->gdt);
}
void op_sidt(InterpCPU *c, const Insn *i)
{
    store_table(c, i, &c->env->idt);
}
void op_lgdt(InterpCPU *c, const Insn *i)
{
    load_table(c, i, &c->env->gdt);
}
void op_lidt(InterpCPU *c, const Insn *i)
{
    load_table(c, i, &c->env->idt);
}

/* Descriptor of a selector as lar, lsl, verr and verw see it; false: not visible. */
static bool visible_desc(InterpCPU *c, uint16_t sel, uint32_t d[2])
{
    if (!(sel & 0xfffc) || !segment_peek_desc(c, sel, d)) {
        return false;
    }
    int dpl = (d[1] >> DESC_DPL_SHIFT) & 3;
    bool conforming = (d[1] & DESC_S) && (d[1] & DESC_CS) && (d[1] & DESC_C);
    return conforming || (dpl >= c->cpl && dpl >= (sel & 3));
}
static void put_zf(InterpCPU *c, bool zf)
{
    flags_put(&c->fl, (flags_get(&c->fl) & ~FL_ZF) | (zf ? FL_ZF : 0));
}
void op_lar(InterpCPU *c, const Insn *i)
{
    uint32_t d[2];
    need_protected(c);
    bool ok = visible_desc(c, (uint16_t)rm_load(c, i, 2), d);
    unsigned type = ok ? (d[1] >> DESC_TYPE_SHIFT) & 15 : 0;
    if (ok && !(d[1] & DESC_S)) { /* which system types lar knows */
        ok = (c->lma ? 0x1a04 : 0x1a3e) >> type & 1;
    }
    if (ok) {
        reg_set(c, i->reg, d[1] & 0xffff00, i->size);
    }
    put_zf(c, ok);
}
void op_lsl(InterpCPU *c, const Insn *i)
{
    uint32_t d[2];
    need_protected(c);
    bool ok = visible_desc(c, (uint16_t)rm_load(c, i, 2), d);
    if (ok && !(d[1] & DESC_S)) {
        ok = (c->lma ? 0x0a04 : 0x0a0e) >> ((d[1] >> DESC_TYPE_SHIFT) & 15) & 1;
    }
    if (ok) {
        reg_set(c, i->reg, segment_desc_limit(d), i->size);
    }
    put_zf(c, ok);
}
void op_verr(InterpCPU *c, const Insn *i)
{
    uint32_t d[2];
    need_protected(c);
    bool ok = visible_desc(c, (uint16_t)rm_load(c, i, 2), d) && (d[1] & DESC_S);
    put_zf(c, ok && (!(d[1] & DESC_CS) || (d[1] & DESC_R)));
}
void op_verw(InterpCPU *c, const Insn *i)
{
    uint32_t d[2];
    need_protected(c);
    bool ok = visible_desc(c, (uint16_t)rm_load(c, i, 2), d) && (d[1] & DESC_S);
    put_zf(c, ok && !(d[1] & DESC_CS) && (d[1] & DESC_W));
}
void op_arpl(InterpCPU *c, const Insn *i)
{
    need_protected(c);
    uint64_t dst = rm_load(c, i, 2), src = reg_get(c, i->reg, 2);
    bool lower = (dst & 3) < (src & 3);
    if (lower) {
        rm_store(c, i, (dst & ~3ULL) | (src & 3), 2);
    }
    put_zf(c, lower);
}

/* ---- control and debug registers ---- */

void op_smsw(InterpCPU *c, const Insn *i)
{
    rm_store(c, i, c->env->cr[0], i->mod3 ? i->size : 2);
}
void op_lmsw(InterpCPU *c, const Insn *i)
{
    require_cpl0(c);
    uint64_t v = rm_load(c, i, 2), old = c->env->cr[0];
    uint64_t pe = (old | v) & CR0_PE; /* can be set only */
    control_write_cr0(c, (old & ~0xfULL) | (v & 0xe) | pe);
}
void op_clts(InterpCPU *c, const Insn *i)
{
    require_cpl0(c);
    c->env->cr[0] &= ~(uint64_t)CR0_TS;
}
void op_invlpg(InterpCPU *c, const Insn *i)
{
    require_cpl0(c);
    mmu_flush_page(c, (c->seg[i->seg].base + insn_ea(c, i)) & c->lin_mask);
}

static unsigned cr_size(const InterpCPU *c)
{
    return c->mode == CODE_64 ? 8 : 4;
}
void op_mov_from_cr(InterpCPU *c, const Insn *i)
{
    require_cpl0(c);
    uint64_t v = 0;
    unsigned nr = i->reg;
    if (nr == 0 || (nr >= 2 && nr <= 4)) {
        v = c->env->cr[nr];
    } else if (nr == 8) {
        MACHINE_LOCK_GUARD();
        v = apic_get_tpr(c->cpu);
    } else {
        raise_exception(c, EXC_UD);
    }
    reg_set(c, i->rm, v, cr_size(c));
}
static void write_tpr(InterpCPU *c, uint64_t v)
{
    if (v & ~15ULL) {
        raise_exception_err(c, EXC_GP, 0);
    }
    MACHINE_LOCK_GUARD();
    apic_set_tpr(c->cpu, (uint8_t)v);
    c->env->cr8 = v;
    c->budget = 0;
}
void op_mov_to_cr(InterpCPU *c, const Insn *i)
{
    require_cpl0(c);
    uint64_t v = reg_get(c, i->rm, cr_size(c));
    switch (i->reg) {
    case 0:
        control_write_cr0(c, v);
        break;
    case 2:
        c->env->cr[2] = v;
        break;
    case 3:
        control_write_cr3(c, v);
        break;
    case 4:
        control_write_cr4(c, v);
        break;
    case 8:
        write_tpr(c, v);
        break;
    default:
        raise_exception(c, EXC_UD);
    }
}

/* 4 and 5 are other names of 6 and 7, unless debugging extensions are on. */
static unsigned debug_register(InterpCPU *c, const Insn *i)
{
    unsigned nr = i->reg;
    if (nr > 7 || ((nr == 4 || nr == 5) && (c->env->cr[4] & CR4_DE))) {
        raise_exception(c, EXC_UD);
    }
    return nr == 4 || nr == 5 ? nr + 2 : nr;
}
void op_mov_from_dr(InterpCPU *c, const Insn *i)
{
    require_cpl0(c);
    reg_set(c, i->rm, c->env->dr[debug_register(c, i)], cr_size(c));
}
void op_mov_to_dr(InterpCPU *c, const Insn *i)
{
    require_cpl0(c);
    unsigned nr = debug_register(c, i);
    uint64_t v = reg_get(c, i->rm, cr_size(c));
    if (nr >= 6 && v >> 32) {
        raise_exception_err(c, EXC_GP, 0);
    }
    if (nr == 6) {
        v = (v & 0xe00f) | 0xffff0ff0;
    } else if (nr == 7) {
        v = (v & 0xffff2bff) | 0x400;
        if (v & 0xff) {
            interp_stop(c, "hardware breakpoints (DR7 0x%" PRIx64 ") are not supported", v);
        }
    }
    c->env->dr[nr] = v;
}

/* ---- MSRs, time, identity ---- */

static uint64_t edx_eax(const InterpCPU *c)
{
    return (uint32_t)c->env->regs[R_EAX] | c->env->regs[R_EDX] << 32;
}
static void put_edx_eax(InterpCPU *c, uint64_t v)
{
    c->env->regs[R_EAX] = (uint32_t)v;
    c->env->regs[R_EDX] = v >> 32;
}
void op_rdmsr(InterpCPU *c, const Insn *i)
{
    uint64_t v;
    require_cpl0(c);
    if (!msr_read(c, (uint32_t)c->env->regs[R_ECX], &v)) {
        raise_exception_err(c, EXC_GP, 0);
    }
    put_edx_eax(c, v);
}
void op_wrmsr(InterpCPU *c, const Insn *i)
{
    require_cpl0(c);
    if (!msr_write(c, (uint32_t)c->env->regs[R_ECX], edx_eax(c))) {
        raise_exception_err(c, EXC_GP, 0);
    }
}
static void check_tsc(InterpCPU *c)
{
    if ((c->env->cr[4] & CR4_TSD) && c->cpl != 0) {
        raise_exception_err(c, EXC_GP, 0);
    }
}
void op_rdtsc(InterpCPU *c, const Insn *i)
{
    check_tsc(c);
    put_edx_eax(c, interp_read_tsc(c));
}
static void rdtscp(InterpCPU *c)
{
    check_tsc(c);
    put_edx_eax(c, interp_read_tsc(c));
    c->env->regs[R_ECX] = (uint32_t)c->env->tsc_aux;
}
void op_rdpmc(InterpCPU *c, const Insn *i)
{
    raise_exception_err(c, EXC_GP, 0); /* no counter exists */
}
void op_cpuid(InterpCPU *c, const Insn *i)
{
    uint32_t r[4];
    uint64_t *regs = c->env->regs;
    x86_cpuid(c->cpu, (uint32_t)regs[R_EAX], (uint32_t)regs[R_ECX], &r[0], &r[1], &r[2], &r[3]);
    regs[R_EAX] = r[0];
    regs[R_EBX] = r[1];
    regs[R_ECX] = r[2];
    regs[R_EDX] = r[3];
}

/* Does a CPUID leaf have a bit?  reg: 0 eax .. 3 edx. */
static bool has_feature(InterpCPU *c, uint32_t leaf, int reg, int bit)
{
    uint32_t r[4];
    x86_cpuid(c->cpu, leaf, 0, &r[0], &r[1], &r[2], &r[3]);
    return r[reg] >> bit & 1;
}

/* No hardware random source is offered; where the model says so it is an omission. */
static void random_number(InterpCPU *c, const Insn *i, bool announced)
{
    if (announced) {
        op_unknown(c, i);
    }
    raise_exception(c, EXC_UD);
}
void op_rdrand(InterpCPU *c, const Insn *i)
{
    random_number(c, i, has_feature(c, 1, 2, 30));
}
void op_rdseed(InterpCPU *c, const Insn *i)
{
    if (i->rep == 0xf3) { /* rdpid */
        reg_set(c, i->rm, c->env->tsc_aux, c->mode == CODE_64 ? 8 : 4);
        return;
    }
    random_number(c, i, has_feature(c, 7, 1, 18));
}

/* ---- 0F 01 with mod 3 ---- */

/* vmcall and its kin: no hypervisor answers here */
void op_0f01_0(InterpCPU *c, const Insn *i)
{
    raise_exception(c, EXC_UD);
}
void op_0f01_1(InterpCPU *c, const Insn *i)
{
    if ((i->raw_modrm & 6) != 2) { /* monitor, mwait */
        op_unknown(c, i);
    }
    require_cpl0(c);
    uint32_t ac = i->raw_modrm & 1 ? FL_AC : 0; /* stac, clac */
    interp_set_eflags(c, ac, FL_AC);
}

static void check_osxsave(InterpCPU *c)
{
    if (!(c->env->cr[4] & CR4_OSXSAVE)) {
        raise_exception(c, EXC_UD);
    }
    if ((uint32_t)c->env->regs[R_ECX] != 0) {
        raise_exception_err(c, EXC_GP, 0);
    }
}
void op_0f01_2(InterpCPU *c, const Insn *i)
{
    unsigned which = i->raw_modrm & 7;
    if (which > 1) {
        raise_exception(c, EXC_UD);
    }
    check_osxsave(c);
    if (which == 0) {
        put_edx_eax(c, c->env->xcr0);
        return;
    }
    require_cpl0(c);
    uint32_t allowed, ebx, ecx, edx;
    x86_cpuid(c->cpu, 0xd, 0, &allowed, &ebx, &ecx, &edx);
    uint64_t v = edx_eax(c);
    if (!(v & 1) || (v & ~((uint64_t)edx << 32 | allowed)) || ((v & 4) && !(v & 2))) {
        raise_exception_err(c, EXC_GP, 0);
    }
    c->env->xcr0 = v;
}

static void swapgs(InterpCPU *c)
{
    SegmentCache *gs = &c->env->segs[R_GS];
    uint64_t t = c->env->kernelgsbase;
    if (c->mode != CODE_64) {
        raise_exception(c, EXC_UD);
    }
    require_cpl0(c);
    c->env->kernelgsbase = gs->base;
    segment_set(c, R_GS, gs->selector, t, gs->limit, gs->flags);
}
void op_0f01_7(InterpCPU *c, const Insn *i)
{
    switch (i->raw_modrm & 7) {
    case 0:
        swapgs(c);
        break;
    case 1:
        rdtscp(c);
        break;
    default:
        op_unknown(c, i);
    }
}

/* ---- fs and gs base ---- */

static void check_fsgsbase(InterpCPU *c)
{
    if (!(c->env->cr[4] & CR4_FSGSBASE)) {
        raise_exception(c, EXC_UD);
    }
}
static void write_base(InterpCPU *c, const Insn *i, int seg)
{
    SegmentCache *s = &c->env->segs[seg];
    uint64_t v = reg_get(c, i->rm, i->size);
    check_fsgsbase(c);
    if ((uint64_t)((int64_t)(v << 16) >> 16) != v) {
        raise_exception_err(c, EXC_GP, 0);
    }
    segment_set(c, seg, s->selector, v, s->limit, s->flags);
}
void op_rdfsbase(InterpCPU *c, const Insn *i)
{
    check_fsgsbase(c);
    reg_set(c, i->rm, c->env->segs[R_FS].base, i->size);
}
void op_rdgsbase(InterpCPU *c, const Insn *i)
{
    check_fsgsbase(c);
    reg_set(c, i->rm, c->env->segs[R_GS].base, i->size);
}
void op_wrfsbase(InterpCPU *c, const Insn *i)
{
    write_base(c, i, R_FS);
}
void op_wrgsbase(InterpCPU *c, const Insn *i)
{
    write_base(c, i, R_GS);
}

/* ---- fast system calls ---- */

/* A flat segment that is not read from a table. */
static void flat_segment(InterpCPU *c, int seg, uint16_t sel, int dpl, uint32_t more)
{
    uint32_t flags = DESC_G | DESC_P | DESC_S | DESC_A | DESC_W | (uint32_t)dpl << DESC_DPL_SHIFT;
    segment_set(c, seg, sel, 0, 0xffffffff, flags | more);
}

void op_syscall(InterpCPU *c, const Insn *i)
{
    CPUX86State *env = c->env;
    uint16_t sel = (env->star >> 32) & 0xfffc;
    if (!(env->efer & EFER_SCE) || !c->pe) {
        raise_exception(c, EXC_UD);
    }
    if (c->lma) {
        bool wide = c->mode == CODE_64;
        uint32_t fl = interp_get_eflags(c) & ~FL_RF;
        env->regs[R_ECX] = c->next_ip;
        env->regs[R_R11] = fl;
        c->next_ip = wide ? env->lstar : env->cstar;
        interp_set_eflags(c, 0, (uint32_t)env->fmask | FL_RF);
        flat_segment(c, R_CS, sel, 0, DESC_CS | DESC_L);
    } else {
        env->regs[R_ECX] = (uint32_t)c->next_ip;
        c->next_ip = (uint32_t)env->star;
        interp_set_eflags(c, 0, FL_IF | FL_RF | FL_VM);
        flat_segment(c, R_CS, sel, 0, DESC_CS | DESC_B);
    }
    flat_segment(c, R_SS, sel + 8, 0, DESC_B);
    segment_set_cpl(c, 0);
    c->budget = 0;
}

void op_sysret(InterpCPU *c, const Insn *i)
{
    CPUX86State *env = c->env;
    uint16_t sel = (env->star >> 48) & 0xffff;
    if (!(env->efer & EFER_SCE) || !c->pe) {
        raise_exception(c, EXC_UD);
    }
    require_cpl0(c);
    bool wide = c->lma && (i->prefix & P_REXW);
    uint64_t ip = wide ? env->regs[R_ECX] : (uint32_t)env->regs[R_ECX];
    if ((uint64_t)((int64_t)(ip << 16) >> 16) != ip) {
        raise_exception_err(c, EXC_GP, 0);
    }
    if (c->lma) {
        interp_set_eflags(c, (uint32_t)env->regs[R_R11],
                          FL_ARITH | FL_TF | FL_IF | FL_DF | FL_IOPL | FL_NT | FL_AC | FL_ID);
    } else {
        interp_set_eflags(c, FL_IF, FL_IF);
    }
    flat_segment(c, R_CS, (wide ? sel + 16 : sel) | 3, 3, DESC_CS | (wide ? DESC_L : DESC_B));
    flat_segment(c, R_SS, (sel + 8) | 3, 3, DESC_B);
    segment_set_cpl(c, 3);
    c->next_ip = ip;
    c->budget = 0;
}

void op_sysenter(InterpCPU *c, const Insn *i)
{
    CPUX86State *env = c->env;
    uint16_t sel = env->sysenter_cs & 0xfffc;
    if (!c->pe || !sel) {
        raise_exception_err(c, EXC_GP, 0);
    }
    interp_set_eflags(c, 0, FL_IF | FL_RF | FL_VM);
    flat_segment(c, R_CS, sel, 0, DESC_CS | (c->lma ? DESC_L : DESC_B));
    flat_segment(c, R_SS, sel + 8, 0, DESC_B);
    segment_set_cpl(c, 0);
    env->regs[R_ESP] = c->lma ? env->sysenter_esp : (uint32_t)env->sysenter_esp;
    c->next_ip = c->lma ? env->sysenter_eip : (uint32_t)env->sysenter_eip;
    c->budget = 0;
}

void op_sysexit(InterpCPU *c, const Insn *i)
{
    CPUX86State *env = c->env;
    uint16_t sel = env->sysenter_cs & 0xfffc;
    bool wide = c->lma && (i->prefix & P_REXW);
    if (!c->pe || !sel || c->cpl != 0) {
        raise_exception_err(c, EXC_GP, 0);
    }
    uint64_t ip = wide ? env->regs[R_EDX] : (uint32_t)env->regs[R_EDX];
    uint64_t sp = wide ? env->regs[R_ECX] : (uint32_t)env->regs[R_ECX];
    flat_segment(c, R_CS, (sel + (wide ? 32 : 16)) | 3, 3, DESC_CS | (wide ? DESC_L : DESC_B));
    flat_segment(c, R_SS, (sel + (wide ? 40 : 24)) | 3, 3, DESC_B);
    segment_set_cpl(c, 3);
    env->regs[R_ESP] = sp;
    c->next_ip = ip;
    c->budget = 0;
}
