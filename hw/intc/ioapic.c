/*
 * I/O APIC in user space: pins, redirection table, end of interrupt.
 *
 * Facts: Intel 82093AA data sheet.  Machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "hw/intc/ioapic.h"

#include "hw/intc/user-irqchip.h"
#include "system/address-space.h"
#include "util/log.h"
#include "util/util.h"

enum { REG_ID, REG_VERSION, REG_ARB, REG_TABLE = 0x10 };
#define IOAPIC_VERSION (0x11u | (IOAPIC_NUM_PINS - 1) << 16)
#define DM_EXTINT 7
#define REDIR_READONLY (IOAPIC_REDIR_SEND_PENDING | IOAPIC_REDIR_REMOTE_IRR)

static IOAPICState *chip; /* the one chip there is */

static void deliver(IOAPICState *s, int pin)
{
    uint64_t e = s->ioredtbl[pin];
    int mode = e >> 8 & 7;
    bool level = e & IOAPIC_REDIR_LEVEL;
    int vector = e & 0xff;

    if (level) {
        s->ioredtbl[pin] |= IOAPIC_REDIR_REMOTE_IRR;
    } else {
        s->irr &= ~(1u << pin);
    }
    if (mode == DM_EXTINT) {
        vector = pic_user_acknowledge();
        mode = 0;
    }
    apic_user_deliver(e >> 56, e >> 11 & 1, mode, vector, level);
}

/* Send what is pending and may be sent. */
static void service(IOAPICState *s)
{
    for (int pin = 0; pin < IOAPIC_NUM_PINS; pin++) {
        uint64_t e = s->ioredtbl[pin];
        bool waits = (e & IOAPIC_REDIR_LEVEL) && (e & IOAPIC_REDIR_REMOTE_IRR);

        if ((s->irr >> pin & 1) && !(e & IOAPIC_REDIR_MASKED) && !waits) {
            deliver(s, pin);
        }
    }
}

static void user_set_irq(IOAPICState *s, int pin, int level)
{
    uint32_t mask = 1u << pin;
    bool was = s->level & mask;

    s->level = level ? s->level | mask : s->level & ~mask;
    if (s->ioredtbl[pin] & IOAPIC_REDIR_LEVEL) {
        s->irr = level ? s->irr | mask : s->irr & ~mask;
    } else if (level && !was) {
        s->irr |= mask;
    }
    service(s);
}

void ioapic_user_eoi(int vector)
{
    if (!chip) {
        return;
    }
    for (int pin = 0; pin < IOAPIC_NUM_PINS; pin++) {
        uint64_t *e = &chip->ioredtbl[pin];
        if ((*e & IOAPIC_REDIR_LEVEL) && (int)(*e & 0xff) == vector) {
            *e &= ~(uint64_t)IOAPIC_REDIR_REMOTE_IRR;
        }
    }
    service(chip);
}

static uint32_t read_register(IOAPICState *s)
{
    unsigned row = (s->ioregsel - REG_TABLE) >> 1;

    switch (s->ioregsel) {
    case REG_ID:
    case REG_ARB:
        return (uint32_t)s->id << 24;
    case REG_VERSION:
        return IOAPIC_VERSION;
    default:
        if (s->ioregsel < REG_TABLE || row >= IOAPIC_NUM_PINS) {
            return 0;
        }
        return s->ioregsel & 1 ? s->ioredtbl[row] >> 32 : (uint32_t)s->ioredtbl[row];
    }
}

static void write_register(IOAPICState *s, uint32_t value)
{
    unsigned row = (s->ioregsel - REG_TABLE) >> 1;

    if (s->ioregsel == REG_ID) {
        s->id = value >> 24 & 0xf;
        return;
    }
    if (s->ioregsel < REG_TABLE || row >= IOAPIC_NUM_PINS) {
        return;
    }
    uint64_t *e = &s->ioredtbl[row];
    if (s->ioregsel & 1) {
        *e = (*e & 0xffffffff) | (uint64_t)value << 32;
    } else {
        uint32_t kept = *e & REDIR_READONLY;
        *e = (*e & ~0xffffffffULL) | (value & ~REDIR_READONLY & 0x1ffff) | kept;
        if (!(*e & IOAPIC_REDIR_LEVEL)) {
            *e &= ~(uint64_t)IOAPIC_REDIR_REMOTE_IRR;
        }
    }
    service(s);
}

static uint64_t window_read(void *opaque, uint64_t offset, unsigned size)
{
    IOAPICState *s = opaque;

    switch (offset & 0xff) {
    case 0x00:
        return s->ioregsel;
    case 0x10:
        return read_register(s);
    default:
        return 0;
    }
}

static void window_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    IOAPICState *s = opaque;

    switch (offset & 0xff) {
    case 0x00:
        s->ioregsel = value;
        break;
    case 0x10:
        write_register(s, value);
        break;
    case 0x40: /* EOI register of later versions; harmless on this one */
        break;
    default:
        log_debug(LOG_GUEST_ERROR, "ioapic: write to offset %#x, where nothing is\n",
                  (unsigned)offset);
    }
}

static void user_init(IOAPICState *s)
{
    static const IORegionOps ops = { window_read, window_write, 4, 4 };

    chip = s;
    memory_map_io(s->base, 0x1000, "ioapic", &ops, s);
}

static void user_reset(IOAPICState *s)
{
    s->level = 0;
}

static bool user_post_load(IOAPICState *s, Error **errp)
{
    service(s);
    return true;
}

static const IOAPICOps user_ops = {
    .name = "ioapic",
    .init = user_init,
    .post_load = user_post_load,
    .reset = user_reset,
    .set_irq = user_set_irq,
};

static void __attribute__((constructor)) register_user_ioapic(void)
{
    ioapic_set_user_model(&user_ops);
}
