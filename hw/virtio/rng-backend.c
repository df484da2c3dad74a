/*
 * Sources of random bytes: the host kernel's generator (rng-builtin), or a file such as
 * /dev/urandom (rng-random).  Machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <fcntl.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/random.h>

#include "hw/virtio/rng.h"
#include "monitor/monitor.h"
#include "system/machine-lock.h"
#include "util/log.h"
#include "util/util.h"

struct RngBackend {
    Object obj;
    char *filename;  /* rng-random */
    int fd;          /* -1: the kernel's generator */
    guint watch;     /* source of the default context; 0: none */
    bool failed;     /* said so already */
    void (*ready)(void *opaque); /* of the user; NULL: free */
    void *opaque;
};

static RngBackend *backend(Object *obj)
{
    return object_check(obj, TYPE_RNG_BACKEND);
}

RngBackend *rng_backend_get(const char *id, void (*ready)(void *opaque), void *opaque,
                            Error **errp)
{
    Object *obj = id ? object_ref(object_user_by_id(id)) : object_new("rng-builtin");

    if (!object_is(obj, TYPE_RNG_BACKEND)) {
        error_setg(errp, "'rng' parameter: no random number source has the id '%s'", id);
        object_unref(obj);
        return NULL;
    }
    RngBackend *b = backend(obj);
    if (b->ready) {
        error_setg(errp, "random number source '%s' is in use already", id);
        object_unref(obj);
        return NULL;
    }
    b->ready = ready;
    b->opaque = opaque;
    return b;
}

static void stop_watching(RngBackend *b)
{
    if (b->watch) {
        g_source_remove(b->watch);
        b->watch = 0;
    }
}

void rng_backend_put(RngBackend *b)
{
    stop_watching(b);
    b->ready = NULL;
    object_unref(&b->obj);
}

static gboolean readable(gint fd, GIOCondition condition, gpointer opaque)
{
    RngBackend *b = opaque;

    b->watch = 0;
    b->ready(b->opaque);
    return G_SOURCE_REMOVE;
}

static size_t read_file(RngBackend *b, void *buf, size_t len)
{
    ssize_t n;

    do {
        n = read(b->fd, buf, len);
    } while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN) {
        if (!b->watch) {
            b->watch = g_unix_fd_add(b->fd, G_IO_IN, readable, b);
        }
    } else if (n <= 0 && !b->failed) {
        b->failed = true;
        error_report("rng-random: '%s': %s; the guest waits", b->filename,
                     n ? strerror(errno) : "end of file");
    }
    return MAX(n, 0);
}

size_t rng_backend_read(RngBackend *b, void *buf, size_t len)
{
    size_t done = 0;

    if (b->fd >= 0) {
        return read_file(b, buf, len);
    }
    while (done < len) {
        ssize_t n = getrandom((char *)buf + done, MIN(len - done, 256), 0);

        if (n > 0) {
            done += n;
        } else if (errno != EINTR) {
            break;
        }
    }
    return done;
}

static bool random_complete(Object *obj, Error **errp)
{
    RngBackend *b = backend(obj);

    b->fd = ferry_open(b->filename, O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0, errp);
    return b->fd >= 0;
}

static bool can_be_deleted(Object *obj, Error **errp)
{
    if (backend(obj)->ready) {
        error_setg(errp, "object '%s' is in use, can not be deleted", obj->name);
        return false;
    }
    return true;
}

static void backend_init(Object *obj)
{
    backend(obj)->fd = -1;
}

static void backend_finalize(Object *obj)
{
    close_fd(&backend(obj)->fd);
}

static const TypeInfo backend_type = {
    .name = TYPE_RNG_BACKEND,
    .abstract = true,
    .instance_size = sizeof(RngBackend),
    .init = backend_init,
    .finalize = backend_finalize,
    .can_be_deleted = can_be_deleted,
};
TYPE_REGISTER(backend_type)

static const TypeInfo builtin_type = {
    .name = "rng-builtin",
    .parent = TYPE_RNG_BACKEND,
    .user_creatable = true,
    .description = "random bytes of the host's kernel",
};
TYPE_REGISTER(builtin_type)

static const PropertyInfo random_props[] = {
    { .name = "filename", .kind = PROP_STRING, .offset = offsetof(RngBackend, filename),
      .def = "/dev/urandom", .type_name = "string" },
    { .name = NULL },
};

static const TypeInfo random_type = {
    .name = "rng-random",
    .parent = TYPE_RNG_BACKEND,
    .user_creatable = true,
    .props = random_props,
    .complete = random_complete,
    .description = "random bytes of a file",
};
TYPE_REGISTER(random_type)
