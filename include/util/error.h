/*
 * Error objects: what went wrong, in one line a person can act on.
 *
 * Error is GLib's GError with the QMP error classes as codes, so every GLib
 * helper (g_propagate_error, g_autoptr, g_prefix_error) works on it.  A function
 * that can fail takes `Error **errp` last, returns false/NULL/-1 on failure and
 * then has set *errp.  Log or return, never both.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_UTIL_ERROR_H
#define FERRY_UTIL_ERROR_H

#include <errno.h>
#include <glib.h>

typedef GError Error;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Error, g_error_free)

/* The error classes of QMP (section "class" of an error reply). */
typedef enum ErrorClass {
    ERROR_CLASS_GENERIC_ERROR,
    ERROR_CLASS_COMMAND_NOT_FOUND,
    ERROR_CLASS_DEVICE_NOT_ACTIVE,
    ERROR_CLASS_DEVICE_NOT_FOUND,
    ERROR_CLASS_KVM_MISSING_CAP,
    ERROR_CLASS__MAX,
} ErrorClass;

#define FERRY_ERROR ferry_error_quark()
GQuark ferry_error_quark(void);

/* Set *errp to a GenericError; *errp must be unset.  errp may be NULL. */
#define error_setg(errp, ...) \
    g_set_error((errp), FERRY_ERROR, ERROR_CLASS_GENERIC_ERROR, __VA_ARGS__)

/* As error_setg(), with an error class other than GenericError. */
#define error_set(errp, class_, ...) \
    g_set_error((errp), FERRY_ERROR, (class_), __VA_ARGS__)

/* As error_setg(), with ": strerror(errno_)" appended. */
void error_setg_errno(Error **errp, int errno_, const char *fmt, ...) G_GNUC_PRINTF(3, 4);

/* Put "text" in front of the message of *errp, if it is set. */
#define error_prefix(errp, ...) g_prefix_error((errp), __VA_ARGS__)

#define error_get_pretty(err) ((const char *)(err)->message)

/* Hand err over to errp (frees it if errp is NULL). */
#define error_propagate(errp, err) g_propagate_error((errp), (err))

/* QMP name of the class of err: "GenericError", "CommandNotFound", ... */
const char *error_class_name(const Error *err);

/*
 * Report err on the log (see util/log.h) and free it.  Only the top of a thread
 * or of main() does this.
 */
void error_report_err(Error *err);

#endif
