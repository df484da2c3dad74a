/*
 * The paravirtual clock of KVM guests: section `kvmclock`.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_HW_I386_KVMCLOCK_H
#define FERRY_HW_I386_KVMCLOCK_H

#include <stdbool.h>

#include "util/error.h"

/*
 * Register the section and the stop/start hook.  Under an accelerator without such a
 * clock the section is only kept: a value that arrived is sent on, so that a guest can
 * pass through that accelerator.  Machine lock, once.
 */
bool kvmclock_new(Error **errp);

#endif
