/*
 * SSE and SSE2 instructions of the software CPU that move data or work on
 * integers.  Floating point is in exec-fp.c.
 *
 * Thread: the vCPU's own.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "ops.h"
#include "vector.h"

/* ---- moves of 16 bytes ---- */

static void load16(InterpCPU *c, const Insn *i, bool aligned)
{
    sse_check(c);
    xmm_set(c, i->reg, i->mod3 ? xmm_get(c, i->rm) : vec_load(c, i, aligned));
}
static void store16(InterpCPU *c, const Insn *i, bool aligned)
{
    sse_check(c);
    if (i->mod3) {
        xmm_set(c, i->rm, xmm_get(c, i->reg));
    } else {
        vec_store(c, i, xmm_get(c, i->reg), aligned);
    }
}
void sse_load16(InterpCPU *c, const Insn *i)
{
    load16(c, i, false);
}
void sse_load16_aligned(InterpCPU *c, const Insn *i)
{
    load16(c, i, true);
}
void sse_store16(InterpCPU *c, const Insn *i)
{
    store16(c, i, false);
}
void sse_store16_aligned(InterpCPU *c, const Insn *i)
{
    store16(c, i, true);
}

/* ---- moves of a part ---- */

/* A register source replaces the low part only, memory clears the rest. */
static void load_low(InterpCPU *c, const Insn *i, unsigned size)
{
    sse_check(c);
    Vec v = vec_rm_low(c, i, size);
    if (i->mod3) {
        Vec old = xmm_get(c, i->reg);
        memcpy(old.u8, v.u8, size);
        v = old;
    }
    xmm_set(c, i->reg, v);
}
static void store_low(InterpCPU *c, const Insn *i, unsigned size)
{
    sse_check(c);
    Vec v = xmm_get(c, i->reg);
    if (i->mod3) {
        Vec old = xmm_get(c, i->rm);
        memcpy(old.u8, v.u8, size);
        xmm_set(c, i->rm, old);
    } else {
        mem_store(c, i->seg, insn_ea(c, i), v.u64[0], size);
    }
}
void sse_movss_load(InterpCPU *c, const Insn *i)
{
    load_low(c, i, 4);
}
void sse_movsd_load(InterpCPU *c, const Insn *i)
{
    load_low(c, i, 8);
}
void sse_movss_store(InterpCPU *c, const Insn *i)
{
    store_low(c, i, 4);
}
void sse_movsd_store(InterpCPU *c, const Insn *i)
{
    store_low(c, i, 8);
}
void sse_movlps(InterpCPU *c, const Insn *i) /* from memory, or the high half of a register */
{
    sse_check(c);
    Vec v = xmm_get(c, i->reg);
    v.u64[0] = i->mod3 ? xmm_get(c, i->rm).u64[1] : vec_rm_low(c, i, 8).u64[0];
    xmm_set(c, i->reg, v);
}
void sse_movhps(InterpCPU *c, const Insn *i) /* into the high half */
{
    sse_check(c);
    Vec v = xmm_get(c, i->reg);
    v.u64[1] = vec_rm_low(c, i, 8).u64[0];
    xmm_set(c, i->reg, v);
}
void sse_store_low(InterpCPU *c, const Insn *i)
{
    sse_check(c);
    mem_store(c, i->seg, insn_ea(c, i), xmm_get(c, i->reg).u64[0], 8);
}
void sse_store_high(InterpCPU *c, const Insn *i)
{
    sse_check(c);
    mem_store(c, i->seg, insn_ea(c, i), xmm_get(c, i->reg).u64[1], 8);
}
void sse_movddup(InterpCPU *c, const Insn *i)
{
    sse_check(c);
    uint64_t low = vec_rm_low(c, i, 8).u64[0];
    xmm_set(c, i->reg, (Vec){.u64 = {low, low}});
}
void sse_movd_load(InterpCPU *c, const Insn *i)
{
    sse_check(c);
    unsigned size = i->prefix & P_REXW ? 8 : 4;
    xmm_set(c, i->reg, (Vec){.u64 = {rm_load(c, i, size), 0}});
}
void sse_movd_store(InterpCPU *c, const Insn *i)
{
    sse_check(c);
    rm_store(c, i, xmm_get(c, i->reg).u64[0], i->prefix & P_REXW ? 8 : 4);
}
void sse_movq_load(InterpCPU *c, const Insn *i)
{
    sse_check(c);
    xmm_set(c, i->reg, (Vec){.u64 = {vec_rm_low(c, i, 8).u64[0], 0}});
}
void sse_movq_store(InterpCPU *c, const Insn *i)
{
    sse_check(c);
    uint64_t low = xmm_get(c, i->reg).u64[0];
    if (i->mod3) {
        xmm_set(c, i->rm, (Vec){.u64 = {low, 0}});
    } else {
        mem_store(c, i->seg, insn_ea(c, i), low, 8);
    }
}

/* ---- two operands, lane by lane ---- */

typedef void VecFn(Vec *d, const Vec *s);
#define LANES(name, lane, n, expr)                          \
    static void name(Vec *d, const Vec *s)                  \
    {                                                       \
        for (unsigned k = 0; k < n; k++) {                  \
            __typeof__(d->lane[0]) x = d->lane[k], y = s->lane[k]; \
            d->lane[k] = (__typeof__(x))(expr);             \
        }                                                   \
    }
#define CLAMP_TO(v, lo, hi) ((v) < (lo) ? (lo) : (v) > (hi) ? (hi) : (v))

LANES(paddb, u8, 16, x + y)
LANES(paddw, u16, 8, x + y)
LANES(paddd, u32, 4, x + y)
LANES(paddq, u64, 2, x + y)
LANES(psubb, u8, 16, x - y)
LANES(psubw, u16, 8, x - y)
LANES(psubd, u32, 4, x - y)
LANES(psubq, u64, 2, x - y)
LANES(paddusb, u8, 16, CLAMP_TO(x + y, 0, 255))
LANES(paddusw, u16, 8, CLAMP_TO(x + y, 0, 65535))
LANES(paddsb, s8, 16, CLAMP_TO(x + y, -128, 127))
LANES(paddsw, s16, 8, CLAMP_TO(x + y, -32768, 32767))
LANES(psubusb, u8, 16, CLAMP_TO(x - y, 0, 255))
LANES(psubusw, u16, 8, CLAMP_TO(x - y, 0, 65535))
LANES(psubsb, s8, 16, CLAMP_TO(x - y, -128, 127))
LANES(psubsw, s16, 8, CLAMP_TO(x - y, -32768, 32767))
LANES(pcmpeqb, u8, 16, x == y ? 0xff : 0)
LANES(pcmpeqw, u16, 8, x == y ? 0xffff : 0)
LANES(pcmpeqd, u32, 4, x == y ? 0xffffffff : 0)
LANES(pcmpgtb, s8, 16, x > y ? -1 : 0)
LANES(pcmpgtw, s16, 8, x > y ? -1 : 0)
LANES(pcmpgtd, s32, 4, x > y ? -1 : 0)
LANES(pand, u64, 2, x & y)
LANES(pandn, u64, 2, ~x & y)
LANES(por, u64, 2, x | y)
LANES(pxor, u64, 2, x ^ y)
LANES(pminub, u8, 16, x < y ? x : y)
LANES(pmaxub, u8, 16, x > y ? x : y)
LANES(pminsw, s16, 8, x < y ? x : y)
LANES(pmaxsw, s16, 8, x > y ? x : y)
LANES(pavgb, u8, 16, (x + y + 1) >> 1)
LANES(pavgw, u16, 8, (x + y + 1) >> 1)
LANES(pmullw, u16, 8, (uint32_t)x * y)
LANES(pmulhuw, u16, 8, ((uint32_t)x * y) >> 16)
LANES(pmulhw, s16, 8, ((int32_t)x * y) >> 16)
LANES(pmuludq, u64, 2, (uint64_t)(uint32_t)x * (uint32_t)y)

/* shifts by the low quadword of the source */
#define SHIFT_LANES(name, lane, n, bits, expr)                       \
    static void name(Vec *d, const Vec *s)                           \
    {                                                                \
        uint64_t by = s->u64[0];                                     \
        for (unsigned k = 0; k < n; k++) {                           \
            __typeof__(d->lane[0]) x = d->lane[k];                   \
            d->lane[k] = (__typeof__(x))(expr);                      \
        }                                                            \
    }
SHIFT_LANES(psrlw, u16, 8, 16, by > 15 ? 0 : x >> by)
SHIFT_LANES(psrld, u32, 4, 32, by > 31 ? 0 : x >> by)
SHIFT_LANES(psrlq, u64, 2, 64, by > 63 ? 0 : x >> by)
SHIFT_LANES(psllw, u16, 8, 16, by > 15 ? 0 : (uint32_t)x << by)
SHIFT_LANES(pslld, u32, 4, 32, by > 31 ? 0 : x << by)
SHIFT_LANES(psllq, u64, 2, 64, by > 63 ? 0 : x << by)
SHIFT_LANES(psraw, s16, 8, 16, x >> (by > 15 ? 15 : by))
SHIFT_LANES(psrad, s32, 4, 32, x >> (by > 31 ? 31 : by))

static void pmaddwd(Vec *d, const Vec *s)
{
    for (unsigned k = 0; k < 4; k++) {
        int64_t sum = (int64_t)d->s16[2 * k] * s->s16[2 * k] +
                      (int64_t)d->s16[2 * k + 1] * s->s16[2 * k + 1];
        d->u32[k] = (uint32_t)sum;
    }
}
static void psadbw(Vec *d, const Vec *s)
{
    for (unsigned half = 0; half < 2; half++) {
        unsigned sum = 0;
        for (unsigned k = half * 8; k < half * 8 + 8; k++) {
            sum += d->u8[k] > s->u8[k] ? d->u8[k] - s->u8[k] : s->u8[k] - d->u8[k];
        }
        d->u64[half] = sum;
    }
}
#define PACK(name, to, from, half, lo, hi)                                       \
    static void name(Vec *d, const Vec *s)                                       \
    {                                                                            \
        Vec r;                                                                   \
        for (unsigned k = 0; k < half; k++) {                                    \
            r.to[k] = (__typeof__(r.to[0]))CLAMP_TO(d->from[k], lo, hi);         \
            r.to[k + half] = (__typeof__(r.to[0]))CLAMP_TO(s->from[k], lo, hi);  \
        }                                                                        \
        *d = r;                                                                  \
    }
PACK(packsswb, s8, s16, 8, -128, 127)
PACK(packuswb, u8, s16, 8, 0, 255)
PACK(packssdw, s16, s32, 4, -32768, 32767)

static VecFn *const int_ops[256] = {
    [0x63] = packsswb, [0x64] = pcmpgtb, [0x65] = pcmpgtw, [0x66] = pcmpgtd, [0x67] = packuswb,
    [0x6b] = packssdw, [0x74] = pcmpeqb, [0x75] = pcmpeqw, [0x76] = pcmpeqd,
    [0xd1] = psrlw, [0xd2] = psrld, [0xd3] = psrlq, [0xd4] = paddq, [0xd5] = pmullw,
    [0xd8] = psubusb, [0xd9] = psubusw, [0xda] = pminub, [0xdb] = pand, [0xdc] = paddusb,
    [0xdd] = paddusw, [0xde] = pmaxub, [0xdf] = pandn,
    [0xe0] = pavgb, [0xe1] = psraw, [0xe2] = psrad, [0xe3] = pavgw, [0xe4] = pmulhuw,
    [0xe5] = pmulhw, [0xe8] = psubsb, [0xe9] = psubsw, [0xea] = pminsw, [0xeb] = por,
    [0xec] = paddsb, [0xed] = paddsw, [0xee] = pmaxsw, [0xef] = pxor,
    [0xf1] = psllw, [0xf2] = pslld, [0xf3] = psllq, [0xf4] = pmuludq, [0xf5] = pmaddwd,
    [0xf6] = psadbw, [0xf8] = psubb, [0xf9] = psubw, [0xfa] = psubd, [0xfb] = psubq,
    [0xfc] = paddb, [0xfd] = paddw, [0xfe] = paddd,
};

static void two_operands(InterpCPU *c, const Insn *i, VecFn *fn)
{
    sse_check(c);
    Vec s = vec_rm(c, i), d = xmm_get(c, i->reg);
    fn(&d, &s);
    xmm_set(c, i->reg, d);
}
void sse_int(InterpCPU *c, const Insn *i)
{
    two_operands(c, i, int_ops[i->op]);
}
/* andps, andnps, orps, xorps and the same of pd */
void sse_logic(InterpCPU *c, const Insn *i)
{
    static VecFn *const ops[4] = {pand, pandn, por, pxor};
    two_operands(c, i, ops[i->op & 3]);
}

/* ---- shuffles ---- */

/* Interleave lanes of `width` bytes from the low (first 0) or high half of both. */
static Vec interleave(const Vec *d, const Vec *s, unsigned width, bool high)
{
    Vec r;
    const uint8_t *x = d->u8 + (high ? 8 : 0), *y = s->u8 + (high ? 8 : 0);
    for (unsigned k = 0; k < 8; k += width) {
        memcpy(r.u8 + 2 * k, x + k, width);
        memcpy(r.u8 + 2 * k + width, y + k, width);
    }
    return r;
}
void sse_punpck(InterpCPU *c, const Insn *i)
{
    sse_check(c);
    Vec s = vec_rm(c, i), d = xmm_get(c, i->reg);
    unsigned width;
    bool high;
    if (i->op < 0x60) { /* unpcklps 14, unpckhps 15 */
        width = i->prefix & P_66 ? 8 : 4;
        high = i->op & 1;
    } else if (i->op >= 0x6c) {
        width = 8;
        high = i->op & 1;
    } else {
        width = 1u << (i->op & 3);
        high = i->op >= 0x68;
    }
    xmm_set(c, i->reg, interleave(&d, &s, width, high));
}

void sse_pshuf(InterpCPU *c, const Insn *i) /* 66 pshufd, F3 pshufhw, F2 pshuflw */
{
    sse_check(c);
    Vec s = vec_rm(c, i), r = s;
    for (unsigned k = 0; k < 4; k++) {
        unsigned from = (i->imm >> (2 * k)) & 3;
        if (i->rep == 0xf3) {
            r.u16[4 + k] = s.u16[4 + from];
        } else if (i->rep == 0xf2) {
            r.u16[k] = s.u16[from];
        } else {
            r.u32[k] = s.u32[from];
        }
    }
    xmm_set(c, i->reg, r);
}
void sse_shufp(InterpCPU *c, const Insn *i)
{
    sse_check(c);
    Vec s = vec_rm(c, i), d = xmm_get(c, i->reg), r;
    if (i->prefix & P_66) {
        r.u64[0] = d.u64[i->imm & 1];
        r.u64[1] = s.u64[(i->imm >> 1) & 1];
    } else {
        for (unsigned k = 0; k < 4; k++) {
            r.u32[k] = (k < 2 ? &d : &s)->u32[(i->imm >> (2 * k)) & 3];
        }
    }
    xmm_set(c, i->reg, r);
}
void sse_pshufb(InterpCPU *c, const Insn *i)
{
    sse_check(c);
    Vec s = vec_rm(c, i), d = xmm_get(c, i->reg), r;
    for (unsigned k = 0; k < 16; k++) {
        r.u8[k] = s.u8[k] & 0x80 ? 0 : d.u8[s.u8[k] & 15];
    }
    xmm_set(c, i->reg, r);
}

/* 71, 72, 73: shifts by an immediate; /3 and /7 of 73 shift the whole register by bytes */
void sse_shift_imm(InterpCPU *c, const Insn *i)
{
    static VecFn *const ops[3][8] = {
        {NULL, NULL, psrlw, NULL, psraw, NULL, psllw, NULL},
        {NULL, NULL, psrld, NULL, psrad, NULL, pslld, NULL},
        {NULL, NULL, psrlq, NULL, NULL, NULL, psllq, NULL},
    };
    unsigned which = (i->raw_modrm >> 3) & 7;
    uint8_t by = (uint8_t)i->imm;
    sse_check(c);
    Vec d = xmm_get(c, i->rm);
    if (i->op == 0x73 && (which == 3 || which == 7)) {
        unsigned __int128 v = (unsigned __int128)d.u64[1] << 64 | d.u64[0];
        v = by > 15 ? 0 : which == 3 ? v >> (by * 8) : v << (by * 8);
        d.u64[0] = (uint64_t)v;
        d.u64[1] = (uint64_t)(v >> 64);
    } else if (ops[i->op - 0x71][which]) {
        Vec count = {.u64 = {by, 0}};
        ops[i->op - 0x71][which](&d, &count);
    } else {
        raise_exception(c, EXC_UD);
    }
    xmm_set(c, i->rm, d);
}

/* ---- between general and vector registers ---- */

void sse_pinsrw(InterpCPU *c, const Insn *i)
{
    sse_check(c);
    Vec v = xmm_get(c, i->reg);
    v.u16[i->imm & 7] = (uint16_t)rm_load(c, i, 2);
    xmm_set(c, i->reg, v);
}
void sse_pextrw(InterpCPU *c, const Insn *i)
{
    sse_check(c);
    reg_set(c, i->reg, xmm_get(c, i->rm).u16[i->imm & 7], 4);
}
void sse_pmovmskb(InterpCPU *c, const Insn *i)
{
    sse_check(c);
    Vec v = xmm_get(c, i->rm);
    uint32_t mask = 0;
    for (unsigned k = 0; k < 16; k++) {
        mask |= (uint32_t)(v.u8[k] >> 7) << k;
    }
    reg_set(c, i->reg, mask, 4);
}
void sse_movmskp(InterpCPU *c, const Insn *i)
{
    sse_check(c);
    Vec v = xmm_get(c, i->rm);
    uint32_t mask = 0;
    if (i->prefix & P_66) {
        mask = (uint32_t)(v.u64[0] >> 63 | v.u64[1] >> 63 << 1);
    } else {
        for (unsigned k = 0; k < 4; k++) {
            mask |= v.u32[k] >> 31 << k;
        }
    }
    reg_set(c, i->reg, mask, 4);
}
