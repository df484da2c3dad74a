/*
 * The opcode tables of the software CPU.  Constant data; pure.
 *
 * A row that is all zero is an instruction which this CPU does not know: it stops
 * the machine.  Encodings that the architecture reserves say op_undefined.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "optable.h"
#include "ops.h"

#define UD {.fn = op_undefined}
#define F(f, fl) {.fn = (f), .flags = (fl)}
#define V(f, fl) {.v = f##_v, .flags = (fl)}
#define GROUP(g, fl) {.sub = (g), .flags = O_GROUP | O_M | (fl)}
#define PFX(g, fl) {.sub = (g), .flags = O_PFX | O_M | (fl)}
#define X8(r) r, r, r, r, r, r, r, r

static const OpDesc grp1_b[8] = {
    V(add_mi, O_LOCK), V(or_mi, O_LOCK),  V(adc_mi, O_LOCK), V(sbb_mi, O_LOCK),
    V(and_mi, O_LOCK), V(sub_mi, O_LOCK), V(xor_mi, O_LOCK), V(cmp_mi, 0),
};
static const OpDesc grp2[8] = {
    V(rol, 0), V(ror, 0), V(rcl, 0), V(rcr, 0), V(shl, 0), V(shr, 0), V(shl, 0), V(sar, 0),
};
static const OpDesc grp3_b[8] = {
    V(test_mi, O_I8), V(test_mi, O_I8), V(not, O_LOCK), V(neg, O_LOCK),
    V(mul, 0), V(imul, 0), V(udiv, 0), V(idiv, 0),
};
static const OpDesc grp3_v[8] = {
    V(test_mi, O_IZ), V(test_mi, O_IZ), V(not, O_LOCK), V(neg, O_LOCK),
    V(mul, 0), V(imul, 0), V(udiv, 0), V(idiv, 0),
};
static const OpDesc grp4[8] = {V(inc, O_LOCK), V(dec, O_LOCK), UD, UD, UD, UD, UD, UD};
static const OpDesc grp5[8] = {
    V(inc, O_LOCK), V(dec, O_LOCK), F(op_call_rm, O_F64), F(op_call_far_rm, O_MEM),
    F(op_jmp_rm, O_F64), F(op_jmp_far_rm, O_MEM), F(op_push_rm, O_D64), UD,
};
static const OpDesc grp11_b[8] = {V(mov_mi, O_I8), UD, UD, UD, UD, UD, UD, UD};
static const OpDesc grp11_v[8] = {V(mov_mi, O_IZ), UD, UD, UD, UD, UD, UD, UD};
static const OpDesc grp1a[8] = {F(op_pop_rm, 0), UD, UD, UD, UD, UD, UD, UD};

static const OpDesc grp6[8] = {
    F(op_sldt, 0), F(op_str, 0), F(op_lldt, 0), F(op_ltr, 0),
    F(op_verr, 0), F(op_verw, 0), UD, UD,
};
static const OpDesc grp7[16] = {
    F(op_sgdt, 0), F(op_sidt, 0), F(op_lgdt, 0), F(op_lidt, 0),
    F(op_smsw, 0), UD, F(op_lmsw, 0), F(op_invlpg, 0),
    /* mod 3 */
    F(op_0f01_0, 0), F(op_0f01_1, 0), F(op_0f01_2, 0), {0},
    F(op_smsw, 0), {0}, F(op_lmsw, 0), F(op_0f01_7, 0),
};
static const OpDesc grp8[8] = {
    UD, UD, UD, UD, V(bt_mi, O_I8), V(bts_mi, O_I8 | O_LOCK), V(btr_mi, O_I8 | O_LOCK),
    V(btc_mi, O_I8 | O_LOCK),
};
static const OpDesc grp9[16] = {
    UD, F(op_cmpxchg8b, O_LOCK), UD, {0}, {0}, {0}, {0}, {0},
    UD, UD, UD, UD, UD, UD, F(op_rdrand, 0), F(op_rdseed, 0),
};
static const OpDesc grp15_mod3[4][8] = {
    {UD, UD, UD, UD, UD, F(op_fence, 0), F(op_fence, 0), F(op_fence, 0)},
    {UD, UD, UD, UD, UD, {0}, {0}, {0}},
    {F(op_rdfsbase, O_ONLY64), F(op_rdgsbase, O_ONLY64), F(op_wrfsbase, O_ONLY64),
     F(op_wrgsbase, O_ONLY64), UD, {0}, {0}, UD},
    {UD, UD, UD, UD, UD, UD, {0}, UD},
};
static const OpDesc grp15_reg[4] = {
    {.sub = grp15_mod3[0], .flags = O_GROUP},
    {.sub = grp15_mod3[1], .flags = O_GROUP},
    {.sub = grp15_mod3[2], .flags = O_GROUP},
    {.sub = grp15_mod3[3], .flags = O_GROUP},
};
#define G15 {.sub = grp15_reg, .flags = O_PFX}
static const OpDesc grp15[16] = {
    F(op_fxsave, 0), F(op_fxrstor, 0), F(op_ldmxcsr, 0), F(op_stmxcsr, 0),
    {0}, {0}, {0}, F(op_clflush, 0),
    X8(G15),
};
static const OpDesc grp16[8] = {X8(F(op_nop, 0))};

#define ALU(n)                                                                              \
    V(n##_mr, O_M | O_B | O_LOCK), V(n##_mr, O_M | O_LOCK), V(n##_rm, O_M | O_B),           \
        V(n##_rm, O_M), V(n##_mi, O_B | O_I8 | O_ACC), V(n##_mi, O_IZ | O_ACC)
#define SEGPP F(op_push_seg, O_NO64), F(op_pop_seg, O_NO64)

const OpDesc optable_movsxd = V(movsxd, O_M);

const OpDesc optable_1[256] = {
    /* 00 */ ALU(add), SEGPP, ALU(or), F(op_push_seg, O_NO64), {0},
    /* 10 */ ALU(adc), SEGPP, ALU(sbb), SEGPP,
    /* 20 */ ALU(and), UD, F(op_daa, O_NO64), ALU(sub), UD, F(op_das, O_NO64),
    /* 30 */ ALU(xor), UD, F(op_aaa, O_NO64),
    V(cmp_mr, O_M | O_B), V(cmp_mr, O_M), V(cmp_rm, O_M | O_B), V(cmp_rm, O_M),
    V(cmp_mi, O_B | O_I8 | O_ACC), V(cmp_mi, O_IZ | O_ACC), UD, F(op_aas, O_NO64),
    /* 40 */ X8(V(inc, O_OPREG)), X8(V(dec, O_OPREG)),
    /* 50 */ X8(V(push_reg, O_OPREG | O_D64)), X8(V(pop_reg, O_OPREG | O_D64)),
    /* 60 */ F(op_pusha, O_NO64), F(op_popa, O_NO64), F(op_bound, O_M | O_NO64 | O_MEM),
    F(op_arpl, O_M), {0}, {0}, {0}, {0},
    F(op_push_imm, O_IZ | O_D64), V(imul_rmi, O_M | O_IZ), F(op_push_imm, O_I8 | O_D64),
    V(imul_rmi, O_M | O_I8), F(op_ins, O_B), F(op_ins, 0), F(op_outs, O_B), F(op_outs, 0),
    /* 70 */ X8(F(op_jcc, O_I8 | O_F64)), X8(F(op_jcc, O_I8 | O_F64)),
    /* 80 */ GROUP(grp1_b, O_B | O_I8), GROUP(grp1_b, O_IZ), GROUP(grp1_b, O_B | O_I8 | O_NO64),
    GROUP(grp1_b, O_I8), V(test_mr, O_M | O_B), V(test_mr, O_M), V(xchg_mr, O_M | O_B | O_LOCK),
    V(xchg_mr, O_M | O_LOCK),
    V(mov_mr, O_M | O_B), V(mov_mr, O_M), V(mov_rm, O_M | O_B), V(mov_rm, O_M),
    F(op_mov_from_seg, O_M), V(lea, O_M | O_MEM), F(op_mov_to_seg, O_M), GROUP(grp1a, O_D64),
    /* 90 */ V(nop_xchg, O_OPREG), V(xchg_acc, O_OPREG), V(xchg_acc, O_OPREG),
    V(xchg_acc, O_OPREG), V(xchg_acc, O_OPREG), V(xchg_acc, O_OPREG), V(xchg_acc, O_OPREG),
    V(xchg_acc, O_OPREG),
    F(op_cbw, 0), F(op_cwd, 0), F(op_call_far, O_PTR | O_NO64), F(op_fwait, 0),
    F(op_pushf, O_D64), F(op_popf, O_D64), F(op_sahf, 0), F(op_lahf, 0),
    /* a0 */ V(mov_acc_moffs, O_MOFF | O_B), V(mov_acc_moffs, O_MOFF),
    V(mov_moffs_acc, O_MOFF | O_B), V(mov_moffs_acc, O_MOFF),
    V(movs, O_B), V(movs, 0), V(cmps, O_B), V(cmps, 0),
    V(test_mi, O_B | O_I8 | O_ACC), V(test_mi, O_IZ | O_ACC), V(stos, O_B), V(stos, 0),
    V(lods, O_B), V(lods, 0), V(scas, O_B), V(scas, 0),
    /* b0 */ X8(V(mov_mi, O_OPREG | O_B | O_I8)), X8(V(mov_mi, O_OPREG | O_IV)),
    /* c0 */ GROUP(grp2, O_B | O_I8), GROUP(grp2, O_I8), F(op_ret, O_IW | O_F64),
    F(op_ret, O_F64), F(op_load_far, O_M | O_NO64 | O_MEM), F(op_load_far, O_M | O_NO64 | O_MEM),
    GROUP(grp11_b, O_B), GROUP(grp11_v, 0),
    F(op_enter, O_IW | O_IB2 | O_D64), F(op_leave, O_D64), F(op_ret_far, O_IW), F(op_ret_far, 0),
    F(op_int3, 0), F(op_int, O_I8), F(op_into, O_NO64), F(op_iret, 0),
    /* d0 */ GROUP(grp2, O_B), GROUP(grp2, 0), GROUP(grp2, O_B), GROUP(grp2, 0),
    F(op_aam, O_I8 | O_NO64), F(op_aad, O_I8 | O_NO64), F(op_salc, O_NO64), F(op_xlat, 0),
    F(op_x87, O_M), F(op_x87, O_M), F(op_x87, O_M), F(op_x87, O_M), F(op_x87, O_M),
    F(op_x87, O_M), F(op_x87, O_M), F(op_x87, O_M),
    /* e0 */ F(op_loop, O_I8 | O_F64), F(op_loop, O_I8 | O_F64), F(op_loop, O_I8 | O_F64),
    F(op_jcxz, O_I8 | O_F64), F(op_in, O_B | O_I8), F(op_in, O_I8), F(op_out, O_B | O_I8),
    F(op_out, O_I8),
    F(op_call, O_IZ | O_F64), F(op_jmp, O_IZ | O_F64), F(op_jmp_far, O_PTR | O_NO64),
    F(op_jmp, O_I8 | O_F64), F(op_in, O_B), F(op_in, 0), F(op_out, O_B), F(op_out, 0),
    /* f0 */ UD, F(op_int1, 0), UD, UD, F(op_hlt, 0), F(op_cmc, 0), GROUP(grp3_b, O_B),
    GROUP(grp3_v, 0),
    F(op_clc, 0), F(op_stc, 0), F(op_cli, 0), F(op_sti, 0), F(op_cld, 0), F(op_std, 0),
    GROUP(grp4, O_B), GROUP(grp5, 0),
};

/* SSE: rows by mandatory prefix: none, 66, F3, F2. */
#define S4(n, a, b, c, d) static const OpDesc n[4] = {a, b, c, d};
S4(p10, F(sse_load16, 0), F(sse_load16, 0), F(sse_movss_load, 0), F(sse_movsd_load, 0))
S4(p11, F(sse_store16, 0), F(sse_store16, 0), F(sse_movss_store, 0), F(sse_movsd_store, 0))
S4(p12, F(sse_movlps, 0), F(sse_movlps, O_MEM), {0}, F(sse_movddup, 0))
S4(p13, F(sse_store_low, O_MEM), F(sse_store_low, O_MEM), UD, UD)
S4(p14, F(sse_punpck, 0), F(sse_punpck, 0), UD, UD)
S4(p15, F(sse_punpck, 0), F(sse_punpck, 0), UD, UD)
S4(p16, F(sse_movhps, 0), F(sse_movhps, O_MEM), {0}, UD)
S4(p17, F(sse_store_high, O_MEM), F(sse_store_high, O_MEM), UD, UD)
S4(p28, F(sse_load16_aligned, 0), F(sse_load16_aligned, 0), UD, UD)
S4(p29, F(sse_store16_aligned, 0), F(sse_store16_aligned, 0), UD, UD)
S4(p2a, {0}, {0}, F(sse_cvtsi2s, 0), F(sse_cvtsi2s, 0))
S4(p2b, F(sse_store16_aligned, O_MEM), F(sse_store16_aligned, O_MEM), UD, UD)
S4(p2c, {0}, {0}, F(sse_cvts2si, 0), F(sse_cvts2si, 0))
S4(p2e, F(sse_comis, 0), F(sse_comis, 0), UD, UD)
S4(p50, F(sse_movmskp, O_REG), F(sse_movmskp, O_REG), UD, UD)
S4(p54, F(sse_logic, 0), F(sse_logic, 0), UD, UD)
S4(p_arith, F(sse_arith, 0), F(sse_arith, 0), F(sse_arith, 0), F(sse_arith, 0))
S4(p51, F(sse_arith, 0), F(sse_arith, 0), F(sse_arith, 0), F(sse_arith, 0))
S4(p5a, {0}, {0}, F(sse_cvt_ss_sd, 0), F(sse_cvt_ss_sd, 0))
S4(p_int, {0}, F(sse_int, 0), UD, UD)
S4(p_punpck, {0}, F(sse_punpck, 0), UD, UD)
S4(p_punpckq, UD, F(sse_punpck, 0), UD, UD)
S4(p6e, {0}, F(sse_movd_load, 0), UD, UD)
S4(p6f, {0}, F(sse_load16_aligned, 0), F(sse_load16, 0), UD)
S4(p70, {0}, F(sse_pshuf, O_I8), F(sse_pshuf, O_I8), F(sse_pshuf, O_I8))
S4(p_shi, {0}, F(sse_shift_imm, O_I8 | O_REG), UD, UD)
S4(p7e, {0}, F(sse_movd_store, 0), F(sse_movq_load, 0), UD)
S4(p7f, {0}, F(sse_store16_aligned, 0), F(sse_store16, 0), UD)
S4(pc3, F(op_movnti, O_MEM), UD, UD, UD)
S4(pc4, {0}, F(sse_pinsrw, O_I8), UD, UD)
S4(pc5, {0}, F(sse_pextrw, O_I8 | O_REG), UD, UD)
S4(pc6, F(sse_shufp, O_I8), F(sse_shufp, O_I8), UD, UD)
S4(pd6, UD, F(sse_movq_store, 0), {0}, {0})
S4(pd7, {0}, F(sse_pmovmskb, O_REG), UD, UD)
S4(pe7, {0}, F(sse_store16_aligned, O_MEM), UD, UD)
S4(pb8, UD, UD, V(popcnt, 0), UD)
S4(pbc, V(bsf, 0), V(bsf, 0), V(tzcnt, 0), V(bsf, 0))
S4(pbd, V(bsr, 0), V(bsr, 0), V(lzcnt, 0), V(bsr, 0))
#define SI PFX(p_int, 0)
#define NOPM F(op_nop, O_M)

const OpDesc optable_0f[256] = {
    /* 00 */ GROUP(grp6, 0), GROUP(grp7, O_MOD3), F(op_lar, O_M), F(op_lsl, O_M), UD,
    F(op_syscall, 0), F(op_clts, 0), F(op_sysret, 0),
    F(op_wbinvd, 0), F(op_wbinvd, 0), UD, F(op_undefined, 0), UD, NOPM, {0}, {0},
    /* 10 */ PFX(p10, 0), PFX(p11, 0), PFX(p12, 0), PFX(p13, 0), PFX(p14, 0), PFX(p15, 0),
    PFX(p16, 0), PFX(p17, 0), GROUP(grp16, 0), NOPM, NOPM, NOPM, NOPM, NOPM, NOPM, NOPM,
    /* 20 */ F(op_mov_from_cr, O_M | O_RMREG | O_F64), F(op_mov_from_dr, O_M | O_RMREG | O_F64),
    F(op_mov_to_cr, O_M | O_RMREG | O_F64), F(op_mov_to_dr, O_M | O_RMREG | O_F64), UD, UD, UD,
    UD, PFX(p28, 0), PFX(p29, 0), PFX(p2a, 0), PFX(p2b, 0), PFX(p2c, 0), PFX(p2c, 0),
    PFX(p2e, 0), PFX(p2e, 0),
    /* 30 */ F(op_wrmsr, 0), F(op_rdtsc, 0), F(op_rdmsr, 0), F(op_rdpmc, 0), F(op_sysenter, 0),
    F(op_sysexit, 0), UD, {0}, {0}, UD, {0}, UD, UD, UD, UD, UD,
    /* 40 */ X8(V(cmov, O_M)), X8(V(cmov, O_M)),
    /* 50 */ PFX(p50, 0), PFX(p51, 0), {0}, {0}, PFX(p54, 0), PFX(p54, 0), PFX(p54, 0),
    PFX(p54, 0), PFX(p_arith, 0), PFX(p_arith, 0), PFX(p5a, 0), {0}, PFX(p_arith, 0),
    PFX(p_arith, 0), PFX(p_arith, 0), PFX(p_arith, 0),
    /* 60 */ PFX(p_punpck, 0), PFX(p_punpck, 0), PFX(p_punpck, 0), SI, SI, SI, SI, SI,
    PFX(p_punpck, 0), PFX(p_punpck, 0), PFX(p_punpck, 0), SI, PFX(p_punpckq, 0),
    PFX(p_punpckq, 0), PFX(p6e, 0), PFX(p6f, 0),
    /* 70 */ PFX(p70, 0), PFX(p_shi, 0), PFX(p_shi, 0), PFX(p_shi, 0), SI, SI, SI, {0},
    {0}, {0}, UD, UD, {0}, {0}, PFX(p7e, 0), PFX(p7f, 0),
    /* 80 */ X8(F(op_jcc, O_IZ | O_F64)), X8(F(op_jcc, O_IZ | O_F64)),
    /* 90 */ X8(F(op_setcc, O_M | O_B)), X8(F(op_setcc, O_M | O_B)),
    /* a0 */ F(op_push_seg, O_D64), F(op_pop_seg, O_D64), F(op_cpuid, 0), V(bt_mr, O_M),
    V(shld, O_M | O_I8), V(shld, O_M), UD, UD,
    F(op_push_seg, O_D64), F(op_pop_seg, O_D64), {0}, V(bts_mr, O_M | O_LOCK),
    V(shrd, O_M | O_I8), V(shrd, O_M), GROUP(grp15, O_MOD3), V(imul_rm, O_M),
    /* b0 */ V(cmpxchg, O_M | O_B | O_LOCK), V(cmpxchg, O_M | O_LOCK), F(op_load_far, O_M | O_MEM),
    V(btr_mr, O_M | O_LOCK), F(op_load_far, O_M | O_MEM), F(op_load_far, O_M | O_MEM),
    V(movzx8, O_M | O_RMB), V(movzx16, O_M),
    PFX(pb8, 0), F(op_undefined, O_M), GROUP(grp8, 0), V(btc_mr, O_M | O_LOCK), PFX(pbc, 0),
    PFX(pbd, 0), V(movsx8, O_M | O_RMB), V(movsx16, O_M),
    /* c0 */ V(xadd, O_M | O_B | O_LOCK), V(xadd, O_M | O_LOCK), {0}, PFX(pc3, 0), PFX(pc4, 0),
    PFX(pc5, 0), PFX(pc6, 0), GROUP(grp9, O_MOD3), X8(F(op_bswap, O_OPREG)),
    /* d0 */ {0}, SI, SI, SI, SI, SI, PFX(pd6, 0), PFX(pd7, 0),
    SI, SI, SI, SI, SI, SI, SI, SI,
    /* e0 */ SI, SI, SI, SI, SI, SI, {0}, PFX(pe7, 0), SI, SI, SI, SI, SI, SI, SI, SI,
    /* f0 */ {0}, SI, SI, SI, SI, SI, SI, {0}, SI, SI, SI, SI, SI, SI, SI, F(op_undefined, O_M),
};

static const OpDesc movbe_load[4] = {V(movbe_load, O_MEM), V(movbe_load, O_MEM), UD, {0}};
static const OpDesc movbe_store[4] = {V(movbe_store, O_MEM), V(movbe_store, O_MEM), UD, {0}};
static const OpDesc pshufb[4] = {{0}, F(sse_pshufb, 0), UD, UD};
const OpDesc optable_0f38[256] = {
    [0x00] = PFX(pshufb, 0),
    [0xf0] = PFX(movbe_load, 0),
    [0xf1] = PFX(movbe_store, 0),
};
