/*
 * How CPUs are arranged in sockets, dies, cores and threads.  Private to target/i386.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_TARGET_I386_TOPOLOGY_H
#define FERRY_TARGET_I386_TOPOLOGY_H

#include "target/i386/cpu.h"

unsigned x86_topology_threads(void);      /* of a core */
unsigned x86_topology_per_socket(void);   /* logical processors */
unsigned x86_topology_thread_bits(void);  /* width of the thread number in an APIC id */
unsigned x86_topology_socket_shift(void);
/* Fill apic_id, socket_id, die_id, core_id, thread_id of the CPU with this index. */
void x86_topology_place(X86CPU *cpu, unsigned index);

#endif
