/*
 * The source writes what the destination may lack into a file.
 *
 * Belongs to the migration thread, while the postcopy is paused; carry_take_received() to the main
 * thread, which holds the machine lock: in postcopy-paused nobody but a command of that thread
 * wakes the migration thread.
 *
 * What was sent since the switch may have been lost in any buffer on the way, so all of that goes
 * into the file: RamSourceBlock.owed.  What was sent before is there: the destination answered the
 * PING inside the package, which stood behind it in the stream.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "migration/carry/carry.h"
#include "migration/ram.h"
#include "migration/state.h"
#include "trace/migration.h"
#include "util/bitmap.h"
#include "util/util.h"

G_STATIC_ASSERT(CARRY_CHUNK_PAGES == BITS_PER_LONG); /* a chunk is a word of the bitmap */

void carry_note_owed(RamSource *r)
{
    for (unsigned i = 0; i < r->n_blocks; i++) {
        RamSourceBlock *b = &r->blocks[i];

        g_free(b->owed);
        b->owed = g_memdup2(b->dirty, BITMAP_BYTES(b->pages));
    }
}

bool carry_released(const Migration *m)
{
    return __atomic_load_n(&m->carry.released, __ATOMIC_ACQUIRE);
}

/* ---- received maps ---- */

/* What is in the file.  A chunk is a word. */
static const unsigned long *to_write(const RamSourceBlock *b)
{
    return b->wanted ? b->wanted : b->owed;
}

/*
 * Only whole host pages are owed.  The map takes the place of one before, and `owed` stays: what a wrong map
 * has left out is written again with a right one.
 */
void carry_take_received(Migration *m, const CarryFile *f)
{
    const CarryGuest *g = carry_file_guest(f);

    for (unsigned i = 0; i < g->n_blocks; i++) {
        RamSourceBlock *b = ram_source_block(m->ram, g->blocks[i].name);
        const uint8_t *map = carry_file_bitmap(f, i);

        g_free(b->wanted);
        b->wanted = g_memdup2(b->owed, BITMAP_BYTES(b->pages));
        for (uint64_t w = 0; w < BITMAP_WORDS(b->pages); w++) {
            uint64_t word;

            memcpy(&word, map + w * sizeof(word), sizeof(word));
            b->wanted[w] &= ~GUINT64_FROM_LE(word);
        }
        for (uint64_t p = bitmap_find_next(b->wanted, b->pages, 0); p < b->pages;) {
            p = ROUND_DOWN(p, (uint64_t)b->host_pages);
            bitmap_set(b->wanted, p, b->host_pages);
            p = bitmap_find_next(b->wanted, b->pages, p + b->host_pages);
        }
    }
}

/* ---- writing ---- */

typedef struct Writer {
    Migration *m;
    CarryOut *out;
    CarryHead head;
    GByteArray *tables;
    uint64_t at; /* where the next chunk begins */
} Writer;

static bool keep_going(Migration *m, Error **errp)
{
    if (migration_cancelled(m) || __atomic_load_n(&m->carry.stop, __ATOMIC_ACQUIRE)) {
        error_setg(errp, "it was stopped by command");
        return false;
    }
    return true;
}

/* Pages of the chunk that are not zero as pieces, neighbours together. */
static unsigned gather(const uint8_t *host, CarryChunk *c, struct iovec *iov)
{
    unsigned n = 0;

    for (unsigned i = 0; i < CARRY_CHUNK_PAGES; i++) {
        uint8_t *page = (uint8_t *)host + i * TARGET_PAGE_SIZE;

        if (!(c->present >> i & 1)) {
            continue;
        }
        if (buffer_is_zero(page, TARGET_PAGE_SIZE)) {
            c->zero |= 1ULL << i;
        } else if (n && (uint8_t *)iov[n - 1].iov_base + iov[n - 1].iov_len == page) {
            iov[n - 1].iov_len += TARGET_PAGE_SIZE;
        } else {
            iov[n++] = (struct iovec){ page, TARGET_PAGE_SIZE };
        }
    }
    return n;
}

static bool write_chunk(Writer *w, unsigned block, const RamSourceBlock *b, uint64_t index,
                        Error **errp)
{
    CarryChunk c = { .block = block, .index = index, .present = to_write(b)[index], .offset = w->at };
    struct iovec iov[CARRY_CHUNK_PAGES];
    uint8_t entry[CARRY_CHUNK_LEN];
    unsigned n = gather(b->rb->host + index * CARRY_CHUNK_BYTES, &c, iov);

    carry_digest(iov, n, c.digest);
    if (!keep_going(w->m, errp) || !carry_out_write(w->out, iov, n, w->at, errp)) {
        return false;
    }
    w->at += __builtin_popcountll(c.present & ~c.zero) * TARGET_PAGE_SIZE;
    carry_chunk_encode(entry, &c);
    g_byte_array_append(w->tables, entry, sizeof(entry));
    carry_report_pages(w->m, __builtin_popcountll(c.present));
    return true;
}

static bool write_chunks(Writer *w, const CarryGuest *g, Error **errp)
{
    for (unsigned i = 0; i < g->n_blocks; i++) {
        const RamSourceBlock *b = ram_source_block(w->m->ram, g->blocks[i].name);

        for (uint64_t c = 0; c < BITMAP_WORDS(b->pages); c++) {
            if (to_write(b)[c] && !write_chunk(w, i, b, c, errp)) {
                return false;
            }
        }
    }
    return true;
}

/* Chunks and pages are known before the first one is written, so the tables' room is, too. */
static void count(Writer *w, const CarryGuest *g)
{
    for (unsigned i = 0; i < g->n_blocks; i++) {
        const RamSourceBlock *b = ram_source_block(w->m->ram, g->blocks[i].name);

        for (uint64_t c = 0; c < BITMAP_WORDS(b->pages); c++) {
            w->head.n_chunks += to_write(b)[c] != 0;
            w->head.pages += __builtin_popcountl(to_write(b)[c]);
        }
    }
    w->at = ROUND_UP(CARRY_HEADER_LEN + w->tables->len + w->head.n_chunks * CARRY_CHUNK_LEN,
                     TARGET_PAGE_SIZE);
    carry_report_total(w->m, w->head.pages, 0);
}

bool carry_save(Migration *m, Error **errp)
{
    g_autoptr(CarryGuest) g = carry_guest_of(m, errp);
    g_autoptr(CarryOut) out = NULL;
    g_autoptr(GByteArray) tables = NULL;
    Writer w = { .m = m };
    bool good;

    carry_report_start(m, m->carry.address->filename);
    if (!g || !(out = carry_out_open(m->carry.address, errp))) {
        carry_report_end(m, false);
        return false;
    }
    w.out = out;
    w.head = carry_head_for(g, CARRY_REST);
    w.tables = tables = carry_tables_new(g);
    count(&w, g);
    good = write_chunks(&w, g, errp);
    if (good) {
        w.head.file_len = w.at;
        carry_head_set_tables(&w.head, tables);
        good = carry_out_commit(out, &w.head, tables, errp);
    }
    if (good) {
        carry_report_total(m, w.head.pages, w.head.file_len);
    }
    trace_carry_saved(m->carry.address->filename, w.head.pages, w.at, good);
    carry_report_end(m, good);
    return good;
}
