/*
 * The machine of interp-board.h.  The vCPU's thread exists but stays paused; the
 * test runs instructions itself.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "interp-board.h"

Board board;

void board_new(const char *cpu_model)
{
    Error *err = NULL;
    RAMBlockOptions opts = {.fd = -1};

    main_loop_init();
    machine_lock();
    accel_try_init("interp", &err);
    g_assert_no_error(err);
    board.ram = ramblock_new("pc.ram", BOARD_RAM, &opts, &err);
    g_assert_no_error(err);
    board.mem = board.ram->host;
    memory_map_ram(0, BOARD_RAM, board.ram, 0, false);
    board.cpu = x86_cpu_create(cpu_model, 0, &err);
    g_assert_no_error(err);
    board.env = &board.cpu->env;
}

static void put_regs(PutLevel level)
{
    Error *err = NULL;
    accel->put_regs(&board.cpu->parent, level, &err);
    g_assert_no_error(err);
}

void board_real(void)
{
    CPUX86State *env = board.env;
    x86_cpu_reset(board.cpu);
    board.cpu->interrupt_pending = 0;
    for (int s = 0; s < 6; s++) {
        env->segs[s].selector = 0;
        env->segs[s].base = 0;
    }
    env->segs[R_CS].selector = BOARD_CODE >> 4;
    env->segs[R_CS].base = BOARD_CODE;
    env->idt.limit = 0x3ff;
    env->regs[R_ESP] = 0x8000;
    put_regs(PUT_RESET);
}

static void put_desc(uint16_t sel, uint32_t base, uint32_t limit, uint32_t hi)
{
    board_put(BOARD_GDT + (sel & ~7), (limit & 0xffff) | (uint64_t)(base & 0xffff) << 16, 4);
    board_put(BOARD_GDT + (sel & ~7) + 4,
              (base >> 16 & 0xff) | (base & 0xff000000) | (limit & 0xf0000) | hi, 4);
}

static void put_tables(bool wide)
{
    uint32_t flat = DESC_G | DESC_P | DESC_S | DESC_W;
    uint32_t code = flat | DESC_CS | (wide ? DESC_L : DESC_B);
    memset(board.mem + BOARD_GDT, 0, 0x3000);
    put_desc(SEL_CODE0, 0, 0xfffff, code);
    put_desc(SEL_DATA0, 0, 0xfffff, flat | DESC_B);
    put_desc(SEL_CODE3, 0, 0xfffff, code | DESC_DPL_MASK);
    put_desc(SEL_DATA3, 0, 0xfffff, flat | DESC_B | DESC_DPL_MASK);
    put_desc(SEL_CODE3_32, 0, 0xfffff, flat | DESC_CS | DESC_B | DESC_DPL_MASK);
    put_desc(SEL_TSS, BOARD_TSS, 0xfff, DESC_P | 11u << DESC_TYPE_SHIFT);
}

static void flat(int seg, uint16_t sel)
{
    uint32_t hi;
    memcpy(&hi, board.mem + BOARD_GDT + (sel & ~7) + 4, 4);
    board.env->segs[seg] = (SegmentCache){sel, 0, 0xffffffff, (hi | DESC_A) & 0xf0ff00};
}

static void tables_to_cpu(void)
{
    CPUX86State *env = board.env;
    env->gdt = (SegmentCache){.base = BOARD_GDT, .limit = 0x4f};
    env->idt = (SegmentCache){.base = BOARD_IDT, .limit = 0xfff};
    env->tr = (SegmentCache){SEL_TSS, BOARD_TSS, 0xfff, DESC_P | 11u << DESC_TYPE_SHIFT};
    flat(R_CS, SEL_CODE0);
    for (int s = 0; s < 6; s++) {
        if (s != R_CS) {
            flat(s, SEL_DATA0);
        }
    }
    env->regs[R_ESP] = BOARD_STACK;
    env->eip = BOARD_CODE;
}

void board_protected(void)
{
    x86_cpu_reset(board.cpu);
    board.cpu->interrupt_pending = 0;
    put_tables(false);
    board.env->cr[0] = CR0_PE | CR0_ET | CR0_NE;
    tables_to_cpu();
    board_put(BOARD_TSS + 4, BOARD_STACK, 4);
    board_put(BOARD_TSS + 8, SEL_DATA0, 4);
    put_regs(PUT_RESET);
}

/* Identity map of the low GiB with 2 MiB pages that ring 3 may use. */
void board_long(void)
{
    CPUX86State *env = board.env;
    x86_cpu_reset(board.cpu);
    board.cpu->interrupt_pending = 0;
    put_tables(true);
    memset(board.mem + BOARD_TABLES, 0, 0x10000);
    board_put(BOARD_TABLES, (BOARD_TABLES + 0x1000) | 7, 8);
    board_put(BOARD_TABLES + 0x1000, (BOARD_TABLES + 0x2000) | 7, 8);
    for (uint64_t k = 0; k < 512; k++) {
        board_put(BOARD_TABLES + 0x2000 + 8 * k, k << 21 | 0x87, 8);
    }
    env->cr[0] = CR0_PE | CR0_PG | CR0_ET | CR0_NE | CR0_WP;
    env->cr[3] = BOARD_TABLES;
    env->cr[4] = CR4_PAE | CR4_OSFXSR;
    env->efer = EFER_LME | EFER_LMA | EFER_NXE | EFER_SCE;
    env->mxcsr = 0x1f80;
    tables_to_cpu();
    board_put(BOARD_TSS + 4, BOARD_STACK, 8);
    board_put(BOARD_TSS + 0x24, BOARD_STACK + 0x10000, 8);
    put_regs(PUT_RESET);
}

void board_gate(int vec, uint64_t offset, int type, int dpl, int ist)
{
    bool wide = board.env->efer & EFER_LMA;
    uint64_t at = BOARD_IDT + vec * (wide ? 16 : 8);
    board_put(at, (offset & 0xffff) | SEL_CODE0 << 16, 4);
    board_put(at + 4, (offset & 0xffff0000) | 0x8000 | dpl << 13 | type << 8 | ist, 4);
    if (wide) {
        board_put(at + 8, offset >> 32, 8);
    }
}

void board_catch_faults(void)
{
    for (int vec = 0; vec < 32; vec++) {
        board_gate(vec, BOARD_HANDLERS + vec * 16, 14, 0, 0);
        board.mem[BOARD_HANDLERS + vec * 16] = 0xf4; /* hlt */
    }
}

int board_fault(uint64_t *ret_err)
{
    uint64_t ip = board.env->eip;
    if (ip < BOARD_HANDLERS || ip >= BOARD_HANDLERS + 32 * 16) {
        return -1;
    }
    *ret_err = board_get(board.env->regs[R_ESP], 8);
    return (int)((ip - BOARD_HANDLERS) / 16);
}

VcpuExit board_go(void)
{
    board.env->halted = 0;
    put_regs(PUT_RUNTIME);
    board.cpu->parent.exit_request = 0;
    return accel->vcpu_exec(&board.cpu->parent);
}

void board_load(unsigned off, const void *code, size_t len)
{
    memcpy(board.mem + BOARD_CODE + off, code, len);
    board.mem[BOARD_CODE + off + len] = 0xf4; /* hlt */
}

VcpuExit board_run(const void *code, size_t len)
{
    board_load(0, code, len);
    board.env->eip = board.env->cr[0] & CR0_PE ? BOARD_CODE : 0;
    return board_go();
}
