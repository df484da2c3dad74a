/*
 * Unit tests of placing with a real userfaultfd: runs in one ioctl, pages that
 * somebody waits for, huge host pages, what is refused, and a thread that touches
 * while pages arrive.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "migration/postcopy-ram/place.h"
#include "migration/stream-internal.h"
#include "util/uffd.h"
#include "util/util.h"

#define PAGE TARGET_PAGE_SIZE
#define HUGE (2 * MiB)

typedef struct Fixture {
    RAMBlock rb;
    Pmi *pmi;
    PmiBlock *b;
    int uffd;
    Placer *placer;
    unsigned waited_calls;
    uint64_t waited_offset, waited_len;
} Fixture;

static void on_waited(void *opaque, PmiBlock *b, uint64_t offset, uint64_t len)
{
    Fixture *f = opaque;

    f->waited_calls++;
    f->waited_offset = offset;
    f->waited_len = len;
}

/* False: marked as skipped. */
static bool set_up(Fixture *f, uint64_t len, size_t page_size)
{
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | (page_size > PAGE ? MAP_HUGETLB : 0);
    g_autoptr(Error) err = NULL;
    RAMBlock *rbs = &f->rb;

    *f = (Fixture){ .rb = { .idstr = "ram", .page_size = page_size, .used_length = len,
                            .max_length = len, .fd = -1 } };
    f->uffd = uffd_open(UFFD_WAYS_ANY, 0, NULL, &err);
    if (f->uffd < 0) {
        g_test_skip(err->message);
        return false;
    }
    f->rb.host = mmap(NULL, len, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (f->rb.host == MAP_FAILED) {
        close(f->uffd);
        g_test_skip("not enough free huge pages of 2 MiB (vm.nr_hugepages)");
        return false;
    }
    f->pmi = pmi_new(&rbs, NULL, 1);
    f->b = &f->pmi->blocks[0];
    g_assert_true(uffd_register(f->uffd, f->rb.host, len, UFFDIO_REGISTER_MODE_MISSING, NULL, NULL));
    f->placer = placer_new(f->pmi, f->uffd, on_waited, f);
    placer_allow_zeropage(f->placer, f->b, page_size == PAGE);
    return true;
}

static void tear_down(Fixture *f)
{
    placer_free(f->placer);
    pmi_free(f->pmi);
    close(f->uffd);
    munmap(f->rb.host, f->rb.max_length);
}

static bool place(Fixture *f, uint64_t offset, uint8_t value, Error **errp)
{
    uint8_t *buf = place_buffer(f->placer, f->b, offset, errp);

    if (!buf) {
        return false;
    }
    memset(buf, value, PAGE);
    return place_page_done(f->placer, errp);
}

static void assert_page(Fixture *f, uint64_t page, uint8_t value)
{
    g_assert_cmpint(pmi_state(f->b, page * PAGE), ==, PMI_RECEIVED);
    g_assert_cmpuint(f->rb.host[page * PAGE], ==, value);
    g_assert_cmpuint(f->rb.host[page * PAGE + PAGE - 1], ==, value);
}

static void test_run(void)
{
    Fixture f;

    if (!set_up(&f, 1024 * PAGE, PAGE)) {
        return;
    }
    for (unsigned p = 0; p < 300; p++) {
        g_assert_true(place(&f, p * PAGE, p + 1, NULL));
    }
    /* 18 full runs of 16 went in, the rest waits. */
    g_assert_cmpuint(place_counts(f.placer).ioctls, ==, 18);
    g_assert_cmpint(pmi_state(f.b, 287 * PAGE), ==, PMI_RECEIVED);
    g_assert_cmpint(pmi_state(f.b, 288 * PAGE), ==, PMI_MISSING);
    g_assert_true(place_pending(f.placer));
    g_assert_true(place_flush(f.placer, NULL));
    g_assert_false(place_pending(f.placer));
    g_assert_true(place_flush(f.placer, NULL));
    /* A run of zeros, and a break. */
    for (unsigned p = 300; p < 320; p++) {
        g_assert_true(place_zero_page(f.placer, f.b, p * PAGE, NULL));
    }
    g_assert_true(place(&f, 500 * PAGE, 50, NULL));
    g_assert_cmpint(pmi_state(f.b, 319 * PAGE), ==, PMI_RECEIVED);
    g_assert_true(place_flush(f.placer, NULL));
    /* The rest, zeros twice, the page behind the break. */
    g_assert_cmpuint(place_counts(f.placer).ioctls, ==, 22);
    g_assert_cmpuint(place_counts(f.placer).pages, ==, 301);
    g_assert_cmpuint(place_counts(f.placer).zero_pages, ==, 20);
    for (unsigned p = 0; p < 300; p++) {
        assert_page(&f, p, p + 1);
    }
    for (unsigned p = 300; p < 320; p++) {
        assert_page(&f, p, 0);
    }
    assert_page(&f, 500, 50);
    tear_down(&f);
}

/* A page that somebody waits for does not wait for the run it would fit into. */
static void test_requested(void)
{
    Fixture f;

    if (!set_up(&f, 64 * PAGE, PAGE)) {
        return;
    }
    g_assert_cmpint(pmi_request(f.pmi, f.b, 3 * PAGE), ==, PMI_MISSING);
    for (unsigned p = 0; p < 3; p++) {
        g_assert_true(place(&f, p * PAGE, p + 1, NULL));
    }
    g_assert_true(place(&f, 3 * PAGE, 4, NULL));
    assert_page(&f, 3, 4);
    g_assert_cmpint(pmi_state(f.b, 2 * PAGE), ==, PMI_MISSING);
    g_assert_cmpuint(f.waited_calls, ==, 1);
    g_assert_cmpuint(f.waited_offset, ==, 3 * PAGE);
    g_assert_cmpuint(f.waited_len, ==, PAGE);
    g_assert_cmpuint(place_counts(f.placer).urgent, ==, 1);
    /* The same with a page of zeros. */
    g_assert_cmpint(pmi_request(f.pmi, f.b, 9 * PAGE), ==, PMI_MISSING);
    g_assert_true(place_zero_page(f.placer, f.b, 9 * PAGE, NULL));
    assert_page(&f, 9, 0);
    tear_down(&f);
}

/* Before a read: flush when a gathered page is asked for, or when nothing is there to be read. */
static void test_before_read(void)
{
    int fds[2];
    Fixture f;

    if (!set_up(&f, 64 * PAGE, PAGE)) {
        return;
    }
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
    g_autoptr(IOChannel) ioc = io_channel_socket_new(fds[0]);
    g_autoptr(Stream) s = stream_new_input(ioc);

    g_assert_true(place(&f, 0, 1, NULL));
    g_assert_cmpint(write(fds[1], "x", 1), ==, 1);
    g_assert_true(place_before_read(f.placer, s, NULL));
    g_assert_true(place_pending(f.placer));
    pmi_request(f.pmi, f.b, 20 * PAGE);
    g_assert_cmpint(write(fds[1], "y", 1), ==, 1);
    g_assert_true(place_before_read(f.placer, s, NULL));
    g_assert_true(place_pending(f.placer));
    g_assert_cmpint(write(fds[1], "z", 1), ==, 1);
    pmi_request(f.pmi, f.b, 0);
    g_assert_true(place_before_read(f.placer, s, NULL));
    g_assert_false(place_pending(f.placer));
    assert_page(&f, 0, 1);
    /* Part of a record is there and no more comes. */
    g_assert_true(place(&f, PAGE, 2, NULL));
    g_assert_true(place_before_read(f.placer, s, NULL));
    g_assert_true(place_pending(f.placer));
    g_assert_true(place_before_read(f.placer, s, NULL));
    g_assert_false(place_pending(f.placer));
    assert_page(&f, 1, 2);
    g_assert_cmpuint(stream_buffered(s), ==, 3);
    close(fds[1]);
    tear_down(&f);
}

/* A page that was received is left alone when it comes again; other memory is an error. */
static void test_exists(void)
{
    g_autoptr(Error) err = NULL;
    Fixture f;

    if (!set_up(&f, 16 * PAGE, PAGE)) {
        return;
    }
    g_assert_true(place(&f, 2 * PAGE, 1, NULL) && place_flush(f.placer, NULL));
    f.rb.host[2 * PAGE] = 99;
    for (unsigned p = 0; p < 5; p++) {
        g_assert_true(place(&f, p * PAGE, 7, NULL));
    }
    g_assert_true(place_flush(f.placer, NULL));
    g_assert_cmpuint(f.rb.host[2 * PAGE], ==, 99);
    assert_page(&f, 1, 7);
    assert_page(&f, 4, 7);

    uffd_zeropage(f.uffd, f.rb.host + 8 * PAGE, PAGE, NULL, NULL);
    g_assert_true(place(&f, 8 * PAGE, 7, NULL));
    g_assert_false(place_flush(f.placer, &err));
    g_assert_nonnull(strstr(err->message, "there already"));
    tear_down(&f);
}

static void test_refused(void)
{
    g_autoptr(Error) behind = NULL, odd = NULL, zero = NULL;
    Fixture f;

    if (!set_up(&f, 16 * PAGE, PAGE)) {
        return;
    }
    g_assert_false(place(&f, 16 * PAGE, 1, &behind));
    g_assert_nonnull(strstr(behind->message, "outside"));
    g_assert_false(place(&f, 1, 1, &odd));
    g_assert_false(place_zero_page(f.placer, f.b, UINT64_MAX & ~(PAGE - 1), &zero));
    g_assert_nonnull(zero);
    tear_down(&f);
}

static void test_huge(void)
{
    g_autoptr(Error) other = NULL, twice = NULL;
    Fixture f;

    if (!set_up(&f, 4 * HUGE, HUGE)) {
        return;
    }
    pmi_request(f.pmi, f.b, HUGE);
    for (unsigned p = 512; p < 1024; p++) {
        g_assert_cmpint(pmi_state(f.b, HUGE), ==, PMI_REQUESTED);
        if (p % 3) {
            g_assert_true(place(&f, p * PAGE, p, NULL));
        } else {
            g_assert_true(place_zero_page(f.placer, f.b, p * PAGE, NULL));
        }
    }
    g_assert_cmpuint(f.waited_len, ==, HUGE);
    for (unsigned p = 512; p < 1024; p++) {
        assert_page(&f, p, p % 3 ? p : 0);
    }
    /* All zero. */
    for (unsigned p = 0; p < 512; p++) {
        g_assert_true(place_zero_page(f.placer, f.b, p * PAGE, NULL));
    }
    assert_page(&f, 77, 0);
    g_assert_false(place_host_page_open(f.placer));
    /* One page of a host page, then the same, then one of another. */
    g_assert_true(place(&f, 1025 * PAGE, 1, NULL));
    g_assert_true(place_host_page_open(f.placer));
    g_assert_false(place(&f, 1025 * PAGE, 1, &twice));
    g_assert_nonnull(strstr(twice->message, "twice"));
    g_assert_false(place(&f, 1600 * PAGE, 1, &other));
    g_assert_nonnull(strstr(other->message, "only 1 of its 512"));
    tear_down(&f);
}

/* ---- a thread that touches every page while they come in another order ---- */

#define RACE_PAGES 4096U

static uint8_t race_value(unsigned p)
{
    return p % 5 ? p * 7 + 1 : 0;
}

static void *race_touch(void *opaque)
{
    Fixture *f = opaque;

    for (unsigned i = 0; i < RACE_PAGES; i++) {
        unsigned p = i * 1117 % RACE_PAGES;
        g_assert_cmpuint(((volatile uint8_t *)f->rb.host)[p * PAGE + 11], ==, race_value(p));
    }
    return NULL;
}

/* What the fault thread does, with the source in the same process. */
static void race_poll(Fixture *f, bool *sent)
{
    struct uffd_msg msgs[16];
    int n = uffd_read(f->uffd, msgs, 16, NULL);

    for (int i = 0; i < n; i++) {
        uint64_t offset = msgs[i].arg.pagefault.address - (uintptr_t)f->rb.host;
        unsigned p = offset / PAGE;

        if (pmi_request(f->pmi, f->b, p * PAGE) == PMI_MISSING && !sent[p]) {
            sent[p] = true;
            if (race_value(p)) {
                g_assert_true(place(f, p * PAGE, race_value(p), NULL));
            } else {
                g_assert_true(place_zero_page(f->placer, f->b, p * PAGE, NULL));
            }
        }
    }
}

static void test_race(void)
{
    g_autofree bool *sent = g_new0(bool, RACE_PAGES);
    g_autoptr(Stream) s = NULL;
    int fds[2];
    GThread *th;
    Fixture f;

    if (!set_up(&f, RACE_PAGES * PAGE, PAGE)) {
        return;
    }
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
    g_autoptr(IOChannel) ioc = io_channel_socket_new(fds[0]);
    s = stream_new_input(ioc);
    g_assert_cmpint(write(fds[1], "x", 1), ==, 1); /* always something to read */
    th = g_thread_new("toucher", race_touch, &f);
    for (unsigned p = 0; p < RACE_PAGES; p++) {
        race_poll(&f, sent);
        g_assert_true(place_before_read(f.placer, s, NULL));
        if (!sent[p]) {
            sent[p] = true;
            if (race_value(p)) {
                g_assert_true(place(&f, p * PAGE, race_value(p), NULL));
            } else {
                g_assert_true(place_zero_page(f.placer, f.b, p * PAGE, NULL));
            }
        }
    }
    g_assert_true(place_flush(f.placer, NULL));
    g_thread_join(th);
    race_poll(&f, sent);
    g_assert_cmpint(pmi_outstanding(f.pmi), ==, 0);
    g_assert_cmpuint(place_counts(f.placer).pages + place_counts(f.placer).zero_pages, ==, RACE_PAGES);
    close(fds[1]);
    tear_down(&f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/place/run", test_run);
    g_test_add_func("/place/requested", test_requested);
    g_test_add_func("/place/before-read", test_before_read);
    g_test_add_func("/place/exists", test_exists);
    g_test_add_func("/place/refused", test_refused);
    g_test_add_func("/place/huge", test_huge);
    g_test_add_func("/place/race", test_race);
    return g_test_run();
}
