/*
 * Far jumps, calls and returns of the software CPU, call gates included.
 *
 * Thread: the vCPU's own.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "operand.h"

static bool is_real(const InterpCPU *c)
{
    return !c->pe || (c->env->eflags & FL_VM);
}
static int desc_dpl(const uint32_t d[2])
{
    return (d[1] >> DESC_DPL_SHIFT) & 3;
}
static bool is_code(const uint32_t d[2])
{
    return (d[1] & DESC_S) && (d[1] & DESC_CS);
}

void far_check_ip(InterpCPU *c, const uint32_t d[2], uint64_t ip)
{
    bool wide = c->lma && (d[1] & DESC_L);
    if (wide ? (uint64_t)((int64_t)(ip << 16) >> 16) != ip : ip > segment_desc_limit(d)) {
        raise_exception_err(c, EXC_GP, 0);
    }
}

static void check_present(InterpCPU *c, uint16_t sel, const uint32_t d[2])
{
    if (!(d[1] & DESC_P)) {
        raise_exception_err(c, EXC_NP, sel & 0xfffc);
    }
    if (c->lma && (d[1] & DESC_L) && (d[1] & DESC_B)) {
        raise_exception_err(c, EXC_GP, sel & 0xfffc);
    }
}

/* ---- jump and call ---- */

/* Checks of a direct transfer to a code segment of the same privilege. */
static void check_direct(InterpCPU *c, uint16_t sel, const uint32_t d[2])
{
    int dpl = desc_dpl(d);
    bool ok = d[1] & DESC_C ? dpl <= c->cpl : (sel & 3) <= c->cpl && dpl == c->cpl;
    if (!ok) {
        raise_exception_err(c, EXC_GP, sel & 0xfffc);
    }
    check_present(c, sel, d);
}

static void set_cs(InterpCPU *c, uint16_t sel, uint32_t d[2], int cpl, uint64_t ip)
{
    segment_mark_accessed(c, sel, d);
    segment_set_from_desc(c, R_CS, (sel & ~3) | cpl, d);
    c->next_ip = ip & c->ip_mask;
}

/* A call gate, followed to its code segment. */
typedef struct CallGate {
    uint16_t sel;
    uint64_t offset;
    unsigned size, params;
    uint32_t code[2];
} CallGate;

static void read_call_gate(InterpCPU *c, uint16_t sel, const uint32_t d[2], CallGate *g)
{
    unsigned type = (d[1] >> DESC_TYPE_SHIFT) & 15;
    uint32_t err = sel & 0xfffc, high[2] = {0, 0};
    if (!c->lma && (type == 1 || type == 3 || type == 5 || type == 9 || type == 11)) {
        interp_stop(c, "task switch through selector 0x%x, which is not supported", sel);
    }
    if ((d[1] & DESC_S) || !(type == 12 || (type == 4 && !c->lma)) || desc_dpl(d) < c->cpl ||
        desc_dpl(d) < (sel & 3)) {
        raise_exception_err(c, EXC_GP, err);
    }
    if (!(d[1] & DESC_P)) {
        raise_exception_err(c, EXC_NP, err);
    }
    g->sel = d[0] >> 16;
    g->offset = (d[0] & 0xffff) | (type == 12 ? d[1] & 0xffff0000 : 0);
    g->params = c->lma ? 0 : d[1] & 31;
    g->size = c->lma ? 8 : type == 12 ? 4 : 2;
    if (c->lma) {
        segment_read_desc(c, sel + 8, high, EXC_GP);
        g->offset |= (uint64_t)high[0] << 32;
    }
    if (!(g->sel & 0xfffc)) {
        raise_exception_err(c, EXC_GP, 0);
    }
    segment_read_desc(c, g->sel, g->code, EXC_GP);
    if (!is_code(g->code) || desc_dpl(g->code) > c->cpl ||
        (c->lma && (g->code[1] & (DESC_L | DESC_B)) != DESC_L)) {
        raise_exception_err(c, EXC_GP, g->sel & 0xfffc);
    }
    check_present(c, g->sel, g->code);
}

void far_jump(InterpCPU *c, uint16_t sel, uint64_t off, unsigned size)
{
    uint32_t d[2];
    c->budget = 0;
    if (is_real(c)) {
        if (off > 0xffff && off > c->cs_limit) {
            raise_exception_err(c, EXC_GP, 0);
        }
        segment_set_real(c, R_CS, sel);
        c->next_ip = off;
        return;
    }
    if (!(sel & 0xfffc)) {
        raise_exception_err(c, EXC_GP, 0);
    }
    segment_read_desc(c, sel, d, EXC_GP);
    if (is_code(d)) {
        check_direct(c, sel, d);
        far_check_ip(c, d, off);
        set_cs(c, sel, d, c->cpl, off);
        return;
    }
    CallGate g;
    read_call_gate(c, sel, d, &g);
    if (!(g.code[1] & DESC_C) && desc_dpl(g.code) != c->cpl) {
        raise_exception_err(c, EXC_GP, g.sel & 0xfffc);
    }
    far_check_ip(c, g.code, g.offset);
    set_cs(c, g.sel, g.code, c->cpl, g.offset);
}

/* Call through a gate to an inner ring: new stack, parameters copied. */
static void call_inner(InterpCPU *c, CallGate *g)
{
    CPUX86State *env = c->env;
    int cpl = desc_dpl(g->code), which = TLB_KERNEL;
    uint32_t ss[2] = {0, 0};
    uint16_t ss_sel;
    uint64_t sp, base = 0, mask = ~0ULL, params[32];
    segment_tss_stack(c, cpl, &ss_sel, &sp);
    if (!c->lma) {
        segment_check_stack(c, ss_sel, cpl, ss, EXC_TS);
        base = segment_desc_base(ss);
        mask = ss[1] & DESC_B ? 0xffffffff : 0xffff;
    }
    for (unsigned k = 0; k < g->params; k++) {
        params[k] = peek(c, k * g->size, g->size);
    }
    uint64_t words[36];
    unsigned n = 0;
    words[n++] = env->segs[R_SS].selector;
    words[n++] = env->regs[R_ESP];
    for (unsigned k = g->params; k-- > 0;) {
        words[n++] = params[k];
    }
    words[n++] = env->segs[R_CS].selector;
    words[n++] = c->next_ip;
    for (unsigned k = 0; k < n; k++) {
        sp -= g->size;
        lin_store_as(c, base + (sp & mask), words[k], g->size, which);
    }
    set_cs(c, g->sel, g->code, cpl, g->offset);
    if (c->lma) {
        segment_null(c, R_SS, ss_sel);
    } else {
        segment_mark_accessed(c, ss_sel, ss);
        segment_set_from_desc(c, R_SS, ss_sel, ss);
    }
    segment_set_cpl(c, cpl);
    stack_set(c, sp);
}

/* Push CS and the return address at the current privilege. */
static void push_return(InterpCPU *c, unsigned size)
{
    uint64_t sp = c->env->regs[R_ESP];
    mem_store(c, R_SS, (sp - size) & c->stack_mask, c->env->segs[R_CS].selector, size);
    mem_store(c, R_SS, (sp - 2 * size) & c->stack_mask, c->next_ip, size);
    stack_set(c, sp - 2 * size);
}

void far_call(InterpCPU *c, uint16_t sel, uint64_t off, unsigned size)
{
    uint32_t d[2];
    c->budget = 0;
    if (is_real(c)) {
        push_return(c, size);
        segment_set_real(c, R_CS, sel);
        c->next_ip = off;
        return;
    }
    if (!(sel & 0xfffc)) {
        raise_exception_err(c, EXC_GP, 0);
    }
    segment_read_desc(c, sel, d, EXC_GP);
    if (is_code(d)) {
        check_direct(c, sel, d);
        far_check_ip(c, d, off);
        push_return(c, size);
        set_cs(c, sel, d, c->cpl, off);
        return;
    }
    CallGate g;
    read_call_gate(c, sel, d, &g);
    far_check_ip(c, g.code, g.offset);
    if (!(g.code[1] & DESC_C) && desc_dpl(g.code) < c->cpl) {
        call_inner(c, &g);
    } else {
        push_return(c, g.size);
        set_cs(c, g.sel, g.code, c->cpl, g.offset);
    }
}

/* ---- return ---- */

void far_check_return(InterpCPU *c, uint16_t cs, uint32_t d[2])
{
    uint32_t err = cs & 0xfffc;
    int rpl = cs & 3;
    if (!err) {
        raise_exception_err(c, EXC_GP, 0);
    }
    segment_read_desc(c, cs, d, EXC_GP);
    bool dpl_ok = d[1] & DESC_C ? desc_dpl(d) <= rpl : desc_dpl(d) == rpl;
    if (!is_code(d) || rpl < c->cpl || !dpl_ok) {
        raise_exception_err(c, EXC_GP, err);
    }
    check_present(c, cs, d);
}

void far_return_outer(InterpCPU *c, uint16_t cs, uint32_t d[2], uint64_t ip, uint64_t sp,
                      uint16_t ss, unsigned size)
{
    uint32_t sd[2];
    int cpl = cs & 3;
    bool outer = cpl > c->cpl;
    bool wide = c->lma && (d[1] & DESC_L);
    bool null_ss = !(ss & 0xfffc) && wide && cpl != 3 && (ss & 3) == cpl;
    far_check_ip(c, d, ip);
    if (!null_ss) {
        segment_check_stack(c, ss, cpl, sd, EXC_GP);
        segment_mark_accessed(c, ss, sd);
    }
    set_cs(c, cs, d, cpl, ip);
    if (null_ss) {
        segment_null(c, R_SS, ss);
    } else {
        segment_set_from_desc(c, R_SS, ss, sd);
    }
    segment_set_cpl(c, cpl);
    stack_set(c, sp);
    if (outer) {
        segment_drop_privileged(c, cpl);
    }
}

void far_return(InterpCPU *c, unsigned size, unsigned release)
{
    uint32_t d[2];
    uint64_t ip = peek(c, 0, size);
    uint16_t cs = (uint16_t)peek(c, size, size);
    c->budget = 0;
    if (is_real(c)) {
        if (ip > 0xffff && ip > c->cs_limit) {
            raise_exception_err(c, EXC_GP, 0);
        }
        stack_release(c, 2 * size + release);
        segment_set_real(c, R_CS, cs);
        c->next_ip = ip;
        return;
    }
    far_check_return(c, cs, d);
    if ((cs & 3) > c->cpl) {
        uint64_t sp = peek(c, 2 * size + release, size);
        uint16_t ss = (uint16_t)peek(c, 3 * size + release, size);
        far_return_outer(c, cs, d, ip, sp, ss, size);
        stack_release(c, release);
        return;
    }
    far_check_ip(c, d, ip);
    stack_release(c, 2 * size + release);
    set_cs(c, cs, d, c->cpl, ip);
}
