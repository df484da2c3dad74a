/*
 * Local APIC in user space: registers, priorities, messages between CPUs, timer.
 *
 * Used when the accelerator has no APIC of its own.  Facts: Intel SDM volume 3,
 * chapter "Advanced Programmable Interrupt Controller".  Machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "hw/intc/apic.h"

#include "hw/i386/x86-irq.h"
#include "hw/intc/user-irqchip.h"
#include "system/address-space.h"
#include "system/machine-lock.h"
#include "target/i386/cpu.h"
#include "util/log.h"

/* Delivery modes of an LVT entry, ICR, redirection entry or MSI. */
enum { DM_FIXED, DM_LOWEST, DM_SMI, DM_RESERVED, DM_NMI, DM_INIT, DM_SIPI, DM_EXTINT };

/* Error status register. */
enum { ESR_SEND_ILLEGAL = 1 << 5, ESR_RECEIVE_ILLEGAL = 1 << 6 };

#define APIC_VERSION 0x00050014u /* six LVT entries, version 0x14 */

static APICState *apic_of(X86CPU *cpu)
{
    return cpu->apic;
}

static void vector_set(uint32_t *map, int v)
{
    map[v >> 5] |= 1u << (v & 31);
}

static void vector_clear(uint32_t *map, int v)
{
    map[v >> 5] &= ~(1u << (v & 31));
}

static bool vector_test(const uint32_t *map, int v)
{
    return map[v >> 5] >> (v & 31) & 1;
}

/* Highest vector of the map, -1 when it is empty. */
static int vector_highest(const uint32_t *map)
{
    for (int i = 7; i >= 0; i--) {
        if (map[i]) {
            return i * 32 + 31 - __builtin_clz(map[i]);
        }
    }
    return -1;
}

/* Processor priority: the higher class of TPR and the vector in service. */
static int processor_priority(const APICState *s)
{
    int isr = vector_highest(s->isr);

    isr = isr < 0 ? 0 : isr & 0xf0;
    return (s->tpr & 0xf0) >= isr ? s->tpr : isr;
}

static bool apic_enabled(const APICState *s)
{
    return (s->apicbase & APICBASE_ENABLE) && (s->spurious_vec & APIC_SPURIO_ENABLED);
}

/* Vector that would be delivered now, or -1. */
static int deliverable(const APICState *s)
{
    int v = apic_enabled(s) ? vector_highest(s->irr) : -1;

    return v >= 0 && (v & 0xf0) > (processor_priority(s) & 0xf0) ? v : -1;
}

bool apic_accepts_pic(X86CPU *cpu)
{
    APICState *s = apic_of(cpu);
    uint32_t lint0 = s->lvt[APIC_LVT_LINT0];

    if (!(s->apicbase & APICBASE_ENABLE)) {
        return cpu->is_bsp;
    }
    return !(lint0 & APIC_LVT_MASKED) && (lint0 >> 8 & 7) == DM_EXTINT;
}

void user_irqchip_update_cpu(X86CPU *cpu)
{
    bool pending = deliverable(apic_of(cpu)) >= 0 ||
                   (pic_user_output() && apic_accepts_pic(cpu));

    if (pending) {
        x86_cpu_interrupt(cpu, CPU_INT_HARD);
    } else {
        x86_cpu_interrupt_reset(cpu, CPU_INT_HARD);
    }
}

int pic_apic_get_interrupt(X86CPU *cpu)
{
    MACHINE_LOCK_GUARD();
    APICState *s = apic_of(cpu);
    int v = deliverable(s);

    if (v >= 0) {
        vector_clear(s->irr, v);
        vector_set(s->isr, v);
    } else if (pic_user_output() && apic_accepts_pic(cpu)) {
        v = pic_user_acknowledge();
    } else if (vector_highest(s->irr) >= 0 && apic_enabled(s)) {
        /* The priority rose between the request and its acknowledgement. */
        v = s->spurious_vec & 0xff;
    }
    user_irqchip_update_cpu(cpu);
    return v;
}

static void accept_vector(APICState *s, int vector, bool level)
{
    if (vector < 16) {
        s->esr |= ESR_RECEIVE_ILLEGAL;
        return;
    }
    vector_set(s->irr, vector);
    if (level) {
        vector_set(s->tmr, vector);
    } else {
        vector_clear(s->tmr, vector);
    }
    user_irqchip_update_cpu(s->cpu);
}

/* One CPU gets a message. */
static void deliver_to(APICState *s, int mode, int vector, bool level)
{
    switch (mode) {
    case DM_FIXED:
    case DM_LOWEST:
        if (apic_enabled(s)) {
            accept_vector(s, vector, level);
        }
        break;
    case DM_SMI:
        x86_cpu_interrupt(s->cpu, CPU_INT_SMI);
        break;
    case DM_NMI:
        x86_cpu_interrupt(s->cpu, CPU_INT_NMI);
        break;
    case DM_INIT:
        x86_cpu_interrupt(s->cpu, CPU_INT_INIT);
        break;
    case DM_SIPI:
        s->sipi_vector = vector;
        x86_cpu_interrupt(s->cpu, CPU_INT_SIPI);
        break;
    case DM_EXTINT:
        user_irqchip_update_cpu(s->cpu);
        break;
    }
}

static bool matches(const APICState *s, uint8_t dest, bool logical)
{
    if (!logical) {
        return dest == 0xff || dest == s->id;
    }
    if (s->dest_mode == 0xf) {
        return s->log_dest & dest;
    }
    return (s->log_dest >> 4) == (dest >> 4) && (s->log_dest & dest & 0xf);
}

void apic_user_deliver(uint8_t dest, bool logical, int mode, int vector, bool level)
{
    APICState *lowest = NULL;

    CPU_FOREACH(c) {
        APICState *s = apic_of(X86_CPU(c));
        if (!matches(s, dest, logical)) {
            continue;
        }
        if (mode != DM_LOWEST) {
            deliver_to(s, mode, vector, level);
        } else if (apic_enabled(s) &&
                   (!lowest || processor_priority(s) < processor_priority(lowest))) {
            lowest = s;
        }
    }
    if (lowest) {
        deliver_to(lowest, DM_FIXED, vector, level);
    }
}

static void msi(uint64_t addr, uint32_t data)
{
    apic_user_deliver(addr >> 12 & 0xff, addr >> 2 & 1, data >> 8 & 7, data & 0xff, data >> 15 & 1);
}

static void send_ipi(APICState *s)
{
    uint32_t low = s->icr[0];
    int mode = low >> 8 & 7, vector = low & 0xff, shorthand = low >> 18 & 3;
    bool level = low >> 15 & 1, asserted = low >> 14 & 1;

    if (mode == DM_INIT && level && !asserted) {
        return; /* "de-assert": only synchronises arbitration ids */
    }
    if ((mode == DM_FIXED || mode == DM_LOWEST) && vector < 16) {
        s->esr |= ESR_SEND_ILLEGAL;
        return;
    }
    if (shorthand == 0) {
        apic_user_deliver(s->icr[1] >> 24, low >> 11 & 1, mode, vector, level);
        return;
    }
    if (shorthand == 1) {
        deliver_to(s, mode, vector, level);
        return;
    }
    CPU_FOREACH(c) {
        APICState *other = apic_of(X86_CPU(c));
        if (shorthand == 2 || other != s) {
            deliver_to(other, mode, vector, level);
        }
    }
}

static void end_of_interrupt(APICState *s)
{
    int v = vector_highest(s->isr);

    if (v < 0) {
        return;
    }
    vector_clear(s->isr, v);
    if (vector_test(s->tmr, v)) {
        ioapic_user_eoi(v);
    }
    user_irqchip_update_cpu(s->cpu);
}

/* An entry of the LVT became active. */
static void local_interrupt(APICState *s, int entry)
{
    uint32_t lvt = s->lvt[entry];

    if (!(lvt & APIC_LVT_MASKED)) {
        deliver_to(s, entry == APIC_LVT_TIMER ? DM_FIXED : lvt >> 8 & 7, lvt & 0xff, false);
    }
}

static void arm_timer(APICState *s, int64_t now)
{
    if (apic_next_timer(s, now)) {
        timer_mod(&s->timer, s->next_time);
        s->timer_expiry = s->next_time;
    } else {
        timer_del(&s->timer);
        s->timer_expiry = -1;
    }
}

static void timer_fired(void *opaque)
{
    APICState *s = opaque;
    int64_t at = s->next_time;

    s->timer_expiry = -1;
    local_interrupt(s, APIC_LVT_TIMER);
    if ((s->lvt[APIC_LVT_TIMER] >> APIC_LVT_TIMER_MODE_SHIFT & 3) == 1) {
        arm_timer(s, at);
    }
}

static uint32_t current_count(const APICState *s)
{
    int64_t ticks = (virtual_clock_ns() - s->initial_count_load_time) >> s->count_shift;

    if (!s->initial_count) {
        return 0;
    }
    if ((s->lvt[APIC_LVT_TIMER] >> APIC_LVT_TIMER_MODE_SHIFT & 3) == 1) {
        return s->initial_count - (uint32_t)(ticks % ((int64_t)s->initial_count + 1));
    }
    return ticks >= s->initial_count ? 0 : s->initial_count - (uint32_t)ticks;
}

uint32_t apic_mmio_read(X86CPU *cpu, uint32_t offset)
{
    APICState *s = apic_of(cpu);
    unsigned reg = offset >> 4 & 0xff;

    switch (reg) {
    case 0x02: return (uint32_t)s->id << 24;
    case 0x03: return APIC_VERSION;
    case 0x08: return s->tpr;
    case 0x09: return s->arb_id;
    case 0x0a: return processor_priority(s);
    case 0x0b: return 0;
    case 0x0d: return (uint32_t)s->log_dest << 24;
    case 0x0e: return (uint32_t)s->dest_mode << 28 | 0x0fffffff;
    case 0x0f: return s->spurious_vec;
    case 0x10 ... 0x17: return s->isr[reg & 7];
    case 0x18 ... 0x1f: return s->tmr[reg & 7];
    case 0x20 ... 0x27: return s->irr[reg & 7];
    case 0x28: return s->esr;
    case 0x30: return s->icr[0];
    case 0x31: return s->icr[1];
    case 0x32 ... 0x37: return s->lvt[reg - 0x32];
    case 0x38: return s->initial_count;
    case 0x39: return current_count(s);
    case 0x3e: return s->divide_conf;
    default:
        log_debug(LOG_GUEST_ERROR, "apic: read of register %#x, which does not exist\n", reg);
        return 0;
    }
}

static void write_lvt(APICState *s, int entry, uint32_t value)
{
    /* Software-disabled: entries stay masked. */
    if (!(s->spurious_vec & APIC_SPURIO_ENABLED)) {
        value |= APIC_LVT_MASKED;
    }
    s->lvt[entry] = value;
    if (entry == APIC_LVT_TIMER) {
        arm_timer(s, virtual_clock_ns());
    }
    user_irqchip_update_cpu(s->cpu);
}

static void write_spurious(APICState *s, uint32_t value)
{
    s->spurious_vec = value & 0x1ff;
    if (!(value & APIC_SPURIO_ENABLED)) {
        for (int i = 0; i < APIC_LVT_NB; i++) {
            s->lvt[i] |= APIC_LVT_MASKED;
        }
    }
    user_irqchip_update_cpu(s->cpu);
}

static void write_timer_reg(APICState *s, unsigned reg, uint32_t value)
{
    if (reg == 0x38) {
        s->initial_count = value;
        s->initial_count_load_time = virtual_clock_ns();
    } else {
        s->divide_conf = value & 0xb;
        s->count_shift = apic_divide_shift(s->divide_conf);
    }
    arm_timer(s, virtual_clock_ns());
}

void apic_mmio_write(X86CPU *cpu, uint32_t offset, uint32_t value)
{
    APICState *s = apic_of(cpu);
    unsigned reg = offset >> 4 & 0xff;

    switch (reg) {
    case 0x02: s->id = value >> 24; break;
    case 0x08:
        s->tpr = value;
        user_irqchip_update_cpu(cpu);
        break;
    case 0x0b: end_of_interrupt(s); break;
    case 0x0d: s->log_dest = value >> 24; break;
    case 0x0e: s->dest_mode = value >> 28; break;
    case 0x0f: write_spurious(s, value); break;
    case 0x28: s->esr = 0; break;
    case 0x30:
        s->icr[0] = value & ~(1u << 12);
        send_ipi(s);
        break;
    case 0x31: s->icr[1] = value; break;
    case 0x32 ... 0x37: write_lvt(s, reg - 0x32, value); break;
    case 0x38:
    case 0x3e: write_timer_reg(s, reg, value); break;
    case 0x03:
    case 0x09:
    case 0x0a:
    case 0x10 ... 0x27:
    case 0x39: break; /* read only */
    default:
        log_debug(LOG_GUEST_ERROR, "apic: write to register %#x, which does not exist\n", reg);
    }
}

uint64_t apic_read_base_msr(X86CPU *cpu)
{
    return apic_of(cpu)->apicbase;
}

void apic_write_base_msr(X86CPU *cpu, uint64_t val)
{
    MACHINE_LOCK_GUARD();
    APICState *s = apic_of(cpu);

    /* The window stays where it is: no guest of this class moves it. */
    if ((val & ~0xfffULL) != APIC_DEFAULT_BASE) {
        log_debug(LOG_GUEST_ERROR, "apic: base moved to %#llx, window stays at %#x\n",
                  (unsigned long long)val & ~0xfffULL, APIC_DEFAULT_BASE);
    }
    s->apicbase = (uint32_t)(val & ~0xfffULL) | (val & APICBASE_ENABLE) |
                  (s->apicbase & APICBASE_BSP);
    user_irqchip_update_cpu(cpu);
}

uint8_t apic_get_tpr(X86CPU *cpu)
{
    return apic_of(cpu)->tpr >> 4;
}

void apic_set_tpr(X86CPU *cpu, uint8_t cr8)
{
    MACHINE_LOCK_GUARD();

    apic_of(cpu)->tpr = cr8 << 4;
    user_irqchip_update_cpu(cpu);
}

/* The window: the CPU that reads or writes sees its own APIC; monitors see the first. */
static X86CPU *window_cpu(void)
{
    CPUState *c = cpu_current() ? cpu_current() : cpu_first();

    return c ? X86_CPU(c) : NULL;
}

static uint64_t window_read(void *opaque, uint64_t offset, unsigned size)
{
    X86CPU *cpu = window_cpu();

    return cpu ? apic_mmio_read(cpu, offset & 0xff0) >> (8 * (offset & 3)) : 0xffffffff;
}

static void window_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    X86CPU *cpu = window_cpu();

    if (cpu && !(offset & 0xf)) {
        apic_mmio_write(cpu, offset, value);
    }
}

static void user_init(APICState *s)
{
    static const IORegionOps ops = { window_read, window_write, 4, 4 };
    static bool mapped; /* machine lock */

    timer_init(&s->timer, timer_fired, s);
    if (!mapped) {
        mapped = true;
        memory_map_io(APIC_DEFAULT_BASE, 0x1000, "apic", &ops, NULL);
        x86_msi_set_user_handler(msi);
    }
}

static bool user_post_load(APICState *s, Error **errp)
{
    if (s->timer_expiry >= 0) {
        timer_mod(&s->timer, s->timer_expiry);
    } else {
        timer_del(&s->timer);
    }
    user_irqchip_update_cpu(s->cpu);
    return true;
}

static void user_reset(APICState *s)
{
    timer_del(&s->timer);
    user_irqchip_update_cpu(s->cpu);
}

static const APICOps user_ops = {
    .name = "apic",
    .init = user_init,
    .post_load = user_post_load,
    .reset = user_reset,
};

static void __attribute__((constructor)) register_user_apic(void)
{
    apic_set_user_model(&user_ops);
}
