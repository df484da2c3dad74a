/* Weak stand-ins while folders land; removed when all are there. SPDX-License-Identifier: GPL-2.0-or-later */
#include "accel/accel.h"
#include "monitor/monitor.h"
__attribute__((weak)) const AccelOps *accel;
__attribute__((weak)) void qmp_event_emit(const char *name, JsonObject *data)
{
    g_clear_pointer(&data, json_object_unref);
}
#include "migration/vmstate.h"
__attribute__((weak)) bool vmstate_register(const char *path, int instance_id,
                                            const VMStateDescription *vmsd, void *opaque, Error **errp)
{
    return true;
}
__attribute__((weak)) void vmstate_unregister(const VMStateDescription *vmsd, void *opaque)
{
}
#include "hw/i386/x86-irq.h"
#include "target/i386/cpu.h"
__attribute__((weak)) IRQLine *x86_gsi(int n)
{
    static IRQLine line;

    return &line;
}
__attribute__((weak)) bool x86_irq_init(bool with_pit, Error **errp)
{
    return true;
}
__attribute__((weak)) X86CPU *x86_cpu_create(const char *cpu_option, int index, Error **errp)
{
    error_setg(errp, "there are no CPU models yet");
    return NULL;
}
__attribute__((weak)) void x86_cpu_reset(X86CPU *cpu)
{
}
__attribute__((weak)) const AccelOps qtest_accel_ops;
