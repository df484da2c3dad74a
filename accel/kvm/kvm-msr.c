/*
 * Model-specific registers between the CPU object and the kernel, each direction in
 * one ioctl.  Same callers as kvm-regs.c.
 *
 * Only registers that the kernel lists are touched.  The list does not know the guest's
 * CPUID, so the kernel may still refuse one: it then is not there for this guest, which
 * is noted for good.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "kvm-int.h"
#include "util/util.h"

typedef enum MsrLevel {
    MSR_ALWAYS,   /* written back before each entry that follows a change */
    MSR_RESET,    /* only after reset or a load: the write has side effects */
    MSR_READ,     /* never written */
} MsrLevel;

typedef struct MsrRow {
    uint32_t index;
    uint16_t offset;  /* in CPUX86State */
    uint8_t size;     /* 4 or 8 */
    uint8_t level;    /* MsrLevel */
    bool unlisted_ok; /* the kernel has it without listing it */
} MsrRow;

#define F(field) offsetof(CPUX86State, field), sizeof(((CPUX86State *)0)->field)
static const MsrRow base_rows[] = {
    { 0x174, F(sysenter_cs), MSR_ALWAYS },
    { 0x175, F(sysenter_esp), MSR_ALWAYS },
    { 0x176, F(sysenter_eip), MSR_ALWAYS },
    { 0x277, F(pat), MSR_ALWAYS, true },
    { 0xc0000081, F(star), MSR_ALWAYS },
    { 0xc0000082, F(lstar), MSR_ALWAYS },
    { 0xc0000083, F(cstar), MSR_ALWAYS },
    { 0xc0000084, F(fmask), MSR_ALWAYS },
    { 0xc0000102, F(kernelgsbase), MSR_ALWAYS },
    { 0xc0000103, F(tsc_aux), MSR_ALWAYS },
    { 0x3b, F(tsc_adjust), MSR_ALWAYS },
    { 0x1a0, F(msr_ia32_misc_enable), MSR_ALWAYS },
    { 0x3a, F(msr_ia32_feature_control), MSR_ALWAYS },
    { 0x48, F(spec_ctrl), MSR_ALWAYS },
    { 0xc001011f, F(virt_ssbd), MSR_ALWAYS },
    { 0xc0010015, F(msr_hwcr), MSR_ALWAYS },
    { 0xda0, F(xss), MSR_ALWAYS },
    { 0xe1, F(umwait), MSR_ALWAYS },
    { 0x122, F(tsx_ctrl), MSR_ALWAYS },
    { 0x6e1, F(pkrs), MSR_ALWAYS },
    { 0x34, F(msr_smi_count), MSR_READ },
    { 0x10, F(tsc), MSR_RESET },
    { 0x12, F(system_time_msr), MSR_RESET },
    { 0x11, F(wall_clock_msr), MSR_RESET },
    { 0x4b564d02, F(async_pf_en_msr), MSR_RESET },
    { 0x4b564d06, F(async_pf_int_msr), MSR_RESET },
    { 0x4b564d03, F(steal_time_msr), MSR_RESET },
    { 0x4b564d04, F(pv_eoi_en_msr), MSR_RESET },
    { 0x4b564d05, F(poll_control_msr), MSR_RESET },
    { 0x17a, F(mcg_status), MSR_RESET },
    { 0x17b, F(mcg_ctl), MSR_RESET },
    { 0x4d0, F(mcg_ext_ctl), MSR_RESET },
    { 0x9e, F(smbase), MSR_ALWAYS },
    { 0x2ff, F(mtrr_deftype), MSR_RESET, true },
    /* Last: needs the local APIC's timer mode and the TSC. */
    { 0x6e0, F(tsc_deadline), MSR_RESET },
};

static const uint16_t mtrr_fixed_index[11] = { 0x250, 0x258, 0x259, 0x268, 0x269, 0x26a,
                                               0x26b, 0x26c, 0x26d, 0x26e, 0x26f };

/* Rows that this kernel has, in writing order.  Fixed after kvm_msr_init(). */
static GArray *rows;       /* of MsrRow */
static uint8_t *refused;    /* atomic bytes, one a row; 1: not there for this guest */

static gint compare_u32(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

static void add_row(const struct kvm_msr_list *list, const MsrRow *row)
{
    if (row->unlisted_ok || bsearch(&row->index, list->indices, list->nmsrs,
                                    sizeof(list->indices[0]), compare_u32)) {
        g_array_append_val(rows, *row);
    }
}

static void add_mtrr_and_mce(const struct kvm_msr_list *list)
{
    MsrRow r = { .size = 8, .level = MSR_RESET, .unlisted_ok = true };

    for (int i = 0; i < 11; i++) {
        r.index = mtrr_fixed_index[i];
        r.offset = offsetof(CPUX86State, mtrr_fixed) + 8 * i;
        add_row(list, &r);
    }
    for (int i = 0; i < 16; i++) {
        r.index = 0x200 + i; /* base and mask in turn */
        r.offset = offsetof(CPUX86State, mtrr_var) + 8 * i;
        add_row(list, &r);
    }
    for (int i = 0; kvm.has_mce && i < X86_MCE_BANKS * 4; i++) {
        r.index = 0x400 + i;
        r.offset = offsetof(CPUX86State, mce_banks) + 8 * i;
        add_row(list, &r);
    }
}

bool kvm_msr_init(Error **errp)
{
    struct kvm_msr_list probe = { .nmsrs = 0 };
    g_autofree struct kvm_msr_list *list = NULL;

    /* The first call only tells how many there are. */
    if (kvm_ioctl(kvm.fd, KVM_GET_MSR_INDEX_LIST, &probe) < 0 && errno != E2BIG) {
        error_setg_errno(errp, errno, "KVM does not list its MSRs");
        return false;
    }
    list = g_malloc0(sizeof(*list) + probe.nmsrs * sizeof(list->indices[0]));
    list->nmsrs = probe.nmsrs;
    if (kvm_ioctl(kvm.fd, KVM_GET_MSR_INDEX_LIST, list) < 0) {
        error_setg_errno(errp, errno, "KVM does not list its MSRs");
        return false;
    }
    qsort(list->indices, list->nmsrs, sizeof(list->indices[0]), compare_u32);
    rows = g_array_new(false, false, sizeof(MsrRow));
    add_mtrr_and_mce(list);
    for (size_t i = 0; i < ARRAY_SIZE(base_rows); i++) {
        add_row(list, &base_rows[i]);
    }
    refused = g_new0(uint8_t, rows->len);
    return true;
}

static bool row_refused(unsigned i)
{
    return __atomic_load_n(&refused[i], __ATOMIC_RELAXED);
}

static void refuse_row(unsigned i)
{
    __atomic_store_n(&refused[i], 1, __ATOMIC_RELAXED);
}

static void set_field(CPUX86State *env, const MsrRow *r, uint64_t value)
{
    memcpy((uint8_t *)env + r->offset, &value, r->size); /* little endian host */
}

static uint64_t get_field(const CPUX86State *env, const MsrRow *r)
{
    uint64_t value = 0;

    memcpy(&value, (const uint8_t *)env + r->offset, r->size);
    return value;
}

/*
 * Masks of the variable MTRRs: in the section the bits above the physical address width
 * are ones, so that a guest can go to a host with more address bits; the kernel takes
 * only those of the guest's width.
 */
static uint64_t mtrr_high_bits(KvmVcpu *v)
{
    return ((1ULL << 52) - 1) & ~((1ULL << x86_cpu_phys_bits(v->cpu)) - 1);
}

static bool is_mtrr_mask(uint32_t index)
{
    return index >= 0x200 && index < 0x210 && (index & 1);
}

/* Room for one entry a row, kept for the life of the vCPU. */
static struct kvm_msrs *batch(KvmVcpu *v)
{
    if (!v->msrs) {
        v->msrs = g_malloc0(sizeof(struct kvm_msrs) + rows->len * sizeof(struct kvm_msr_entry));
        v->msr_row = g_new(uint16_t, rows->len);
    }
    v->msrs->nmsrs = 0;
    return v->msrs;
}

static void batch_add(KvmVcpu *v, unsigned row, uint64_t value)
{
    const MsrRow *r = &g_array_index(rows, MsrRow, row);
    unsigned n = v->msrs->nmsrs++;

    v->msrs->entries[n] = (struct kvm_msr_entry){ .index = r->index, .data = value };
    v->msr_row[n] = row;
}

/* Take entry n out of the batch. */
static void batch_drop(KvmVcpu *v, unsigned n)
{
    unsigned rest = v->msrs->nmsrs - n - 1;

    memmove(&v->msrs->entries[n], &v->msrs->entries[n + 1], rest * sizeof(v->msrs->entries[0]));
    memmove(&v->msr_row[n], &v->msr_row[n + 1], rest * sizeof(v->msr_row[0]));
    v->msrs->nmsrs--;
}

bool kvm_get_msrs(KvmVcpu *v, Error **errp)
{
    struct kvm_msrs *m = batch(v);
    int ret;

    for (unsigned i = 0; i < rows->len; i++) {
        if (!row_refused(i)) {
            batch_add(v, i, 0);
        }
    }
    while ((ret = kvm_ioctl(v->fd, KVM_GET_MSRS, m)) != (int)m->nmsrs) {
        if (ret < 0) {
            error_setg_errno(errp, errno, "KVM_GET_MSRS");
            return false;
        }
        refuse_row(v->msr_row[ret]);
        batch_drop(v, ret);
    }
    for (unsigned i = 0; i < m->nmsrs; i++) {
        uint64_t value = m->entries[i].data;

        if (is_mtrr_mask(m->entries[i].index)) {
            value |= mtrr_high_bits(v);
        }
        set_field(&v->cpu->env, &g_array_index(rows, MsrRow, v->msr_row[i]), value);
    }
    return true;
}

bool kvm_put_msrs(KvmVcpu *v, PutLevel level, Error **errp)
{
    struct kvm_msrs *m = batch(v);
    CPUX86State *env = &v->cpu->env;
    int ret;

    for (unsigned i = 0; i < rows->len; i++) {
        const MsrRow *r = &g_array_index(rows, MsrRow, i);

        if (!row_refused(i) &&
            (r->level == MSR_ALWAYS || (r->level == MSR_RESET && level != PUT_RUNTIME))) {
            uint64_t value = get_field(env, r);

            batch_add(v, i, is_mtrr_mask(r->index) ? value & ~mtrr_high_bits(v) : value);
        }
    }
    while ((ret = kvm_ioctl(v->fd, KVM_SET_MSRS, m)) != (int)m->nmsrs) {
        if (ret < 0) {
            error_setg_errno(errp, errno, "KVM_SET_MSRS");
            return false;
        }
        /* One that this guest's CPUID does not have can only be at its reset value. */
        if (m->entries[ret].data != x86_msr_reset_value(m->entries[ret].index)) {
            error_setg(errp, "KVM refuses MSR 0x%x with value 0x%" PRIx64, m->entries[ret].index,
                       (uint64_t)m->entries[ret].data);
            return false;
        }
        refuse_row(v->msr_row[ret]);
        batch_drop(v, ret);
    }
    return true;
}

bool kvm_set_one_msr(KvmVcpu *v, uint32_t index, uint64_t value)
{
    union {
        struct kvm_msrs m;
        uint8_t room[sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)];
    } u = { .m = { .nmsrs = 1 } };

    u.m.entries[0] = (struct kvm_msr_entry){ .index = index, .data = value };
    return kvm_ioctl(v->fd, KVM_SET_MSRS, &u) == 1;
}
