/*
 * Which accelerator runs the guest: parsing of one -accel argument and the start of
 * the chosen one.
 *
 * Main thread, before any vCPU exists.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "accel/accel.h"

#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <linux/kvm.h>

#include "util/util.h"

const AccelOps *accel;

static const AccelOps *const accelerators[] = {
    &kvm_accel_ops,
    &interp_accel_ops,
    &qtest_accel_ops,
};

static const AccelOps *accel_by_name(const char *name, Error **errp)
{
    for (size_t i = 0; i < ARRAY_SIZE(accelerators); i++) {
        const AccelOps *a = accelerators[i];

        if (!strcmp(a->name, name) || (a->alias && !strcmp(a->alias, name))) {
            return a;
        }
    }
    error_setg(errp, "unknown accelerator '%s'; known are kvm, interp (also called tcg) and qtest",
               name);
    return NULL;
}

/* The parts after the name, "key=value" each, into a new table. */
static GHashTable *parse_options(char **parts, const char *name, Error **errp)
{
    g_autoptr(GHashTable) t = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);

    for (; *parts; parts++) {
        char *eq = strchr(*parts, '=');

        if (!eq || eq == *parts) {
            error_setg(errp, "accelerator '%s': '%s' is not of the form option=value", name,
                       *parts);
            return NULL;
        }
        g_hash_table_replace(t, g_strndup(*parts, eq - *parts), g_strdup(eq + 1));
    }
    return g_steal_pointer(&t);
}

bool accel_try_init(const char *arg, Error **errp)
{
    g_auto(GStrv) parts = g_strsplit(arg, ",", -1);
    const char *name = parts[0] ? parts[0] : "";
    g_autoptr(GHashTable) options = NULL;
    const AccelOps *a;

    g_assert(!accel);
    if (g_str_has_prefix(name, "accel=")) {
        name += strlen("accel=");
    }
    a = accel_by_name(name, errp);
    if (!a) {
        return false;
    }
    options = parse_options(parts + 1, name, errp);
    if (!options || !a->init(options, errp)) {
        return false;
    }
    accel = a;
    return true;
}

bool accel_kvm_available(void)
{
    g_auto(AutoFd) fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

    return fd >= 0 && ioctl(fd, KVM_GET_API_VERSION, 0) == KVM_API_VERSION;
}
