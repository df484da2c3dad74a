/*
 * Machine "none": memory (with -m) and nothing else, for managers that ask what the
 * program can do and for moving bare memory.  Main thread at start-up.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "hw/core/machine.h"
#include "system/address-space.h"

static bool null_machine_init(MachineState *m, Error **errp)
{
    if (m->kernel) {
        error_setg(errp, "-kernel is not supported: machine 'none' has no CPU to start");
        return false;
    }
    if (m->firmware) {
        error_setg(errp, "-bios is not supported: machine 'none' has no firmware");
        return false;
    }
    if (m->cpu_model) {
        error_setg(errp, "-cpu is not supported: machine 'none' has no CPU");
        return false;
    }
    if (m->ram) {
        memory_map_ram(0, m->ram_size, m->ram, 0, /* readonly= */ false);
    }
    return true;
}

static const MachineClass null_machine_class = {
    .name = "none",
    .desc = "empty machine",
    .max_cpus = 1,
    .default_ram_id = "ram",
    .family = "none",
    .init = null_machine_init,
};

static void __attribute__((constructor)) null_machine_register(void)
{
    machine_class_register(&null_machine_class);
}
