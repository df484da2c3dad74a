/*
 * CPUID under KVM: what the kernel can give a guest, and giving it.
 *
 * The table is read once, when a CPU model first asks; after that it is constant.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "kvm-int.h"
#include "util/log.h"
#include "util/util.h"

static struct kvm_cpuid2 *supported; /* machine lock until made, then constant */

static struct kvm_cpuid2 *read_supported(void)
{
    for (unsigned max = 128;; max *= 2) {
        struct kvm_cpuid2 *c = g_malloc0(sizeof(*c) + max * sizeof(c->entries[0]));

        c->nent = max;
        if (kvm_ioctl(kvm.fd, KVM_GET_SUPPORTED_CPUID, c) == 0) {
            return c;
        }
        if (errno != E2BIG || max > 4096) {
            error_report("KVM does not tell which CPUID it supports: %s", g_strerror(errno));
            c->nent = 0;
            return c;
        }
        g_free(c);
    }
}

static uint32_t reg_of(const struct kvm_cpuid_entry2 *e, int reg)
{
    switch (reg) {
    case 0:
        return e->eax;
    case 1:
        return e->ebx;
    case 2:
        return e->ecx;
    default:
        return e->edx;
    }
}

/* Bits that the kernel gives although its table does not say so (or the reverse). */
static uint32_t adjust(uint32_t fn, int reg, uint32_t value)
{
    if (fn == 1 && reg == 2) {
        value |= 1u << 31; /* hypervisor */
        if (kvm_check_cap(KVM_CAP_TSC_DEADLINE_TIMER)) {
            value |= 1u << 24;
        }
    } else if (fn == 6 && reg == 0) {
        value |= 1u << 2; /* the APIC timer never stops */
    }
    return value;
}

uint32_t kvm_supported_cpuid(uint32_t fn, uint32_t index, int reg)
{
    uint32_t value = 0;

    if (!supported) {
        supported = read_supported();
    }
    for (uint32_t i = 0; i < supported->nent; i++) {
        const struct kvm_cpuid_entry2 *e = &supported->entries[i];
        bool indexed = e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX;

        if (e->function == fn && (!indexed || e->index == index)) {
            value = reg_of(e, reg);
            break;
        }
    }
    return adjust(fn, reg, value);
}

bool kvm_cpuid_set(KvmVcpu *v, Error **errp)
{
    const GArray *a = v->cpu->cpuid;
    g_autofree struct kvm_cpuid2 *c =
        g_malloc0(sizeof(*c) + a->len * sizeof(struct kvm_cpuid_entry2));

    c->nent = a->len;
    for (guint i = 0; i < a->len; i++) {
        const CPUIDEntry *e = &g_array_index(a, CPUIDEntry, i);

        c->entries[i] = (struct kvm_cpuid_entry2){
            .function = e->function, .index = e->index,
            .flags = e->has_index ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0,
            .eax = e->eax, .ebx = e->ebx, .ecx = e->ecx, .edx = e->edx,
        };
    }
    if (kvm_ioctl(v->fd, KVM_SET_CPUID2, c) < 0) {
        error_setg_errno(errp, errno, "KVM refuses the CPUID of model %s", v->cpu->model);
        return false;
    }
    return true;
}
