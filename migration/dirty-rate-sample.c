/*
 * Some pages of guest memory, remembered by a hash of their contents.
 *
 * No thread of its own: machine lock.  A block that went away meanwhile, or has another
 * size, is left out.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "dirty-rate.h"

#include <string.h>

#include "system/ramblock.h"
#include "util/util.h"

/* Fewer say nothing of a small block. */
#define SAMPLES_MIN 64

typedef struct SamplePage {
    uint64_t page, hash;
} SamplePage;

typedef struct SampleBlock {
    char idstr[256];
    uint64_t pages; /* of the block */
    uint64_t n;
    SamplePage *samples;
} SampleBlock;

struct SampleSet {
    GArray *blocks; /* of SampleBlock */
};

static uint64_t hash_page(const RAMBlock *rb, uint64_t page)
{
    const uint64_t *p = (const uint64_t *)(rb->host + (page << TARGET_PAGE_BITS));
    uint64_t h = 0;

    for (unsigned i = 0; i < TARGET_PAGE_SIZE / sizeof(*p); i++) {
        h = (h << 5 | h >> 59) ^ p[i];
        h *= 0x9e3779b97f4a7c15ULL;
    }
    return h;
}

static void take_block(SampleSet *set, GRand *rand, const RAMBlock *rb, uint64_t per_gib)
{
    SampleBlock b = { .pages = ramblock_pages(rb) };

    if (!b.pages) {
        return;
    }
    b.n = MAX(rb->used_length / MiB * per_gib / (GiB / MiB), SAMPLES_MIN);
    b.n = MIN(b.n, b.pages);
    b.samples = g_new(SamplePage, b.n);
    g_strlcpy(b.idstr, rb->idstr, sizeof(b.idstr));
    /* One of each stretch: no page twice, and no part of the block unseen. */
    for (uint64_t i = 0; i < b.n; i++) {
        uint64_t first = i * b.pages / b.n, end = (i + 1) * b.pages / b.n;
        uint64_t page = first + (uint64_t)(g_rand_double(rand) * (end - first));

        b.samples[i] = (SamplePage){ page, hash_page(rb, page) };
    }
    g_array_append_val(set->blocks, b);
}

static void clear_block(gpointer p)
{
    g_free(((SampleBlock *)p)->samples);
}

SampleSet *sample_take(uint64_t pages_per_gib)
{
    SampleSet *set = g_new0(SampleSet, 1);
    GRand *rand = g_rand_new();

    set->blocks = g_array_new(false, false, sizeof(SampleBlock));
    g_array_set_clear_func(set->blocks, clear_block);
    RAMBLOCK_FOREACH_MIGRATABLE(rb) {
        take_block(set, rand, rb, pages_per_gib);
    }
    g_rand_free(rand);
    return set;
}

uint64_t sample_changed_bytes(const SampleSet *set)
{
    double bytes = 0;

    for (guint i = 0; i < set->blocks->len; i++) {
        const SampleBlock *b = &g_array_index(set->blocks, SampleBlock, i);
        const RAMBlock *rb = ramblock_by_name(b->idstr);
        uint64_t changed = 0;

        if (!rb || ramblock_pages(rb) != b->pages) {
            continue;
        }
        for (uint64_t k = 0; k < b->n; k++) {
            changed += hash_page(rb, b->samples[k].page) != b->samples[k].hash;
        }
        bytes += (double)changed / b->n * rb->used_length;
    }
    return (uint64_t)bytes;
}

void sample_free(SampleSet *set)
{
    if (set) {
        g_array_unref(set->blocks);
        g_free(set);
    }
}
