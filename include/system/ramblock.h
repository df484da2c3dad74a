/*
 * RAMBlocks: the pieces of guest memory that migration knows by name.
 *
 * The list is sorted by descending size (later equal ones after earlier ones),
 * which is the order that they have on the wire.  It is changed under the
 * machine lock while no migration runs; afterwards any thread may walk it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_SYSTEM_RAMBLOCK_H
#define FERRY_SYSTEM_RAMBLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/error.h"

#define TARGET_PAGE_BITS 12
#define TARGET_PAGE_SIZE (1UL << TARGET_PAGE_BITS)
#define TARGET_PAGE_MASK (~(TARGET_PAGE_SIZE - 1))

typedef uint64_t RamAddr; /* position in the concatenation of all RAMBlocks */

typedef struct RAMBlock RAMBlock;
struct RAMBlock {
    /* Fixed once the block is in the list. */
    char idstr[256];      /* name on the wire */
    uint8_t *host;        /* mapping in this process */
    uint64_t used_length; /* bytes, multiple of page_size */
    uint64_t max_length;
    size_t page_size;     /* host page of the mapping: 4 KiB or the hugetlb size */
    RamAddr offset;       /* of this block, multiple of BITS_PER_LONG pages */
    int fd;               /* backing file or memfd, -1 for anonymous memory */
    uint64_t fd_offset;
    bool shared;          /* MAP_SHARED */
    bool named_file;      /* backed by a file with a name (x-ignore-shared) */
    bool migratable;
    bool readonly;        /* the guest cannot write it (ROM) */

    /*
     * Pages written since they were last taken by dirty_log_sync_take(): one bit
     * a target page.  Always allocated; bits are set with atomics by any thread
     * (system/dirty.h) and taken by the migration thread.
     */
    unsigned long *dirty;

    RAMBlock *next;       /* list order; read with ramblock_first/RAMBLOCK_FOREACH */
};

/* How the memory of a block is made. */
typedef struct RAMBlockOptions {
    const char *path;     /* file, or directory for an unlinked file; NULL: anonymous/memfd */
    int fd;               /* given file descriptor, -1 for none (ownership passes) */
    uint64_t fd_offset;
    bool memfd;           /* memfd_create() */
    bool hugetlb;         /* memfd with hugetlb pages ... */
    uint64_t hugetlb_size;/* ... of this size, 0 for the host's default */
    bool shared;
    bool readonly;
    bool prealloc;
    bool merge;           /* MADV_MERGEABLE */
    bool dump;            /* false: MADV_DONTDUMP */
} RAMBlockOptions;

/*
 * Make a block of `size` bytes and put it into the list.  Machine lock held.
 * NULL with errp set when memory, file or huge pages cannot be had, or when the
 * name exists already.
 */
RAMBlock *ramblock_new(const char *idstr, uint64_t size, const RAMBlockOptions *opts,
                       Error **errp);
/* Take out of the list and unmap.  Machine lock held, no migration running. */
void ramblock_free(RAMBlock *rb);
/* Rename before any guest-physical mapping exists (memory backends). */
void ramblock_set_idstr(RAMBlock *rb, const char *idstr);

RAMBlock *ramblock_first(void);
#define RAMBLOCK_FOREACH(rb) for (RAMBlock *rb = ramblock_first(); rb; rb = rb->next)
#define RAMBLOCK_FOREACH_MIGRATABLE(rb) \
    RAMBLOCK_FOREACH(rb)                \
        if (!rb->migratable) {          \
        } else
RAMBlock *ramblock_by_name(const char *idstr);
/* Block that holds the host address, or NULL; *ret_offset is set on success. */
RAMBlock *ramblock_from_host(const void *host, uint64_t *ret_offset);
static inline bool ramblock_contains(const RAMBlock *rb, uint64_t offset, uint64_t len)
{
    return offset < rb->used_length && len <= rb->used_length - offset;
}
static inline uint64_t ramblock_pages(const RAMBlock *rb)
{
    return rb->used_length >> TARGET_PAGE_BITS;
}
/* Sum of used_length over all migratable blocks. */
uint64_t ramblock_total_migratable(void);

/*
 * A touch of guest memory may sleep for long: pages of it are still at the source of a postcopy.
 * Written by migration, read by any thread (atomic).
 */
extern bool ram_incomplete;
/*
 * Can [host, host+len) be touched without such a sleep?  Always true while memory is complete;
 * else asks the kernel, which may say no where a touch would not sleep.  Any thread.
 */
bool ram_is_here(const void *host, uint64_t len);

/*
 * Drop the contents of [offset, offset+len), both multiples of page_size: the
 * next access reads zeros (or faults, with userfaultfd).  Any thread.
 */
bool ramblock_discard(RAMBlock *rb, uint64_t offset, uint64_t len, Error **errp);
/*
 * While somebody has to see every page that is not there, or that changes (postcopy's
 * destination, a background snapshot), pages that the guest does not need stay: whoever gives
 * them back on the guest's behalf asks first.  Counted; any thread.  With the machine lock held
 * nobody is in the middle of it.
 */
void ramblock_discard_inhibit(bool on);
bool ramblock_discard_inhibited(void);

#endif
