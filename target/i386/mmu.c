/*
 * Walking the guest's page tables for a monitor: virtual to physical address.
 *
 * Nothing is changed (no accessed or dirty bits) and no rights are checked.  Machine
 * lock; the caller has brought the registers into the CPU object.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "system/address-space.h"
#include "target/i386/cpu.h"

#define PTE_P (1u << 0)
#define PTE_PS (1u << 7)
#define PTE_ADDR 0x000ffffffffff000ULL

/* Levels from `top` down to 1; entries of 8 bytes, 9 bits of the address each. */
static bool walk_64(uint64_t table, int top, uint64_t vaddr, uint64_t *ret_paddr)
{
    for (int level = top; level >= 1; level--) {
        int shift = 12 + 9 * (level - 1);
        uint64_t pte = memory_load(table + ((vaddr >> shift) & 511) * 8, 8);

        if (!(pte & PTE_P)) {
            return false;
        }
        if (level == 1 || (level <= 3 && (pte & PTE_PS))) {
            uint64_t offset = (1ULL << shift) - 1;

            *ret_paddr = (pte & PTE_ADDR & ~offset) | (vaddr & offset);
            return true;
        }
        table = pte & PTE_ADDR;
    }
    return false;
}

/* PAE: four pointers of their own kind, then two levels. */
static bool walk_pae(const CPUX86State *env, uint32_t vaddr, uint64_t *ret_paddr)
{
    int i = vaddr >> 30;
    uint64_t pdpte = env->pdptrs_valid ? env->pdptrs[i]
                                       : memory_load((env->cr[3] & 0xffffffe0) + 8 * i, 8);

    return (pdpte & PTE_P) && walk_64(pdpte & PTE_ADDR, 2, vaddr, ret_paddr);
}

static bool walk_32(const CPUX86State *env, uint32_t vaddr, uint64_t *ret_paddr)
{
    uint32_t pde = memory_load((env->cr[3] & 0xfffff000) + (vaddr >> 22) * 4, 4);
    uint32_t pte;

    if (!(pde & PTE_P)) {
        return false;
    }
    if ((pde & PTE_PS) && (env->cr[4] & CR4_PSE)) {
        /* Bits 32..39 of the address are in bits 13..20. */
        *ret_paddr = (pde & 0xffc00000) | (uint64_t)((pde >> 13) & 0xff) << 32 |
                     (vaddr & 0x3fffff);
        return true;
    }
    pte = memory_load((pde & 0xfffff000) + ((vaddr >> 12) & 1023) * 4, 4);
    *ret_paddr = (pte & 0xfffff000) | (vaddr & 0xfff);
    return pte & PTE_P;
}

bool x86_cpu_translate(X86CPU *cpu, uint64_t vaddr, uint64_t *ret_paddr)
{
    const CPUX86State *env = &cpu->env;
    uint64_t paddr = 0;
    bool ok;

    if (!(env->cr[0] & CR0_PG)) {
        paddr = (uint32_t)vaddr;
        ok = true;
    } else if (env->efer & EFER_LMA) {
        int levels = env->cr[4] & CR4_LA57 ? 5 : 4;
        int sign = 64 - (12 + 9 * levels);

        ok = (uint64_t)((int64_t)(vaddr << sign) >> sign) == vaddr &&
             walk_64(env->cr[3] & PTE_ADDR, levels, vaddr, &paddr);
    } else if (env->cr[4] & CR4_PAE) {
        ok = walk_pae(env, vaddr, &paddr);
    } else {
        ok = walk_32(env, vaddr, &paddr);
    }
    if (ok) {
        *ret_paddr = paddr & (int64_t)env->a20_mask;
    }
    return ok;
}
