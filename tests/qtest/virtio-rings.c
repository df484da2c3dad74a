/*
 * Drivers of virtio devices with several queues.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "virtio-rings.h"

enum { DESC = 0, AVAIL = 0x1000, USED = 0x2000, STRIDE = 0x10000, NOTIFY_STRIDE = 4 };

uint64_t ring_buffer(const Ring *r, unsigned slot)
{
    return RING_DATA + (r->n * 2 * RING_SIZE + slot) * 0x1000;
}

void rings_start(VDev *d, uint64_t features, Ring *rings, unsigned count)
{
    vdev_negotiate(d, features);
    for (unsigned i = 0; i < count; i++) {
        uint64_t base = RING_BASE + i * STRIDE;

        rings[i] = (Ring){ d, i, base, 0 };
        qtest_memset(d->s, base, 0, 0x3000);
        qtest_writew(d->s, d->bar + VC_QSELECT, i);
        qtest_writew(d->s, d->bar + VC_QSIZE, RING_SIZE);
        vdev_set_address(d, VC_QDESC, base + DESC);
        vdev_set_address(d, VC_QAVAIL, base + AVAIL);
        vdev_set_address(d, VC_QUSED, base + USED);
        qtest_writew(d->s, d->bar + VC_QENABLE, 1);
    }
    qtest_writeb(d->s, d->bar + VC_STATUS, 15);
}

void rings_moved(const Ring *from, VDev *to, Ring *rings, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        rings[i] = from[i];
        rings[i].d = to;
    }
}

static void set_desc(Ring *r, unsigned i, uint64_t addr, uint32_t len, uint16_t flags, uint16_t next)
{
    uint64_t at = r->base + DESC + 16 * i;

    qtest_writeq(r->d->s, at, addr);
    qtest_writel(r->d->s, at + 8, len);
    qtest_writew(r->d->s, at + 12, flags);
    qtest_writew(r->d->s, at + 14, next);
}

static void offer(Ring *r, unsigned slot)
{
    QTestState *s = r->d->s;
    uint16_t idx = qtest_readw(s, r->base + AVAIL + 2);

    qtest_writew(s, r->base + AVAIL + 4 + 2 * (idx % RING_SIZE), slot);
    qtest_writew(s, r->base + AVAIL + 2, idx + 1);
    qtest_writew(s, r->d->bar + VC_NOTIFY + NOTIFY_STRIDE * r->n, r->n);
}

void ring_put(Ring *r, unsigned slot, uint32_t len, bool write)
{
    set_desc(r, slot, ring_buffer(r, slot), len, write ? VQ_WRITE : 0, 0);
    offer(r, slot);
}

void ring_send(Ring *r, unsigned slot, const void *data, uint32_t len)
{
    qtest_memwrite(r->d->s, ring_buffer(r, slot), data, len);
    ring_put(r, slot, len, /* write= */ false);
}

void ring_command(Ring *r, unsigned slot, const void *data, uint32_t len, uint32_t in_len)
{
    g_assert_cmpuint(slot + 1, <, RING_SIZE); /* the answer has the next descriptor */
    qtest_memwrite(r->d->s, ring_buffer(r, slot), data, len);
    set_desc(r, slot, ring_buffer(r, slot), len, VQ_NEXT, slot + 1);
    set_desc(r, slot + 1, ring_buffer(r, slot + 1), in_len, VQ_WRITE, 0);
    offer(r, slot);
}

bool ring_used(const Ring *r)
{
    return qtest_readw(r->d->s, r->base + USED + 2) != r->seen;
}

unsigned ring_take(Ring *r, uint32_t *ret_len)
{
    uint64_t entry = r->base + USED + 4 + 8 * (r->seen % RING_SIZE);
    int64_t end = g_get_monotonic_time() + QTEST_TIMEOUT * G_USEC_PER_SEC;

    while (!ring_used(r)) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(1000);
    }
    r->seen++;
    if (ret_len) {
        *ret_len = qtest_readl(r->d->s, entry + 4);
    }
    return qtest_readl(r->d->s, entry);
}
