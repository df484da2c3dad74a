/*
 * The qtest accelerator: no guest code runs.  vCPUs exist and can be paused, resumed
 * and saved; their threads only sleep.  The virtual clock is moved by the qtest
 * protocol alone.
 *
 * Functions run in vCPU threads or under the machine lock, as include/accel/accel.h says.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "accel/accel.h"
#include "system/clock.h"

static bool qtest_init(GHashTable *options, Error **errp)
{
    GHashTableIter it;
    gpointer key;

    g_hash_table_iter_init(&it, options);
    if (g_hash_table_iter_next(&it, &key, NULL)) {
        error_setg(errp, "accelerator 'qtest' has no option '%s'", (char *)key);
        return false;
    }
    virtual_clock_set_manual();
    return true;
}

static bool qtest_vcpu_init(CPUState *cpu, Error **errp)
{
    return true;
}

static void qtest_vcpu_destroy(CPUState *cpu)
{
}

static VcpuExit qtest_vcpu_exec(CPUState *cpu)
{
    return VCPU_EXIT_HALT;
}

/* Never: the thread sleeps until it is stopped or ended. */
static bool qtest_vcpu_has_work(CPUState *cpu)
{
    return false;
}

static bool qtest_get_regs(CPUState *cpu, Error **errp)
{
    return true;
}

static bool qtest_put_regs(CPUState *cpu, PutLevel level, Error **errp)
{
    return true;
}

const AccelOps qtest_accel_ops = {
    .name = "qtest",
    .init = qtest_init,
    .vcpu_init = qtest_vcpu_init,
    .vcpu_destroy = qtest_vcpu_destroy,
    .vcpu_exec = qtest_vcpu_exec,
    .vcpu_has_work = qtest_vcpu_has_work,
    .get_regs = qtest_get_regs,
    .put_regs = qtest_put_regs,
};
