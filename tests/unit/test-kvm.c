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

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/kvm/hello", test_hello);
    return g_test_run();
}
