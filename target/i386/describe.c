/*
 * Registers as text, laid out as users of `info registers` know it.
 *
 * Machine lock; the caller has brought the registers into the CPU object.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib.h>
#include <inttypes.h>

#include "target/i386/cpu.h"

static const char *const reg64[16] = { "RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI",
                                       "R8 ", "R9 ", "R10", "R11", "R12", "R13", "R14", "R15" };
/* Order of the lines: a, b, c, d; si, di, bp, sp; the rest. */
static const uint8_t order[16] = { R_EAX, R_EBX, R_ECX, R_EDX, R_ESI, R_EDI, R_EBP, R_ESP,
                                   R_R8, R_R9, R_R10, R_R11, R_R12, R_R13, R_R14, R_R15 };

static void put_gprs(GString *s, const CPUX86State *env, bool wide)
{
    for (int i = 0; i < (wide ? 16 : 8); i++) {
        int r = order[i];
        char end = i % 4 == 3 ? '\n' : ' ';

        if (wide) {
            g_string_append_printf(s, "%s=%016" PRIx64 "%c", reg64[r], env->regs[r], end);
        } else {
            g_string_append_printf(s, "E%s=%08x%c", reg64[r] + 1, (uint32_t)env->regs[r], end);
        }
    }
}

static void put_flags(GString *s, const CPUX86State *env, bool wide)
{
    uint64_t f = env->eflags;

    if (wide) {
        g_string_append_printf(s, "RIP=%016" PRIx64 " RFL=%08x", env->eip, (uint32_t)f);
    } else {
        g_string_append_printf(s, "EIP=%08x EFL=%08x", (uint32_t)env->eip, (uint32_t)f);
    }
    g_string_append_printf(s, " [%c%c%c%c%c%c%c] CPL=%d II=%d A20=%d SMM=%d HLT=%d\n",
                           f & 0x400 ? 'D' : '-', f & 0x800 ? 'O' : '-', f & 0x80 ? 'S' : '-',
                           f & 0x40 ? 'Z' : '-', f & 0x10 ? 'A' : '-', f & 4 ? 'P' : '-',
                           f & 1 ? 'C' : '-', (int)(env->hflags & HF_CPL_MASK),
                           env->interrupt_shadow, (env->a20_mask >> 20) & 1, env->smm,
                           (int)env->halted);
}

static const char *system_type(unsigned type, bool lma)
{
    static const char *const names32[16] = {
        "Reserved", "TSS16-avl", "LDT", "TSS16-busy", "CallGate16", "TaskGate", "IntGate16",
        "TrapGate16", "Reserved", "TSS32-avl", "Reserved", "TSS32-busy", "CallGate32", "Reserved",
        "IntGate32", "TrapGate32",
    };
    static const char *const names64[16] = {
        "<hiword>", "Reserved", "LDT", "Reserved", "Reserved", "Reserved", "Reserved", "Reserved",
        "Reserved", "TSS64-avl", "Reserved", "TSS64-busy", "CallGate64", "Reserved", "IntGate64",
        "TrapGate64",
    };

    return lma ? names64[type] : names32[type];
}

static void put_segment(GString *s, const CPUX86State *env, const char *name,
                        const SegmentCache *sc)
{
    bool lma = env->hflags & HF_LMA;
    uint32_t f = sc->flags;

    g_string_append_printf(s, "%-3s=%04x ", name, sc->selector);
    if (lma) {
        g_string_append_printf(s, "%016" PRIx64, sc->base);
    } else {
        g_string_append_printf(s, "%08x", (uint32_t)sc->base);
    }
    g_string_append_printf(s, " %08x %08x", sc->limit, f & 0x00ffff00);
    if ((env->hflags & HF_PE) && (f & DESC_P)) {
        g_string_append_printf(s, " DPL=%d ", (f & DESC_DPL_MASK) >> DESC_DPL_SHIFT);
        if (!(f & DESC_S)) {
            g_string_append(s, system_type((f >> DESC_TYPE_SHIFT) & 15, lma));
        } else if (f & DESC_CS) {
            g_string_append_printf(s, "%s [%c%c%c]",
                                   f & DESC_L ? "CS64" : f & DESC_B ? "CS32" : "CS16",
                                   f & DESC_C ? 'C' : '-', f & DESC_R ? 'R' : '-',
                                   f & DESC_A ? 'A' : '-');
        } else {
            g_string_append_printf(s, "%s [%c%c%c]", f & DESC_B || lma ? "DS  " : "DS16",
                                   f & DESC_C ? 'E' : '-', f & DESC_W ? 'W' : '-',
                                   f & DESC_A ? 'A' : '-');
        }
    }
    g_string_append_c(s, '\n');
}

static void put_tables(GString *s, const CPUX86State *env)
{
    static const char *const names[6] = { "ES", "CS", "SS", "DS", "FS", "GS" };
    bool lma = env->hflags & HF_LMA;
    int width = lma ? 16 : 8;

    for (int i = 0; i < 6; i++) {
        put_segment(s, env, names[i], &env->segs[i]);
    }
    put_segment(s, env, "LDT", &env->ldt);
    put_segment(s, env, "TR", &env->tr);
    g_string_append_printf(s, "GDT=     %0*" PRIx64 " %08x\n", width, env->gdt.base,
                           env->gdt.limit);
    g_string_append_printf(s, "IDT=     %0*" PRIx64 " %08x\n", width, env->idt.base,
                           env->idt.limit);
}

static void put_control(GString *s, const CPUX86State *env)
{
    int width = env->hflags & HF_LMA ? 16 : 8;

    g_string_append_printf(s, "CR0=%08x CR2=%0*" PRIx64 " CR3=%0*" PRIx64 " CR4=%08x\n",
                           (uint32_t)env->cr[0], width, env->cr[2], width, env->cr[3],
                           (uint32_t)env->cr[4]);
    for (int i = 0; i < 4; i++) {
        g_string_append_printf(s, "DR%d=%0*" PRIx64 " ", i, width, env->dr[i]);
    }
    g_string_append_printf(s, "\nDR6=%0*" PRIx64 " DR7=%0*" PRIx64 "\n", width, env->dr[6], width,
                           env->dr[7]);
    g_string_append_printf(s, "EFER=%016" PRIx64 "\n", env->efer);
}

static void put_fpu(GString *s, const CPUX86State *env, int n_xmm)
{
    unsigned fsw = (env->fpus & ~0x3800) | (env->fpstt & 7) << 11;

    g_string_append_printf(s, "FCW=%04x FSW=%04x [ST=%d] FTW=%02x MXCSR=%08x\n", env->fpuc, fsw,
                           env->fpstt, env->fptag, env->mxcsr);
    for (int i = 0; i < 8; i++) {
        g_string_append_printf(s, "FPR%d=%016" PRIx64 " %04x%c", i, env->fpregs[i].mantissa,
                               env->fpregs[i].exponent, i % 2 ? '\n' : ' ');
    }
    for (int i = 0; i < n_xmm; i++) {
        g_string_append_printf(s, "XMM%02d=%016" PRIx64 "%016" PRIx64 "%c", i, env->xmm[i].q[1],
                               env->xmm[i].q[0], i % 2 ? '\n' : ' ');
    }
}

char *x86_cpu_describe(X86CPU *cpu)
{
    const CPUX86State *env = &cpu->env;
    bool wide = env->hflags & HF_CS64;
    GString *s = g_string_new(NULL);

    put_gprs(s, env, wide);
    put_flags(s, env, wide);
    put_tables(s, env);
    put_control(s, env);
    put_fpu(s, env, wide ? 16 : 8);
    return g_string_free(s, false);
}
