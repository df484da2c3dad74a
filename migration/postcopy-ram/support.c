/*
 * What the host can do for postcopy, with the reason in words when it cannot.  Any
 * thread; keeps nothing.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "migration/postcopy-ram/support.h"

#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "accel/accel.h"
#include "migration/postcopy-ram/postcopy.h"
#include "util/util.h"

unsigned postcopy_uffd_ways(void)
{
    return accel && accel->kernel_touches_ram ? UFFD_WAYS_FULL : UFFD_WAYS_ANY;
}

/* File systems whose pages userfaultfd can hold back; tmpfs is what memfd is made of too. */
static bool fs_supported(const RAMBlock *rb, Error **errp)
{
    struct statfs fs;

    if (rb->fd < 0) {
        return true;
    }
    if (fstatfs(rb->fd, &fs) < 0) {
        error_setg_errno(errp, errno, "RAM block '%s': cannot tell the kind of its file",
                         rb->idstr);
        return false;
    }
    if (fs.f_type != TMPFS_MAGIC && fs.f_type != HUGETLBFS_MAGIC) {
        error_setg(errp,
                   "RAM block '%s' is a file on a file system (type 0x%lx) that userfaultfd does "
                   "not work with; anonymous memory, memfd, tmpfs and hugetlbfs do",
                   rb->idstr, (unsigned long)fs.f_type);
        return false;
    }
    return true;
}

/* userfaultfd features that the block's kind of memory needs. */
static uint64_t block_features(const RAMBlock *rb)
{
    if (rb->page_size > (size_t)getpagesize()) {
        return UFFD_FEATURE_MISSING_HUGETLBFS;
    }
    return rb->fd >= 0 || rb->shared ? UFFD_FEATURE_MISSING_SHMEM : 0;
}

uint64_t postcopy_uffd_features(bool blocktime)
{
    uint64_t features = blocktime ? UFFD_FEATURE_THREAD_ID : 0;

    RAMBLOCK_FOREACH_MIGRATABLE(rb) {
        features |= block_features(rb);
    }
    return features;
}

/* The truest test: do it. */
static bool block_registers(int uffd, const RAMBlock *rb, Error **errp)
{
    uint64_t ioctls;
    bool ok;

    if (!uffd_register(uffd, rb->host, rb->used_length, UFFDIO_REGISTER_MODE_MISSING, &ioctls,
                       errp)) {
        error_prefix(errp, "RAM block '%s': ", rb->idstr);
        return false;
    }
    ok = ioctls & (1ULL << _UFFDIO_COPY);
    if (!ok) {
        error_setg(errp, "RAM block '%s': userfaultfd cannot copy pages into its memory",
                   rb->idstr);
    }
    return uffd_unregister(uffd, rb->host, rb->used_length, ok ? errp : NULL) && ok;
}

static bool blocks_supported(int uffd, Error **errp)
{
    RAMBLOCK_FOREACH_MIGRATABLE(rb) {
        if (!IS_ALIGNED(rb->used_length, rb->page_size)) {
            error_setg(errp, "RAM block '%s' of 0x%" PRIx64 " bytes is not a whole number of its "
                       "pages of 0x%zx bytes", rb->idstr, rb->used_length, rb->page_size);
            return false;
        }
        if (!fs_supported(rb, errp) || !block_registers(uffd, rb, errp)) {
            return false;
        }
    }
    return true;
}

bool postcopy_supported_by_host(Error **errp)
{
    g_auto(AutoFd) uffd = -1;

    if (getpagesize() != TARGET_PAGE_SIZE) {
        error_setg(errp, "postcopy is not possible here: the host's pages have %d bytes, the "
                   "guest's %lu", getpagesize(), TARGET_PAGE_SIZE);
        return false;
    }
    uffd = uffd_open(postcopy_uffd_ways(), postcopy_uffd_features(false), NULL, errp);
    if (uffd < 0 || !blocks_supported(uffd, errp)) {
        error_prefix(errp, "postcopy is not possible here: ");
        return false;
    }
    return true;
}

uint64_t postcopy_page_size_summary(void)
{
    uint64_t summary = 0;

    RAMBLOCK_FOREACH_MIGRATABLE(rb) {
        summary |= rb->page_size;
    }
    return summary;
}
