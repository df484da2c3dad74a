/*
 * Integer and SSE instructions of the software CPU, compared with the host's CPU
 * executing the same bytes on the same registers.  Random values, fixed seed.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <sys/mman.h>

#include "interp-board.h"

#define ARITH (FL_CF | FL_PF | FL_AF | FL_ZF | FL_SF | FL_OF)
#define NO_AF (ARITH & ~FL_AF)

#ifdef __x86_64__

/* Registers in and out; the order is known to the stub. */
typedef struct HostRegs {
    uint64_t rax, rcx, rdx, rbx, rsi, rdi, flags, pad;
    uint64_t xmm[2][2];
} HostRegs;

__asm__(".pushsection .rodata\n"
        "stub_begin:\n"
        "push %rbx; push %rbp; push %r12; mov %rdi,%r12\n"
        "movdqu 64(%r12),%xmm0; movdqu 80(%r12),%xmm1\n"
        "pushq 48(%r12); popfq\n"
        "mov (%r12),%rax; mov 8(%r12),%rcx; mov 16(%r12),%rdx; mov 24(%r12),%rbx\n"
        "mov 32(%r12),%rsi; mov 40(%r12),%rdi\n"
        "stub_hole:\n"
        ".fill 16,1,0x90\n"
        "mov %rax,(%r12); mov %rcx,8(%r12); mov %rdx,16(%r12); mov %rbx,24(%r12)\n"
        "mov %rsi,32(%r12); mov %rdi,40(%r12)\n"
        "pushfq; popq 48(%r12); cld\n"
        "movdqu %xmm0,64(%r12); movdqu %xmm1,80(%r12)\n"
        "pop %r12; pop %rbp; pop %rbx; ret\n"
        "stub_end:\n"
        ".popsection\n");
extern const uint8_t stub_begin[], stub_hole[], stub_end[];

static uint8_t *stub;
static _Alignas(16) uint8_t host_mem[256];

/* One instruction under test. */
typedef struct Case {
    const char *name;
    uint8_t code[12];
    uint8_t len;
    uint32_t flags; /* that are defined afterwards */
} Case;

static void run_host(const Case *t, HostRegs *r)
{
    uint8_t *hole = stub + (stub_hole - stub_begin);
    memset(hole, 0x90, 16);
    memcpy(hole, t->code, t->len);
    ((void (*)(HostRegs *))(void *)stub)(r);
}

static void run_guest(const Case *t, HostRegs *r)
{
    CPUX86State *env = board.env;
    env->regs[R_EAX] = r->rax;
    env->regs[R_ECX] = r->rcx;
    env->regs[R_EDX] = r->rdx;
    env->regs[R_EBX] = r->rbx;
    env->regs[R_ESI] = r->rsi;
    env->regs[R_EDI] = r->rdi;
    env->eflags = r->flags | 2;
    memcpy(env->xmm[0].q, r->xmm[0], 16);
    memcpy(env->xmm[1].q, r->xmm[1], 16);
    g_assert_cmpint(board_run(t->code, t->len), ==, VCPU_EXIT_HALT);
    g_assert_cmphex(env->eip, ==, BOARD_CODE + t->len + 1);
    r->rax = env->regs[R_EAX];
    r->rcx = env->regs[R_ECX];
    r->rdx = env->regs[R_EDX];
    r->rbx = env->regs[R_EBX];
    r->rsi = env->regs[R_ESI];
    r->rdi = env->regs[R_EDI];
    r->flags = env->eflags;
    memcpy(r->xmm[0], env->xmm[0].q, 16);
    memcpy(r->xmm[1], env->xmm[1].q, 16);
}

static uint64_t random_value(GRand *g)
{
    static const uint64_t corners[] = {0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff,
                                       0x7fffffff, 0x80000000, 0xffffffff, INT64_MAX,
                                       1ULL << 63, ~0ULL, 0x100000000};
    uint64_t v = (uint64_t)g_rand_int(g) << 32 | g_rand_int(g);
    switch (g_rand_int_range(g, 0, 4)) {
    case 0:
        return corners[g_rand_int_range(g, 0, G_N_ELEMENTS(corners))];
    case 1:
        return v & 0xff;
    default:
        return v;
    }
}

/* Same registers, memory and defined flags on both?  offsets of rsi and rdi in the buffer. */
static void compare_once(const Case *t, const HostRegs *in, const uint8_t *mem, unsigned si,
                         unsigned di, uint32_t flags)
{
    HostRegs h = *in, g = *in;
    memcpy(host_mem, mem, sizeof(host_mem));
    memcpy(board.mem + BOARD_DATA, mem, sizeof(host_mem));
    h.rsi = (uintptr_t)host_mem + si;
    h.rdi = (uintptr_t)host_mem + di;
    g.rsi = BOARD_DATA + si;
    g.rdi = BOARD_DATA + di;
    run_host(t, &h);
    run_guest(t, &g);
    h.rsi -= (uintptr_t)host_mem;
    h.rdi -= (uintptr_t)host_mem;
    g.rsi -= BOARD_DATA;
    g.rdi -= BOARD_DATA;
    h.flags &= flags;
    g.flags &= flags;
    if (memcmp(&h, &g, sizeof(h)) || memcmp(host_mem, board.mem + BOARD_DATA, sizeof(host_mem))) {
        g_test_message("%s: rax %" PRIx64 " rcx %" PRIx64 " rdx %" PRIx64 " rbx %" PRIx64
                       " flags %" PRIx64,
                       t->name, in->rax, in->rcx, in->rdx, in->rbx, in->flags);
        g_test_message("host:  rax %" PRIx64 " rcx %" PRIx64 " rdx %" PRIx64 " flags %" PRIx64
                       " si %" PRIx64 " di %" PRIx64 " xmm %" PRIx64 " %" PRIx64,
                       h.rax, h.rcx, h.rdx, h.flags, h.rsi, h.rdi, h.xmm[0][0], h.xmm[0][1]);
        g_test_message("guest: rax %" PRIx64 " rcx %" PRIx64 " rdx %" PRIx64 " flags %" PRIx64
                       " si %" PRIx64 " di %" PRIx64 " xmm %" PRIx64 " %" PRIx64,
                       g.rax, g.rcx, g.rdx, g.flags, g.rsi, g.rdi, g.xmm[0][0], g.xmm[0][1]);
        g_test_fail();
    }
}

static GRand *rng;

static HostRegs random_regs(uint8_t *mem)
{
    HostRegs r = {random_value(rng), random_value(rng), random_value(rng), random_value(rng)};
    r.flags = (g_rand_int(rng) & ARITH) | 2;
    for (int k = 0; k < 4; k++) {
        r.xmm[k / 2][k % 2] = random_value(rng);
    }
    for (unsigned k = 0; k < sizeof(host_mem); k += 8) {
        uint64_t v = random_value(rng);
        memcpy(mem + k, &v, 8);
    }
    return r;
}

static void compare(const Case *t, int times)
{
    uint8_t mem[sizeof(host_mem)];
    while (times--) {
        HostRegs r = random_regs(mem);
        compare_once(t, &r, mem, 64, 128, t->flags);
    }
}

/* Put size prefixes in front: size 0..3 of an opcode whose byte form is `op`. */
static Case sized(const char *name, int size, uint32_t flags, int n, const uint8_t *op, int modrm)
{
    Case t = {.name = name, .flags = flags};
    if (size == 1) {
        t.code[t.len++] = 0x66;
    } else if (size == 3) {
        t.code[t.len++] = 0x48;
    }
    memcpy(t.code + t.len, op, n);
    t.code[t.len + n - 1] |= size > 0;
    t.len += n;
    if (modrm >= 0) {
        t.code[t.len++] = (uint8_t)modrm;
    }
    return t;
}

static void test_alu(void)
{
    static const char *const names[] = {"add", "or", "adc", "sbb", "and", "sub", "xor", "cmp"};
    for (int k = 0; k < 8; k++) {
        bool logic = k == 1 || k == 4 || k == 6;
        for (int size = 0; size < 4; size++) {
            static const int modrms[] = {0xc8, 0xcc, 0x0e}; /* eax,ecx; ah,cl; [rsi],ecx */
            for (int m = 0; m < 3; m++) {
                for (int dir = 0; dir < 4; dir += 2) {
                    uint8_t op = (uint8_t)(k * 8 + dir);
                    if (size && modrms[m] == 0xcc) {
                        continue; /* the stack pointer */
                    }
                    Case t = sized(names[k], size, logic ? NO_AF : ARITH, 1, &op, modrms[m]);
                    compare(&t, 60);
                }
            }
        }
    }
}

static void test_unary(void)
{
    /* opcode, modrm with register eax, defined flags */
    static const struct { const char *name; uint8_t op, modrm; uint32_t flags; } rows[] = {
        {"inc", 0xfe, 0xc0, ARITH}, {"dec", 0xfe, 0xc8, ARITH},
        {"inc m", 0xfe, 0x06, ARITH}, {"dec m", 0xfe, 0x0e, ARITH},
        {"not", 0xf6, 0xd0, ARITH}, {"neg", 0xf6, 0xd8, ARITH}, {"neg m", 0xf6, 0x1e, ARITH},
        {"mul", 0xf6, 0xe1, FL_CF | FL_OF}, {"imul", 0xf6, 0xe9, FL_CF | FL_OF},
        {"test", 0x84, 0xc8, NO_AF}, {"xchg", 0x86, 0xc8, ARITH}, {"xchg m", 0x86, 0x0e, ARITH},
        {"mov", 0x88, 0xc8, ARITH}, {"mov m", 0x8a, 0x0e, ARITH},
    };
    for (unsigned k = 0; k < G_N_ELEMENTS(rows); k++) {
        for (int size = 0; size < 4; size++) {
            Case t = sized(rows[k].name, size, rows[k].flags, 1, &rows[k].op, rows[k].modrm);
            compare(&t, 80);
        }
    }
}

static void test_two_byte(void)
{
    static const struct { const char *name; uint8_t op, modrm; uint32_t flags; } rows[] = {
        {"xadd", 0xc0, 0xc8, ARITH}, {"xadd m", 0xc0, 0x0e, ARITH},
        {"cmpxchg", 0xb0, 0xca, ARITH}, {"cmpxchg m", 0xb0, 0x0e, ARITH},
    };
    for (unsigned k = 0; k < G_N_ELEMENTS(rows); k++) {
        for (int size = 0; size < 4; size++) {
            uint8_t op[2] = {0x0f, rows[k].op};
            Case t = sized(rows[k].name, size, rows[k].flags, 2, op, rows[k].modrm);
            compare(&t, 80);
        }
    }
    /* no byte form: the opcode has its low bit where it belongs */
    static const struct { const char *name; uint8_t op, modrm; uint32_t flags; } words[] = {
        {"imul", 0xaf, 0xc1, FL_CF | FL_OF}, {"bt", 0xa3, 0xc8, FL_CF | FL_ZF},
        {"bts", 0xab, 0xc8, FL_CF | FL_ZF}, {"btr", 0xb3, 0xc8, FL_CF | FL_ZF},
        {"btc", 0xbb, 0xc8, FL_CF | FL_ZF}, {"movzx", 0xb7, 0xc1, ARITH},
        {"movsx", 0xbf, 0xc1, ARITH}, {"popcnt", 0xb8, 0xc1, ARITH},
    };
    for (unsigned k = 0; k < G_N_ELEMENTS(words); k++) {
        for (int size = 1; size < 4; size++) {
            Case t = {.name = words[k].name, .flags = words[k].flags};
            if (words[k].op == 0xb8) {
                t.code[t.len++] = 0xf3;
            }
            if (size != 2) {
                t.code[t.len++] = size == 1 ? 0x66 : 0x48;
            }
            t.code[t.len++] = 0x0f;
            t.code[t.len++] = words[k].op;
            t.code[t.len++] = words[k].modrm;
            if (words[k].op == 0xb8 && size == 1) { /* 66 goes before f3 or after, not REX */
                t.code[0] = 0x66;
                t.code[1] = 0xf3;
            }
            compare(&t, 80);
        }
    }
    for (int cc = 0; cc < 16; cc++) {
        Case set = {"setcc", {0x0f, (uint8_t)(0x90 + cc), 0xc0}, 3, ARITH};
        Case cmov = {"cmovcc", {0x48, 0x0f, (uint8_t)(0x40 + cc), 0xc1}, 4, ARITH};
        compare(&set, 60);
        compare(&cmov, 60);
    }
    Case swaps[] = {{"bswap", {0x0f, 0xc8}, 2, ARITH}, {"bswap64", {0x48, 0x0f, 0xc8}, 3, ARITH},
                    {"cbw", {0x66, 0x98}, 2, ARITH},   {"cwde", {0x98}, 1, ARITH},
                    {"cdqe", {0x48, 0x98}, 2, ARITH},  {"cwd", {0x66, 0x99}, 2, ARITH},
                    {"cdq", {0x99}, 1, ARITH},         {"cqo", {0x48, 0x99}, 2, ARITH},
                    {"sahf", {0x9e}, 1, ARITH},        {"lahf", {0x9f}, 1, ARITH},
                    {"cmc", {0xf5}, 1, ARITH},
                    {"lea", {0x48, 0x8d, 0x44, 0xc8, 0x85}, 5, ARITH},
                    {"imul3", {0x69, 0xc1, 0x87, 0xd6, 0x12, 0x80}, 6, FL_CF | FL_OF},
                    {"imul8", {0x48, 0x6b, 0xc1, 0x85}, 4, FL_CF | FL_OF}};
    for (unsigned k = 0; k < G_N_ELEMENTS(swaps); k++) {
        compare(&swaps[k], 60);
    }
}

static void test_shift(void)
{
    static const char *const names[] = {"rol", "ror", "rcl", "rcr", "shl", "shr", "shl", "sar"};
    uint8_t mem[sizeof(host_mem)];
    for (int k = 0; k < 8; k++) {
        for (int size = 0; size < 4; size++) {
            for (int m = 0; m < 2; m++) {
                uint8_t op = 0xd2;
                Case t = sized(names[k], size, 0, 1, &op, (m ? 0x06 : 0xc0) | k << 3);
                for (int n = 0; n < 300; n++) {
                    HostRegs r = random_regs(mem);
                    if (n & 1) {
                        r.rcx = g_rand_int_range(rng, 0, 66);
                    }
                    unsigned count = r.rcx & (size == 3 ? 63 : 31), bits = 8u << size;
                    uint32_t fl = k < 4 ? ARITH & ~FL_OF : NO_AF & ~FL_OF;
                    if (count == 1) {
                        fl |= FL_OF;
                    } else if (!count) {
                        fl = ARITH;
                    }
                    if (k >= 4 && count > bits) {
                        fl &= ~FL_CF;
                    }
                    compare_once(&t, &r, mem, 64, 128, fl);
                }
            }
        }
    }
    for (int dir = 0; dir < 2; dir++) {
        for (int size = 1; size < 4; size++) {
            uint8_t op[2] = {0x0f, (uint8_t)(dir ? 0xad : 0xa5)};
            Case t = sized(dir ? "shrd" : "shld", size, 0, 2, op, 0xd0);
            for (int n = 0; n < 300; n++) {
                HostRegs r = random_regs(mem);
                unsigned count = r.rcx & (size == 3 ? 63 : 31);
                if (size == 1 && count > 16) {
                    continue; /* undefined */
                }
                compare_once(&t, &r, mem, 64, 128,
                             !count ? ARITH : count == 1 ? NO_AF : NO_AF & ~FL_OF);
            }
        }
    }
}

static void test_divide(void)
{
    uint8_t mem[sizeof(host_mem)];
    for (int sign = 0; sign < 2; sign++) {
        for (int size = 0; size < 4; size++) {
            uint8_t op = 0xf6;
            Case t = sized(sign ? "idiv" : "div", size, 0, 1, &op, sign ? 0xf9 : 0xf1);
            for (int n = 0; n < 300; n++) {
                HostRegs r = random_regs(mem);
                uint64_t mask = ~0ULL >> (64 - (8 << size));
                if ((r.rcx & mask) < 2 || (r.rcx & mask) == mask) {
                    r.rcx = 3;
                }
                if (sign) { /* sign-extend the dividend, or it would overflow */
                    int64_t a = (int64_t)(r.rax << (64 - (8 << size))) >> (64 - (8 << size));
                    r.rdx = a < 0 ? ~0ULL : 0;
                    if (!size) {
                        r.rax = (uint64_t)a;
                    }
                } else if (size == 0) {
                    r.rax = (r.rax & 0xff) | ((r.rax >> 8 & 0xff) % (r.rcx & mask)) << 8;
                } else {
                    r.rdx = (r.rdx & mask) % (r.rcx & mask);
                }
                compare_once(&t, &r, mem, 64, 128, 0);
            }
        }
    }
}

static void test_bits_memory(void)
{
    uint8_t mem[sizeof(host_mem)];
    static const uint8_t ops[] = {0xa3, 0xab, 0xb3, 0xbb};
    for (unsigned k = 0; k < G_N_ELEMENTS(ops); k++) {
        for (int size = 1; size < 4; size++) {
            Case t = {.name = "bt m"};
            if (size != 2) {
                t.code[t.len++] = size == 1 ? 0x66 : 0x48;
            }
            t.code[t.len++] = 0x0f;
            t.code[t.len++] = ops[k];
            t.code[t.len++] = 0x0e;
            for (int n = 0; n < 100; n++) {
                HostRegs r = random_regs(mem);
                r.rcx = (uint64_t)(int64_t)g_rand_int_range(rng, -400, 400);
                compare_once(&t, &r, mem, 64, 128, FL_CF | FL_ZF);
            }
        }
    }
    static const uint8_t scans[] = {0xbc, 0xbd};
    for (unsigned k = 0; k < 2; k++) {
        Case t = {"bsf/bsr", {0x48, 0x0f, scans[k], 0xc1}, 4, FL_ZF};
        for (int n = 0; n < 200; n++) {
            HostRegs r = random_regs(mem);
            if (r.rcx) {
                compare_once(&t, &r, mem, 64, 128, FL_ZF);
            }
        }
    }
}

static void test_string(void)
{
    static const struct { const char *name; uint8_t op; bool compares; } rows[] = {
        {"movs", 0xa4, false}, {"cmps", 0xa6, true}, {"stos", 0xaa, false},
        {"lods", 0xac, false}, {"scas", 0xae, true},
    };
    static const uint8_t reps[] = {0, 0xf2, 0xf3};
    uint8_t mem[sizeof(host_mem)];
    for (unsigned k = 0; k < G_N_ELEMENTS(rows); k++) {
        for (int size = 0; size < 4; size++) {
            for (int rep = 0; rep < 3; rep++) {
                Case plain = sized(rows[k].name, size, 0, 1, &rows[k].op, -1), t = plain;
                if (reps[rep]) {
                    t.code[0] = reps[rep];
                    memcpy(t.code + 1, plain.code, plain.len);
                    t.len++;
                }
                for (int n = 0; n < 60; n++) {
                    HostRegs r = random_regs(mem);
                    r.rcx = g_rand_int_range(rng, 0, 7);
                    if (n & 1) {
                        r.flags |= FL_DF;
                    }
                    if (n % 3 == 0) { /* make comparisons meet equal elements */
                        memset(mem, 0x55, sizeof(mem) - 20 * (n % 5));
                        r.rax = 0x5555555555555555;
                    }
                    compare_once(&t, &r, mem, 96, n % 7 ? 136 : 99, ARITH | FL_DF);
                }
            }
        }
    }
}

static void test_sse(void)
{
    static const uint8_t ops[] = {
        0x60, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x6b, 0x6c, 0x6d,
        0x74, 0x75, 0x76, 0xd1, 0xd2, 0xd3, 0xd4, 0xd5, 0xd8, 0xd9, 0xda, 0xdb, 0xdc, 0xdd,
        0xde, 0xdf, 0xe0, 0xe1, 0xe2, 0xe3, 0xe4, 0xe5, 0xe8, 0xe9, 0xea, 0xeb, 0xec, 0xed,
        0xee, 0xef, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf8, 0xf9, 0xfa, 0xfb, 0xfc, 0xfd,
        0xfe, 0x14, 0x15, 0x54, 0x55, 0x56, 0x57, 0x28, 0x6f,
    };
    for (unsigned k = 0; k < G_N_ELEMENTS(ops); k++) {
        Case t = {"sse", {0x66, 0x0f, ops[k], 0xc1}, 4, ARITH};
        Case m = {"sse m", {0x66, 0x0f, ops[k], 0x06}, 4, ARITH};
        g_autofree char *name = g_strdup_printf("66 0f %02x", ops[k]);
        t.name = m.name = name;
        compare(&t, 40);
        compare(&m, 20);
    }
    static const Case more[] = {
        {"pshufd", {0x66, 0x0f, 0x70, 0xc1, 0x1b}, 5, ARITH},
        {"pshufhw", {0xf3, 0x0f, 0x70, 0xc1, 0x39}, 5, ARITH},
        {"pshuflw", {0xf2, 0x0f, 0x70, 0xc1, 0xc6}, 5, ARITH},
        {"psrldq", {0x66, 0x0f, 0x73, 0xd8, 0x03}, 5, ARITH},
        {"pslldq", {0x66, 0x0f, 0x73, 0xf8, 0x05}, 5, ARITH},
        {"psrlw", {0x66, 0x0f, 0x71, 0xd0, 0x05}, 5, ARITH},
        {"psrad", {0x66, 0x0f, 0x72, 0xe0, 0x05}, 5, ARITH},
        {"pmovmskb", {0x66, 0x0f, 0xd7, 0xc1}, 4, ARITH},
        {"movd", {0x66, 0x0f, 0x6e, 0xc1}, 4, ARITH},
        {"movq", {0x66, 0x48, 0x0f, 0x6e, 0xc1}, 5, ARITH},
        {"movq r", {0x66, 0x48, 0x0f, 0x7e, 0xc8}, 5, ARITH},
        {"movq x", {0xf3, 0x0f, 0x7e, 0xc1}, 4, ARITH},
        {"movdqu m", {0xf3, 0x0f, 0x7f, 0x46, 0x03}, 5, ARITH},
        {"movups", {0x0f, 0x10, 0x46, 0x05}, 4, ARITH},
        {"movss", {0xf3, 0x0f, 0x10, 0xc1}, 4, ARITH},
        {"movsd m", {0xf2, 0x0f, 0x10, 0x06}, 4, ARITH},
        {"movhps", {0x0f, 0x16, 0x06}, 3, ARITH},
        {"movlhps", {0x0f, 0x16, 0xc1}, 3, ARITH},
        {"movhlps", {0x0f, 0x12, 0xc1}, 3, ARITH},
        {"shufps", {0x0f, 0xc6, 0xc1, 0x4e}, 4, ARITH},
        {"pinsrw", {0x66, 0x0f, 0xc4, 0xc1, 0x03}, 5, ARITH},
        {"pextrw", {0x66, 0x0f, 0xc5, 0xc1, 0x05}, 5, ARITH},
        {"movnti", {0x48, 0x0f, 0xc3, 0x06}, 4, ARITH},
        {"movntdq", {0x66, 0x0f, 0xe7, 0x06}, 4, ARITH},
        {"cvtsi2sd", {0xf2, 0x48, 0x0f, 0x2a, 0xc1}, 5, ARITH},
        {"addsd", {0xf2, 0x0f, 0x58, 0xc0}, 4, ARITH},
        {"comisd", {0x66, 0x0f, 0x2f, 0xc1}, 4, ARITH},
        {"cvttsd2si", {0xf2, 0x48, 0x0f, 0x2c, 0xc1}, 5, ARITH},
        {"cvtss2sd", {0xf3, 0x0f, 0x5a, 0xc1}, 4, ARITH},
    };
    for (unsigned k = 0; k < G_N_ELEMENTS(more); k++) {
        compare(&more[k], 40);
    }
}

static void make_stub(void)
{
    size_t len = (size_t)(stub_end - stub_begin);
    stub = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    g_assert_true(stub != MAP_FAILED);
    memcpy(stub, stub_begin, len);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    board_new("qemu64");
    board_long();
    make_stub();
    rng = g_rand_new_with_seed(20);
    g_test_add_func("/interp/alu", test_alu);
    g_test_add_func("/interp/unary", test_unary);
    g_test_add_func("/interp/two-byte", test_two_byte);
    g_test_add_func("/interp/shift", test_shift);
    g_test_add_func("/interp/divide", test_divide);
    g_test_add_func("/interp/bits", test_bits_memory);
    g_test_add_func("/interp/string", test_string);
    g_test_add_func("/interp/sse", test_sse);
    return g_test_run();
}

#else
int main(int argc, char **argv)
{
    return 77; /* needs an x86-64 host to compare with */
}
#endif
