/*
 * Secrets: -object secret,id=ID,file=PATH.  Machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_SYSTEM_SECRET_H
#define FERRY_SYSTEM_SECRET_H

#include <glib.h>

#include "util/error.h"

#define TYPE_SECRET "secret"

/* Bytes of the secret with this id (g_bytes_unref), NULL with errp set. */
GBytes *secret_lookup(const char *id, Error **errp);

#endif
