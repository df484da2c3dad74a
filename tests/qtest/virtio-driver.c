/*
 * A driver for virtio PCI devices that works through qtest: one queue, one request at a time.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "virtio-driver.h"

#include <string.h>

#define HEADER (VQ_DATA)
#define STATUS (VQ_DATA + 0x20)
#define DATA (VQ_DATA + 0x1000)

static void select_config(QTestState *s, unsigned bus, unsigned devfn, unsigned reg)
{
    qtest_outl(s, 0xcf8, 0x80000000u | bus << 16 | devfn << 8 | reg);
}

uint32_t pci_read(QTestState *s, unsigned bus, unsigned devfn, unsigned reg)
{
    select_config(s, bus, devfn, reg);
    return qtest_inl(s, 0xcfc);
}

void pci_write(QTestState *s, unsigned bus, unsigned devfn, unsigned reg, uint32_t value)
{
    select_config(s, bus, devfn, reg);
    qtest_outl(s, 0xcfc, value);
}

VDev vdev_at(QTestState *s, unsigned bus, unsigned devfn)
{
    VDev d = { .s = s, .bus = bus, .devfn = devfn };

    g_assert_cmphex(pci_read(s, bus, devfn, 0) & 0xffff, ==, 0x1af4);
    d.bar = (pci_read(s, bus, devfn, 0x20) & ~0xfu) |
            (uint64_t)pci_read(s, bus, devfn, 0x24) << 32;
    g_assert_cmphex(d.bar, !=, 0);
    return d;
}

void vdev_set_address(VDev *d, unsigned reg, uint64_t addr)
{
    qtest_writel(d->s, d->bar + reg, addr);
    qtest_writel(d->s, d->bar + reg + 4, addr >> 32);
}

void vdev_negotiate(VDev *d, uint64_t features)
{
    features |= 1ULL << 32;
    qtest_writeb(d->s, d->bar + VC_STATUS, 0);
    g_assert_cmphex(qtest_readb(d->s, d->bar + VC_STATUS), ==, 0);
    qtest_writeb(d->s, d->bar + VC_STATUS, 3);
    for (unsigned i = 0; i < 2; i++) {
        qtest_writel(d->s, d->bar + VC_DFSELECT, i);
        uint32_t offered = qtest_readl(d->s, d->bar + VC_DF);
        g_assert_cmphex(features >> 32 * i & ~offered & 0xffffffff, ==, 0);
        qtest_writel(d->s, d->bar + VC_GFSELECT, i);
        qtest_writel(d->s, d->bar + VC_GF, features >> 32 * i);
    }
    qtest_writeb(d->s, d->bar + VC_STATUS, 11);
    g_assert_cmphex(qtest_readb(d->s, d->bar + VC_STATUS), ==, 11);
}

void vdev_start(VDev *d, uint64_t features)
{
    d->seen = 0;
    qtest_memset(d->s, VQ_DESC, 0, 0x4000);
    vdev_negotiate(d, features);
    qtest_writew(d->s, d->bar + VC_QSELECT, 0);
    qtest_writew(d->s, d->bar + VC_QSIZE, VQ_SIZE);
    vdev_set_address(d, VC_QDESC, VQ_DESC);
    vdev_set_address(d, VC_QAVAIL, VQ_AVAIL);
    vdev_set_address(d, VC_QUSED, VQ_USED);
    qtest_writew(d->s, d->bar + VC_QENABLE, 1);
    qtest_writeb(d->s, d->bar + VC_STATUS, 15);
}

void vq_desc(VDev *d, unsigned i, uint64_t addr, uint32_t len, uint16_t flags, uint16_t next)
{
    qtest_writeq(d->s, VQ_DESC + 16 * i, addr);
    qtest_writel(d->s, VQ_DESC + 16 * i + 8, len);
    qtest_writew(d->s, VQ_DESC + 16 * i + 12, flags);
    qtest_writew(d->s, VQ_DESC + 16 * i + 14, next);
}

void vq_offer(VDev *d, uint16_t head)
{
    uint16_t idx = qtest_readw(d->s, VQ_AVAIL + 2);

    qtest_writew(d->s, VQ_AVAIL + 4 + 2 * (idx % VQ_SIZE), head);
    qtest_writew(d->s, VQ_AVAIL + 2, idx + 1);
}

void vq_kick(VDev *d)
{
    qtest_writew(d->s, d->bar + VC_NOTIFY, 0);
}

uint16_t vq_take(VDev *d, uint32_t *ret_len)
{
    uint64_t entry = VQ_USED + 4 + 8 * (d->seen % VQ_SIZE);

    d->seen++;
    g_assert_cmpint(qtest_readw(d->s, VQ_USED + 2), ==, d->seen);
    if (ret_len) {
        *ret_len = qtest_readl(d->s, entry + 4);
    }
    return qtest_readl(d->s, entry);
}

uint8_t vblk_request(VDev *d, uint32_t type, uint64_t sector, void *data, uint32_t len, bool write)
{
    qtest_writel(d->s, HEADER, type);
    qtest_writel(d->s, HEADER + 4, 0);
    qtest_writeq(d->s, HEADER + 8, sector);
    qtest_writeb(d->s, STATUS, 0xff);
    vq_desc(d, 0, HEADER, 16, VQ_NEXT, len ? 1 : 2);
    vq_desc(d, 1, DATA, len, VQ_NEXT | (write ? 0 : VQ_WRITE), 2);
    vq_desc(d, 2, STATUS, 1, VQ_WRITE, 0);
    if (write && len) {
        qtest_memwrite(d->s, DATA, data, len);
    }
    vq_offer(d, 0);
    vq_kick(d);
    g_assert_cmpint(vq_take(d, NULL), ==, 0);
    if (!write && len) {
        qtest_memread(d->s, DATA, data, len);
    }
    return qtest_readb(d->s, STATUS);
}
