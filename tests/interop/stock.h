/*
 * The stock emulator that the tests of interoperation have at the other end.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_TESTS_INTEROP_STOCK_H
#define FERRY_TESTS_INTEROP_STOCK_H

#include <stdbool.h>

/* $STOCK_QEMU, or qemu-system-x86_64 of the PATH; NULL: there is none. */
extern const char *stock;

/* main(), once. */
void stock_find(void);
/* False: there is none, and the test is skipped with that reason. */
bool have_stock(void);

#endif
