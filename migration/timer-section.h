/*
 * Section `timer`.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_MIGRATION_TIMER_SECTION_H
#define FERRY_MIGRATION_TIMER_SECTION_H

#include "migration/vmstate.h"

/* Machine lock. */
typedef struct TimerSection {
    int64_t ticks_offset; /* TSC of machines without their own CPU section for it; kept as it came */
    int64_t clock_offset; /* virtual clock at the stop, ns */
} TimerSection;

extern const VMStateDescription vmstate_timer;

#endif
