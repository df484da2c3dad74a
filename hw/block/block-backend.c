/*
 * Block backends: opening, reading and writing raw images.  Machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "hw/block/block.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "hw/block/block-private.h"
#include "monitor/monitor.h"
#include "system/runstate.h"
#include "util/log.h"
#include "util/util.h"

static BlockBackend *backends;

BlockBackend *block_backend_first(void)
{
    return backends;
}

BlockBackend *block_backend_by_id(const char *id)
{
    BlockBackend *b = backends;

    while (b && !g_str_equal(b->id, id)) {
        b = b->next;
    }
    return b;
}

static bool fd_size(int fd, uint64_t *ret_size)
{
    struct stat st;

    if (fstat(fd, &st) < 0) {
        return false;
    }
    if (S_ISBLK(st.st_mode)) {
        return ioctl(fd, BLKGETSIZE64, ret_size) == 0;
    }
    *ret_size = st.st_size;
    return true;
}

/* (Re)open for reading only or for both. */
static bool open_image(BlockBackend *b, bool write, Error **errp)
{
    g_auto(AutoFd) fd = ferry_open(b->filename, (write ? O_RDWR : O_RDONLY) | O_CLOEXEC, 0, errp);

    if (fd < 0) {
        return false;
    }
    if (!fd_size(fd, &b->size)) {
        error_setg_errno(errp, errno, "cannot find out the size of '%s'", b->filename);
        return false;
    }
    close_fd(&b->fd);
    b->fd = fd;
    b->fd_writable = write;
    fd = -1;
    return true;
}

static BlockBackend *io_node(const BlockBackend *b)
{
    return b->file ? b->file : (BlockBackend *)b;
}

/* The image under b as its disk needs it. */
static bool activate(BlockBackend *b, Error **errp)
{
    BlockBackend *io = io_node(b);
    bool write = !block_backend_is_readonly(b);

    if (write && !io->fd_writable && !open_image(io, true, errp)) {
        return false;
    }
    if (!io->locked && !io->no_locking) {
        io->locked = image_lock(io->fd, io->filename, write, b->share_rw, errp);
        return io->locked;
    }
    return true;
}

/* A node that a disk of the machine uses, rather than a node above it. */
static bool has_disk(const BlockBackend *b)
{
    return b->user && b->user[0] == '/';
}

bool block_backends_activate(Error **errp)
{
    for (BlockBackend *b = backends; b; b = b->next) {
        if (has_disk(b) && !activate(b, errp)) {
            error_prefix(errp, "drive '%s': ", b->id);
            return false;
        }
    }
    return true;
}

/* Somebody else may have the image from now on, with all that was written. */
static void give_up(BlockBackend *b)
{
    BlockBackend *io = io_node(b);

    if (io->fd_writable && !b->no_flush && !io->no_flush && fdatasync(io->fd) < 0) {
        error_report("drive '%s': cannot flush '%s': %s", b->id, io->filename, strerror(errno));
    }
    if (io->locked) {
        image_unlock(io->fd);
        io->locked = false;
    }
}

/* At the switch of a migration the source lets go before the destination takes. */
static void on_handover(void)
{
    for (BlockBackend *b = backends; b; b = b->next) {
        if (has_disk(b)) {
            give_up(b);
        }
    }
}

static void on_run(void *opaque, bool running, RunState s)
{
    for (BlockBackend *b = backends; b; b = b->next) {
        g_autoptr(Error) err = NULL;

        if (running && has_disk(b) && !activate(b, &err)) {
            error_report("drive '%s': %s; it is read-only from now on", b->id,
                         error_get_pretty(err));
            b->readonly = true;
        }
    }
}

BlockBackend *block_backend_new(const char *id, const char *driver, const char *filename,
                                bool readonly, Error **errp)
{
    static VMStateChangeEntry *change;
    BlockBackend *b = g_new0(BlockBackend, 1);
    BlockBackend **tail = &backends;

    b->id = g_strdup(id);
    b->driver = g_strdup(driver);
    b->filename = g_strdup(filename);
    b->readonly = readonly;
    b->fd = -1;
    b->bootindex = -1;
    if (filename && !open_image(b, !readonly && !runstate_check(RUN_STATE_INMIGRATE), errp)) {
        block_backend_free(b);
        return NULL;
    }
    while (*tail) {
        tail = &(*tail)->next;
    }
    *tail = b;
    if (!change) {
        change = vm_state_change_add(on_run, NULL, -10);
        vm_handover_set(on_handover);
    }
    return b;
}

void block_backend_free(BlockBackend *b)
{
    for (BlockBackend **p = &backends; *p; p = &(*p)->next) {
        if (*p == b) {
            *p = b->next;
            break;
        }
    }
    close_fd(&b->fd); /* and with it the locks */
    g_free(b->id);
    g_free(b->driver);
    g_free(b->filename);
    g_free((char *)b->user);
    g_free(b);
}

bool block_backend_attach(BlockBackend *b, const char *user, bool write, Error **errp)
{
    if (b->user) {
        error_setg(errp, "Drive '%s' is already in use by %s", b->id, b->user);
        return false;
    }
    if (write && block_backend_is_readonly(b)) {
        error_setg(errp, "Block node '%s' is read-only: a hard disk needs one that can be written",
                   b->id);
        return false;
    }
    b->user = g_strdup(user);
    return true;
}

bool block_backend_attach_disk(BlockBackend *b, const char *user, Error **errp)
{
    if (!block_backend_attach(b, user, false, errp)) {
        return false;
    }
    if (!runstate_check(RUN_STATE_INMIGRATE) && !activate(b, errp)) {
        block_backend_detach(b);
        return false;
    }
    return true;
}

void block_backend_detach(BlockBackend *b)
{
    if (io_node(b)->locked) {
        image_unlock(io_node(b)->fd);
        io_node(b)->locked = false;
    }
    g_clear_pointer((char **)&b->user, g_free);
    b->bootindex = -1;
}

static void report_once(BlockBackend *b, const char *what, uint64_t sector)
{
    static GHashTable *seen;

    if (!seen) {
        seen = g_hash_table_new(NULL, NULL);
    }
    if (g_hash_table_add(seen, b)) {
        error_report("drive '%s' (%s): %s at sector %" G_GUINT64_FORMAT ": %s; more errors of this "
                     "drive go to the guest only", b->id, io_node(b)->filename, what, sector,
                     strerror(errno));
    }
}

bool block_backend_read(BlockBackend *b, uint64_t sector, void *buf, unsigned n)
{
    BlockBackend *io = io_node(b);
    size_t want = (size_t)n * BLOCK_SECTOR_SIZE, got = 0;

    while (got < want) {
        ssize_t r = pread(io->fd, (char *)buf + got, want - got, sector * BLOCK_SECTOR_SIZE + got);

        if (r < 0 && errno == EINTR) {
            continue;
        }
        if (r < 0) {
            report_once(b, "cannot read", sector);
            return false;
        }
        if (r == 0) {
            memset((char *)buf + got, 0, want - got);
            break;
        }
        got += r;
    }
    b->rd_ops++;
    b->rd_bytes += want;
    return true;
}

bool block_backend_write(BlockBackend *b, uint64_t sector, const void *buf, unsigned n)
{
    BlockBackend *io = io_node(b);
    size_t want = (size_t)n * BLOCK_SECTOR_SIZE, done = 0;

    if (block_backend_is_readonly(b) || !io->fd_writable) {
        return false;
    }
    while (done < want) {
        ssize_t r = pwrite(io->fd, (const char *)buf + done, want - done,
                           sector * BLOCK_SECTOR_SIZE + done);

        if (r < 0 && errno == EINTR) {
            continue;
        }
        if (r <= 0) {
            report_once(b, "cannot write", sector);
            return false;
        }
        done += r;
    }
    io->size = MAX(io->size, sector * BLOCK_SECTOR_SIZE + want);
    b->wr_ops++;
    b->wr_bytes += want;
    return true;
}

/* Take `done` bytes off the front of *iov. */
static void iov_advance(struct iovec **iov, unsigned *n, size_t done)
{
    while (done && done >= (*iov)->iov_len) {
        done -= (*iov)->iov_len;
        ++*iov;
        --*n;
    }
    if (done) {
        (*iov)->iov_base = (char *)(*iov)->iov_base + done;
        (*iov)->iov_len -= done;
    }
}

/* The rest of a last sector that the image has in part only. */
static void iov_zero(const struct iovec *iov, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        memset(iov[i].iov_base, 0, iov[i].iov_len);
    }
}

bool block_backend_rw(BlockBackend *b, bool write, uint64_t sector, struct iovec *iov, unsigned n,
                      size_t bytes)
{
    BlockBackend *io = io_node(b);
    off_t at = sector * BLOCK_SECTOR_SIZE;
    size_t done = 0;

    if (write && (block_backend_is_readonly(b) || !io->fd_writable)) {
        return false;
    }
    while (done < bytes) {
        int part = MIN(n, IOV_MAX);
        ssize_t r = write ? pwritev(io->fd, iov, part, at + done)
                          : preadv(io->fd, iov, part, at + done);

        if (r < 0 && errno == EINTR) {
            continue;
        }
        if (r < 0 || (r == 0 && write)) {
            report_once(b, write ? "cannot write" : "cannot read", sector);
            return false;
        }
        if (r == 0) {
            iov_zero(iov, n);
            break;
        }
        done += r;
        iov_advance(&iov, &n, r);
    }
    *(write ? &b->wr_ops : &b->rd_ops) += 1;
    *(write ? &b->wr_bytes : &b->rd_bytes) += bytes;
    return true;
}

/* Where holes cannot be made. */
static bool write_zeros(BlockBackend *b, uint64_t sector, uint64_t n)
{
    static const uint8_t zeros[64 * 1024];

    while (n) {
        uint64_t part = MIN(n, sizeof(zeros) / BLOCK_SECTOR_SIZE);

        if (!block_backend_write(b, sector, zeros, part)) {
            return false;
        }
        sector += part;
        n -= part;
    }
    return true;
}

bool block_backend_zero(BlockBackend *b, uint64_t sector, uint64_t n, bool discard)
{
    BlockBackend *io = io_node(b);

    if (block_backend_is_readonly(b) || !io->fd_writable) {
        return false;
    }
    if (discard && !b->unmap) {
        return true; /* the guest only says that it does not need them */
    }
    if (fallocate(io->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, sector * BLOCK_SECTOR_SIZE,
                  n * BLOCK_SECTOR_SIZE) == 0) {
        return true;
    }
    return discard || write_zeros(b, sector, n);
}

bool block_backend_flush(BlockBackend *b)
{
    BlockBackend *io = io_node(b);

    b->flush_ops++;
    return b->no_flush || io->no_flush || !io->fd_writable || fdatasync(io->fd) == 0;
}

uint64_t block_backend_sectors(const BlockBackend *b)
{
    return (io_node(b)->size + BLOCK_SECTOR_SIZE - 1) / BLOCK_SECTOR_SIZE;
}

bool block_backend_is_readonly(const BlockBackend *b)
{
    return b->readonly || (b->file && b->file->readonly);
}

/* Does a boot before b? */
static bool boots_before(const BlockBackend *a, const BlockBackend *b)
{
    if ((a->bootindex >= 0) != (b->bootindex >= 0)) {
        return a->bootindex >= 0;
    }
    return a->bootindex != b->bootindex ? a->bootindex < b->bootindex : a->position < b->position;
}

BlockBackend *block_boot_disk(void)
{
    BlockBackend *best = NULL;

    for (BlockBackend *b = backends; b; b = b->next) {
        if (b->user && (!best || boots_before(b, best))) {
            best = b;
        }
    }
    return best;
}
