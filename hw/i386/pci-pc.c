/*
 * What both PCs' PCI have in common: address windows, routing of PIRQs to the 16 lines of the
 * 8259 pair, and firmware's part of a reset.  Machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "hw/i386/pci-pc.h"

#include "hw/i386/x86-irq.h"
#include "system/runstate.h"
#include "util/util.h"

#define IOAPIC_ADDR 0xfec00000ull
#define BAR_START 0xe0000000ull   /* behind ECAM */
#define PHYS_END (1ULL << 40)     /* what every CPU model can address */
#define FIRST_PORT 0xc000

void pirq_update(const uint8_t *regs, unsigned n)
{
    static uint16_t asserted; /* lines that PCI holds up */
    uint16_t now = 0;

    for (unsigned i = 0; i < n; i++) {
        if (!(regs[i] & 0x80) && pci_root_irq_level(i)) {
            now |= 1u << (regs[i] & 0x0f);
        }
    }
    for (unsigned line = 0; line < 16; line++) {
        if ((now ^ asserted) & 1u << line) {
            irq_set(x86_gsi(line), now >> line & 1);
        }
    }
    asserted = now;
}

static const VMStateDescription vmstate_host = {
    .name = "PCIHost",
    .version_id = 1,
    .minimum_version_id = 1,
    .fields = (const VMStateField[]){
        { .name = "config_reg", .info = &vmstate_info_uint32, .size = sizeof(uint32_t) },
        VMSTATE_END_OF_LIST(),
    },
};

static struct {
    uint8_t (*line_of)(unsigned line);
    void (*firmware)(void);
} setup;

static void host_reset(void *opaque)
{
    pci_config_address = 0;
    setup.firmware();
    pci_setup(pci_root_bus(), setup.line_of);
}

bool pc_pci_host_init(PCIBus *bus, uint64_t below, uint64_t ram_size,
                      uint8_t (*line_of)(unsigned line), void (*firmware)(void), Error **errp)
{
    uint64_t end = 4 * GiB + (ram_size - below);
    PCIWindows w = {
        .mem_start = MAX(below, 0xb0000000ull),
        .mem_end = IOAPIC_ADDR,
        .bar_start = MAX(below, BAR_START),
        .mem64_start = ROUND_UP(end, GiB),
        .mem64_end = MAX(PHYS_END, ROUND_UP(end, GiB) + GiB),
        .io_start = FIRST_PORT,
    };

    if (below > IOAPIC_ADDR - 16 * MiB) {
        error_setg(errp, "machine property 'max-ram-below-4g' leaves no room for PCI: it must be "
                   "%llu or less", IOAPIC_ADDR - 16 * MiB);
        return false;
    }
    w.mem_start = ROUND_UP(w.mem_start, MiB);
    pci_host_init(bus, &w);
    setup.line_of = line_of;
    setup.firmware = firmware;
    reset_handler_add_late(host_reset, NULL);
    return vmstate_register(NULL, VMSTATE_INSTANCE_ID_ANY, &vmstate_host, &pci_config_address,
                            errp);
}
