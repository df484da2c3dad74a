/*
 * Character devices: where a serial port, a monitor or qtest gets its bytes.
 *
 * Handlers run in the main thread under the machine lock, unless the user moved the
 * chardev to a context of its own (chardev_set_context); then they run in the thread
 * that iterates that context, without the machine lock.  chardev_write() and
 * chardev_take_fd() may be called from any thread; everything else under the machine
 * lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_CHARDEV_CHARDEV_H
#define FERRY_CHARDEV_CHARDEV_H

#include <json-glib/json-glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/error.h"

typedef struct Chardev Chardev;

typedef enum ChardevEvent {
    CHARDEV_OPENED,  /* the other side is there; also inside chardev_attach() if it is already */
    CHARDEV_CLOSED,
    CHARDEV_BREAK,   /* serial line break */
    CHARDEV_MUX_IN,  /* multiplexed: keys come to this user now */
    CHARDEV_MUX_OUT, /* ... and no longer */
} ChardevEvent;

/* What the user (front end) of a chardev wants to hear. */
typedef struct ChardevHandlers {
    /* How many bytes can be taken now; 0: ask again after chardev_accept_input(). NULL: many. */
    int (*can_read)(void *opaque);
    void (*read)(void *opaque, const uint8_t *buf, size_t len);
    void (*event)(void *opaque, ChardevEvent event); /* NULL: not interested */
    void *opaque;
} ChardevHandlers;

/*
 * "socket,id=X,path=P,server=on", "stdio,id=X", ... (-chardev) or its JSON/dotted form.
 * Also makes it findable by id.
 */
Chardev *chardev_new_from_opts(const char *optstr, Error **errp);
/* -serial/-qmp/-monitor short form: "unix:P,server=on,wait=off", "stdio", "null", "pty",
 * "file:P", "tcp:H:P,...", "mon:stdio", "chardev:ID" (the existing one; id is not used) */
Chardev *chardev_new_from_short(const char *id, const char *str, Error **errp);
/* True for the short forms that put a monitor on the same chardev ("mon:stdio"). */
bool chardev_short_has_monitor(const char *str);
/* QMP chardev-add: backend is the ChardevBackend object; *ret_pty (may be NULL) for type pty. */
Chardev *chardev_new_from_json(const char *id, JsonObject *backend, char **ret_pty, Error **errp);
Chardev *chardev_by_id(const char *id);
/* Close and free; refused while it is in use. */
bool chardev_remove(const char *id, Error **errp);
/* Names of the backends, NULL-terminated: query-chardev-backends, -chardev help. */
extern const char *const chardev_backend_names[];

/* Claim/release the front-end side; one user only (mux excepted). */
bool chardev_attach(Chardev *c, const ChardevHandlers *h, Error **errp);
void chardev_detach(Chardev *c, void *opaque);
bool chardev_in_use(const Chardev *c);
/*
 * The user says whether somebody listens at its side, such as a program in the guest; yes until
 * it says no.  For query-chardev alone.
 */
void chardev_set_open(Chardev *c, bool open);
bool chardev_is_open(const Chardev *c); /* in use, and open */
/*
 * Run the handlers in ctx (NULL: main thread).  Attach first.  While it is not the main
 * context, detach only from the thread of ctx or when that thread is gone, and set the
 * context back to NULL.  Refused (false) for a multiplexed chardev.
 */
bool chardev_set_context(Chardev *c, GMainContext *ctx);
/*
 * Queue bytes; never waits.  Returns how many were taken: all, unless more than 16 MiB
 * are waiting already.  Bytes to nobody (not connected) count as taken.
 */
size_t chardev_write(Chardev *c, const void *buf, size_t len);
/* Front end can read again. */
void chardev_accept_input(Chardev *c);
bool chardev_connected(const Chardev *c);
const char *chardev_id(const Chardev *c);
char *chardev_filename(const Chardev *c); /* for query-chardev: "pty:/dev/pts/3", ... */
/* Take one SCM_RIGHTS descriptor that came with the bytes read (getfd), or -1. Oldest first. */
int chardev_take_fd(Chardev *c);
/* Send a serial break (`chardev-send-break`) to the front end. */
void chardev_send_break(Chardev *c);
/* ringbuf only (`ringbuf-read`, `ringbuf-write`): false with errp for other backends. */
GBytes *chardev_ringbuf_read(Chardev *c, size_t max, Error **errp);
bool chardev_ringbuf_write(Chardev *c, const void *buf, size_t len, Error **errp);
/* Key that speaks to a mux instead of its user (default 1: Ctrl-A).  Before there is one. */
void chardev_set_escape(uint8_t key);
/* From now on the backend "stdio" is refused, for this reason (a constant). */
void chardev_forbid_stdio(const char *why);
void chardev_foreach(void (*fn)(Chardev *c, void *opaque), void *opaque);
/* Write out what is queued (for half a second at most) and close all; at exit. */
void chardev_cleanup_all(void);

#endif
