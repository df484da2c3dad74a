/*
 * Control registers of the software CPU and what follows from a change of one:
 * paging, modes, forgotten translations.
 *
 * Thread: the vCPU's own.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "operand.h"

#define CR4_PCIDE (1u << 17)
#define CR0_KNOWN (CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | \
                   CR0_CD | CR0_PG)

static void G_GNUC_NORETURN refuse(InterpCPU *c)
{
    raise_exception_err(c, EXC_GP, 0);
}

void control_write_cr0(InterpCPU *c, uint64_t val)
{
    CPUX86State *env = c->env;
    uint64_t old = env->cr[0];
    bool pg = val & CR0_PG;
    if ((val >> 32) || (pg && !(val & CR0_PE)) || ((val & CR0_NW) && !(val & CR0_CD))) {
        refuse(c);
    }
    val = (val & CR0_KNOWN) | CR0_ET;
    if (pg && !(old & CR0_PG) && (env->efer & EFER_LME)) {
        if (!(env->cr[4] & CR4_PAE) || (env->segs[R_CS].flags & DESC_L)) {
            refuse(c);
        }
        env->efer |= EFER_LMA;
    } else if (!pg && (old & CR0_PG) && (env->efer & EFER_LMA)) {
        if (c->mode == CODE_64) {
            refuse(c);
        }
        env->efer &= ~(uint64_t)EFER_LMA;
    }
    env->cr[0] = val;
    if ((val ^ old) & (CR0_PE | CR0_PG | CR0_WP)) {
        mmu_flush(c);
    }
    if (!(old & CR0_PE) && (val & CR0_PE)) {
        /* the stack's privilege is the CPU's now */
        env->segs[R_SS].flags &= ~DESC_DPL_MASK;
    }
    segment_update_all(c);
    c->budget = 0;
}

void control_write_cr3(InterpCPU *c, uint64_t val)
{
    if (c->lma && (val & c->phys_reserved)) {
        refuse(c);
    }
    c->env->cr[3] = val;
    mmu_flush(c);
}

void control_write_cr4(InterpCPU *c, uint64_t val)
{
    uint64_t known = CR4_VME | (1 << 1) | CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_MCE | CR4_PGE |
                     CR4_PCE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_FSGSBASE | CR4_OSXSAVE |
                     CR4_SMEP | CR4_SMAP;
    if (val & (1 << 11)) { /* UMIP */
        known |= 1 << 11;
    }
    if (val & CR4_PCIDE & ~c->env->cr[4]) {
        interp_stop(c, "process context identifiers (CR4.PCIDE) are not supported");
    }
    if ((val & ~known) || (c->lma && !(val & CR4_PAE))) {
        refuse(c);
    }
    c->env->cr[4] = val;
    mmu_flush(c);
    c->budget = 0;
}

void control_write_efer(InterpCPU *c, uint64_t val)
{
    CPUX86State *env = c->env;
    uint64_t known = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE | (1 << 14);
    if ((val & ~known) || ((env->cr[0] & CR0_PG) && ((val ^ env->efer) & EFER_LME))) {
        refuse(c);
    }
    env->efer = (val & ~(uint64_t)EFER_LMA) | (env->efer & EFER_LMA);
    mmu_flush(c);
}
