/*
 * Registers as the notes of an ELF core file.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_TARGET_I386_CORE_NOTES_H
#define FERRY_TARGET_I386_CORE_NOTES_H

#include <glib.h>

#include "target/i386/cpu.h"

/*
 * Append NT_PRSTATUS of a stopped CPU: what Linux writes for a 64-bit process (struct
 * elf_prstatus; the layout is the kernel's ABI).  The process number is the CPU's plus one.
 * Machine lock.
 */
void x86_core_note_prstatus(GByteArray *notes, X86CPU *cpu);
/*
 * Append the note "QEMU", type 0, version 1: all segments, tables and control registers, from
 * which debuggers of kernels (crash) find the page tables.  Observed in files of stock emulators.
 */
void x86_core_note_system(GByteArray *notes, X86CPU *cpu);

#endif
