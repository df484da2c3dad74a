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

G_DEFINE_QUARK(ferry-error, ferry_error)

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
