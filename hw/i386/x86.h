/*
 * Shared by the files of hw/i386.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_HW_I386_X86_H
#define FERRY_HW_I386_X86_H

#include "hw/core/machine.h"

#define TYPE_PC_MACHINE "generic-pc-machine"

typedef struct PCMachineState {
    MachineState parent;
    bool hpet, smbus, sata, pit, i8042, default_bus_bypass_iommu;
    int vmport, smm, acpi;      /* OnOffAuto: auto, on, off */
    uint64_t max_ram_below_4g;  /* 0: the machine's own rule */
    char *pcspk_audiodev;
} PCMachineState;

/* x86.c */
/* Bytes below 4 GiB; the rest goes above. */
uint64_t x86_ram_below_4g(uint64_t ram_size, bool q35, uint64_t max_below);
void x86_map_ram(MachineState *m, uint64_t below);
/* smp.cpus vCPUs with their threads. */
bool x86_create_cpus(MachineState *m, Error **errp);

/* boot.c */
/* Register what a reset does after it has reset the CPUs; last of all in the machine. */
void x86_boot_init(void);
bool x86_boot_check(MachineState *m, Error **errp);

#endif
