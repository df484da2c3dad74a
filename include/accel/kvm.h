/*
 * What the rest of the program asks KVM about beyond AccelOps.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_ACCEL_KVM_H
#define FERRY_ACCEL_KVM_H

#include <stdbool.h>
#include <stdint.h>

#include "hw/core/irq.h"
#include "hw/intc/apic.h"
#include "hw/intc/i8259.h"
#include "hw/intc/ioapic.h"
#include "hw/timer/i8254.h"
#include "util/error.h"

/*
 * CPUID bits that the kernel can give to a guest: register `reg` (0 eax, 1 ebx, 2 ecx,
 * 3 edx) of leaf fn, subleaf index; 0 for unknown leaves.  KVM must be the accelerator.
 */
uint32_t kvm_supported_cpuid(uint32_t fn, uint32_t index, int reg);

/* The kernel's interrupt controllers and timer behind the shared state. */
extern const APICOps kvm_apic_ops;
extern const IOAPICOps kvm_ioapic_ops;
extern const PICOps kvm_pic_ops;
extern const PITOps kvm_pit_ops;
/* Drive GSI n; a handler for IRQLine.  Machine lock. */
void kvm_gsi_set(void *opaque, int n, int level);
/* Message-signalled interrupt. */
void kvm_msi_send(uint64_t addr, uint32_t data);

#endif
