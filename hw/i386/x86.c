/*
 * What every x86 machine does: memory below and above 4 GiB, and CPUs.  Main thread at
 * start-up.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "hw/i386/x86.h"

#include "system/address-space.h"
#include "target/i386/cpu.h"
#include "util/util.h"

uint64_t x86_ram_below_4g(uint64_t ram_size, bool q35, uint64_t max_below)
{
    uint64_t hole_at = q35 ? 0xb0000000 : 0xe0000000; /* memory that ends before stays whole */
    uint64_t below = ram_size < hole_at ? ram_size : q35 ? 2 * GiB : 3 * GiB;

    return max_below ? MIN(MIN(below, max_below), ram_size) : below;
}

void x86_map_ram(MachineState *m, uint64_t below)
{
    memory_map_ram(0, below, m->ram, 0, /* readonly= */ false);
    if (m->ram_size > below) {
        memory_map_ram(4 * GiB, m->ram_size - below, m->ram, below, /* readonly= */ false);
    }
}

bool x86_create_cpus(MachineState *m, Error **errp)
{
    const char *model = m->cpu_model ? m->cpu_model : m->mc->default_cpu_type;

    x86_cpu_set_topology(m->smp.dies, m->smp.cores, m->smp.threads);
    for (unsigned i = 0; i < m->smp.cpus; i++) {
        X86CPU *cpu = x86_cpu_create(model, i, errp);

        if (!cpu) {
            return false;
        }
        device_add_unattached(&cpu->parent.obj);
        object_unref(&cpu->parent.obj); /* the tree holds it */
    }
    return true;
}
