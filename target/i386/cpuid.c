/*
 * The CPUID leaves of a CPU: built once from its features; answered to the software
 * CPU and handed to KVM.
 *
 * Building: machine lock.  x86_cpuid(): the vCPU's thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "accel/accel.h"
#include "accel/kvm.h"
#include "cpu-internal.h"
#include "topology.h"
#include "util/util.h"

enum { CACHE_DATA = 1, CACHE_CODE = 2, CACHE_UNIFIED = 3 };

static void add_indexed(X86CPU *cpu, uint32_t fn, uint32_t index, uint32_t a, uint32_t b,
                        uint32_t c, uint32_t d)
{
    CPUIDEntry e = { .function = fn, .index = index, .has_index = true,
                     .eax = a, .ebx = b, .ecx = c, .edx = d };

    g_array_append_val(cpu->cpuid, e);
}

static void add(X86CPU *cpu, uint32_t fn, uint32_t a, uint32_t b, uint32_t c, uint32_t d)
{
    CPUIDEntry e = { .function = fn, .eax = a, .ebx = b, .ecx = c, .edx = d };

    g_array_append_val(cpu->cpuid, e);
}

static void add_leaf_1(X86CPU *cpu)
{
    unsigned per_package = x86_topology_per_socket();
    uint32_t ebx = cpu->apic_id << 24 | (per_package > 255 ? 255 : per_package) << 16 | 8 << 8;
    uint32_t edx = cpu->features[FEAT_1_EDX];

    if (per_package > 1) {
        edx |= 1u << 28; /* HT: more than one logical processor in a package */
    }
    add(cpu, 1, cpu->version, ebx, cpu->features[FEAT_1_ECX], edx);
}

/* Leaf 4, one level of cache: size = ways * line * sets. */
static void add_cache(X86CPU *cpu, uint32_t index, int type, int level, unsigned ways,
                      unsigned sets, unsigned sharing)
{
    uint32_t eax = type | level << 5 | 1 << 8 | (sharing - 1) << 14;
    unsigned cores = x86_topology_per_socket() / x86_topology_threads();

    eax |= (cores - 1) << 26;
    add_indexed(cpu, 4, index, eax, 63 | (ways - 1) << 22, sets - 1, level == 3 ? 2 : 0);
}

static void add_caches(X86CPU *cpu)
{
    unsigned t = x86_topology_threads();

    add(cpu, 2, 1, 0, cpu->l3_cache ? 0x4d : 0, 0x2c307d);
    add_cache(cpu, 0, CACHE_DATA, 1, 8, 64, t);
    add_cache(cpu, 1, CACHE_CODE, 1, 8, 64, t);
    add_cache(cpu, 2, CACHE_UNIFIED, 2, 16, 4096, t);
    if (cpu->l3_cache) {
        add_cache(cpu, 3, CACHE_UNIFIED, 3, 16, 16384, x86_topology_per_socket());
    }
}

static void add_topology(X86CPU *cpu)
{
    unsigned core_shift = x86_topology_thread_bits();
    unsigned socket_shift = x86_topology_socket_shift();

    add_indexed(cpu, 0xb, 0, core_shift, x86_topology_threads(), 0x100, cpu->apic_id);
    add_indexed(cpu, 0xb, 1, socket_shift, x86_topology_per_socket(), 0x201, cpu->apic_id);
    add_indexed(cpu, 0xb, 2, 0, 0, 2, cpu->apic_id);
}

/* Standard-format layout of the extended state: {feature bit, size, offset}. */
typedef struct XComponent {
    int nr, word;
    unsigned bit;
    uint32_t size, offset;
} XComponent;

static const XComponent xcomponents[] = {
    { 2, FEAT_1_ECX, 28, 256, 576 },
    { 5, FEAT_7_0_EBX, 16, 64, 1088 },
    { 6, FEAT_7_0_EBX, 16, 512, 1152 },
    { 7, FEAT_7_0_EBX, 16, 1024, 1664 },
    { 9, FEAT_7_0_ECX, 3, 8, 2688 },
};

static void xcomponent_place(const XComponent *x, uint32_t *size, uint32_t *offset)
{
    *size = x->size;
    *offset = x->offset;
    if (kvm_enabled() && kvm_supported_cpuid(0xd, x->nr, 0)) {
        *size = kvm_supported_cpuid(0xd, x->nr, 0);
        *offset = kvm_supported_cpuid(0xd, x->nr, 1);
    }
}

static void add_xsave(X86CPU *cpu)
{
    uint32_t mask = 3, total = 576, size, offset;

    if (!x86_cpu_has_xsave(cpu)) {
        add_indexed(cpu, 0xd, 0, 0, 0, 0, 0);
        return;
    }
    for (size_t i = 0; i < ARRAY_SIZE(xcomponents); i++) {
        if (feature_has(cpu, xcomponents[i].word, xcomponents[i].bit)) {
            xcomponent_place(&xcomponents[i], &size, &offset);
            mask |= 1u << xcomponents[i].nr;
            total = MAX(total, offset + size);
        }
    }
    add_indexed(cpu, 0xd, 0, mask, 576, total, 0);
    add_indexed(cpu, 0xd, 1, cpu->features[FEAT_D_1_EAX], 0, 0, 0);
    for (size_t i = 0; i < ARRAY_SIZE(xcomponents); i++) {
        if (mask & 1u << xcomponents[i].nr) {
            xcomponent_place(&xcomponents[i], &size, &offset);
            add_indexed(cpu, 0xd, xcomponents[i].nr, size, offset, 0, 0);
        }
    }
}

static void add_basic(X86CPU *cpu)
{
    const uint32_t *f = cpu->features;

    add(cpu, 0, cpu->level, cpu->vendor_ebx, cpu->vendor_ecx, cpu->vendor_edx);
    if (cpu->level >= 1) {
        add_leaf_1(cpu);
    }
    if (cpu->level >= 4) {
        add_caches(cpu);
    }
    if (cpu->level >= 6) {
        add(cpu, 6, f[FEAT_6_EAX], 0, 0, 0);
    }
    if (cpu->level >= 7) {
        add_indexed(cpu, 7, 0, f[FEAT_7_1_EAX] ? 1 : 0, f[FEAT_7_0_EBX], f[FEAT_7_0_ECX],
                    f[FEAT_7_0_EDX]);
        if (f[FEAT_7_1_EAX]) {
            add_indexed(cpu, 7, 1, f[FEAT_7_1_EAX], 0, 0, 0);
        }
    }
    if (cpu->level >= 0xb) {
        add_topology(cpu);
    }
    if (cpu->level >= 0xd) {
        add_xsave(cpu);
    }
}

static bool is_amd(const X86CPU *cpu)
{
    return cpu->vendor_ebx == 0x68747541; /* "Auth" */
}

static void add_extended(X86CPU *cpu)
{
    const uint32_t *f = cpu->features;
    unsigned per_package = x86_topology_per_socket();
    uint32_t edx = f[FEAT_8000_0001_EDX], ecx = f[FEAT_8000_0001_ECX];
    uint32_t name[12];

    if (cpu->xlevel < 0x80000000) {
        return;
    }
    if (is_amd(cpu)) {
        edx |= f[FEAT_1_EDX] & 0x0183f3ff; /* AMD repeats the old bits here */
        ecx |= per_package > 1 ? 2 : 0;
    }
    add(cpu, 0x80000000, cpu->xlevel, cpu->vendor_ebx, cpu->vendor_ecx, cpu->vendor_edx);
    add(cpu, 0x80000001, cpu->version, 0, ecx, edx);
    memcpy(name, cpu->model_id, sizeof(name));
    for (int i = 0; i < 3; i++) {
        add(cpu, 0x80000002 + i, name[4 * i], name[4 * i + 1], name[4 * i + 2], name[4 * i + 3]);
    }
    if (is_amd(cpu)) {
        add(cpu, 0x80000005, 0x01ff01ff, 0x01ff01ff, 0x40020140, 0x40020140);
        add(cpu, 0x80000006, 0, 0x42004200, 0x02008140, cpu->l3_cache ? 0x00808140 : 0);
    } else {
        add(cpu, 0x80000006, 0, 0, 0x02008140, 0);
    }
    add(cpu, 0x80000007, 0, 0, 0, f[FEAT_8000_0007_EDX]);
    if (cpu->xlevel >= 0x80000008) {
        uint32_t virt = feature_has(cpu, FEAT_7_0_ECX, 16) ? 57 : 48;

        add(cpu, 0x80000008, feature_has(cpu, FEAT_8000_0001_EDX, 29) ? cpu->phys_bits | virt << 8
            : 32, f[FEAT_8000_0008_EBX], per_package - 1, 0);
    }
}

void x86_cpu_build_cpuid(X86CPU *cpu)
{
    if (!cpu->cpuid) {
        cpu->cpuid = g_array_new(false, false, sizeof(CPUIDEntry));
    }
    g_array_set_size(cpu->cpuid, 0);
    add_basic(cpu);
    if (kvm_enabled() && cpu->expose_kvm) {
        add(cpu, 0x40000000, 0x40000001, 0x4b4d564b, 0x564b4d56, 0x4d); /* "KVMKVMKVM" */
        add(cpu, 0x40000001, cpu->features[FEAT_KVM], 0, 0, 0);
    }
    add_extended(cpu);
}

static const CPUIDEntry *find_entry(const X86CPU *cpu, uint32_t fn, uint32_t index)
{
    for (guint i = 0; i < cpu->cpuid->len; i++) {
        const CPUIDEntry *e = &g_array_index(cpu->cpuid, CPUIDEntry, i);

        if (e->function == fn && (!e->has_index || e->index == index)) {
            return e;
        }
    }
    return NULL;
}

void x86_cpuid(X86CPU *cpu, uint32_t fn, uint32_t index, uint32_t *eax, uint32_t *ebx,
               uint32_t *ecx, uint32_t *edx)
{
    const CPUIDEntry *e = find_entry(cpu, fn, index);
    static const CPUIDEntry zero;

    e = e ? e : &zero;
    *eax = e->eax;
    *ebx = e->ebx;
    *ecx = e->ecx;
    *edx = e->edx;
    if (fn == 1 && (cpu->env.cr[4] & CR4_OSXSAVE)) {
        *ecx |= 1u << 27;
    } else if (fn == 7 && index == 0 && (cpu->env.cr[4] & CR4_PKE)) {
        *ecx |= 1u << 4;
    }
}

bool x86_cpu_has_xsave(X86CPU *cpu)
{
    return feature_has(cpu, FEAT_1_ECX, 26);
}

unsigned x86_cpu_phys_bits(X86CPU *cpu)
{
    if (!feature_has(cpu, FEAT_8000_0001_EDX, 29) || cpu->xlevel < 0x80000008) {
        return 36;
    }
    return cpu->phys_bits;
}
