/*
 * Error objects.  Belongs to no thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "util/error.h"

#include "util/log.h"

static const char *const class_names[ERROR_CLASS__MAX] = {
    [ERROR_CLASS_GENERIC_ERROR] = "GenericError",
    [ERROR_CLASS_COMMAND_NOT_FOUND] = "CommandNotFound",
    [ERROR_CLASS_DEVICE_NOT_ACTIVE] = "DeviceNotActive",
    [ERROR_CLASS_DEVICE_NOT_FOUND] = "DeviceNotFound",
    [ERROR_CLASS_KVM_MISSING_CAP] = "KVMMissingCap",
};

/* As G_DEFINE_QUARK() does it, but for threads that meet here for the first time. */
GQuark ferry_error_quark(void)
{
    static GQuark quark; /* atomic; all find the same */
    GQuark q = __atomic_load_n(&quark, __ATOMIC_RELAXED);

    if (!q) {
        q = g_quark_from_static_string("ferry-error-quark");
        __atomic_store_n(&quark, q, __ATOMIC_RELAXED);
    }
    return q;
}

void error_setg_errno(Error **errp, int errno_, const char *fmt, ...)
{
    g_autofree char *msg = NULL;
    va_list ap;

    va_start(ap, fmt);
    msg = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    error_setg(errp, "%s: %s", msg, g_strerror(errno_));
}

const char *error_class_name(const Error *err)
{
    if (err->domain == FERRY_ERROR && err->code >= 0 && err->code < ERROR_CLASS__MAX) {
        return class_names[err->code];
    }
    return class_names[ERROR_CLASS_GENERIC_ERROR];
}

void error_report_err(Error *err)
{
    error_report("%s", err->message);
    g_error_free(err);
}
