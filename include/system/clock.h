/*
 * Clocks and timers.
 *
 * The virtual clock is what the guest sees: nanoseconds that stand still while
 * the machine is stopped, and that travel in the `timer` section.  Under
 * `-accel qtest` it moves only by clock_step/clock_set.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_SYSTEM_CLOCK_H
#define FERRY_SYSTEM_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "util/error.h"

#define NS_PER_SEC 1000000000LL

int64_t virtual_clock_ns(void);          /* any thread */
void virtual_clock_start(void);          /* machine lock; idempotent */
void virtual_clock_stop(void);
int64_t virtual_clock_get_offset(void);  /* state for the `timer` section (machine stopped) */
void virtual_clock_set_offset(int64_t ns);

/* qtest: manual mode from the start, value 0. */
void virtual_clock_set_manual(void);
bool virtual_clock_is_manual(void);
/* Advance to ns, running timers on the way in order; returns the clock reached. */
int64_t virtual_clock_warp_to(int64_t ns);

/* Timers on the virtual clock; callbacks run in the main thread, machine lock held. */
typedef struct Timer Timer;
struct Timer {
    int64_t expire_ns; /* -1: not armed */
    void (*cb)(void *opaque);
    void *opaque;
    Timer *next;       /* list of armed timers, ascending; machine lock */
};
void timer_init(Timer *t, void (*cb)(void *opaque), void *opaque);
void timer_mod(Timer *t, int64_t expire_ns); /* machine lock held, like timer_del */
void timer_del(Timer *t);
static inline bool timer_pending(const Timer *t)
{
    return t->expire_ns >= 0;
}
/* Next deadline, -1 for none. */
int64_t virtual_clock_deadline(void);

/* Real-time clock of the machine (-rtc base=utc|localtime|DATE,clock=...): seconds since 1970. */
bool rtc_configure(const char *base, const char *clock, Error **errp);
int64_t rtc_clock_seconds(void);
bool rtc_clock_follows_vm(void); /* clock=vm: it stands still with the machine */

#endif
