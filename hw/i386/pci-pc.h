/*
 * The PCI side of the PC machines.  Machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_HW_I386_PCI_PC_H
#define FERRY_HW_I386_PCI_PC_H

#include "hw/pci/pci.h"

/* Host bridge, bus `pci.0` and ISA bridge of an i440FX; `below` is memory below 4 GiB. */
bool i440fx_init(uint64_t below, uint64_t ram_size, Error **errp);
/* Host bridge with ECAM, bus `pcie.0` and LPC bridge of a Q35. */
bool q35_init(uint64_t below, uint64_t ram_size, Error **errp);

/* pci-pc.c: windows around the memory, dispatch, section PCIHost, and firmware's part of a
 * reset with the levels of the 8259 pair (elcr).  line_of as for pci_setup(). */
bool pc_pci_host_init(PCIBus *bus, uint64_t below, uint64_t ram_size,
                      uint8_t (*line_of)(unsigned line), void (*firmware)(void), Error **errp);
/*
 * Drive the lines of the 8259 pair as the n routing registers say: bits 3:0 the line, bit 7
 * off.  After a register or a PCI line has changed.
 */
void pirq_update(const uint8_t *regs, unsigned n);

#endif
