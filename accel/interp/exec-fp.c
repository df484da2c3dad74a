/*
 * Floating point of the software CPU: the x87 control instructions, fxsave and
 * fxrstor, MXCSR, and SSE arithmetic with the default rounding.
 *
 * Sticky exception flags of MXCSR are not recorded, and a guest that asks for
 * another rounding or for unmasked exceptions stops the machine.
 *
 * Thread: the vCPU's own.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <math.h>

#include "ops.h"
#include "vector.h"

/* ---- x87 control ---- */

static void x87_check(InterpCPU *c)
{
    if (c->env->cr[0] & (CR0_EM | CR0_TS)) {
        raise_exception(c, EXC_NM);
    }
}
void op_fwait(InterpCPU *c, const Insn *i)
{
    if ((c->env->cr[0] & (CR0_MP | CR0_TS)) == (CR0_MP | CR0_TS)) {
        raise_exception(c, EXC_NM);
    }
}

static uint16_t status_word(const CPUX86State *env)
{
    return (env->fpus & ~0x3800) | (env->fpstt & 7) << 11;
}

static void fninit(CPUX86State *env)
{
    env->fpuc = 0x37f;
    env->fpus = 0;
    env->fpstt = 0;
    env->fptag = 0;
    env->fpop = 0;
    env->fpip = env->fpdp = 0;
}

void op_x87(InterpCPU *c, const Insn *i)
{
    CPUX86State *env = c->env;
    unsigned which = (i->raw_modrm >> 3) & 7;
    x87_check(c);
    if (i->op == 0xd9 && !i->mod3 && which == 7) {
        rm_store(c, i, env->fpuc, 2);
    } else if (i->op == 0xd9 && !i->mod3 && which == 5) {
        env->fpuc = (uint16_t)rm_load(c, i, 2) | 0x40;
    } else if (i->op == 0xdd && !i->mod3 && which == 7) {
        rm_store(c, i, status_word(env), 2);
    } else if (i->op == 0xdf && i->raw_modrm == 0xe0) {
        reg_set(c, R_EAX, status_word(env), 2);
    } else if (i->op == 0xdb && i->raw_modrm == 0xe3) {
        fninit(env);
    } else if (i->op == 0xdb && i->raw_modrm == 0xe2) {
        env->fpus &= 0x7f00; /* fnclex */
    } else {
        op_unknown(c, i);
    }
}

/* ---- the fxsave image ---- */

static void image_put(uint8_t *p, uint64_t v, unsigned size)
{
    host_store(p, v, size);
}

static void image_build(InterpCPU *c, const Insn *i, uint8_t m[512])
{
    CPUX86State *env = c->env;
    image_put(m, env->fpuc, 2);
    image_put(m + 2, status_word(env), 2);
    image_put(m + 4, env->fptag & 0xff, 1);
    image_put(m + 6, env->fpop, 2);
    if (i->prefix & P_REXW) {
        image_put(m + 8, env->fpip, 8);
        image_put(m + 16, env->fpdp, 8);
    } else {
        image_put(m + 8, env->fpip, 4);
        image_put(m + 16, env->fpdp, 4);
    }
    image_put(m + 24, env->mxcsr, 4);
    image_put(m + 28, 0xffff, 4);
    for (unsigned k = 0; k < 8; k++) {
        const FpReg *r = &env->fpregs[(env->fpstt + k) & 7];
        image_put(m + 32 + 16 * k, r->mantissa, 8);
        image_put(m + 40 + 16 * k, r->exponent, 2);
    }
    for (unsigned k = 0; k < (c->mode == CODE_64 ? 16 : 8); k++) {
        image_put(m + 160 + 16 * k, env->xmm[k].q[0], 8);
        image_put(m + 168 + 16 * k, env->xmm[k].q[1], 8);
    }
}

static uint64_t image_address(InterpCPU *c, const Insn *i)
{
    uint64_t ea = insn_ea(c, i);
    if ((c->seg[i->seg].base + ea) & 15) {
        raise_exception_err(c, EXC_GP, 0);
    }
    x87_check(c);
    return ea;
}

void op_fxsave(InterpCPU *c, const Insn *i)
{
    uint8_t m[512];
    uint64_t ea = image_address(c, i);
    unsigned end = c->mode == CODE_64 ? 416 : 288; /* what follows is not written */
    mmu_probe_write(c, lin_write(c, i->seg, ea, end), end, tlb_which(c));
    memset(m, 0, sizeof(m));
    image_build(c, i, m);
    for (unsigned k = 0; k < end; k += 8) {
        mem_store(c, i->seg, ea + k, host_load(m + k, 8), 8);
    }
}

void op_fxrstor(InterpCPU *c, const Insn *i)
{
    CPUX86State *env = c->env;
    uint8_t m[512];
    uint64_t ea = image_address(c, i);
    for (unsigned k = 0; k < 416; k += 8) {
        host_store(m + k, mem_load(c, i->seg, ea + k, 8), 8);
    }
    uint32_t mxcsr = (uint32_t)host_load(m + 24, 4);
    if (mxcsr & ~0xffffu) {
        raise_exception_err(c, EXC_GP, 0);
    }
    bool wide = i->prefix & P_REXW;
    env->fpuc = (uint16_t)host_load(m, 2);
    env->fpus = (uint16_t)host_load(m + 2, 2);
    env->fpstt = (env->fpus >> 11) & 7;
    env->fptag = m[4];
    env->fpop = (uint16_t)host_load(m + 6, 2);
    env->fpip = host_load(m + 8, wide ? 8 : 4);
    env->fpdp = host_load(m + 16, wide ? 8 : 4);
    env->mxcsr = mxcsr;
    for (unsigned k = 0; k < 8; k++) {
        FpReg *r = &env->fpregs[(env->fpstt + k) & 7];
        r->mantissa = host_load(m + 32 + 16 * k, 8);
        r->exponent = (uint16_t)host_load(m + 40 + 16 * k, 2);
    }
    for (unsigned k = 0; k < (c->mode == CODE_64 ? 16 : 8); k++) {
        env->xmm[k].q[0] = host_load(m + 160 + 16 * k, 8);
        env->xmm[k].q[1] = host_load(m + 168 + 16 * k, 8);
    }
}

void op_ldmxcsr(InterpCPU *c, const Insn *i)
{
    sse_check(c);
    uint32_t v = (uint32_t)rm_load(c, i, 4);
    if (v & ~0xffffu) {
        raise_exception_err(c, EXC_GP, 0);
    }
    c->env->mxcsr = v;
}
void op_stmxcsr(InterpCPU *c, const Insn *i)
{
    sse_check(c);
    rm_store(c, i, c->env->mxcsr, 4);
}

/* ---- arithmetic ---- */

static void fp_check(InterpCPU *c)
{
    sse_check(c);
    if ((c->env->mxcsr & 0x7f80) != 0x1f80) {
        interp_stop(c, "floating point with MXCSR 0x%x (rounding or unmasked exceptions) is not "
                       "supported", c->env->mxcsr);
    }
}

#define ARITH(name, type, root)                          \
    static type name(unsigned op, type x, type y)        \
    {                                                    \
        switch (op) {                                    \
        case 0x51:                                       \
            return root(y);                              \
        case 0x58:                                       \
            return x + y;                                \
        case 0x59:                                       \
            return x * y;                                \
        case 0x5c:                                       \
            return x - y;                                \
        case 0x5d:                                       \
            return x < y ? x : y;                        \
        case 0x5e:                                       \
            return x / y;                                \
        default:                                         \
            return x > y ? x : y;                        \
        }                                                \
    }
ARITH(arith32, float, sqrtf)
ARITH(arith64, double, sqrt)

/* Width of the lanes that a prefix chooses, and whether there is only one. */
static bool is_double(const Insn *i)
{
    return i->rep == 0xf2 || (!i->rep && (i->prefix & P_66));
}
void sse_arith(InterpCPU *c, const Insn *i)
{
    fp_check(c);
    bool wide = is_double(i);
    unsigned n = i->rep ? 1 : wide ? 2 : 4;
    Vec s = i->rep ? vec_rm_low(c, i, wide ? 8 : 4) : vec_rm(c, i);
    Vec d = xmm_get(c, i->reg);
    for (unsigned k = 0; k < n; k++) {
        if (wide) {
            d.f64[k] = arith64(i->op, d.f64[k], s.f64[k]);
        } else {
            d.f32[k] = arith32(i->op, d.f32[k], s.f32[k]);
        }
    }
    xmm_set(c, i->reg, d);
}

void sse_comis(InterpCPU *c, const Insn *i)
{
    fp_check(c);
    bool wide = i->prefix & P_66;
    Vec s = vec_rm_low(c, i, wide ? 8 : 4), d = xmm_get(c, i->reg);
    double x = wide ? d.f64[0] : d.f32[0], y = wide ? s.f64[0] : s.f32[0];
    uint32_t fl = isunordered(x, y) ? FL_ZF | FL_PF | FL_CF : x < y ? FL_CF : x == y ? FL_ZF : 0;
    flags_put(&c->fl, fl);
}

void sse_cvtsi2s(InterpCPU *c, const Insn *i)
{
    fp_check(c);
    unsigned size = i->prefix & P_REXW ? 8 : 4;
    int64_t v = sign_extend(rm_load(c, i, size), size);
    Vec d = xmm_get(c, i->reg);
    if (i->rep == 0xf2) {
        d.f64[0] = (double)v;
    } else {
        d.f32[0] = (float)v;
    }
    xmm_set(c, i->reg, d);
}
void sse_cvts2si(InterpCPU *c, const Insn *i) /* 2c truncates, 2d rounds */
{
    fp_check(c);
    bool wide = i->rep == 0xf2;
    Vec s = vec_rm_low(c, i, wide ? 8 : 4);
    double v = wide ? s.f64[0] : s.f32[0];
    unsigned size = i->prefix & P_REXW ? 8 : 4;
    double limit = size == 8 ? 0x1p63 : 0x1p31;
    v = i->op == 0x2c ? trunc(v) : nearbyint(v);
    uint64_t r = v >= -limit && v < limit ? (uint64_t)(int64_t)v : 1ULL << (size * 8 - 1);
    reg_set(c, i->reg, r, size);
}
void sse_cvt_ss_sd(InterpCPU *c, const Insn *i)
{
    fp_check(c);
    bool from_double = i->rep == 0xf2;
    Vec s = vec_rm_low(c, i, from_double ? 8 : 4), d = xmm_get(c, i->reg);
    if (from_double) {
        d.f32[0] = (float)s.f64[0];
    } else {
        d.f64[0] = s.f32[0];
    }
    xmm_set(c, i->reg, d);
}
