/*
 * A process that gives the memory back when this one has ended.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_SYSTEM_ASYNC_TEARDOWN_H
#define FERRY_SYSTEM_ASYNC_TEARDOWN_H

#include <stdbool.h>

#include "util/error.h"

/* Start it.  A thread that stays: when that one ends, so does the process. */
bool async_teardown_start(Error **errp);
/* End it: this process is about to become another program.  False: there was none. */
bool async_teardown_stop(void);

#endif
