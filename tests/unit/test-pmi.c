/*
 * Unit tests of migration/postcopy-ram/pmi.c: the three states, small and huge host
 * pages, and the race of who asks with who delivers.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "migration/postcopy-ram/pmi.h"
#include "util/bitmap.h"
#include "util/util.h"

#define PAGE TARGET_PAGE_SIZE
#define HUGE (2 * MiB)

/* Blocks of pretended memory: the map never touches it. */
static RAMBlock small = { .idstr = "small",
                          .host = (uint8_t *)0x10000000,
                          .used_length = 1000 * PAGE,
                          .page_size = PAGE };
static RAMBlock huge = { .idstr = "huge",
                         .host = (uint8_t *)0x80000000,
                         .used_length = 8 * HUGE,
                         .page_size = HUGE };
static RAMBlock *const both[] = { &huge, &small };

static void test_find(void)
{
    g_autoptr(Pmi) pmi = pmi_new(both, NULL, 2);
    RAMBlock other = { 0 };
    uint64_t offset = 0;

    g_assert_true(pmi_find(pmi, &small) == &pmi->blocks[1]);
    g_assert_null(pmi_find(pmi, &other));
    g_assert_true(pmi_find_host(pmi, huge.host + 12345, &offset) == &pmi->blocks[0]);
    g_assert_cmpuint(offset, ==, 12345);
    g_assert_null(pmi_find_host(pmi, small.host - 1, &offset));
    g_assert_null(pmi_find_host(pmi, small.host + small.used_length, &offset));
}

static void test_states(void)
{
    g_autoptr(Pmi) pmi = pmi_new(both, NULL, 2);
    PmiBlock *b = pmi_find(pmi, &small);

    g_assert_cmpint(pmi_state(b, 5 * PAGE), ==, PMI_MISSING);
    /* Two vCPUs on one page: only the first one's fault asks. */
    g_assert_cmpint(pmi_request(pmi, b, 5 * PAGE), ==, PMI_MISSING);
    g_assert_cmpint(pmi_request(pmi, b, 5 * PAGE), ==, PMI_REQUESTED);
    g_assert_cmpint(pmi_state(b, 5 * PAGE), ==, PMI_REQUESTED);
    g_assert_cmpint(pmi_outstanding(pmi), ==, 1);
    g_assert_true(pmi_any_requested(b, 0, 10 * PAGE));
    g_assert_false(pmi_any_requested(b, 6 * PAGE, 10 * PAGE));
    g_assert_cmpuint(pmi_received(pmi, b, 4 * PAGE, 3 * PAGE), ==, 1);
    g_assert_cmpint(pmi_state(b, 5 * PAGE), ==, PMI_RECEIVED);
    g_assert_cmpint(pmi_outstanding(pmi), ==, 0);
    /* It came before it was asked for. */
    g_assert_cmpint(pmi_request(pmi, b, 4 * PAGE), ==, PMI_RECEIVED);
    g_assert_false(pmi_received(pmi, b, 4 * PAGE, PAGE));
    /* Taken back. */
    g_assert_cmpint(pmi_request(pmi, b, 9 * PAGE), ==, PMI_MISSING);
    pmi_discard(pmi, b, 4 * PAGE, 6 * PAGE);
    g_assert_cmpint(pmi_state(b, 5 * PAGE), ==, PMI_MISSING);
    g_assert_cmpint(pmi_state(b, 9 * PAGE), ==, PMI_MISSING);
    g_assert_cmpint(pmi_outstanding(pmi), ==, 0);
}

static void test_huge(void)
{
    g_autoptr(Pmi) pmi = pmi_new(both, NULL, 2);
    PmiBlock *b = pmi_find(pmi, &huge);

    g_assert_cmpuint(b->pages_per_host, ==, 512);
    g_assert_cmpint(pmi_request(pmi, b, HUGE + 3 * PAGE), ==, PMI_MISSING);
    g_assert_cmpint(pmi_request(pmi, b, HUGE + 500 * PAGE), ==, PMI_REQUESTED);
    /* A part of it is not it. */
    g_assert_false(pmi_received(pmi, b, HUGE, HUGE - PAGE));
    g_assert_cmpint(pmi_state(b, HUGE), ==, PMI_REQUESTED);
    g_assert_true(pmi_received(pmi, b, 2 * HUGE - PAGE, PAGE));
    g_assert_cmpint(pmi_state(b, HUGE), ==, PMI_RECEIVED);
    g_assert_cmpint(pmi_state(b, 0), ==, PMI_MISSING);
    g_assert_cmpint(pmi_state(b, 2 * HUGE), ==, PMI_MISSING);
}

/* pmi_next_missing against a page by page model. */
static void check_missing_model(PmiBlock *b)
{
    uint64_t offset = 0, start, len, expect = 0;

    while (pmi_next_missing(b, offset, &start, &len)) {
        for (; expect < start; expect += b->rb->page_size) {
            g_assert_cmpint(pmi_state(b, expect), ==, PMI_RECEIVED);
        }
        for (; expect < start + len; expect += b->rb->page_size) {
            g_assert_cmpint(pmi_state(b, expect), !=, PMI_RECEIVED);
        }
        offset = start + len;
    }
    for (; expect < b->length; expect += b->rb->page_size) {
        g_assert_cmpint(pmi_state(b, expect), ==, PMI_RECEIVED);
    }
}

static void test_next_missing(void)
{
    for (int round = 0; round < 200; round++) {
        g_autoptr(Pmi) pmi = pmi_new(both, NULL, 2);
        int n = g_test_rand_int_range(0, 40);

        for (unsigned i = 0; i < 2; i++) {
            PmiBlock *b = &pmi->blocks[i];
            for (int j = 0; j < n; j++) {
                uint64_t p = g_test_rand_int_range(0, b->pages);
                uint64_t len = g_test_rand_int_range(1, 1200);
                pmi_received(pmi, b, p * PAGE, MIN(len, b->pages - p) * PAGE);
            }
            check_missing_model(b);
        }
    }
}

static void test_shared_bitmap(void)
{
    g_autofree unsigned long *received = bitmap_new(1000);
    RAMBlock *rb = &small;
    g_autoptr(Pmi) pmi = NULL;

    bitmap_set_bit(received, 3);
    pmi = pmi_new(&rb, &received, 1);
    g_assert_cmpint(pmi_request(pmi, &pmi->blocks[0], 3 * PAGE), ==, PMI_RECEIVED);
    pmi_received(pmi, &pmi->blocks[0], 4 * PAGE, PAGE);
    g_assert_true(bitmap_test(received, 4));
}

/*
 * Faulting threads against a delivering one.  Nobody may be forgotten: after all is
 * delivered nothing is REQUESTED, and each page was asked for at most once a fault
 * that found it missing.
 */
typedef struct Race {
    Pmi *pmi;
    int go;       /* atomic */
    int asked;    /* atomic: pmi_request said MISSING */
    int answered; /* atomic: pmi_received said that somebody waited */
} Race;

static void *race_fault(void *opaque)
{
    Race *r = opaque;
    PmiBlock *b = &r->pmi->blocks[1];

    while (!g_atomic_int_get(&r->go)) {
    }
    for (uint64_t p = 0; p < b->pages; p++) {
        if (pmi_request(r->pmi, b, p * PAGE) == PMI_MISSING) {
            g_atomic_int_inc(&r->asked);
        }
    }
    return NULL;
}

static void *race_deliver(void *opaque)
{
    Race *r = opaque;
    PmiBlock *b = &r->pmi->blocks[1];

    while (!g_atomic_int_get(&r->go)) {
    }
    for (uint64_t p = 0; p < b->pages; p++) {
        if (pmi_received(r->pmi, b, p * PAGE, PAGE)) {
            g_atomic_int_inc(&r->answered);
        }
    }
    return NULL;
}

static void test_race(void)
{
    for (int round = 0; round < 300; round++) {
        g_autoptr(Pmi) pmi = pmi_new(both, NULL, 2);
        Race r = { .pmi = pmi };
        GThread *th[3];

        th[0] = g_thread_new("fault-0", race_fault, &r);
        th[1] = g_thread_new("fault-1", race_fault, &r);
        th[2] = g_thread_new("deliver", race_deliver, &r);
        g_atomic_int_set(&r.go, 1);
        for (int i = 0; i < 3; i++) {
            g_thread_join(th[i]);
        }
        g_assert_cmpint(pmi_outstanding(pmi), ==, 0);
        g_assert_cmpuint(bitmap_count(pmi->blocks[1].requested, 0, 1000), ==, 0);
        g_assert_cmpuint(bitmap_count(pmi->blocks[1].received, 0, 1000), ==, 1000);
        g_assert_cmpint(r.answered, <=, r.asked + 1000);
        g_assert_cmpint(r.asked, <=, r.answered);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/pmi/find", test_find);
    g_test_add_func("/pmi/states", test_states);
    g_test_add_func("/pmi/huge", test_huge);
    g_test_add_func("/pmi/next-missing", test_next_missing);
    g_test_add_func("/pmi/shared-bitmap", test_shared_bitmap);
    g_test_add_func("/pmi/race", test_race);
    return g_test_run();
}
