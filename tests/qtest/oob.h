/*
 * A second QMP monitor (-chardev socket,server=on,wait=off -mon mode=control), on which
 * exec-oob is served by its own thread while the main loop is busy or asleep.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_TESTS_OOB_H
#define FERRY_TESTS_OOB_H

#include <glib.h>

typedef struct Oob {
    int fd;
    GString *got;
} Oob;

/* Connect and negotiate. */
Oob oob_open(const char *path);
void oob_close(Oob *o);
void oob_send(Oob *o, const char *text);
/* Wait until what has come contains this; all of it is dropped then. */
void oob_line(Oob *o, const char *contains);

#endif
