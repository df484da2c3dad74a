/*
 * Interrupts of a PC: controllers, and the lines (GSIs) that devices drive.
 *
 * GSI 0..15 go to the 8259 pair and to the I/O APIC (GSI 0 to pin 2), 16..23 to the
 * I/O APIC only.  With an accelerator that has its own controllers (KVM) the lines
 * end in the kernel.  Machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_HW_I386_X86_IRQ_H
#define FERRY_HW_I386_X86_IRQ_H

#include <stdbool.h>
#include <stdint.h>

#include "hw/core/irq.h"
#include "hw/intc/i8259.h"
#include "hw/intc/ioapic.h"
#include "hw/timer/i8254.h"
#include "util/error.h"

#define X86_NUM_GSI 24

/*
 * Make the 8259 pair, the I/O APIC and (with_pit) the 8254, with their sections and
 * resets.  Called once by the machine, before it makes CPUs and devices.
 */
bool x86_irq_init(bool with_pit, Error **errp);
/* Input line n (0..X86_NUM_GSI-1); valid after x86_irq_init(), for the whole life. */
IRQLine *x86_gsi(int n);

/* NULL before x86_irq_init() (and x86_pit() without a PIT). */
PICPair *x86_pic(void);
IOAPICState *x86_ioapic(void);
PITState *x86_pit(void);

/* Message-signalled interrupt as a device writes it. */
void x86_msi_send(uint64_t addr, uint32_t data);
/* Used by the userspace APIC: where messages go without a kernel APIC. */
void x86_msi_set_user_handler(void (*fn)(uint64_t addr, uint32_t data));

#endif
