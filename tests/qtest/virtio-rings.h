/*
 * Drivers of virtio devices with several queues, through qtest: rings of 16 entries at
 * RING_BASE, a request a slot.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_TESTS_VIRTIO_RINGS_H
#define FERRY_TESTS_VIRTIO_RINGS_H

#include "virtio-driver.h"

#define RING_SIZE 16
#define RING_BASE 0x200000
#define RING_DATA 0x400000 /* buffers: a page a slot a ring */

typedef struct Ring {
    VDev *d;
    unsigned n;     /* number of the queue */
    uint64_t base;
    uint16_t seen;  /* used buffers that were taken */
} Ring;

/* Buffer of a slot: 4 KiB. */
uint64_t ring_buffer(const Ring *r, unsigned slot);
/* Reset, negotiate VERSION_1 and these features, set up `count` queues, DRIVER_OK. */
void rings_start(VDev *d, uint64_t features, Ring *rings, unsigned count);
/* The same rings at the other end of a migration. */
void rings_moved(const Ring *from, VDev *to, Ring *rings, unsigned count);
/* Offer the slot's buffer (len bytes; write: the device writes it) and kick. */
void ring_put(Ring *r, unsigned slot, uint32_t len, bool write);
/* Send these bytes / a command of them with in_len bytes behind for the answer. */
void ring_send(Ring *r, unsigned slot, const void *data, uint32_t len);
void ring_command(Ring *r, unsigned slot, const void *data, uint32_t len, uint32_t in_len);
/* Wait for the next used buffer: its slot; bytes written. */
unsigned ring_take(Ring *r, uint32_t *ret_len);
bool ring_used(const Ring *r); /* is there one? */

#endif
