/*
 * Names of CPUID feature bits, and which of them the accelerator in use can give.
 * Tables and pure functions.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "cpu-internal.h"

#include <string.h>

#include "accel/accel.h"
#include "accel/kvm.h"
#include "util/util.h"

#define B(n) (1u << (n))

const FeatureWord feature_words[FEAT_WORDS] = {
    [FEAT_1_EDX] = { 1, 0, 3, "CPUID.01H:EDX", {
        "fpu", "vme", "de", "pse", "tsc", "msr", "pae", "mce", "cx8", "apic", NULL, "sep", "mtrr",
        "pge", "mca", "cmov", "pat", "pse36", "pn", "clflush", NULL, "ds", "acpi", "mmx", "fxsr",
        "sse", "sse2", "ss", "ht", "tm", "ia64", "pbe" }, B(21) },
    [FEAT_1_ECX] = { 1, 0, 2, "CPUID.01H:ECX", {
        "pni", "pclmulqdq", "dtes64", "monitor", "ds-cpl", "vmx", "smx", "est", "tm2", "ssse3",
        "cid", NULL, "fma", "cx16", "xtpr", "pdcm", NULL, "pcid", "dca", "sse4.1", "sse4.2",
        "x2apic", "movbe", "popcnt", "tsc-deadline", "aes", "xsave", NULL, "avx", "f16c", "rdrand",
        "hypervisor" }, B(2) | B(3) | B(4) | B(5) | B(6) | B(15) },
    [FEAT_7_0_EBX] = { 7, 0, 1, "CPUID.07H:EBX", {
        "fsgsbase", "tsc-adjust", "sgx", "bmi1", "hle", "avx2", "fdp-excptn-only", "smep", "bmi2",
        "erms", "invpcid", "rtm", NULL, "zero-fcs-fds", "mpx", NULL, "avx512f", "avx512dq",
        "rdseed", "adx", "smap", "avx512ifma", "pcommit", "clflushopt", "clwb", "intel-pt",
        "avx512pf", "avx512er", "avx512cd", "sha-ni", "avx512bw", "avx512vl" },
        B(2) | B(14) | B(25) },
    [FEAT_7_0_ECX] = { 7, 0, 2, "CPUID.07H:ECX", {
        NULL, "avx512vbmi", "umip", "pku", NULL, "waitpkg", "avx512vbmi2", NULL, "gfni", "vaes",
        "vpclmulqdq", "avx512vnni", "avx512bitalg", NULL, "avx512-vpopcntdq", NULL, "la57", NULL,
        NULL, NULL, NULL, NULL, "rdpid", NULL, "bus-lock-detect", "cldemote", NULL, "movdiri",
        "movdir64b", NULL, "sgxlc", "pks" }, B(7) | B(24) | B(30) },
    [FEAT_7_0_EDX] = { 7, 0, 3, "CPUID.07H:EDX", {
        NULL, NULL, "avx512-4vnniw", "avx512-4fmaps", "fsrm", NULL, NULL, NULL,
        "avx512-vp2intersect", NULL, "md-clear", NULL, NULL, NULL, "serialize", NULL, "tsx-ldtrk",
        NULL, NULL, "arch-lbr", NULL, NULL, "amx-bf16", "avx512-fp16", "amx-tile", "amx-int8",
        "spec-ctrl", "stibp", "flush-l1d", "arch-capabilities", "core-capability", "ssbd" },
        B(19) | B(20) | B(22) | B(24) | B(25) | B(28) | B(29) | B(30) },
    [FEAT_7_1_EAX] = { 7, 1, 0, "CPUID.07H.1:EAX", {
        [4] = "avx-vnni", [5] = "avx512-bf16", [10] = "fzrm", [11] = "fsrs", [12] = "fsrc",
        [22] = "amx-fp16", [23] = "avx-ifma" }, B(17) | B(21) | B(22) | B(26) },
    [FEAT_8000_0001_EDX] = { 0x80000001, 0, 3, "CPUID.80000001H:EDX", {
        [11] = "syscall", [19] = "mp", [20] = "nx", [22] = "mmxext", [25] = "fxsr-opt",
        [26] = "pdpe1gb", [27] = "rdtscp", [29] = "lm", [30] = "3dnowext", [31] = "3dnow" }, 0 },
    [FEAT_8000_0001_ECX] = { 0x80000001, 0, 2, "CPUID.80000001H:ECX", {
        "lahf-lm", "cmp-legacy", "svm", "extapic", "cr8legacy", "abm", "sse4a", "misalignsse",
        "3dnowprefetch", "osvw", "ibs", "xop", "skinit", "wdt", NULL, "lwp", "fma4", "tce", NULL,
        "nodeid-msr", NULL, "tbm", "topoext", "perfctr-core", "perfctr-nb" },
        B(2) | B(3) | B(9) | B(10) | B(12) | B(13) | B(15) | B(19) | B(22) | B(23) | B(24) },
    [FEAT_8000_0007_EDX] = { 0x80000007, 0, 3, "CPUID.80000007H:EDX", { [8] = "invtsc" }, 0 },
    [FEAT_8000_0008_EBX] = { 0x80000008, 0, 1, "CPUID.80000008H:EBX", {
        [0] = "clzero", [2] = "xsaveerptr", [9] = "wbnoinvd", [12] = "ibpb", [14] = "ibrs",
        [15] = "amd-stibp", [24] = "amd-ssbd", [25] = "virt-ssbd", [26] = "amd-no-ssb" }, 0 },
    [FEAT_D_1_EAX] = { 0xd, 1, 0, "CPUID.0DH.1:EAX", {
        "xsaveopt", "xsavec", "xgetbv1", "xsaves" }, B(4) },
    [FEAT_6_EAX] = { 6, 0, 0, "CPUID.06H:EAX", { [2] = "arat" }, ~B(2) },
    [FEAT_KVM] = { 0x40000001, 0, 0, "CPUID.40000001H:EAX", {
        "kvmclock", "kvm-nopiodelay", "kvm-mmu", "kvmclock2", "kvm-asyncpf", "kvm-steal-time",
        "kvm-pv-eoi", "kvm-pv-unhalt", NULL, "kvm-pv-tlb-flush", NULL, "kvm-pv-ipi",
        "kvm-poll-control", "kvm-pv-sched-yield", "kvm-asyncpf-int", "kvm-msi-ext-dest-id",
        [24] = "kvmclock-stable-bit" }, B(15) },
};

/* Other spellings of some names. */
static const char *const aliases[][2] = {
    { "sse3", "pni" }, { "sse4-1", "sse4.1" }, { "sse4-2", "sse4.2" }, { "xd", "nx" },
    { "ffxsr", "fxsr-opt" }, { "i64", "lm" }, { "pclmuldq", "pclmulqdq" },
    { "ds_cpl", "ds-cpl" }, { "tsc_adjust", "tsc-adjust" }, { "sha_ni", "sha-ni" },
};

bool feature_find(const char *name, int *ret_word, uint32_t *ret_mask)
{
    g_autofree char *n = g_strdelimit(g_strdup(name), "_", '-');

    for (size_t i = 0; i < ARRAY_SIZE(aliases); i++) {
        if (!strcmp(n, aliases[i][0])) {
            g_free(n);
            n = g_strdup(aliases[i][1]);
        }
    }
    for (int w = 0; w < FEAT_WORDS; w++) {
        for (unsigned bit = 0; bit < 32; bit++) {
            if (feature_words[w].names[bit] && !strcmp(feature_words[w].names[bit], n)) {
                *ret_word = w;
                *ret_mask = B(bit);
                if (!strcmp(n, "kvmclock")) {
                    *ret_mask |= B(3); /* the old and the new MSRs go together */
                }
                return true;
            }
        }
    }
    return false;
}

void features_apply(uint32_t *words, const char *list, bool on)
{
    g_auto(GStrv) names = g_strsplit(list ? list : "", " ", -1);

    for (char **p = names; *p; p++) {
        int w;
        uint32_t mask;
        bool found;

        if (!**p) {
            continue;
        }
        found = feature_find(*p, &w, &mask);
        g_assert(found);
        if (on) {
            words[w] |= mask;
        } else {
            words[w] &= ~mask;
        }
    }
}

/*
 * What the software CPU says it has.  It equals what the default models have, so that
 * they look the same under both accelerators.
 */
static const char interp_features[] =
    "fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush mmx fxsr sse "
    "sse2 pni cx16 popcnt hypervisor syscall nx rdtscp lm lahf-lm arat";

static uint32_t interp_supported(int w)
{
    static uint32_t words[FEAT_WORDS];
    static gsize once;

    if (g_once_init_enter(&once)) {
        features_apply(words, interp_features, true);
        g_once_init_leave(&once, 1);
    }
    return words[w];
}

uint32_t feature_supported(int w)
{
    const FeatureWord *fw = &feature_words[w];
    uint32_t mask;

    if (kvm_enabled()) {
        mask = kvm_supported_cpuid(fw->fn, fw->index, fw->reg);
    } else {
        mask = interp_supported(w);
    }
    return mask & ~fw->no_state;
}

bool feature_has(const X86CPU *cpu, int w, unsigned bit)
{
    return (cpu->features[w] & B(bit)) != 0;
}

GPtrArray *feature_names(const uint32_t *words)
{
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);

    for (int w = 0; w < FEAT_WORDS; w++) {
        for (unsigned bit = 0; bit < 32; bit++) {
            if (words[w] & B(bit) && feature_words[w].names[bit]) {
                g_ptr_array_add(names, g_strdup(feature_words[w].names[bit]));
            }
        }
    }
    return names;
}
