/*
 * Control flow and stack instructions of the software CPU.  Far transfers are in
 * far.c, interrupts in interrupt.c.
 *
 * Thread: the vCPU's own.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "operand.h"
#include "ops.h"

/* Where to go on, checked before anything of the instruction is committed. */
INLINE uint64_t check_target(InterpCPU *c, uint64_t ip, unsigned size)
{
    ip &= size == 2 ? 0xffff : c->ip_mask;
    if (c->mode == CODE_64 ? (uint64_t)((int64_t)(ip << 16) >> 16) != ip : ip > c->cs_limit) {
        raise_exception_err(c, EXC_GP, 0);
    }
    return ip;
}

void op_jcc(InterpCPU *c, const Insn *i)
{
    if (flags_cond(&c->fl, i->op)) {
        c->next_ip = check_target(c, c->next_ip + i->imm, i->size);
    }
}
void op_jmp(InterpCPU *c, const Insn *i)
{
    c->next_ip = check_target(c, c->next_ip + i->imm, i->size);
}
void op_jmp_rm(InterpCPU *c, const Insn *i)
{
    c->next_ip = check_target(c, rm_load(c, i, i->size), i->size);
}
void op_call(InterpCPU *c, const Insn *i)
{
    uint64_t to = check_target(c, c->next_ip + i->imm, i->size);
    push(c, c->next_ip, i->size);
    c->next_ip = to;
}
void op_call_rm(InterpCPU *c, const Insn *i)
{
    uint64_t to = check_target(c, rm_load(c, i, i->size), i->size);
    push(c, c->next_ip, i->size);
    c->next_ip = to;
}
void op_ret(InterpCPU *c, const Insn *i)
{
    uint64_t to = check_target(c, peek(c, 0, i->size), i->size);
    stack_release(c, i->size + (i->op == 0xc2 ? i->imm : 0));
    c->next_ip = to;
}

/* e0 loopne, e1 loope, e2 loop */
void op_loop(InterpCPU *c, const Insn *i)
{
    uint64_t n = addr_mask(c->env->regs[R_ECX] - 1, i->asize);
    bool more = n != 0;
    if (i->op != 0xe2) {
        more = more && flag_zf(&c->fl) == (i->op == 0xe1);
    }
    uint64_t to = more ? check_target(c, c->next_ip + i->imm, i->size) : c->next_ip;
    reg_set(c, R_ECX, n, i->asize);
    c->next_ip = to;
}
void op_jcxz(InterpCPU *c, const Insn *i)
{
    if (!addr_mask(c->env->regs[R_ECX], i->asize)) {
        c->next_ip = check_target(c, c->next_ip + i->imm, i->size);
    }
}

/* ---- stack ---- */

INLINE void push_reg(InterpCPU *c, const Insn *i, unsigned size)
{
    push(c, reg_get(c, i->rm, size), size);
}
SIZED16(push_reg)
INLINE void pop_reg(InterpCPU *c, const Insn *i, unsigned size)
{
    uint64_t v = peek(c, 0, size);
    stack_release(c, size);
    reg_set(c, i->rm, v, size);
}
SIZED16(pop_reg)
void op_push_rm(InterpCPU *c, const Insn *i)
{
    push(c, rm_load(c, i, i->size), i->size);
}
void op_push_imm(InterpCPU *c, const Insn *i)
{
    push(c, i->imm, i->size);
}
void op_pop_rm(InterpCPU *c, const Insn *i)
{
    uint64_t v = peek(c, 0, i->size), sp = c->env->regs[R_ESP];
    if (i->mod3) {
        stack_release(c, i->size);
        reg_set(c, i->rm, v, i->size);
        return;
    }
    /* an address based on the stack pointer uses its new value */
    stack_release(c, i->size);
    uint64_t ea = insn_ea(c, i);
    c->env->regs[R_ESP] = sp;
    mem_store(c, i->seg, ea, v, i->size);
    stack_release(c, i->size);
}

INLINE int seg_of_op(const Insn *i)
{
    return i->op == 0xa0 || i->op == 0xa1 ? R_FS : i->op >= 0xa8 ? R_GS : (i->op >> 3) & 3;
}
void op_push_seg(InterpCPU *c, const Insn *i)
{
    push(c, c->env->segs[seg_of_op(i)].selector, i->size);
}
void op_pop_seg(InterpCPU *c, const Insn *i)
{
    int seg = seg_of_op(i);
    uint64_t mask = c->stack_mask;
    uint16_t sel = (uint16_t)peek(c, 0, i->size);
    uint64_t sp = c->env->regs[R_ESP] + i->size;
    segment_load(c, seg, sel);
    c->env->regs[R_ESP] = mask == 0xffff ? (c->env->regs[R_ESP] & ~0xffffULL) | (sp & 0xffff)
                                         : sp & mask;
    if (seg == R_SS) {
        c->env->interrupt_shadow = 1;
        c->budget = 0;
    }
}

void op_pusha(InterpCPU *c, const Insn *i)
{
    uint64_t sp = c->env->regs[R_ESP];
    for (int r = 0; r < 8; r++) {
        mem_store(c, R_SS, (sp - (r + 1) * i->size) & c->stack_mask, reg_get(c, r, i->size),
                  i->size);
    }
    stack_set(c, sp - 8 * i->size);
}
void op_popa(InterpCPU *c, const Insn *i)
{
    uint64_t v[8];
    for (int r = 0; r < 8; r++) {
        v[7 - r] = peek(c, r * i->size, i->size);
    }
    for (int r = 0; r < 8; r++) {
        if (r != R_ESP) {
            reg_set(c, r, v[r], i->size);
        }
    }
    stack_release(c, 8 * i->size);
}

void op_enter(InterpCPU *c, const Insn *i)
{
    unsigned level = i->imm2 & 31, size = i->size;
    uint64_t sp = c->env->regs[R_ESP], bp = c->env->regs[R_EBP], mask = c->stack_mask;
    sp -= size;
    mem_store(c, R_SS, sp & mask, bp, size);
    uint64_t frame = sp;
    for (unsigned k = 1; k < level; k++) {
        bp -= size;
        sp -= size;
        mem_store(c, R_SS, sp & mask, mem_load(c, R_SS, bp & mask, size), size);
    }
    if (level) {
        sp -= size;
        mem_store(c, R_SS, sp & mask, frame, size);
    }
    sp -= i->imm;
    mmu_probe_write(c, lin_write(c, R_SS, sp & mask, size), size, tlb_which(c));
    reg_set(c, R_EBP, frame, size);
    stack_set(c, sp);
}
void op_leave(InterpCPU *c, const Insn *i)
{
    uint64_t bp = c->env->regs[R_EBP] & c->stack_mask;
    uint64_t v = mem_load(c, R_SS, bp, i->size);
    stack_set(c, bp + i->size);
    reg_set(c, R_EBP, v, i->size);
}

void op_pushf(InterpCPU *c, const Insn *i)
{
    push(c, interp_get_eflags(c) & ~(FL_RF | FL_VM), i->size);
}
void op_popf(InterpCPU *c, const Insn *i)
{
    uint32_t v = (uint32_t)peek(c, 0, i->size);
    uint32_t mask = FL_ARITH | FL_TF | FL_DF | FL_NT | FL_AC | FL_ID;
    unsigned iopl = (c->env->eflags & FL_IOPL) >> 12;
    if (c->cpl == 0) {
        mask |= FL_IOPL | FL_IF;
    } else if (c->cpl <= iopl) {
        mask |= FL_IF;
    }
    stack_release(c, i->size);
    interp_set_eflags(c, v, i->size == 2 ? mask & 0xffff : mask);
}

/* ---- far ---- */

void op_jmp_far(InterpCPU *c, const Insn *i)
{
    far_jump(c, (uint16_t)i->disp, i->imm, i->size);
}
void op_call_far(InterpCPU *c, const Insn *i)
{
    far_call(c, (uint16_t)i->disp, i->imm, i->size);
}
void op_jmp_far_rm(InterpCPU *c, const Insn *i)
{
    uint64_t ea = insn_ea(c, i), off = mem_load(c, i->seg, ea, i->size);
    uint64_t sel = mem_load(c, i->seg, addr_mask(ea + i->size, i->asize), 2);
    far_jump(c, (uint16_t)sel, off, i->size);
}
void op_call_far_rm(InterpCPU *c, const Insn *i)
{
    uint64_t ea = insn_ea(c, i), off = mem_load(c, i->seg, ea, i->size);
    uint64_t sel = mem_load(c, i->seg, addr_mask(ea + i->size, i->asize), 2);
    far_call(c, (uint16_t)sel, off, i->size);
}
void op_ret_far(InterpCPU *c, const Insn *i)
{
    far_return(c, i->size, i->op == 0xca ? (unsigned)i->imm : 0);
}
void op_iret(InterpCPU *c, const Insn *i)
{
    interrupt_iret(c, i->size);
}

/* les, lds, lss, lfs, lgs */
void op_load_far(InterpCPU *c, const Insn *i)
{
    static const uint8_t segs[8] = {[2] = R_SS, [4] = R_FS, [5] = R_GS};
    int seg = i->op == 0xc4 ? R_ES : i->op == 0xc5 ? R_DS : segs[i->op & 7];
    uint64_t ea = insn_ea(c, i), off = mem_load(c, i->seg, ea, i->size);
    uint64_t sel = mem_load(c, i->seg, addr_mask(ea + i->size, i->asize), 2);
    segment_load(c, seg, (uint16_t)sel);
    reg_set(c, i->reg, off, i->size);
}

/* ---- software interrupts ---- */

void op_int3(InterpCPU *c, const Insn *i)
{
    interrupt_deliver(c, EXC_BP, INT_SOFTWARE, false, 0);
}
void op_int(InterpCPU *c, const Insn *i)
{
    interrupt_deliver(c, (uint8_t)i->imm, INT_SOFTWARE, false, 0);
}
void op_into(InterpCPU *c, const Insn *i)
{
    if (flag_of(&c->fl)) {
        interrupt_deliver(c, EXC_OF, INT_SOFTWARE, false, 0);
    }
}
void op_int1(InterpCPU *c, const Insn *i)
{
    c->env->eip = c->next_ip; /* a trap */
    raise_exception(c, EXC_DB);
}
void op_bound(InterpCPU *c, const Insn *i)
{
    uint64_t ea = insn_ea(c, i);
    int64_t lo = sign_extend(mem_load(c, i->seg, ea, i->size), i->size);
    int64_t hi = sign_extend(mem_load(c, i->seg, addr_mask(ea + i->size, i->asize), i->size),
                             i->size);
    int64_t v = sign_extend(reg_get(c, i->reg, i->size), i->size);
    if (v < lo || v > hi) {
        raise_exception(c, EXC_BR);
    }
}
