/*
 * What the rest of the program asks the sandbox (-sandbox).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_SYSTEM_SANDBOX_H
#define FERRY_SYSTEM_SANDBOX_H

#include <stdbool.h>

#include "util/error.h"

/* False with errp set if running another program would end this one; `what` begins the message. */
bool sandbox_may_exec(const char *what, Error **errp);

#endif
