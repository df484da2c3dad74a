/*
 * A small machine for tests of the software CPU: RAM, one vCPU whose instructions
 * run in the test's own thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_TESTS_INTERP_BOARD_H
#define FERRY_TESTS_INTERP_BOARD_H

#include <glib.h>
#include <string.h>

#include "accel/accel.h"
#include "accel/interp/interp.h"
#include "system/address-space.h"
#include "system/dirty.h"
#include "system/machine-lock.h"
#include "system/runstate.h"
#include "target/i386/cpu.h"
#include "util/util.h"

#define BOARD_RAM (8 * MiB)
#define BOARD_CODE 0x10000     /* where board_run() puts code */
#define BOARD_DATA 0x20000
#define BOARD_STACK 0x90000
#define BOARD_TABLES 0x100000  /* page tables: PML4, PDPT, PD */
#define BOARD_GDT 0x110000
#define BOARD_IDT 0x111000
#define BOARD_TSS 0x112000
#define BOARD_HANDLERS 0x120000 /* of vector n at + n * 16 */

/* Selectors of the flat table that board_long() and board_protected() make. */
enum {
    SEL_CODE0 = 0x08, SEL_DATA0 = 0x10, SEL_CODE3 = 0x1b, SEL_DATA3 = 0x23,
    SEL_CODE3_32 = 0x2b, SEL_TSS = 0x30,
};

typedef struct Board {
    X86CPU *cpu;
    CPUX86State *env;
    RAMBlock *ram;
    uint8_t *mem; /* guest-physical 0 */
} Board;

extern Board board;

/* Once a process: make the machine; ends with the machine lock held. */
void board_new(const char *cpu_model);
/* CPU in 16-bit real mode, 32-bit protected mode, 64-bit mode; all at ring 0. */
void board_real(void);
void board_protected(void);
void board_long(void);
/* An interrupt (14) or trap (15) gate of the mode that the board is in. */
void board_gate(int vec, uint64_t offset, int type, int dpl, int ist);
/*
 * Gates for all exceptions: each handler halts, and board_fault() then tells which.
 * Long mode only.
 */
void board_catch_faults(void);
int board_fault(uint64_t *ret_err);
/* Put code at BOARD_CODE (`off` bytes in) and run until the CPU halts or stops. */
void board_load(unsigned off, const void *code, size_t len);
VcpuExit board_run(const void *code, size_t len);
/* Run on from where the CPU is. */
VcpuExit board_go(void);
#define RUN(...)                                                \
    do {                                                        \
        const uint8_t run_code_[] = {__VA_ARGS__};              \
        board_run(run_code_, sizeof(run_code_));                \
    } while (0)

static inline uint64_t board_get(uint64_t gpa, unsigned size)
{
    uint64_t v = 0;
    memcpy(&v, board.mem + gpa, size);
    return v;
}
static inline void board_put(uint64_t gpa, uint64_t v, unsigned size)
{
    memcpy(board.mem + gpa, &v, size);
}

#endif
