/*
 * Integer instructions of the software CPU: multiply and divide, shifts and
 * rotates, bit test and search.
 *
 * Thread: the vCPU's own.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "operand.h"
#include "ops.h"

/* ---- multiply ---- */

static void flags_mul(InterpCPU *c, uint64_t low, bool overflow, unsigned size)
{
    flags_logic(&c->fl, low, size);
    flags_set_cf_of(&c->fl, overflow, overflow);
}

INLINE void set_double(InterpCPU *c, uint64_t low, uint64_t high, unsigned size)
{
    if (size == 1) {
        reg_set(c, R_EAX, (low & 0xff) | (high & 0xff) << 8, 2);
    } else {
        reg_set(c, R_EAX, low, size);
        reg_set(c, R_EDX, high, size);
    }
}
INLINE void mul(InterpCPU *c, const Insn *i, unsigned size)
{
    unsigned __int128 p = (unsigned __int128)reg_get(c, R_EAX, size) * rm_load(c, i, size);
    uint64_t low = (uint64_t)p & size_mask(size), high = (uint64_t)(p >> (size * 8));
    set_double(c, low, high, size);
    flags_mul(c, low, high != 0, size);
}
SIZED(mul)
INLINE __int128 product(uint64_t x, uint64_t y, unsigned size)
{
    return (__int128)sign_extend(x, size) * sign_extend(y, size);
}
INLINE bool product_overflows(__int128 p, unsigned size)
{
    return p != sign_extend((uint64_t)p, size);
}
INLINE void imul(InterpCPU *c, const Insn *i, unsigned size)
{
    __int128 p = product(reg_get(c, R_EAX, size), rm_load(c, i, size), size);
    set_double(c, (uint64_t)p, (uint64_t)(p >> (size * 8)), size);
    flags_mul(c, (uint64_t)p, product_overflows(p, size), size);
}
SIZED(imul)
INLINE void imul_to_reg(InterpCPU *c, const Insn *i, uint64_t x, uint64_t y, unsigned size)
{
    __int128 p = product(x, y, size);
    reg_set(c, i->reg, (uint64_t)p, size);
    flags_mul(c, (uint64_t)p, product_overflows(p, size), size);
}
INLINE void imul_rm(InterpCPU *c, const Insn *i, unsigned size)
{
    imul_to_reg(c, i, reg_get(c, i->reg, size), rm_load(c, i, size), size);
}
SIZED16(imul_rm)
INLINE void imul_rmi(InterpCPU *c, const Insn *i, unsigned size)
{
    imul_to_reg(c, i, rm_load(c, i, size), i->imm, size);
}
SIZED16(imul_rmi)

/* ---- divide ---- */

INLINE unsigned __int128 dividend(InterpCPU *c, unsigned size)
{
    if (size == 1) {
        return reg_get(c, R_EAX, 2);
    }
    return (unsigned __int128)reg_get(c, R_EDX, size) << (size * 8) | reg_get(c, R_EAX, size);
}
INLINE void udiv(InterpCPU *c, const Insn *i, unsigned size)
{
    uint64_t d = rm_load(c, i, size);
    unsigned __int128 n = dividend(c, size);
    if (!d || (n >> (size * 8)) >= d) {
        raise_exception(c, EXC_DE);
    }
    uint64_t q = size == 8 ? (uint64_t)(n / d) : (uint64_t)n / d;
    set_double(c, q, (uint64_t)n - q * d, size);
}
SIZED(udiv)
INLINE void idiv(InterpCPU *c, const Insn *i, unsigned size)
{
    int64_t d = sign_extend(rm_load(c, i, size), size);
    unsigned sh = 128 - size * 16;
    __int128 n = (__int128)(dividend(c, size) << sh) >> sh;
    bool lowest = size == 8 && n == (__int128)((unsigned __int128)1 << 127);
    if (!d || (lowest && d == -1)) {
        raise_exception(c, EXC_DE);
    }
    __int128 q = n / d;
    if (product_overflows(q, size)) {
        raise_exception(c, EXC_DE);
    }
    set_double(c, (uint64_t)q, (uint64_t)(n - q * d), size);
}
SIZED(idiv)

/* ---- shifts and rotates ---- */

/* Counts of the three forms: immediate (c0, c1), one (d0, d1), cl (d2, d3). */
INLINE unsigned shift_count(InterpCPU *c, const Insn *i, unsigned size)
{
    uint64_t n = i->op < 0xd0 ? i->imm : i->op < 0xd2 ? 1 : c->env->regs[R_ECX];
    return n & (size == 8 ? 63 : 31);
}

INLINE uint64_t calc_shl(InterpCPU *c, const Insn *i, uint64_t x, uint64_t n, unsigned size)
{
    unsigned bits = size * 8;
    uint64_t r = (x << n) & size_mask(size);
    bool cf = n <= bits && (x >> (bits - n)) & 1;
    flags_logic(&c->fl, r, size);
    flags_set_cf_of(&c->fl, cf, cf ^ ((r >> (bits - 1)) & 1));
    return r;
}
INLINE uint64_t calc_shr(InterpCPU *c, const Insn *i, uint64_t x, uint64_t n, unsigned size)
{
    uint64_t r = x >> n;
    bool cf = (x >> (n - 1)) & 1;
    flags_logic(&c->fl, r, size);
    flags_set_cf_of(&c->fl, cf, n == 1 && (x >> (size * 8 - 1)) & 1);
    return r;
}
INLINE uint64_t calc_sar(InterpCPU *c, const Insn *i, uint64_t x, uint64_t n, unsigned size)
{
    int64_t v = sign_extend(x, size);
    bool cf = (v >> (n - 1)) & 1;
    flags_logic(&c->fl, (uint64_t)(v >> n), size);
    flags_set_cf_of(&c->fl, cf, false);
    return (uint64_t)(v >> n);
}
INLINE uint64_t calc_rol(InterpCPU *c, const Insn *i, uint64_t x, uint64_t n, unsigned size)
{
    unsigned bits = size * 8, k = n & (bits - 1);
    uint64_t r = k ? ((x << k) | (x >> (bits - k))) & size_mask(size) : x;
    bool cf = r & 1;
    flags_set_cf_of(&c->fl, cf, cf ^ ((r >> (bits - 1)) & 1));
    return r;
}
INLINE uint64_t calc_ror(InterpCPU *c, const Insn *i, uint64_t x, uint64_t n, unsigned size)
{
    unsigned bits = size * 8, k = n & (bits - 1);
    uint64_t r = k ? ((x >> k) | (x << (bits - k))) & size_mask(size) : x;
    bool cf = (r >> (bits - 1)) & 1;
    flags_set_cf_of(&c->fl, cf, cf ^ ((r >> (bits - 2)) & 1));
    return r;
}
INLINE uint64_t calc_rcl(InterpCPU *c, const Insn *i, uint64_t x, uint64_t n, unsigned size)
{
    unsigned bits = size * 8, k = n % (bits + 1);
    unsigned __int128 w = (unsigned __int128)flag_cf(&c->fl) << bits | x;
    if (k) {
        w = w << k | w >> (bits + 1 - k);
    }
    uint64_t r = (uint64_t)w & size_mask(size);
    bool cf = (w >> bits) & 1;
    flags_set_cf_of(&c->fl, cf, cf ^ ((r >> (bits - 1)) & 1));
    return r;
}
INLINE uint64_t calc_rcr(InterpCPU *c, const Insn *i, uint64_t x, uint64_t n, unsigned size)
{
    unsigned bits = size * 8, k = n % (bits + 1);
    unsigned __int128 w = (unsigned __int128)flag_cf(&c->fl) << bits | x;
    if (k) {
        w = w >> k | w << (bits + 1 - k);
    }
    uint64_t r = (uint64_t)w & size_mask(size);
    flags_set_cf_of(&c->fl, (w >> bits) & 1, ((r >> (bits - 1)) ^ (r >> (bits - 2))) & 1);
    return r;
}
#define SHIFT(name)                                                                 \
    INLINE void name(InterpCPU *c, const Insn *i, unsigned size)                    \
    {                                                                               \
        unsigned n = shift_count(c, i, size);                                       \
        if (n) {                                                                    \
            rm_modify(c, i, n, size, calc_##name);                                  \
        } else if (!i->mod3) {                                                      \
            rm_load(c, i, size); /* may fault */                                    \
        } else if (size == 4) {                                                     \
            reg_set(c, i->rm, reg_get(c, i->rm, 4), 4);                             \
        }                                                                           \
    }                                                                               \
    SIZED(name)
SHIFT(shl)
SHIFT(shr)
SHIFT(sar)
SHIFT(rol)
SHIFT(ror)
SHIFT(rcl)
SHIFT(rcr)

/* Double shifts: op a4/ac take an immediate, a5/ad take cl. */
INLINE unsigned double_count(InterpCPU *c, const Insn *i, unsigned size)
{
    return ((i->op & 1) ? c->env->regs[R_ECX] : i->imm) & (size == 8 ? 63 : 31);
}
INLINE uint64_t calc_shld(InterpCPU *c, const Insn *i, uint64_t x, uint64_t n, unsigned size)
{
    unsigned bits = size * 8;
    uint64_t fill = reg_get(c, i->reg, size);
    /* a count over 16 with 16-bit operands goes round: x, fill, x */
    unsigned __int128 w = (unsigned __int128)x << bits | fill;
    if (size == 2) {
        w = w << 16 | x;
        w = w << n >> 32;
    } else {
        w = w << n >> bits;
    }
    uint64_t r = (uint64_t)w & size_mask(size);
    bool cf = n <= bits ? (x >> (bits - n)) & 1 : (fill >> (2 * bits - n)) & 1;
    flags_logic(&c->fl, r, size);
    flags_set_cf_of(&c->fl, cf, ((x ^ r) >> (bits - 1)) & 1);
    return r;
}
INLINE uint64_t calc_shrd(InterpCPU *c, const Insn *i, uint64_t x, uint64_t n, unsigned size)
{
    unsigned bits = size * 8;
    uint64_t fill = reg_get(c, i->reg, size);
    unsigned __int128 w = (unsigned __int128)fill << bits | x;
    if (size == 2) {
        w |= (unsigned __int128)x << 32;
    }
    uint64_t r = (uint64_t)(w >> n) & size_mask(size);
    bool cf = (w >> (n - 1)) & 1;
    flags_logic(&c->fl, r, size);
    flags_set_cf_of(&c->fl, cf, ((x ^ r) >> (bits - 1)) & 1);
    return r;
}
#define DOUBLE_SHIFT(name)                                                          \
    INLINE void name(InterpCPU *c, const Insn *i, unsigned size)                    \
    {                                                                               \
        unsigned n = double_count(c, i, size);                                      \
        if (n) {                                                                    \
            rm_modify(c, i, n, size, calc_##name);                                  \
        } else if (!i->mod3) {                                                      \
            rm_load(c, i, size);                                                    \
        } else if (size == 4) {                                                     \
            reg_set(c, i->rm, reg_get(c, i->rm, 4), 4);                             \
        }                                                                           \
    }                                                                               \
    SIZED16(name)
DOUBLE_SHIFT(shld)
DOUBLE_SHIFT(shrd)

/* ---- bit test ---- */

INLINE void set_bit_flag(InterpCPU *c, uint64_t x, uint64_t bit)
{
    flags_set_cf(&c->fl, (x >> bit) & 1);
}
INLINE uint64_t calc_bts(InterpCPU *c, const Insn *i, uint64_t x, uint64_t bit, unsigned size)
{
    set_bit_flag(c, x, bit);
    return x | 1ULL << bit;
}
INLINE uint64_t calc_btr(InterpCPU *c, const Insn *i, uint64_t x, uint64_t bit, unsigned size)
{
    set_bit_flag(c, x, bit);
    return x & ~(1ULL << bit);
}
INLINE uint64_t calc_btc(InterpCPU *c, const Insn *i, uint64_t x, uint64_t bit, unsigned size)
{
    set_bit_flag(c, x, bit);
    return x ^ 1ULL << bit;
}
/* Memory operand of the register form: the bit number reaches beyond the operand. */
INLINE uint64_t bit_ea(InterpCPU *c, const Insn *i, unsigned size)
{
    int64_t bit = sign_extend(reg_get(c, i->reg, size), size);
    unsigned shift = size == 2 ? 4 : size == 4 ? 5 : 6;
    return addr_mask(insn_ea(c, i) + (uint64_t)((bit >> shift) * size), i->asize);
}
#define BIT_FORMS(name)                                                                       \
    INLINE void name##_mi(InterpCPU *c, const Insn *i, unsigned size)                         \
    {                                                                                         \
        rm_modify(c, i, i->imm & (size * 8 - 1), size, calc_##name);                          \
    }                                                                                         \
    SIZED16(name##_mi)                                                                        \
    INLINE void name##_mr(InterpCPU *c, const Insn *i, unsigned size)                         \
    {                                                                                         \
        uint64_t bit = reg_get(c, i->reg, size) & (size * 8 - 1);                             \
        if (i->mod3) {                                                                        \
            rm_modify(c, i, bit, size, calc_##name);                                          \
        } else {                                                                              \
            mem_modify(c, i, lin_write(c, i->seg, bit_ea(c, i, size), size), bit, size,       \
                       i->lock, calc_##name);                                                 \
        }                                                                                     \
    }                                                                                         \
    SIZED16(name##_mr)
BIT_FORMS(bts)
BIT_FORMS(btr)
BIT_FORMS(btc)
INLINE void bt_mi(InterpCPU *c, const Insn *i, unsigned size)
{
    set_bit_flag(c, rm_load(c, i, size), i->imm & (size * 8 - 1));
}
SIZED16(bt_mi)
INLINE void bt_mr(InterpCPU *c, const Insn *i, unsigned size)
{
    uint64_t bit = reg_get(c, i->reg, size) & (size * 8 - 1);
    uint64_t x = i->mod3 ? reg_get(c, i->rm, size)
                         : mem_load(c, i->seg, bit_ea(c, i, size), size);
    set_bit_flag(c, x, bit);
}
SIZED16(bt_mr)

/* ---- bit search ---- */

INLINE void set_zf(InterpCPU *c, bool zf)
{
    flags_put(&c->fl, (flags_get(&c->fl) & ~FL_ZF) | (zf ? FL_ZF : 0));
}
INLINE void bsf(InterpCPU *c, const Insn *i, unsigned size)
{
    uint64_t x = rm_load(c, i, size);
    set_zf(c, !x);
    if (x) { /* a zero source leaves the register alone */
        reg_set(c, i->reg, __builtin_ctzll(x), size);
    }
}
SIZED16(bsf)
INLINE void bsr(InterpCPU *c, const Insn *i, unsigned size)
{
    uint64_t x = rm_load(c, i, size);
    set_zf(c, !x);
    if (x) {
        reg_set(c, i->reg, 63 - __builtin_clzll(x), size);
    }
}
SIZED16(bsr)
INLINE void counted(InterpCPU *c, const Insn *i, uint64_t n, bool cf, unsigned size)
{
    reg_set(c, i->reg, n, size);
    flags_put(&c->fl, (flags_get(&c->fl) & ~(FL_ZF | FL_CF)) | (n ? 0 : FL_ZF) | (cf ? FL_CF : 0));
}
INLINE void tzcnt(InterpCPU *c, const Insn *i, unsigned size)
{
    uint64_t x = rm_load(c, i, size);
    if (!c->has_bmi1) { /* older CPUs ignore the prefix */
        bsf(c, i, size);
        return;
    }
    counted(c, i, x ? __builtin_ctzll(x) : size * 8, !x, size);
}
SIZED16(tzcnt)
INLINE void lzcnt(InterpCPU *c, const Insn *i, unsigned size)
{
    uint64_t x = rm_load(c, i, size);
    if (!c->has_lzcnt) {
        bsr(c, i, size);
        return;
    }
    counted(c, i, x ? __builtin_clzll(x) - (64 - size * 8) : size * 8, !x, size);
}
SIZED16(lzcnt)
INLINE void popcnt(InterpCPU *c, const Insn *i, unsigned size)
{
    uint64_t x = rm_load(c, i, size);
    reg_set(c, i->reg, __builtin_popcountll(x), size);
    flags_put(&c->fl, x ? 0 : FL_ZF);
}
SIZED16(popcnt)
