/* Weak stand-ins until target/i386 and accel are there. SPDX-License-Identifier: GPL-2.0-or-later */
#include "accel/accel.h"
#include "target/i386/cpu.h"
#define W __attribute__((weak))
W bool x86_cpu_translate(X86CPU *cpu, uint64_t vaddr, uint64_t *ret_paddr) { return false; }
W char *x86_cpu_describe(X86CPU *cpu) { return g_strdup(""); }
W const X86CPUModel *x86_cpu_models(void)
{
    static const X86CPUModel none[1];
    return none;
}
W void x86_cpu_interrupt(X86CPU *cpu, int bits) { }
W bool accel_kvm_available(void) { return false; }
