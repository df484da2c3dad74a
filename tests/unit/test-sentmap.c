/*
 * Unit tests of the sent map and the discard commands: against a page by page model,
 * with small and huge host pages; the wire form; the effect on real memory.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include <sys/mman.h>

#include "migration/postcopy-ram/discard.h"
#include "migration/postcopy-ram/sentmap.h"
#include "util/bitmap.h"
#include "util/util.h"

#define PAGE TARGET_PAGE_SIZE

/* Fill with runs of random length, or leave a random extreme. */
static void random_bits(unsigned long *map, uint64_t n)
{
    int kind = g_test_rand_int_range(0, 4);
    uint64_t p = 0;
    bool on = false;

    if (kind == 0) {
        return;
    }
    if (kind == 1) {
        bitmap_set(map, 0, n);
        return;
    }
    while (p < n) {
        uint64_t len = g_test_rand_int_range(1, kind == 2 ? 4 : 700);
        len = MIN(len, n - p);
        if (on) {
            bitmap_set(map, p, len);
        }
        on = !on;
        p += len;
    }
}

static void check_against_model(uint64_t pages, unsigned per_host)
{
    g_autofree unsigned long *dirty = bitmap_new(pages), *sent = bitmap_new(pages);
    g_autofree bool *model = g_new0(bool, pages);
    g_autoptr(GArray) ranges = g_array_new(FALSE, FALSE, sizeof(WireRange));
    uint64_t resent = 0, never = 0, unclaimed = 0, total = 0, widened = 0, last_end = 0;
    SentmapResult r;

    random_bits(dirty, pages);
    random_bits(sent, pages);
    for (uint64_t p = 0; p < pages; p++) {
        bool d = bitmap_test(dirty, p), s = bitmap_test(sent, p);

        resent += d && s;
        never += !s;
        unclaimed += !s && !d;
        if (d || !s) {
            for (uint64_t q = p - p % per_host; q < p - p % per_host + per_host; q++) {
                model[q] = true;
            }
        }
    }
    for (uint64_t p = 0; p < pages; p++) {
        total += model[p];
    }
    widened = total - resent - never;

    r = sentmap_discards(dirty, sent, pages, per_host, ranges);
    g_assert_cmpuint(r.resent, ==, resent);
    g_assert_cmpuint(r.never_sent, ==, never);
    g_assert_cmpuint(r.unclaimed, ==, unclaimed);
    g_assert_cmpuint(r.widened, ==, widened);
    for (unsigned i = 0; i < ranges->len; i++) {
        WireRange range = g_array_index(ranges, WireRange, i);

        /* Ascending, never adjacent, whole host pages. */
        g_assert_true(i == 0 || range.start > last_end);
        g_assert_cmpuint(range.start % (per_host * PAGE), ==, 0);
        g_assert_cmpuint(range.length % (per_host * PAGE), ==, 0);
        for (uint64_t p = range.start / PAGE; p < (range.start + range.length) / PAGE; p++) {
            g_assert_true(model[p] && bitmap_test(dirty, p));
            model[p] = false;
        }
        last_end = range.start + range.length;
    }
    for (uint64_t p = 0; p < pages; p++) {
        g_assert_false(model[p]);
    }
    g_assert_cmpuint(bitmap_count(dirty, 0, pages), ==, total);
}

static void test_model(void)
{
    for (int i = 0; i < 400; i++) {
        check_against_model(g_test_rand_int_range(1, 3000), 1);
        check_against_model(512 * (uint64_t)g_test_rand_int_range(1, 6), 512);
        check_against_model(16 * (uint64_t)g_test_rand_int_range(1, 100), 16);
    }
}

static void test_text(void)
{
    g_autofree unsigned long *map = bitmap_new(200);
    g_autofree char *empty = bitmap_runs_to_text(map, 200, 0);
    g_autofree char *all = NULL, *two = NULL;

    bitmap_set(map, 0, 4);
    bitmap_set(map, 8, 1);
    bitmap_set(map, 60, 10);
    bitmap_set(map, 199, 1);
    all = bitmap_runs_to_text(map, 200, 0);
    two = bitmap_runs_to_text(map, 200, 2);
    g_assert_cmpstr(empty, ==, "-");
    g_assert_cmpstr(all, ==, "0-3 8 60-69 199");
    g_assert_cmpstr(two, ==, "0-3 8 ...");
}

typedef struct Sent {
    GArray *counts; /* ranges of each command */
    GArray *ranges; /* all of them */
} Sent;

static void collect(void *opaque, const uint8_t *payload, size_t len)
{
    Sent *s = opaque;
    char name[256];
    size_t n = wire_discard_decode(payload, len, name, NULL);

    g_assert_cmpstr(name, ==, "pc.ram");
    g_array_append_val(s->counts, n);
    for (size_t i = 0; i < n; i++) {
        WireRange r = wire_discard_range(payload, i);
        g_array_append_val(s->ranges, r);
    }
}

/* 12 ranges a command, the rest in the last one. */
static void test_batches(void)
{
    for (unsigned n = 0; n < 40; n++) {
        g_autoptr(GArray) ranges = g_array_new(FALSE, FALSE, sizeof(WireRange));
        g_autoptr(GArray) counts = g_array_new(FALSE, FALSE, sizeof(size_t));
        g_autoptr(GArray) got = g_array_new(FALSE, FALSE, sizeof(WireRange));
        Sent s = { counts, got };

        for (unsigned i = 0; i < n; i++) {
            WireRange r = { i * 8 * PAGE, (i % 7 + 1) * PAGE };
            g_array_append_val(ranges, r);
        }
        discard_send("pc.ram", ranges, collect, &s);
        g_assert_cmpuint(counts->len, ==, (n + 11) / 12);
        for (unsigned i = 0; i + 1 < counts->len; i++) {
            g_assert_cmpuint(g_array_index(counts, size_t, i), ==, 12);
        }
        g_assert_cmpuint(got->len, ==, n);
        g_assert_cmpmem(got->data, n * sizeof(WireRange), ranges->data, n * sizeof(WireRange));
    }
}

/* A block over real memory, every page filled with its number + 1. */
static void block_init(RAMBlock *rb, uint64_t pages)
{
    *rb = (RAMBlock){ .idstr = "ram", .page_size = PAGE, .used_length = pages * PAGE,
                      .max_length = pages * PAGE, .fd = -1 };
    rb->host = mmap(NULL, rb->used_length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                    0);
    for (uint64_t p = 0; p < pages; p++) {
        rb->host[p * PAGE] = p + 1;
    }
}

static bool apply(Pmi *pmi, const char *name, const WireRange *ranges, size_t n, Error **errp)
{
    uint8_t buf[WIRE_DISCARD_BUF];

    return discard_apply(pmi, buf, wire_discard_encode(buf, name, ranges, n), errp);
}

static void test_apply(void)
{
    RAMBlock rb, *rbs = &rb;
    const WireRange good[] = { { 2 * PAGE, 3 * PAGE }, { 7 * PAGE, PAGE } };
    g_autoptr(Pmi) pmi = NULL;

    block_init(&rb, 16);
    pmi = pmi_new(&rbs, NULL, 1);
    pmi_received(pmi, &pmi->blocks[0], 0, 16 * PAGE);
    g_assert_true(apply(pmi, "ram", good, 2, NULL));
    for (unsigned p = 0; p < 16; p++) {
        bool dropped = (p >= 2 && p < 5) || p == 7;
        g_assert_cmpuint(rb.host[p * PAGE], ==, dropped ? 0 : p + 1);
        g_assert_cmpint(pmi_state(&pmi->blocks[0], p * PAGE), ==,
                        dropped ? PMI_MISSING : PMI_RECEIVED);
    }
    munmap(rb.host, rb.max_length);
}

/* One bad range in a command and nothing of it is done. */
static void test_apply_refused(void)
{
    static const WireRange bad[] = {
        { 0, 0 },           { 16 * PAGE, PAGE },         { 15 * PAGE, 2 * PAGE },
        { 1, PAGE },        { 0, PAGE + 1 },             { UINT64_MAX - PAGE + 1, PAGE },
        { PAGE, UINT64_MAX - PAGE + 1 },                 { UINT64_MAX, UINT64_MAX },
    };
    RAMBlock rb, *rbs = &rb;
    g_autoptr(Error) err = NULL;
    g_autoptr(Pmi) pmi = NULL;

    block_init(&rb, 16);
    pmi = pmi_new(&rbs, NULL, 1);
    pmi_received(pmi, &pmi->blocks[0], 0, 16 * PAGE);
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        const WireRange two[] = { { 0, PAGE }, bad[i] };
        g_autoptr(Error) e = NULL;

        g_assert_false(apply(pmi, "ram", two, 2, &e));
        g_assert_nonnull(strstr(e->message, "discard: range"));
        g_assert_cmpuint(rb.host[0], ==, 1);
        g_assert_cmpint(pmi_state(&pmi->blocks[0], 0), ==, PMI_RECEIVED);
    }
    g_assert_false(apply(pmi, "rom", bad, 1, &err));
    g_assert_nonnull(strstr(err->message, "no RAM block 'rom'"));
    munmap(rb.host, rb.max_length);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/sentmap/model", test_model);
    g_test_add_func("/sentmap/text", test_text);
    g_test_add_func("/discard/batches", test_batches);
    g_test_add_func("/discard/apply", test_apply);
    g_test_add_func("/discard/apply-refused", test_apply_refused);
    return g_test_run();
}
