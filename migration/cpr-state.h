/*
 * The state that goes ahead in modes cpr-transfer and cpr-exec: descriptors with their
 * names.
 *
 *   u32 magic "QCPR", u32 version 1
 *   for each: u8 1, u32 length of the name with its NUL, name, i32 number, descriptor
 *   u8 0
 *
 * On a socket a descriptor is one byte with SCM_RIGHTS, in a file (behind exec) an i32.
 * Pure but for the descriptors: no globals, no locks.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_MIGRATION_CPR_STATE_H
#define FERRY_MIGRATION_CPR_STATE_H

#include <glib.h>
#include <stdbool.h>

#include "util/error.h"

#define CPR_MAGIC 0x51435052U
#define CPR_VERSION 1
#define CPR_FDS_MAX 256

typedef struct CprFd {
    char name[256];
    int id;
    int fd;
} CprFd;

/* Write the state; `rights`: fd is a unix socket.  The descriptors stay open.  Blocks. */
bool cpr_state_write(int fd, bool rights, const GArray *fds, Error **errp);
/*
 * Read it; each descriptor is passed to take(), which owns it then and may refuse.
 * Everything is checked: names, counts, that each descriptor came.  Blocks.
 */
bool cpr_state_read(int fd, bool rights,
                    bool (*take)(const char *name, int id, int fd, Error **errp), Error **errp);

#endif
