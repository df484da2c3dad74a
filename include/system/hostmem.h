/*
 * Memory backends: guest memory that the user describes with -object.
 *
 * The RAMBlock exists from the moment the object is complete and becomes migratable
 * when a machine takes it.  Machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_SYSTEM_HOSTMEM_H
#define FERRY_SYSTEM_HOSTMEM_H

#include "qom/object.h"
#include "system/ramblock.h"

#define TYPE_MEMORY_BACKEND "memory-backend"
#define TYPE_MEMORY_BACKEND_RAM "memory-backend-ram"
#define TYPE_MEMORY_BACKEND_FILE "memory-backend-file"
#define TYPE_MEMORY_BACKEND_MEMFD "memory-backend-memfd"

typedef struct HostMemoryBackend {
    Object obj;
    RAMBlock *rb;          /* NULL until complete */
    bool mapped;           /* a machine uses it: object-del is refused */
    uint64_t size;
    bool share, prealloc, merge, dump, reserve;
    bool canonical_id;     /* x-use-canonical-path-for-ramblock-id */
    uint32_t prealloc_threads;
    int policy;
    /* memory-backend-file */
    char *mem_path;
    bool discard_data, pmem, readonly;
    uint64_t align, offset;
    /* memory-backend-memfd */
    bool hugetlb, seal;
    uint64_t hugetlb_size;
} HostMemoryBackend;

/* Claim the backend as memory of a machine; false when it is in use. */
bool host_memory_backend_map(HostMemoryBackend *b, Error **errp);

/* For query-memdev: every backend at /objects. */
void host_memory_backend_foreach(void (*fn)(HostMemoryBackend *b, void *opaque), void *opaque);
extern const char *const host_memory_policies[]; /* NULL-terminated, by HostMemoryBackend.policy */

#endif
