/*
 * Split virtqueues (virtio 1.1, 2.6): everything that touches the rings.  Machine lock.
 *
 * The rings, the descriptors and what they point at belong to a guest that may be hostile
 * and that goes on writing to them: each value is read once, checked, and then used.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <inttypes.h>
#include <string.h>

#include "hw/virtio/virtio-private.h"
#include "system/address-space.h"
#include "system/dirty.h"
#include "system/runstate.h"
#include "trace/hw.h"
#include "util/util.h"

#define DESC_SIZE 16
#define DESC_F_NEXT 1
#define DESC_F_WRITE 2
#define DESC_F_INDIRECT 4
#define AVAIL_F_NO_INTERRUPT 1
#define USED_F_NO_NOTIFY 1

typedef struct Desc {
    uint64_t addr;
    uint32_t len;
    uint16_t flags, next;
} Desc;

/* What an element keeps beside what its owner sees. */
typedef struct Element {
    VirtQueueElement elem;
    struct iovec sg[]; /* out, then in */
} Element;

VirtQueue *virtio_add_queue(VirtIODevice *vdev, uint16_t size, VirtQueueHandler *handler)
{
    VirtQueue *vq = g_new0(VirtQueue, 1);

    g_assert(vdev->n_queues < VIRTIO_MAX_QUEUES && size && size <= VIRTQUEUE_MAX_SIZE);
    vq->vdev = vdev;
    vq->handler = handler;
    vq->index = vdev->n_queues;
    vq->num_default = size;
    vdev->vq[vdev->n_queues++] = vq;
    virtqueue_reset(vq);
    return vq;
}

unsigned virtqueue_index(const VirtQueue *vq)
{
    return vq->index;
}

void virtqueue_reset(VirtQueue *vq)
{
    vq->num = vq->num_default;
    vq->desc = vq->avail = vq->used = 0;
    vq->last_avail_idx = vq->used_idx = vq->signalled_used = 0;
    vq->used_known = true;
    vq->signalled_valid = false;
    vq->notification = true;
    vq->vector = VIRTIO_NO_VECTOR;
    vq->inuse = 0;
}

void virtqueue_set_rings(VirtQueue *vq, uint64_t desc, uint64_t avail, uint64_t used)
{
    vq->desc = desc;
    vq->avail = avail;
    vq->used = used;
}

void virtqueue_set_legacy(VirtQueue *vq, uint64_t desc)
{
    uint64_t avail = desc + (uint64_t)DESC_SIZE * vq->num;

    virtqueue_set_rings(vq, desc, desc ? avail : 0,
                        desc ? ROUND_UP(avail + 2 * (3 + (uint64_t)vq->num), VIRTIO_LEGACY_ALIGN)
                             : 0);
}

bool virtqueue_ready(const VirtQueue *vq)
{
    const VirtIODevice *vdev = vq->vdev;

    return vq->desc && vq->num && !vdev->broken && !vq->fetching &&
           (vdev->status & VIRTIO_STATUS_DRIVER_OK) && runstate_is_live() &&
           (!vdev->ops || vdev->ops->may_access_memory(vdev->transport));
}

/* Guest memory. */

/* Host address of gpa if `len` bytes there are one piece of memory, else NULL. */
static uint8_t *ram_at(uint64_t gpa, uint64_t len, bool write)
{
    const RamRegion *r = memory_find_ram(gpa);

    if (!r || len > r->size - (gpa - r->gpa) || (write && r->readonly)) {
        return NULL;
    }
    return r->rb->host + r->rb_offset + (gpa - r->gpa);
}

static void mark_dirty(const void *host, uint64_t len)
{
    uint64_t offset;
    RAMBlock *rb = len ? ramblock_from_host(host, &offset) : NULL;

    if (rb) {
        ram_mark_dirty(rb, offset, len);
    }
}

/*
 * Postcopy: who touches a page that has not come sleeps until it has, and here with the machine
 * lock.  So a thread without the lock touches it first, and then the queue is handled again.
 */

typedef struct Fetch {
    VirtQueue *vq;
    const uint8_t *at;
    uint64_t len;
} Fetch;

static void fetched(void *opaque)
{
    g_autofree Fetch *f = opaque;

    f->vq->fetching = false;
    virtio_kick(f->vq->vdev, f->vq->index);
}

static gpointer fetch_thread(gpointer opaque)
{
    const Fetch *f = opaque;

    for (uint64_t i = 0; i < f->len; i += TARGET_PAGE_SIZE) {
        __atomic_load_n(f->at + i, __ATOMIC_RELAXED);
    }
    __atomic_load_n(f->at + f->len - 1, __ATOMIC_RELAXED);
    main_loop_call(fetched, opaque);
    return NULL;
}

/* Main thread: a vCPU thread may not start others under -sandbox. */
static void start_fetch(void *opaque)
{
    Fetch *f = opaque;
    g_autoptr(Error) err = NULL;
    GThread *t = thread_try_start("virtio-fetch", fetch_thread, f, &err);

    if (t) {
        g_thread_unref(t);
        return;
    }
    f->vq->fetching = false;
    virtio_error(f->vq->vdev, "queue %u: %s", f->vq->index, error_get_pretty(err));
    g_free(f);
}

/* False: not yet, the handler will be called when it is. */
static bool here(VirtQueue *vq, const void *host, uint64_t len)
{
    if (ram_is_here(host, len)) {
        return true;
    }
    if (!vq->fetching) {
        Fetch *f = g_new(Fetch, 1);

        *f = (Fetch){ vq, host, len };
        vq->fetching = true;
        trace_virtio_fetch(vq->vdev->dev.obj.type->name, vq->index, len);
        main_loop_call(start_fetch, f);
    }
    return false;
}

/* A field of a ring; false breaks the device, or the page has not come. */
static bool ring_load16(VirtQueue *vq, uint64_t gpa, uint16_t *ret)
{
    const uint8_t *p = ram_at(gpa, 2, /* write= */ false);

    if (!p || !IS_ALIGNED(gpa, 2)) {
        virtio_error(vq->vdev, "queue %u: no memory for a ring at 0x%" PRIx64, vq->index, gpa);
        return false;
    }
    if (!here(vq, p, 2)) {
        return false;
    }
    *ret = GUINT16_FROM_LE(__atomic_load_n((const uint16_t *)p, __ATOMIC_ACQUIRE));
    return true;
}

static bool ring_store16(VirtQueue *vq, uint64_t gpa, uint16_t value)
{
    uint8_t *p = ram_at(gpa, 2, /* write= */ true);

    if (!p || !IS_ALIGNED(gpa, 2)) {
        virtio_error(vq->vdev, "queue %u: no memory for a ring at 0x%" PRIx64, vq->index, gpa);
        return false;
    }
    __atomic_store_n((uint16_t *)p, GUINT16_TO_LE(value), __ATOMIC_RELEASE);
    mark_dirty(p, 2);
    return true;
}

static uint64_t avail_ring_at(const VirtQueue *vq, unsigned i)
{
    return vq->avail + 4 + 2 * (uint64_t)i;
}

static uint64_t used_ring_at(const VirtQueue *vq, unsigned i)
{
    return vq->used + 4 + 8 * (uint64_t)i;
}

/* Behind each ring: what the other side wants to hear of (VIRTIO_RING_F_EVENT_IDX). */
static uint64_t used_event_at(const VirtQueue *vq)
{
    return avail_ring_at(vq, vq->num);
}

static uint64_t avail_event_at(const VirtQueue *vq)
{
    return used_ring_at(vq, vq->num);
}

/* After a load the used index, and with it how much is in use, is only in the ring. */
static bool know_used(VirtQueue *vq)
{
    if (vq->used_known) {
        return true;
    }
    if (!ring_load16(vq, vq->used + 2, &vq->used_idx)) {
        return false;
    }
    vq->inuse = (uint16_t)(vq->last_avail_idx - vq->used_idx);
    if (vq->inuse > vq->num) {
        virtio_error(vq->vdev, "queue %u: %u entries in use of %u", vq->index, vq->inuse, vq->num);
        return false;
    }
    vq->used_known = true;
    return true;
}

/* Chains. */

typedef struct Chain {
    VirtQueue *vq;
    uint64_t table;      /* of descriptors */
    unsigned entries;    /* in it */
    unsigned left;       /* descriptors that may still follow */
    uint64_t bytes;
    unsigned out_num, in_num;
    struct iovec sg[VIRTQUEUE_MAX_SIZE];
} Chain;

static bool read_desc(Chain *c, unsigned i, Desc *ret)
{
    const uint8_t *p;

    if (i >= c->entries) {
        virtio_error(c->vq->vdev, "queue %u: descriptor %u of %u", c->vq->index, i, c->entries);
        return false;
    }
    p = ram_at(c->table + (uint64_t)DESC_SIZE * i, DESC_SIZE, /* write= */ false);
    if (!p) {
        virtio_error(c->vq->vdev, "queue %u: no memory for descriptors at 0x%" PRIx64,
                     c->vq->index, c->table);
        return false;
    }
    if (!here(c->vq, p, DESC_SIZE)) {
        return false;
    }
    memcpy(ret, p, sizeof(*ret));
    ret->addr = GUINT64_FROM_LE(ret->addr);
    ret->len = GUINT32_FROM_LE(ret->len);
    ret->flags = GUINT16_FROM_LE(ret->flags);
    ret->next = GUINT16_FROM_LE(ret->next);
    return true;
}

/* The buffer of a descriptor, in pieces where regions of memory meet. */
static bool add_buffer(Chain *c, const Desc *d)
{
    bool write = d->flags & DESC_F_WRITE;
    uint64_t gpa = d->addr, len = d->len;

    if (!write && c->in_num) {
        virtio_error(c->vq->vdev, "queue %u: a buffer to read follows one to write", c->vq->index);
        return false;
    }
    c->bytes += len;
    if (!len || c->bytes > UINT32_MAX) {
        virtio_error(c->vq->vdev, "queue %u: a buffer of %" PRIu64 " bytes in a chain of %" PRIu64,
                     c->vq->index, len, c->bytes);
        return false;
    }
    while (len) {
        const RamRegion *r = memory_find_ram(gpa);
        uint64_t part = r ? MIN(len, r->size - (gpa - r->gpa)) : 0;
        uint8_t *host = part ? ram_at(gpa, part, write) : NULL;

        if (!host || c->out_num + c->in_num == VIRTQUEUE_MAX_SIZE) {
            virtio_error(c->vq->vdev, "queue %u: buffer 0x%" PRIx64 "+0x%x is not memory",
                         c->vq->index, d->addr, d->len);
            return false;
        }
        if (!here(c->vq, host, part)) {
            return false;
        }
        c->sg[c->out_num + c->in_num] = (struct iovec){ host, part };
        *(write ? &c->in_num : &c->out_num) += 1;
        gpa += part;
        len -= part;
    }
    return true;
}

/* *d says where a table is; then it is the table's first entry. */
static bool enter_indirect(Chain *c, Desc *d)
{
    if (!virtio_has_feature(c->vq->vdev, VIRTIO_RING_F_INDIRECT_DESC) || (d->flags & DESC_F_NEXT) ||
        !d->len || d->len % DESC_SIZE || d->len / DESC_SIZE > VIRTQUEUE_MAX_SIZE) {
        virtio_error(c->vq->vdev, "queue %u: an indirect table of %u bytes, flags 0x%x",
                     c->vq->index, d->len, d->flags);
        return false;
    }
    c->table = d->addr;
    c->entries = c->left = d->len / DESC_SIZE;
    return read_desc(c, 0, d);
}

/* Follow the chain from `head`; false breaks the device. */
static bool walk(Chain *c, VirtQueue *vq, unsigned head)
{
    Desc d;

    c->vq = vq;
    c->table = vq->desc;
    c->entries = c->left = vq->num;
    c->bytes = c->out_num = c->in_num = 0;
    if (!read_desc(c, head, &d) ||
        ((d.flags & DESC_F_INDIRECT) && !enter_indirect(c, &d))) {
        return false;
    }
    for (;;) {
        if (!c->left--) {
            virtio_error(vq->vdev, "queue %u: the descriptors form a loop", vq->index);
            return false;
        }
        if (d.flags & DESC_F_INDIRECT) {
            virtio_error(vq->vdev, "queue %u: an indirect table inside a chain", vq->index);
            return false;
        }
        if (!add_buffer(c, &d)) {
            return false;
        }
        if (!(d.flags & DESC_F_NEXT)) {
            return true;
        }
        if (!read_desc(c, d.next, &d)) {
            return false;
        }
    }
}

/* How many chains are on offer; false breaks the device. */
static bool avail_count(VirtQueue *vq, unsigned *ret)
{
    uint16_t idx;

    if (!ring_load16(vq, vq->avail + 2, &idx)) {
        return false;
    }
    *ret = (uint16_t)(idx - vq->last_avail_idx);
    if (*ret > vq->num) {
        virtio_error(vq->vdev, "queue %u: the available index jumped from %u to %u", vq->index,
                     vq->last_avail_idx, idx);
        return false;
    }
    return true;
}

/* Head of the n-th chain on offer. */
static bool avail_head(VirtQueue *vq, unsigned n, uint16_t *ret)
{
    return ring_load16(vq, avail_ring_at(vq, (uint16_t)(vq->last_avail_idx + n) % vq->num), ret);
}

bool virtqueue_empty(VirtQueue *vq)
{
    unsigned n;

    return !virtqueue_ready(vq) || !avail_count(vq, &n) || n == 0;
}

static VirtQueueElement *element_new(const Chain *c, unsigned head)
{
    unsigned n = c->out_num + c->in_num;
    Element *e = g_malloc(sizeof(Element) + n * sizeof(struct iovec));

    memcpy(e->sg, c->sg, n * sizeof(struct iovec));
    e->elem = (VirtQueueElement){
        .index = head,
        .out_num = c->out_num,
        .in_num = c->in_num,
        .out_sg = e->sg,
        .in_sg = e->sg + c->out_num,
        .out_size = iov_size(e->sg, c->out_num),
        .in_size = iov_size(e->sg + c->out_num, c->in_num),
    };
    return &e->elem;
}

/* The used ring is written later, when nothing may be put off any more. */
static bool used_ring_here(VirtQueue *vq)
{
    uint64_t len = used_ring_at(vq, vq->num) + 2 - vq->used;
    const uint8_t *p = ram_at(vq->used, len, /* write= */ true);

    return !p || here(vq, p, len); /* no memory: found out when it is used */
}

VirtQueueElement *virtqueue_pop(VirtQueue *vq)
{
    Chain c;
    uint16_t head;
    unsigned n;

    if (!virtqueue_ready(vq) || !used_ring_here(vq) || !know_used(vq) || !avail_count(vq, &n) || n == 0) {
        return NULL;
    }
    if (vq->inuse >= vq->num) {
        virtio_error(vq->vdev, "queue %u: more chains than entries", vq->index);
        return NULL;
    }
    if (!avail_head(vq, 0, &head) || !walk(&c, vq, head)) {
        return NULL;
    }
    vq->last_avail_idx++;
    vq->inuse++;
    if (vq->notification && virtio_has_feature(vq->vdev, VIRTIO_RING_F_EVENT_IDX)) {
        ring_store16(vq, avail_event_at(vq), vq->last_avail_idx);
        __atomic_thread_fence(__ATOMIC_SEQ_CST); /* before the next pop looks whether there is more */
    }
    return element_new(&c, head);
}

bool virtqueue_avail_bytes(VirtQueue *vq, size_t in_bytes, size_t out_bytes)
{
    size_t in = 0, out = 0;
    unsigned n;
    Chain c;

    if (!virtqueue_ready(vq) || !avail_count(vq, &n)) {
        return false;
    }
    for (unsigned i = 0; i < n && (in < in_bytes || out < out_bytes); i++) {
        uint16_t head;

        if (!avail_head(vq, i, &head) || !walk(&c, vq, head)) {
            return false;
        }
        out += iov_size(c.sg, c.out_num);
        in += iov_size(c.sg + c.out_num, c.in_num);
    }
    return in >= in_bytes && out >= out_bytes;
}

void virtqueue_element_free(VirtQueueElement *elem)
{
    g_free(elem ? container_of(elem, Element, elem) : NULL);
}

void virtqueue_unpop(VirtQueue *vq, VirtQueueElement *elem)
{
    vq->last_avail_idx--;
    vq->inuse--;
    virtqueue_element_free(elem);
}

bool virtqueue_rewind(VirtQueue *vq, unsigned n)
{
    if (!virtqueue_ready(vq) || !know_used(vq) || n > vq->inuse) {
        return false;
    }
    vq->last_avail_idx -= n;
    vq->inuse -= n;
    return true;
}

void virtqueue_fill(VirtQueue *vq, VirtQueueElement *elem, uint32_t len, unsigned idx)
{
    uint32_t left = len;

    for (unsigned i = 0; i < elem->in_num && left; i++) {
        uint32_t part = MIN(left, elem->in_sg[i].iov_len);

        mark_dirty(elem->in_sg[i].iov_base, part);
        left -= part;
    }
    if (!vq->vdev->broken && know_used(vq)) {
        uint64_t gpa = used_ring_at(vq, (uint16_t)(vq->used_idx + idx) % vq->num);
        uint8_t *p = ram_at(gpa, 8, /* write= */ true);
        uint32_t entry[2] = { GUINT32_TO_LE(elem->index), GUINT32_TO_LE(len) };

        if (p) {
            memcpy(p, entry, sizeof(entry));
            mark_dirty(p, sizeof(entry));
        } else {
            virtio_error(vq->vdev, "queue %u: no memory for the used ring at 0x%" PRIx64,
                         vq->index, gpa);
        }
    }
    virtqueue_element_free(elem);
}

void virtqueue_flush(VirtQueue *vq, unsigned count)
{
    uint16_t old = vq->used_idx;

    if (vq->vdev->broken) {
        return;
    }
    vq->used_idx += count;
    vq->inuse -= count;
    ring_store16(vq, vq->used + 2, vq->used_idx);
    if ((uint16_t)(vq->used_idx - vq->signalled_used) < (uint16_t)(vq->used_idx - old)) {
        vq->signalled_valid = false; /* the index came round */
    }
}

void virtqueue_push(VirtQueue *vq, VirtQueueElement *elem, uint32_t len)
{
    virtqueue_fill(vq, elem, len, 0);
    virtqueue_flush(vq, 1);
}

/* Did `event` come up on the way from `old` to `now`? */
static bool event_passed(uint16_t event, uint16_t now, uint16_t old)
{
    return (uint16_t)(now - event - 1) < (uint16_t)(now - old);
}

bool virtqueue_should_notify(VirtQueue *vq)
{
    VirtIODevice *vdev = vq->vdev;
    uint16_t value, old = vq->signalled_used;
    bool known = vq->signalled_valid;

    if (vdev->broken || !vq->desc) {
        return false;
    }
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* the used index is out before the driver's wish is read */
    if (virtio_has_feature(vdev, VIRTIO_F_NOTIFY_ON_EMPTY) && !vq->inuse && virtqueue_empty(vq)) {
        return !vdev->broken;
    }
    if (!virtio_has_feature(vdev, VIRTIO_RING_F_EVENT_IDX)) {
        return ring_load16(vq, vq->avail, &value) && !(value & AVAIL_F_NO_INTERRUPT);
    }
    if (!know_used(vq) || !ring_load16(vq, used_event_at(vq), &value)) {
        return false;
    }
    vq->signalled_valid = true;
    vq->signalled_used = vq->used_idx;
    return !known || event_passed(value, vq->used_idx, old);
}

void virtqueue_set_notification(VirtQueue *vq, bool enable)
{
    vq->notification = enable;
    if (!virtqueue_ready(vq)) {
        return;
    }
    if (virtio_has_feature(vq->vdev, VIRTIO_RING_F_EVENT_IDX)) {
        uint16_t idx;

        if (enable && ring_load16(vq, vq->avail + 2, &idx)) {
            ring_store16(vq, avail_event_at(vq), idx);
        }
    } else {
        uint16_t flags;

        if (ring_load16(vq, vq->used, &flags)) {
            ring_store16(vq, vq->used,
                         enable ? flags & ~USED_F_NO_NOTIFY : flags | USED_F_NO_NOTIFY);
        }
    }
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* before the caller looks at the ring again */
}

bool virtqueue_check(const VirtQueue *vq, Error **errp)
{
    if (vq->num > VIRTQUEUE_MAX_SIZE || (vq->num & (vq->num - 1))) {
        error_setg(errp, "queue %u has %u entries", vq->index, vq->num);
        return false;
    }
    if (!vq->desc && vq->last_avail_idx) {
        error_setg(errp, "queue %u has no rings and stands at %u", vq->index, vq->last_avail_idx);
        return false;
    }
    return true;
}
