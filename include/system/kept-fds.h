/*
 * Descriptors that a former program left for this one: memory of the same guest.
 *
 * They are there before the machine is made; who makes a thing of the same name takes
 * its descriptor in place of a new one.  Main thread at start-up, then machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_SYSTEM_KEPT_FDS_H
#define FERRY_SYSTEM_KEPT_FDS_H

#include <stdbool.h>

#include "util/error.h"

/* Takes over fd.  False: there is one of this name and number already (fd is closed). */
bool kept_fd_add(const char *name, int id, int fd, Error **errp);
/* The descriptor belongs to the caller then; -1: none was left under this name. */
int kept_fd_take(const char *name, int id);
/* Name of one that nobody took, NULL: none.  Stays the table's. */
const char *kept_fd_left(void);
/* Close all that nobody took. */
void kept_fds_clear(void);

#endif
