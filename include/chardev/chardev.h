/*
 * Character devices: where a serial port, a monitor or qtest gets its bytes.
 *
 * Handlers run in the main thread under the machine lock.
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

typedef enum ChardevEvent { CHARDEV_OPENED, CHARDEV_CLOSED, CHARDEV_BREAK } ChardevEvent;

/* What the user (front end) of a chardev wants to hear. */
typedef struct ChardevHandlers {
    /* How many bytes can be taken now; 0: ask again after chardev_accept_input(). */
    int (*can_read)(void *opaque);
    void (*read)(void *opaque, const uint8_t *buf, size_t len);
    void (*event)(void *opaque, ChardevEvent event);
    void *opaque;
} ChardevHandlers;

/*
 * "socket,id=X,path=P,server=on", "stdio,id=X", ... (-chardev) or its JSON/dotted form.
 * Also makes it findable by id.
 */
Chardev *chardev_new_from_opts(const char *optstr, Error **errp);
/* -serial/-qmp/-monitor short form: "unix:P,server=on,wait=off", "stdio", "null", "pty",
 * "file:P", "tcp:H:P,...", "mon:stdio", "chardev:ID" */
Chardev *chardev_new_from_short(const char *id, const char *str, Error **errp);
/* QMP chardev-add: backend is the ChardevBackend object; *ret_pty for type pty. */
Chardev *chardev_new_from_json(const char *id, JsonObject *backend, char **ret_pty, Error **errp);
Chardev *chardev_by_id(const char *id);
bool chardev_remove(const char *id, Error **errp);

/* Claim/release the front-end side; one user only (mux excepted). */
bool chardev_attach(Chardev *c, const ChardevHandlers *h, Error **errp);
void chardev_detach(Chardev *c, void *opaque);
bool chardev_in_use(const Chardev *c);
/* Queue bytes; never blocks the caller for long; returns bytes taken (all, for monitors). */
size_t chardev_write(Chardev *c, const void *buf, size_t len);
/* Front end can read again. */
void chardev_accept_input(Chardev *c);
bool chardev_connected(const Chardev *c);
const char *chardev_id(const Chardev *c);
char *chardev_filename(const Chardev *c); /* for query-chardev: "pty:/dev/pts/3", ... */
/* Take one SCM_RIGHTS descriptor that came with the bytes read (getfd), or -1. */
int chardev_take_fd(Chardev *c);
void chardev_foreach(void (*fn)(Chardev *c, void *opaque), void *opaque);
/* Write out what is queued and close all; at exit. */
void chardev_cleanup_all(void);

#endif
