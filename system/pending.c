/*
 * Stands in for the software CPU until its folder is built.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "accel/accel.h"

static bool absent_init(GHashTable *options, Error **errp)
{
    error_setg(errp, "accelerator 'interp' is not in this build");
    return false;
}

__attribute__((weak)) const AccelOps interp_accel_ops = {
    .name = "interp",
    .alias = "tcg",
    .init = absent_init,
};
