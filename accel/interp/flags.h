/*
 * Arithmetic flags, kept in a form that is cheap to make and cheap to ask.
 * Pure functions on LazyFlags.
 *
 *   z   is zero exactly when ZF is set
 *   s   has SF in bit 63; PF is the parity of its low byte
 *   cv  bit 63 is CF; bit 63 xor bit 62 is OF.  For an addition it is the vector
 *       of carries out of each bit, moved up so that the top bit of the operand
 *       is bit 63.
 *   a   has AF in bit 4
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_ACCEL_INTERP_FLAGS_H
#define FERRY_ACCEL_INTERP_FLAGS_H

#include "interp.h"

#define INLINE static inline __attribute__((always_inline))

INLINE uint64_t size_mask(unsigned size)
{
    return ~0ULL >> (64 - size * 8);
}
INLINE int64_t sign_extend(uint64_t v, unsigned size)
{
    unsigned sh = 64 - size * 8;
    return (int64_t)(v << sh) >> sh;
}

INLINE bool flag_cf(const LazyFlags *f)
{
    return f->cv >> 63;
}
INLINE bool flag_of(const LazyFlags *f)
{
    return (f->cv ^ (f->cv << 1)) >> 63;
}
INLINE bool flag_zf(const LazyFlags *f)
{
    return f->z == 0;
}
INLINE bool flag_sf(const LazyFlags *f)
{
    return f->s >> 63;
}
INLINE bool flag_pf(const LazyFlags *f)
{
    return !__builtin_parity(f->s & 0xff);
}
INLINE bool flag_af(const LazyFlags *f)
{
    return (f->a >> 4) & 1;
}

INLINE void flags_set_cf_of(LazyFlags *f, bool cf, bool of)
{
    f->cv = ((uint64_t)cf << 63) | ((uint64_t)(cf ^ of) << 62);
}
INLINE void flags_set_cf(LazyFlags *f, bool cf)
{
    flags_set_cf_of(f, cf, flag_of(f));
}
/* ZF, SF and PF from a result. */
INLINE void flags_set_zsp(LazyFlags *f, uint64_t res, unsigned size)
{
    f->z = f->s = (uint64_t)sign_extend(res, size);
}
INLINE void flags_logic(LazyFlags *f, uint64_t res, unsigned size)
{
    flags_set_zsp(f, res, size);
    f->cv = 0;
    f->a = 0;
}
INLINE void flags_add(LazyFlags *f, uint64_t x, uint64_t y, uint64_t res, unsigned size)
{
    flags_set_zsp(f, res, size);
    f->cv = ((x & y) | ((x | y) & ~res)) << (64 - size * 8);
    f->a = x ^ y ^ res;
}
INLINE void flags_sub(LazyFlags *f, uint64_t x, uint64_t y, uint64_t res, unsigned size)
{
    flags_set_zsp(f, res, size);
    f->cv = ((~x & y) | ((~x | y) & res)) << (64 - size * 8);
    f->a = x ^ y ^ res;
}

INLINE uint32_t flags_get(const LazyFlags *f)
{
    return (flag_cf(f) ? FL_CF : 0) | (flag_pf(f) ? FL_PF : 0) | (flag_af(f) ? FL_AF : 0) |
           (flag_zf(f) ? FL_ZF : 0) | (flag_sf(f) ? FL_SF : 0) | (flag_of(f) ? FL_OF : 0);
}
INLINE void flags_put(LazyFlags *f, uint32_t eflags)
{
    f->z = !(eflags & FL_ZF);
    f->s = ((uint64_t)!!(eflags & FL_SF) << 63) | !(eflags & FL_PF);
    f->a = eflags & FL_AF;
    flags_set_cf_of(f, eflags & FL_CF, !!(eflags & FL_OF));
}

/* The condition of jcc, setcc and cmovcc: low four bits of the opcode. */
INLINE bool flags_cond(const LazyFlags *f, unsigned cc)
{
    bool r;
    switch ((cc >> 1) & 7) {
    case 0:
        r = flag_of(f);
        break;
    case 1:
        r = flag_cf(f);
        break;
    case 2:
        r = flag_zf(f);
        break;
    case 3:
        r = flag_cf(f) || flag_zf(f);
        break;
    case 4:
        r = flag_sf(f);
        break;
    case 5:
        r = flag_pf(f);
        break;
    case 6:
        r = flag_sf(f) != flag_of(f);
        break;
    default:
        r = flag_zf(f) || flag_sf(f) != flag_of(f);
        break;
    }
    return r ^ (cc & 1);
}

#endif
