/*
 * The destination takes pages from a file that was carried over.
 *
 * Belongs to the listen thread.  It takes no lock and touches no guest memory; the fault thread
 * goes on noting who waits for what, and before each step that is looked at: those pages come first.
 *
 * A chunk is used when its digest is right; a huge host page when all of its chunks are.  What
 * cannot be used stays missing, and the postcopy paused.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

#include "migration/carry/carry.h"
#include "migration/postcopy-ram/dest-int.h"
#include "trace/migration.h"
#include "util/bitmap.h"
#include "util/util.h"

/* A unit is what is placed in one go: a chunk, or the chunks of a huge host page. */
typedef struct Loader {
    PostcopyDest *pd;
    const CarryFile *f;
    PmiBlock **blocks;      /* by index in the file */
    uint8_t *buf;           /* the largest unit */
    size_t buf_len;
    unsigned long *tried;   /* chunks of the file, by number */
    unsigned requests;      /* pmi->requests at the last look */
    bool looked;            /* there was one */
    uint64_t placed, bad;   /* pages; chunks */
    Error *first;           /* what was wrong with the first bad one */
} Loader;

/* Chunks that are placed together. */
static unsigned unit_chunks(const PmiBlock *b)
{
    return MAX(b->pages_per_host / CARRY_CHUNK_PAGES, 1);
}

static bool loader_init(Loader *l, PostcopyDest *pd, const CarryFile *f, Error **errp)
{
    const CarryGuest *g = carry_file_guest(f);

    *l = (Loader){ .pd = pd, .f = f, .buf = MAP_FAILED };
    l->blocks = g_new0(PmiBlock *, g->n_blocks);
    l->tried = bitmap_new(carry_file_head(f)->n_chunks);
    for (unsigned i = 0; i < g->n_blocks; i++) {
        for (unsigned k = 0; k < pd->pmi->num_blocks; k++) {
            if (!strcmp(pd->pmi->blocks[k].rb->idstr, g->blocks[i].name)) {
                l->blocks[i] = &pd->pmi->blocks[k];
            }
        }
        l->buf_len = MAX(l->buf_len, unit_chunks(l->blocks[i]) * CARRY_CHUNK_BYTES);
    }
    l->buf = mmap(NULL, l->buf_len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (l->buf == MAP_FAILED) {
        error_setg_errno(errp, errno, "no memory for a page of %zu bytes", l->buf_len);
        return false;
    }
    return true;
}

static void loader_clear(Loader *l)
{
    if (l->buf != MAP_FAILED) {
        munmap(l->buf, l->buf_len);
    }
    g_free(l->blocks);
    g_free(l->tried);
    g_clear_error(&l->first);
}

static void note_bad(Loader *l, Error *err)
{
    l->bad++;
    if (l->first) {
        g_clear_error(&err);
    } else {
        l->first = err;
    }
}

/* The pages of chunk c, in l->buf + at, that are still missing: run by run. */
static bool place_small(Loader *l, PmiBlock *b, const CarryChunk *c, Error **errp)
{
    uint64_t first = (uint64_t)c->index * CARRY_CHUNK_PAGES;
    uint64_t left = c->present &
                    ~__atomic_load_n(&b->received[c->index], __ATOMIC_SEQ_CST);

    while (left) {
        unsigned i = __builtin_ctzll(left), n = 1;
        bool zero = c->zero >> i & 1;

        while (i + n < CARRY_CHUNK_PAGES && (left >> (i + n) & 1) &&
               (bool)(c->zero >> (i + n) & 1) == zero) {
            n++;
        }
        if (!place_whole(l->pd->placer, b, (first + i) << TARGET_PAGE_BITS,
                         zero ? NULL : l->buf + i * TARGET_PAGE_SIZE, n * TARGET_PAGE_SIZE,
                         errp)) {
            return false;
        }
        l->placed += n;
        carry_report_pages(l->pd->m, n);
        left &= i + n < CARRY_CHUNK_PAGES ? ~0ULL << (i + n) : 0;
    }
    return true;
}

static bool place_huge(Loader *l, PmiBlock *b, uint64_t offset, Error **errp)
{
    if (pmi_state(b, offset) == PMI_RECEIVED) {
        return true;
    }
    if (!place_whole(l->pd->placer, b, offset, l->buf, b->rb->page_size, errp)) {
        return false;
    }
    l->placed += b->pages_per_host;
    carry_report_pages(l->pd->m, b->pages_per_host);
    return true;
}

/* Is any page of the unit that begins at this chunk missing? */
static bool unit_missing(const PmiBlock *b, uint64_t index, unsigned n)
{
    uint64_t first = index * CARRY_CHUNK_PAGES;
    uint64_t end = MIN(first + n * CARRY_CHUNK_PAGES, b->pages);

    return bitmap_find_next_zero(b->received, end, first) < end;
}

/* Chunk i of the file and those that go with it into l->buf. */
static bool read_unit(Loader *l, uint64_t i, const CarryChunk *first, unsigned n, Error **errp)
{
    for (unsigned k = 0; k < n; k++) {
        CarryChunk c;

        if (i + k < carry_file_head(l->f)->n_chunks) {
            c = carry_file_chunk(l->f, i + k);
        }
        if (i + k >= carry_file_head(l->f)->n_chunks || c.block != first->block ||
            c.index != first->index + k || (n > 1 && ~c.present)) {
            error_setg(errp, "the huge page at 0x%" PRIx64 " of RAM block '%s' is not whole in it",
                       first->index * CARRY_CHUNK_BYTES,
                       l->blocks[first->block]->rb->idstr);
            return false;
        }
        if (!carry_file_read(l->f, &c, l->buf + k * CARRY_CHUNK_BYTES, errp)) {
            return false;
        }
    }
    return true;
}

/*
 * Chunk i of the file, with those of the same host page.  False: memory cannot be filled, which no other
 * file would change.
 */
static bool load_unit(Loader *l, uint64_t i, Error **errp)
{
    CarryChunk c = carry_file_chunk(l->f, i);
    PmiBlock *b = l->blocks[c.block];
    unsigned n = unit_chunks(b);
    Error *err = NULL;

    if (c.index % n) { /* its host page begins further in front, or is not whole */
        uint64_t front;

        if (!carry_file_find(l->f, c.block, c.index - c.index % n, &front)) {
            bitmap_set_bit(l->tried, i);
            error_setg(&err, "the huge page at 0x%" PRIx64 " of RAM block '%s' is not whole in it",
                       (c.index - c.index % n) * CARRY_CHUNK_BYTES, b->rb->idstr);
            note_bad(l, err);
            return true;
        }
        i = front;
        c = carry_file_chunk(l->f, i);
    }
    for (unsigned k = 0; k < n && i + k < carry_file_head(l->f)->n_chunks; k++) {
        CarryChunk next = carry_file_chunk(l->f, i + k);

        if (next.block == c.block && next.index / n == c.index / n) {
            bitmap_set_bit(l->tried, i + k);
        }
    }
    if (!unit_missing(b, c.index, n)) {
        return true;
    }
    if (!read_unit(l, i, &c, n, &err)) {
        note_bad(l, err);
        return true;
    }
    return n > 1 ? place_huge(l, b, c.index * CARRY_CHUNK_BYTES, errp)
                 : place_small(l, b, &c, errp);
}

/* Pages of block number `block` that somebody waits for. */
static bool load_requested_of(Loader *l, unsigned block, Error **errp)
{
    PmiBlock *b = l->blocks[block];
    uint64_t hp = 0;

    while ((hp = bitmap_find_next(b->requested, b->host_pages, hp)) < b->host_pages) {
        uint64_t i;

        if (carry_file_find(l->f, block, hp * b->rb->page_size / CARRY_CHUNK_BYTES, &i) &&
            !bitmap_test(l->tried, i) && !load_unit(l, i, errp)) {
            return false;
        }
        hp++;
    }
    return true;
}

/* Whoever began to wait since the last look. */
static bool load_requested(Loader *l, Error **errp)
{
    unsigned requests = __atomic_load_n(&l->pd->pmi->requests, __ATOMIC_SEQ_CST);

    if (!pmi_outstanding(l->pd->pmi) || (l->looked && requests == l->requests)) {
        return true;
    }
    l->looked = true;
    l->requests = requests;
    for (unsigned i = 0; i < carry_file_guest(l->f)->n_blocks; i++) {
        if (!load_requested_of(l, i, errp)) {
            return false;
        }
    }
    return true;
}

static bool stopped(const Migration *m)
{
    return migration_cancelled(m) || __atomic_load_n(&m->carry.stop, __ATOMIC_ACQUIRE);
}

static bool load_all(Loader *l, Error **errp)
{
    uint64_t n = carry_file_head(l->f)->n_chunks;

    for (uint64_t i = 0; i < n; i++) {
        if (stopped(l->pd->m)) {
            error_setg(errp, "it was stopped by command");
            return false;
        }
        if (!load_requested(l, errp) ||
            (!bitmap_test(l->tried, i) && !load_unit(l, i, errp))) {
            return false;
        }
    }
    return true;
}

bool carry_load(PostcopyDest *pd, const CarryFile *f, Error **errp)
{
    bool good;
    Loader l;

    carry_report_start(pd->m, carry_file_name(f));
    carry_report_total(pd->m, carry_file_head(f)->pages, carry_file_head(f)->file_len);
    good = loader_init(&l, pd, f, errp) && load_all(&l, errp);
    if (good && l.bad) {
        error_setg(errp, "%" PRIu64 " of its %" PRIu64 " chunks cannot be used, the others are in "
                   "place: %s", l.bad, carry_file_head(f)->n_chunks, error_get_pretty(l.first));
        good = false;
    }
    trace_carry_loaded(carry_file_name(f), l.placed, l.bad, good);
    carry_report_end(pd->m, good);
    loader_clear(&l);
    return good;
}

GByteArray *carry_received_tables(Migration *m, const CarryGuest *g, uint64_t *ret_pages)
{
    GByteArray *a = carry_tables_new(g);

    *ret_pages = 0;
    for (unsigned i = 0; i < g->n_blocks; i++) {
        const PmiBlock *b = NULL;

        for (unsigned k = 0; k < m->postcopy_dest->pmi->num_blocks; k++) {
            if (!strcmp(m->postcopy_dest->pmi->blocks[k].rb->idstr, g->blocks[i].name)) {
                b = &m->postcopy_dest->pmi->blocks[k];
            }
        }
        for (uint64_t w = 0; w < BITMAP_WORDS(b->pages); w++) {
            uint64_t word = __atomic_load_n(&b->received[w], __ATOMIC_RELAXED);

            *ret_pages += __builtin_popcountll(word);
            word = GUINT64_TO_LE(word);
            g_byte_array_append(a, (const uint8_t *)&word, sizeof(word));
        }
    }
    return a;
}
