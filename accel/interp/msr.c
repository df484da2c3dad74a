/*
 * Model-specific registers of the software CPU.  Most are words that live in
 * CPUX86State; one table says where.
 *
 * Thread: the vCPU's own; the APIC's MSRs take the machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <stddef.h>

#include "operand.h"
#include "system/machine-lock.h"

enum {
    MSR_TSC = 0x10, MSR_APIC_BASE = 0x1b, MSR_MTRR_CAP = 0xfe, MSR_UCODE_REV = 0x8b,
    MSR_PLATFORM_INFO = 0xce, MSR_MCG_CAP = 0x179, MSR_MCG_STATUS = 0x17a, MSR_MCG_CTL = 0x17b,
    MSR_PERF_STATUS = 0x198, MSR_MISC_ENABLE = 0x1a0, MSR_MTRR_PHYS = 0x200, MSR_PAT = 0x277,
    MSR_MTRR_DEFTYPE = 0x2ff, MSR_MC0_CTL = 0x400, MSR_TSC_DEADLINE = 0x6e0,
    MSR_X2APIC = 0x800, MSR_EFER = 0xc0000080, MSR_FS_BASE = 0xc0000100,
    MSR_GS_BASE = 0xc0000101,
};

#define MTRR_VARS 8

/* What a value must be like. */
enum { ANY, CANONICAL, LOW32 };

static const struct {
    uint32_t nr;
    uint8_t check;
    uint8_t size;
    size_t at;
} words[] = {
#define WORD(nr, check, field) {nr, check, sizeof(((CPUX86State *)0)->field), offsetof(CPUX86State, field)}
    WORD(0x3a, ANY, msr_ia32_feature_control),
    WORD(0x3b, ANY, tsc_adjust),
    WORD(0x174, LOW32, sysenter_cs),
    WORD(0x175, CANONICAL, sysenter_esp),
    WORD(0x176, CANONICAL, sysenter_eip),
    WORD(MSR_MCG_STATUS, ANY, mcg_status),
    WORD(MSR_MCG_CTL, ANY, mcg_ctl),
    WORD(MSR_MISC_ENABLE, ANY, msr_ia32_misc_enable),
    WORD(MSR_PAT, ANY, pat),
    WORD(MSR_MTRR_DEFTYPE, ANY, mtrr_deftype),
    WORD(0xc0000081, ANY, star),
    WORD(0xc0000082, CANONICAL, lstar),
    WORD(0xc0000083, CANONICAL, cstar),
    WORD(0xc0000084, LOW32, fmask),
    WORD(0xc0000102, CANONICAL, kernelgsbase),
    WORD(0xc0000103, LOW32, tsc_aux),
    WORD(0xc0010015, ANY, msr_hwcr),
    WORD(0xc0010117, ANY, vm_hsave),
#undef WORD
};

static uint8_t *find_word(InterpCPU *c, uint32_t nr, unsigned *ret_row)
{
    for (unsigned k = 0; k < G_N_ELEMENTS(words); k++) {
        if (words[k].nr == nr) {
            *ret_row = k;
            return (uint8_t *)c->env + words[k].at;
        }
    }
    return NULL;
}

/* Fixed-range MTRRs, in the order of the state. */
static int mtrr_fixed_index(uint32_t nr)
{
    if (nr == 0x250) {
        return 0;
    }
    if (nr == 0x258 || nr == 0x259) {
        return 1 + (int)(nr - 0x258);
    }
    return nr >= 0x268 && nr <= 0x26f ? 3 + (int)(nr - 0x268) : -1;
}

/* Registers that come in arrays. */
static uint64_t *find_in_array(InterpCPU *c, uint32_t nr)
{
    CPUX86State *env = c->env;
    int fixed = mtrr_fixed_index(nr);
    if (fixed >= 0) {
        return &env->mtrr_fixed[fixed];
    }
    if (nr >= MSR_MTRR_PHYS && nr < MSR_MTRR_PHYS + 2 * MTRR_VARS) {
        unsigned k = (nr - MSR_MTRR_PHYS) / 2;
        return nr & 1 ? &env->mtrr_var[k].mask : &env->mtrr_var[k].base;
    }
    unsigned banks = MIN(env->mcg_cap & 0xff, X86_MCE_BANKS);
    if (nr >= MSR_MC0_CTL && nr < MSR_MC0_CTL + 4 * banks) {
        return &env->mce_banks[nr - MSR_MC0_CTL];
    }
    return NULL;
}

static bool read_special(InterpCPU *c, uint32_t nr, uint64_t *ret_val)
{
    CPUX86State *env = c->env;
    switch (nr) {
    case MSR_TSC:
        *ret_val = interp_read_tsc(c);
        return true;
    case MSR_APIC_BASE: {
        MACHINE_LOCK_GUARD();
        *ret_val = apic_read_base_msr(c->cpu);
        return true;
    }
    case MSR_MTRR_CAP:
        *ret_val = MTRR_VARS | 1 << 8 | 1 << 10;
        return true;
    case MSR_UCODE_REV:
        *ret_val = 0x100000000ULL;
        return true;
    case MSR_PLATFORM_INFO:
        *ret_val = 0;
        return true;
    case MSR_PERF_STATUS:
        *ret_val = 1000ULL | 4ULL << 40;
        return true;
    case MSR_MCG_CAP:
        *ret_val = env->mcg_cap;
        return true;
    case MSR_EFER:
        *ret_val = env->efer;
        return true;
    case MSR_FS_BASE:
        *ret_val = env->segs[R_FS].base;
        return true;
    case MSR_GS_BASE:
        *ret_val = env->segs[R_GS].base;
        return true;
    default:
        return false;
    }
}

bool msr_read(InterpCPU *c, uint32_t nr, uint64_t *ret_val)
{
    unsigned row;
    uint8_t *word = find_word(c, nr, &row);
    if (word) {
        *ret_val = 0;
        if (words[row].size == 4) {
            uint32_t v;
            memcpy(&v, word, 4);
            *ret_val = v;
        } else {
            memcpy(ret_val, word, 8);
        }
        return true;
    }
    uint64_t *in_array = find_in_array(c, nr);
    if (in_array) {
        *ret_val = *in_array;
        return true;
    }
    return read_special(c, nr, ret_val);
}

static bool is_canonical(uint64_t v)
{
    return (uint64_t)((int64_t)(v << 16) >> 16) == v;
}

static void set_segment_base(InterpCPU *c, int seg, uint64_t base)
{
    SegmentCache *s = &c->env->segs[seg];
    segment_set(c, seg, s->selector, base, s->limit, s->flags);
}

static bool write_special(InterpCPU *c, uint32_t nr, uint64_t val)
{
    switch (nr) {
    case MSR_TSC:
        interp_write_tsc(c, val);
        return true;
    case MSR_APIC_BASE: {
        MACHINE_LOCK_GUARD();
        if (val & (1 << 10)) { /* no x2APIC here */
            return false;
        }
        apic_write_base_msr(c->cpu, val);
        c->budget = 0;
        return true;
    }
    case MSR_UCODE_REV:
        return true;
    case MSR_EFER:
        control_write_efer(c, val);
        return true;
    case MSR_FS_BASE:
    case MSR_GS_BASE:
        if (!is_canonical(val)) {
            return false;
        }
        set_segment_base(c, nr == MSR_FS_BASE ? R_FS : R_GS, val);
        return true;
    default:
        return false;
    }
}

bool msr_write(InterpCPU *c, uint32_t nr, uint64_t val)
{
    unsigned row;
    uint8_t *word = find_word(c, nr, &row);
    if (word) {
        if ((words[row].check == CANONICAL && !is_canonical(val))) {
            return false;
        }
        if (words[row].size == 4) {
            uint32_t v = (uint32_t)val;
            memcpy(word, &v, 4);
        } else {
            memcpy(word, &val, 8);
        }
        return true;
    }
    uint64_t *in_array = find_in_array(c, nr);
    if (in_array) {
        *in_array = val;
        return true;
    }
    return write_special(c, nr, val);
}
