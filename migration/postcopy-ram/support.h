/*
 * How to open the userfaultfd of a postcopy on this host.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_MIGRATION_POSTCOPY_SUPPORT_H
#define FERRY_MIGRATION_POSTCOPY_SUPPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "util/uffd.h"

/*
 * UFFD_WAY_* that serve everybody who touches guest memory: the user-mode-only form is
 * enough only when the accelerator never does so in the kernel.
 */
unsigned postcopy_uffd_ways(void);
/* Features for the kinds of memory of the migratable RAM blocks. */
uint64_t postcopy_uffd_features(bool blocktime);

#endif
