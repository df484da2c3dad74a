/*
 * ferry-system-x86_64: entry point.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "util/log.h"

int main(int argc, char **argv)
{
    log_set_program(argv[0]);
    return 1;
}
