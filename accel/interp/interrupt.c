/*
 * Exceptions and interrupts of the software CPU: raising, delivery in every mode,
 * double and triple faults, iret.
 *
 * Nothing is committed before the last check and the last push have passed, so a
 * fault during delivery finds the state of the first event.
 *
 * Thread: the vCPU's own.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "operand.h"
#include "system/runstate.h"
#include "trace/accel_interp.h"
#include "util/log.h"

void leave_insn(InterpCPU *c)
{
    siglongjmp(c->jmp, 2);
}
void raise_exception_err(InterpCPU *c, int vec, uint32_t err)
{
    if (c->delivering_ext && vec >= EXC_TS && vec <= EXC_GP) {
        err |= 1;
    }
    c->exc_vec = vec;
    c->exc_err = err;
    c->exc_has_err = true;
    siglongjmp(c->jmp, 1);
}
void raise_exception(InterpCPU *c, int vec)
{
    c->exc_vec = vec;
    c->exc_err = 0;
    c->exc_has_err = false;
    siglongjmp(c->jmp, 1);
}

/* ---- delivery ---- */

/* Where a frame is being pushed. */
typedef struct Frame {
    uint64_t base, sp, mask;
    unsigned size;
    int which; /* TLB of the new privilege */
} Frame;

static void frame_push(InterpCPU *c, Frame *f, uint64_t v)
{
    f->sp -= f->size;
    uint64_t lin = f->base + (f->sp & f->mask);
    lin_store_as(c, c->lma ? lin : (uint32_t)lin, v, f->size, f->which);
}

static uint64_t return_ip(const InterpCPU *c, enum IntKind kind)
{
    return kind == INT_SOFTWARE ? c->next_ip : c->env->eip;
}

static void go_to(InterpCPU *c, uint64_t ip, uint32_t clear_flags)
{
    c->env->eflags &= ~(uint64_t)(clear_flags | FL_TF | FL_RF | FL_VM | FL_NT);
    c->next_ip = ip;
    c->budget = 0;
}

static void deliver_real(InterpCPU *c, int vec, enum IntKind kind)
{
    CPUX86State *env = c->env;
    if ((unsigned)vec * 4 + 3 > env->idt.limit) {
        raise_exception_err(c, EXC_GP, vec * 8 + 2);
    }
    uint64_t ip = lin_load_as(c, env->idt.base + vec * 4, 2, TLB_KERNEL);
    uint16_t cs = (uint16_t)lin_load_as(c, env->idt.base + vec * 4 + 2, 2, TLB_KERNEL);
    Frame f = {c->seg[R_SS].base, env->regs[R_ESP], c->stack_mask, 2, TLB_KERNEL};
    frame_push(c, &f, interp_get_eflags(c));
    frame_push(c, &f, env->segs[R_CS].selector);
    frame_push(c, &f, return_ip(c, kind));
    stack_set(c, f.sp);
    uint64_t nt = env->eflags & FL_NT;
    segment_set_real(c, R_CS, cs);
    go_to(c, ip, FL_IF | FL_AC);
    env->eflags |= nt;
}

/* A gate of the IDT. */
typedef struct Gate {
    uint16_t sel;
    uint64_t offset;
    unsigned type, ist;
} Gate;

static void read_gate(InterpCPU *c, int vec, enum IntKind kind, Gate *g)
{
    unsigned width = c->lma ? 16 : 8;
    uint32_t err = vec * 8 + 2;
    uint64_t at = c->env->idt.base + vec * width;
    if (vec * width + width - 1 > c->env->idt.limit) {
        raise_exception_err(c, EXC_GP, err);
    }
    uint32_t lo = (uint32_t)lin_load_as(c, at, 4, TLB_KERNEL);
    uint32_t hi = (uint32_t)lin_load_as(c, at + 4, 4, TLB_KERNEL);
    g->type = (hi >> 8) & 31;
    g->sel = lo >> 16;
    g->offset = (lo & 0xffff) | (hi & 0xffff0000);
    g->ist = hi & 7;
    bool known = g->type == 14 || g->type == 15;
    if (c->lma) {
        g->offset |= lin_load_as(c, at + 8, 4, TLB_KERNEL) << 32;
    } else {
        known |= g->type == 6 || g->type == 7 || g->type == 5;
    }
    if (!known || (kind == INT_SOFTWARE && ((hi >> DESC_DPL_SHIFT) & 3) < c->cpl)) {
        raise_exception_err(c, EXC_GP, err);
    }
    if (!(hi & DESC_P)) {
        raise_exception_err(c, EXC_NP, err);
    }
    if (g->type == 5) {
        interp_stop(c, "vector %d goes through a task gate, which is not supported", vec);
    }
    if (!(g->type & 8)) {
        g->offset &= 0xffff;
    }
}

/* The code segment of a gate; returns the new privilege level. */
static int check_gate_code(InterpCPU *c, uint16_t sel, uint32_t d[2])
{
    uint32_t err = sel & 0xfffc;
    if (!err) {
        raise_exception_err(c, EXC_GP, 0);
    }
    segment_read_desc(c, sel, d, EXC_GP);
    int dpl = (d[1] >> DESC_DPL_SHIFT) & 3;
    bool code = (d[1] & DESC_S) && (d[1] & DESC_CS);
    if (!code || dpl > c->cpl || (c->lma && (d[1] & (DESC_L | DESC_B)) != DESC_L)) {
        raise_exception_err(c, EXC_GP, err);
    }
    if (!(d[1] & DESC_P)) {
        raise_exception_err(c, EXC_NP, err);
    }
    return d[1] & DESC_C ? c->cpl : dpl;
}

/* Stack of the handler in long mode. */
static uint64_t long_stack(InterpCPU *c, const Gate *g, int cpl)
{
    const SegmentCache *tr = &c->env->tr;
    uint16_t ss;
    uint64_t sp = c->env->regs[R_ESP];
    if (g->ist) {
        unsigned at = 0x24 + (g->ist - 1) * 8;
        if (at + 7 > tr->limit) {
            raise_exception_err(c, EXC_TS, tr->selector & 0xfffc);
        }
        sp = lin_load_as(c, tr->base + at, 8, TLB_KERNEL);
    } else if (cpl < c->cpl) {
        segment_tss_stack(c, cpl, &ss, &sp);
    }
    return sp & ~15ULL;
}

static void deliver_protected(InterpCPU *c, int vec, enum IntKind kind, bool has_err, uint32_t err)
{
    CPUX86State *env = c->env;
    Gate g;
    uint32_t cs[2], ss[2];
    read_gate(c, vec, kind, &g);
    int cpl = check_gate_code(c, g.sel, cs);
    bool inner = cpl < c->cpl;
    uint16_t ss_sel = 0;
    Frame f = {c->seg[R_SS].base, env->regs[R_ESP], c->stack_mask, c->lma ? 8 : g.type & 8 ? 4 : 2,
               cpl == 3 ? TLB_USER : TLB_KERNEL};
    if (env->eflags & FL_VM) {
        interp_stop(c, "interrupt in virtual-8086 mode, which is not supported");
    }
    if (c->lma) {
        f = (Frame){0, long_stack(c, &g, cpl), ~0ULL, 8, f.which};
        ss_sel = (uint16_t)cpl;
    } else if (inner) {
        segment_tss_stack(c, cpl, &ss_sel, &f.sp);
        segment_check_stack(c, ss_sel, cpl, ss, EXC_TS);
        f.base = segment_desc_base(ss);
        f.mask = ss[1] & DESC_B ? 0xffffffff : 0xffff;
    }
    if (c->lma || inner) {
        frame_push(c, &f, env->segs[R_SS].selector);
        frame_push(c, &f, env->regs[R_ESP]);
    }
    frame_push(c, &f, interp_get_eflags(c));
    frame_push(c, &f, env->segs[R_CS].selector);
    frame_push(c, &f, return_ip(c, kind));
    if (has_err) {
        frame_push(c, &f, err);
    }
    segment_mark_accessed(c, g.sel, cs);
    segment_set_from_desc(c, R_CS, (g.sel & ~3) | cpl, cs);
    if (inner && c->lma) {
        segment_null(c, R_SS, ss_sel);
    } else if (inner) {
        segment_mark_accessed(c, ss_sel, ss);
        segment_set_from_desc(c, R_SS, ss_sel, ss);
    }
    if (inner) {
        segment_set_cpl(c, cpl);
    }
    stack_set(c, f.sp);
    go_to(c, g.offset, g.type & 1 ? 0 : FL_IF);
}

void interrupt_deliver(InterpCPU *c, int vec, enum IntKind kind, bool has_err, uint32_t err)
{
    trace_interp_interrupt(c->cpu->parent.index, vec, kind, c->env->segs[R_CS].selector,
                           c->env->eip, c->env->cr[2]);
    c->delivering_ext = kind != INT_SOFTWARE;
    if (c->pe) {
        deliver_protected(c, vec, kind, has_err, err);
    } else {
        deliver_real(c, vec, kind);
    }
    c->delivering_ext = false;
}

static bool is_contributory(int vec)
{
    return vec == EXC_DE || (vec >= EXC_TS && vec <= EXC_GP);
}

void interrupt_handle_exception(InterpCPU *c)
{
    int first = c->delivering, vec = c->exc_vec;
    if (first == EXC_DF) {
        log_debug(LOG_INT, "CPU %d: triple fault at 0x%" PRIx64, c->cpu->parent.index,
                  c->env->eip);
        trace_interp_triple_fault(c->cpu->parent.index, c->env->eip);
        c->delivering = -1;
        c->delivering_ext = false;
        c->shutdown = true;
        system_reset_request(SHUTDOWN_CAUSE_GUEST_RESET);
        leave_insn(c);
    }
    if ((is_contributory(first) && is_contributory(vec)) ||
        (first == EXC_PF && (is_contributory(vec) || vec == EXC_PF))) {
        vec = EXC_DF;
        c->exc_err = 0;
        c->exc_has_err = true;
    }
    c->delivering = vec;
    interrupt_deliver(c, vec, INT_EXCEPTION, c->exc_has_err, c->exc_err);
    c->delivering = -1;
    c->env->eip = c->next_ip;
}

/* ---- iret ---- */

static uint32_t iret_mask(const InterpCPU *c, unsigned size)
{
    uint32_t mask = FL_ARITH | FL_TF | FL_DF | FL_NT | FL_AC | FL_ID;
    if (c->cpl == 0) {
        mask |= FL_IOPL;
    }
    if (!c->pe || c->cpl <= ((c->env->eflags & FL_IOPL) >> 12)) {
        mask |= FL_IF;
    }
    return size == 2 ? mask & 0xffff : mask;
}

static void iret_real(InterpCPU *c, unsigned size)
{
    uint64_t ip = peek(c, 0, size);
    uint16_t cs = (uint16_t)peek(c, size, size);
    uint32_t fl = (uint32_t)peek(c, 2 * size, size);
    if (ip > 0xffff) {
        raise_exception_err(c, EXC_GP, 0);
    }
    stack_release(c, 3 * size);
    segment_set_real(c, R_CS, cs);
    interp_set_eflags(c, fl, iret_mask(c, size));
    c->next_ip = ip;
}

static void iret_protected(InterpCPU *c, unsigned size)
{
    uint32_t d[2];
    uint64_t ip = peek(c, 0, size);
    uint16_t cs = (uint16_t)peek(c, size, size);
    uint32_t fl = (uint32_t)peek(c, 2 * size, size);
    uint32_t mask = iret_mask(c, size);
    if (c->env->eflags & FL_NT) {
        if (c->lma) {
            raise_exception_err(c, EXC_GP, 0);
        }
        interp_stop(c, "return to another task, which is not supported");
    }
    if ((fl & FL_VM) && size == 4 && c->cpl == 0 && !c->lma) {
        interp_stop(c, "entry into virtual-8086 mode, which is not supported");
    }
    far_check_return(c, cs, d);
    if (c->mode == CODE_64 || (cs & 3) > c->cpl) {
        uint64_t sp = peek(c, 3 * size, size);
        uint16_t ss = (uint16_t)peek(c, 4 * size, size);
        far_return_outer(c, cs, d, ip, sp, ss, size);
    } else {
        far_check_ip(c, d, ip);
        stack_release(c, 3 * size);
        segment_mark_accessed(c, cs, d);
        segment_set_from_desc(c, R_CS, cs, d);
        c->next_ip = ip;
    }
    interp_set_eflags(c, fl, mask);
}

void interrupt_iret(InterpCPU *c, unsigned size)
{
    if (c->env->eflags & FL_VM) {
        interp_stop(c, "iret in virtual-8086 mode, which is not supported");
    }
    if (c->pe) {
        iret_protected(c, size);
    } else {
        iret_real(c, size);
    }
    c->env->nmi_masked = 0;
    c->budget = 0;
}
