/*
 * Floating point, vector and extended state: the XSAVE area of the kernel to and from
 * the CPU object.  Same callers as kvm-regs.c.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <inttypes.h>
#include <string.h>

#include "kvm-int.h"
#include "util/util.h"

enum { XFEATURE_X87, XFEATURE_SSE, XFEATURE_AVX, XFEATURE_OPMASK = 5, XFEATURE_ZMM_HI256,
       XFEATURE_HI16_ZMM, XFEATURE_PKRU = 9 };

/* The legacy area: what FXSAVE writes. */
typedef struct FxArea {
    uint16_t fcw, fsw;
    uint8_t ftw, reserved;
    uint16_t fop;
    uint64_t rip, rdp;
    uint32_t mxcsr, mxcsr_mask;
    struct { uint64_t mantissa; uint16_t exponent; uint8_t pad[6]; } st[8];
    uint8_t xmm[16][16];
    uint8_t pad[96];
} FxArea;

G_STATIC_ASSERT(sizeof(FxArea) == 512);
#define XSTATE_BV_OFFSET 512

/* Where the state component lies in the standard format; 0: not there. */
static uint32_t component_offset(int nr, uint32_t size)
{
    uint32_t offset = kvm_supported_cpuid(0xd, nr, 1);

    if (kvm_supported_cpuid(0xd, nr, 0) < size || offset + size > kvm.xsave_size) {
        return 0;
    }
    return offset;
}

static void fx_to_env(CPUX86State *env, const FxArea *f)
{
    env->fpuc = f->fcw;
    env->fpstt = (f->fsw >> 11) & 7;
    env->fpus = f->fsw & ~(7 << 11);
    env->fptag = f->ftw;
    env->fpop = f->fop;
    env->fpip = f->rip;
    env->fpdp = f->rdp;
    env->mxcsr = f->mxcsr;
    /* The area numbers by stack position, the CPU object by physical register. */
    for (int i = 0; i < 8; i++) {
        FpReg *r = &env->fpregs[(env->fpstt + i) & 7];

        r->mantissa = f->st[i].mantissa;
        r->exponent = f->st[i].exponent;
    }
    for (int i = 0; i < 16; i++) {
        memcpy(env->xmm[i].b, f->xmm[i], 16);
    }
}

static void fx_from_env(const CPUX86State *env, FxArea *f)
{
    f->fcw = env->fpuc;
    f->fsw = (env->fpus & ~(7 << 11)) | (env->fpstt & 7) << 11;
    f->ftw = env->fptag;
    f->fop = env->fpop;
    f->rip = env->fpip;
    f->rdp = env->fpdp;
    f->mxcsr = env->mxcsr;
    for (int i = 0; i < 8; i++) {
        const FpReg *r = &env->fpregs[(env->fpstt + i) & 7];

        f->st[i].mantissa = r->mantissa;
        f->st[i].exponent = r->exponent;
    }
    for (int i = 0; i < 16; i++) {
        memcpy(f->xmm[i], env->xmm[i].b, 16);
    }
}

/* Copy components beyond the legacy area; to_env tells the direction. */
static void copy_extended(CPUX86State *env, uint8_t *area, bool to_env)
{
#define MOVE(area_ptr, env_ptr, n) \
    (to_env ? memcpy((env_ptr), (area_ptr), (n)) : memcpy((area_ptr), (env_ptr), (n)))
    uint32_t avx = component_offset(XFEATURE_AVX, 256);
    uint32_t opmask = component_offset(XFEATURE_OPMASK, 64);
    uint32_t hi256 = component_offset(XFEATURE_ZMM_HI256, 512);
    uint32_t hi16 = component_offset(XFEATURE_HI16_ZMM, 1024);
    uint32_t pkru = component_offset(XFEATURE_PKRU, 4);

    for (int i = 0; i < 16; i++) {
        if (avx) {
            MOVE(area + avx + 16 * i, &env->xmm[i].b[16], 16);
        }
        if (hi256) {
            MOVE(area + hi256 + 32 * i, &env->xmm[i].b[32], 32);
        }
        if (hi16) {
            MOVE(area + hi16 + 64 * i, env->xmm[16 + i].b, 64);
        }
    }
    if (opmask) {
        MOVE(area + opmask, env->opmask, 64);
    }
    if (pkru) {
        MOVE(area + pkru, &env->pkru, 4);
    }
#undef MOVE
}

static bool get_fpu_only(KvmVcpu *v, Error **errp)
{
    CPUX86State *env = &v->cpu->env;
    struct kvm_fpu k;
    FxArea f = { 0 };

    if (kvm_ioctl(v->fd, KVM_GET_FPU, &k) < 0) {
        error_setg_errno(errp, errno, "KVM_GET_FPU");
        return false;
    }
    f = (FxArea){ .fcw = k.fcw, .fsw = k.fsw, .ftw = k.ftwx, .fop = k.last_opcode,
                  .rip = k.last_ip, .rdp = k.last_dp, .mxcsr = k.mxcsr };
    memcpy(f.st, k.fpr, sizeof(f.st));
    memcpy(f.xmm, k.xmm, sizeof(f.xmm));
    fx_to_env(env, &f);
    return true;
}

static bool put_fpu_only(KvmVcpu *v, Error **errp)
{
    struct kvm_fpu k = { 0 };
    FxArea f = { 0 };

    fx_from_env(&v->cpu->env, &f);
    k.fcw = f.fcw;
    k.fsw = f.fsw;
    k.ftwx = f.ftw;
    k.last_opcode = f.fop;
    k.last_ip = f.rip;
    k.last_dp = f.rdp;
    k.mxcsr = f.mxcsr;
    memcpy(k.fpr, f.st, sizeof(k.fpr));
    memcpy(k.xmm, f.xmm, sizeof(k.xmm));
    if (kvm_ioctl(v->fd, KVM_SET_FPU, &k) < 0) {
        error_setg_errno(errp, errno, "KVM_SET_FPU");
        return false;
    }
    return true;
}

static bool get_xcrs(KvmVcpu *v, Error **errp)
{
    struct kvm_xcrs x;

    if (!kvm.has_xcrs) {
        return true;
    }
    if (kvm_ioctl(v->fd, KVM_GET_XCRS, &x) < 0) {
        error_setg_errno(errp, errno, "KVM_GET_XCRS");
        return false;
    }
    for (uint32_t i = 0; i < MIN(x.nr_xcrs, KVM_MAX_XCRS); i++) {
        if (x.xcrs[i].xcr == 0) {
            v->cpu->env.xcr0 = x.xcrs[i].value;
        }
    }
    return true;
}

static bool put_xcrs(KvmVcpu *v, Error **errp)
{
    struct kvm_xcrs x = { .nr_xcrs = 1, .xcrs = { { .xcr = 0, .value = v->cpu->env.xcr0 } } };

    /* A CPU without XSAVE keeps the register at its power-on value, and KVM lets it be. */
    if (!kvm.has_xcrs || !x86_cpu_has_xsave(v->cpu)) {
        return true;
    }
    if (kvm_ioctl(v->fd, KVM_SET_XCRS, &x) < 0) {
        error_setg_errno(errp, errno, "KVM_SET_XCRS (xcr0 0x%" PRIx64 ")", v->cpu->env.xcr0);
        return false;
    }
    return true;
}

bool kvm_get_fpu(KvmVcpu *v, Error **errp)
{
    CPUX86State *env = &v->cpu->env;
    bool big = kvm.xsave_size > sizeof(struct kvm_xsave);

    if (!kvm.xsave_size) {
        return get_fpu_only(v, errp) && get_xcrs(v, errp);
    }
    if (kvm_ioctl(v->fd, big ? KVM_GET_XSAVE2 : KVM_GET_XSAVE, v->xsave) < 0) {
        error_setg_errno(errp, errno, "KVM_GET_XSAVE");
        return false;
    }
    fx_to_env(env, v->xsave);
    memcpy(&env->xstate_bv, (uint8_t *)v->xsave + XSTATE_BV_OFFSET, 8);
    copy_extended(env, v->xsave, true);
    return get_xcrs(v, errp);
}

/*
 * A component whose bit is clear would be put into its initial state.  State from the
 * software CPU has registers without the bits, so contents decide too.
 */
static uint64_t state_bits(const CPUX86State *env)
{
    uint64_t bv = env->xstate_bv | 1u << XFEATURE_X87 | 1u << XFEATURE_SSE;

    for (int i = 0; i < 16; i++) {
        if ((env->xmm[i].q[2] | env->xmm[i].q[3]) && component_offset(XFEATURE_AVX, 256)) {
            bv |= 1u << XFEATURE_AVX;
        }
    }
    return bv;
}

bool kvm_put_fpu(KvmVcpu *v, Error **errp)
{
    CPUX86State *env = &v->cpu->env;
    uint64_t bv = state_bits(env);

    if (!kvm.xsave_size) {
        return put_fpu_only(v, errp) && put_xcrs(v, errp);
    }
    memset(v->xsave, 0, kvm.xsave_size);
    fx_from_env(env, v->xsave);
    memcpy((uint8_t *)v->xsave + XSTATE_BV_OFFSET, &bv, 8);
    copy_extended(env, v->xsave, false);
    if (kvm_ioctl(v->fd, KVM_SET_XSAVE, v->xsave) < 0) {
        error_setg_errno(errp, errno, "KVM_SET_XSAVE (xstate_bv 0x%" PRIx64 ")", bv);
        return false;
    }
    return put_xcrs(v, errp);
}
