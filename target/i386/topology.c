/*
 * CPU topology: set once from -smp, then constant.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "topology.h"

static unsigned n_dies = 1, n_cores = 1, n_threads = 1;

void x86_cpu_set_topology(unsigned dies, unsigned cores, unsigned threads)
{
    n_dies = dies ? dies : 1;
    n_cores = cores ? cores : 1;
    n_threads = threads ? threads : 1;
}

/* Bits that hold the numbers 0 .. n-1. */
static unsigned width(unsigned n)
{
    return n <= 1 ? 0 : 32 - __builtin_clz(n - 1);
}

unsigned x86_topology_threads(void)
{
    return n_threads;
}

unsigned x86_topology_per_socket(void)
{
    return n_dies * n_cores * n_threads;
}

unsigned x86_topology_thread_bits(void)
{
    return width(n_threads);
}

unsigned x86_topology_socket_shift(void)
{
    return width(n_threads) + width(n_cores) + width(n_dies);
}

void x86_topology_place(X86CPU *cpu, unsigned index)
{
    cpu->thread_id = index % n_threads;
    cpu->core_id = index / n_threads % n_cores;
    cpu->die_id = index / (n_threads * n_cores) % n_dies;
    cpu->socket_id = index / x86_topology_per_socket();
    cpu->apic_id = cpu->socket_id << x86_topology_socket_shift() |
                   cpu->die_id << (width(n_threads) + width(n_cores)) |
                   cpu->core_id << width(n_threads) | cpu->thread_id;
}
