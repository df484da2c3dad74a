/*
 * Unit tests of util/uffd.c with a real userfaultfd: anonymous memory, memfd and, when
 * the host has free huge pages, hugetlb.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <poll.h>
#include <string.h>
#include <sys/mman.h>

#include "util/uffd.h"
#include "util/util.h"

#define PAGE 4096UL
#define HUGE (2 * MiB)

/* A descriptor, or -1 after marking the test as skipped. */
static int open_or_skip(unsigned ways, uint64_t features, UffdInfo *info)
{
    g_autoptr(Error) err = NULL;
    int fd = uffd_open(ways, features, info, &err);

    if (fd < 0) {
        g_test_skip(err->message);
    }
    return fd;
}

static void test_open_ways(void)
{
    static const enum UffdWay ways[] = { UFFD_WAY_DEVICE, UFFD_WAY_SYSCALL, UFFD_WAY_USER_ONLY };

    for (unsigned i = 0; i < ARRAY_SIZE(ways); i++) {
        g_autoptr(Error) err = NULL;
        UffdInfo info = { 0 };
        g_auto(AutoFd) fd = uffd_open(ways[i], 0, &info, &err);

        if (fd >= 0) {
            g_assert_cmpint(info.way, ==, ways[i]);
            g_assert_true(info.ioctls & (1ULL << _UFFDIO_REGISTER));
        } else {
            g_assert_nonnull(strstr(err->message, "no userfaultfd ("));
        }
    }
}

static void test_open_refused(void)
{
    g_autoptr(Error) none = NULL, feature = NULL;

    g_assert_cmpint(uffd_open(0, 0, NULL, &none), ==, -1);
    g_assert_nonnull(none);
    g_assert_cmpint(uffd_open(UFFD_WAYS_ANY, 1ULL << 63, NULL, &feature), ==, -1);
    g_assert_nonnull(strstr(feature->message, "userfaultfd"));
}

static void test_feature_names(void)
{
    g_autofree char *s =
        uffd_features_to_str(UFFD_FEATURE_MISSING_SHMEM | UFFD_FEATURE_THREAD_ID | 1ULL << 63);

    g_assert_cmpstr(s, ==, "missing-shmem, thread-id, 0x8000000000000000");
}

typedef struct Toucher {
    const uint8_t *addr;
    uint8_t value;
} Toucher;

static void *touch(void *opaque)
{
    Toucher *t = opaque;

    t->value = *(volatile const uint8_t *)t->addr;
    return NULL;
}

/* Wait for one event; its address. */
static uint64_t next_fault(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    struct uffd_msg msg;

    g_assert_cmpint(poll(&p, 1, 10000), ==, 1);
    g_assert_cmpint(uffd_read(fd, &msg, 1, NULL), ==, 1);
    g_assert_cmpint(msg.event, ==, UFFD_EVENT_PAGEFAULT);
    return msg.arg.pagefault.address;
}

/* Faults on page 0, 1 and 2 of a mapping answered by copy, zeropage and wake + copy. */
static void check_missing(int fd, uint8_t *mem, size_t page, bool zeropage)
{
    g_autofree uint8_t *src = g_malloc(page);
    Toucher t = { .addr = mem + 5 };
    uint64_t ioctls, done;
    GThread *th;

    memset(src, 0xa5, page);
    g_assert_true(uffd_register(fd, mem, 4 * page, UFFDIO_REGISTER_MODE_MISSING, &ioctls, NULL));
    g_assert_true(ioctls & (1ULL << _UFFDIO_COPY));
    g_assert_cmpint(!!(ioctls & (1ULL << _UFFDIO_ZEROPAGE)), ==, zeropage);

    th = g_thread_new("toucher", touch, &t);
    g_assert_cmpuint(next_fault(fd) & ~(page - 1), ==, (uintptr_t)mem);
    /* Waking without a page makes the toucher fault again. */
    g_assert_true(uffd_wake(fd, mem, page, NULL));
    g_assert_cmpuint(next_fault(fd) & ~(page - 1), ==, (uintptr_t)mem);
    g_assert_cmpint(uffd_copy(fd, mem, src, page, &done, NULL), ==, UFFD_DONE);
    g_assert_cmpuint(done, ==, page);
    g_thread_join(th);
    g_assert_cmpuint(t.value, ==, 0xa5);

    if (zeropage) {
        g_assert_cmpint(uffd_zeropage(fd, mem + page, page, &done, NULL), ==, UFFD_DONE);
        g_assert_cmpuint(mem[page + 7], ==, 0);
    }
    g_assert_true(uffd_unregister(fd, mem, 4 * page, NULL));
    g_assert_cmpuint(mem[3 * page], ==, 0);
}

static void test_anonymous(void)
{
    g_auto(AutoFd) fd = open_or_skip(UFFD_WAYS_FULL, UFFD_FEATURE_THREAD_ID, NULL);
    uint8_t *mem;

    if (fd < 0) {
        return;
    }
    mem = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    check_missing(fd, mem, PAGE, true);
    munmap(mem, 4 * PAGE);
}

static void test_user_only(void)
{
    g_auto(AutoFd) fd = open_or_skip(UFFD_WAY_USER_ONLY, 0, NULL);
    uint8_t *mem;

    if (fd < 0) {
        return;
    }
    mem = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    check_missing(fd, mem, PAGE, true);
    munmap(mem, 4 * PAGE);
}

static void test_memfd(void)
{
    g_auto(AutoFd) fd = open_or_skip(UFFD_WAYS_FULL, UFFD_FEATURE_MISSING_SHMEM, NULL);
    g_auto(AutoFd) mfd = memfd_create("test-uffd", MFD_CLOEXEC);
    uint8_t *mem;

    if (fd < 0) {
        return;
    }
    g_assert_cmpint(ftruncate(mfd, 4 * PAGE), ==, 0);
    mem = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, mfd, 0);
    check_missing(fd, mem, PAGE, true);
    munmap(mem, 4 * PAGE);
}

static void test_hugetlb(void)
{
    g_auto(AutoFd) fd = open_or_skip(UFFD_WAYS_FULL, UFFD_FEATURE_MISSING_HUGETLBFS, NULL);
    uint8_t *mem;

    if (fd < 0) {
        return;
    }
    mem = mmap(NULL, 4 * HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB,
               -1, 0);
    if (mem == MAP_FAILED) {
        g_test_skip("no four free huge pages of 2 MiB (vm.nr_hugepages)");
        return;
    }
    check_missing(fd, mem, HUGE, false);
    munmap(mem, 4 * HUGE);
}

/* The second mapping of shared memory fills the page cache; CONTINUE maps it. */
static void test_continue(void)
{
    UffdInfo info;
    g_auto(AutoFd) fd = open_or_skip(UFFD_WAYS_FULL, 0, &info);
    g_auto(AutoFd) mfd = memfd_create("test-uffd", MFD_CLOEXEC);
    Toucher t;
    GThread *th;
    uint8_t *mem, *other;

    if (fd < 0) {
        return;
    }
    if (!(info.features & UFFD_FEATURE_MINOR_SHMEM)) {
        g_test_skip("the kernel has no minor faults for shared memory");
        return;
    }
    close(fd);
    fd = uffd_open(UFFD_WAYS_FULL, UFFD_FEATURE_MINOR_SHMEM, NULL, NULL);
    g_assert_cmpint(ftruncate(mfd, PAGE), ==, 0);
    mem = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, mfd, 0);
    other = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, mfd, 0);
    g_assert_true(uffd_register(fd, mem, PAGE, UFFDIO_REGISTER_MODE_MINOR, NULL, NULL));
    memset(other, 0x3c, PAGE);
    t = (Toucher){ .addr = mem + 9 };
    th = g_thread_new("toucher", touch, &t);
    next_fault(fd);
    g_assert_cmpint(uffd_continue(fd, mem, PAGE, NULL, NULL), ==, UFFD_DONE);
    g_thread_join(th);
    g_assert_cmpuint(t.value, ==, 0x3c);
    munmap(mem, PAGE);
    munmap(other, PAGE);
}

/* Pages in the middle exist: the copy stops exactly there, and can go on behind. */
static void test_exists(void)
{
    g_auto(AutoFd) fd = open_or_skip(UFFD_WAYS_FULL, 0, NULL);
    g_autofree uint8_t *src = g_malloc(8 * PAGE);
    uint64_t done;
    uint8_t *mem;

    if (fd < 0) {
        return;
    }
    memset(src, 1, 8 * PAGE);
    mem = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mem[3 * PAGE] = 77;
    g_assert_true(uffd_register(fd, mem, 8 * PAGE, UFFDIO_REGISTER_MODE_MISSING, NULL, NULL));
    g_assert_cmpint(uffd_copy(fd, mem, src, 8 * PAGE, &done, NULL), ==, UFFD_EXISTS);
    g_assert_cmpuint(done, ==, 3 * PAGE);
    g_assert_cmpint(uffd_zeropage(fd, mem + 3 * PAGE, PAGE, &done, NULL), ==, UFFD_EXISTS);
    g_assert_cmpuint(done, ==, 0);
    g_assert_cmpint(uffd_copy(fd, mem + 4 * PAGE, src, 4 * PAGE, &done, NULL), ==, UFFD_DONE);
    g_assert_cmpuint(mem[3 * PAGE], ==, 77);
    g_assert_cmpuint(mem[7 * PAGE], ==, 1);
    munmap(mem, 8 * PAGE);
}

static void test_failures(void)
{
    g_auto(AutoFd) fd = open_or_skip(UFFD_WAYS_FULL, 0, NULL);
    g_autoptr(Error) copy = NULL, reg = NULL, rd = NULL;
    struct uffd_msg msg;
    uint8_t *mem;

    if (fd < 0) {
        return;
    }
    g_assert_cmpint(uffd_read(fd, &msg, 1, NULL), ==, 0);
    mem = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    g_assert_cmpint(uffd_copy(fd, mem, mem, PAGE, NULL, &copy), ==, UFFD_FAILED);
    g_assert_nonnull(copy);
    g_assert_false(uffd_register(fd, mem + 1, PAGE, UFFDIO_REGISTER_MODE_MISSING, NULL, &reg));
    g_assert_nonnull(reg);
    g_assert_cmpint(uffd_read(-1, &msg, 1, &rd), ==, -1);
    g_assert_nonnull(rd);
    munmap(mem, PAGE);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/uffd/open-ways", test_open_ways);
    g_test_add_func("/uffd/open-refused", test_open_refused);
    g_test_add_func("/uffd/feature-names", test_feature_names);
    g_test_add_func("/uffd/anonymous", test_anonymous);
    g_test_add_func("/uffd/user-only", test_user_only);
    g_test_add_func("/uffd/memfd", test_memfd);
    g_test_add_func("/uffd/hugetlb", test_hugetlb);
    g_test_add_func("/uffd/continue", test_continue);
    g_test_add_func("/uffd/exists", test_exists);
    g_test_add_func("/uffd/failures", test_failures);
    return g_test_run();
}
