/*
 * Handlers of instructions, grouped under the file that has them.  All run in the
 * vCPU's thread; NAME_v are tables by operand size 1, 2, 4, 8.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_ACCEL_INTERP_OPS_H
#define FERRY_ACCEL_INTERP_OPS_H

#include "interp.h"

/* interp.c */
void op_unknown(InterpCPU *c, const Insn *i);
void op_undefined(InterpCPU *c, const Insn *i);
void op_too_long(InterpCPU *c, const Insn *i);

/* exec-int.c */
void op_setcc(InterpCPU *c, const Insn *i);
void op_bswap(InterpCPU *c, const Insn *i);
void op_movnti(InterpCPU *c, const Insn *i);
void op_cmpxchg8b(InterpCPU *c, const Insn *i);
void op_cbw(InterpCPU *c, const Insn *i);
void op_cwd(InterpCPU *c, const Insn *i);
void op_sahf(InterpCPU *c, const Insn *i);
void op_lahf(InterpCPU *c, const Insn *i);
void op_clc(InterpCPU *c, const Insn *i);
void op_stc(InterpCPU *c, const Insn *i);
void op_cmc(InterpCPU *c, const Insn *i);
void op_cld(InterpCPU *c, const Insn *i);
void op_std(InterpCPU *c, const Insn *i);
void op_salc(InterpCPU *c, const Insn *i);
void op_daa(InterpCPU *c, const Insn *i);
void op_das(InterpCPU *c, const Insn *i);
void op_aaa(InterpCPU *c, const Insn *i);
void op_aas(InterpCPU *c, const Insn *i);
void op_aam(InterpCPU *c, const Insn *i);
void op_aad(InterpCPU *c, const Insn *i);
void op_xlat(InterpCPU *c, const Insn *i);
extern const InsnFn add_mr_v[4], add_rm_v[4], add_mi_v[4], or_mr_v[4], or_rm_v[4], or_mi_v[4],
    adc_mr_v[4], adc_rm_v[4], adc_mi_v[4], sbb_mr_v[4], sbb_rm_v[4], sbb_mi_v[4], and_mr_v[4],
    and_rm_v[4], and_mi_v[4], sub_mr_v[4], sub_rm_v[4], sub_mi_v[4], xor_mr_v[4], xor_rm_v[4],
    xor_mi_v[4], cmp_mr_v[4], cmp_rm_v[4], cmp_mi_v[4], test_mr_v[4], test_mi_v[4], inc_v[4],
    dec_v[4], not_v[4], neg_v[4], mov_mr_v[4], mov_rm_v[4], mov_mi_v[4], mov_acc_moffs_v[4],
    mov_moffs_acc_v[4], lea_v[4], movzx8_v[4], movzx16_v[4], movsx8_v[4], movsx16_v[4],
    movsxd_v[4], cmov_v[4], movbe_load_v[4], movbe_store_v[4], xchg_mr_v[4], xchg_acc_v[4],
    nop_xchg_v[4], xadd_v[4], cmpxchg_v[4];

/* exec-bits.c */
extern const InsnFn mul_v[4], imul_v[4], imul_rm_v[4], imul_rmi_v[4], udiv_v[4], idiv_v[4],
    shl_v[4], shr_v[4], sar_v[4], rol_v[4], ror_v[4], rcl_v[4], rcr_v[4], shld_v[4], shrd_v[4],
    bts_mr_v[4], bts_mi_v[4], btr_mr_v[4], btr_mi_v[4], btc_mr_v[4], btc_mi_v[4], bt_mi_v[4],
    bt_mr_v[4], bsf_v[4], bsr_v[4], tzcnt_v[4], lzcnt_v[4], popcnt_v[4];

/* exec-string.c */
void op_in(InterpCPU *c, const Insn *i);
void op_out(InterpCPU *c, const Insn *i);
void op_ins(InterpCPU *c, const Insn *i);
void op_outs(InterpCPU *c, const Insn *i);
extern const InsnFn movs_v[4], stos_v[4], lods_v[4], cmps_v[4], scas_v[4];

/* exec-control.c */
void op_jcc(InterpCPU *c, const Insn *i);
void op_jmp(InterpCPU *c, const Insn *i);
void op_jmp_rm(InterpCPU *c, const Insn *i);
void op_call(InterpCPU *c, const Insn *i);
void op_call_rm(InterpCPU *c, const Insn *i);
void op_ret(InterpCPU *c, const Insn *i);
void op_loop(InterpCPU *c, const Insn *i);
void op_jcxz(InterpCPU *c, const Insn *i);
void op_push_rm(InterpCPU *c, const Insn *i);
void op_push_imm(InterpCPU *c, const Insn *i);
void op_pop_rm(InterpCPU *c, const Insn *i);
void op_push_seg(InterpCPU *c, const Insn *i);
void op_pop_seg(InterpCPU *c, const Insn *i);
void op_pusha(InterpCPU *c, const Insn *i);
void op_popa(InterpCPU *c, const Insn *i);
void op_enter(InterpCPU *c, const Insn *i);
void op_leave(InterpCPU *c, const Insn *i);
void op_pushf(InterpCPU *c, const Insn *i);
void op_popf(InterpCPU *c, const Insn *i);
void op_jmp_far(InterpCPU *c, const Insn *i);
void op_call_far(InterpCPU *c, const Insn *i);
void op_jmp_far_rm(InterpCPU *c, const Insn *i);
void op_call_far_rm(InterpCPU *c, const Insn *i);
void op_ret_far(InterpCPU *c, const Insn *i);
void op_iret(InterpCPU *c, const Insn *i);
void op_load_far(InterpCPU *c, const Insn *i);
void op_int3(InterpCPU *c, const Insn *i);
void op_int(InterpCPU *c, const Insn *i);
void op_into(InterpCPU *c, const Insn *i);
void op_int1(InterpCPU *c, const Insn *i);
void op_bound(InterpCPU *c, const Insn *i);
extern const InsnFn push_reg_v[4], pop_reg_v[4];

/* exec-system.c */
void op_nop(InterpCPU *c, const Insn *i);
void op_fence(InterpCPU *c, const Insn *i);
void op_clflush(InterpCPU *c, const Insn *i);
void op_wbinvd(InterpCPU *c, const Insn *i);
void op_hlt(InterpCPU *c, const Insn *i);
void op_cli(InterpCPU *c, const Insn *i);
void op_sti(InterpCPU *c, const Insn *i);
void op_mov_from_seg(InterpCPU *c, const Insn *i);
void op_mov_to_seg(InterpCPU *c, const Insn *i);
void op_sldt(InterpCPU *c, const Insn *i);
void op_str(InterpCPU *c, const Insn *i);
void op_lldt(InterpCPU *c, const Insn *i);
void op_ltr(InterpCPU *c, const Insn *i);
void op_sgdt(InterpCPU *c, const Insn *i);
void op_sidt(InterpCPU *c, const Insn *i);
void op_lgdt(InterpCPU *c, const Insn *i);
void op_lidt(InterpCPU *c, const Insn *i);
void op_lar(InterpCPU *c, const Insn *i);
void op_lsl(InterpCPU *c, const Insn *i);
void op_verr(InterpCPU *c, const Insn *i);
void op_verw(InterpCPU *c, const Insn *i);
void op_arpl(InterpCPU *c, const Insn *i);
void op_smsw(InterpCPU *c, const Insn *i);
void op_lmsw(InterpCPU *c, const Insn *i);
void op_clts(InterpCPU *c, const Insn *i);
void op_invlpg(InterpCPU *c, const Insn *i);
void op_mov_from_cr(InterpCPU *c, const Insn *i);
void op_mov_to_cr(InterpCPU *c, const Insn *i);
void op_mov_from_dr(InterpCPU *c, const Insn *i);
void op_mov_to_dr(InterpCPU *c, const Insn *i);
void op_rdmsr(InterpCPU *c, const Insn *i);
void op_wrmsr(InterpCPU *c, const Insn *i);
void op_rdtsc(InterpCPU *c, const Insn *i);
void op_rdpmc(InterpCPU *c, const Insn *i);
void op_cpuid(InterpCPU *c, const Insn *i);
void op_rdrand(InterpCPU *c, const Insn *i);
void op_rdseed(InterpCPU *c, const Insn *i);
void op_0f01_0(InterpCPU *c, const Insn *i);
void op_0f01_1(InterpCPU *c, const Insn *i);
void op_0f01_2(InterpCPU *c, const Insn *i);
void op_0f01_7(InterpCPU *c, const Insn *i);
void op_rdfsbase(InterpCPU *c, const Insn *i);
void op_rdgsbase(InterpCPU *c, const Insn *i);
void op_wrfsbase(InterpCPU *c, const Insn *i);
void op_wrgsbase(InterpCPU *c, const Insn *i);
void op_syscall(InterpCPU *c, const Insn *i);
void op_sysret(InterpCPU *c, const Insn *i);
void op_sysenter(InterpCPU *c, const Insn *i);
void op_sysexit(InterpCPU *c, const Insn *i);

/* exec-sse.c */
void sse_load16(InterpCPU *c, const Insn *i);
void sse_load16_aligned(InterpCPU *c, const Insn *i);
void sse_store16(InterpCPU *c, const Insn *i);
void sse_store16_aligned(InterpCPU *c, const Insn *i);
void sse_movss_load(InterpCPU *c, const Insn *i);
void sse_movsd_load(InterpCPU *c, const Insn *i);
void sse_movss_store(InterpCPU *c, const Insn *i);
void sse_movsd_store(InterpCPU *c, const Insn *i);
void sse_movlps(InterpCPU *c, const Insn *i);
void sse_movhps(InterpCPU *c, const Insn *i);
void sse_store_low(InterpCPU *c, const Insn *i);
void sse_store_high(InterpCPU *c, const Insn *i);
void sse_movddup(InterpCPU *c, const Insn *i);
void sse_movd_load(InterpCPU *c, const Insn *i);
void sse_movd_store(InterpCPU *c, const Insn *i);
void sse_movq_load(InterpCPU *c, const Insn *i);
void sse_movq_store(InterpCPU *c, const Insn *i);
void sse_int(InterpCPU *c, const Insn *i);
void sse_logic(InterpCPU *c, const Insn *i);
void sse_punpck(InterpCPU *c, const Insn *i);
void sse_pshuf(InterpCPU *c, const Insn *i);
void sse_shufp(InterpCPU *c, const Insn *i);
void sse_pshufb(InterpCPU *c, const Insn *i);
void sse_shift_imm(InterpCPU *c, const Insn *i);
void sse_pinsrw(InterpCPU *c, const Insn *i);
void sse_pextrw(InterpCPU *c, const Insn *i);
void sse_pmovmskb(InterpCPU *c, const Insn *i);
void sse_movmskp(InterpCPU *c, const Insn *i);

/* exec-fp.c */
void op_fwait(InterpCPU *c, const Insn *i);
void op_x87(InterpCPU *c, const Insn *i);
void op_fxsave(InterpCPU *c, const Insn *i);
void op_fxrstor(InterpCPU *c, const Insn *i);
void op_ldmxcsr(InterpCPU *c, const Insn *i);
void op_stmxcsr(InterpCPU *c, const Insn *i);
void sse_arith(InterpCPU *c, const Insn *i);
void sse_comis(InterpCPU *c, const Insn *i);
void sse_cvtsi2s(InterpCPU *c, const Insn *i);
void sse_cvts2si(InterpCPU *c, const Insn *i);
void sse_cvt_ss_sd(InterpCPU *c, const Insn *i);

#endif
