/*
 * Operands: registers, guest memory through the software TLB, the stack.
 * Inline fast paths; everything unusual goes to mmu.c.  vCPU thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_ACCEL_INTERP_OPERAND_H
#define FERRY_ACCEL_INTERP_OPERAND_H

#include <glib.h>
#include <string.h>

#include "flags.h"
#include "interp.h"
#include "system/dirty.h"

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/* x86 orders loads among loads and stores among stores; on such a host these are free. */
INLINE uint64_t host_load(const uint8_t *p, unsigned size)
{
    uint64_t v;
    if (size == 1) {
        v = *p;
    } else if (size == 2) {
        uint16_t t;
        memcpy(&t, p, 2);
        v = GUINT16_FROM_LE(t);
    } else if (size == 4) {
        uint32_t t;
        memcpy(&t, p, 4);
        v = GUINT32_FROM_LE(t);
    } else {
        uint64_t t;
        memcpy(&t, p, 8);
        v = GUINT64_FROM_LE(t);
    }
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return v;
}
INLINE void host_store(uint8_t *p, uint64_t v, unsigned size)
{
    __atomic_thread_fence(__ATOMIC_RELEASE);
    if (size == 1) {
        *p = (uint8_t)v;
    } else if (size == 2) {
        uint16_t t = GUINT16_TO_LE((uint16_t)v);
        memcpy(p, &t, 2);
    } else if (size == 4) {
        uint32_t t = GUINT32_TO_LE((uint32_t)v);
        memcpy(p, &t, 4);
    } else {
        uint64_t t = GUINT64_TO_LE(v);
        memcpy(p, &t, 8);
    }
}

/* ---- registers ---- */

INLINE uint64_t reg_get(const InterpCPU *c, unsigned r, unsigned size)
{
    if (size == 1 && (r & 16)) {
        return (c->env->regs[r & 3] >> 8) & 0xff;
    }
    return c->env->regs[r] & size_mask(size);
}
INLINE void reg_set(InterpCPU *c, unsigned r, uint64_t v, unsigned size)
{
    if (size == 8) {
        c->env->regs[r] = v;
    } else if (size == 4) {
        c->env->regs[r] = (uint32_t)v;
    } else if (size == 2) {
        c->env->regs[r] = (c->env->regs[r] & ~0xffffULL) | (v & 0xffff);
    } else if (r & 16) {
        c->env->regs[r & 3] = (c->env->regs[r & 3] & ~0xff00ULL) | ((v & 0xff) << 8);
    } else {
        c->env->regs[r] = (c->env->regs[r] & ~0xffULL) | (v & 0xff);
    }
}

/* ---- linear memory ---- */

INLINE TlbEntry *tlb_slot(TlbEntry *tlb, uint64_t lin)
{
    return &tlb[(lin >> 12) & (TLB_SIZE - 1)];
}
INLINE bool page_holds(uint64_t lin, unsigned size)
{
    return (lin & 0xfff) <= 4096 - size;
}
INLINE uint64_t lin_load_as(InterpCPU *c, uint64_t lin, unsigned size, int which)
{
    TlbEntry *e = tlb_slot(c->tlbs[which], lin);
    if (likely(e->r == (lin & ~0xfffULL) && page_holds(lin, size))) {
        return host_load(e->host + (lin & 0xfff), size);
    }
    return mmu_load_slow(c, lin, size, which);
}
INLINE void lin_store_as(InterpCPU *c, uint64_t lin, uint64_t v, unsigned size, int which)
{
    TlbEntry *e = tlb_slot(c->tlbs[which], lin);
    if (likely(e->w == (lin & ~0xfffULL) && page_holds(lin, size))) {
        host_store(e->host + (lin & 0xfff), v, size);
        ram_mark_dirty(e->rb, e->offset + (lin & 0xfff), size);
        return;
    }
    mmu_store_slow(c, lin, v, size, which);
}
INLINE int tlb_which(const InterpCPU *c)
{
    return c->cpl == 3 ? TLB_USER : TLB_KERNEL;
}
INLINE uint64_t lin_load(InterpCPU *c, uint64_t lin, unsigned size)
{
    TlbEntry *e = tlb_slot(c->tlb, lin);
    if (likely(e->r == (lin & ~0xfffULL) && page_holds(lin, size))) {
        return host_load(e->host + (lin & 0xfff), size);
    }
    return mmu_load_slow(c, lin, size, tlb_which(c));
}
INLINE void lin_store(InterpCPU *c, uint64_t lin, uint64_t v, unsigned size)
{
    TlbEntry *e = tlb_slot(c->tlb, lin);
    if (likely(e->w == (lin & ~0xfffULL) && page_holds(lin, size))) {
        host_store(e->host + (lin & 0xfff), v, size);
        ram_mark_dirty(e->rb, e->offset + (lin & 0xfff), size);
        return;
    }
    mmu_store_slow(c, lin, v, size, tlb_which(c));
}

/* ---- segmented memory ---- */

INLINE uint64_t lin_read(InterpCPU *c, int seg, uint64_t ea, unsigned size)
{
    const SegCheck *s = &c->seg[seg];
    if (unlikely(ea < s->rlo || ea + size - 1 > s->rhi)) {
        mmu_seg_fault(c, seg);
    }
    return (s->base + ea) & c->lin_mask;
}
INLINE uint64_t lin_write(InterpCPU *c, int seg, uint64_t ea, unsigned size)
{
    const SegCheck *s = &c->seg[seg];
    if (unlikely(ea < s->wlo || ea + size - 1 > s->whi)) {
        mmu_seg_fault(c, seg);
    }
    return (s->base + ea) & c->lin_mask;
}
INLINE uint64_t mem_load(InterpCPU *c, int seg, uint64_t ea, unsigned size)
{
    return lin_load(c, lin_read(c, seg, ea, size), size);
}
INLINE void mem_store(InterpCPU *c, int seg, uint64_t ea, uint64_t v, unsigned size)
{
    lin_store(c, lin_write(c, seg, ea, size), v, size);
}

/* ---- operands of an instruction ---- */

INLINE uint64_t addr_mask(uint64_t a, unsigned asize)
{
    return asize == 8 ? a : asize == 4 ? (uint32_t)a : (uint16_t)a;
}
INLINE uint64_t insn_ea(const InterpCPU *c, const Insn *i)
{
    uint64_t a = (uint64_t)(int64_t)i->disp;
    if (i->base < 16) {
        a += c->env->regs[i->base];
    } else if (i->base == BASE_RIP) {
        a += c->next_ip;
    }
    if (i->index < 16) {
        a += c->env->regs[i->index] << i->scale;
    }
    return addr_mask(a, i->asize);
}
INLINE uint64_t rm_load(InterpCPU *c, const Insn *i, unsigned size)
{
    if (i->mod3) {
        return reg_get(c, i->rm, size);
    }
    return mem_load(c, i->seg, insn_ea(c, i), size);
}
INLINE void rm_store(InterpCPU *c, const Insn *i, uint64_t v, unsigned size)
{
    if (i->mod3) {
        reg_set(c, i->rm, v, size);
    } else {
        mem_store(c, i->seg, insn_ea(c, i), v, size);
    }
}

/* New value of an operand from its old one; sets flags and nothing else. */
typedef uint64_t RmwFn(InterpCPU *c, const Insn *i, uint64_t old, uint64_t arg, unsigned size);
void mem_modify_slow(InterpCPU *c, const Insn *i, uint64_t lin, uint64_t arg, unsigned size,
                     bool lock, RmwFn *fn);

INLINE void mem_modify(InterpCPU *c, const Insn *i, uint64_t lin, uint64_t arg, unsigned size,
                       bool lock, RmwFn *fn)
{
    TlbEntry *e = tlb_slot(c->tlb, lin);
    if (likely(e->w == (lin & ~0xfffULL) && e->r == e->w && page_holds(lin, size) && !lock)) {
        uint8_t *p = e->host + (lin & 0xfff);
        host_store(p, fn(c, i, host_load(p, size), arg, size), size);
        ram_mark_dirty(e->rb, e->offset + (lin & 0xfff), size);
    } else {
        mem_modify_slow(c, i, lin, arg, size, lock, fn);
    }
}
/* r/m operand = fn(r/m operand), atomically when the instruction is locked. */
INLINE void rm_modify(InterpCPU *c, const Insn *i, uint64_t arg, unsigned size, RmwFn *fn)
{
    if (i->mod3) {
        reg_set(c, i->rm, fn(c, i, reg_get(c, i->rm, size), arg, size), size);
    } else {
        mem_modify(c, i, lin_write(c, i->seg, insn_ea(c, i), size), arg, size, i->lock, fn);
    }
}

/* ---- stack ---- */

INLINE void stack_set(InterpCPU *c, uint64_t sp)
{
    uint64_t *r = &c->env->regs[R_ESP];
    if (c->stack_mask == 0xffff) {
        *r = (*r & ~0xffffULL) | (sp & 0xffff);
    } else {
        *r = sp & c->stack_mask;
    }
}
INLINE void push(InterpCPU *c, uint64_t v, unsigned size)
{
    uint64_t sp = (c->env->regs[R_ESP] - size) & c->stack_mask;
    mem_store(c, R_SS, sp, v, size);
    stack_set(c, sp);
}
/* Top of the stack, `skip` bytes in; the pointer stays. */
INLINE uint64_t peek(InterpCPU *c, unsigned skip, unsigned size)
{
    return mem_load(c, R_SS, (c->env->regs[R_ESP] + skip) & c->stack_mask, size);
}
INLINE void stack_release(InterpCPU *c, uint64_t bytes)
{
    stack_set(c, c->env->regs[R_ESP] + bytes);
}

INLINE void require_cpl0(InterpCPU *c)
{
    if (c->cpl != 0) {
        raise_exception_err(c, EXC_GP, 0);
    }
}

/* One handler per operand size from an inline template NAME(c, i, size). */
#define SIZED(name)                                       \
    static void name##_1(InterpCPU *c, const Insn *i)     \
    {                                                     \
        name(c, i, 1);                                    \
    }                                                     \
    SIZED_WORD(name)                                      \
    const InsnFn name##_v[4] = {name##_1, name##_2, name##_4, name##_8};
#define SIZED_WORD(name)                                  \
    static void name##_2(InterpCPU *c, const Insn *i)     \
    {                                                     \
        name(c, i, 2);                                    \
    }                                                     \
    static void name##_4(InterpCPU *c, const Insn *i)     \
    {                                                     \
        name(c, i, 4);                                    \
    }                                                     \
    static void name##_8(InterpCPU *c, const Insn *i)     \
    {                                                     \
        name(c, i, 8);                                    \
    }
/* As SIZED() without a byte form: index 0 of the table is empty. */
#define SIZED16(name)                                     \
    SIZED_WORD(name)                                      \
    const InsnFn name##_v[4] = {NULL, name##_2, name##_4, name##_8};

#endif
