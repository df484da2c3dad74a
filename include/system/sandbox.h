/*
 * What the rest of the program asks the sandbox (-sandbox).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_SYSTEM_SANDBOX_H
#define FERRY_SYSTEM_SANDBOX_H

#include <stdbool.h>

/* Would running another program end this one?  Any thread once the machine is made. */
bool sandbox_forbids_exec(void);

#endif
