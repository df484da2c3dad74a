/*
 * MC146818 real-time clock and its CMOS memory, ports 0x70/0x71, IRQ 8.  Machine lock.
 *
 * The time of day is the machine's RTC source (-rtc) plus an offset that the guest
 * makes when it sets the clock; interrupts follow the virtual clock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "hw/timer/mc146818rtc.h"

#include <string.h>
#include <time.h>

#include "hw/core/machine.h"
#include "hw/i386/x86-irq.h"
#include "system/address-space.h"
#include "system/clock.h"
#include "util/util.h"

enum { RTC_SECONDS = 0, RTC_SECONDS_ALARM, RTC_MINUTES, RTC_MINUTES_ALARM, RTC_HOURS,
       RTC_HOURS_ALARM, RTC_DAY_OF_WEEK, RTC_DAY, RTC_MONTH, RTC_YEAR,
       RTC_REG_A = 10, RTC_REG_B, RTC_REG_C, RTC_REG_D, RTC_CENTURY = 0x32 };

#define REG_A_UIP 0x80
#define REG_B_SET 0x80
#define REG_B_PIE 0x40
#define REG_B_AIE 0x20
#define REG_B_UIE 0x10
#define REG_B_DM 0x04  /* binary, not BCD */
#define REG_B_24H 0x02
#define REG_C_IRQF 0x80
#define REG_C_PF 0x40
#define REG_C_AF 0x20
#define REG_C_UF 0x10
#define REG_D_VRT 0x80
#define HOUR_PM 0x80
#define ALARM_ANY 0xc0

#define RTC_CLOCK_HZ 32768
#define UIP_NS 244000 /* the update flag is up for the last bit of each second */

typedef struct RTCState {
    DeviceState dev;
    uint8_t cmos_data[128];
    uint8_t cmos_index;
    Timer periodic_timer, update_timer;
    int64_t next_periodic_time;
    uint32_t irq_coalesced, period;
    uint64_t base_rtc;    /* saved: guest's seconds ... */
    uint64_t last_update; /* ... at this host time, ns since 1970 */
    int64_t offset;       /* guest's seconds minus the machine's source */
    uint64_t next_alarm_time;
    int64_t last_second;  /* of the guest, when the flags were last brought up to date */
    IRQLine irq;
} RTCState;

static RTCState *the_rtc;

static int64_t guest_seconds(const RTCState *s)
{
    return rtc_clock_seconds() + s->offset;
}

static uint8_t to_reg(const RTCState *s, int v)
{
    return s->cmos_data[RTC_REG_B] & REG_B_DM ? v : (v / 10) << 4 | v % 10;
}

static int from_reg(const RTCState *s, uint8_t v)
{
    return s->cmos_data[RTC_REG_B] & REG_B_DM ? v : (v >> 4) * 10 + (v & 15);
}

static uint8_t hour_to_reg(const RTCState *s, int hour)
{
    if (s->cmos_data[RTC_REG_B] & REG_B_24H) {
        return to_reg(s, hour);
    }
    return to_reg(s, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? HOUR_PM : 0);
}

static int hour_from_reg(const RTCState *s, uint8_t v)
{
    if (s->cmos_data[RTC_REG_B] & REG_B_24H) {
        return from_reg(s, v);
    }
    return from_reg(s, v & 0x7f) % 12 + (v & HOUR_PM ? 12 : 0);
}

/* Time of day into the registers, unless the guest is setting them. */
static void show_time(RTCState *s)
{
    time_t now = guest_seconds(s);
    struct tm tm;

    if ((s->cmos_data[RTC_REG_B] & REG_B_SET) || !gmtime_r(&now, &tm)) {
        return;
    }
    s->cmos_data[RTC_SECONDS] = to_reg(s, tm.tm_sec);
    s->cmos_data[RTC_MINUTES] = to_reg(s, tm.tm_min);
    s->cmos_data[RTC_HOURS] = hour_to_reg(s, tm.tm_hour);
    s->cmos_data[RTC_DAY_OF_WEEK] = to_reg(s, tm.tm_wday + 1);
    s->cmos_data[RTC_DAY] = to_reg(s, tm.tm_mday);
    s->cmos_data[RTC_MONTH] = to_reg(s, tm.tm_mon + 1);
    s->cmos_data[RTC_YEAR] = to_reg(s, tm.tm_year % 100);
    s->cmos_data[RTC_CENTURY] = to_reg(s, (tm.tm_year + 1900) / 100);
}

/* The registers are what the guest wants the time to be. */
static void take_time(RTCState *s)
{
    struct tm tm = {
        .tm_sec = from_reg(s, s->cmos_data[RTC_SECONDS]),
        .tm_min = from_reg(s, s->cmos_data[RTC_MINUTES]),
        .tm_hour = hour_from_reg(s, s->cmos_data[RTC_HOURS]),
        .tm_mday = from_reg(s, s->cmos_data[RTC_DAY]),
        .tm_mon = from_reg(s, s->cmos_data[RTC_MONTH]) - 1,
        .tm_year = from_reg(s, s->cmos_data[RTC_YEAR]) + from_reg(s, s->cmos_data[RTC_CENTURY]) * 100 - 1900,
    };

    s->offset = timegm(&tm) - rtc_clock_seconds();
    s->last_second = guest_seconds(s);
}

static bool alarm_field_matches(const RTCState *s, int reg, int now)
{
    uint8_t v = s->cmos_data[reg];

    if ((v & ALARM_ANY) == ALARM_ANY) {
        return true;
    }
    return (reg == RTC_HOURS_ALARM ? hour_from_reg(s, v) : from_reg(s, v)) == now;
}

static bool alarm_matches(const RTCState *s, int64_t second)
{
    int day = ((second % 86400) + 86400) % 86400;

    return alarm_field_matches(s, RTC_SECONDS_ALARM, day % 60) &&
           alarm_field_matches(s, RTC_MINUTES_ALARM, day / 60 % 60) &&
           alarm_field_matches(s, RTC_HOURS_ALARM, day / 3600);
}

static void raise_flags(RTCState *s, uint8_t flags)
{
    s->cmos_data[RTC_REG_C] |= flags;
    if (s->cmos_data[RTC_REG_C] & s->cmos_data[RTC_REG_B] & (REG_C_PF | REG_C_AF | REG_C_UF)) {
        s->cmos_data[RTC_REG_C] |= REG_C_IRQF;
        irq_set(&s->irq, 1);
    }
}

/* Update and alarm flags for the seconds that have passed since the last look. */
static void catch_up(RTCState *s)
{
    int64_t now = guest_seconds(s);
    uint8_t flags = 0;

    if ((s->cmos_data[RTC_REG_B] & REG_B_SET) || now == s->last_second) {
        s->last_second = now;
        return;
    }
    /* A day holds every alarm once; a clock that went backwards is one step. */
    int64_t from = CLAMP(s->last_second + 1, now - 86399, now);
    flags = REG_C_UF;
    for (int64_t t = from; t <= now && !(flags & REG_C_AF); t++) {
        if (alarm_matches(s, t)) {
            flags |= REG_C_AF;
        }
    }
    s->last_second = now;
    raise_flags(s, flags);
}

static void arm_update(RTCState *s)
{
    if ((s->cmos_data[RTC_REG_B] & (REG_B_UIE | REG_B_AIE)) && !(s->cmos_data[RTC_REG_B] & REG_B_SET)) {
        int64_t now = virtual_clock_ns();

        timer_mod(&s->update_timer, now - now % NS_PER_SEC + NS_PER_SEC);
    } else {
        timer_del(&s->update_timer);
    }
}

static void update_expired(void *opaque)
{
    RTCState *s = opaque;

    catch_up(s);
    arm_update(s);
}

/* Ticks of the 32768 Hz clock between periodic interrupts, 0 for none. */
static uint32_t rate_period(const RTCState *s)
{
    unsigned rate = s->cmos_data[RTC_REG_A] & 15;

    if (!rate) {
        return 0;
    }
    return 1u << ((rate <= 2 ? rate + 7 : rate) - 1);
}

static int64_t period_ns(const RTCState *s)
{
    return (int64_t)s->period * NS_PER_SEC / RTC_CLOCK_HZ;
}

static void arm_periodic(RTCState *s)
{
    s->period = s->cmos_data[RTC_REG_B] & REG_B_PIE ? rate_period(s) : 0;
    if (!s->period) {
        timer_del(&s->periodic_timer);
        return;
    }
    s->next_periodic_time = virtual_clock_ns() + period_ns(s);
    timer_mod(&s->periodic_timer, s->next_periodic_time);
}

static void periodic_expired(void *opaque)
{
    RTCState *s = opaque;

    s->next_periodic_time += period_ns(s);
    if (s->next_periodic_time < virtual_clock_ns()) { /* the host was late: no burst */
        s->next_periodic_time = virtual_clock_ns() + period_ns(s);
    }
    timer_mod(&s->periodic_timer, s->next_periodic_time);
    raise_flags(s, REG_C_PF);
}

static void write_reg_b(RTCState *s, uint8_t value)
{
    uint8_t old = s->cmos_data[RTC_REG_B];

    catch_up(s);
    if (value & REG_B_SET) {
        show_time(s); /* what the guest does not write keeps its value */
        value &= ~REG_B_UIE;
    }
    s->cmos_data[RTC_REG_B] = value;
    if ((old & REG_B_SET) && !(value & REG_B_SET)) {
        take_time(s);
    }
    raise_flags(s, 0);
    if ((old ^ value) & REG_B_PIE) {
        arm_periodic(s);
    }
    arm_update(s);
}

static void rtc_write(void *opaque, uint64_t addr, uint64_t value, unsigned size)
{
    RTCState *s = opaque;

    if (addr == 0) {
        s->cmos_index = value & 0x7f;
        return;
    }
    switch (s->cmos_index) {
    case RTC_SECONDS:
    case RTC_MINUTES:
    case RTC_HOURS:
    case RTC_DAY_OF_WEEK:
    case RTC_DAY:
    case RTC_MONTH:
    case RTC_YEAR:
    case RTC_CENTURY:
        show_time(s);
        s->cmos_data[s->cmos_index] = value;
        if (!(s->cmos_data[RTC_REG_B] & REG_B_SET)) {
            take_time(s);
        }
        break;
    case RTC_REG_A: {
        uint8_t old = s->cmos_data[RTC_REG_A];

        s->cmos_data[RTC_REG_A] = value & 0x7f;
        if ((old ^ value) & 0x0f) {
            arm_periodic(s);
        }
        break;
    }
    case RTC_REG_B:
        write_reg_b(s, value);
        break;
    case RTC_REG_C:
    case RTC_REG_D:
        break; /* read-only */
    default:
        s->cmos_data[s->cmos_index] = value;
    }
}

static uint8_t read_reg_c(RTCState *s)
{
    catch_up(s);
    uint8_t value = s->cmos_data[RTC_REG_C];

    s->cmos_data[RTC_REG_C] = 0;
    irq_set(&s->irq, 0);
    return value;
}

static uint64_t rtc_read(void *opaque, uint64_t addr, unsigned size)
{
    RTCState *s = opaque;

    if (addr == 0) {
        return 0xff; /* the index cannot be read back */
    }
    switch (s->cmos_index) {
    case RTC_SECONDS:
    case RTC_MINUTES:
    case RTC_HOURS:
    case RTC_DAY_OF_WEEK:
    case RTC_DAY:
    case RTC_MONTH:
    case RTC_YEAR:
    case RTC_CENTURY:
        show_time(s);
        return s->cmos_data[s->cmos_index];
    case RTC_REG_A: {
        bool uip = virtual_clock_ns() % NS_PER_SEC >= NS_PER_SEC - UIP_NS &&
                   !(s->cmos_data[RTC_REG_B] & REG_B_SET);

        return s->cmos_data[RTC_REG_A] | (uip ? REG_A_UIP : 0);
    }
    case RTC_REG_C:
        return read_reg_c(s);
    default:
        return s->cmos_data[s->cmos_index];
    }
}

static const IORegionOps rtc_ops = {
    .read = rtc_read,
    .write = rtc_write,
    .min_size = 1,
    .max_size = 1,
};

void rtc_set_cmos(uint8_t index, uint8_t value)
{
    g_assert(the_rtc && index < 128);
    the_rtc->cmos_data[index] = value;
}

uint8_t rtc_get_cmos(uint8_t index)
{
    g_assert(the_rtc && index < 128);
    return the_rtc->cmos_data[index];
}

static void rtc_reset(DeviceState *dev)
{
    RTCState *s = (RTCState *)dev;

    s->cmos_data[RTC_REG_B] &= ~(REG_B_PIE | REG_B_AIE | REG_B_UIE);
    s->cmos_data[RTC_REG_C] &= ~(REG_C_IRQF | REG_C_PF | REG_C_AF | REG_C_UF);
    s->cmos_index = 0;
    timer_del(&s->periodic_timer);
    timer_del(&s->update_timer);
    irq_set(&s->irq, 0);
}

static bool rtc_realize(DeviceState *dev, Error **errp)
{
    RTCState *s = (RTCState *)dev;

    s->irq = *x86_gsi(8);
    s->cmos_data[RTC_REG_A] = 0x26; /* 32768 Hz, rate 1024 Hz */
    s->cmos_data[RTC_REG_B] = REG_B_24H;
    s->cmos_data[RTC_REG_D] = REG_D_VRT;
    s->last_second = guest_seconds(s);
    timer_init(&s->periodic_timer, periodic_expired, s);
    timer_init(&s->update_timer, update_expired, s);
    ioport_map(0x70, 2, "rtc", &rtc_ops, s);
    the_rtc = s;
    return true;
}

static bool rtc_pre_save(void *opaque, Error **errp)
{
    RTCState *s = opaque;

    show_time(s);
    s->base_rtc = guest_seconds(s);
    s->last_update = g_get_real_time() * 1000;
    return true;
}

static bool rtc_post_load(void *opaque, int version_id, Error **errp)
{
    RTCState *s = opaque;
    int64_t passed = 0;

    if (version_id >= 3 && !rtc_clock_follows_vm()) {
        passed = g_get_real_time() / 1000000 - (int64_t)(s->last_update / NS_PER_SEC);
    }
    if (version_id >= 3) {
        s->offset = (int64_t)s->base_rtc + passed - rtc_clock_seconds();
    } else {
        take_time(s);
    }
    s->cmos_index &= 0x7f;
    s->period = timer_pending(&s->periodic_timer) ? rate_period(s) : 0;
    if (!s->period) {
        timer_del(&s->periodic_timer); /* not a timer without a period */
    }
    s->last_second = guest_seconds(s);
    arm_update(s);
    return true;
}

static const VMStateDescription vmstate_rtc = {
    .name = "mc146818rtc",
    .version_id = 3,
    .minimum_version_id = 1,
    .pre_save = rtc_pre_save,
    .post_load = rtc_post_load,
    .fields = (const VMStateField[]){
        VMSTATE_BUFFER(cmos_data, RTCState),
        VMSTATE_UINT8(cmos_index, RTCState),
        VMSTATE_UNUSED(7 * 4),
        VMSTATE_TIMER(periodic_timer, RTCState),
        VMSTATE_INT64(next_periodic_time, RTCState),
        VMSTATE_UNUSED(3 * 8),
        VMSTATE_UINT32_V(irq_coalesced, RTCState, 2),
        VMSTATE_UINT32_V(period, RTCState, 2),
        VMSTATE_UINT64_V(base_rtc, RTCState, 3),
        VMSTATE_UINT64_V(last_update, RTCState, 3),
        VMSTATE_INT64_V(offset, RTCState, 3),
        VMSTATE_SINGLE_FULL(update_timer, RTCState, NULL, 3, vmstate_info_timer, Timer),
        VMSTATE_UINT64_V(next_alarm_time, RTCState, 3),
        VMSTATE_END_OF_LIST(),
    },
};

static const DeviceClass rtc_class = {
    .desc = "MC146818 real-time clock",
    .bus = "ISA",
    .category = "Misc devices",
    .vmsd = &vmstate_rtc,
    .realize = rtc_realize,
    .reset = rtc_reset,
};

static const TypeInfo rtc_type = {
    .name = "mc146818rtc",
    .parent = TYPE_DEVICE,
    .instance_size = sizeof(RTCState),
    .class_data = &rtc_class,
};
TYPE_REGISTER(rtc_type)
