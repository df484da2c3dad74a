/*
 * Sources of random bytes for the guest: -object rng-builtin, -object rng-random.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_HW_VIRTIO_RNG_H
#define FERRY_HW_VIRTIO_RNG_H

#include "qom/object.h"

#define TYPE_RNG_BACKEND "rng-backend"

typedef struct RngBackend RngBackend;

/*
 * The source with this id for one user, or (NULL) one of its own; `ready` is called in the main
 * thread under the machine lock when bytes are there again after a read that fell short.
 */
RngBackend *rng_backend_get(const char *id, void (*ready)(void *opaque), void *opaque,
                            Error **errp);
void rng_backend_put(RngBackend *b);
/* Up to len bytes without waiting; how many. */
size_t rng_backend_read(RngBackend *b, void *buf, size_t len);

#endif
