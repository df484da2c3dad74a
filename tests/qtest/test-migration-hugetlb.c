/*
 * The running guest in 2 MiB pages of hugetlbfs: such a page arrives whole.  The pages
 * are reserved for the test and given back.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "migration-helpers.h"

#define RESERVE "/proc/sys/vm/nr_hugepages"
#define MIB 24
#define PAGES_EACH (MIB / 2)
#define MEMORY                                                                        \
    "-m 24M -object memory-backend-memfd,id=ram,size=24M,hugetlb=on,hugetlbsize=2M " \
    "-machine memory-backend=ram"

#define PRIVATE                                                                          \
    "-m 24M -object memory-backend-memfd,id=ram,size=24M,hugetlb=on,hugetlbsize=2M,share=off " \
    "-machine memory-backend=ram"

static long reserved(void)
{
    g_autofree char *text = NULL;

    return g_file_get_contents(RESERVE, &text, NULL, NULL) ? strtol(text, NULL, 10) : -1;
}

static bool reserve(long n)
{
    FILE *f = fopen(RESERVE, "w");

    if (!f) {
        return false;
    }
    fprintf(f, "%ld\n", n);
    return fclose(f) == 0 && reserved() >= n;
}

static long free_pages(void)
{
    g_autofree char *text = NULL;
    const char *at;

    if (!g_file_get_contents("/proc/meminfo", &text, NULL, NULL) ||
        !(at = strstr(text, "HugePages_Free:"))) {
        return 0;
    }
    return strtol(at + strlen("HugePages_Free:"), NULL, 10);
}

/* Break the connection, again and again; what had come of a page in part is sent again. */
static void break_and_mend(GuestVm *from, GuestVm *to)
{
    g_autofree char *path = g_build_filename(to->dir, "again", NULL);

    for (unsigned i = 0; i < 2; i++) {
        qtest_qmp_ok(i ? to->s : from->s, "migrate-pause", NULL);
        mig_wait_status(from, "postcopy-paused");
        mig_wait_status(to, "postcopy-paused");
        qtest_qmp_ok(to->s, "migrate-recover", "{'uri': 'unix:%s'}", path);
        qtest_qmp_ok(from->s, "migrate", "{'uri': 'unix:%s', 'resume': true}", path);
        mig_wait_status(from, "postcopy-active");
        mig_wait_status(to, "postcopy-active");
    }
}

/* In place of a connection: a file whose end is missing, then another one. */
static void carry(GuestVm *from, GuestVm *to)
{
    g_autofree char *path = g_build_filename(from->dir, "rest", NULL);

    qtest_qmp_ok(from->s, "migrate-pause", NULL);
    mig_wait_status(from, "postcopy-paused");
    mig_wait_status(to, "postcopy-paused");
    for (unsigned i = 0; i < 2; i++) {
        struct stat st;

        qtest_qmp_ok(from->s, "migrate", "{'uri': 'file:%s', 'resume': true}", path);
        mig_wait_status(from, "postcopy-paused");
        g_assert_cmpint(g_stat(path, &st), ==, 0);
        g_assert_cmpint(truncate(path, i ? st.st_size : st.st_size - (3 << 20)), ==, 0);
        qtest_qmp_ok(to->s, "migrate-recover", "{'uri': 'file:%s'}", path);
        mig_wait_status(to, i ? "completed" : "postcopy-paused");
    }
    g_unlink(path);
}

/* Postcopy by a connection that breaks, with or without a preempt channel, or for good. */
static void broken_postcopy(GuestVm *from, GuestVm *to, const char *how)
{
    const char *second = !strcmp(how, "preempt") ? "postcopy-preempt" : NULL;

    mig_set_caps(from, "postcopy-ram", second, NULL);
    mig_set_caps(to, "postcopy-ram", second, NULL);
    mig_set_limits(from, 8 << 20, 1);
    mig_set_parameter(from, "max-postcopy-bandwidth", 2 << 20);
    mig_start(from, to, MIG_UNIX, false);
    mig_wait_status(from, "active");
    qtest_qmp_ok(from->s, "migrate-start-postcopy", NULL);
    mig_wait_status(from, "postcopy-active");
    mig_wait_status(to, "postcopy-active");
    if (!strcmp(how, "carry")) {
        carry(from, to);
        return;
    }
    break_and_mend(from, to);
    mig_set_parameter(from, "max-postcopy-bandwidth", 0);
    mig_wait_status(from, "completed");
    mig_wait_status(to, "completed");
}

/* Saved while it runs; the copy is of that moment, and both go on. */
static void snapshot(GuestVm *from, GuestVm *to)
{
    g_autofree char *path = g_build_filename(from->dir, "snapshot", NULL);

    mig_set_caps(from, "background-snapshot", NULL);
    mig_set_caps(to, NULL);
    mig_set_limits(from, 32 << 20, 300);
    qtest_qmp_ok(from->s, "migrate", "{'uri': 'file:%s'}", path);
    mig_wait_status(from, "active");
    guest_wait_progress(from);
    mig_wait_status(from, "completed");
    /* The guest met memory that was not out yet. */
    g_assert_cmpint(mig_ram_stat(from, "postcopy-requests"), >, 0);
    qtest_wait_run_state(from->s, "running");
    guest_verify(from);
    qtest_qmp_ok(to->s, "migrate-incoming", "{'uri': 'file:%s'}", path);
    mig_wait_status(to, "completed");
    g_unlink(path);
}

/* By way of a file that pages have places in. */
static void mapped_file(GuestVm *from, GuestVm *to)
{
    mig_set_caps(from, "mapped-ram", "multifd", NULL);
    mig_set_caps(to, "mapped-ram", "multifd", NULL);
    mig_precopy(from, to, MIG_FILE, false);
}

/* One more for each: an incomplete page is put together apart. */
static void test_huge(const void *postcopy) /* or another way; NULL: precopy */
{
    bool private = postcopy && !strcmp(postcopy, "private-snapshot");
    GuestConfig config = { .accel = qtest_have_kvm() ? "kvm" : "interp", .mib = MIB,
                           .memory = private ? PRIVATE : MEMORY };
    long before = reserved(), want = 2 * PAGES_EACH + 2 - free_pages();
    GuestVm *from, *to;

    if (before < 0 || (want > 0 && !reserve(before + want))) {
        if (before >= 0) {
            reserve(before);
        }
        g_test_skip("2 MiB pages cannot be reserved in " RESERVE);
        return;
    }
    from = guest_start(&config);
    to = guest_start_incoming(&config);
    if (postcopy && strstr(postcopy, "snapshot")) {
        snapshot(from, to);
    } else if (postcopy && !strcmp(postcopy, "mapped-ram")) {
        mapped_file(from, to);
    } else if (postcopy && strcmp(postcopy, "postcopy")) {
        broken_postcopy(from, to, postcopy);
    } else if (postcopy) {
        mig_postcopy_requests(from, to, MIG_UNIX, false, 1);
    } else {
        mig_precopy(from, to, MIG_UNIX, false);
    }
    guest_verify(to);
    guest_quit(from);
    guest_quit(to);
    reserve(before);
    g_assert_cmpint(reserved(), ==, before);
}

/* In postcopy both sides must have pages of one size; precopy does not care. */
static void test_mixed(const void *precopy)
{
    GuestConfig huge = { .accel = qtest_have_kvm() ? "kvm" : "interp", .mib = MIB,
                         .memory = MEMORY };
    GuestConfig small = huge;
    long before = reserved(), want = PAGES_EACH - free_pages();
    GuestVm *from, *to;

    if (before < 0 || (want > 0 && !reserve(before + want))) {
        if (before >= 0) {
            reserve(before);
        }
        g_test_skip("2 MiB pages cannot be reserved in " RESERVE);
        return;
    }
    small.memory = "-m 24M -object memory-backend-memfd,id=ram,size=24M "
                   "-machine memory-backend=ram";
    from = guest_start(&huge);
    to = guest_start_incoming(&small);
    if (precopy) {
        mig_precopy(from, to, MIG_UNIX, false);
        guest_verify(to);
        guest_quit(from);
        guest_quit(to);
        reserve(before);
        return;
    }
    mig_set_caps(from, "postcopy-ram", NULL);
    mig_set_caps(to, "postcopy-ram", NULL);
    mig_set_limits(from, 2 << 20, 1);
    mig_start(from, to, MIG_UNIX, false);
    g_assert_cmpint(qtest_wait_exit(to->s), ==, 1);
    g_autofree char *err = qtest_stderr(to->s);
    if (!strstr(err, "page")) {
        g_error("it said: %s", err);
    }
    guest_kill(to);
    qtest_wait_run_state(from->s, "running");
    guest_verify(from);
    guest_quit(from);
    reserve(before);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/hugetlb/precopy", NULL, test_huge);
    g_test_add_data_func("/hugetlb/mapped-ram", "mapped-ram", test_huge);
    g_test_add_data_func("/hugetlb/postcopy", "postcopy", test_huge);
    g_test_add_data_func("/hugetlb/postcopy/recover", "recover", test_huge);
    g_test_add_data_func("/hugetlb/postcopy/preempt-recover", "preempt", test_huge);
    g_test_add_data_func("/hugetlb/postcopy/carry", "carry", test_huge);
    g_test_add_data_func("/hugetlb/mixed/postcopy", NULL, test_mixed);
    g_test_add_data_func("/hugetlb/mixed/precopy", "", test_mixed);
    g_test_add_data_func("/hugetlb/snapshot/shared", "snapshot", test_huge);
    g_test_add_data_func("/hugetlb/snapshot/private", "private-snapshot", test_huge);
    return g_test_run();
}
