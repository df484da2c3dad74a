/*
 * Who may come in: objects that look at the identity of a client.  Machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_SYSTEM_AUTHZ_H
#define FERRY_SYSTEM_AUTHZ_H

#include <stdbool.h>

#include "util/error.h"

#define TYPE_AUTHZ "authz"

/* Does the object called id let this identity in?  NULL identity: nobody known. */
bool authz_check(const char *id, const char *identity, Error **errp);

#endif
