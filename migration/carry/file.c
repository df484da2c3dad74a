/*
 * Files that carry the rest of a postcopy: opening, reading, writing.
 *
 * Belongs to whoever opens one: a monitor's thread, then the listen thread; the migration thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "migration/carry/file.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "monitor/monitor.h"
#include "system/ramblock.h"
#include "util/fault.h"
#include "util/util.h"

#define FDSET_PREFIX "/dev/fdset/"

struct CarryFile {
    char *name;
    CarryGuest *guest;
    int fd;
    CarryHead head;
    uint8_t *tables;
    const uint8_t *rest; /* in tables: chunks or bitmaps */
};

bool carry_check_address(const MigrateAddress *a, Error **errp)
{
    g_autofree char *what = migrate_address_to_str(a);

    if (a->transport != MIG_TRANSPORT_FILE) {
        error_setg(errp, "%s is no file: file:PATH is wanted here", what);
        return false;
    }
    if (a->offset) {
        error_setg(errp, "%s: the file is written and read whole, without an offset", what);
        return false;
    }
    return true;
}

/* Anything that has positions; a FIFO would keep us waiting. */
static bool check_kind_of_file(int fd, const char *name, Error **errp)
{
    struct stat st;

    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        error_setg(errp, "'%s' is no regular file", name);
        return false;
    }
    return true;
}

/* ---- reading ---- */

/* Fill the pieces, which are changed. */
static bool read_at(int fd, struct iovec *iov, unsigned n, uint64_t offset, Error **errp)
{
    while (n) {
        ssize_t got = preadv(fd, iov, n, offset);

        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            error_setg_errno(errp, errno, "reading at %" PRIu64, offset);
            return false;
        }
        if (got == 0) {
            error_setg(errp, "it ends at %" PRIu64 ", where more should be", offset);
            return false;
        }
        offset += got;
        while (n && (size_t)got >= iov->iov_len) {
            got -= iov->iov_len;
            iov++;
            n--;
        }
        if (n) {
            iov->iov_base = (uint8_t *)iov->iov_base + got;
            iov->iov_len -= got;
        }
    }
    return true;
}

static bool read_front(CarryFile *f, CarryKind kind, Error **errp)
{
    uint8_t header[CARRY_HEADER_LEN];
    struct iovec iov = { header, sizeof(header) };

    if (!read_at(f->fd, &iov, 1, 0, errp) ||
        !carry_head_check(header, f->guest, kind, &f->head, errp)) {
        return false;
    }
    f->tables = g_malloc(f->head.tables_len);
    iov = (struct iovec){ f->tables, f->head.tables_len };
    return read_at(f->fd, &iov, 1, CARRY_HEADER_LEN, errp) &&
           carry_tables_check(f->tables, &f->head, f->guest, &f->rest, errp);
}

CarryFile *carry_file_open(const MigrateAddress *a, CarryKind kind, CarryGuest *g, Error **errp)
{
    g_autoptr(CarryFile) f = g_new0(CarryFile, 1);

    f->guest = g;
    f->fd = -1;
    if (!carry_check_address(a, errp)) {
        return NULL;
    }
    f->name = g_strdup(a->filename);
    f->fd = ferry_open(a->filename, O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0, errp);
    if (f->fd < 0 || !check_kind_of_file(f->fd, f->name, errp)) {
        return NULL;
    }
    if (!read_front(f, kind, errp)) {
        error_prefix(errp, "file '%s' is refused: ", f->name);
        return NULL;
    }
    return g_steal_pointer(&f);
}

void carry_file_free(CarryFile *f)
{
    if (f) {
        close_fd(&f->fd);
        carry_guest_free(f->guest);
        g_free(f->tables);
        g_free(f->name);
        g_free(f);
    }
}

const char *carry_file_name(const CarryFile *f)
{
    return f->name;
}

const CarryGuest *carry_file_guest(const CarryFile *f)
{
    return f->guest;
}

const CarryHead *carry_file_head(const CarryFile *f)
{
    return &f->head;
}

CarryChunk carry_file_chunk(const CarryFile *f, uint64_t i)
{
    g_assert(i < f->head.n_chunks);
    return carry_chunk_decode(f->rest + i * CARRY_CHUNK_LEN);
}

bool carry_file_find(const CarryFile *f, uint32_t block, uint32_t index, uint64_t *ret_i)
{
    uint64_t low = 0, high = f->head.n_chunks;

    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        CarryChunk c = carry_file_chunk(f, middle);

        if (c.block < block || (c.block == block && c.index < index)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    *ret_i = low;
    if (low == f->head.n_chunks) {
        return false;
    }
    CarryChunk c = carry_file_chunk(f, low);
    return c.block == block && c.index == index;
}

/* The runs of set bits as pieces of memory; at most CARRY_CHUNK_PAGES. */
static unsigned runs_to_iov(uint64_t bits, uint8_t *pages, struct iovec *iov)
{
    unsigned n = 0;

    while (bits) {
        unsigned first = __builtin_ctzll(bits), len;
        uint64_t shifted = bits >> first;

        len = ~shifted ? __builtin_ctzll(~shifted) : CARRY_CHUNK_PAGES;
        iov[n++] = (struct iovec){ pages + first * TARGET_PAGE_SIZE, len * TARGET_PAGE_SIZE };
        if (first + len == CARRY_CHUNK_PAGES) {
            break;
        }
        bits &= ~0ULL << (first + len);
    }
    return n;
}

bool carry_file_read(const CarryFile *f, const CarryChunk *c, uint8_t *ret_pages, Error **errp)
{
    struct iovec iov[CARRY_CHUNK_PAGES];
    uint8_t digest[CARRY_DIGEST_LEN];
    uint64_t data = c->present & ~c->zero;
    bool ok;

    if (fault_point(FAULT_CARRY_READ)) {
        error_setg_errno(errp, EIO, "reading at %" PRIu64, c->offset);
        ok = false;
    } else {
        ok = read_at(f->fd, iov, runs_to_iov(data, ret_pages, iov), c->offset, errp);
    }
    if (ok) {
        carry_digest(iov, runs_to_iov(data, ret_pages, iov), digest);
        ok = !memcmp(digest, c->digest, sizeof(digest));
        if (!ok) {
            error_setg(errp, "the bytes at %" PRIu64 " are damaged (the digest is another one)",
                       c->offset);
        }
    }
    for (unsigned i = 0, n = runs_to_iov(c->zero, ret_pages, iov); i < n; i++) {
        memset(iov[i].iov_base, 0, iov[i].iov_len);
    }
    if (!ok) {
        const CarryBlock *b = &f->guest->blocks[c->block];

        error_prefix(errp, "chunk 0x%" PRIx64 " of RAM block '%s': ",
                     c->index * CARRY_CHUNK_BYTES, b->name);
    }
    return ok;
}

const uint8_t *carry_file_bitmap(const CarryFile *f, unsigned i)
{
    const uint8_t *at = f->rest;

    for (unsigned b = 0; b < i; b++) {
        at += carry_bitmap_bytes(&f->guest->blocks[b]);
    }
    return at;
}

/* ---- writing ---- */

struct CarryOut {
    char *name;
    char *part; /* what it is called meanwhile; NULL: no name to change */
    int fd;
    bool committed;
};

CarryOut *carry_out_open(const MigrateAddress *a, Error **errp)
{
    g_autoptr(CarryOut) o = g_new0(CarryOut, 1);
    int flags = O_CREAT | O_WRONLY | O_CLOEXEC | O_NONBLOCK;
    bool made;

    o->fd = -1;
    if (!carry_check_address(a, errp)) {
        return NULL;
    }
    o->name = g_strdup(a->filename);
    if (!g_str_has_prefix(a->filename, FDSET_PREFIX)) {
        o->part = g_strconcat(a->filename, ".part", NULL);
        unlink(o->part);  /* of a program that was killed; nobody else's file or link is written to */
        flags |= O_EXCL;
    }
    o->fd = ferry_open(o->part ? o->part : o->name, flags, 0600, errp);
    made = o->fd >= 0 && check_kind_of_file(o->fd, o->part ? o->part : o->name, errp);
    if (made && !o->part && ftruncate(o->fd, 0) < 0) {
        error_setg_errno(errp, errno, "cannot empty '%s'", o->name);
        made = false;
    }
    if (!made) {
        g_clear_pointer(&o->part, g_free); /* not ours to remove */
        return NULL;
    }
    return g_steal_pointer(&o);
}

static ssize_t write_some(const CarryOut *o, const struct iovec *iov, unsigned n, uint64_t offset)
{
    if (fault_point(FAULT_CARRY_WRITE)) {
        errno = ENOSPC;
        return -1;
    }
    return pwritev(o->fd, iov, n, offset);
}

bool carry_out_write(CarryOut *o, struct iovec *iov, unsigned n, uint64_t offset, Error **errp)
{
    while (n) {
        ssize_t put = write_some(o, iov, n, offset);

        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put < 0) {
            error_setg_errno(errp, errno, "cannot write '%s' at %" PRIu64,
                             o->part ? o->part : o->name, offset);
            return false;
        }
        offset += put;
        while (n && (size_t)put >= iov->iov_len) {
            put -= iov->iov_len;
            iov++;
            n--;
        }
        if (n) {
            iov->iov_base = (uint8_t *)iov->iov_base + put;
            iov->iov_len -= put;
        }
    }
    return true;
}

/* Delayed errors of the file system come out here, and not behind the operator's back. */
static bool settle(CarryOut *o, Error **errp)
{
    if (fdatasync(o->fd) < 0) {
        error_setg_errno(errp, errno, "cannot write '%s' to its disk", o->part ? o->part : o->name);
        return false;
    }
    if (o->part && rename(o->part, o->name) < 0) {
        error_setg_errno(errp, errno, "cannot rename '%s' to '%s'", o->part, o->name);
        return false;
    }
    return true;
}

bool carry_out_commit(CarryOut *o, const CarryHead *h, const GByteArray *tables, Error **errp)
{
    uint8_t header[CARRY_HEADER_LEN];
    struct iovec iov[] = { { header, sizeof(header) }, { tables->data, tables->len } };

    carry_head_encode(header, h);
    if (!carry_out_write(o, iov, G_N_ELEMENTS(iov), 0, errp)) {
        return false;
    }
    /* A file that ends inside the padding in front of its pages has no length of its own yet. */
    if (h->file_len == h->pages_at && ftruncate(o->fd, h->file_len) < 0) {
        error_setg_errno(errp, errno, "cannot write '%s'", o->part ? o->part : o->name);
        return false;
    }
    o->committed = settle(o, errp);
    return o->committed;
}

void carry_out_free(CarryOut *o)
{
    if (o) {
        close_fd(&o->fd);
        if (o->part && !o->committed) {
            unlink(o->part);
        }
        g_free(o->part);
        g_free(o->name);
        g_free(o);
    }
}
