/*
 * Populating the destination's memory in regions of 2 MiB, with huge or small pages: the
 * region that data comes for, by the thread that reads the main stream; those behind it, by
 * a helper thread ("populate"), so that on a host that is slow to give memory the two overlap.
 *
 * The helper looks one region ahead at first and twice as far with each region that follows
 * its predecessor, up to AHEAD_MAX; zero pages make it look less far.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "ram-populate.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "trace/migration.h"
#include "util/bitmap.h"
#include "util/util.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define PROBE_EVERY 16
#define PROBES_MAX 4096 /* each change of kind splits the mapping: not without end */
#define AHEAD_MAX 16

/* Keys: [i] reader's thread, [P] lock. */
struct Populator {
    const PopulateBlock *last; /* [i] region that data came for last */
    uint64_t last_region;      /* [i] */
    unsigned ahead;            /* [i] regions that the helper looks ahead */
    bool stopped;              /* [i] */
    GThread *helper;           /* [i] NULL: not needed yet */

    GMutex lock;
    GCond wake;                /* for the helper: there is a job */
    GCond done;                /* for the reader: busy has changed */
    bool quit;                 /* [P] */
    uint64_t budget;           /* [P] bytes that may still be populated */
    PopulateChoice choice;     /* [P] */
    PopulateBlock *job;        /* [P] the helper's job: regions [from, to) */
    uint64_t from, to;         /* [P] */
    PopulateBlock *busy;       /* [P] what the helper is doing */
    uint64_t busy_region;      /* [P] */
};

/* ---- which kind of page ---- */

static uint64_t median(const uint64_t ns[POPULATE_SAMPLES])
{
    uint64_t low = MIN(ns[0], ns[1]), high = MAX(ns[0], ns[1]);

    G_STATIC_ASSERT(POPULATE_SAMPLES == 3);
    return CLAMP(ns[2], low, high);
}

PopulateKind populate_choose(PopulateChoice *c)
{
    uint64_t small = median(c->ns[POPULATE_SMALL]), huge = median(c->ns[POPULATE_HUGE]);
    PopulateKind kind = small < huge ? POPULATE_SMALL : POPULATE_HUGE;
    uint64_t n = c->regions++;

    if (n < 2 * POPULATE_SAMPLES) {
        c->next_probe = 2 * POPULATE_SAMPLES + PROBE_EVERY;
        return n % 2 ? POPULATE_SMALL : POPULATE_HUGE;
    }
    if (n < c->next_probe || c->probes >= PROBES_MAX) {
        return kind;
    }
    c->probes++;
    c->next_probe = n + PROBE_EVERY * MAX(MAX(small, huge) / MAX(MIN(small, huge), 1), 1);
    return kind == POPULATE_SMALL ? POPULATE_HUGE : POPULATE_SMALL;
}

void populate_learn(PopulateChoice *c, PopulateKind kind, uint64_t ns)
{
    c->ns[kind][c->at[kind]] = MAX(ns, 1);
    c->at[kind] = (c->at[kind] + 1) % POPULATE_SAMPLES;
}

/* CPU time: what other threads take meanwhile is not the populating's fault. */
static uint64_t thread_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

/* ---- one region ---- */

/*
 * The first page of a mapping ties all of it to one anon_vma (mm/rmap.c).  Only parts that
 * share it become one mapping again when their advice is the same again.  Lock held.
 */
static bool tie_together(PopulateBlock *b)
{
    if (!b->tied) {
        b->tied = madvise(b->rb->host, getpagesize(), MADV_POPULATE_WRITE) == 0;
    }
    return b->tied;
}

/* Its bit is set; lock held, dropped meanwhile. */
static void populate_locked(Populator *p, PopulateBlock *b, uint64_t region)
{
    RAMBlock *rb = b->rb;
    uint64_t start = region * POPULATE_REGION;
    uint64_t len = MIN(POPULATE_REGION, rb->used_length - start);
    bool choice = rb->fd < 0 && len == POPULATE_REGION && tie_together(b);
    PopulateKind kind = choice ? populate_choose(&p->choice) : POPULATE_SMALL;
    uint8_t *host = rb->host + start;
    bool good;

    if (p->budget < len) {
        return;
    }
    p->budget -= len;
    g_mutex_unlock(&p->lock);
    uint64_t ns = thread_ns();
    if (choice) {
        /* An advice: where it is refused both kinds cost the same. */
        madvise(host, len, kind == POPULATE_HUGE ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
    }
    good = madvise(host, len, MADV_POPULATE_WRITE) == 0;
    ns = thread_ns() - ns;
    trace_ram_populate(rb->idstr, start, kind == POPULATE_HUGE, ns);
    g_mutex_lock(&p->lock);
    if (!good) {
        p->budget = 0; /* the pages come one by one then, as they are written */
    } else if (choice) {
        populate_learn(&p->choice, kind, ns);
    }
}

/* ---- the helper ---- */

/* Next region of the job that nobody has begun; lock held. */
static bool next_job(Populator *p, uint64_t *ret_region)
{
    if (!p->job) {
        return false;
    }
    *ret_region = bitmap_find_next_zero(p->job->populated, p->to, p->from);
    p->from = *ret_region + 1;
    if (*ret_region < p->to && p->budget) {
        return true;
    }
    p->job = NULL;
    return false;
}

static void *helper_thread(void *opaque)
{
    Populator *p = opaque;
    uint64_t region;

    g_mutex_lock(&p->lock);
    while (!p->quit) {
        if (!next_job(p, &region)) {
            g_cond_wait(&p->wake, &p->lock);
            continue;
        }
        p->busy = p->job;
        p->busy_region = region;
        bitmap_set_bit(p->busy->populated, region);
        populate_locked(p, p->busy, region);
        p->busy = NULL;
        g_cond_broadcast(&p->done);
    }
    g_mutex_unlock(&p->lock);
    return NULL;
}

/* ---- the reader's side ---- */

Populator *populator_new(void)
{
    Populator *p = g_new0(Populator, 1);
    g_autofree char *text = NULL;
    const char *at;
    unsigned long long kib;

    g_mutex_init(&p->lock);
    g_cond_init(&p->wake);
    g_cond_init(&p->done);
    /* Half of what the host could give without swapping: this is only an advance. */
    if (g_file_get_contents("/proc/meminfo", &text, NULL, NULL) &&
        (at = strstr(text, "MemAvailable:")) && sscanf(at, "MemAvailable: %llu kB", &kib) == 1) {
        p->budget = kib * KiB / 2;
    }
    return p;
}

void populator_stop(Populator *p)
{
    p->stopped = true;
    if (p->helper) {
        g_mutex_lock(&p->lock);
        p->quit = true;
        g_cond_signal(&p->wake);
        g_mutex_unlock(&p->lock);
        g_thread_join(g_steal_pointer(&p->helper));
    }
}

void populator_free(Populator *p)
{
    if (!p) {
        return;
    }
    populator_stop(p);
    g_mutex_clear(&p->lock);
    g_cond_clear(&p->wake);
    g_cond_clear(&p->done);
    g_free(p);
}

void populate_block_init(PopulateBlock *b, RAMBlock *rb, bool wanted)
{
    *b = (PopulateBlock){ 0 };
    if (wanted) {
        b->rb = rb;
        b->regions = (rb->used_length + POPULATE_REGION - 1) / POPULATE_REGION;
        b->populated = bitmap_new(b->regions);
        b->used = bitmap_new(b->regions);
    }
}

void populate_block_clear(PopulateBlock *b)
{
    g_free(b->populated);
    g_free(b->used);
}

void populate_for(Populator *p, PopulateBlock *b, uint64_t offset)
{
    uint64_t region = offset / POPULATE_REGION;
    bool follows = p->last == b && region == p->last_region + 1;

    if (!b->rb || p->stopped || (p->last == b && p->last_region == region)) {
        return;
    }
    p->last = b;
    p->last_region = region;
    if (bitmap_test(b->used, region)) {
        return;
    }
    bitmap_set_bit(b->used, region);
    p->ahead = follows ? MIN(MAX(p->ahead * 2, 1), AHEAD_MAX) : 0;
    if (p->ahead && !p->helper) {
        p->helper = thread_try_start("populate", helper_thread, p, NULL);
        p->ahead = p->helper ? p->ahead : 0; /* without: region by region, as they come */
    }
    g_mutex_lock(&p->lock);
    if (p->ahead) {
        p->job = b;
        p->from = region + 1;
        p->to = MIN(p->from + p->ahead, b->regions);
        g_cond_signal(&p->wake);
    }
    while (p->busy == b && p->busy_region == region) {
        g_cond_wait(&p->done, &p->lock);
    }
    if (!bitmap_test(b->populated, region)) {
        bitmap_set_bit(b->populated, region);
        populate_locked(p, b, region);
    }
    g_mutex_unlock(&p->lock);
}

void populate_zero_seen(Populator *p)
{
    p->ahead /= 2;
}

void populate_trim(Populator *p, PopulateBlock *b, const unsigned long *received)
{
    const uint64_t pages = POPULATE_REGION / TARGET_PAGE_SIZE;

    populator_stop(p);
    for (uint64_t region = 0; b->rb && region < b->regions; region++) {
        uint64_t first = region * pages, end = MIN(first + pages, ramblock_pages(b->rb));

        if (bitmap_test(b->populated, region) && !bitmap_test(b->used, region) &&
            bitmap_find_next_zero(received, end, first) == end) {
            /* Only memory is at stake: a failure leaves it as it is. */
            ramblock_discard(b->rb, first * TARGET_PAGE_SIZE, (end - first) * TARGET_PAGE_SIZE,
                             NULL);
        }
    }
}
