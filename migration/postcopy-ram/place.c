/*
 * Placing pages.  A Placer belongs to the one thread that reads its stream; what
 * several threads share is the page map (atomics).
 *
 * Small host pages nobody waits for are gathered as a run in a staging buffer and
 * put in place with one ioctl; a page that somebody waits for goes in at once.
 * Gathered pages are no secret for long: the run goes in when it is full or breaks
 * off, when one of its pages is asked for (its request would find nothing left to
 * send at the source), and before any read that might block.
 *
 * Huge host pages are assembled whole in a buffer of their own; their target pages
 * come back to back.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "migration/postcopy-ram/place.h"

#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

#include "migration/stream-internal.h"
#include "migration/verify.h"
#include "migration/wire.h"
#include "trace/migration.h"
#include "util/bitmap.h"
#include "util/uffd.h"
#include "util/util.h"

/* Target pages in a run: a call costs less than a third of a page, and whoever waits waits for it. */
#define RUN_PAGES 16
/* A page record with a block name of the greatest length: what a whole record needs at most. */
#define RECORD_MAX (8 + 1 + 255 + TARGET_PAGE_SIZE)

/* Consecutive small pages of one block: all with data (staging), or all zero. */
typedef struct PlaceRun {
    PmiBlock *b;     /* NULL: empty */
    uint64_t offset; /* of the first page */
    unsigned pages;
    bool zero;
} PlaceRun;

/* A huge host page on its way. */
typedef struct PlaceHuge {
    PmiBlock *b;       /* NULL: none */
    uint64_t offset;   /* of the host page */
    unsigned got;      /* target pages so far */
    bool all_zero;     /* so far; the buffer is not written yet for zero pages */
    unsigned long *have; /* bit = target page of it */
} PlaceHuge;

struct Placer {
    /* configuration */
    Pmi *pmi;
    int uffd;
    PlacedFn *waited;
    void *opaque;
    unsigned long *zeropage_ok; /* bit = index of the block in pmi */
    uint8_t *staging;           /* RUN_PAGES + 1 target pages */
    uint8_t *huge_buf;          /* the largest host page; NULL: all are small */
    size_t huge_size;
    uint8_t *zeros;             /* RUN_PAGES target pages of zeros, never written */
    /* state */
    PlaceRun run;
    PlaceHuge huge;
    unsigned ahead_requests;    /* pmi->requests and ... */
    uint64_t ahead_end;         /* ... end of the buffered bytes when place_ahead() looked */
    PmiBlock *open_b;           /* page between place_buffer and place_page_done */
    uint64_t open_offset;
    uint8_t *open_buf;
    PlaceCounts counts;
};

static void *map_anonymous(size_t len)
{
    void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED) {
        g_error("out of memory for %zu bytes of page buffer", len);
    }
    return p;
}

Placer *placer_new(Pmi *pmi, int uffd, PlacedFn *waited, void *opaque)
{
    Placer *p = g_new0(Placer, 1);
    unsigned largest = 1;

    p->pmi = pmi;
    p->uffd = uffd;
    p->waited = waited;
    p->opaque = opaque;
    p->zeropage_ok = bitmap_new(pmi->num_blocks);
    p->staging = map_anonymous((RUN_PAGES + 1) * TARGET_PAGE_SIZE);
    for (unsigned i = 0; i < pmi->num_blocks; i++) {
        largest = MAX(largest, pmi->blocks[i].pages_per_host);
    }
    if (largest > 1) {
        p->huge_size = largest * TARGET_PAGE_SIZE;
        p->huge_buf = map_anonymous(p->huge_size);
        p->huge.have = bitmap_new(largest);
    }
    p->zeros = map_anonymous(RUN_PAGES * TARGET_PAGE_SIZE);
    return p;
}

Placer *placer_new_like(const Placer *p)
{
    Placer *other = placer_new(p->pmi, p->uffd, p->waited, p->opaque);

    memcpy(other->zeropage_ok, p->zeropage_ok, BITMAP_BYTES(p->pmi->num_blocks));
    return other;
}

void placer_free(Placer *p)
{
    if (!p) {
        return;
    }
    munmap(p->staging, (RUN_PAGES + 1) * TARGET_PAGE_SIZE);
    munmap(p->zeros, RUN_PAGES * TARGET_PAGE_SIZE);
    if (p->huge_buf) {
        munmap(p->huge_buf, p->huge_size);
    }
    g_free(p->huge.have);
    g_free(p->zeropage_ok);
    g_free(p);
}

void placer_set_uffd(Placer *p, int uffd)
{
    p->uffd = uffd;
}

void placer_allow_zeropage(Placer *p, PmiBlock *b, bool allow)
{
    uint64_t i = b - p->pmi->blocks;

    if (allow) {
        bitmap_set_bit(p->zeropage_ok, i);
    } else {
        bitmap_clear_bit(p->zeropage_ok, i);
    }
}

static bool zeropage_allowed(const Placer *p, const PmiBlock *b)
{
    return bitmap_test(p->zeropage_ok, b - p->pmi->blocks);
}

/* One ioctl: [offset, offset+len) of b from src, or zeros where src is NULL. */
static UffdResult place_once(Placer *p, PmiBlock *b, uint64_t offset, const uint8_t *src,
                             uint64_t len, uint64_t *ret_done, Error **errp)
{
    uint8_t *dst = b->rb->host + offset;

    p->counts.ioctls++;
    if (src) {
        return uffd_copy(p->uffd, dst, src, len, ret_done, errp);
    }
    if (zeropage_allowed(p, b)) {
        return uffd_zeropage(p->uffd, dst, len, ret_done, errp);
    }
    return uffd_copy(p->uffd, dst, p->zeros, MIN(len, RUN_PAGES * TARGET_PAGE_SIZE), ret_done, errp);
}

/* What was put in place, taken from where it came from: the guest may write already. */
static void note_digests(PmiBlock *b, uint64_t offset, const uint8_t *src, uint64_t len)
{
    for (uint64_t at = 0; at < len; at += TARGET_PAGE_SIZE) {
        __atomic_store_n(&b->digest[(offset + at) >> TARGET_PAGE_BITS],
                         src ? verify_digest(src + at, TARGET_PAGE_SIZE) : verify_digest_zero(),
                         __ATOMIC_RELAXED);
    }
}

static void note_placed(Placer *p, PmiBlock *b, uint64_t offset, uint64_t len, bool zero)
{
    unsigned waited = pmi_received(p->pmi, b, offset, len);
    uint64_t n = len / b->rb->page_size;

    *(zero ? &p->counts.zero_pages : &p->counts.pages) += n;
    if (waited) {
        p->counts.urgent += waited;
        if (p->waited) {
            p->waited(p->opaque, b, offset, len);
        }
    }
}

/*
 * Put [offset, offset+len), whole host pages of b, in place.  A page that is there
 * already is legal only if it was received before (the guest may have written it
 * since, so it is left alone).
 */
static bool place_range(Placer *p, PmiBlock *b, uint64_t offset, const uint8_t *src, uint64_t len,
                        Error **errp)
{
    uint64_t page = b->rb->page_size, end = offset + len;

    trace_postcopy_place(b->rb->idstr, offset, len, src == NULL);
    while (offset < end) {
        uint64_t done = 0;
        UffdResult r = place_once(p, b, offset, src, end - offset, &done, errp);

        if (done && b->digest) {
            note_digests(b, offset, src, done);
        }
        if (done) {
            note_placed(p, b, offset, done, !src);
        }
        offset += done;
        src = src ? src + done : NULL;
        if (r == UFFD_FAILED) {
            return false;
        }
        if (r == UFFD_EXISTS) {
            if (pmi_state(b, offset) != PMI_RECEIVED) {
                error_setg(errp,
                           "page 0x%" PRIx64 " of RAM block '%s' came, but memory that was not "
                           "received yet is there already",
                           offset, b->rb->idstr);
                return false;
            }
            offset += page;
            src = src ? src + page : NULL;
        }
    }
    return true;
}

bool place_pending(const Placer *p)
{
    return p->run.b != NULL;
}

bool place_host_page_open(const Placer *p)
{
    return p->huge.b != NULL;
}

bool place_flush(Placer *p, Error **errp)
{
    PlaceRun run = p->run;

    p->run.b = NULL;
    return !run.b || place_range(p, run.b, run.offset, run.zero ? NULL : p->staging,
                                 run.pages * TARGET_PAGE_SIZE, errp);
}

bool place_reset(Placer *p, Error **errp)
{
    p->huge.b = NULL;
    p->ahead_end = 0;
    return place_flush(p, errp);
}

bool place_before_read(Placer *p, Stream *s, Error **errp)
{
    const PlaceRun *run = &p->run;
    size_t buffered;

    if (!run->b) {
        return true;
    }
    if (pmi_outstanding(p->pmi) &&
        pmi_any_requested(run->b, run->offset, run->pages * TARGET_PAGE_SIZE)) {
        return place_flush(p, errp);
    }
    buffered = stream_buffered(s);
    if (buffered < RECORD_MAX && stream_channel(s)) {
        stream_top_up(s);
        if (stream_buffered(s) == buffered) {
            return place_flush(p, errp);
        }
    }
    return true;
}

/* The record at data, if it is a whole page of the same block: its length, else 0. */
static size_t next_record(const uint8_t *data, size_t len, uint64_t *ret_offset, bool *ret_zero)
{
    uint64_t word = len >= 8 ? wire_get_be64(data) : 0;
    unsigned flags = wire_ram_flags(word);
    size_t size;

    *ret_offset = wire_ram_offset(word);
    *ret_zero = flags == (WIRE_RAM_ZERO | WIRE_RAM_CONTINUE);
    if (!*ret_zero && flags != (WIRE_RAM_PAGE | WIRE_RAM_CONTINUE)) {
        return 0;
    }
    size = 8 + (*ret_zero ? 1 : TARGET_PAGE_SIZE);
    return size <= len ? size : 0;
}

bool place_ahead(Placer *p, PmiBlock *b, Stream *s, Error **errp)
{
    unsigned requests = __atomic_load_n(&p->pmi->requests, __ATOMIC_SEQ_CST);
    uint64_t end = stream_bytes(s) + stream_buffered(s), offset;
    size_t len, size;
    const uint8_t *data = stream_buffered_data(s, &len);
    bool zero;

    /* Nobody waits, or nothing new has come since the last look. */
    if (!pmi_outstanding(p->pmi) || b->pages_per_host > 1 ||
        (requests == p->ahead_requests && end == p->ahead_end)) {
        return true;
    }
    p->ahead_requests = requests;
    p->ahead_end = end;
    for (; (size = next_record(data, len, &offset, &zero)); data += size, len -= size) {
        if (offset < b->length && pmi_state(b, offset) == PMI_REQUESTED &&
            !place_range(p, b, offset, zero ? NULL : data + 8, TARGET_PAGE_SIZE, errp)) {
            return false;
        }
    }
    return true;
}

static bool check_offset(const PmiBlock *b, uint64_t offset, Error **errp)
{
    if (offset < b->length && IS_ALIGNED(offset, TARGET_PAGE_SIZE)) {
        return true;
    }
    error_setg(errp, "page 0x%" PRIx64 " is outside of RAM block '%s' of 0x%" PRIx64 " bytes",
               offset, b->rb->idstr, b->length);
    return false;
}

bool place_whole(Placer *p, PmiBlock *b, uint64_t offset, const uint8_t *src, uint64_t len,
                 Error **errp)
{
    return place_range(p, b, offset, src, len, errp);
}

/* ---- small host pages ---- */

static bool run_takes(const PlaceRun *run, const PmiBlock *b, uint64_t offset, bool zero)
{
    return run->b == b && run->zero == zero && run->pages < RUN_PAGES &&
           offset == run->offset + run->pages * TARGET_PAGE_SIZE;
}

/* Make the run one that (b, offset) can be put behind. */
static bool run_prepare(Placer *p, PmiBlock *b, uint64_t offset, bool zero, Error **errp)
{
    if (p->run.b && !run_takes(&p->run, b, offset, zero) && !place_flush(p, errp)) {
        return false;
    }
    if (!p->run.b) {
        p->run = (PlaceRun){ .offset = offset, .zero = zero };
    }
    return true;
}

/* The page at the end of the run is complete. */
static bool run_add(Placer *p, PmiBlock *b, Error **errp)
{
    p->run.b = b;
    p->run.pages++;
    return p->run.pages < RUN_PAGES || place_flush(p, errp);
}

/* ---- huge host pages ---- */

/* Note target page `offset` in the host page being assembled; starts one if there is none. */
static bool huge_note(Placer *p, PmiBlock *b, uint64_t offset, Error **errp)
{
    uint64_t first = ROUND_DOWN(offset, (uint64_t)b->rb->page_size);
    PlaceHuge *h = &p->huge;

    if (!h->b) {
        h->b = b;
        h->offset = first;
        h->got = 0;
        h->all_zero = true;
        bitmap_clear(h->have, 0, b->pages_per_host);
    } else if (h->b != b || h->offset != first) {
        error_setg(errp,
                   "page 0x%" PRIx64 " of RAM block '%s' came while host page 0x%" PRIx64
                   " of '%s' had only %u of its %u pages",
                   offset, b->rb->idstr, h->offset, h->b->rb->idstr, h->got, h->b->pages_per_host);
        return false;
    }
    if (bitmap_test(h->have, (offset - first) >> TARGET_PAGE_BITS)) {
        error_setg(errp, "page 0x%" PRIx64 " of RAM block '%s' came twice in one host page", offset,
                   b->rb->idstr);
        return false;
    }
    bitmap_set_bit(h->have, (offset - first) >> TARGET_PAGE_BITS);
    return true;
}

/* One more target page of the host page is complete. */
static bool huge_add(Placer *p, Error **errp)
{
    PlaceHuge *h = &p->huge;
    PmiBlock *b = h->b;
    bool zero;

    if (++h->got < b->pages_per_host) {
        return true;
    }
    zero = h->all_zero && zeropage_allowed(p, b);
    h->b = NULL;
    return place_range(p, b, h->offset, zero ? NULL : p->huge_buf, b->rb->page_size, errp);
}

static bool huge_zero(Placer *p, PmiBlock *b, uint64_t offset, Error **errp)
{
    if (!huge_note(p, b, offset, errp)) {
        return false;
    }
    memset(p->huge_buf + (offset - p->huge.offset), 0, TARGET_PAGE_SIZE);
    return huge_add(p, errp);
}

/* ---- what ram_load() calls ---- */

uint8_t *place_buffer(Placer *p, PmiBlock *b, uint64_t offset, Error **errp)
{
    if (!check_offset(b, offset, errp)) {
        return NULL;
    }
    p->open_b = b;
    p->open_offset = offset;
    if (b->pages_per_host > 1) {
        if (!huge_note(p, b, offset, errp)) {
            return NULL;
        }
        p->huge.all_zero = false;
        p->open_buf = p->huge_buf + (offset - p->huge.offset);
    } else if (pmi_state(b, offset) == PMI_REQUESTED) {
        p->open_buf = p->staging + RUN_PAGES * TARGET_PAGE_SIZE;
    } else {
        if (!run_prepare(p, b, offset, false, errp)) {
            return NULL;
        }
        p->open_buf = p->staging + p->run.pages * TARGET_PAGE_SIZE;
    }
    return p->open_buf;
}

bool place_page_done(Placer *p, Error **errp)
{
    PmiBlock *b = p->open_b;

    if (b->pages_per_host > 1) {
        return huge_add(p, errp);
    }
    if (p->open_buf == p->staging + RUN_PAGES * TARGET_PAGE_SIZE) {
        return place_range(p, b, p->open_offset, p->open_buf, TARGET_PAGE_SIZE, errp);
    }
    return run_add(p, b, errp);
}

bool place_zero_page(Placer *p, PmiBlock *b, uint64_t offset, Error **errp)
{
    if (!check_offset(b, offset, errp)) {
        return false;
    }
    if (b->pages_per_host > 1) {
        return huge_zero(p, b, offset, errp);
    }
    if (pmi_state(b, offset) == PMI_REQUESTED) {
        return place_range(p, b, offset, NULL, TARGET_PAGE_SIZE, errp);
    }
    return run_prepare(p, b, offset, true, errp) && run_add(p, b, errp);
}

PlaceCounts place_counts(const Placer *p)
{
    return p->counts;
}
