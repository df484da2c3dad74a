/*
 * Bitmaps of unsigned longs, least significant bit first, and ranges of bits.
 *
 * Functions with _atomic may race with each other on the same word; the others
 * need the caller's own exclusion.  All positions and counts are in bits.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_UTIL_BITMAP_H
#define FERRY_UTIL_BITMAP_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#define BITS_PER_LONG (8 * (unsigned)sizeof(unsigned long))
#define BITMAP_WORD(nr) ((nr) / BITS_PER_LONG)
#define BITMAP_MASK(nr) (1UL << ((nr) % BITS_PER_LONG))
#define BITMAP_WORDS(nbits) (((nbits) + BITS_PER_LONG - 1) / BITS_PER_LONG)
#define BITMAP_BYTES(nbits) (BITMAP_WORDS(nbits) * sizeof(unsigned long))

static inline bool bitmap_test(const unsigned long *map, uint64_t nr)
{
    return (__atomic_load_n(&map[BITMAP_WORD(nr)], __ATOMIC_RELAXED) & BITMAP_MASK(nr)) != 0;
}

static inline void bitmap_set_bit(unsigned long *map, uint64_t nr)
{
    map[BITMAP_WORD(nr)] |= BITMAP_MASK(nr);
}

static inline void bitmap_clear_bit(unsigned long *map, uint64_t nr)
{
    map[BITMAP_WORD(nr)] &= ~BITMAP_MASK(nr);
}

/* Set/clear one bit; returns its former value. */
static inline bool bitmap_test_and_set_atomic(unsigned long *map, uint64_t nr)
{
    return (__atomic_fetch_or(&map[BITMAP_WORD(nr)], BITMAP_MASK(nr), __ATOMIC_SEQ_CST) &
            BITMAP_MASK(nr)) != 0;
}

static inline bool bitmap_test_and_clear_atomic(unsigned long *map, uint64_t nr)
{
    return (__atomic_fetch_and(&map[BITMAP_WORD(nr)], ~BITMAP_MASK(nr), __ATOMIC_SEQ_CST) &
            BITMAP_MASK(nr)) != 0;
}

/* All-zero bitmap of nbits; free with g_free(). */
unsigned long *bitmap_new(uint64_t nbits);
void bitmap_set(unsigned long *map, uint64_t start, uint64_t n);
void bitmap_clear(unsigned long *map, uint64_t start, uint64_t n);
void bitmap_set_atomic(unsigned long *map, uint64_t start, uint64_t n);
/* Clear n bits; returns how many of them were set. */
uint64_t bitmap_test_and_clear_range_atomic(unsigned long *map, uint64_t start, uint64_t n);
/* First set/clear bit in [start, size), or size. */
uint64_t bitmap_find_next(const unsigned long *map, uint64_t size, uint64_t start);
uint64_t bitmap_find_next_zero(const unsigned long *map, uint64_t size, uint64_t start);
/* Set bits in [start, start+n). */
uint64_t bitmap_count(const unsigned long *map, uint64_t start, uint64_t n);

#endif
