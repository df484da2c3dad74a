/*
 * Interrupt lines: a wire from a device's output to somebody's input.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_HW_CORE_IRQ_H
#define FERRY_HW_CORE_IRQ_H

typedef void IRQHandler(void *opaque, int n, int level);
typedef struct IRQLine {
    IRQHandler *handler; /* NULL: not connected */
    void *opaque;
    int n;
} IRQLine;

/* Machine lock held. */
static inline void irq_set(const IRQLine *irq, int level)
{
    if (irq && irq->handler) {
        irq->handler(irq->opaque, irq->n, level);
    }
}
static inline void irq_pulse(const IRQLine *irq)
{
    irq_set(irq, 1);
    irq_set(irq, 0);
}

#endif
