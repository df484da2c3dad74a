/*
 * Monitors, as seen from the rest of the program.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_MONITOR_MONITOR_H
#define FERRY_MONITOR_MONITOR_H

#include <json-glib/json-glib.h>
#include <stdbool.h>

#include "chardev/chardev.h"
#include "util/error.h"

typedef struct Monitor Monitor;

/* Attach a monitor to a chardev; machine lock held. */
Monitor *monitor_new_qmp(Chardev *c, bool pretty, Error **errp);
Monitor *monitor_new_hmp(Chardev *c, bool readline, Error **errp);
/*
 * May it go now?  False with errp set while it runs the command that asks for this.
 * Machine lock.
 */
bool monitor_can_be_freed(const Monitor *m, Error **errp);
/*
 * Detach it from its chardev, which stays.  Main thread; the machine lock is let go while the
 * thread that reads the chardev is waited for.
 */
void monitor_free(Monitor *m);
/* Call fn in the main thread whenever a client has gone.  QMP only; machine lock. */
void monitor_set_closed_handler(Monitor *m, void (*fn)(void *opaque), void *opaque);
void monitor_cleanup_all(void); /* flush and close, at exit */

/*
 * Emit a QMP event to every negotiated QMP monitor; data may be NULL (absent) and is
 * consumed.  Any thread; order of calls is order on the wire, and an event goes out
 * before the reply of a command that is still running.
 */
void qmp_event_emit(const char *name, JsonObject *data);

/* Descriptors handed in with getfd: takes it out of the list, -1 with errp set if unknown. */
int monitor_take_fd(const char *name, Error **errp);
/* Number ("12": dup-less take over of an inherited fd) or name. */
int monitor_fd_param(const char *str, Error **errp);
/* Put fd into a set, which is made if need be (id < 0: a new one); the set's id.  Takes fd. */
int64_t monitor_fdset_add(int fd, int64_t id, const char *opaque);
/*
 * /dev/fdset/N of add-fd: duplicate of the fd that fits these flags best (access mode, O_DIRECT),
 * or -1.
 */
int monitor_fdset_dup(int64_t fdset_id, int flags, Error **errp);
/* open(2) that understands /dev/fdset/N; -1 with errp set. */
int ferry_open(const char *path, int flags, int mode, Error **errp);

/*
 * Run one HMP command line (human-monitor-command): output text, lines end in LF; free
 * with g_free().  Commands are in monitor/hmp.h.
 */
char *hmp_execute(const char *line);

#endif
