/*
 * Unit tests of guest memory in a migration: the dirty bitmap's runs and count, records
 * there and back over memory and over a socket (where pages are read ahead into guest
 * memory), hostile records.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "migration/config.h"
#include "migration/ram.h"
#include "migration/state.h"
#include "migration/stream-internal.h"
#include "migration/wire.h"
#include "system/dirty.h"
#include "system/machine-lock.h"
#include "util/bitmap.h"
#include "util/util.h"

#define PAGE TARGET_PAGE_SIZE
#define MAIN_SIZE (12 * MiB)
#define SIDE_SIZE (64 * KiB)

static RAMBlock *main_block, *side_block;

/* A source whose options are the defaults. */
typedef struct Fixture {
    MigSettings *settings;
    MigStateMachine state;
    Migration m;
} Fixture;

static void set_up(Fixture *f)
{
    memset(f, 0, sizeof(*f));
    f->settings = mig_settings_new();
    mig_state_init(&f->state, MIG_SRC, NULL, NULL);
    f->m.source = true;
    f->m.state = &f->state;
    f->m.detect_zero = true;
    f->m.config = mig_config_freeze(f->settings);
    g_mutex_init(&f->m.error_lock);
    machine_lock();
    f->m.ram = ram_source_new(f->m.config, true);
    g_assert_true(ram_dirty_start_log(f->m.ram, NULL));
    machine_unlock();
}

static void tear_down(Fixture *f)
{
    ram_source_free(f->m.ram);
    mig_config_free(f->m.config);
    mig_settings_free(f->settings);
    mig_state_clear(&f->state);
    g_mutex_clear(&f->m.error_lock);
}

/* ---- dirty bitmap ---- */

static void take_all(RamSource *r)
{
    PageRun run;

    while (dirty_next(r, 512, &run)) {
        g_assert_cmpuint(run.n, >, 0);
    }
    g_assert_cmpuint(ram_dirty_bytes(r), ==, 0);
    g_assert_true(ram_dirty_check(r));
}

static void test_dirty_first_pass(void)
{
    Fixture f;
    PageRun run;
    uint64_t pages = 0;

    set_up(&f);
    g_assert_cmpuint(ram_dirty_bytes(f.m.ram), ==, MAIN_SIZE + SIDE_SIZE);
    /* Largest block first, in ascending runs of at most the size asked for. */
    g_assert_true(dirty_next(f.m.ram, 100, &run));
    g_assert_true(run.b->rb == main_block);
    g_assert_cmpuint(run.page, ==, 0);
    g_assert_cmpuint(run.n, ==, 100);
    pages = run.n;
    while (dirty_next(f.m.ram, 100, &run)) {
        pages += run.n;
    }
    g_assert_true(run.b->rb == side_block);
    g_assert_cmpuint(pages, ==, (MAIN_SIZE + SIDE_SIZE) / PAGE);
    g_assert_true(ram_dirty_check(f.m.ram));
    tear_down(&f);
}

static void test_dirty_sync(void)
{
    Fixture f;
    PageRun run;

    set_up(&f);
    take_all(f.m.ram);
    ram_mark_dirty(main_block, 5 * PAGE, 3 * PAGE);
    ram_mark_dirty(main_block, MAIN_SIZE - 1, 1);
    ram_mark_dirty(main_block, 6 * PAGE, 10);
    g_assert_cmpuint(ram_dirty_bytes(f.m.ram), ==, 0);
    g_assert_true(ram_dirty_sync(&f.m, NULL));
    g_assert_cmpuint(ram_dirty_bytes(f.m.ram), ==, 4 * PAGE);
    g_assert_true(ram_dirty_check(f.m.ram));
    /* The scan goes on where it stopped and wraps. */
    g_assert_true(dirty_next(f.m.ram, 512, &run));
    g_assert_cmpuint(run.page, ==, 5);
    g_assert_cmpuint(run.n, ==, 3);
    /* Dirty again while it is being sent: not lost. */
    ram_mark_dirty(main_block, 5 * PAGE, 1);
    g_assert_true(ram_dirty_sync(&f.m, NULL));
    g_assert_true(dirty_next(f.m.ram, 512, &run));
    g_assert_cmpuint(run.page, ==, MAIN_SIZE / PAGE - 1);
    g_assert_true(dirty_next(f.m.ram, 512, &run));
    g_assert_cmpuint(run.page, ==, 5);
    g_assert_false(dirty_next(f.m.ram, 512, &run));
    tear_down(&f);
}

/* Recovery: what is left is what was not received, in whole host pages, whatever it was before. */
static void test_dirty_missing(void)
{
    RamSourceBlock *b;
    Fixture f;
    PageRun run;

    set_up(&f);
    b = &f.m.ram->blocks[0];
    g_assert_true(dirty_next(f.m.ram, 1000, &run));
    b->received = bitmap_new(b->pages);
    bitmap_set(b->received, 0, b->pages);
    bitmap_clear(b->received, 3, 2);
    bitmap_clear(b->received, b->pages - 1, 1);
    ram_dirty_set_missing(f.m.ram, b);
    g_assert_true(ram_dirty_check(f.m.ram));
    g_assert_cmpuint(ram_dirty_bytes(f.m.ram), ==, 3 * PAGE + SIDE_SIZE);
    b->host_pages = 4;
    ram_dirty_set_missing(f.m.ram, b);
    g_assert_cmpuint(bitmap_count(b->dirty, 0, b->pages), ==, 12);
    ram_save_restart(f.m.ram);
    g_assert_true(dirty_next(f.m.ram, 1000, &run));
    g_assert_cmpuint(run.page, ==, 0);
    g_assert_cmpuint(run.n, ==, 8);
    bitmap_clear(b->received, 0, b->pages);
    ram_dirty_set_missing(f.m.ram, b);
    g_assert_cmpuint(bitmap_count(b->dirty, 0, b->pages), ==, b->pages);
    g_assert_true(ram_dirty_check(f.m.ram));
    b->host_pages = 1;
    tear_down(&f);
}

static void test_urgent(void)
{
    Fixture f;
    RamSourceBlock *b;
    PageRun run;

    set_up(&f);
    b = ram_source_block(f.m.ram, "main");
    g_assert_nonnull(b);
    g_assert_null(ram_source_block(f.m.ram, "other"));
    g_assert_false(urgent_next(f.m.ram, &run));
    urgent_push(&f.m, b, 700 * PAGE, PAGE);
    urgent_push(&f.m, b, 700 * PAGE, PAGE);
    urgent_push(&f.m, b, 20 * PAGE, 2 * PAGE);
    g_assert_true(urgent_next(f.m.ram, &run));
    g_assert_true(run.urgent);
    g_assert_cmpuint(run.page, ==, 700);
    /* The second request for the page is void; the third is served. */
    g_assert_true(urgent_next(f.m.ram, &run));
    g_assert_cmpuint(run.page, ==, 20);
    g_assert_cmpuint(run.n, ==, 2);
    g_assert_false(urgent_next(f.m.ram, &run));
    /* The scan goes on from there. */
    g_assert_true(dirty_next(f.m.ram, 8, &run));
    g_assert_cmpuint(run.page, ==, 22);
    g_assert_true(ram_dirty_check(f.m.ram));
    tear_down(&f);
}

/* The scan and whoever is asked take pages at the same time: each goes out once, in whole host pages. */
typedef struct Taker {
    RamSource *r;
    RamSourceBlock *b;
    uint8_t *taken; /* a count a page, atomic */
} Taker;

static void count_run(Taker *t, const PageRun *run)
{
    g_assert_cmpuint(run->page % t->b->host_pages, ==, 0);
    g_assert_cmpuint(run->n % t->b->host_pages, ==, 0);
    for (uint64_t i = 0; i < run->n; i++) {
        __atomic_fetch_add(&t->taken[run->page + i], 1, __ATOMIC_RELAXED);
    }
}

static void *take_urgent(void *opaque)
{
    Taker *t = opaque;
    g_autoptr(GRand) rand = g_rand_new_with_seed(3);
    PageRun run;

    for (unsigned i = 0; i < 20000; i++) {
        uint64_t page = g_rand_int_range(rand, 0, t->b->pages / 4) * 4;

        if (dirty_take(t->r, t->b, page, 4, &run)) {
            count_run(t, &run);
        }
    }
    return NULL;
}

static void test_two_takers(void)
{
    Fixture f;
    PageRun run;

    set_up(&f);
    ram_dirty_guest_gone(f.m.ram);
    Taker t = { f.m.ram, &f.m.ram->blocks[0], g_malloc0(f.m.ram->blocks[0].pages) };
    t.b->host_pages = 4;
    GThread *thread = g_thread_new("urgent", take_urgent, &t);
    while (dirty_next(f.m.ram, 4, &run)) {
        if (run.b == t.b) {
            count_run(&t, &run);
        }
        g_thread_yield();
    }
    g_thread_join(thread);
    for (uint64_t i = 0; i < t.b->pages; i++) {
        g_assert_cmpuint(t.taken[i], ==, 1);
    }
    g_assert_true(ram_dirty_check(f.m.ram));
    g_assert_cmpuint(ram_dirty_bytes(f.m.ram), ==, 0);
    t.b->host_pages = 1;
    g_free(t.taken);
    tear_down(&f);
}

/* ---- there and back ---- */

/* Runs of random length, each of zero pages or of pages with random words. */
static void fill_random(GRand *rand, RAMBlock *rb, unsigned longest)
{
    uint64_t page = 0, pages = ramblock_pages(rb);

    while (page < pages) {
        uint64_t end = page + g_rand_int_range(rand, 1, longest + 1);
        bool zero = g_rand_boolean(rand);

        end = MIN(end, pages);
        for (; page < end; page++) {
            uint64_t *p = (uint64_t *)(rb->host + page * PAGE);

            memset(p, 0, PAGE);
            for (unsigned i = 0; !zero && i < PAGE / 8; i += 37) {
                p[i] = g_rand_int(rand) | 1;
            }
        }
    }
}

typedef struct Sender {
    Fixture *f;
    Stream *s;
    GBytes *copy;
} Sender;

static void *send_thread(void *opaque)
{
    Sender *snd = opaque;

    g_assert_true(ram_save_setup(&snd->f->m, snd->s, NULL));
    g_assert_true(ram_save_complete(&snd->f->m, snd->s, NULL));
    g_assert_true(stream_flush(snd->s));
    return NULL;
}

/*
 * Send the blocks as they are to a memory stream; scribble over them as `before` says;
 * load (through a socket if `socket`); compare.
 */
static void round_trip(Fixture *f, bool through_socket, void (*before)(GRand *), GRand *rand)
{
    g_autofree uint8_t *want_main = g_memdup2(main_block->host, MAIN_SIZE);
    g_autofree uint8_t *want_side = g_memdup2(side_block->host, SIDE_SIZE);
    g_autoptr(Stream) out = stream_new_output_memory();
    g_autoptr(Stream) in = NULL;
    Sender snd = { f, out };
    const void *data;
    size_t len;
    RamDest *rd;
    Error *err = NULL;

    send_thread(&snd);
    data = stream_memory_data(out, &len);
    before(rand);
    machine_lock();
    rd = ram_dest_new(f->m.config);
    machine_unlock();
    if (through_socket) {
        int fds[2];

        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), ==, 0);
        g_autoptr(IOChannel) a = io_channel_socket_new(fds[0]);
        g_autoptr(IOChannel) b = io_channel_socket_new(fds[1]);
        struct iovec iov = { (void *)data, len };
        pid_t pid = fork();

        if (pid == 0) {
            _exit(!io_channel_writev_all(a, &iov, 1, NULL));
        }
        in = stream_new_input(b);
    } else {
        in = stream_new_input_memory(data, len);
    }
    for (int i = 0; i < 2; i++) {
        g_assert_true(ram_load(rd, in, f->m.config, &err));
        g_assert_no_error(err);
    }
    g_assert_cmpuint(stream_offset(in), ==, len);
    ram_load_trim(rd);
    g_assert_cmpint(memcmp(want_main, main_block->host, MAIN_SIZE), ==, 0);
    g_assert_cmpint(memcmp(want_side, side_block->host, SIDE_SIZE), ==, 0);
    for (unsigned i = 0; i < rd->n_blocks; i++) {
        g_assert_cmpuint(bitmap_count(rd->blocks[i].received, 0, rd->blocks[i].pages), ==,
                         rd->blocks[i].pages);
    }
    ram_dest_free(rd);
}

static void clear_memory(GRand *rand)
{
    memset(main_block->host, 0, MAIN_SIZE);
    memset(side_block->host, 0, SIDE_SIZE);
}

static void drop_memory(GRand *rand)
{
    g_assert_true(ramblock_discard(main_block, 0, MAIN_SIZE, NULL));
    g_assert_true(ramblock_discard(side_block, 0, SIDE_SIZE, NULL));
}

/* What was there before must not shine through where zero pages come. */
static void scribble_memory(GRand *rand)
{
    fill_random(rand, main_block, 3);
    fill_random(rand, side_block, 3);
}

static void test_round_trip(gconstpointer socket)
{
    static void (*const befores[])(GRand *) = { clear_memory, drop_memory, scribble_memory };
    g_autoptr(GRand) rand = g_rand_new_with_seed(20261121);
    static const unsigned longest[] = { 1, 2, 9, 40, 700 };

    for (size_t i = 0; i < ARRAY_SIZE(longest); i++) {
        for (size_t j = 0; j < ARRAY_SIZE(befores); j++) {
            Fixture f;

            fill_random(rand, main_block, longest[i]);
            fill_random(rand, side_block, longest[i]);
            set_up(&f);
            round_trip(&f, GPOINTER_TO_INT(socket), befores[j], rand);
            g_assert_cmpuint(bitmap_count(f.m.ram->blocks[0].sent, 0, MAIN_SIZE / PAGE), ==,
                             MAIN_SIZE / PAGE);
            tear_down(&f);
        }
    }
}

/* Memory of a block, by the kernel's count: of all mappings that it was split into. */
static uint64_t resident_kib(const RAMBlock *rb)
{
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;
    unsigned long from, to, kib, sum = 0;
    bool inside = false;

    g_assert_true(g_file_get_contents("/proc/self/smaps", &text, NULL, NULL));
    lines = g_strsplit(text, "\n", -1);
    for (char **l = lines; *l; l++) {
        if (sscanf(*l, "%lx-%lx ", &from, &to) == 2) {
            inside = from < (unsigned long)rb->host + rb->used_length &&
                     to > (unsigned long)rb->host;
        } else if (inside && sscanf(*l, "Anonymous: %lu kB", &kib) == 1) {
            sum += kib;
        }
    }
    return sum;
}

/* A zero page must not cost memory on a fresh destination. */
static void test_zero_is_free(void)
{
    Fixture f;

    clear_memory(NULL);
    set_up(&f);
    g_assert_cmpuint(resident_kib(main_block), >, 0);
    round_trip(&f, false, drop_memory, NULL);
    tear_down(&f);
    g_assert_cmpuint(resident_kib(main_block), ==, 0);
}

/* A hole of the file says nothing about private memory: what was written here is not in the file. */
static void test_zero_private(void)
{
    const RAMBlockOptions opts = { .fd = -1, .path = g_get_tmp_dir(), .dump = true };
    Stream *out = stream_new_output_memory(), *in;
    RamDest *rd;
    Fixture f;
    RAMBlock *rb;
    size_t len;

    set_up(&f);
    machine_lock();
    rb = ramblock_new("private", 8 * PAGE, &opts, NULL);
    g_assert_true(rb && rb->fd >= 0 && !rb->shared);
    rb->migratable = true;
    rd = ram_dest_new(f.m.config);
    machine_unlock();
    memset(rb->host, 7, 8 * PAGE);
    stream_put_be64(out, wire_ram_word(3 * PAGE, WIRE_RAM_ZERO));
    stream_put_str8(out, "private");
    stream_put_u8(out, 0);
    stream_put_be64(out, WIRE_RAM_EOS);
    const void *data = stream_memory_data(out, &len);
    in = stream_new_input_memory(data, len);
    g_assert_true(ram_load(rd, in, f.m.config, NULL));
    g_assert_cmpint(rb->host[3 * PAGE], ==, 0);
    g_assert_cmpint(rb->host[4 * PAGE], ==, 7);
    stream_free(in);
    stream_free(out);
    ram_dest_free(rd);
    machine_lock();
    ramblock_free(rb);
    machine_unlock();
    tear_down(&f);
}

/* Data, then zeros: what was populated ahead of the end of the data is given back. */
static void test_populate_trim(void)
{
    Fixture f;

    clear_memory(NULL);
    memset(main_block->host, 0x5a, 5 * MiB);
    set_up(&f);
    round_trip(&f, false, drop_memory, NULL);
    tear_down(&f);
    g_assert_cmpuint(resident_kib(main_block), >=, 5 * 1024);
    g_assert_cmpuint(resident_kib(main_block), <=, 6 * 1024);
}

static unsigned mappings(const RAMBlock *rb)
{
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;
    unsigned long from, to;
    unsigned n = 0;

    g_assert_true(g_file_get_contents("/proc/self/maps", &text, NULL, NULL));
    lines = g_strsplit(text, "\n", -1);
    for (char **l = lines; *l; l++) {
        n += sscanf(*l, "%lx-%lx ", &from, &to) == 2 &&
             from < (unsigned long)rb->host + rb->used_length && to > (unsigned long)rb->host;
    }
    return n;
}

/*
 * Regions come in any order and get different kinds of pages; the block must become one
 * mapping again all the same, because userfaultfd places no range that spans two.
 */
static void test_populate_one_mapping(void)
{
    static const unsigned order[] = { 20, 3, 21, 10, 4, 5, 11, 12, 22, 30, 6, 23 };
    const size_t size = 64 * MiB;
    RAMBlock rb = { .idstr = "b", .fd = -1, .used_length = size, .page_size = PAGE };
    Populator *p = populator_new();
    PopulateBlock b;

    rb.host = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    g_assert_true(rb.host != MAP_FAILED);
    populate_block_init(&b, &rb, true);
    for (unsigned i = 0; i < G_N_ELEMENTS(order); i++) {
        populate_for(p, &b, order[i] * POPULATE_REGION);
    }
    populator_stop(p);
    if (mappings(&rb) == 1) {
        g_test_skip("this kernel takes no advice on huge pages, or no region was populated");
    }
    madvise(rb.host, size, MADV_NOHUGEPAGE);
    g_assert_cmpuint(mappings(&rb), ==, 1);
    populator_free(p);
    populate_block_clear(&b);
    munmap(rb.host, size);
}

/* ---- hostile records ---- */

typedef struct Record {
    uint64_t word;
    const char *name; /* NULL: none */
    int fill;         /* byte behind it, -1: none */
    unsigned data;    /* bytes of data behind that */
} Record;

static void put_record(Stream *s, const Record *r)
{
    static const uint8_t page[PAGE];

    stream_put_be64(s, r->word);
    if (r->name) {
        stream_put_str8(s, r->name);
    }
    if (r->fill >= 0) {
        stream_put_u8(s, r->fill);
    }
    stream_put_bytes(s, page, r->data);
}

static const struct {
    const char *what;
    Record records[3];
    const char *error; /* must be in the message */
} hostile[] = {
    { "unknown block", { { 0x0 | 8, "nobody", -1, PAGE } }, "nobody" },
    { "empty name", { { 0x0 | 8, "", -1, PAGE } }, "''" },
    { "beyond the block", { { MAIN_SIZE | 8, "main", -1, PAGE } }, "outside" },
    { "far beyond", { { 0xfffffffffffff000 | 8, "main", -1, PAGE } }, "outside" },
    { "beyond, zero", { { MAIN_SIZE | 2, "main", 0, 0 } }, "outside" },
    { "continue first", { { 0x1000 | 8 | 0x20, NULL, -1, PAGE } }, "none was named" },
    { "fill byte", { { 0x1000 | 2, "main", 7, 0 } }, "0x07" },
    { "both forms", { { 0x1000 | 2 | 8, "main", 0, PAGE } }, "0x" },
    { "multifd", { { 0x200, NULL, -1, 0 } }, "MULTIFD" },
    { "compressed", { { 0x100 | 0x1000, "main", -1, 0 } }, "COMPRESS" },
    { "rdma hook", { { 0x80, NULL, -1, 0 } }, "HOOK" },
    { "full", { { 0x1, NULL, -1, 0 } }, "FULL" },
    { "no flag", { { 0x1000, NULL, -1, 0 } }, "RAM record" },
    { "cut in the word", { { 0x1000 | 8, "main", -1, PAGE }, { 0x10 } }, NULL },
    { "cut in data", { { 0x1000 | 8, "main", -1, 100 } }, "offset" },
    { "cut before fill", { { 0x1000 | 2, "main", -1, 0 } }, "offset" },
    { "bad after good", { { 0x1000 | 8, "main", -1, PAGE },
                          { 0x2000 | 8 | 0x20, NULL, -1, PAGE },
                          { MAIN_SIZE | 8 | 0x20, NULL, -1, PAGE } }, "outside" },
};

static void test_hostile(void)
{
    Fixture f;

    set_up(&f);
    for (size_t i = 0; i < ARRAY_SIZE(hostile); i++) {
        g_autoptr(Stream) out = stream_new_output_memory();
        g_autoptr(Stream) in = NULL;
        g_autoptr(Error) err = NULL;
        const void *data;
        size_t len;
        RamDest *rd;

        for (size_t j = 0; j < 3 && hostile[i].records[j].word; j++) {
            put_record(out, &hostile[i].records[j]);
        }
        data = stream_memory_data(out, &len);
        in = stream_new_input_memory(data, hostile[i].error ? len : len - 4);
        machine_lock();
        rd = ram_dest_new(f.m.config);
        machine_unlock();
        g_test_message("%s", hostile[i].what);
        g_assert_false(ram_load(rd, in, f.m.config, &err));
        g_assert_nonnull(err);
        g_test_message("-> %s", err->message);
        g_assert_nonnull(strstr(err->message, "offset"));
        g_assert_true(!hostile[i].error || strstr(err->message, hostile[i].error));
        ram_dest_free(rd);
    }
    tear_down(&f);
}

/* Block lists that do not fit. */
static void test_hostile_list(void)
{
    static const struct {
        uint64_t total;
        const char *name;
        uint64_t length;
        const char *error;
    } lists[] = {
        { 4096, "nobody", 4096, "nobody" },
        { MAIN_SIZE + 4096, "main", MAIN_SIZE + 4096, "main" },
        { 4096, "main", MAIN_SIZE, "main" },
        { 2 * SIDE_SIZE, "side", SIDE_SIZE, "twice" },
        { MAIN_SIZE, "main", 0, "main" },
    };
    Fixture f;

    set_up(&f);
    for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
        g_autoptr(Stream) out = stream_new_output_memory();
        g_autoptr(Stream) in = NULL;
        g_autoptr(Error) err = NULL;
        const void *data;
        size_t len;
        RamDest *rd;

        stream_put_be64(out, lists[i].total | WIRE_RAM_MEM_SIZE);
        for (int twice = 0; twice < 2; twice++) {
            stream_put_str8(out, lists[i].name);
            stream_put_be64(out, lists[i].length);
        }
        data = stream_memory_data(out, &len);
        in = stream_new_input_memory(data, len);
        machine_lock();
        rd = ram_dest_new(f.m.config);
        machine_unlock();
        g_assert_false(ram_load(rd, in, f.m.config, &err));
        g_assert_nonnull(strstr(err->message, lists[i].error));
        ram_dest_free(rd);
    }
    tear_down(&f);
}

/* Every possible cut of a short stream is an error and nothing worse. */
static void test_cuts(void)
{
    g_autoptr(Stream) out = stream_new_output_memory();
    static const Record records[] = {
        { 0x3000 | 8, "main", -1, PAGE },
        { 0x4000 | 2 | 0x20, NULL, 0, 0 },
        { 0x5000 | 8 | 0x20, NULL, -1, PAGE },
        { 0x1000 | 2, "side", 0, 0 },
        { 0x10, NULL, -1, 0 },
    };
    const void *data;
    size_t len;
    Fixture f;

    set_up(&f);
    for (size_t i = 0; i < ARRAY_SIZE(records); i++) {
        put_record(out, &records[i]);
    }
    data = stream_memory_data(out, &len);
    for (size_t cut = 0; cut <= len; cut += (cut < 40 || cut + 60 > len ? 1 : 509)) {
        g_autoptr(Stream) in = stream_new_input_memory(data, cut);
        g_autoptr(Error) err = NULL;
        RamDest *rd;

        machine_lock();
        rd = ram_dest_new(f.m.config);
        machine_unlock();
        g_assert_cmpint(ram_load(rd, in, f.m.config, &err), ==, cut == len);
        g_assert_true(cut == len || strstr(err->message, "offset"));
        ram_dest_free(rd);
    }
    tear_down(&f);
}

/* ---- populating ahead ---- */

/* How many of 160 regions are populated with huge pages when they cost that much. */
static unsigned huge_regions(uint64_t huge_ns, uint64_t small_ns)
{
    PopulateChoice c = { 0 };
    unsigned huge = 0;

    for (int i = 0; i < 160; i++) {
        PopulateKind kind = populate_choose(&c);

        huge += kind == POPULATE_HUGE;
        /* One in ten costs many times as much: that must not decide. */
        populate_learn(&c, kind, (kind == POPULATE_HUGE ? huge_ns : small_ns) *
                                     (i % 10 == 3 ? 50 : 1));
    }
    return huge;
}

static void test_populate_choice(void)
{
    g_assert_cmpuint(huge_regions(200, 1000), >=, 140);
    g_assert_cmpuint(huge_regions(5000, 1000), <=, 20);
    /* As the costs change, so does the choice. */
    PopulateChoice c = { 0 };
    unsigned late = 0;
    for (int i = 0; i < 400; i++) {
        PopulateKind kind = populate_choose(&c);

        populate_learn(&c, kind, kind == POPULATE_SMALL ? 1000 : i < 100 ? 5000 : 200);
        late += i >= 300 && kind == POPULATE_HUGE;
    }
    g_assert_cmpuint(late, >=, 90);
}

/* ---- for postcopy ---- */

static void test_drop_unreceived(void)
{
    Fixture f;
    RamDest *rd;
    RamDestBlock *b;

    set_up(&f);
    memset(main_block->host, 0x55, MAIN_SIZE);
    machine_lock();
    rd = ram_dest_new(f.m.config);
    machine_unlock();
    b = ram_dest_block(rd, "main");
    bitmap_set(b->received, 10, 3);
    bitmap_set(b->received, MAIN_SIZE / PAGE - 1, 1);
    g_assert_true(ram_load_drop_unreceived(rd, NULL));
    for (uint64_t page = 0; page < MAIN_SIZE / PAGE; page++) {
        bool kept = (page >= 10 && page < 13) || page == MAIN_SIZE / PAGE - 1;

        g_assert_cmpint(main_block->host[page * PAGE], ==, kept ? 0x55 : 0);
        g_assert_cmpint(bitmap_test(b->received, page), ==, kept);
    }
    ram_dest_free(rd);
    tear_down(&f);
}

/* What was never touched is known; a write, and a look, change that. */
static void test_pagemap(void)
{
    g_autoptr(Error) err = NULL;
    const RAMBlockOptions plain = { .fd = -1 }, shared = { .fd = -1, .memfd = true, .shared = true };
    RAMBlock *a, *b;
    Pagemap pm;

    machine_lock();
    a = ramblock_new("pagemap-a", 8 * MiB, &plain, &err);
    g_assert_no_error(err);
    b = ramblock_new("pagemap-b", 8 * MiB, &shared, &err);
    g_assert_no_error(err);
    madvise(a->host, 8 * MiB, MADV_NOHUGEPAGE);
    a->host[100 * TARGET_PAGE_SIZE] = 1;
    g_assert_true(pagemap_read(&pm, a, 90, 2000));
    g_assert_cmpuint(pm.n, ==, PAGEMAP_PAGES);
    g_assert_true(pagemap_untouched(&pm, a, 99));
    g_assert_false(pagemap_untouched(&pm, a, 100));
    g_assert_true(pagemap_untouched(&pm, a, 101));
    g_assert_false(pagemap_untouched(&pm, a, 89));
    g_assert_false(pagemap_untouched(&pm, a, 90 + PAGEMAP_PAGES));
    g_assert_false(pagemap_untouched(&pm, b, 99));
    g_assert_true(pagemap_read(&pm, a, 2047, 50));
    g_assert_cmpuint(pm.n, ==, 1);
    /* Somebody else may have written shared memory. */
    g_assert_false(pagemap_read(&pm, b, 0, 10));
    g_assert_false(pagemap_untouched(&pm, b, 0));
    ramblock_free(a);
    ramblock_free(b);
    machine_unlock();
}

int main(int argc, char **argv)
{
    RAMBlockOptions opts = { .fd = -1, .dump = true };

    g_test_init(&argc, &argv, NULL);
    machine_lock();
    main_block = ramblock_new("main", MAIN_SIZE, &opts, NULL);
    side_block = ramblock_new("side", SIDE_SIZE, &opts, NULL);
    machine_unlock();
    g_assert_true(main_block && side_block);
    main_block->migratable = side_block->migratable = true;

    g_test_add_func("/ram/pagemap", test_pagemap);
    g_test_add_func("/ram/dirty/first-pass", test_dirty_first_pass);
    g_test_add_func("/ram/dirty/sync", test_dirty_sync);
    g_test_add_func("/ram/dirty-missing", test_dirty_missing);
    g_test_add_func("/ram/urgent", test_urgent);
    g_test_add_func("/ram/two-takers", test_two_takers);
    g_test_add_data_func("/ram/round-trip/memory", GINT_TO_POINTER(0), test_round_trip);
    g_test_add_data_func("/ram/round-trip/socket", GINT_TO_POINTER(1), test_round_trip);
    g_test_add_func("/ram/zero-is-free", test_zero_is_free);
    g_test_add_func("/ram/zero-private", test_zero_private);
    g_test_add_func("/ram/hostile/records", test_hostile);
    g_test_add_func("/ram/hostile/list", test_hostile_list);
    g_test_add_func("/ram/cuts", test_cuts);
    g_test_add_func("/ram/populate-trim", test_populate_trim);
    g_test_add_func("/ram/populate-one-mapping", test_populate_one_mapping);
    g_test_add_func("/ram/populate-choice", test_populate_choice);
    g_test_add_func("/ram/drop-unreceived", test_drop_unreceived);
    return g_test_run();
}
