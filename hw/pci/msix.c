/*
 * MSI-X: interrupts as memory writes, one message and one mask bit a vector (PCI 3.0,
 * 6.8.2).  Machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "hw/pci/pci-private.h"
#include "trace/hw.h"
#include "util/util.h"

#define MSIX_BAR_SIZE 4096
#define MSIX_PBA_OFFSET 2048
#define MSIX_ENTRY_SIZE 16
#define MSIX_ENTRY_DATA 8
#define MSIX_ENTRY_CTRL 12
#define MSIX_ENTRY_MASKED 1
#define MSIX_CONTROL 2
#define MSIX_CONTROL_ENABLE 0x80
#define MSIX_CONTROL_MASKALL 0x40

struct MSIX {
    unsigned cap, vectors;
    uint8_t table[MSIX_PBA_OFFSET]; /* little endian, as the guest reads it */
    uint8_t pba[MSIX_PBA_OFFSET / MSIX_ENTRY_SIZE / 8];
};

static uint8_t control(const PCIDevice *d)
{
    return d->config[d->msix->cap + MSIX_CONTROL + 1];
}

bool msix_enabled(const PCIDevice *d)
{
    return d->msix && (control(d) & MSIX_CONTROL_ENABLE);
}

unsigned msix_vectors(const PCIDevice *d)
{
    return d->msix ? d->msix->vectors : 0;
}

static bool masked(const PCIDevice *d, unsigned n)
{
    return (control(d) & MSIX_CONTROL_MASKALL) ||
           (d->msix->table[n * MSIX_ENTRY_SIZE + MSIX_ENTRY_CTRL] & MSIX_ENTRY_MASKED);
}

static void send(PCIDevice *d, unsigned n)
{
    const uint8_t *e = d->msix->table + n * MSIX_ENTRY_SIZE;

    if (pci_bus_master(d)) {
        trace_msix_send(n, pci_get64(e), pci_get32(e + MSIX_ENTRY_DATA));
        pci_root_bus()->ops->msi_send(pci_get64(e), pci_get32(e + MSIX_ENTRY_DATA));
    }
}

void msix_notify(PCIDevice *d, unsigned n)
{
    MSIX *m = d->msix;

    if (!msix_enabled(d) || n >= m->vectors) {
        return;
    }
    if (masked(d, n)) {
        m->pba[n / 8] |= 1 << n % 8;
    } else {
        send(d, n);
    }
}

/* A vector may have been unmasked. */
static void send_pending(PCIDevice *d, unsigned n)
{
    MSIX *m = d->msix;

    if ((m->pba[n / 8] & 1 << n % 8) && msix_enabled(d) && !masked(d, n)) {
        m->pba[n / 8] &= ~(1 << n % 8);
        send(d, n);
    }
}

void msix_config_written(PCIDevice *d, unsigned addr, unsigned size)
{
    MSIX *m = d->msix;

    if (!m || addr > m->cap + 3 || addr + size <= m->cap + 2) {
        return;
    }
    for (unsigned n = 0; n < m->vectors; n++) {
        send_pending(d, n);
    }
}

static uint64_t bar_read(void *opaque, uint64_t addr, unsigned size)
{
    MSIX *m = ((PCIDevice *)opaque)->msix;
    uint64_t value = 0;

    if (addr + size <= m->vectors * MSIX_ENTRY_SIZE) {
        memcpy(&value, m->table + addr, size);
    } else if (addr >= MSIX_PBA_OFFSET && addr + size <= MSIX_PBA_OFFSET + sizeof(m->pba)) {
        memcpy(&value, m->pba + (addr - MSIX_PBA_OFFSET), size);
    }
    return GUINT64_FROM_LE(value);
}

static void bar_write(void *opaque, uint64_t addr, uint64_t value, unsigned size)
{
    PCIDevice *d = opaque;
    MSIX *m = d->msix;

    if (addr + size <= m->vectors * MSIX_ENTRY_SIZE) {
        value = GUINT64_TO_LE(value);
        memcpy(m->table + addr, &value, size);
        send_pending(d, addr / MSIX_ENTRY_SIZE);
    }
}

static const IORegionOps bar_ops = { bar_read, bar_write, 4, 4 };

bool msix_init(PCIDevice *d, unsigned bar, unsigned vectors, Error **errp)
{
    if (!vectors || vectors > MSIX_PBA_OFFSET / MSIX_ENTRY_SIZE) {
        error_setg(errp, "%s: vectors=%u is not 1 to %u", d->dev.obj.type->name, vectors,
                   MSIX_PBA_OFFSET / MSIX_ENTRY_SIZE);
        return false;
    }
    MSIX *m = g_new0(MSIX, 1);
    m->vectors = vectors;
    m->cap = pci_add_capability(d, PCI_CAP_ID_MSIX, 12);
    pci_set16(d->config + m->cap + MSIX_CONTROL, vectors - 1);
    pci_set32(d->config + m->cap + 4, bar);
    pci_set32(d->config + m->cap + 8, MSIX_PBA_OFFSET | bar);
    d->wmask[m->cap + MSIX_CONTROL + 1] = MSIX_CONTROL_ENABLE | MSIX_CONTROL_MASKALL;
    d->msix = m;
    pci_add_bar(d, bar, 0, MSIX_BAR_SIZE, &bar_ops, d);
    return true;
}

void msix_free(PCIDevice *d)
{
    g_clear_pointer(&d->msix, g_free);
}

void msix_reset(PCIDevice *d)
{
    MSIX *m = d->msix;

    if (!m) {
        return;
    }
    d->config[m->cap + MSIX_CONTROL + 1] &= ~(MSIX_CONTROL_ENABLE | MSIX_CONTROL_MASKALL);
    memset(m->table, 0, sizeof(m->table));
    memset(m->pba, 0, sizeof(m->pba));
    for (unsigned n = 0; n < m->vectors; n++) {
        m->table[n * MSIX_ENTRY_SIZE + MSIX_ENTRY_CTRL] = MSIX_ENTRY_MASKED;
    }
}

void msix_save(const PCIDevice *d, Stream *s)
{
    const MSIX *m = d->msix;

    if (m) {
        stream_put_bytes(s, m->table, m->vectors * MSIX_ENTRY_SIZE);
        stream_put_bytes(s, m->pba, (m->vectors + 7) / 8);
    }
}

bool msix_load(PCIDevice *d, Stream *s, Error **errp)
{
    MSIX *m = d->msix;

    if (m && (!stream_get_bytes(s, m->table, m->vectors * MSIX_ENTRY_SIZE) ||
              !stream_get_bytes(s, m->pba, (m->vectors + 7) / 8))) {
        stream_error(s, errp);
        return false;
    }
    return true;
}
