/*
 * Postcopy between Ferry and a stock QEMU, in both directions: pages that are read on the
 * destination while they are at the source come over the return path; then all bytes are
 * compared.  The stock emulator is $STOCK_QEMU, or qemu-system-x86_64 of the PATH.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "migration-pair.h"

static char *stock; /* NULL: there is none */

static bool have_stock(void)
{
    if (!stock) {
        g_test_skip("no qemu-system-x86_64 on this host (Debian package qemu-system-x86)");
    }
    return stock != NULL;
}

static void run(const char *from, const char *from_args, const char *to, const char *to_args)
{
    Pair p = pair_new_with(from, from_args, to, to_args);

    p.reads = 16;
    pair_run(&p);
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

int main(int argc, char **argv)
{
    const char *given = g_getenv("STOCK_QEMU");

    g_test_init(&argc, &argv, NULL);
    stock = given ? g_strdup(given) : g_find_program_in_path("qemu-system-x86_64");
    g_test_add_func("/interop/postcopy/stock-to-ferry", test_stock_to_ferry);
    g_test_add_func("/interop/postcopy/ferry-to-stock", test_ferry_to_stock);
    g_test_add_func("/interop/postcopy/stock-to-ferry-memfd", test_stock_to_ferry_memfd);
    g_test_add_func("/interop/postcopy/ferry-to-stock-memfd", test_ferry_to_stock_memfd);
    return g_test_run();
}
