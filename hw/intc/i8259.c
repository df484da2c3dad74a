/*
 * 8259A pair in user space.
 *
 * Facts: Intel 8259A data sheet; edge/level registers as in the PIIX data sheet.
 * Machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "hw/intc/i8259.h"

#include <string.h>

#include "hw/intc/user-irqchip.h"
#include "system/address-space.h"
#include "target/i386/cpu.h"

static PICPair *pair; /* the one pair there is */

/* Rank of the highest-priority line in mask: 0 is served first, 8 means none. */
static int rank_of(const PICState *s, uint8_t mask)
{
    int rank = 0;

    if (!mask) {
        return 8;
    }
    while (!(mask >> ((rank + s->priority_add) & 7) & 1)) {
        rank++;
    }
    return rank;
}

/* Line that this chip wants served now, or -1. */
static int wanted(const PICState *s)
{
    uint8_t in_service = s->isr;
    int rank = rank_of(s, s->irr & ~s->imr);

    if (rank == 8) {
        return -1;
    }
    if (s->special_mask) {
        in_service &= ~s->imr;
    }
    if (s->special_fully_nested_mode && s->master) {
        in_service &= ~(1u << 2); /* the slave may interrupt itself */
    }
    if (rank >= rank_of(s, in_service)) {
        return -1;
    }
    return (rank + s->priority_add) & 7;
}

static void set_line(PICState *s, int n, int level)
{
    uint8_t mask = 1u << n;

    if (s->elcr & mask) {
        s->irr = level ? s->irr | mask : s->irr & ~mask;
        s->last_irr = level ? s->last_irr | mask : s->last_irr & ~mask;
        return;
    }
    if (level && !(s->last_irr & mask)) {
        s->irr |= mask;
    } else if (!level) {
        s->irr &= ~mask;
    }
    s->last_irr = level ? s->last_irr | mask : s->last_irr & ~mask;
}

/* Carry the slave's output to the master and the master's to the CPUs. */
static void propagate(PICPair *p)
{
    set_line(&p->chip[0], 2, wanted(&p->chip[1]) >= 0);
    user_irqchip_update_all();
}

bool pic_user_output(void)
{
    return pair && wanted(&pair->chip[0]) >= 0;
}

static void acknowledge_line(PICState *s, int n)
{
    if (s->auto_eoi) {
        if (s->rotate_on_auto_eoi) {
            s->priority_add = (n + 1) & 7;
        }
    } else {
        s->isr |= 1u << n;
    }
    if (!(s->elcr & 1u << n)) {
        s->irr &= ~(1u << n);
    }
}

int pic_user_acknowledge(void)
{
    PICState *m = &pair->chip[0], *sl = &pair->chip[1];
    int n = wanted(m), vector;

    if (n < 0) {
        return m->irq_base + 7; /* spurious */
    }
    acknowledge_line(m, n);
    vector = m->irq_base + n;
    if (n == 2) {
        n = wanted(sl);
        if (n >= 0) {
            acknowledge_line(sl, n);
        }
        vector = sl->irq_base + (n < 0 ? 7 : n);
    }
    propagate(pair);
    return vector;
}

void user_irqchip_update_all(void)
{
    CPU_FOREACH(c) {
        user_irqchip_update_cpu(X86_CPU(c));
    }
}

static void init_command(PICState *s, uint8_t val)
{
    uint8_t elcr = s->elcr, elcr_mask = s->elcr_mask;
    PICPair *p = s->pair;
    bool master = s->master;

    memset(s, 0, sizeof(*s));
    s->pair = p;
    s->master = master;
    s->elcr = elcr;
    s->elcr_mask = elcr_mask;
    s->init_state = 1;
    s->init4 = val & 1;
    s->single_mode = val >> 1 & 1;
}

static void ocw2(PICState *s, uint8_t val)
{
    int command = val >> 5, n = val & 7;

    switch (command) {
    case 0:
    case 4: /* rotate in automatic EOI mode, clear and set */
        s->rotate_on_auto_eoi = command >> 2;
        break;
    case 1:
    case 5: { /* non-specific EOI, with and without rotation */
        int rank = rank_of(s, s->isr);
        if (rank < 8) {
            n = (rank + s->priority_add) & 7;
            s->isr &= ~(1u << n);
            if (command == 5) {
                s->priority_add = (n + 1) & 7;
            }
        }
        break;
    }
    case 3:
        s->isr &= ~(1u << n);
        break;
    case 6:
        s->priority_add = (n + 1) & 7;
        break;
    case 7:
        s->isr &= ~(1u << n);
        s->priority_add = (n + 1) & 7;
        break;
    }
}

static void write_command(PICState *s, uint8_t val)
{
    if (val & 0x10) {
        init_command(s, val);
    } else if (val & 0x08) {
        s->poll = val >> 2 & 1;
        if (val & 2) {
            s->read_reg_select = val & 1;
        }
        if (val & 0x40) {
            s->special_mask = val >> 5 & 1;
        }
    } else {
        ocw2(s, val);
    }
}

static void write_data(PICState *s, uint8_t val)
{
    switch (s->init_state) {
    case 0:
        s->imr = val;
        break;
    case 1:
        s->irq_base = val & 0xf8;
        s->init_state = s->single_mode ? (s->init4 ? 3 : 0) : 2;
        break;
    case 2:
        s->init_state = s->init4 ? 3 : 0;
        break;
    case 3:
        s->special_fully_nested_mode = val >> 4 & 1;
        s->auto_eoi = val >> 1 & 1;
        s->init_state = 0;
        break;
    }
}

static uint64_t port_read(void *opaque, uint64_t offset, unsigned size)
{
    PICState *s = opaque;

    if (s->poll) {
        int n = wanted(s);
        s->poll = 0;
        if (n >= 0) {
            acknowledge_line(s, n);
            propagate(s->pair);
        }
        return n < 0 ? 0 : 0x80 | n;
    }
    if (offset == 1) {
        return s->imr;
    }
    return s->read_reg_select ? s->isr : s->irr;
}

static void port_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    PICState *s = opaque;

    if (offset == 0) {
        write_command(s, value);
    } else {
        write_data(s, value);
    }
    propagate(s->pair);
}

static uint64_t elcr_read(void *opaque, uint64_t offset, unsigned size)
{
    PICPair *p = opaque;

    return p->chip[offset].elcr;
}

static void elcr_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    PICPair *p = opaque;

    p->chip[offset].elcr = value & p->chip[offset].elcr_mask;
}

static void user_init(PICPair *p)
{
    static const IORegionOps ops = { port_read, port_write, 1, 1 };
    static const IORegionOps elcr_ops = { elcr_read, elcr_write, 1, 1 };

    pair = p;
    ioport_map(0x20, 2, "i8259-master", &ops, &p->chip[0]);
    ioport_map(0xa0, 2, "i8259-slave", &ops, &p->chip[1]);
    ioport_map(0x4d0, 2, "i8259-elcr", &elcr_ops, p);
}

static void user_set_irq(PICPair *p, int irq, int level)
{
    set_line(&p->chip[irq >> 3], irq & 7, level);
    propagate(p);
}

static bool user_post_load(PICState *s, Error **errp)
{
    user_irqchip_update_all();
    return true;
}

static const PICOps user_ops = {
    .name = "isa-i8259",
    .init = user_init,
    .post_load = user_post_load,
    .set_irq = user_set_irq,
};

static void __attribute__((constructor)) register_user_pic(void)
{
    pic_set_user_model(&user_ops);
}
