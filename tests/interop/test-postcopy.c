/*
 * Postcopy between Ferry and a stock QEMU, in both directions: pages that are read on the
 * destination while they are at the source come over the return path; then all bytes are
 * compared.  The stock emulator is $STOCK_QEMU, or qemu-system-x86_64 of the PATH.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "migration-pair.h"
#include "stock.h"

static Pair new_pair(const char *from, const char *from_args, const char *to, const char *to_args,
                     bool preempt)
{
    Pair p = pair_new_with(from, from_args, to, to_args);

    if (preempt) {
        migration_set_cap(p.from, "postcopy-preempt");
        migration_set_cap(p.to, "postcopy-preempt");
    }
    return p;
}

static void run_with(const char *from, const char *from_args, const char *to, const char *to_args,
                     bool preempt)
{
    Pair p = new_pair(from, from_args, to, to_args, preempt);

    p.reads = 16;
    pair_run(&p);
}

static void run(const char *from, const char *from_args, const char *to, const char *to_args)
{
    run_with(from, from_args, to, to_args, false);
}

#define ANONYMOUS "-object memory-backend-ram,id=m,size=32M -machine memory-backend=m"
#define MEMFD "-object memory-backend-memfd,id=m,size=32M,share=on -machine memory-backend=m"

static void test_stock_to_ferry(void)
{
    if (have_stock()) {
        run(stock, "", NULL, ANONYMOUS);
    }
}

static void test_stock_to_ferry_memfd(void)
{
    if (have_stock()) {
        run(stock, "", NULL, MEMFD);
    }
}

static void test_ferry_to_stock(void)
{
    if (have_stock()) {
        run(NULL, "", stock, "");
    }
}

static void test_ferry_to_stock_memfd(void)
{
    if (have_stock()) {
        run(NULL, MEMFD, stock, MEMFD);
    }
}

/* ---- a broken connection ---- */

/* A stock emulator knows nothing of files: its peer says so at once. */
static void no_files(Pair *p, bool ferry_is_source)
{
    g_autofree char *err =
        ferry_is_source
            ? qtest_qmp_error(p->from, "migrate", "{'uri': 'file:/nonexistent/x', 'resume': true}")
            : qtest_qmp_error(p->to, "migrate-recover", "{'uri': 'file:/nonexistent/x'}");

    g_assert_nonnull(strstr(err, "files are for two Ferrys"));
}

/* The stock emulator has no state of its own for connecting. */
static void recover(const char *from, const char *from_args, const char *to, const char *to_args,
                    bool preempt)
{
    Pair p = new_pair(from, from_args, to, to_args, preempt);
    g_autofree char *again = NULL;

    pair_start(&p);
    pair_to_postcopy(&p);
    again = g_strdup_printf("%s-again", p.uri);
    for (unsigned i = 0; i < 2; i++) {
        qtest_qmp_ok(i ? p.to : p.from, "migrate-pause", NULL);
        migration_wait_status(p.from, "postcopy-paused");
        migration_wait_status(p.to, "postcopy-paused");
        no_files(&p, !from);
        qtest_qmp_ok(p.to, "migrate-recover", "{'uri': '%s'}", again);
        qtest_qmp_ok(p.from, "migrate", "{'uri': '%s', 'resume': true}", again);
        migration_wait_status(p.from, "postcopy-recover");
        migration_wait_status(p.to, "postcopy-recover");
        migration_wait_status(p.from, "postcopy-active");
        migration_wait_status(p.to, "postcopy-active");
        /* A stock source that is broken again the moment it is mended may never come back. */
        pair_check_page(p.to, PAIR_PAGES - 7 - i);
    }
    p.reads = 16;
    pair_read_and_finish(&p);
    pair_free(&p);
}

static void test_recover_from_stock(void)
{
    if (have_stock()) {
        recover(stock, "", NULL, ANONYMOUS, false);
    }
}

static void test_recover_to_stock(void)
{
    if (have_stock()) {
        recover(NULL, "", stock, "", false);
    }
}

/* ---- preempt channel ---- */

/* A source that is told that its peer connects in the older order; else it finds out. */
#define EARLY "-global migration.x-preempt-pre-7-2=true"

static void test_preempt_from_stock(void)
{
    if (have_stock()) {
        run_with(stock, "", NULL, ANONYMOUS, true);
    }
}

static void test_preempt_to_stock(gconstpointer args)
{
    if (have_stock()) {
        run_with(NULL, args, stock, "", true);
    }
}

static void test_recover_preempt_from_stock(void)
{
    if (have_stock()) {
        recover(stock, "", NULL, ANONYMOUS, true);
    }
}

static void test_recover_preempt_to_stock(gconstpointer args)
{
    if (have_stock()) {
        recover(NULL, args, stock, "", true);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    stock_find();
    g_test_add_func("/interop/postcopy/stock-to-ferry", test_stock_to_ferry);
    g_test_add_func("/interop/postcopy/ferry-to-stock", test_ferry_to_stock);
    g_test_add_func("/interop/postcopy/stock-to-ferry-memfd", test_stock_to_ferry_memfd);
    g_test_add_func("/interop/postcopy/ferry-to-stock-memfd", test_ferry_to_stock_memfd);
    g_test_add_func("/interop/postcopy/recover/stock-to-ferry", test_recover_from_stock);
    g_test_add_func("/interop/postcopy/recover/ferry-to-stock", test_recover_to_stock);
    g_test_add_func("/interop/postcopy/preempt/stock-to-ferry", test_preempt_from_stock);
    g_test_add_data_func("/interop/postcopy/preempt/ferry-to-stock", "", test_preempt_to_stock);
    g_test_add_data_func("/interop/postcopy/preempt/ferry-to-stock-early", EARLY,
                         test_preempt_to_stock);
    g_test_add_func("/interop/postcopy/preempt/recover/stock-to-ferry",
                    test_recover_preempt_from_stock);
    g_test_add_data_func("/interop/postcopy/preempt/recover/ferry-to-stock", "",
                         test_recover_preempt_to_stock);
    g_test_add_data_func("/interop/postcopy/preempt/recover/ferry-to-stock-early", EARLY,
                         test_recover_preempt_to_stock);
    return g_test_run();
}
