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
static bool interp_pending(GHashTable *options, Error **errp)
{
    error_setg(errp, "the software CPU is not built in");
    return false;
}
__attribute__((weak)) const AccelOps interp_accel_ops = {
    .name = "interp", .alias = "tcg", .init = interp_pending,
};
