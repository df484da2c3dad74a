/*
 * The guest's memory and registers as a core file (dump-guest-memory).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_SYSTEM_DUMP_H
#define FERRY_SYSTEM_DUMP_H

#include <stdbool.h>

/* Is a core file being written, so that memory must stay as it is?  Machine lock. */
bool dump_in_progress(void);
/* End the thread that writes one, whatever it waits for.  Machine lock, process is going down. */
void dump_shutdown(void);

#endif
