/*
 * Whole postcopy migrations between two child processes that have RAM and no machine:
 * kinds of memory, a guest that reads missing pages, a guest that dirties faster than
 * the link, and what is left when one side dies.
 *
 * Every page has a value that follows from its number and how often the source's guest
 * wrote it; both children know how to check it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "migration/config.h"
#include "migration/lifecycle.h"
#include "migration/migration.h"
#include "migration/postcopy-ram/postcopy.h"
#include "migration/stream-internal.h"
#include "system/dirty.h"
#include "system/machine-lock.h"
#include "system/ramblock.h"
#include "system/runstate.h"
#include "util/util.h"

#define PAGE TARGET_PAGE_SIZE
#define HUGE (2 * MiB)
#define TIME_LIMIT_S 30

/* What a test wants. */
typedef struct Setup {
    uint64_t size;
    bool memfd, hugetlb;
    uint64_t bandwidth;      /* of precopy, bytes/s */
    uint64_t postcopy_bandwidth;
    unsigned readers;        /* threads that check random pages on the destination */
    bool writer;             /* a guest on the source that writes all the time */
    bool kill_source;        /* once in postcopy; the destination must pause */
    unsigned min_requests;
} Setup;

/* Shared by the children: how often each page was written by the source's guest. */
typedef struct Shared {
    int source_status;       /* MigState at the end */
    int dest_status;
    uint64_t requests;
    uint32_t generation[];   /* a page each */
} Shared;

static const Setup *setup;
static Shared *shared;
static RAMBlock *rb;

/* ---- both children ---- */

static void write_page(uint64_t page, uint32_t generation)
{
    uint32_t *p = (uint32_t *)(rb->host + page * PAGE);

    /* Some pages stay zero. */
    for (unsigned i = 0; i < PAGE / 4 && (page % 7 || generation); i++) {
        p[i] = page * 2654435761U + generation * 40503 + i;
    }
}

static bool page_good(uint64_t page)
{
    const uint32_t *p = (const uint32_t *)(rb->host + page * PAGE);
    uint32_t generation = shared->generation[page];

    for (unsigned i = 0; i < PAGE / 4; i += 17) {
        uint32_t want = page % 7 || generation ? page * 2654435761U + generation * 40503 + i : 0;
        if (p[i] != want && !setup->kill_source) {
            fprintf(stderr, "# page %" PRIu64 " word %u is 0x%x, not 0x%x (generation %u)\n", page,
                    i, p[i], want, generation);
            return false;
        }
    }
    return true;
}

static void fail(const char *what, Error *err)
{
    fprintf(stderr, "# %s: %s\n", what, err ? err->message : "?");
    _exit(1);
}

static void make_ram(void)
{
    RAMBlockOptions o = { .fd = -1, .dump = true, .memfd = setup->memfd, .shared = setup->memfd,
                          .hugetlb = setup->hugetlb, .hugetlb_size = setup->hugetlb ? HUGE : 0 };
    Error *err = NULL;

    alarm(TIME_LIMIT_S);
    main_loop_init();
    machine_lock();
    rb = ramblock_new("ram", setup->size, &o, &err);
    if (!rb) {
        fail("RAM", err);
    }
    migration_init();
    migration_machine_ready();
}

static void set_cap(MigCap cap)
{
    const MigCapChange change = { cap, true };
    Error *err = NULL;

    if (!mig_settings_set_caps(mig_settings(), &change, 1, false, &err)) {
        fail("capability", err);
    }
}

static void set_param(MigParam param, uint64_t value)
{
    const MigParamChange change = { .param = param, .num = value };
    Error *err = NULL;

    if (!mig_settings_set_params(mig_settings(), &change, 1, true, &err)) {
        fail("parameter", err);
    }
}

static MigrateAddress *fd_address(int fd)
{
    g_autofree char *uri = g_strdup_printf("fd:%d", fd);
    Error *err = NULL;
    MigrateAddress *a = migrate_address_parse(uri, &err);

    if (!a) {
        fail("address", err);
    }
    return a;
}

static gboolean tick(gpointer opaque)
{
    return G_SOURCE_CONTINUE;
}

/* Run the main loop until the migration has ended (or paused). */
static MigState wait_for_end(MigState (*state)(void))
{
    g_timeout_add(2, tick, NULL);
    for (;;) {
        MigState s = state();

        if (mig_state_is_ended(s) || s == MIG_STATE_POSTCOPY_PAUSED) {
            return s;
        }
        g_main_context_iteration(NULL, TRUE);
    }
}

/* ---- source ---- */

static int writer_stop; /* atomic */

static void *writer(void *opaque)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(1);
    uint64_t pages = setup->size / PAGE;

    while (!g_atomic_int_get(&writer_stop)) {
        uint64_t page = g_rand_int(rand) % pages;

        write_page(page, ++shared->generation[page]);
        ram_mark_dirty(rb, page * PAGE, PAGE);
    }
    return NULL;
}

/* The guest stops with the machine. */
static void on_run_state(void *opaque, bool running, RunState s)
{
    GThread **thread = opaque;

    if (!running && *thread) {
        g_atomic_int_set(&writer_stop, 1);
        g_thread_join(*thread);
        *thread = NULL;
    }
}

static gboolean start_postcopy(gpointer opaque)
{
    Migration *m = migration_source_current();

    stat_set(m->start_postcopy, 1);
    return G_SOURCE_REMOVE;
}

static gboolean lift_limit(gpointer opaque)
{
    Migration *m = migration_source_current();

    if (stat_get(m->stats.postcopy_requests) < setup->min_requests) {
        return G_SOURCE_CONTINUE;
    }
    if (setup->kill_source) {
        _exit(0);
    }
    set_param(MIG_PARAM_MAX_POSTCOPY_BANDWIDTH, 0);
    return G_SOURCE_REMOVE;
}

static int run_source(int fd)
{
    g_autoptr(MigrateAddress) addr = NULL;
    GThread *thread = NULL;
    Error *err = NULL;
    MigState s;

    make_ram();
    for (uint64_t p = 0; p < setup->size / PAGE; p++) {
        write_page(p, 0);
    }
    vm_start();
    set_cap(MIG_CAP_POSTCOPY_RAM);
    set_param(MIG_PARAM_MAX_BANDWIDTH, setup->bandwidth);
    set_param(MIG_PARAM_MAX_POSTCOPY_BANDWIDTH, setup->postcopy_bandwidth);
    set_param(MIG_PARAM_DOWNTIME_LIMIT, 1);
    if (setup->writer) {
        vm_state_change_add(on_run_state, &thread, 0);
        thread = g_thread_new("writer", writer, NULL);
    }
    addr = fd_address(fd);
    if (!migration_start(addr, NULL, false, &err)) {
        fail("migrate", err);
    }
    g_timeout_add(60, start_postcopy, NULL);
    if (setup->postcopy_bandwidth) {
        g_timeout_add(5, lift_limit, NULL);
    }
    s = wait_for_end(migration_source_state);
    shared->source_status = s;
    shared->requests = stat_get(migration_source_current()->stats.postcopy_requests);
    if (s != MIG_STATE_COMPLETED) {
        fail("source", migration_get_error(migration_source_current()));
    }
    migration_shutdown();
    return 0;
}

/* ---- destination ---- */

static int bad_pages; /* atomic */

static void *reader(void *opaque)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(GPOINTER_TO_UINT(opaque));
    uint64_t pages = setup->size / PAGE;

    for (unsigned i = 0; i < 2000; i++) {
        if (!page_good(g_rand_int(rand) % pages)) {
            g_atomic_int_inc(&bad_pages);
        }
    }
    return NULL;
}

typedef struct Readers {
    GThread *thread[8];
} Readers;

static void start_readers(void *opaque, bool running, RunState s)
{
    Readers *r = opaque;

    for (unsigned i = 0; running && i < setup->readers; i++) {
        r->thread[i] = g_thread_new("reader", reader, GUINT_TO_POINTER(i / 2 + 1));
    }
}

/* The source died: whoever waits sleeps until the migration is given up, and reads zeros then. */
static void check_paused(Readers *r)
{
    g_assert_cmpint(runstate_get(), ==, RUN_STATE_RUNNING);
    migration_shutdown();
    for (unsigned i = 0; i < setup->readers; i++) {
        g_thread_join(r->thread[i]);
    }
}

static int run_destination(int fd)
{
    g_autoptr(MigrateAddress) addr = NULL;
    Readers readers = { { NULL } };
    Error *err = NULL;
    MigState s;

    make_ram();
    memset(rb->host, 0xee, setup->size); /* must not survive */
    runstate_set(RUN_STATE_INMIGRATE);
    autostart = true;
    set_cap(MIG_CAP_POSTCOPY_RAM);
    set_cap(MIG_CAP_POSTCOPY_BLOCKTIME);
    vm_state_change_add(start_readers, &readers, 0);
    addr = fd_address(fd);
    if (!migration_incoming_start(addr, false, &err)) {
        fail("incoming", err);
    }
    s = wait_for_end(migration_destination_state);
    shared->dest_status = s;
    if (s == MIG_STATE_POSTCOPY_PAUSED && setup->kill_source) {
        check_paused(&readers);
        return 0;
    }
    if (s != MIG_STATE_COMPLETED) {
        fail("destination", migration_get_error(migration_destination_current()));
    }
    for (unsigned i = 0; i < setup->readers; i++) {
        g_thread_join(readers.thread[i]);
    }
    for (uint64_t p = 0; p < setup->size / PAGE; p++) {
        bad_pages += !page_good(p);
    }
    migration_shutdown();
    return bad_pages != 0;
}

/* ---- the parent ---- */

static pid_t child(int (*run)(int), int fd, int other)
{
    pid_t pid = fork();

    g_assert_cmpint(pid, >=, 0);
    if (!pid) {
        close(other);
        _exit(run(fd));
    }
    return pid;
}

static int reap(pid_t pid)
{
    int status;

    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    return status;
}

static bool host_can(const Setup *s)
{
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB;
    g_autoptr(Error) err = NULL;
    void *p;

    if (!postcopy_supported_by_host(&err)) {
        g_test_skip(err->message);
        return false;
    }
    if (s->hugetlb) {
        p = mmap(NULL, 2 * s->size, PROT_READ | PROT_WRITE, flags, -1, 0);
        if (p == MAP_FAILED) {
            g_test_skip("not enough free huge pages of 2 MiB (vm.nr_hugepages)");
            return false;
        }
        munmap(p, 2 * s->size);
    }
    return true;
}

static void migrate(gconstpointer data)
{
    uint64_t shared_len = sizeof(Shared);
    pid_t source, dest;
    int fds[2];

    setup = data;
    if (!host_can(setup)) {
        return;
    }
    shared_len += setup->size / PAGE * sizeof(uint32_t);
    shared = mmap(NULL, shared_len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), ==, 0);
    source = child(run_source, fds[0], fds[1]);
    dest = child(run_destination, fds[1], fds[0]);
    close(fds[0]);
    close(fds[1]);
    g_assert_cmpint(reap(source), ==, 0);
    g_assert_cmpint(reap(dest), ==, 0);
    if (setup->kill_source) {
        g_assert_cmpint(shared->dest_status, ==, MIG_STATE_POSTCOPY_PAUSED);
    } else {
        g_assert_cmpint(shared->source_status, ==, MIG_STATE_COMPLETED);
        g_assert_cmpint(shared->dest_status, ==, MIG_STATE_COMPLETED);
        g_assert_cmpuint(shared->requests, >=, setup->min_requests);
    }
    munmap(shared, shared_len);
}

static const Setup quiet = { .size = 32 * MiB, .bandwidth = 100 * MiB };
static const Setup reading = { .size = 32 * MiB, .bandwidth = 50 * MiB,
                               .postcopy_bandwidth = 1 * MiB, .readers = 4, .min_requests = 50 };
static const Setup writing = { .size = 32 * MiB, .bandwidth = 200 * MiB, .readers = 2,
                               .postcopy_bandwidth = 1 * MiB, .writer = true, .min_requests = 50 };
static const Setup memfd = { .size = 32 * MiB, .memfd = true, .bandwidth = 100 * MiB, .readers = 2,
                             .postcopy_bandwidth = 1 * MiB, .writer = true, .min_requests = 50 };
static const Setup hugetlb = { .size = 8 * MiB, .memfd = true, .hugetlb = true, .readers = 2,
                               .bandwidth = 20 * MiB, .postcopy_bandwidth = 64 * KiB,
                               .writer = true, .min_requests = 2 };
static const Setup killed = { .size = 32 * MiB, .bandwidth = 50 * MiB, .kill_source = true,
                              .postcopy_bandwidth = 1 * MiB, .readers = 4, .min_requests = 20 };

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/postcopy/quiet", &quiet, migrate);
    g_test_add_data_func("/postcopy/reading", &reading, migrate);
    g_test_add_data_func("/postcopy/writing", &writing, migrate);
    g_test_add_data_func("/postcopy/memfd", &memfd, migrate);
    g_test_add_data_func("/postcopy/hugetlb", &hugetlb, migrate);
    g_test_add_data_func("/postcopy/killed", &killed, migrate);
    return g_test_run();
}
