/*
 * How each page travelled: one byte a page on the source, for reports.
 *
 * Written by the migration thread; read by the main thread when that thread has ended
 * or not at all.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_MIGRATION_JOURNEY_H
#define FERRY_MIGRATION_JOURNEY_H

#include <stdbool.h>
#include <stdint.h>

/* Bits of a page's byte; x-query-migrate-journey hands them out as they are. */
enum JourneyWay {
    JOURNEY_ZERO = 1,       /* sent as a zero page */
    JOURNEY_PRECOPY = 2,    /* sent while the guest ran here */
    JOURNEY_AGAIN = 4,      /* ... and again, because it had changed */
    JOURNEY_BACKGROUND = 8, /* sent in postcopy, unasked */
    JOURNEY_FAULT = 16,     /* sent in postcopy because somebody waited for it */
};

/* One RAM block's journeys, when its migration is over. */
typedef struct PageJourney {
    char *name;
    uint64_t pages;
    uint8_t *ways; /* a byte a page */
} PageJourney;

static inline void journey_mark(uint8_t *way, bool postcopy, bool urgent, bool zero)
{
    if (postcopy) {
        *way |= urgent ? JOURNEY_FAULT : JOURNEY_BACKGROUND;
    } else if (zero) {
        *way |= JOURNEY_ZERO;
    } else {
        *way |= *way ? JOURNEY_AGAIN : JOURNEY_PRECOPY;
    }
}

#endif
