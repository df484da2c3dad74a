/*
 * MC146818 RTC: device type "mc146818rtc", one a machine.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_HW_TIMER_MC146818RTC_H
#define FERRY_HW_TIMER_MC146818RTC_H

#include <stdint.h>

/* Fill a byte of CMOS memory as firmware and hardware set-up would; after realize. Machine lock. */
void rtc_set_cmos(uint8_t index, uint8_t value);
/* A byte of CMOS memory, as the firmware that there is not would read it.  Machine lock. */
uint8_t rtc_get_cmos(uint8_t index);

#endif
