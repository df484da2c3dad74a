/*
 * What the test guest and the host know of each other: the parameter block in the
 * image and the status block in guest memory.  All fields are little endian.
 *
 * tests/guests/ferryguest.py is the same for Python tools.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_TESTS_GUEST_H
#define FERRY_TESTS_GUEST_H

#include <stdint.h>

#define GUEST_IMAGE_PARAMS 512        /* offset of the parameters in the image */
#define GUEST_LOAD_ADDRESS 0x7c00
#define GUEST_STATUS_ADDRESS 0x20000  /* guest-physical */
#define GUEST_CPUS_ADDRESS 0x20400    /* GuestCpu of every CPU */
#define GUEST_MAX_CPUS 8
#define GUEST_HISTOGRAM_ADDRESS 0x21000
#define GUEST_PARAMS_MAGIC 0x3152415059525246ULL /* "FRRYPAR1" */
#define GUEST_STATUS_MAGIC 0x3154534759525246ULL /* "FRRYGST1" */
#define GUEST_HIGH_START (4ULL << 30)
#define GUEST_PAGE 4096

enum GuestMode {
    GUEST_IDLE,       /* fill, then only poll for commands */
    GUEST_SEQUENTIAL, /* visit pages in order */
    GUEST_RANDOM,     /* visit pages in pseudo-random order */
    GUEST_READ,       /* as RANDOM, but only look */
};

enum GuestFlags {
    GUEST_TIME_VISITS = 1, /* histogram of the first touch of each visit */
    GUEST_QUIET = 2,       /* no progress dots */
};

enum GuestState {
    GUEST_FILLING = 1,
    GUEST_RUNNING = 2,
    GUEST_FROZEN = 3,
    GUEST_ERROR = 4,
};

typedef struct GuestParams {
    uint64_t magic;
    uint32_t version; /* 1 */
    uint32_t mode;
    uint64_t low_start;  /* first byte of the memory in use, page aligned */
    uint64_t low_bytes;
    uint64_t high_bytes; /* memory in use from 4 GiB on */
    uint64_t seed;
    uint32_t zero_percent;   /* pages that stay zero */
    uint32_t repeat_percent; /* pages whose words are all alike: they compress well */
    uint64_t interval;       /* TSC ticks between visits, 0: none */
    uint64_t flags;
    uint64_t cpus; /* that take part, 0 and 1: only the first */
} GuestParams;

typedef struct GuestStatus {
    uint64_t magic;
    uint32_t version; /* 1 */
    uint32_t state;
    uint64_t visits;
    uint64_t filled;   /* pages filled so far */
    uint64_t errors;
    uint64_t digest;   /* sum over non-zero pages of guest_mix(page, generation) */
    uint64_t error_address, error_expected, error_got;
    uint64_t self_checks; /* full checks done so far (each 'f' does one) */
    uint64_t tsc_hz;   /* measured against the PIT; 0: could not */
    uint64_t max_gap;  /* longest time between two visits, TSC ticks */
    uint64_t last_tsc;
    uint64_t touches, touch_sum, touch_max; /* of the histogram */
    GuestParams params;
} GuestStatus;

/* What a CPU but the first says of itself; each writes only its own. */
typedef struct GuestCpu {
    uint64_t started;
    uint64_t visits;
    uint64_t retries; /* the first CPU was just writing the page */
    uint64_t errors;
    uint64_t unused[4];
} GuestCpu;

/*
 * Log-linear histogram of touch times in TSC ticks: bucket b of power p counts times in
 * [2^p + b*2^(p-5), ...).  Index (p - GUEST_HIST_MIN) * 32 + b.
 */
#define GUEST_HIST_MIN 6
#define GUEST_HIST_POWERS 34
#define GUEST_HIST_SUB 32
#define GUEST_HIST_SIZE (GUEST_HIST_POWERS * GUEST_HIST_SUB)

/* First words of a page that is in use; then pseudo-random words; last word = generation. */
typedef struct GuestPage {
    uint64_t page; /* address / 4096 */
    uint64_t generation;
    uint64_t check; /* guest_mix(page, generation) */
} GuestPage;

static inline uint64_t guest_mix(uint64_t a, uint64_t b)
{
    uint64_t x = a * 0x9e3779b97f4a7c15ULL + (b ^ 0xd1b54a32d192ed03ULL) * 0xbf58476d1ce4e5b9ULL;

    x ^= x >> 31;
    x *= 0x94d049bb133111ebULL;
    return x ^ x >> 29;
}

static inline uint64_t guest_next(uint64_t x)
{
    x ^= x << 13;
    x ^= x >> 7;
    return x ^ x << 17;
}

enum GuestPageKind { GUEST_PAGE_RANDOM, GUEST_PAGE_ZERO, GUEST_PAGE_REPEAT };

static inline enum GuestPageKind guest_page_kind(const GuestParams *p, uint64_t page)
{
    uint32_t percent = (uint32_t)(guest_mix(page, p->seed ^ 77) % 100);

    if (percent < p->zero_percent) {
        return GUEST_PAGE_ZERO;
    }
    return percent < p->zero_percent + p->repeat_percent ? GUEST_PAGE_REPEAT : GUEST_PAGE_RANDOM;
}

#endif
