/*
 * How the userspace interrupt controllers (hw/intc/{apic,ioapic,i8259}.c) talk to each
 * other.  Not used when the accelerator has its own.  Machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_HW_INTC_USER_IRQCHIP_H
#define FERRY_HW_INTC_USER_IRQCHIP_H

#include <stdbool.h>
#include <stdint.h>

struct X86CPU;

/* Is the 8259 pair asking for an interrupt?  False without one. */
bool pic_user_output(void);
/* Interrupt acknowledge cycle: the vector, and the request moves into service. */
int pic_user_acknowledge(void);

/* A message on the APIC bus: mode is the delivery mode of ICR bits 8..10. */
void apic_user_deliver(uint8_t dest, bool logical, int mode, int vector, bool level);
/* A level-triggered vector was acknowledged by a local APIC. */
void ioapic_user_eoi(int vector);

/* Set or clear CPU_INT_HARD of the CPU from what its controllers ask for. */
void user_irqchip_update_cpu(struct X86CPU *cpu);
/* The same for every CPU: the 8259's output changed. */
void user_irqchip_update_all(void);

#endif
