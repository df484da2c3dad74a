/*
 * I/O APIC: the state that both its models share, section `ioapic` version 3.
 *
 * Machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_HW_INTC_IOAPIC_H
#define FERRY_HW_INTC_IOAPIC_H

#include <stdbool.h>
#include <stdint.h>

#include "util/error.h"

#define IOAPIC_NUM_PINS 24
#define IOAPIC_DEFAULT_BASE 0xfec00000u
#define IOAPIC_REDIR_MASKED (1u << 16)
#define IOAPIC_REDIR_LEVEL (1u << 15)
#define IOAPIC_REDIR_REMOTE_IRR (1u << 14)
#define IOAPIC_REDIR_POLARITY_LOW (1u << 13)
#define IOAPIC_REDIR_SEND_PENDING (1u << 12)

typedef struct IOAPICState IOAPICState;

typedef struct IOAPICOps {
    const char *name; /* "kvm-ioapic", "ioapic" */
    void (*init)(IOAPICState *s);
    bool (*pre_save)(IOAPICState *s, Error **errp);
    bool (*post_load)(IOAPICState *s, Error **errp);
    void (*reset)(IOAPICState *s); /* after ioapic_reset() has set the power-on state */
    void (*set_irq)(IOAPICState *s, int pin, int level);
} IOAPICOps;

struct IOAPICState {
    const IOAPICOps *ops;
    uint64_t base; /* guest-physical address of the register window */
    uint8_t id;
    uint8_t ioregsel;
    uint32_t irr;
    uint64_t ioredtbl[IOAPIC_NUM_PINS];

    uint32_t level; /* state of the input lines; not saved, devices raise them again */
    void *model;
};

/* Make chip 0 at IOAPIC_DEFAULT_BASE and register section and reset. */
IOAPICState *ioapic_new(Error **errp);
/* Power-on registers, then the model's reset. */
void ioapic_reset(IOAPICState *s);
void ioapic_set_user_model(const IOAPICOps *ops);

extern const struct VMStateDescription vmstate_ioapic; /* section `ioapic` */

#endif
