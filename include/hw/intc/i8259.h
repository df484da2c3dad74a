/*
 * 8259 interrupt controllers: the state that both models share, section `i8259`
 * version 1, instance 0 the master, 1 the slave.
 *
 * Machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_HW_INTC_I8259_H
#define FERRY_HW_INTC_I8259_H

#include <stdbool.h>
#include <stdint.h>

#include "util/error.h"

typedef struct PICState PICState;
typedef struct PICPair PICPair;

typedef struct PICOps {
    const char *name; /* "kvm-i8259", "isa-i8259" */
    void (*init)(PICPair *p); /* once, both chips exist */
    bool (*pre_save)(PICState *s, Error **errp);
    bool (*post_load)(PICState *s, Error **errp);
    void (*reset)(PICState *s); /* after the chip's power-on state is set */
    void (*set_irq)(PICPair *p, int irq, int level); /* 0..15 */
} PICOps;

struct PICState {
    PICPair *pair;
    bool master;
    uint8_t last_irr; /* level of edge-triggered inputs */
    uint8_t irr, imr, isr;
    uint8_t priority_add; /* highest priority line */
    uint8_t irq_base;
    uint8_t read_reg_select, poll, special_mask, init_state, auto_eoi, rotate_on_auto_eoi;
    uint8_t special_fully_nested_mode, init4, single_mode;
    uint8_t elcr; /* edge/level bits */
    uint8_t elcr_mask;
};

struct PICPair {
    const PICOps *ops;
    PICState chip[2]; /* master, slave */
    void *model;
};

PICPair *pic_new(Error **errp);
/* Power-on registers of both chips (ELCR included), then the model's reset. */
void pic_reset(PICPair *p);
/*
 * Set which of the 16 lines are level-triggered, as firmware does through ports 0x4d0 and
 * 0x4d1 after a reset.  Lines that are always edge-triggered stay so.
 */
void pic_set_elcr(PICPair *p, uint16_t lines);
void pic_set_user_model(const PICOps *ops);

extern const struct VMStateDescription vmstate_i8259; /* section `i8259` */

#endif
