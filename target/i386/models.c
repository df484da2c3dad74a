/*
 * CPU models: which features a CPU of a given name has.
 *
 * A model never changes once it was released: a guest that migrates must find the same
 * CPU.  `max` and `host` are what the host and accelerator offer.  Tables and pure
 * functions.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <cpuid.h>
#include <string.h>

#include "accel/accel.h"
#include "accel/kvm.h"
#include "cpu-internal.h"
#include "util/util.h"

#define INTEL "GenuineIntel"
#define AMD "AuthenticAMD"

/* What every 64-bit processor of the last twenty years has. */
#define COMMON_32 "fpu de pse tsc msr pae mce cx8 apic sep pge cmov pat mmx fxsr sse sse2"
#define COMMON_64 COMMON_32 " vme mtrr mca pse36 clflush pni cx16 syscall nx lm lahf-lm"

const CPUModelDef cpu_model_defs[] = {
    { .name = "qemu64", .vendor = AMD, .family = 15, .model = 107, .stepping = 1,
      .level = 0xd, .xlevel = 0x8000000a,
      .features = COMMON_32 " mtrr mca pse36 clflush pni cx16 syscall nx lm lahf-lm",
      .model_id = "QEMU Virtual CPU version 2.5+", .desc = "QEMU Virtual CPU version 2.5+" },
    { .name = "qemu32", .vendor = INTEL, .family = 6, .model = 6, .stepping = 3,
      .level = 4, .xlevel = 0x80000004, .features = COMMON_32 " pni",
      .model_id = "QEMU Virtual CPU version 2.5+", .desc = "QEMU Virtual CPU version 2.5+" },
    { .name = "kvm64", .vendor = INTEL, .family = 15, .model = 6, .stepping = 1,
      .level = 0xd, .xlevel = 0x80000008,
      .features = COMMON_32 " vme mtrr mca pse36 clflush pni cx16 syscall nx lm",
      .model_id = "Common KVM processor", .desc = "Common KVM processor" },
    { .name = "kvm32", .vendor = INTEL, .family = 15, .model = 6, .stepping = 1,
      .level = 5, .xlevel = 0x80000008, .features = COMMON_32 " vme mtrr mca pse36 clflush pni",
      .model_id = "Common 32-bit KVM processor", .desc = "Common 32-bit KVM processor" },
    { .name = "base", .vendor = INTEL, .family = 6, .model = 0, .stepping = 0, .level = 1,
      .xlevel = 0, .features = "", .model_id = "", .is_static = true,
      .desc = "base CPU model type with no features enabled" },
    { .name = "max", .vendor = AMD, .family = 15, .model = 107, .stepping = 1, .level = 0xd,
      .xlevel = 0x80000008, .features = "", .max_like = true, .host_identity = true,
      .model_id = "Ferry software CPU",
      .desc = "Enables all features supported by the accelerator in the current host" },
    { .name = "host", .vendor = INTEL, .family = 6, .model = 6, .stepping = 3, .level = 0xd,
      .xlevel = 0x80000008, .features = "", .max_like = true, .host_identity = true,
      .model_id = "", .desc = "processor with all supported host features (KVM only)" },
    { .name = "Nehalem", .vendor = INTEL, .family = 6, .model = 26, .stepping = 3, .level = 11,
      .xlevel = 0x80000008, .features = COMMON_64 " sse4.2 sse4.1 ssse3 popcnt",
      .model_id = "Intel Core i7 9xx (Nehalem Class Core i7)",
      .desc = "Intel Core i7 9xx (Nehalem Class Core i7)" },
    { .name = "Westmere", .vendor = INTEL, .family = 6, .model = 44, .stepping = 1, .level = 11,
      .xlevel = 0x80000008, .base = "Nehalem", .features = "aes pclmulqdq arat",
      .model_id = "Westmere E56xx/L56xx/X56xx (Nehalem-C)",
      .desc = "Westmere E56xx/L56xx/X56xx (Nehalem-C)" },
    { .name = "SandyBridge", .vendor = INTEL, .family = 6, .model = 42, .stepping = 1,
      .level = 0xd, .xlevel = 0x80000008, .base = "Westmere",
      .features = "avx xsave tsc-deadline x2apic rdtscp xsaveopt",
      .model_id = "Intel Xeon E312xx (Sandy Bridge)",
      .desc = "Intel Xeon E312xx (Sandy Bridge)" },
    { .name = "IvyBridge", .vendor = INTEL, .family = 6, .model = 58, .stepping = 9, .level = 0xd,
      .xlevel = 0x80000008, .base = "SandyBridge", .features = "f16c rdrand fsgsbase smep erms",
      .model_id = "Intel Xeon E3-12xx v2 (Ivy Bridge)",
      .desc = "Intel Xeon E3-12xx v2 (Ivy Bridge)" },
    { .name = "Haswell-noTSX", .vendor = INTEL, .family = 6, .model = 60, .stepping = 1,
      .level = 0xd, .xlevel = 0x80000008, .base = "IvyBridge",
      .features = "fma movbe pcid abm bmi1 avx2 bmi2 invpcid",
      .model_id = "Intel Core Processor (Haswell, no TSX)",
      .desc = "Intel Core Processor (Haswell, no TSX)" },
    { .name = "Haswell", .vendor = INTEL, .family = 6, .model = 60, .stepping = 4, .level = 0xd,
      .xlevel = 0x80000008, .base = "Haswell-noTSX", .features = "hle rtm",
      .model_id = "Intel Core Processor (Haswell)", .desc = "Intel Core Processor (Haswell)" },
    { .name = "Broadwell-noTSX", .vendor = INTEL, .family = 6, .model = 61, .stepping = 2,
      .level = 0xd, .xlevel = 0x80000008, .base = "Haswell-noTSX",
      .features = "3dnowprefetch rdseed adx smap",
      .model_id = "Intel Core Processor (Broadwell, no TSX)",
      .desc = "Intel Core Processor (Broadwell, no TSX)" },
    { .name = "Broadwell", .vendor = INTEL, .family = 6, .model = 61, .stepping = 2, .level = 0xd,
      .xlevel = 0x80000008, .base = "Broadwell-noTSX", .features = "hle rtm",
      .model_id = "Intel Core Processor (Broadwell)", .desc = "Intel Core Processor (Broadwell)" },
    { .name = "Skylake-Client", .vendor = INTEL, .family = 6, .model = 94, .stepping = 3,
      .level = 0xd, .xlevel = 0x80000008, .base = "Broadwell", .features = "xsavec xgetbv1",
      .model_id = "Intel Core Processor (Skylake)", .desc = "Intel Core Processor (Skylake)" },
    { .name = "Skylake-Server", .vendor = INTEL, .family = 6, .model = 85, .stepping = 4,
      .level = 0xd, .xlevel = 0x80000008, .base = "Skylake-Client",
      .features = "pdpe1gb clwb avx512f avx512dq avx512bw avx512cd avx512vl",
      .model_id = "Intel Xeon Processor (Skylake)", .desc = "Intel Xeon Processor (Skylake)" },
    { .name = "EPYC", .vendor = AMD, .family = 23, .model = 1, .stepping = 2, .level = 0xd,
      .xlevel = 0x8000001e,
      .features = COMMON_64 " sse4.2 sse4.1 ssse3 popcnt aes pclmulqdq avx xsave rdrand f16c fma "
                  "movbe fsgsbase bmi1 avx2 smep bmi2 rdseed adx smap clflushopt sha-ni mmxext "
                  "fxsr-opt pdpe1gb rdtscp cr8legacy abm sse4a misalignsse 3dnowprefetch "
                  "xsaveopt xsavec xgetbv1 arat",
      .model_id = "AMD EPYC Processor", .desc = "AMD EPYC Processor" },
    { .name = NULL },
};

const CPUModelDef *cpu_model_find(const char *name)
{
    for (const CPUModelDef *d = cpu_model_defs; d->name; d++) {
        if (!strcmp(d->name, name)) {
            return d;
        }
    }
    return NULL;
}

static void add_features(uint32_t *words, const CPUModelDef *def)
{
    if (def->base) {
        add_features(words, cpu_model_find(def->base));
    }
    features_apply(words, def->features, true);
    features_apply(words, def->without, false);
}

static uint32_t make_version(unsigned family, unsigned model, unsigned stepping)
{
    uint32_t v = stepping | (model & 15) << 4 | (model >> 4) << 16;

    return v | (family > 15 ? 15u << 8 | (family - 15) << 20 : family << 8);
}

static void set_vendor(X86CPU *cpu, const char *vendor)
{
    memcpy(&cpu->vendor_ebx, vendor, 4);
    memcpy(&cpu->vendor_edx, vendor + 4, 4);
    memcpy(&cpu->vendor_ecx, vendor + 8, 4);
}

static void take_host_identity(X86CPU *cpu)
{
    unsigned a, b, c, d;

    __cpuid(0, a, b, c, d);
    cpu->vendor_ebx = b;
    cpu->vendor_ecx = c;
    cpu->vendor_edx = d;
    __cpuid(1, a, b, c, d);
    cpu->version = a;
    for (unsigned i = 0; i < 3; i++) {
        unsigned r[4];

        __cpuid(0x80000002 + i, r[0], r[1], r[2], r[3]);
        memcpy(cpu->model_id + 16 * i, r, 16);
    }
}

void cpu_model_apply(X86CPU *cpu, const CPUModelDef *def)
{
    memset(cpu->features, 0, sizeof(cpu->features));
    memset(cpu->model_id, 0, sizeof(cpu->model_id));
    set_vendor(cpu, def->vendor);
    cpu->version = make_version(def->family, def->model, def->stepping);
    cpu->level = def->level;
    cpu->xlevel = def->xlevel;
    memcpy(cpu->model_id, def->model_id, MIN(strlen(def->model_id), sizeof(cpu->model_id)));
    cpu->phys_bits = 40;
    cpu->l3_cache = true;
    cpu->expose_kvm = true;
    add_features(cpu->features, def);
    cpu->features[FEAT_1_ECX] |= 1u << 31; /* hypervisor */
    features_apply(cpu->features, "kvmclock kvm-nopiodelay kvm-asyncpf kvm-steal-time kvm-pv-eoi "
                   "kvmclock-stable-bit", true);
    if (def->max_like) {
        for (int w = 0; w < FEAT_WORDS; w++) {
            cpu->features[w] = feature_supported(w);
        }
        cpu->features[FEAT_8000_0007_EDX] = 0; /* invtsc: only when asked for */
        if (def->host_identity && kvm_enabled()) {
            uint32_t bits = kvm_supported_cpuid(0x80000008, 0, 0) & 0xff;

            take_host_identity(cpu);
            cpu->phys_bits = bits ? bits : cpu->phys_bits;
        }
    }
}
