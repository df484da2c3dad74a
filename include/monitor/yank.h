/*
 * What `yank` can tear apart: connections whose peer may have stopped answering.
 *
 * Any thread: the registry has a lock of its own, which is held while a function of an instance
 * runs.  So these must not wait, and nothing that they lock may be held when an instance is
 * added or removed.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_MONITOR_YANK_H
#define FERRY_MONITOR_YANK_H

#include <stdbool.h>

typedef struct YankOps {
    bool (*present)(void *opaque); /* is there anything to yank?  NULL: always */
    void (*yank)(void *opaque);    /* end every connection at once */
} YankOps;

/* type: "migration" (id NULL) or "chardev".  ops stays the caller's, id is copied. */
void yank_add(const char *type, const char *id, const YankOps *ops, void *opaque);
/* When this returns, no function of it runs or will. */
void yank_remove(void *opaque);

#endif
