/*
 * The stock emulator at the other end.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "stock.h"

#include <glib.h>

const char *stock;

void stock_find(void)
{
    const char *given = g_getenv("STOCK_QEMU");

    stock = given ? g_strdup(given) : g_find_program_in_path("qemu-system-x86_64");
}

bool have_stock(void)
{
    if (!stock) {
        g_test_skip("no qemu-system-x86_64 on this host (Debian package qemu-system-x86)");
    }
    return stock != NULL;
}
