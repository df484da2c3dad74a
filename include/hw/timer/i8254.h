/*
 * 8254 interval timer: the state that both models share, section `i8254` version 3.
 *
 * Times are nanoseconds of the virtual clock.  Machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_HW_TIMER_I8254_H
#define FERRY_HW_TIMER_I8254_H

#include <stdbool.h>
#include <stdint.h>

#include "hw/core/irq.h"
#include "system/clock.h"
#include "util/error.h"

#define PIT_FREQ 1193182

typedef struct PITState PITState;

typedef struct PITOps {
    const char *name; /* "kvm-pit", "isa-pit" */
    bool (*init)(PITState *s, Error **errp);
    bool (*pre_save)(PITState *s, Error **errp);
    bool (*post_load)(PITState *s, Error **errp);
    void (*reset)(PITState *s); /* after the power-on state is set */
} PITOps;

typedef struct PITChannel {
    int32_t count;        /* 1..65536 */
    uint16_t latched_count;
    uint8_t count_latched, status_latched, status;
    uint8_t read_state, write_state, write_latch;
    uint8_t rw_mode, mode, bcd;
    uint8_t gate;
    int64_t count_load_time;
    int64_t next_transition_time; /* -1: none */
    uint32_t irq_disabled;        /* channel 0 only: HPET legacy replacement */
} PITChannel;

struct PITState {
    const PITOps *ops;
    PITChannel channels[3];
    const IRQLine *irq;     /* output of channel 0; unused by the kernel's model */
    Timer timer;            /* userspace model only */
    void *model;
};

/* Virtual time after `now` at which the output of c changes, or -1. */
int64_t pit_next_transition(const PITChannel *c, int64_t now);

/* irq: where channel 0 goes (GSI 0); kept by reference. */
PITState *pit_new(const IRQLine *irq, Error **errp);
void pit_reset(PITState *s);
void pit_set_user_model(const PITOps *ops);

extern const struct VMStateDescription vmstate_i8254; /* section `i8254` */

#endif
