/*
 * The opcode tables: what an opcode's operands look like and who executes it.
 * Constant data; pure.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_ACCEL_INTERP_OPTABLE_H
#define FERRY_ACCEL_INTERP_OPTABLE_H

#include "interp.h"

typedef struct OpDesc OpDesc;
struct OpDesc {
    InsnFn fn;         /* handler for every operand size, or ... */
    const InsnFn *v;   /* ... one each for sizes 1, 2, 4, 8 */
    const OpDesc *sub; /* O_GROUP: 8 by modrm.reg; O_PFX: 4 by none, 66, F3, F2 */
    uint32_t flags;
};

enum {
    O_M = 1 << 0,      /* has modrm */
    O_B = 1 << 1,      /* byte operands */
    O_I8 = 1 << 2,     /* immediate byte, sign extended */
    O_IZ = 1 << 3,     /* immediate of operand size, at most 4 bytes, sign extended */
    O_IV = 1 << 4,     /* immediate of operand size, up to 8 bytes */
    O_IW = 1 << 5,     /* immediate of 2 bytes */
    O_IB2 = 1 << 6,    /* a second immediate byte */
    O_PTR = 1 << 7,    /* far pointer: offset in imm, selector in disp */
    O_MOFF = 1 << 8,   /* absolute address of address size */
    O_D64 = 1 << 9,    /* 64 bit by default in 64-bit code */
    O_F64 = 1 << 10,   /* always 64 bit in 64-bit code */
    O_NO64 = 1 << 11,  /* invalid in 64-bit code */
    O_ONLY64 = 1 << 12,
    O_LOCK = 1 << 13,  /* lock prefix is fine with a memory operand */
    O_OPREG = 1 << 14, /* register in the low bits of the opcode */
    O_ACC = 1 << 15,   /* r/m operand is the accumulator */
    O_GROUP = 1 << 16,
    O_PFX = 1 << 17,
    O_MEM = 1 << 18,   /* memory operand only, register form is reserved */
    O_REG = 1 << 19,   /* register operand only, memory form is reserved */
    O_RMREG = 1 << 20, /* mod is ignored: r/m is a register */
    O_RMB = 1 << 21,   /* r/m is a byte, reg is not */
    O_MOD3 = 1 << 22,  /* sub has 8 more entries, for mod 3 */
};

extern const OpDesc optable_1[256];    /* one byte */
extern const OpDesc optable_0f[256];
extern const OpDesc optable_0f38[256];
extern const OpDesc optable_movsxd;    /* 63 in 64-bit code */

#endif
