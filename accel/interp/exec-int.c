/*
 * Integer instructions of the software CPU: moves, add to cmp, inc, exchange,
 * conditional moves, BCD.  Multiplication, shifts and bits are in exec-bits.c.
 *
 * Thread: the vCPU's own.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "operand.h"
#include "ops.h"

/* ---- the eight ALU operations ---- */

#define BINARY(name, expr, setflags)                                                        \
    INLINE uint64_t calc_##name(InterpCPU *c, const Insn *i, uint64_t x, uint64_t y,        \
                                unsigned size)                                              \
    {                                                                                       \
        uint64_t r = expr;                                                                  \
        y &= size_mask(size);                                                               \
        setflags;                                                                           \
        return r;                                                                           \
    }

BINARY(add, x + y, flags_add(&c->fl, x, y, r, size))
BINARY(or, x | y, flags_logic(&c->fl, r, size))
BINARY(adc, x + y + flag_cf(&c->fl), flags_add(&c->fl, x, y, r, size))
BINARY(sbb, x - y - flag_cf(&c->fl), flags_sub(&c->fl, x, y, r, size))
BINARY(and, x & y, flags_logic(&c->fl, r, size))
BINARY(sub, x - y, flags_sub(&c->fl, x, y, r, size))
BINARY(xor, x ^ y, flags_logic(&c->fl, r, size))

/* r/m,reg; reg,r/m; r/m,immediate */
#define ALU_FORMS(name)                                                                       \
    INLINE void name##_mr(InterpCPU *c, const Insn *i, unsigned size)                         \
    {                                                                                         \
        rm_modify(c, i, reg_get(c, i->reg, size), size, calc_##name);                         \
    }                                                                                         \
    SIZED(name##_mr)                                                                          \
    INLINE void name##_rm(InterpCPU *c, const Insn *i, unsigned size)                         \
    {                                                                                         \
        uint64_t y = rm_load(c, i, size);                                                     \
        reg_set(c, i->reg, calc_##name(c, i, reg_get(c, i->reg, size), y, size), size);       \
    }                                                                                         \
    SIZED(name##_rm)                                                                          \
    INLINE void name##_mi(InterpCPU *c, const Insn *i, unsigned size)                         \
    {                                                                                         \
        rm_modify(c, i, i->imm, size, calc_##name);                                           \
    }                                                                                         \
    SIZED(name##_mi)

ALU_FORMS(add)
ALU_FORMS(or)
ALU_FORMS(adc)
ALU_FORMS(sbb)
ALU_FORMS(and)
ALU_FORMS(sub)
ALU_FORMS(xor)

/* cmp and test only read */
INLINE void cmp_mr(InterpCPU *c, const Insn *i, unsigned size)
{
    calc_sub(c, i, rm_load(c, i, size), reg_get(c, i->reg, size), size);
}
SIZED(cmp_mr)
INLINE void cmp_rm(InterpCPU *c, const Insn *i, unsigned size)
{
    uint64_t y = rm_load(c, i, size);
    calc_sub(c, i, reg_get(c, i->reg, size), y, size);
}
SIZED(cmp_rm)
INLINE void cmp_mi(InterpCPU *c, const Insn *i, unsigned size)
{
    calc_sub(c, i, rm_load(c, i, size), i->imm, size);
}
SIZED(cmp_mi)
INLINE void test_mr(InterpCPU *c, const Insn *i, unsigned size)
{
    flags_logic(&c->fl, rm_load(c, i, size) & reg_get(c, i->reg, size), size);
}
SIZED(test_mr)
INLINE void test_mi(InterpCPU *c, const Insn *i, unsigned size)
{
    flags_logic(&c->fl, rm_load(c, i, size) & i->imm, size);
}
SIZED(test_mi)

/* ---- one operand ---- */

INLINE uint64_t calc_inc(InterpCPU *c, const Insn *i, uint64_t x, uint64_t y, unsigned size)
{
    bool cf = flag_cf(&c->fl);
    flags_add(&c->fl, x, 1, x + 1, size);
    flags_set_cf(&c->fl, cf);
    return x + 1;
}
INLINE uint64_t calc_dec(InterpCPU *c, const Insn *i, uint64_t x, uint64_t y, unsigned size)
{
    bool cf = flag_cf(&c->fl);
    flags_sub(&c->fl, x, 1, x - 1, size);
    flags_set_cf(&c->fl, cf);
    return x - 1;
}
INLINE uint64_t calc_not(InterpCPU *c, const Insn *i, uint64_t x, uint64_t y, unsigned size)
{
    return ~x;
}
INLINE uint64_t calc_neg(InterpCPU *c, const Insn *i, uint64_t x, uint64_t y, unsigned size)
{
    flags_sub(&c->fl, 0, x, -x, size);
    return -x;
}
#define UNARY(name)                                                   \
    INLINE void name(InterpCPU *c, const Insn *i, unsigned size)      \
    {                                                                 \
        rm_modify(c, i, 0, size, calc_##name);                        \
    }                                                                 \
    SIZED(name)
UNARY(inc)
UNARY(dec)
UNARY(not)
UNARY(neg)

/* ---- moves ---- */

INLINE void mov_mr(InterpCPU *c, const Insn *i, unsigned size)
{
    rm_store(c, i, reg_get(c, i->reg, size), size);
}
SIZED(mov_mr)
INLINE void mov_rm(InterpCPU *c, const Insn *i, unsigned size)
{
    reg_set(c, i->reg, rm_load(c, i, size), size);
}
SIZED(mov_rm)
INLINE void mov_mi(InterpCPU *c, const Insn *i, unsigned size)
{
    rm_store(c, i, i->imm, size);
}
SIZED(mov_mi)
INLINE void mov_acc_moffs(InterpCPU *c, const Insn *i, unsigned size)
{
    reg_set(c, R_EAX, mem_load(c, i->seg, i->imm, size), size);
}
SIZED(mov_acc_moffs)
INLINE void mov_moffs_acc(InterpCPU *c, const Insn *i, unsigned size)
{
    mem_store(c, i->seg, i->imm, reg_get(c, R_EAX, size), size);
}
SIZED(mov_moffs_acc)
INLINE void lea(InterpCPU *c, const Insn *i, unsigned size)
{
    reg_set(c, i->reg, insn_ea(c, i), size);
}
SIZED16(lea)
INLINE void movzx8(InterpCPU *c, const Insn *i, unsigned size)
{
    reg_set(c, i->reg, rm_load(c, i, 1), size);
}
SIZED16(movzx8)
INLINE void movzx16(InterpCPU *c, const Insn *i, unsigned size)
{
    reg_set(c, i->reg, rm_load(c, i, 2), size);
}
SIZED16(movzx16)
INLINE void movsx8(InterpCPU *c, const Insn *i, unsigned size)
{
    reg_set(c, i->reg, sign_extend(rm_load(c, i, 1), 1), size);
}
SIZED16(movsx8)
INLINE void movsx16(InterpCPU *c, const Insn *i, unsigned size)
{
    reg_set(c, i->reg, sign_extend(rm_load(c, i, 2), 2), size);
}
SIZED16(movsx16)
INLINE void movsxd(InterpCPU *c, const Insn *i, unsigned size)
{
    unsigned from = size == 2 ? 2 : 4;
    reg_set(c, i->reg, sign_extend(rm_load(c, i, from), from), size);
}
SIZED16(movsxd)
INLINE void cmov(InterpCPU *c, const Insn *i, unsigned size)
{
    uint64_t v = rm_load(c, i, size); /* read (and fault) whatever the condition */
    reg_set(c, i->reg, flags_cond(&c->fl, i->op) ? v : reg_get(c, i->reg, size), size);
}
SIZED16(cmov)

void op_setcc(InterpCPU *c, const Insn *i)
{
    rm_store(c, i, flags_cond(&c->fl, i->op), 1);
}

INLINE uint64_t byte_swap(uint64_t v, unsigned size)
{
    return size == 2 ? __builtin_bswap16(v) : size == 4 ? __builtin_bswap32(v) : __builtin_bswap64(v);
}
void op_bswap(InterpCPU *c, const Insn *i)
{
    unsigned size = i->size == 2 ? 4 : i->size;
    reg_set(c, i->rm, byte_swap(reg_get(c, i->rm, size), size), i->size);
}
INLINE void movbe_load(InterpCPU *c, const Insn *i, unsigned size)
{
    reg_set(c, i->reg, byte_swap(rm_load(c, i, size), size), size);
}
SIZED16(movbe_load)
INLINE void movbe_store(InterpCPU *c, const Insn *i, unsigned size)
{
    rm_store(c, i, byte_swap(reg_get(c, i->reg, size), size), size);
}
SIZED16(movbe_store)
void op_movnti(InterpCPU *c, const Insn *i)
{
    rm_store(c, i, reg_get(c, i->reg, i->size), i->size);
}

/* ---- exchange ---- */

/* The new value is arg; what was there goes to the register reg afterwards. */
static uint64_t calc_xchg(InterpCPU *c, const Insn *i, uint64_t x, uint64_t y, unsigned size)
{
    c->rmw_old = x;
    return y;
}
INLINE void xchg_mr(InterpCPU *c, const Insn *i, unsigned size)
{
    uint64_t y = reg_get(c, i->reg, size);
    if (i->mod3) {
        reg_set(c, i->reg, reg_get(c, i->rm, size), size);
        reg_set(c, i->rm, y, size);
        return;
    }
    mem_modify(c, i, lin_write(c, i->seg, insn_ea(c, i), size), y, size, true, calc_xchg);
    reg_set(c, i->reg, c->rmw_old, size);
}
SIZED(xchg_mr)
INLINE void xchg_acc(InterpCPU *c, const Insn *i, unsigned size)
{
    uint64_t t = reg_get(c, R_EAX, size);
    reg_set(c, R_EAX, reg_get(c, i->rm, size), size);
    reg_set(c, i->rm, t, size);
}
SIZED16(xchg_acc)
INLINE void nop_xchg(InterpCPU *c, const Insn *i, unsigned size)
{
    if (i->rm != R_EAX) { /* 90 with REX.B exchanges with r8 */
        xchg_acc(c, i, size);
    }
}
SIZED16(nop_xchg)

static uint64_t calc_xadd(InterpCPU *c, const Insn *i, uint64_t x, uint64_t y, unsigned size)
{
    c->rmw_old = x;
    return calc_add(c, i, x, y, size);
}
INLINE void xadd(InterpCPU *c, const Insn *i, unsigned size)
{
    uint64_t y = reg_get(c, i->reg, size);
    if (i->mod3) {
        uint64_t x = reg_get(c, i->rm, size);
        uint64_t sum = calc_add(c, i, x, y, size);
        reg_set(c, i->reg, x, size);
        reg_set(c, i->rm, sum, size);
        return;
    }
    rm_modify(c, i, y, size, calc_xadd);
    reg_set(c, i->reg, c->rmw_old, size);
}
SIZED(xadd)

static uint64_t calc_cmpxchg(InterpCPU *c, const Insn *i, uint64_t x, uint64_t y, unsigned size)
{
    c->rmw_old = x;
    calc_sub(c, i, reg_get(c, R_EAX, size), x, size);
    return flag_zf(&c->fl) ? y : x;
}
INLINE void cmpxchg(InterpCPU *c, const Insn *i, unsigned size)
{
    uint64_t y = reg_get(c, i->reg, size);
    if (i->mod3) {
        uint64_t n = calc_cmpxchg(c, i, reg_get(c, i->rm, size), y, size);
        if (flag_zf(&c->fl)) {
            reg_set(c, i->rm, n, size);
        }
    } else {
        rm_modify(c, i, y, size, calc_cmpxchg);
    }
    if (!flag_zf(&c->fl)) {
        reg_set(c, R_EAX, c->rmw_old, size);
    }
}
SIZED(cmpxchg)

static uint64_t calc_cmpxchg8b(InterpCPU *c, const Insn *i, uint64_t x, uint64_t y, unsigned size)
{
    uint64_t want = reg_get(c, R_EAX, 4) | reg_get(c, R_EDX, 4) << 32;
    c->rmw_old = x;
    c->rmw_equal = x == want;
    return c->rmw_equal ? y : x;
}

static void cmpxchg8b(InterpCPU *c, const Insn *i)
{
    uint64_t new = reg_get(c, R_EBX, 4) | reg_get(c, R_ECX, 4) << 32;
    rm_modify(c, i, new, 8, calc_cmpxchg8b);
    if (!c->rmw_equal) {
        reg_set(c, R_EAX, c->rmw_old, 4);
        reg_set(c, R_EDX, c->rmw_old >> 32, 4);
    }
}

void op_cmpxchg8b(InterpCPU *c, const Insn *i)
{
    if (i->prefix & P_REXW) {
        uint64_t lin = lin_write(c, i->seg, insn_ea(c, i), 16);
        uint64_t old[2] = {c->env->regs[R_EAX], c->env->regs[R_EDX]};
        const uint64_t new[2] = {c->env->regs[R_EBX], c->env->regs[R_ECX]};
        if (lin & 15) {
            raise_exception_err(c, EXC_GP, 0);
        }
        c->rmw_equal = mmu_cas16(c, lin, old, new);
        c->env->regs[R_EAX] = old[0];
        c->env->regs[R_EDX] = old[1];
    } else {
        cmpxchg8b(c, i);
    }
    uint32_t fl = flags_get(&c->fl) & ~FL_ZF;
    flags_put(&c->fl, fl | (c->rmw_equal ? FL_ZF : 0));
}

/* ---- sign extension of the accumulator ---- */

void op_cbw(InterpCPU *c, const Insn *i)
{
    unsigned half = i->size / 2;
    reg_set(c, R_EAX, sign_extend(reg_get(c, R_EAX, half), half), i->size);
}
void op_cwd(InterpCPU *c, const Insn *i)
{
    int64_t v = sign_extend(reg_get(c, R_EAX, i->size), i->size);
    reg_set(c, R_EDX, v < 0 ? ~0ULL : 0, i->size);
}

/* ---- flags ---- */

void op_sahf(InterpCPU *c, const Insn *i)
{
    uint32_t mask = FL_CF | FL_PF | FL_AF | FL_ZF | FL_SF;
    uint32_t fl = flags_get(&c->fl) & ~mask;
    flags_put(&c->fl, fl | ((c->env->regs[R_EAX] >> 8) & mask));
}
void op_lahf(InterpCPU *c, const Insn *i)
{
    reg_set(c, 16 | R_EAX, (flags_get(&c->fl) & 0xff) | FL_1, 1);
}
void op_clc(InterpCPU *c, const Insn *i)
{
    flags_set_cf(&c->fl, false);
}
void op_stc(InterpCPU *c, const Insn *i)
{
    flags_set_cf(&c->fl, true);
}
void op_cmc(InterpCPU *c, const Insn *i)
{
    flags_set_cf(&c->fl, !flag_cf(&c->fl));
}
void op_cld(InterpCPU *c, const Insn *i)
{
    c->env->eflags &= ~(uint64_t)FL_DF;
}
void op_std(InterpCPU *c, const Insn *i)
{
    c->env->eflags |= FL_DF;
}
void op_salc(InterpCPU *c, const Insn *i)
{
    reg_set(c, R_EAX, flag_cf(&c->fl) ? 0xff : 0, 1);
}

/* ---- BCD ---- */

static void decimal_flags(InterpCPU *c, uint8_t al, bool af, bool cf)
{
    flags_logic(&c->fl, al, 1);
    flags_set_cf_of(&c->fl, cf, false);
    c->fl.a = af ? FL_AF : 0;
}

static void decimal_adjust(InterpCPU *c, int sign)
{
    uint8_t old = c->env->regs[R_EAX] & 0xff, al = old;
    bool cf = flag_cf(&c->fl), af = flag_af(&c->fl), carry = false;
    if ((old & 15) > 9 || af) {
        carry = cf || (sign > 0 ? old > 0xf9 : old < 6);
        al += 6 * sign;
        af = true;
    }
    if (old > 0x99 || cf) {
        al += 0x60 * sign;
        carry = true;
    }
    reg_set(c, R_EAX, al, 1);
    decimal_flags(c, al, af, carry);
}
void op_daa(InterpCPU *c, const Insn *i)
{
    decimal_adjust(c, 1);
}
void op_das(InterpCPU *c, const Insn *i)
{
    decimal_adjust(c, -1);
}

static void ascii_adjust(InterpCPU *c, int sign)
{
    bool adjust = (c->env->regs[R_EAX] & 15) > 9 || flag_af(&c->fl);
    if (adjust) {
        reg_set(c, R_EAX, reg_get(c, R_EAX, 2) + sign * 0x106, 2);
    }
    reg_set(c, R_EAX, c->env->regs[R_EAX] & 15, 1);
    decimal_flags(c, c->env->regs[R_EAX] & 0xff, adjust, adjust);
}
void op_aaa(InterpCPU *c, const Insn *i)
{
    ascii_adjust(c, 1);
}
void op_aas(InterpCPU *c, const Insn *i)
{
    ascii_adjust(c, -1);
}
void op_aam(InterpCPU *c, const Insn *i)
{
    uint8_t base = (uint8_t)i->imm, al = c->env->regs[R_EAX] & 0xff;
    if (!base) {
        raise_exception(c, EXC_DE);
    }
    reg_set(c, R_EAX, (al / base) << 8 | (al % base), 2);
    flags_logic(&c->fl, al % base, 1);
}
void op_aad(InterpCPU *c, const Insn *i)
{
    uint64_t ax = c->env->regs[R_EAX];
    uint8_t al = (uint8_t)((ax & 0xff) + ((ax >> 8) & 0xff) * (uint8_t)i->imm);
    reg_set(c, R_EAX, al, 2);
    flags_logic(&c->fl, al, 1);
}

void op_xlat(InterpCPU *c, const Insn *i)
{
    uint64_t ea = addr_mask(c->env->regs[R_EBX] + (c->env->regs[R_EAX] & 0xff), i->asize);
    reg_set(c, R_EAX, mem_load(c, i->seg, ea, 1), 1);
}
