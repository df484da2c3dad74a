/*
 * RAMBlocks: making, mapping and listing the pieces of guest memory.  Changes under
 * the machine lock; any thread may walk the list afterwards.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "system/ramblock.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "system/kept-fds.h"
#include "util/bitmap.h"
#include "util/log.h"
#include "util/util.h"

#ifndef MFD_HUGE_SHIFT
#define MFD_HUGE_SHIFT 26
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

static RAMBlock *blocks;     /* machine lock; sorted by descending size */
static RamAddr next_offset;  /* machine lock */

RAMBlock *ramblock_first(void)
{
    return blocks;
}

RAMBlock *ramblock_by_name(const char *idstr)
{
    RAMBLOCK_FOREACH(rb) {
        if (strcmp(rb->idstr, idstr) == 0) {
            return rb;
        }
    }
    return NULL;
}

RAMBlock *ramblock_from_host(const void *host, uint64_t *ret_offset)
{
    RAMBLOCK_FOREACH(rb) {
        uint64_t off = (uintptr_t)host - (uintptr_t)rb->host;
        if ((uintptr_t)host >= (uintptr_t)rb->host && off < rb->max_length) {
            *ret_offset = off;
            return rb;
        }
    }
    return NULL;
}

uint64_t ramblock_total_migratable(void)
{
    uint64_t total = 0;

    RAMBLOCK_FOREACH_MIGRATABLE(rb) {
        total += rb->used_length;
    }
    return total;
}

/* Page size of the file system or hugetlb pool behind fd. */
static size_t fd_page_size(int fd)
{
    struct statfs fs;

    if (fstatfs(fd, &fs) == 0 && fs.f_type == HUGETLBFS_MAGIC) {
        return fs.f_bsize;
    }
    return sysconf(_SC_PAGESIZE);
}

static int open_memfd(const char *name, const RAMBlockOptions *o, Error **errp)
{
    unsigned flags = MFD_CLOEXEC;
    int fd;

    if (o->hugetlb) {
        flags |= MFD_HUGETLB;
        if (o->hugetlb_size) {
            flags |= (unsigned)__builtin_ctzll(o->hugetlb_size) << MFD_HUGE_SHIFT;
        }
    }
    fd = memfd_create(name, flags);
    if (fd < 0 && o->hugetlb && (errno == ENODEV || errno == EINVAL)) {
        g_autofree char *size = o->hugetlb_size ? size_to_str(o->hugetlb_size) : NULL;
        error_setg(errp, "RAM block '%s': the host has no huge pages%s%s", name,
                   size ? " of " : "", size ? size : "");
    } else if (fd < 0) {
        error_setg_errno(errp, errno, "RAM block '%s': cannot make a memfd", name);
    }
    return fd;
}

/* Open or make the file; *ret_named is false for an unlinked file in a directory. */
static int open_path(const char *name, const RAMBlockOptions *o, bool *ret_named, Error **errp)
{
    int flags = (o->readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC;
    struct stat st;
    int fd;

    if (stat(o->path, &st) == 0 && S_ISDIR(st.st_mode)) {
        g_autofree char *tmpl = g_strdup_printf("%s/ferry_ram.XXXXXX", o->path);
        fd = mkostemp(tmpl, O_CLOEXEC);
        if (fd >= 0) {
            unlink(tmpl);
        }
        *ret_named = false;
    } else {
        fd = open(o->path, flags);
        if (fd < 0 && errno == ENOENT && !o->readonly) {
            fd = open(o->path, flags | O_CREAT | O_EXCL, 0600);
        }
        *ret_named = true;
    }
    if (fd < 0) {
        error_setg_errno(errp, errno, "RAM block '%s': cannot open '%s'", name, o->path);
    }
    return fd;
}

/* Make the file at least `size` long; one that is too short and not empty is refused. */
static bool size_file(RAMBlock *rb, const RAMBlockOptions *o, Error **errp)
{
    uint64_t need = o->fd_offset + rb->max_length;
    struct stat st;

    if (fstat(rb->fd, &st) < 0) {
        error_setg_errno(errp, errno, "RAM block '%s': cannot stat its file", rb->idstr);
        return false;
    }
    if ((uint64_t)st.st_size >= need || S_ISCHR(st.st_mode)) {
        return true;
    }
    if (o->readonly || (o->path && st.st_size > 0)) {
        error_setg(errp, "RAM block '%s': its file has %" PRIu64 " bytes, %" PRIu64 " are needed",
                   rb->idstr, (uint64_t)st.st_size, need);
        return false;
    }
    if (ftruncate(rb->fd, need) < 0) {
        error_setg_errno(errp, errno, "RAM block '%s': cannot make its file %" PRIu64 " bytes long",
                         rb->idstr, need);
        return false;
    }
    return true;
}

static bool map_block(RAMBlock *rb, const RAMBlockOptions *o, Error **errp)
{
    int prot = PROT_READ | (o->readonly ? 0 : PROT_WRITE);
    size_t huge = 2 * MiB;
    size_t align = rb->page_size > huge ? rb->page_size : huge;
    int flags = rb->shared ? MAP_SHARED : MAP_PRIVATE | MAP_NORESERVE;
    uint8_t *area, *host;

    /* A wider reservation, so that the block starts at a huge-page boundary. */
    area = mmap(NULL, rb->max_length + align, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                -1, 0);
    if (area == MAP_FAILED) {
        error_setg_errno(errp, errno, "RAM block '%s': no address space for %" PRIu64 " bytes",
                         rb->idstr, rb->max_length);
        return false;
    }
    host = (uint8_t *)ROUND_UP((uintptr_t)area, align);
    if (rb->fd < 0) {
        flags |= MAP_ANONYMOUS;
    }
    if (mmap(host, rb->max_length, prot, flags | MAP_FIXED, rb->fd,
             rb->fd < 0 ? 0 : (off_t)o->fd_offset) == MAP_FAILED) {
        error_setg_errno(errp, errno, "RAM block '%s': cannot map %" PRIu64 " bytes", rb->idstr,
                         rb->max_length);
        munmap(area, rb->max_length + align);
        return false;
    }
    if (host > area) {
        munmap(area, host - area);
    }
    munmap(host + rb->max_length, area + align - host);
    rb->host = host;
    return true;
}

static bool advise(RAMBlock *rb, const RAMBlockOptions *o, Error **errp)
{
    if (o->merge && rb->fd < 0) {
        madvise(rb->host, rb->max_length, MADV_MERGEABLE);
    }
    if (!o->dump) {
        madvise(rb->host, rb->max_length, MADV_DONTDUMP);
    }
    madvise(rb->host, rb->max_length, MADV_DONTFORK);
    if (o->prealloc && madvise(rb->host, rb->max_length, MADV_POPULATE_WRITE) < 0) {
        error_setg_errno(errp, errno, "RAM block '%s': cannot preallocate %" PRIu64 " bytes",
                         rb->idstr, rb->max_length);
        return false;
    }
    return true;
}

static void insert_sorted(RAMBlock *rb)
{
    RAMBlock **p = &blocks;

    while (*p && (*p)->max_length >= rb->max_length) {
        p = &(*p)->next;
    }
    rb->next = *p;
    __atomic_store_n(p, rb, __ATOMIC_RELEASE);
}

static void block_release(RAMBlock *rb)
{
    if (rb->host) {
        munmap(rb->host, rb->max_length);
    }
    close_fd(&rb->fd);
    g_free(rb->dirty);
    g_free(rb);
}

/* Memory that a former program left under this name: it must be what is asked for here. */
static bool take_kept(RAMBlock *rb, const RAMBlockOptions *o, Error **errp)
{
    struct stat st;

    rb->named_file = o->path != NULL;
    if (!o->shared) {
        error_setg(errp, "RAM block '%s' was handed over by another program: it must be shared "
                   "here too (share=on)", rb->idstr);
        return false;
    }
    if (fstat(rb->fd, &st) < 0 || (uint64_t)st.st_size < o->fd_offset + rb->max_length) {
        error_setg(errp, "RAM block '%s' was handed over by another program and has not the %" PRIu64
                   " bytes that it needs here", rb->idstr, o->fd_offset + rb->max_length);
        return false;
    }
    return true;
}

static bool open_backing(RAMBlock *rb, const RAMBlockOptions *o, Error **errp)
{
    int kept = kept_fd_take(rb->idstr, 0);

    if (kept >= 0) {
        rb->fd = kept;
        if (!take_kept(rb, o, errp)) {
            return false;
        }
    } else if (o->fd >= 0) {
        rb->fd = o->fd;
        rb->named_file = false;
    } else if (o->path) {
        rb->fd = open_path(rb->idstr, o, &rb->named_file, errp);
        if (rb->fd < 0) {
            return false;
        }
    } else if (o->memfd) {
        rb->fd = open_memfd(rb->idstr, o, errp);
        if (rb->fd < 0) {
            return false;
        }
    }
    if (rb->fd < 0) {
        return true;
    }
    rb->page_size = fd_page_size(rb->fd);
    if (!IS_ALIGNED(rb->max_length, rb->page_size)) {
        error_setg(errp, "RAM block '%s': size %" PRIu64 " is not a multiple of its page size %zu",
                   rb->idstr, rb->max_length, rb->page_size);
        return false;
    }
    return size_file(rb, o, errp);
}

RAMBlock *ramblock_new(const char *idstr, uint64_t size, const RAMBlockOptions *opts, Error **errp)
{
    RAMBlock *rb;

    if (strlen(idstr) >= sizeof(rb->idstr)) {
        error_setg(errp, "RAM block name '%.32s...' is longer than 255 characters", idstr);
        return NULL;
    }
    if (ramblock_by_name(idstr)) {
        error_setg(errp, "RAM block '%s' exists already", idstr);
        return NULL;
    }
    rb = g_new0(RAMBlock, 1);
    g_strlcpy(rb->idstr, idstr, sizeof(rb->idstr));
    rb->fd = -1;
    rb->page_size = sysconf(_SC_PAGESIZE);
    rb->used_length = rb->max_length = ROUND_UP(size, (uint64_t)TARGET_PAGE_SIZE);
    rb->fd_offset = opts->fd_offset;
    rb->shared = opts->shared;
    rb->readonly = opts->readonly;
    rb->migratable = true;
    if (!size) {
        error_setg(errp, "RAM block '%s': size is 0", idstr);
        goto fail;
    }
    if (!open_backing(rb, opts, errp) || !map_block(rb, opts, errp) || !advise(rb, opts, errp)) {
        goto fail;
    }
    rb->dirty = bitmap_new(rb->max_length >> TARGET_PAGE_BITS);
    rb->offset = next_offset;
    next_offset += ROUND_UP(rb->max_length, (uint64_t)TARGET_PAGE_SIZE * BITS_PER_LONG);
    insert_sorted(rb);
    return rb;
fail:
    block_release(rb);
    return NULL;
}

void ramblock_free(RAMBlock *rb)
{
    RAMBlock **p = &blocks;

    while (*p && *p != rb) {
        p = &(*p)->next;
    }
    if (*p) {
        *p = rb->next;
    }
    block_release(rb);
}

void ramblock_set_idstr(RAMBlock *rb, const char *idstr)
{
    g_strlcpy(rb->idstr, idstr, sizeof(rb->idstr));
}

bool ramblock_discard(RAMBlock *rb, uint64_t offset, uint64_t len, Error **errp)
{
    int ret;

    if (!ramblock_contains(rb, offset, len) || !IS_ALIGNED(offset, rb->page_size) ||
        !IS_ALIGNED(len, rb->page_size)) {
        error_setg(errp,
                   "RAM block '%s': cannot discard %#" PRIx64 "+%#" PRIx64
                   ": not whole pages of %zu bytes inside its %#" PRIx64 " bytes",
                   rb->idstr, offset, len, rb->page_size, rb->used_length);
        return false;
    }
    if (rb->fd >= 0) {
        ret = fallocate(rb->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, rb->fd_offset + offset,
                        len);
        /* A private mapping has its own copies of pages as well. */
        if (ret == 0 && !rb->shared) {
            ret = madvise(rb->host + offset, len, MADV_DONTNEED);
        }
    } else {
        ret = madvise(rb->host + offset, len, rb->shared ? MADV_REMOVE : MADV_DONTNEED);
    }
    if (ret < 0) {
        error_setg_errno(errp, errno, "RAM block '%s': cannot discard %#" PRIx64 "+%#" PRIx64,
                         rb->idstr, offset, len);
        return false;
    }
    return true;
}

static int discard_inhibited; /* atomic */

void ramblock_discard_inhibit(bool on)
{
    __atomic_fetch_add(&discard_inhibited, on ? 1 : -1, __ATOMIC_SEQ_CST);
}

bool ramblock_discard_inhibited(void)
{
    return __atomic_load_n(&discard_inhibited, __ATOMIC_SEQ_CST) > 0;
}

bool ram_incomplete;

bool ram_is_here(const void *host, uint64_t len)
{
    unsigned char state[64];
    const uintptr_t page = sysconf(_SC_PAGESIZE);
    uintptr_t at = ROUND_DOWN((uintptr_t)host, page), end = (uintptr_t)host + len;

    if (!__atomic_load_n(&ram_incomplete, __ATOMIC_ACQUIRE)) {
        return true;
    }
    while (at < end) {
        size_t n = MIN((end - at + page - 1) / page, sizeof(state));

        if (mincore((void *)at, n * page, state) < 0) {
            return true; /* not memory that can be missing */
        }
        for (size_t i = 0; i < n; i++) {
            if (!(state[i] & 1)) {
                return false;
            }
        }
        at += n * page;
    }
    return true;
}
