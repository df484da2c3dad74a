/*
 * The kernel's interrupt controllers and PIT behind the shared state of hw/intc and
 * hw/timer, and the interrupt lines into them.
 *
 * Machine lock; loads and saves with the vCPUs out of the guest.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <inttypes.h>
#include <string.h>

#include "kvm-int.h"
#include "system/clock.h"
#include "system/runstate.h"
#include "trace/accel_kvm.h"
#include "util/log.h"
#include "util/util.h"

enum { CHIP_PIC_MASTER, CHIP_PIC_SLAVE, CHIP_IOAPIC };
#define N_GSI 24

static void add_route(struct kvm_irq_routing *r, unsigned gsi, unsigned chip, unsigned pin)
{
    r->entries[r->nr++] = (struct kvm_irq_routing_entry){
        .gsi = gsi, .type = KVM_IRQ_ROUTING_IRQCHIP, .u.irqchip = { chip, pin },
    };
}

/* GSI 0..15 to the PICs; to the I/O APIC pin for pin, but GSI 0 to pin 2 and 2 nowhere. */
bool kvm_irqchip_create(Error **errp)
{
    union {
        struct kvm_irq_routing r;
        uint8_t room[sizeof(struct kvm_irq_routing) +
                     2 * N_GSI * sizeof(struct kvm_irq_routing_entry)];
    } u = { 0 };

    if (kvm_ioctl(kvm.vm_fd, KVM_CREATE_IRQCHIP, NULL) < 0) {
        error_setg_errno(errp, errno, "KVM cannot make its interrupt controllers");
        return false;
    }
    for (unsigned gsi = 0; gsi < N_GSI; gsi++) {
        if (gsi < 16) {
            add_route(&u.r, gsi, gsi < 8 ? CHIP_PIC_MASTER : CHIP_PIC_SLAVE, gsi & 7);
        }
        if (gsi != 2) {
            add_route(&u.r, gsi, CHIP_IOAPIC, gsi == 0 ? 2 : gsi);
        }
    }
    if (kvm_ioctl(kvm.vm_fd, KVM_SET_GSI_ROUTING, &u.r) < 0) {
        error_setg_errno(errp, errno, "KVM refuses the routing of interrupts");
        return false;
    }
    return true;
}

void kvm_gsi_set(void *opaque, int n, int level)
{
    struct kvm_irq_level l = { .irq = n, .level = level != 0 };

    if (kvm_ioctl(kvm.vm_fd, KVM_IRQ_LINE, &l) < 0) {
        warn_report("KVM does not take interrupt line %d: %s", n, g_strerror(errno));
    }
}

void kvm_msi_send(uint64_t addr, uint32_t data)
{
    struct kvm_msi m = { .address_lo = addr, .address_hi = addr >> 32, .data = data };

    if (kvm_ioctl(kvm.vm_fd, KVM_SIGNAL_MSI, &m) < 0) {
        warn_report("KVM does not take a message interrupt (address 0x%" PRIx64 "): %s", addr,
                    g_strerror(errno));
    }
}

/* ---- local APIC ---- */

static uint32_t lapic_reg(const struct kvm_lapic_state *k, unsigned offset)
{
    uint32_t v;

    memcpy(&v, k->regs + offset, 4);
    return v;
}

static void lapic_set_reg(struct kvm_lapic_state *k, unsigned offset, uint32_t v)
{
    memcpy(k->regs + offset, &v, 4);
}

/*
 * Timer of the loaded or saved state: the kernel has initial and current count, the
 * section the virtual time at which the count was started.
 */
static void timer_from_kernel(APICState *s, uint32_t current)
{
    int64_t now = virtual_clock_ns();

    s->count_shift = apic_divide_shift(s->divide_conf);
    s->initial_count_load_time =
        now - ((int64_t)(s->initial_count - MIN(current, s->initial_count)) << s->count_shift);
    if (apic_next_timer(s, now)) {
        s->timer_expiry = s->next_time;
    } else {
        s->timer_expiry = -1;
    }
}

static uint32_t timer_to_kernel(const APICState *s)
{
    int64_t left = s->next_time - virtual_clock_ns();

    if (s->timer_expiry < 0 || left <= 0) {
        return 0;
    }
    return MIN(left >> s->count_shift, (int64_t)s->initial_count);
}

static bool kvm_apic_pre_save(APICState *s, Error **errp)
{
    KvmVcpu *v = kvm_vcpu(&s->cpu->parent);
    struct kvm_lapic_state k = { 0 };

    if (kvm_ioctl(v->fd, KVM_GET_LAPIC, &k) < 0) {
        error_setg_errno(errp, errno, "KVM_GET_LAPIC");
        return false;
    }
    cpu_synchronize_state(&s->cpu->parent); /* apicbase */
    s->id = lapic_reg(&k, 0x20) >> 24;
    s->tpr = lapic_reg(&k, 0x80);
    s->arb_id = lapic_reg(&k, 0x90) >> 24;
    s->log_dest = lapic_reg(&k, 0xd0) >> 24;
    s->dest_mode = lapic_reg(&k, 0xe0) >> 28;
    s->spurious_vec = lapic_reg(&k, 0xf0);
    for (int i = 0; i < 8; i++) {
        s->isr[i] = lapic_reg(&k, 0x100 + 16 * i);
        s->tmr[i] = lapic_reg(&k, 0x180 + 16 * i);
        s->irr[i] = lapic_reg(&k, 0x200 + 16 * i);
    }
    s->esr = lapic_reg(&k, 0x280);
    s->icr[0] = lapic_reg(&k, 0x300);
    s->icr[1] = lapic_reg(&k, 0x310);
    for (int i = 0; i < APIC_LVT_NB; i++) {
        s->lvt[i] = lapic_reg(&k, 0x320 + 16 * i);
    }
    s->initial_count = lapic_reg(&k, 0x380);
    s->divide_conf = lapic_reg(&k, 0x3e0);
    timer_from_kernel(s, lapic_reg(&k, 0x390));
    s->sipi_vector = s->cpu->env.sipi_vector;
    s->wait_for_sipi = s->cpu->env.mp_state == KVM_MP_STATE_UNINITIALIZED ||
                       s->cpu->env.mp_state == KVM_MP_STATE_INIT_RECEIVED;
    return true;
}

static bool apic_push(APICState *s, Error **errp)
{
    KvmVcpu *v = kvm_vcpu(&s->cpu->parent);
    struct kvm_lapic_state k = { 0 };

    lapic_set_reg(&k, 0x20, (uint32_t)s->id << 24);
    lapic_set_reg(&k, 0x80, s->tpr);
    lapic_set_reg(&k, 0xd0, (uint32_t)s->log_dest << 24);
    lapic_set_reg(&k, 0xe0, (uint32_t)s->dest_mode << 28 | 0x0fffffff);
    lapic_set_reg(&k, 0xf0, s->spurious_vec);
    for (int i = 0; i < 8; i++) {
        lapic_set_reg(&k, 0x100 + 16 * i, s->isr[i]);
        lapic_set_reg(&k, 0x180 + 16 * i, s->tmr[i]);
        lapic_set_reg(&k, 0x200 + 16 * i, s->irr[i]);
    }
    lapic_set_reg(&k, 0x280, s->esr);
    lapic_set_reg(&k, 0x300, s->icr[0]);
    lapic_set_reg(&k, 0x310, s->icr[1]);
    for (int i = 0; i < APIC_LVT_NB; i++) {
        lapic_set_reg(&k, 0x320 + 16 * i, s->lvt[i]);
    }
    lapic_set_reg(&k, 0x380, s->initial_count);
    lapic_set_reg(&k, 0x390, timer_to_kernel(s));
    lapic_set_reg(&k, 0x3e0, s->divide_conf);
    /* The mode (x2APIC or not) decides how the kernel reads the registers. */
    if (!kvm_set_one_msr(v, 0x1b, s->apicbase)) {
        error_setg(errp, "KVM refuses APIC base 0x%x of vCPU %d", s->apicbase,
                   s->cpu->parent.index);
        return false;
    }
    if (kvm_ioctl(v->fd, KVM_SET_LAPIC, &k) < 0) {
        error_setg_errno(errp, errno, "KVM_SET_LAPIC");
        return false;
    }
    return true;
}

/* A loaded state goes in at once: the I/O APIC, loaded later, may deliver into it. */
static bool kvm_apic_post_load(APICState *s, Error **errp)
{
    return apic_push(s, errp);
}

static void kvm_apic_reset(APICState *s)
{
    g_autoptr(Error) err = NULL;

    if (s->cpu->parent.accel && !apic_push(s, &err)) {
        error_report("reset of a local APIC: %s", error_get_pretty(err));
    }
}

const APICOps kvm_apic_ops = {
    .name = "kvm-apic",
    .pre_save = kvm_apic_pre_save,
    .post_load = kvm_apic_post_load,
    .reset = kvm_apic_reset,
};

/* ---- I/O APIC and PICs ---- */

static bool irqchip_ioctl(unsigned long request, struct kvm_irqchip *chip, Error **errp)
{
    if (kvm_ioctl(kvm.vm_fd, request, chip) < 0) {
        error_setg_errno(errp, errno, "KVM %s the state of interrupt controller %u",
                         request == KVM_GET_IRQCHIP ? "does not give" : "refuses", chip->chip_id);
        return false;
    }
    return true;
}

static bool kvm_ioapic_pre_save(IOAPICState *s, Error **errp)
{
    struct kvm_irqchip chip = { .chip_id = CHIP_IOAPIC };

    trace_kvm_irqchip_save(CHIP_IOAPIC);
    if (!irqchip_ioctl(KVM_GET_IRQCHIP, &chip, errp)) {
        return false;
    }
    s->id = chip.chip.ioapic.id;
    s->ioregsel = chip.chip.ioapic.ioregsel;
    s->irr = chip.chip.ioapic.irr;
    for (int i = 0; i < IOAPIC_NUM_PINS; i++) {
        s->ioredtbl[i] = chip.chip.ioapic.redirtbl[i].bits;
    }
    return true;
}

static bool kvm_ioapic_push(IOAPICState *s, Error **errp)
{
    struct kvm_irqchip chip = { .chip_id = CHIP_IOAPIC };

    trace_kvm_irqchip_load(CHIP_IOAPIC);
    chip.chip.ioapic.base_address = s->base;
    chip.chip.ioapic.id = s->id;
    chip.chip.ioapic.ioregsel = s->ioregsel;
    chip.chip.ioapic.irr = s->irr;
    for (int i = 0; i < IOAPIC_NUM_PINS; i++) {
        chip.chip.ioapic.redirtbl[i].bits = s->ioredtbl[i];
    }
    return irqchip_ioctl(KVM_SET_IRQCHIP, &chip, errp);
}

static void report_reset(const char *what, Error *err)
{
    error_report("reset of the %s: %s", what, error_get_pretty(err));
}

static void kvm_ioapic_reset(IOAPICState *s)
{
    g_autoptr(Error) err = NULL;

    if (!kvm_ioapic_push(s, &err)) {
        report_reset("I/O APIC", err);
    }
}

const IOAPICOps kvm_ioapic_ops = {
    .name = "kvm-ioapic",
    .pre_save = kvm_ioapic_pre_save,
    .post_load = kvm_ioapic_push,
    .reset = kvm_ioapic_reset,
};

/* Copy the fields that kernel and section have in common, either way. */
#define PIC_FIELDS(X)                                                                       \
    X(last_irr) X(irr) X(imr) X(isr) X(priority_add) X(irq_base) X(read_reg_select) X(poll) \
    X(special_mask) X(init_state) X(auto_eoi) X(rotate_on_auto_eoi)                         \
    X(special_fully_nested_mode) X(init4) X(elcr)

static bool kvm_pic_pre_save(PICState *s, Error **errp)
{
    struct kvm_irqchip chip = { .chip_id = s->master ? CHIP_PIC_MASTER : CHIP_PIC_SLAVE };

    trace_kvm_irqchip_save(chip.chip_id);
    if (!irqchip_ioctl(KVM_GET_IRQCHIP, &chip, errp)) {
        return false;
    }
#define X(f) s->f = chip.chip.pic.f;
    PIC_FIELDS(X)
#undef X
    return true;
}

static bool kvm_pic_push(PICState *s, Error **errp)
{
    struct kvm_irqchip chip = { .chip_id = s->master ? CHIP_PIC_MASTER : CHIP_PIC_SLAVE };

    trace_kvm_irqchip_load(chip.chip_id);
#define X(f) chip.chip.pic.f = s->f;
    PIC_FIELDS(X)
#undef X
    chip.chip.pic.elcr_mask = s->elcr_mask;
    return irqchip_ioctl(KVM_SET_IRQCHIP, &chip, errp);
}

static void kvm_pic_reset(PICState *s)
{
    g_autoptr(Error) err = NULL;

    if (!kvm_pic_push(s, &err)) {
        report_reset("8259", err);
    }
}

const PICOps kvm_pic_ops = {
    .name = "kvm-i8259",
    .pre_save = kvm_pic_pre_save,
    .post_load = kvm_pic_push,
    .reset = kvm_pic_reset,
};
