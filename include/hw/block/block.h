/*
 * Block backends: raw disk images that drives read and write.
 *
 * Machine lock.  Reads and writes are synchronous.  While the machine waits for an incoming
 * migration an image is open read-only; it is opened for writing, and locked against other
 * machines, when the machine starts.  A machine that stops to be moved gives the lock up.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_HW_BLOCK_BLOCK_H
#define FERRY_HW_BLOCK_BLOCK_H

#include <json-glib/json-glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "util/error.h"

#define BLOCK_SECTOR_SIZE 512

typedef struct BlockBackend {
    char *id;             /* of -drive, or node name of -blockdev */
    char *filename;
    char *driver;         /* "file" or "raw" */
    bool readonly;        /* asked for */
    bool direct, no_flush;
    bool no_locking;      /* locking=off */
    bool share_rw;        /* its disk bears other writers */
    bool locked;
    bool unmap;           /* discard=unmap: what the guest discards becomes a hole */
    struct BlockBackend *file; /* -blockdev raw: the node below; it does the I/O */
    int fd;
    bool fd_writable;
    uint64_t size;        /* bytes */
    const char *user;     /* QOM path of the drive that uses it, owned; NULL: free */
    int64_t bootindex;    /* of that drive; -1: none */
    unsigned position;    /* order of drives without a bootindex: bus * 2 + unit */
    uint64_t rd_bytes, wr_bytes, rd_ops, wr_ops, flush_ops; /* for query-blockstats */
    struct BlockBackend *next;
} BlockBackend;

/*
 * -drive, parsed to its members: id, if, file, format, readonly, cache, aio, media,
 * index, bus, unit, snapshot, ...  if=none makes a backend, if=ide also the disk.
 */
bool drive_add(JsonObject *opts, Error **errp);
/* -blockdev / blockdev-add: drivers "file" and "raw" (over a file node). */
bool blockdev_add(JsonObject *opts, Error **errp);
bool blockdev_del(const char *node_name, Error **errp);

BlockBackend *block_backend_first(void); /* creation order */
BlockBackend *block_backend_by_id(const char *id);
/* Give it to a drive (QOM path) / take it back. */
bool block_backend_attach(BlockBackend *b, const char *user, bool write, Error **errp);
/* The same for a disk, after share_rw is set: locks the image unless the machine is incoming. */
bool block_backend_attach_disk(BlockBackend *b, const char *user, Error **errp);
void block_backend_detach(BlockBackend *b);

/* Whole sectors; beyond the end of the image they read as zeros.  False: I/O error (logged once). */
bool block_backend_read(BlockBackend *b, uint64_t sector, void *buf, unsigned n);
bool block_backend_write(BlockBackend *b, uint64_t sector, const void *buf, unsigned n);
bool block_backend_flush(BlockBackend *b);
/*
 * The same for scattered memory of `bytes` bytes, whole sectors; the iovec is used up.  Nothing
 * beyond the end of the image.
 */
bool block_backend_rw(BlockBackend *b, bool write, uint64_t sector, struct iovec *iov, unsigned n,
                      size_t bytes);
/* Sectors that read as zeros from now on; with `discard` only if that costs nothing. */
bool block_backend_zero(BlockBackend *b, uint64_t sector, uint64_t n, bool discard);
/* Open for writing and lock every image that a disk has: the machine is to run. */
bool block_backends_activate(Error **errp);
uint64_t block_backend_sectors(const BlockBackend *b); /* rounded up */
bool block_backend_is_readonly(const BlockBackend *b);

/* The attached disk that the machine boots: lowest bootindex, then position. */
BlockBackend *block_boot_disk(void);

#endif
