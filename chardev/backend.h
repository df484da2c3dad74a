/*
 * Private to chardev/: what a backend is, and the descriptor engine most of them use.
 *
 * Locks: `lock` of a chardev guards its descriptors, sources and output queue; it is a
 * leaf (nothing else is locked under it, no handler is called under it).  The handlers
 * and `connected` change in the thread of `ctx` (or before that thread exists).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_CHARDEV_BACKEND_H
#define FERRY_CHARDEV_BACKEND_H

#include <glib-unix.h>
#include <glib.h>

#include "chardev/chardev.h"

typedef struct ChardevClass {
    const char *name;
    size_t size; /* of the struct that starts with Chardev */
    /* Take your members out of opts and start.  c is zeroed but for the common part. */
    bool (*open)(Chardev *c, JsonObject *opts, Error **errp);
    void (*close)(Chardev *c);      /* stop and free what open made, also half of it */
    char *(*filename)(const Chardev *c); /* NULL: the name of the class */
    /* NULL: chardev_io_write().  Any thread. */
    size_t (*write)(Chardev *c, const void *buf, size_t len);
    /* The descriptor engine met end of file or an error; ctx thread.  NULL: stop it. */
    void (*eof)(Chardev *c);
    /* Move own sources to c->ctx; NULL: there are none. */
    void (*context_changed)(Chardev *c);
    /* Several users (mux). NULL: the plain way. */
    bool (*attach)(Chardev *c, const ChardevHandlers *h, Error **errp);
    void (*detach)(Chardev *c, void *opaque);
    void (*accept_input)(Chardev *c);
    bool (*in_use)(const Chardev *c);
} ChardevClass;

struct Chardev {
    const ChardevClass *klass; /* const after creation, like id */
    char *id;
    bool internal;          /* below a mux: not listed */
    GMainContext *ctx;      /* where handlers run; NULL: default */
    ChardevHandlers h;      /* ctx thread; valid while attached */
    bool attached;
    bool closed;            /* chardev_set_open(false) */
    bool connected;         /* atomic */
    int log_fd;             /* logfile=, -1: none; const */

    GMutex lock;
    /* Under lock: the descriptor engine (io.c). */
    int fd_in, fd_out;      /* -1: none; the same number for sockets and ptys */
    bool is_socket;
    bool input_paused;      /* front end is full */
    bool broken;            /* output failed: drop it until the descriptor is replaced */
    GSource *in, *out;
    GByteArray *queue;      /* bytes that wait for fd_out */
    size_t queue_pos;       /* of them, those written already */
    GQueue fds;             /* received descriptors, GINT_TO_POINTER */
};

extern const ChardevClass chardev_socket, chardev_file, chardev_pipe, chardev_pty, chardev_null,
    chardev_stdio, chardev_ringbuf, chardev_mux;

/* chardev.c */
/* opts is consumed member by member; leftovers are errors. */
Chardev *chardev_create(const char *id, const ChardevClass *klass, JsonObject *opts,
                        Error **errp);
const ChardevClass *chardev_class_by_name(const char *name, Error **errp);
void chardev_emit(Chardev *c, ChardevEvent event);
void chardev_set_connected(Chardev *c, bool connected); /* with its event */
void chardev_free(Chardev *c);

/* io.c: descriptor engine */
/* Take over descriptors (-1: none) and start to read; OPENED is emitted. */
void chardev_io_start(Chardev *c, int fd_in, int fd_out);
/* Close them, drop the queue; CLOSED is emitted. ctx thread. */
void chardev_io_stop(Chardev *c);
/* Arm or disarm reading as the front end's state says. */
void chardev_io_update(Chardev *c);
size_t chardev_io_write(Chardev *c, const void *buf, size_t len);
/* Wait until the queue is written out, until the monotonic time (us) at most. */
void chardev_io_flush(Chardev *c, int64_t deadline_us);
void chardev_io_move_sources(Chardev *c);
/* Watch fd in c->ctx; drop with chardev_source_drop(). */
GSource *chardev_watch(Chardev *c, int fd, GIOCondition cond, GUnixFDSourceFunc fn);
GSource *chardev_timer(Chardev *c, unsigned ms, GSourceFunc fn);
void chardev_source_drop(GSource **s);

/* mux.c */
Chardev *chardev_mux_new(const char *id, Chardev *base, Error **errp);

/* opts.c */
/* ChardevBackend (QMP) or short form to the members of the option form; *ret_class is set. */
JsonObject *chardev_opts_from_backend(JsonObject *backend, const ChardevClass **ret_class,
                                      Error **errp);
JsonObject *chardev_opts_from_short(const char *str, const ChardevClass **ret_class,
                                    Error **errp);
/* "server,nowait" of a socket, as people have typed it for years: wait=off. */
void chardev_legacy_flags(JsonObject *opts);

#endif
