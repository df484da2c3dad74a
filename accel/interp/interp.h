/*
 * The software CPU, private to accel/interp: its per-vCPU state, the software TLB
 * and the decoded instruction.
 *
 * Everything here belongs to the vCPU's own thread (or to the holder of the
 * machine lock while the vCPU is stopped).  Guest memory is shared between vCPU
 * threads and is touched with single loads, stores and host atomics.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_ACCEL_INTERP_H
#define FERRY_ACCEL_INTERP_H

#include <setjmp.h>
#include <stdbool.h>
#include <inttypes.h>

#include "system/ramblock.h"
#include "target/i386/cpu.h"

typedef struct InterpCPU InterpCPU;
typedef struct Insn Insn;
typedef void (*InsnFn)(InterpCPU *c, const Insn *i);

/* Exception vectors. */
enum {
    EXC_DE = 0, EXC_DB = 1, EXC_NMI = 2, EXC_BP = 3, EXC_OF = 4, EXC_BR = 5, EXC_UD = 6,
    EXC_NM = 7, EXC_DF = 8, EXC_TS = 10, EXC_NP = 11, EXC_SS = 12, EXC_GP = 13, EXC_PF = 14,
    EXC_MF = 16, EXC_AC = 17, EXC_MC = 18, EXC_XM = 19,
};

/* EFLAGS bits. */
#define FL_CF (1u << 0)
#define FL_1 (1u << 1)
#define FL_PF (1u << 2)
#define FL_AF (1u << 4)
#define FL_ZF (1u << 6)
#define FL_SF (1u << 7)
#define FL_TF (1u << 8)
#define FL_IF (1u << 9)
#define FL_DF (1u << 10)
#define FL_OF (1u << 11)
#define FL_IOPL (3u << 12)
#define FL_NT (1u << 14)
#define FL_RF (1u << 16)
#define FL_VM (1u << 17)
#define FL_AC (1u << 18)
#define FL_VIF (1u << 19)
#define FL_VIP (1u << 20)
#define FL_ID (1u << 21)
#define FL_ARITH (FL_CF | FL_PF | FL_AF | FL_ZF | FL_SF | FL_OF)

#define CR4_VME (1u << 0)
#define CR4_TSD (1u << 2)
#define CR4_DE (1u << 3)
#define CR4_MCE (1u << 6)
#define CR4_PCE (1u << 8)
#define CR4_OSXMMEXCPT (1u << 10)
#define CR4_FSGSBASE (1u << 16)
#define CR4_SMEP (1u << 20)
#define CR4_SMAP (1u << 21)

/* Registers in Insn.base / Insn.index beyond the 16 general ones. */
#define NO_REG 16
#define BASE_RIP 17

/* A decoded instruction: a pure function of its bytes and the code mode. */
struct Insn {
    InsnFn fn;
    uint64_t imm;      /* immediate, or the address of a moffs form */
    uint8_t bytes[16]; /* what was decoded; compared before each use */
    int32_t disp;
    uint8_t len;
    uint8_t mode;      /* CodeMode this was decoded for */
    uint8_t size;      /* operand size in bytes: 1, 2, 4, 8 */
    uint8_t asize;     /* address size in bytes: 2, 4, 8 */
    uint8_t seg;       /* R_ES..R_GS of the memory operand */
    uint8_t base, index, scale;
    uint8_t reg;       /* modrm.reg with REX.R; as a byte register: 16..19 are AH..BH */
    uint8_t rm;        /* modrm.rm with REX.B when mod3 */
    uint8_t imm2;      /* second immediate of enter; immediate of some SSE forms */
    uint8_t op;        /* last opcode byte */
    bool mod3;         /* rm is a register */
    bool lock;
    uint8_t rep;       /* 0, 0xf2 or 0xf3 */
    uint8_t prefix;    /* bits: P_66, P_REXW, P_REX, P_SEG */
    uint8_t raw_modrm;
};
enum { P_66 = 1, P_REXW = 2, P_REX = 4, P_SEG = 8 };

typedef enum CodeMode { CODE_16, CODE_32, CODE_64, CODE_NONE = 255 } CodeMode;

#define TLB_BITS 9
#define TLB_SIZE (1u << TLB_BITS)
typedef struct TlbEntry {
    uint64_t r, w, x; /* page address when that access is allowed and is to RAM; else ~0 */
    uint8_t *host;    /* of the page's first byte */
    RAMBlock *rb;
    uint64_t offset;  /* of the page in rb */
} TlbEntry;
enum { TLB_KERNEL, TLB_USER };

/* What a segment allows, ready to check: offsets lo..hi may be read / written. */
typedef struct SegCheck {
    uint64_t base;
    uint64_t rlo, rhi, wlo, whi;
} SegCheck;

/* Arithmetic flags, see flags.h. */
typedef struct LazyFlags {
    uint64_t z, s, cv, a;
} LazyFlags;

#define ICACHE_BITS 13
#define ICACHE_SIZE (1u << ICACHE_BITS)

struct InterpCPU {
    CPUX86State *env;
    X86CPU *cpu;

    LazyFlags fl;
    uint64_t next_ip;
    int budget;           /* instructions until interrupts and requests are looked at */
    CodeMode mode;
    uint8_t cpl;
    bool lma;             /* long mode active */
    bool pe;
    bool stack64;         /* width of the stack pointer */
    uint64_t stack_mask;
    uint64_t ip_mask;
    uint64_t lin_mask;
    uint64_t cs_base, cs_limit;
    SegCheck seg[6];

    uint64_t phys_reserved; /* address bits that this CPU does not have */
    bool tlb_large;       /* some entry is a part of a large page */
    TlbEntry *tlb;        /* tlbs[] of the current privilege */
    uint64_t code_page;   /* linear page of code_host, ~0 when none */
    const uint8_t *code_host;
    unsigned map_generation;
    bool a20;

    uint64_t rmw_old;     /* value that the last exchange found in its operand */
    bool rmw_equal;
    bool has_bmi1, has_lzcnt;

    sigjmp_buf jmp;
    int exc_vec;          /* exception being raised, for the long jump */
    bool exc_has_err;
    uint32_t exc_err;
    int delivering;       /* vector in delivery, -1 none: for double faults */
    bool delivering_ext;  /* delivery was not asked for by an instruction */
    bool shutdown;        /* triple fault: does nothing until reset */
    bool stop;            /* the machine was asked to stop by this CPU */
    bool redeliver;       /* something saved may wait to be delivered */

    int64_t tsc_base;     /* TSC = scaled virtual clock + tsc_base */

    Insn scratch;         /* instruction that crosses a page, not cached */
    TlbEntry tlbs[2][TLB_SIZE];
    Insn icache[ICACHE_SIZE];
};

/* mmu.c */
enum { ACC_READ, ACC_WRITE, ACC_EXEC };
void mmu_flush(InterpCPU *c);
void mmu_flush_page(InterpCPU *c, uint64_t lin);
/*
 * Translate for an access; raises #PF.  The TLB entry is filled when the page is
 * RAM (and returned); NULL when it is not, and then *ret_gpa tells where it is.
 */
TlbEntry *mmu_translate(InterpCPU *c, uint64_t lin, int acc, int which, uint64_t *ret_gpa);
uint64_t mmu_load_slow(InterpCPU *c, uint64_t lin, unsigned size, int which);
void mmu_store_slow(InterpCPU *c, uint64_t lin, uint64_t val, unsigned size, int which);
/* Compare and exchange 16 aligned bytes, low half first; old gets what was found. */
bool mmu_cas16(InterpCPU *c, uint64_t lin, uint64_t old[2], const uint64_t new[2]);
/* Raise whatever a store to [lin, lin+size) would raise. */
void mmu_probe_write(InterpCPU *c, uint64_t lin, unsigned size, int which);
/* Have the map or the A20 gate changed?  Then forget all translations. */
void mmu_check_map(InterpCPU *c);
/* Make code_host the page of lin. */
void mmu_fetch_page(InterpCPU *c, uint64_t lin);
void G_GNUC_NORETURN mmu_seg_fault(InterpCPU *c, int seg);

/* decode.c */
/*
 * Decode up to n bytes into i.  False when more than n bytes are needed.  Never
 * fails otherwise: bad encodings get a handler that raises or stops.
 */
bool decode_insn(Insn *i, const uint8_t *p, unsigned n, CodeMode mode);
const Insn *decode_fetch(InterpCPU *c, uint64_t lin);

/* interrupt.c */
void G_GNUC_NORETURN raise_exception(InterpCPU *c, int vec);
void G_GNUC_NORETURN raise_exception_err(InterpCPU *c, int vec, uint32_t err);
/* Back to the loop without finishing the instruction (RIP stays). */
void G_GNUC_NORETURN leave_insn(InterpCPU *c);
enum IntKind { INT_HARDWARE, INT_SOFTWARE, INT_EXCEPTION };
void interrupt_deliver(InterpCPU *c, int vec, enum IntKind kind, bool has_err, uint32_t err);
void interrupt_handle_exception(InterpCPU *c);
void interrupt_iret(InterpCPU *c, unsigned size);

/* segment.c */
void segment_update_all(InterpCPU *c); /* after registers were written from outside */
void segment_mode_changed(InterpCPU *c); /* after CR0.PE, EFER or CS changed */
void segment_set_cpl(InterpCPU *c, int cpl);
void segment_load(InterpCPU *c, int seg, uint16_t sel); /* mov, pop, lds ... */
void segment_set(InterpCPU *c, int seg, uint16_t sel, uint64_t base, uint32_t limit,
                 uint32_t flags);
void segment_set_real(InterpCPU *c, int seg, uint16_t sel);
/* Both halves of a descriptor; raises vec(selector) when outside the table. */
void segment_read_desc(InterpCPU *c, uint16_t sel, uint32_t d[2], int vec);
bool segment_peek_desc(InterpCPU *c, uint16_t sel, uint32_t d[2]); /* no limit fault */
void segment_set_from_desc(InterpCPU *c, int seg, uint16_t sel, const uint32_t d[2]);
void segment_null(InterpCPU *c, int seg, uint16_t sel);
void segment_drop_privileged(InterpCPU *c, int cpl); /* after a return to an outer ring */
void segment_load_ldt(InterpCPU *c, uint16_t sel);
void segment_load_tr(InterpCPU *c, uint16_t sel);
void segment_tss_stack(InterpCPU *c, int ring, uint16_t *ss, uint64_t *sp);
void segment_check_stack(InterpCPU *c, uint16_t sel, int cpl, uint32_t d[2], int vec);
uint32_t segment_desc_limit(const uint32_t d[2]);
uint32_t segment_desc_base(const uint32_t d[2]);
void segment_mark_accessed(InterpCPU *c, uint16_t sel, uint32_t d[2]);

/* far.c: far jump, call, return */
void far_jump(InterpCPU *c, uint16_t sel, uint64_t off, unsigned size);
void far_call(InterpCPU *c, uint16_t sel, uint64_t off, unsigned size);
void far_return(InterpCPU *c, unsigned size, unsigned release);
/* Checks shared with iret: the code segment returned to, and the offset in it. */
void far_check_return(InterpCPU *c, uint16_t cs, uint32_t d[2]);
void far_check_ip(InterpCPU *c, const uint32_t d[2], uint64_t ip);
/* Return that loads SS too: to an outer ring, and every iret of 64-bit code. */
void far_return_outer(InterpCPU *c, uint16_t cs, uint32_t d[2], uint64_t ip, uint64_t sp,
                      uint16_t ss, unsigned size);

/* interp.c */
/* The machine cannot go on: one line to the log, machine stops with internal-error. */
void G_GNUC_NORETURN interp_stop(InterpCPU *c, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
void interp_flags_to_env(InterpCPU *c);
void interp_flags_from_env(InterpCPU *c);
uint64_t interp_read_tsc(InterpCPU *c);
void interp_write_tsc(InterpCPU *c, uint64_t val);
/* Set all of EFLAGS within mask. */
void interp_set_eflags(InterpCPU *c, uint32_t val, uint32_t mask);
uint32_t interp_get_eflags(InterpCPU *c);
void interp_run(InterpCPU *c, int budget);

/* msr.c: false means #GP */
bool msr_read(InterpCPU *c, uint32_t nr, uint64_t *ret_val);
bool msr_write(InterpCPU *c, uint32_t nr, uint64_t val);
/* control.c */
void control_write_cr0(InterpCPU *c, uint64_t val);
void control_write_cr3(InterpCPU *c, uint64_t val);
void control_write_cr4(InterpCPU *c, uint64_t val);
void control_write_efer(InterpCPU *c, uint64_t val);

#endif
