/*
 * Guest code under KVM: ports, several vCPUs, memory, dirty log, saved registers.
 *
 * Skips where /dev/kvm cannot be used.  One process has one VM, so each test runs in a
 * child process of its own.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "accel/accel.h"
#include "hw/i386/x86-irq.h"
#include "hw/intc/apic.h"
#include "system/address-space.h"
#include "system/clock.h"
#include "system/cpus.h"
#include "system/dirty.h"
#include "system/machine-lock.h"
#include "system/ramblock.h"
#include "system/runstate.h"
#include "target/i386/cpu.h"
#include "util/bitmap.h"
#include "util/util.h"

#define RAM_SIZE (2 * MiB)
#define CODE 0x7c00

static RAMBlock *ram;
static GString *port_output;   /* machine lock */
static GCond port_cond;

static void port_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    g_string_append_c(port_output, (char)value);
    g_cond_broadcast(&port_cond);
}

static uint64_t port_read(void *opaque, uint64_t offset, unsigned size)
{
    return 'r';
}

static const IORegionOps port_ops = { .read = port_read, .write = port_write, .max_size = 1 };

/* Start a machine in the child: RAM at 0, code at CODE, vCPUs in real mode there. */
static void start_machine(const char *accel_arg, const uint8_t *code, size_t len, int n_cpus)
{
    Error *err = NULL;
    RAMBlockOptions opts = { .fd = -1 };

    main_loop_init();
    machine_lock();
    port_output = g_string_new(NULL);
    accel_try_init(accel_arg, &err);
    g_assert_no_error(err);
    ram = ramblock_new("pc.ram", RAM_SIZE, &opts, &err);
    g_assert_no_error(err);
    memory_map_ram(0, RAM_SIZE, ram, 0, false);
    memcpy(ram->host + CODE, code, len);
    ioport_map(0xe9, 1, "test", &port_ops, NULL);
    x86_irq_init(true, &err);
    g_assert_no_error(err);
    for (int i = 0; i < n_cpus; i++) {
        X86CPU *cpu = x86_cpu_create("qemu64", i, &err);

        g_assert_no_error(err);
        cpu->env.segs[R_CS].selector = 0;
        cpu->env.segs[R_CS].base = 0;
        cpu->env.eip = CODE;
        cpu->env.eflags = EFLAGS_FIXED;
    }
    cpu_put_all_reset();
}

/* Machine lock held.  Wait until the guest has written so many bytes to the port. */
static void wait_output(size_t n)
{
    int64_t deadline = g_get_monotonic_time() + 5 * G_TIME_SPAN_SECOND;

    while (port_output->len < n) {
        g_assert_true(machine_lock_wait_until(&port_cond, deadline));
    }
}

static bool in_child(void)
{
    if (!accel_kvm_available()) {
        g_test_skip("/dev/kvm cannot be used on this host");
        return false;
    }
    if (g_test_subprocess()) {
        return true;
    }
    g_test_trap_subprocess(NULL, 20 * G_TIME_SPAN_SECOND, G_TEST_SUBPROCESS_INHERIT_STDERR);
    g_test_trap_assert_passed();
    return false;
}

/* mov al,'h'; out 0xe9,al; mov al,'i'; out 0xe9,al; in al,0xe9; out 0xe9,al; hlt */
static const uint8_t code_hello[] = { 0xb0, 'h', 0xe6, 0xe9, 0xb0, 'i', 0xe6, 0xe9,
                                      0xe4, 0xe9, 0xe6, 0xe9, 0xf4 };

static void test_hello(void)
{
    if (!in_child()) {
        return;
    }
    start_machine("kvm", code_hello, sizeof(code_hello), 1);
    cpu_resume_all();
    wait_output(3);
    g_assert_cmpstr(port_output->str, ==, "hir");
    cpu_pause_all();
    cpu_join_all();
}


/*
 * A counter in memory that the guest increments for ever:
 * l: inc dword [0x1000]; out 0xe9,al; jmp l
 * Port access makes the kernel leave the guest.  Without it a kernel that emulates real
 * mode does not notice that its dirty ring is full.
 */
static const uint8_t code_count[] = { 0x66, 0xff, 0x06, 0x00, 0x10, 0xe6, 0xe9, 0xeb, 0xf7 };

static uint32_t counter(void)
{
    uint32_t v;

    memcpy(&v, ram->host + 0x1000, 4);
    return v;
}

/* Machine lock held: let the guest run for a moment. */
static void run_ms(int ms)
{
    cpu_resume_all();
    machine_unlock();
    g_usleep(ms * 1000);
    machine_lock();
    cpu_pause_all();
}

/* Guest stores are found in RAMBlock.dirty, and again after the pages were protected again. */
static void dirty_log(const char *accel_arg)
{
    Error *err = NULL;

    start_machine(accel_arg, code_count, sizeof(code_count), 1);
    run_ms(5);
    g_assert_cmpuint(counter(), >, 0);
    g_assert_true(dirty_log_start(&err));
    g_assert_true(dirty_log_sync(&err));
    dirty_log_clear(ram, 0, RAM_SIZE);
    bitmap_clear(ram->dirty, 0, ramblock_pages(ram));
    for (int i = 0; i < 3; i++) {
        uint32_t before = counter();

        g_assert_true(dirty_log_sync(&err));
        g_assert_cmpuint(bitmap_count(ram->dirty, 0, ramblock_pages(ram)), ==, 0);
        run_ms(5);
        g_assert_cmpuint(counter(), !=, before);
        g_assert_true(dirty_log_sync(&err));
        g_assert_true(bitmap_test(ram->dirty, 1));
        g_assert_cmpuint(bitmap_count(ram->dirty, 0, ramblock_pages(ram)), ==, 1);
        /* Not cleared: reported again, never forgotten. */
        if (dirty_log_needs_clear() && !strchr(accel_arg, ',')) {
            bitmap_clear(ram->dirty, 0, ramblock_pages(ram));
            g_assert_true(dirty_log_sync(&err));
            g_assert_true(bitmap_test(ram->dirty, 1));
        }
        dirty_log_clear(ram, 0x1000, 0x1000);
        bitmap_clear(ram->dirty, 0, ramblock_pages(ram));
    }
    dirty_log_stop();
    run_ms(2);
    cpu_join_all();
}

static void test_dirty_log(void)
{
    if (in_child()) {
        dirty_log("kvm");
    }
}

static void test_dirty_ring(void)
{
    if (in_child()) {
        dirty_log("kvm,dirty-ring-size=1024");
    }
}

/* Many pages through a small ring, so that it gets full. */
static const uint8_t code_spread[] = {
    0x88, 0x07,             /* mov [bx],al */
    0x8c, 0xd9,             /* mov cx,ds */
    0x81, 0xc1, 0x00, 0x01, /* add cx,0x100: one page on */
    0x80, 0xcd, 0x10,       /* or ch,0x10: from 64 KiB up */
    0x8e, 0xd9,             /* mov ds,cx */
    0xe6, 0xe9,             /* out 0xe9,al */
    0xeb, 0xef,             /* jmp l */
};

static void test_dirty_ring_full(void)
{
    Error *err = NULL;

    if (!in_child()) {
        return;
    }
    start_machine("kvm,dirty-ring-size=256", code_spread, sizeof(code_spread), 1);
    g_assert_true(dirty_log_start(&err));
    run_ms(50);
    g_assert_true(dirty_log_sync(&err));
    /* The segment wraps at 1 MiB: every page from 64 KiB to there that has bit 16 set. */
    g_assert_cmpuint(bitmap_count(ram->dirty, 0, ramblock_pages(ram)), >, 64);
    dirty_log_stop();
    cpu_join_all();
}

/* Port writes come in order and once each, whenever the vCPU is kicked. */
/* l: mov al,[0x1000]; out 0xe9,al; inc byte [0x1000]; jmp l */
static const uint8_t code_out[] = { 0xa0, 0x00, 0x10, 0xe6, 0xe9, 0xfe, 0x06, 0x00, 0x10,
                                    0xeb, 0xf5 };

static void test_kicks_lose_nothing(void)
{
    uint8_t expect = 0;

    if (!in_child()) {
        return;
    }
    start_machine("kvm", code_out, sizeof(code_out), 1);
    for (int i = 0; i < 100; i++) {
        CPUState *cpu = cpu_first();

        cpu_resume_all();
        machine_unlock();
        g_usleep(g_random_int_range(0, 300));
        machine_lock();
        cpu_pause_all();
        cpu_synchronize_state(cpu);
        memset(X86_CPU(cpu)->env.xmm, i, 16);
    }
    for (size_t i = 0; i < port_output->len; i++) {
        g_assert_cmpuint((uint8_t)port_output->str[i], ==, expect++);
    }
    g_assert_cmpuint(port_output->len, >, 100);
    cpu_join_all();
}

/* Registers that KVM must take and give back. */
static void set_marks(CPUX86State *env)
{
    for (int i = 0; i < 16; i++) {
        env->regs[i] = 0x1111111111111111ULL * i;
        env->xmm[i].q[0] = 100 + i;
        env->xmm[i].q[1] = 200 + i;
    }
    for (int i = 0; i < 8; i++) {
        env->fpregs[i].mantissa = 0x8000000000000000ULL | i;
        env->fpregs[i].exponent = 0x3fff + i;
    }
    env->fpstt = 3;
    env->fptag = 0xff;
    env->fpuc = 0x27f;
    env->mxcsr = 0x1fa0;
    env->eflags = 0x246;
    env->eip = 0x1234;
    env->cr[2] = 0xabcdef;
    env->cr[4] |= CR4_OSFXSR;
    env->dr[0] = 0x1000;
    env->dr[7] = 0x401;
    env->star = 0x0023001000000000ULL;
    env->lstar = 0xffffffff81000000ULL;
    env->fmask = 0x47700;
    env->kernelgsbase = 0xffff888000000000ULL;
    env->sysenter_cs = 0x10;
    env->sysenter_eip = 0x1111;
    env->mtrr_deftype = 0xc06;
    env->mtrr_var[0].base = 0x80000000;
    env->mtrr_fixed[3] = 0x0606060606060606ULL;
    env->segs[R_GS].base = 0x9999;
    env->segs[R_FS].selector = 0x40;
    env->segs[R_FS].base = 0x400;
    env->mce_banks[4] = 0;
    env->tsc = 0x1000000000ULL;
    env->nmi_pending = 1;
    x86_cpu_update_hflags(env);
}

static void test_registers(void)
{
    Error *err = NULL;
    X86CPU *cpu;
    CPUX86State want;

    if (!in_child()) {
        return;
    }
    start_machine("kvm", code_hello, sizeof(code_hello), 1);
    cpu = X86_CPU(cpu_first());
    g_assert_true(accel->get_regs(&cpu->parent, &err));
    set_marks(&cpu->env);
    want = cpu->env;
    g_assert_true(accel->put_regs(&cpu->parent, PUT_FULL, &err));
    g_assert_no_error(err);
    memset(cpu->env.regs, 0, sizeof(want.regs));
    memset(cpu->env.xmm, 0, sizeof(want.xmm));
    memset(cpu->env.fpregs, 0, sizeof(want.fpregs));
    memset(cpu->env.mtrr_var, 0, sizeof(want.mtrr_var));
    memset(cpu->env.segs, 0, sizeof(want.segs));
    g_assert_true(accel->get_regs(&cpu->parent, &err));
#define SAME(f) g_assert_cmpmem(&cpu->env.f, sizeof(want.f), &want.f, sizeof(want.f))
    SAME(regs);
    SAME(xmm);
    SAME(fpregs);
    SAME(fpstt);
    SAME(fptag);
    SAME(fpuc);
    SAME(mxcsr);
    SAME(eflags);
    SAME(eip);
    SAME(cr[0]);
    SAME(cr[2]);
    SAME(cr[4]);
    SAME(dr[0]);
    SAME(dr[7]);
    SAME(star);
    SAME(lstar);
    SAME(fmask);
    SAME(kernelgsbase);
    SAME(sysenter_cs);
    SAME(sysenter_eip);
    SAME(pat);
    SAME(mtrr_deftype);
    SAME(mtrr_var);
    SAME(mtrr_fixed);
    SAME(segs);
    SAME(tr);
    SAME(gdt);
    SAME(mce_banks);
    SAME(mcg_cap);
    SAME(nmi_pending);
    SAME(mp_state);
    SAME(hflags);
#undef SAME
    g_assert_cmphex(cpu->env.tsc, >=, want.tsc); /* not every host can set it back */
    cpu_join_all();
}

/* The local APIC's registers and timer through the shared state and back. */
static void test_apic_state(void)
{
    Error *err = NULL;
    APICState *s, want;

    if (!in_child()) {
        return;
    }
    start_machine("kvm", code_hello, sizeof(code_hello), 1);
    s = X86_CPU(cpu_first())->apic;
    apic_reset(s);
    s->spurious_vec = 0x1ff;
    s->lvt[APIC_LVT_TIMER] = 0x20030; /* periodic, vector 0x30 */
    s->divide_conf = 0xb;
    s->count_shift = 0;
    s->initial_count = 1000000000;
    s->initial_count_load_time = virtual_clock_ns() - 400000000;
    g_assert_true(apic_next_timer(s, virtual_clock_ns()));
    s->timer_expiry = s->next_time;
    s->irr[2] = 0x10;
    want = *s;
    g_assert_true(s->ops->post_load(s, &err));
    memset(s->lvt, 0, sizeof(s->lvt));
    s->initial_count = 0;
    s->irr[2] = 0;
    g_assert_true(s->ops->pre_save(s, &err));
    g_assert_cmphex(s->apicbase, ==, want.apicbase);
    g_assert_cmphex(s->spurious_vec, ==, want.spurious_vec);
    g_assert_cmphex(s->lvt[APIC_LVT_TIMER], ==, want.lvt[APIC_LVT_TIMER]);
    g_assert_cmphex(s->lvt[APIC_LVT_LINT0], ==, 0x700);
    g_assert_cmpuint(s->initial_count, ==, want.initial_count);
    g_assert_cmphex(s->irr[2], ==, want.irr[2]);
    /* The virtual clock stands still here, the kernel's timer ran for some moments. */
    g_assert_cmpint(s->timer_expiry, >, 0);
    g_assert_cmpint(llabs(s->timer_expiry - want.timer_expiry), <, 300000000);
    cpu_join_all();
}

/* Boot processor: INIT and SIPI to APIC id 1 (page 8), then both write to the port. */
static const uint8_t code_bsp[] = {
    0x66, 0x2e, 0x0f, 0x01, 0x16, 0x80, 0x7c, /* o32 lgdt cs:[0x7c80] */
    0x0f, 0x20, 0xc0, 0x0c, 0x01, 0x0f, 0x22, 0xc0, /* cr0 |= PE */
    0xea, 0x14, 0x7c, 0x08, 0x00, /* jmp 8:0x7c14 (32 bit code) */
    /* 0x7c14: */
    0x66, 0xb8, 0x10, 0x00, 0x8e, 0xd8, /* mov ds, 0x10 */
    0xc7, 0x05, 0xf0, 0x00, 0xe0, 0xfe, 0xff, 0x01, 0x00, 0x00, /* enable the APIC */
    0xc7, 0x05, 0x10, 0x03, 0xe0, 0xfe, 0x00, 0x00, 0x00, 0x01, /* ICR2: to APIC 1 */
    0xc7, 0x05, 0x00, 0x03, 0xe0, 0xfe, 0x00, 0x45, 0x00, 0x00, /* INIT */
    0xc7, 0x05, 0x00, 0x03, 0xe0, 0xfe, 0x08, 0x46, 0x00, 0x00, /* SIPI, page 8 */
    0xb0, 'b', 0xe6, 0xe9, 0xf4, /* out 'b'; hlt */
};
static const uint8_t gdt[] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0x9b, 0xcf, 0, 0xff, 0xff, 0, 0, 0, 0x93, 0xcf, 0,
};
static const uint8_t gdt_pointer[] = { 23, 0, 0x90, 0x7c, 0, 0 };
static const uint8_t code_ap[] = { 0xb0, 'a', 0xe6, 0xe9, 0xf4 };

static void test_two_cpus(void)
{
    if (!in_child()) {
        return;
    }
    start_machine("kvm", code_bsp, sizeof(code_bsp), 2);
    memcpy(ram->host + 0x7c80, gdt_pointer, sizeof(gdt_pointer));
    memcpy(ram->host + 0x7c90, gdt, sizeof(gdt));
    memcpy(ram->host + 0x8000, code_ap, sizeof(code_ap));
    cpu_synchronize_all();
    g_assert_cmpuint(X86_CPU(cpu_by_index(0))->env.mp_state, ==, 0);
    g_assert_cmpuint(X86_CPU(cpu_by_index(1))->env.mp_state, ==, 1);
    cpu_resume_all();
    wait_output(2);
    g_assert_nonnull(strchr(port_output->str, 'a'));
    g_assert_nonnull(strchr(port_output->str, 'b'));
    cpu_pause_all();
    cpu_join_all();
}

/* Main loop passes until `done`, at most 5 s. */
static void pump_until(bool (*done)(void))
{
    int64_t deadline = g_get_monotonic_time() + 5 * G_TIME_SPAN_SECOND;

    while (!done()) {
        g_assert_cmpint(g_get_monotonic_time(), <, deadline);
        g_main_context_iteration(NULL, false);
        machine_unlock();
        g_usleep(500);
        machine_lock();
    }
}

static int resets;

static void count_reset(void *opaque)
{
    resets++;
}

static bool was_reset(void)
{
    return resets > 0;
}

/* Protected mode without an interrupt table, then ud2: a triple fault, which is a reset. */
static const uint8_t code_triple[] = {
    0x0f, 0x01, 0x1e, 0x00, 0x20,                   /* lidt [0x2000]: zeros */
    0x0f, 0x20, 0xc0, 0x0c, 0x01, 0x0f, 0x22, 0xc0, /* cr0 |= PE */
    0x0f, 0x0b,                                     /* ud2 */
};

static void test_triple_fault(void)
{
    if (!in_child()) {
        return;
    }
    start_machine("kvm", code_triple, sizeof(code_triple), 1);
    reset_handler_add(count_reset, NULL);
    vm_start();
    pump_until(was_reset);
    cpu_synchronize_all();
    cpu_pause_all();
    cpu_join_all();
}

static bool in_internal_error(void)
{
    return runstate_check(RUN_STATE_INTERNAL_ERROR);
}

/* Code fetched from where there is no memory cannot be emulated. */
static const uint8_t code_nowhere[] = { 0xea, 0x00, 0x00, 0x00, 0x90 }; /* jmp 0x9000:0 */

static void test_internal_error(void)
{
    if (!in_child()) {
        return;
    }
    start_machine("kvm", code_nowhere, sizeof(code_nowhere), 1);
    memory_unmap(0);
    memory_map_ram(0, 64 * KiB, ram, 0, false);
    vm_start();
    pump_until(in_internal_error);
    cpu_join_all();
}

/* Interrupts through a GSI line into the PIC: vector 0x20 + 5. */
static const uint8_t code_irq[] = {
    0xb0, 0x11, 0xe6, 0x20, 0xb0, 0x20, 0xe6, 0x21, 0xb0, 0x04, 0xe6, 0x21, 0xb0, 0x01, 0xe6, 0x21,
    0xb0, 0xdf, 0xe6, 0x21, /* only line 5 */
    0xfb, 0xb0, 'w', 0xe6, 0xe9, 0xf4, 0xeb, 0xfd, /* sti; out 'w'; l: hlt; jmp l */
};
static const uint8_t code_isr[] = { 0xb0, 'i', 0xe6, 0xe9, 0xb0, 0x20, 0xe6, 0x20, 0xcf };

static void test_irq_line(void)
{
    if (!in_child()) {
        return;
    }
    start_machine("kvm", code_irq, sizeof(code_irq), 1);
    memcpy(ram->host + 0x3000, code_isr, sizeof(code_isr));
    memcpy(ram->host + 4 * 0x25, "\x00\x30\x00\x00", 4);
    X86_CPU(cpu_first())->env.regs[R_ESP] = 0x2000;
    apic_reset(X86_CPU(cpu_first())->apic);
    cpu_put_all_reset();
    vm_start();
    wait_output(1);
    for (size_t i = 0; i < 3; i++) {
        irq_pulse(x86_gsi(5));
        wait_output(2 + i);
    }
    g_assert_cmpstr(port_output->str, ==, "wiii");
    cpu_pause_all();
    cpu_join_all();
}

static void test_bad_options(void)
{
    static const struct { const char *arg, *message; } rows[] = {
        { "xen", "unknown accelerator 'xen'" },
        { "kvm,nonsense=1", "no option 'nonsense'" },
        { "kvm,dirty-ring-size=3", "power of two" },
        { "kvm,kernel-irqchip=off", "kernel-irqchip=off is not supported" },
        { "kvm,word", "not of the form" },
        { "qtest,a=b", "no option 'a'" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(Error) err = NULL;

        g_assert_false(accel_try_init(rows[i].arg, &err));
        g_assert_nonnull(strstr(err->message, rows[i].message));
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/kvm/bad-options", test_bad_options);
    g_test_add_func("/kvm/hello", test_hello);
    g_test_add_func("/kvm/dirty-log", test_dirty_log);
    g_test_add_func("/kvm/dirty-ring", test_dirty_ring);
    g_test_add_func("/kvm/dirty-ring-full", test_dirty_ring_full);
    g_test_add_func("/kvm/kicks-lose-nothing", test_kicks_lose_nothing);
    g_test_add_func("/kvm/registers", test_registers);
    g_test_add_func("/kvm/apic-state", test_apic_state);
    g_test_add_func("/kvm/two-cpus", test_two_cpus);
    g_test_add_func("/kvm/triple-fault", test_triple_fault);
    g_test_add_func("/kvm/internal-error", test_internal_error);
    g_test_add_func("/kvm/irq-line", test_irq_line);
    return g_test_run();
}
