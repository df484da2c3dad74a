/*
 * Bitmaps.  Pure; see the header for which functions may race.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "util/bitmap.h"

#include "util/util.h"

unsigned long *bitmap_new(uint64_t nbits)
{
    return g_new0(unsigned long, BITMAP_WORDS(nbits) + 1);
}

/* The bits of word `w` that lie in [start, end). */
static unsigned long word_mask(uint64_t w, uint64_t start, uint64_t end)
{
    uint64_t first = w * BITS_PER_LONG;
    unsigned long mask = ~0UL;

    if (start > first) {
        mask &= ~0UL << (start - first);
    }
    if (end < first + BITS_PER_LONG) {
        mask &= ~0UL >> (first + BITS_PER_LONG - end);
    }
    return mask;
}

#define FOREACH_WORD(w, start, n) \
    for (uint64_t w = BITMAP_WORD(start), end_ = (start) + (n); (n) && w <= BITMAP_WORD(end_ - 1); w++)

void bitmap_set(unsigned long *map, uint64_t start, uint64_t n)
{
    FOREACH_WORD(w, start, n) {
        map[w] |= word_mask(w, start, start + n);
    }
}

void bitmap_clear(unsigned long *map, uint64_t start, uint64_t n)
{
    FOREACH_WORD(w, start, n) {
        map[w] &= ~word_mask(w, start, start + n);
    }
}

void bitmap_set_atomic(unsigned long *map, uint64_t start, uint64_t n)
{
    FOREACH_WORD(w, start, n) {
        __atomic_fetch_or(&map[w], word_mask(w, start, start + n), __ATOMIC_SEQ_CST);
    }
}

uint64_t bitmap_test_and_clear_range_atomic(unsigned long *map, uint64_t start, uint64_t n)
{
    uint64_t count = 0;

    FOREACH_WORD(w, start, n) {
        unsigned long mask = word_mask(w, start, start + n);
        if (__atomic_load_n(&map[w], __ATOMIC_RELAXED) & mask) {
            unsigned long old = __atomic_fetch_and(&map[w], ~mask, __ATOMIC_SEQ_CST);
            count += __builtin_popcountl(old & mask);
        }
    }
    return count;
}

static uint64_t find_next(const unsigned long *map, uint64_t size, uint64_t start,
                          unsigned long invert)
{
    if (start >= size) {
        return size;
    }
    for (uint64_t w = BITMAP_WORD(start); w <= BITMAP_WORD(size - 1); w++) {
        unsigned long v = __atomic_load_n(&map[w], __ATOMIC_RELAXED) ^ invert;
        v &= word_mask(w, start, size);
        if (v) {
            return w * BITS_PER_LONG + __builtin_ctzl(v);
        }
    }
    return size;
}

uint64_t bitmap_find_next(const unsigned long *map, uint64_t size, uint64_t start)
{
    return find_next(map, size, start, 0);
}

uint64_t bitmap_find_next_zero(const unsigned long *map, uint64_t size, uint64_t start)
{
    return find_next(map, size, start, ~0UL);
}

uint64_t bitmap_count(const unsigned long *map, uint64_t start, uint64_t n)
{
    uint64_t count = 0;

    FOREACH_WORD(w, start, n) {
        unsigned long v = __atomic_load_n(&map[w], __ATOMIC_RELAXED);
        count += __builtin_popcountl(v & word_mask(w, start, start + n));
    }
    return count;
}
