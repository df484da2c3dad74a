/*
 * SSE operands of the software CPU: a 16-byte value, loads and stores of it.
 * Inline; vCPU thread.  Lanes are little endian, like the guest and the hosts.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_ACCEL_INTERP_VECTOR_H
#define FERRY_ACCEL_INTERP_VECTOR_H

#include "operand.h"

typedef union Vec {
    uint8_t u8[16];
    int8_t s8[16];
    uint16_t u16[8];
    int16_t s16[8];
    uint32_t u32[4];
    int32_t s32[4];
    uint64_t u64[2];
    float f32[4];
    double f64[2];
} Vec;

/* May SSE be used now?  #UD or #NM when not. */
INLINE void sse_check(InterpCPU *c)
{
    if ((c->env->cr[0] & CR0_EM) || !(c->env->cr[4] & CR4_OSFXSR)) {
        raise_exception(c, EXC_UD);
    }
    if (c->env->cr[0] & CR0_TS) {
        raise_exception(c, EXC_NM);
    }
}

INLINE Vec xmm_get(const InterpCPU *c, unsigned r)
{
    return (Vec){.u64 = {c->env->xmm[r].q[0], c->env->xmm[r].q[1]}};
}
INLINE void xmm_set(InterpCPU *c, unsigned r, Vec v)
{
    c->env->xmm[r].q[0] = v.u64[0];
    c->env->xmm[r].q[1] = v.u64[1];
}

INLINE Vec vec_load(InterpCPU *c, const Insn *i, bool aligned)
{
    uint64_t lin = lin_read(c, i->seg, insn_ea(c, i), 16);
    if (aligned && (lin & 15)) {
        raise_exception_err(c, EXC_GP, 0);
    }
    uint64_t low = lin_load(c, lin, 8);
    return (Vec){.u64 = {low, lin_load(c, (lin + 8) & c->lin_mask, 8)}};
}
INLINE void vec_store(InterpCPU *c, const Insn *i, Vec v, bool aligned)
{
    uint64_t lin = lin_write(c, i->seg, insn_ea(c, i), 16);
    if (aligned && (lin & 15)) {
        raise_exception_err(c, EXC_GP, 0);
    }
    if (!page_holds(lin, 16)) {
        mmu_probe_write(c, lin, 16, tlb_which(c));
    }
    lin_store(c, lin, v.u64[0], 8);
    lin_store(c, (lin + 8) & c->lin_mask, v.u64[1], 8);
}
/* r/m operand of 16 bytes; of `size` bytes, zero extended. */
INLINE Vec vec_rm(InterpCPU *c, const Insn *i)
{
    return i->mod3 ? xmm_get(c, i->rm) : vec_load(c, i, true);
}
INLINE Vec vec_rm_low(InterpCPU *c, const Insn *i, unsigned size)
{
    if (i->mod3) {
        return xmm_get(c, i->rm);
    }
    return (Vec){.u64 = {mem_load(c, i->seg, insn_ea(c, i), size), 0}};
}

#endif
