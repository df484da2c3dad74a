/*
 * Populating the destination's memory in regions of 2 MiB, with huge or small pages.
 *
 * Belongs to the thread that reads the main stream.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "ram-populate.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "trace/migration.h"
#include "util/util.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define PROBE_EVERY 16
#define PROBES_MAX 4096

/* Half of what the host could give without swapping: populating ahead is only an advance. */
static uint64_t host_memory_to_spare(void)
{
    g_autofree char *text = NULL;
    const char *at;
    unsigned long long kib;

    if (g_file_get_contents("/proc/meminfo", &text, NULL, NULL) &&
        (at = strstr(text, "MemAvailable:")) && sscanf(at, "MemAvailable: %llu kB", &kib) == 1) {
        return kib * KiB / 2;
    }
    return 0;
}

void populator_init(Populator *p)
{
    *p = (Populator){ .budget = host_memory_to_spare() };
}

static uint64_t median(const uint64_t ns[POPULATE_SAMPLES])
{
    uint64_t v[POPULATE_SAMPLES];

    memcpy(v, ns, sizeof(v));
    for (int i = 1; i < POPULATE_SAMPLES; i++) {
        for (int j = i; j > 0 && v[j - 1] > v[j]; j--) {
            uint64_t t = v[j];
            v[j] = v[j - 1];
            v[j - 1] = t;
        }
    }
    return v[POPULATE_SAMPLES / 2];
}

PopulateKind populate_choose(PopulateChoice *c)
{
    bool small = median(c->ns[POPULATE_SMALL]) < median(c->ns[POPULATE_HUGE]);
    uint64_t n = c->regions++;

    if (n < 2 * POPULATE_SAMPLES) {
        return n % 2 ? POPULATE_SMALL : POPULATE_HUGE;
    }
    /* Each change of kind splits the mapping: not without end. */
    if (n % PROBE_EVERY == 0 && n / PROBE_EVERY < PROBES_MAX) {
        small = !small;
    }
    return small ? POPULATE_SMALL : POPULATE_HUGE;
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

bool populate_ahead(Populator *p, RAMBlock *rb, uint64_t start, uint64_t len)
{
    uint8_t *host = rb->host + start;
    bool choice = rb->fd < 0 && len == POPULATE_REGION;
    PopulateKind kind = choice ? populate_choose(&p->choice) : POPULATE_SMALL;
    uint64_t begin;

    if (p->budget < len) {
        return false;
    }
    p->budget -= len;
    begin = thread_ns();
    if (choice) {
        /* An advice: where it is refused both kinds cost the same. */
        madvise(host, len, kind == POPULATE_HUGE ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
    }
    if (madvise(host, len, MADV_POPULATE_WRITE) < 0) {
        return false; /* the pages come one by one then, as they are written */
    }
    if (choice) {
        populate_learn(&p->choice, kind, thread_ns() - begin);
    }
    trace_ram_populate(rb->idstr, start, kind == POPULATE_HUGE, thread_ns() - begin);
    return true;
}
