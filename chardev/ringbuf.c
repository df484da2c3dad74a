/*
 * Backend "ringbuf": keeps the last bytes written, for ringbuf-read.  Any thread
 * (Chardev.lock).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "chardev/backend.h"
#include "util/options.h"
#include "util/util.h"

typedef struct RingChardev {
    Chardev base;
    uint8_t *data;
    size_t size;        /* power of two */
    uint64_t prod, cons; /* under base.lock; only grow */
} RingChardev;

static bool ring_open(Chardev *c, JsonObject *opts, Error **errp)
{
    RingChardev *r = (RingChardev *)c;
    uint64_t size = 64 * KiB;

    if (!options_take_size(opts, "size", 'B', &size, errp)) {
        return false;
    }
    if (size == 0 || size > 64 * MiB || (size & (size - 1))) {
        error_setg(errp, "parameter 'size' must be a power of two, at most 64M");
        return false;
    }
    r->size = size;
    r->data = g_malloc0(size);
    chardev_set_connected(c, true);
    return true;
}

static void ring_close(Chardev *c)
{
    g_clear_pointer(&((RingChardev *)c)->data, g_free);
}

static size_t ring_write(Chardev *c, const void *buf, size_t len)
{
    RingChardev *r = (RingChardev *)c;
    const uint8_t *p = buf;

    g_mutex_lock(&c->lock);
    for (size_t i = 0; i < len; i++) {
        r->data[r->prod++ & (r->size - 1)] = p[i];
    }
    if (r->prod - r->cons > r->size) {
        r->cons = r->prod - r->size; /* the oldest are lost */
    }
    g_mutex_unlock(&c->lock);
    return len;
}

static RingChardev *ring_of(Chardev *c, Error **errp)
{
    if (c->klass != &chardev_ringbuf) {
        error_setg(errp, "character device '%s' is not a ringbuf", c->id);
        return NULL;
    }
    return (RingChardev *)c;
}

GBytes *chardev_ringbuf_read(Chardev *c, size_t max, Error **errp)
{
    RingChardev *r = ring_of(c, errp);
    uint8_t *out;
    size_t n = 0;

    if (!r) {
        return NULL;
    }
    g_mutex_lock(&c->lock);
    max = MIN(max, r->prod - r->cons);
    out = g_malloc(max + 1);
    while (n < max) {
        out[n++] = r->data[r->cons++ & (r->size - 1)];
    }
    g_mutex_unlock(&c->lock);
    return g_bytes_new_take(out, n);
}

bool chardev_ringbuf_write(Chardev *c, const void *buf, size_t len, Error **errp)
{
    if (!ring_of(c, errp)) {
        return false;
    }
    ring_write(c, buf, len);
    return true;
}

const ChardevClass chardev_ringbuf = {
    .name = "ringbuf",
    .size = sizeof(RingChardev),
    .open = ring_open,
    .close = ring_close,
    .write = ring_write,
};
