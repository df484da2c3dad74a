/*
 * The software CPU's modes, paging, privilege, exceptions, interrupts and memory.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "interp-board.h"

#define MMIO 0xd0000000ULL
#define PD (BOARD_TABLES + 0x2000)
#define PT (BOARD_TABLES + 0x4000)
#define WINDOW 0x40000000ULL /* linear GiB 1: mapped by map_window() */

/* ---- devices ---- */

static uint64_t mmio_value;
static GString *port_log;

static uint64_t io_read(void *opaque, uint64_t offset, unsigned size)
{
    return opaque ? mmio_value : 0x5a;
}
static void io_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    if (opaque) {
        mmio_value = value + offset;
    } else {
        g_string_append_printf(port_log, "%u:%x ", size, (unsigned)value);
    }
}
static const IORegionOps io_ops = {.read = io_read, .write = io_write};

/* Map WINDOW + n * 4 KiB to BOARD_DATA + n * 4 KiB with page table entries of our own. */
static void map_window(void)
{
    board_put(BOARD_TABLES + 0x1000 + 8, (BOARD_TABLES + 0x3000) | 7, 8);
    board_put(BOARD_TABLES + 0x3000, PT | 7, 8);
    for (int k = 0; k < 8; k++) {
        board_put(PT + 8 * k, (BOARD_DATA + 0x1000 * k) | 7, 8);
    }
}

static void long_with_faults(void)
{
    board_long();
    board_catch_faults();
    map_window();
}

static void assert_fault(int vec, uint64_t err)
{
    uint64_t got_err;
    g_assert_cmpint(board_fault(&got_err), ==, vec);
    g_assert_cmphex(got_err, ==, err);
}

/* Go to ring 3 of the current mode at BOARD_CODE with a stack of its own. */
static void user_mode(void)
{
    CPUX86State *env = board.env;
    bool wide = env->efer & EFER_LMA;
    uint32_t flags = DESC_G | DESC_P | DESC_S | DESC_W | DESC_A | DESC_DPL_MASK;
    env->segs[R_CS] = (SegmentCache){SEL_CODE3, 0, ~0u, flags | DESC_CS | (wide ? DESC_L : DESC_B)};
    env->segs[R_SS] = (SegmentCache){SEL_DATA3, 0, ~0u, flags | DESC_B};
    env->regs[R_ESP] = 0x80000;
}

/* ---- real and protected mode ---- */

static void test_real(void)
{
    board_real();
    /* mov ax,0x1234; mov ds,ax; mov word [5],0xbeef; push ax; pop bx; int 0x21; inc bx */
    board_put(0x21 * 4, 0x0000 | (uint64_t)0x3000 << 16, 4);
    const uint8_t handler[] = {0xb9, 0x77, 0x00, 0xcf}; /* mov cx,0x77; iret */
    memcpy(board.mem + 0x30000, handler, sizeof(handler));
    RUN(0xb8, 0x34, 0x12, 0x8e, 0xd8, 0xc7, 0x06, 0x05, 0x00, 0xef, 0xbe, 0x50, 0x5b, 0xcd, 0x21,
        0x43);
    g_assert_cmphex(board_get(0x12345, 2), ==, 0xbeef);
    g_assert_cmphex(board.env->regs[R_EBX], ==, 0x1235);
    g_assert_cmphex(board.env->regs[R_ECX], ==, 0x77);
    g_assert_cmphex(board.env->regs[R_ESP], ==, 0x8000);
}

/* From real mode through protected mode into 64-bit mode, as a boot loader does it. */
static void test_mode_switches(void)
{
    board_long(); /* makes the tables */
    uint8_t tables[0x20];
    memcpy(tables, board.mem + BOARD_GDT, sizeof(tables));
    board_real();
    board_put(BOARD_GDT + 0x38, 0x00cf9a000000ffffULL, 8); /* 32-bit code */
    board_put(BOARD_CODE + 0x200, 0x3f | (uint64_t)BOARD_GDT << 16, 8);
    const uint8_t code16[] = {
        0x66, 0x2e, 0x0f, 0x01, 0x16, 0x00, 0x02, /* lgdt cs:[0x200] (32-bit) */
        0x0f, 0x20, 0xc0, 0x0c, 0x01, 0x0f, 0x22, 0xc0, /* cr0 |= 1 */
        0x66, 0xea, 0x40, 0x00, 0x01, 0x00, 0x38, 0x00, /* jmp 0x38:0x10040 */
    };
    const uint8_t code32[] = {
        0x66, 0xb8, 0x10, 0x00, 0x8e, 0xd0, 0x8e, 0xd8, /* mov ss,ds = data */
        0xb8, 0x20, 0x00, 0x00, 0x00, 0x0f, 0x22, 0xe0, /* cr4 = PAE */
        0xb8, 0x00, 0x00, 0x10, 0x00, 0x0f, 0x22, 0xd8, /* cr3 */
        0xb9, 0x80, 0x00, 0x00, 0xc0, 0x0f, 0x32, 0x0d, 0x00, 0x01, 0x00, 0x00, 0x0f, 0x30,
        0x0f, 0x20, 0xc0, 0x0d, 0x00, 0x00, 0x00, 0x80, 0x0f, 0x22, 0xc0, /* paging on */
        0xea, 0x00, 0x01, 0x01, 0x00, 0x08, 0x00, /* jmp 8:0x10100 */
    };
    const uint8_t code64[] = {0x48, 0xb8, 8, 7, 6, 5, 4, 3, 2, 1, 0xf4}; /* mov rax,imm64; hlt */
    memcpy(board.mem + BOARD_CODE + 0x40, code32, sizeof(code32));
    memcpy(board.mem + BOARD_CODE + 0x100, code64, sizeof(code64));
    board_run(code16, sizeof(code16));
    g_assert_cmphex(board.env->regs[R_EAX], ==, 0x0102030405060708);
    g_assert_cmphex(board.env->efer & EFER_LMA, ==, EFER_LMA);
    g_assert_cmphex(board.env->segs[R_CS].selector, ==, 8);
}

static void test_protected_rings(void)
{
    board_protected();
    board_gate(0x80, BOARD_HANDLERS, 14, 3, 0);
    board_gate(13, BOARD_HANDLERS + 0x100, 14, 0, 0);
    const uint8_t handler[] = {0xbb, 0x44, 0, 0, 0, 0xcf}; /* mov ebx,0x44; iret */
    memcpy(board.mem + BOARD_HANDLERS, handler, sizeof(handler));
    board.mem[BOARD_HANDLERS + 0x100] = 0xf4;
    user_mode();
    RUN(0x90, 0xcd, 0x80, 0x8b, 0xcc); /* int 0x80; mov ecx,esp; hlt -> #GP in ring 3 */
    g_assert_cmphex(board.env->regs[R_EBX], ==, 0x44);
    g_assert_cmphex(board.env->regs[R_ECX], ==, 0x80000);
    g_assert_cmphex(board.env->eip, ==, BOARD_HANDLERS + 0x101);
    g_assert_cmphex(board.env->segs[R_SS].selector, ==, SEL_DATA0);
    g_assert_cmphex(board_get(board.env->regs[R_ESP], 4), ==, 0);            /* error */
    g_assert_cmphex(board_get(board.env->regs[R_ESP] + 4, 4), ==, BOARD_CODE + 5);
    g_assert_cmphex(board_get(board.env->regs[R_ESP] + 8, 4), ==, SEL_CODE3);
    g_assert_cmphex(board_get(board.env->regs[R_ESP] + 16, 4), ==, 0x80000);
    g_assert_cmphex(board_get(board.env->regs[R_ESP] + 20, 4), ==, SEL_DATA3);
}

static void test_segment_limit(void)
{
    board_protected();
    board_gate(13, BOARD_HANDLERS, 14, 0, 0);
    board.mem[BOARD_HANDLERS] = 0xf4;
    board.env->segs[R_DS].limit = 0x20fff;
    RUN(0xc6, 0x05, 0xff, 0x0f, 0x02, 0x00, 0x07,   /* mov byte [0x20fff],7 */
        0xc7, 0x05, 0xfd, 0x0f, 0x02, 0x00, 1, 0, 0, 0); /* dword at 0x20ffd: beyond */
    g_assert_cmphex(board_get(0x20fff, 1), ==, 7);
    g_assert_cmphex(board.env->eip, ==, BOARD_HANDLERS + 1);
    g_assert_cmphex(board_get(board.env->regs[R_ESP] + 4, 4), ==, BOARD_CODE + 7);
}

/* ---- long mode ---- */

static void test_page_faults(void)
{
    uint64_t err;
    long_with_faults();
    board_put(PT + 8, 0, 8);
    RUN(0xb8, 0x08, 0x10, 0x00, 0x40, 0x48, 0x89, 0x18); /* mov [WINDOW+0x1008],rbx */
    assert_fault(EXC_PF, 2);
    g_assert_cmphex(board.env->cr[2], ==, WINDOW + 0x1008);

    long_with_faults();
    board_put(PT + 8, (BOARD_DATA + 0x1000) | 5, 8); /* read only: WP makes ring 0 obey */
    RUN(0xb8, 0x08, 0x10, 0x00, 0x40, 0x48, 0x8b, 0x18, 0x48, 0x89, 0x18);
    assert_fault(EXC_PF, 3);

    long_with_faults();
    board_put(PT + 8, (BOARD_DATA + 0x1000) | 7 | 1ULL << 63, 8); /* no execute */
    RUN(0xb8, 0x00, 0x10, 0x00, 0x40, 0xff, 0xe0);                /* jmp rax */
    assert_fault(EXC_PF, 0x11);

    long_with_faults();
    board_put(PT + 8, (BOARD_DATA + 0x1000) | 3, 8); /* supervisor */
    user_mode();
    RUN(0xb8, 0x00, 0x10, 0x00, 0x40, 0x8a, 0x18);
    assert_fault(EXC_PF, 5);

    long_with_faults();
    board_put(PT + 8, (BOARD_DATA + 0x1000) | 7 | 1ULL << 51, 8); /* reserved bit */
    RUN(0xb8, 0x00, 0x10, 0x00, 0x40, 0x8a, 0x18);
    assert_fault(EXC_PF, 9);

    long_with_faults();
    RUN(0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0x80, 0x8a, 0x18); /* not canonical */
    g_assert_cmpint(board_fault(&err), ==, EXC_GP);
}

static void test_accessed_dirty(void)
{
    long_with_faults();
    RUN(0xb8, 0x00, 0x00, 0x00, 0x40, 0x8a, 0x18);
    g_assert_cmphex(board_get(PT, 8) & 0x60, ==, 0x20);
    RUN(0x88, 0x18);
    g_assert_cmphex(board_get(PT, 8) & 0x60, ==, 0x60);
    g_assert_cmphex(board_get(BOARD_TABLES + 0x1000 + 8, 8) & 0x20, ==, 0x20);
}

/* A store across two pages of which the second is missing changes nothing. */
static void test_page_crossing(void)
{
    long_with_faults();
    board_put(BOARD_DATA + 0xff8, 0x1111111111111111, 8);
    board_put(PT + 8, 0, 8);
    RUN(0xb8, 0xfc, 0x0f, 0x00, 0x40, 0x48, 0xc7, 0x00, 0xff, 0xff, 0xff, 0xff);
    assert_fault(EXC_PF, 2);
    g_assert_cmphex(board.env->cr[2], ==, WINDOW + 0x1000);
    g_assert_cmphex(board_get(BOARD_DATA + 0xff8, 8), ==, 0x1111111111111111);

    long_with_faults();
    RUN(0xb8, 0xfc, 0x0f, 0x00, 0x40, 0x48, 0xc7, 0x00, 0x78, 0x56, 0x34, 0x12, 0x48, 0x8b, 0x18);
    g_assert_cmphex(board_get(BOARD_DATA + 0xffc, 8), ==, 0x12345678);
    g_assert_cmphex(board.env->regs[R_EBX], ==, 0x12345678);

    /* rep stosb stops at the missing page with its progress in the registers */
    long_with_faults();
    board_put(PT + 8, 0, 8);
    board.env->regs[R_EDI] = WINDOW + 0xff0;
    board.env->regs[R_ECX] = 0x100;
    RUN(0xf3, 0xaa);
    assert_fault(EXC_PF, 2);
    g_assert_cmphex(board.env->regs[R_ECX], ==, 0xf0);
    g_assert_cmphex(board.env->regs[R_EDI], ==, WINDOW + 0x1000);
    g_assert_cmphex(board_get(board.env->regs[R_ESP] + 8, 8), ==, BOARD_CODE);

    /* an instruction that lies across two pages */
    long_with_faults();
    const uint8_t mov[] = {0x48, 0xb8, 8, 7, 6, 5, 4, 3, 2, 1, 0xf4};
    memcpy(board.mem + BOARD_CODE + 0xffb, mov, sizeof(mov));
    board.env->eip = BOARD_CODE + 0xffb;
    board_go();
    g_assert_cmphex(board.env->regs[R_EAX], ==, 0x0102030405060708);
}

static void test_syscall(void)
{
    long_with_faults();
    CPUX86State *env = board.env;
    env->star = (uint64_t)SEL_CODE0 << 32 | (uint64_t)(SEL_DATA0 | 3) << 48;
    env->lstar = BOARD_CODE + 0x100;
    env->fmask = FL_IF;
    env->eflags |= FL_IF;
    user_mode();
    const uint8_t kernel[] = {0x8c, 0xcb, 0x48, 0x0f, 0x07}; /* mov ebx,cs; sysretq */
    memcpy(board.mem + BOARD_CODE + 0x100, kernel, sizeof(kernel));
    RUN(0x0f, 0x05, 0x8c, 0xca, 0xfa); /* syscall; mov edx,cs; cli -> #GP */
    assert_fault(EXC_GP, 0);
    g_assert_cmphex(env->regs[R_EBX], ==, SEL_CODE0);
    g_assert_cmphex(env->regs[R_EDX], ==, (SEL_DATA0 + 16) | 3);
    g_assert_cmphex(env->regs[R_ECX], ==, BOARD_CODE + 2);
    g_assert_cmphex(env->regs[R_R11] & FL_IF, ==, FL_IF);
}

static void test_ring3_iret(void)
{
    long_with_faults();
    /* push data3; push stack; pushf; push code3; push target; iretq */
    const uint8_t user[] = {0x8c, 0xc9, 0x0f, 0x0b}; /* mov ecx,cs; ud2 */
    memcpy(board.mem + BOARD_CODE + 0x100, user, sizeof(user));
    RUN(0x6a, SEL_DATA3, 0x68, 0, 0, 8, 0, 0x9c, 0x6a, SEL_CODE3, 0x68, 0, 1, 1, 0, 0x48, 0xcf);
    g_assert_cmphex(board.env->regs[R_ECX], ==, SEL_CODE3);
    uint64_t ip;
    g_assert_cmpint(board_fault(&ip), ==, EXC_UD); /* no error code: the first word is RIP */
    g_assert_cmphex(ip, ==, BOARD_CODE + 0x102);
    g_assert_cmphex(board.env->regs[R_ESP], ==, BOARD_STACK - 40);

    /* compatibility mode: addresses and operands are of 32 bits */
    long_with_faults();
    const uint8_t compat[] = {0x48, 0x8c, 0xc9, 0x0f, 0x0b}; /* dec eax; mov ecx,cs; ud2 */
    memcpy(board.mem + BOARD_CODE + 0x100, compat, sizeof(compat));
    board.env->regs[R_EAX] = 0;
    RUN(0x6a, SEL_DATA3, 0x68, 0, 0, 8, 0, 0x9c, 0x6a, SEL_CODE3_32, 0x68, 0, 1, 1, 0, 0x48, 0xcf);
    g_assert_cmphex(board.env->regs[R_ECX], ==, SEL_CODE3_32);
    g_assert_cmphex(board.env->regs[R_EAX], ==, 0xffffffff);
}

static void test_double_triple(void)
{
    uint64_t err;
    long_with_faults();
    board_gate(14, 0, 14, 0, 0);
    board_put(BOARD_IDT + 14 * 16 + 4, 0, 4); /* #PF gate not present: #NP, so #DF */
    board_gate(8, BOARD_HANDLERS + 8 * 16, 14, 0, 1);
    RUN(0xb8, 0x00, 0x00, 0x00, 0x50, 0x8a, 0x18);
    g_assert_cmpint(board_fault(&err), ==, EXC_DF);
    g_assert_cmphex(err, ==, 0);
    g_assert_cmphex(board.env->regs[R_ESP] & ~0xffULL, ==, BOARD_STACK + 0x10000 - 0x100);

    long_with_faults();
    board.env->idt.limit = 0;
    const uint8_t ud2[] = {0x0f, 0x0b};
    g_assert_cmpint(board_run(ud2, 2), ==, VCPU_EXIT_HALT);
    g_assert_false(accel->vcpu_has_work(&board.cpu->parent));
}

static void test_interrupts(void)
{
    uint64_t ip;
    long_with_faults();
    x86_cpu_interrupt(board.cpu, CPU_INT_NMI);
    RUN(0x90);
    g_assert_cmpint(board_fault(&ip), ==, EXC_NMI);
    g_assert_cmphex(ip, ==, BOARD_CODE);
    g_assert_cmpint(board.env->nmi_masked, ==, 1);

    /* single step */
    long_with_faults();
    RUN(0x9c, 0x80, 0x4c, 0x24, 0x01, 0x01, 0x9d, 0x90, 0x90); /* set TF with popf */
    g_assert_cmpint(board_fault(&ip), ==, EXC_DB);
    g_assert_cmphex(ip, ==, BOARD_CODE + 8);
    g_assert_cmphex(board.env->dr[6] & 0x4000, ==, 0x4000);
}

/* ---- memory ---- */

static void test_mmio_ports(void)
{
    long_with_faults();
    board_put(BOARD_TABLES + 0x1000 + 3 * 8, (BOARD_TABLES + 0x5000) | 7, 8);
    board_put(BOARD_TABLES + 0x5000 + 128 * 8, MMIO | 0x87, 8);
    mmio_value = 0;
    RUN(0xbb, 0, 0, 0, 0xd0, 0xc7, 0x43, 0x10, 0x34, 0x12, 0, 0, 0x8b, 0x13, /* store, load */
        0x83, 0x03, 0x01);                                                     /* add [rbx],1 */
    g_assert_cmphex(board.env->regs[R_EDX], ==, 0x1244);
    g_assert_cmphex(mmio_value, ==, 0x1245);

    g_string_truncate(port_log, 0);
    memcpy(board.mem + BOARD_DATA, "abc", 3);
    board.env->regs[R_ESI] = BOARD_DATA;
    board.env->regs[R_EDI] = BOARD_DATA + 16;
    board.env->regs[R_ECX] = 3;
    RUN(0xba, 0x00, 0x03, 0x00, 0x00, 0xf3, 0x6e, 0xb8, 0x44, 0x33, 0, 0, 0x66, 0xef, 0xe4, 0x80,
        0x6c);
    g_assert_cmpstr(port_log->str, ==, "1:61 1:62 1:63 2:3344 ");
    g_assert_cmphex(board.env->regs[R_EAX] & 0xff, ==, 0xff);
    g_assert_cmphex(board_get(BOARD_DATA + 16, 1), ==, 0x5a);

    /* ring 3: the bitmap of the TSS decides */
    long_with_faults();
    g_string_truncate(port_log, 0);
    board_put(BOARD_TSS + 102, 0x80, 2);
    memset(board.mem + BOARD_TSS + 0x80, 0xff, 0x400);
    board.mem[BOARD_TSS + 0x80 + 0x60] = 0xfe; /* only 0x300 */
    user_mode();
    RUN(0xba, 0x00, 0x03, 0x00, 0x00, 0xee, 0x66, 0xef);
    assert_fault(EXC_GP, 0);
    g_assert_cmphex(board_get(board.env->regs[R_ESP] + 8, 8), ==, BOARD_CODE + 6);
}

static void test_self_modifying(void)
{
    board_long();
    /* loop twice over `mov al,1`, whose immediate the loop changes */
    RUN(0xb9, 2, 0, 0, 0, 0xb0, 0x01, 0xfe, 0x05, 0xf9, 0xff, 0xff, 0xff, 0xe2, 0xf6);
    g_assert_cmphex(board.env->regs[R_EAX] & 0xff, ==, 2);
    g_assert_cmphex(board_get(BOARD_CODE + 6, 1), ==, 3);
}

static void test_dirty(void)
{
    Error *err = NULL;
    board_long();
    g_assert_true(dirty_log_start(&err));
    RUN(0xc6, 0x04, 0x25, 0x05, 0x50, 0x02, 0x00, 0x01,        /* mov byte [0x25005],1 */
        0xf0, 0xff, 0x04, 0x25, 0x00, 0x60, 0x02, 0x00,        /* lock inc dword [0x26000] */
        0x48, 0xc7, 0x04, 0x25, 0xfc, 0x7f, 0x02, 0x00, 1, 0, 0, 0); /* across 0x27, 0x28 */
    for (unsigned page = 0x25; page <= 0x28; page++) {
        g_assert_true(board.ram->dirty[0] >> page & 1);
    }
    g_assert_false(board.ram->dirty[0] >> 0x29 & 1);
    dirty_log_stop();
}

static void test_unknown_stops(void)
{
    board_long();
    const uint8_t vex[] = {0xc5, 0xf8, 0x77}; /* vzeroupper */
    g_assert_cmpint(board_run(vex, 3), ==, VCPU_EXIT_STOPPED);
    g_assert_cmphex(board.env->eip, ==, BOARD_CODE);
}

static void test_cmpxchg16b(void)
{
    board_long();
    board_put(BOARD_DATA, 5, 8);
    board_put(BOARD_DATA + 8, 6, 8);
    board.env->regs[R_EAX] = 5;
    board.env->regs[R_EDX] = 6;
    board.env->regs[R_EBX] = 7;
    board.env->regs[R_ECX] = 8;
    board.env->regs[R_ESI] = BOARD_DATA;
    RUN(0xf0, 0x48, 0x0f, 0xc7, 0x0e);
    g_assert_cmphex(board_get(BOARD_DATA, 8), ==, 7);
    g_assert_cmphex(board_get(BOARD_DATA + 8, 8), ==, 8);
    g_assert_cmphex(board.env->eflags & FL_ZF, ==, FL_ZF);
}

/* State saved and loaded again between two halves of a program. */
static void test_saved_state(void)
{
    Error *err = NULL;
    board_long();
    RUN(0xb8, 0xff, 0xff, 0xff, 0xff, 0x83, 0xc0, 0x01); /* add eax,1: CF and ZF */
    uint64_t tsc;
    g_assert_true(accel->get_regs(&board.cpu->parent, &err));
    g_assert_cmphex(board.env->eflags & (FL_CF | FL_ZF), ==, FL_CF | FL_ZF);
    g_assert_cmphex(board.env->hflags & (3 | 1 << 7 | 1 << 14 | 1 << 15), ==,
                    1 << 7 | 1 << 14 | 1 << 15);
    tsc = board.env->tsc += 1000000000000ULL;
    board.env->mp_state = 0;
    g_assert_true(accel->put_regs(&board.cpu->parent, PUT_FULL, &err));
    RUN(0x19, 0xdb, 0x0f, 0x31); /* sbb ebx,ebx; rdtsc */
    g_assert_cmphex(board.env->regs[R_EBX], ==, 0xffffffff);
    g_assert_cmphex(board.env->regs[R_EAX] | board.env->regs[R_EDX] << 32, >=, tsc);
}

/* How fast: a loop of additions, loads and stores.  Only reported. */
static void test_speed(void)
{
    board_long();
    board.env->regs[R_ESI] = BOARD_DATA;
    int64_t start = g_get_monotonic_time();
    /* mov ecx,1000000; l: mov rax,[rsi]; add rax,rcx; mov [rsi],rax; xor rdx,rax; dec ecx; jnz */
    RUN(0xb9, 0x40, 0x42, 0x0f, 0x00, 0x48, 0x8b, 0x06, 0x48, 0x01, 0xc8, 0x48, 0x89, 0x06, 0x48,
        0x31, 0xc2, 0xff, 0xc9, 0x75, 0xf0);
    double us = (double)(g_get_monotonic_time() - start);
    g_test_message("%.1f million instructions per second", 6e6 / us);
    g_assert_cmphex(board.env->regs[R_ECX], ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    board_new("qemu64");
    port_log = g_string_new(NULL);
    memory_map_io(MMIO, 0x1000, "test", &io_ops, &mmio_value);
    ioport_map(0x300, 8, "test", &io_ops, NULL);
    g_test_add_func("/interp/real", test_real);
    g_test_add_func("/interp/mode-switches", test_mode_switches);
    g_test_add_func("/interp/protected-rings", test_protected_rings);
    g_test_add_func("/interp/segment-limit", test_segment_limit);
    g_test_add_func("/interp/page-faults", test_page_faults);
    g_test_add_func("/interp/accessed-dirty", test_accessed_dirty);
    g_test_add_func("/interp/page-crossing", test_page_crossing);
    g_test_add_func("/interp/syscall", test_syscall);
    g_test_add_func("/interp/ring3-iret", test_ring3_iret);
    g_test_add_func("/interp/double-triple", test_double_triple);
    g_test_add_func("/interp/interrupts", test_interrupts);
    g_test_add_func("/interp/mmio-ports", test_mmio_ports);
    g_test_add_func("/interp/self-modifying", test_self_modifying);
    g_test_add_func("/interp/dirty", test_dirty);
    g_test_add_func("/interp/unknown", test_unknown_stops);
    g_test_add_func("/interp/cmpxchg16b", test_cmpxchg16b);
    g_test_add_func("/interp/saved-state", test_saved_state);
    g_test_add_func("/interp/speed", test_speed);
    return g_test_run();
}
