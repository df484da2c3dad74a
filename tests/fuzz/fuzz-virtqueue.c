/*
 * Fuzz target: what a guest does to virtio devices.  The input is a list of steps: bytes into
 * the memory of rings and buffers, writes to the registers of a disk and of a random number
 * generator, their configuration spaces, and kicks.  Both devices start with a queue set up.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "fuzz.h"
#include "hw/pci/pci.h"
#include "hw/virtio/virtio-pci.h"
#include "system/address-space.h"
#include "system/machine-lock.h"
#include "system/runstate.h"
#include "util/util.h"

#define RAM_SIZE (1 * MiB)
#define RINGS 0x10000       /* 64 KiB that the input fills: descriptors, */
#define AVAIL 0x1000        /* and from there on */
#define USED 0x2000
#define MAX_STEPS 256

static VirtIOPCI *devices[2];

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    unsigned n = 0;

    fuzz_make_pc(RAM_SIZE);
    machine_lock();
    for (DeviceState *dev = device_first(); dev; dev = dev->next) {
        if (object_is(&dev->obj, TYPE_VIRTIO_PCI)) {
            g_assert(n < ARRAY_SIZE(devices));
            devices[n++] = (VirtIOPCI *)dev;
        }
    }
    g_assert(n == ARRAY_SIZE(devices));
    runstate_set(RUN_STATE_RUNNING);
    machine_unlock();
    return 0;
}

static void set_up(VirtIOPCI *p, unsigned n)
{
    uint64_t rings = RINGS + 0x4000 * n;

    virtio_pci_set_status(p, 0);
    virtio_set_features(p->vdev, p->vdev->host_features);
    p->vdev->vq[0]->num = 16;
    virtqueue_set_rings(p->vdev->vq[0], rings, rings + AVAIL, rings + USED);
    virtio_set_status(p->vdev, 15);
}

static uint32_t take_number(FuzzInput *in, unsigned bytes)
{
    uint32_t v = 0;

    while (bytes--) {
        v = v << 8 | fuzz_take_u8(in);
    }
    return v;
}

static void fill_memory(FuzzInput *in)
{
    uint64_t at = RINGS + take_number(in, 2);
    unsigned len = fuzz_take_u8(in);

    len = MIN(len, in->len);
    memory_write(at, in->data, len);
    in->data += len;
    in->len -= len;
}

static void write_register(FuzzInput *in, VirtIOPCI *p)
{
    unsigned bar = fuzz_take_u8(in) % PCI_NUM_BARS, offset = take_number(in, 2);
    unsigned size = 1u << fuzz_take_u8(in) % 3;
    const PCIBar *b = &p->pci.bars[bar];

    if (b->size) {
        offset &= (b->size - 1) & ~(size - 1);
        io_region_write(b->ops, b->opaque, offset, take_number(in, 4), size);
        io_region_read(b->ops, b->opaque, offset, size);
    }
}

/* As long as the guest leaves decoding and mastering on, more happens: it mostly does. */
static void write_config(FuzzInput *in, VirtIOPCI *p)
{
    unsigned addr = take_number(in, 1) & ~3u;

    pci_config_write(&p->pci, addr, take_number(in, 4), 4);
    pci_config_read(&p->pci, addr, 4);
}

static void step(FuzzInput *in)
{
    unsigned what = fuzz_take_u8(in);
    VirtIOPCI *p = devices[what >> 7];

    switch (what % 8) {
    case 0:
    case 1:
    case 2:
        fill_memory(in);
        break;
    case 3:
    case 4:
        virtio_kick(p->vdev, fuzz_take_u8(in) % 4);
        break;
    case 5:
        write_register(in, p);
        break;
    case 6:
        write_config(in, p);
        break;
    default: { /* through the window of PCI, wherever BARs are now */
        uint64_t at = 0xe0000000u + take_number(in, 3);
        memory_store(at & ~3ULL, take_number(in, 4), 4);
        memory_load(at & ~3ULL, 4);
    }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FuzzInput in = { data, size };

    machine_lock();
    memset(memory_find_ram(0)->rb->host + RINGS, 0, 0x10000);
    system_reset(SHUTDOWN_CAUSE_NONE);
    for (unsigned n = 0; n < ARRAY_SIZE(devices); n++) {
        set_up(devices[n], n);
    }
    for (unsigned n = 0; in.len && n < MAX_STEPS; n++) {
        step(&in);
    }
    for (unsigned n = 0; n < ARRAY_SIZE(devices); n++) {
        for (unsigned i = 0; i < devices[n]->vdev->n_queues; i++) { /* nothing is held back */
            g_assert(devices[n]->vdev->broken || !devices[n]->vdev->vq[i]->used_known ||
                     devices[n]->vdev->vq[i]->inuse == 0);
        }
    }
    machine_unlock();
    return 0;
}
