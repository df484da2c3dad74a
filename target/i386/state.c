/*
 * State of the CPU that follows from other state.  Pure functions.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "target/i386/cpu.h"

static uint32_t flag(bool on, uint32_t bit)
{
    return on ? bit : 0;
}

/* Bits that say how code and stack are addressed. */
static uint32_t segment_hflags(const CPUX86State *env)
{
    const SegmentCache *cs = &env->segs[R_CS], *ss = &env->segs[R_SS];
    bool lma = env->efer & EFER_LMA;
    uint32_t h = 0;

    if (lma && (cs->flags & DESC_L)) {
        return HF_LMA | HF_CS32 | HF_SS32 | HF_CS64;
    }
    h |= flag(lma, HF_LMA) | flag(cs->flags & DESC_B, HF_CS32) | flag(ss->flags & DESC_B, HF_SS32);
    if (!(env->cr[0] & CR0_PE) || (env->eflags & EFLAGS_VM) || !(h & HF_CS32)) {
        h |= HF_ADDSEG;
    } else {
        h |= flag(env->segs[R_DS].base || env->segs[R_ES].base || ss->base, HF_ADDSEG);
    }
    return h;
}

void x86_cpu_update_hflags(CPUX86State *env)
{
    uint64_t cr0 = env->cr[0], cr4 = env->cr[4];
    uint32_t h = env->hflags & X86_HFLAGS_STATE;

    h |= (env->segs[R_SS].flags >> DESC_DPL_SHIFT) & HF_CPL_MASK;
    h |= flag(cr0 & CR0_PE, HF_PE) | flag(cr0 & CR0_MP, HF_MP) | flag(cr0 & CR0_EM, HF_EM) |
         flag(cr0 & CR0_TS, HF_TS);
    h |= env->eflags & (HF_TF | HF_VM | HF_IOPL_MASK);
    h |= flag(cr4 & CR4_OSFXSR, HF_OSFXSR) | flag(cr4 & CR4_SMAP, HF_SMAP) |
         flag(cr4 & CR4_UMIP, HF_UMIP);
    h |= flag((cr4 & CR4_OSXSAVE) && (env->xcr0 & 6) == 6, HF_AVX_EN);
    h |= flag(env->efer & EFER_SVME, HF_SVME);
    h |= segment_hflags(env);
    env->hflags = h;
}
