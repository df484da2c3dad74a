/*
 * Zero-page test.  Pure.
 *
 * The wide version is compiled for AVX2 and chosen once by the dynamic linker
 * (ifunc), so one binary runs on every x86-64.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "util/util.h"

typedef uint64_t Vec __attribute__((vector_size(64), aligned(1), may_alias));

/* ThreadSanitizer is not there yet when the dynamic linker chooses. */
#ifdef CONFIG_TSAN
#define FOR_THIS_CPU
#else
#define FOR_THIS_CPU __attribute__((target_clones("avx2", "default")))
#endif

FOR_THIS_CPU static bool is_zero_wide(const char *p, size_t n)
{
    const char *end = p + n;

    for (; end - p >= 256; p += 256) {
        const Vec *v = (const Vec *)p;
        Vec x = v[0] | v[1] | v[2] | v[3];
        uint64_t acc = x[0] | x[1] | x[2] | x[3] | x[4] | x[5] | x[6] | x[7];
        if (acc) {
            return false;
        }
    }
    for (; p < end; p++) {
        if (*p) {
            return false;
        }
    }
    return true;
}

bool buffer_is_zero(const void *p, size_t n)
{
    const char *c = p;
    uint64_t head, tail;

    /* Most pages that are not zero show it at an edge or in the middle. */
    if (n < 8) {
        return is_zero_wide(c, n);
    }
    memcpy(&head, c, 8);
    memcpy(&tail, c + n - 8, 8);
    if (head | tail | (uint64_t)(unsigned char)c[n / 2]) {
        return false;
    }
    return is_zero_wide(c, n);
}
