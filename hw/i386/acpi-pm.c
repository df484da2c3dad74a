/*
 * ACPI power management registers: PM1a events and control, and the PM timer.
 * Machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "hw/core/device.h"
#include "hw/i386/x86-irq.h"
#include "system/address-space.h"
#include "system/clock.h"
#include "system/runstate.h"
#include "trace/hw.h"
#include "util/log.h"

#define PM_TIMER_HZ 3579545
#define SCI_GSI 9

#define PM1_TMR_STS 0x0001
#define PM1_GBL_STS 0x0020
#define PM1_PWRBTN_STS 0x0100
#define PM1_WAK_STS 0x8000
#define PM1_CNT_SCI_EN 0x0001
#define PM1_CNT_SLP_EN 0x2000
#define SLP_TYP(cnt) ((cnt) >> 10 & 7)
#define SLP_TYP_S5 0
#define SLP_TYP_S3 1

typedef struct AcpiPmState {
    DeviceState dev;
    uint32_t iobase;
    uint16_t pm1_sts, pm1_en, pm1_cnt;
    int64_t overflow_time; /* virtual clock when bit 23 of the timer changes next */
    Timer tmr;
    IRQLine sci;
} AcpiPmState;

static int64_t pm_ticks(int64_t ns)
{
    return (__int128)ns * PM_TIMER_HZ / NS_PER_SEC;
}

/* First moment at which the counter has reached `ticks`. */
static int64_t pm_ticks_to_ns(int64_t ticks)
{
    return ((__int128)ticks * NS_PER_SEC + PM_TIMER_HZ - 1) / PM_TIMER_HZ;
}

static void set_overflow_time(AcpiPmState *s)
{
    int64_t half = 1 << 23;
    int64_t now = pm_ticks(virtual_clock_ns());

    s->overflow_time = pm_ticks_to_ns((now / half + 1) * half);
}

static void update_status(AcpiPmState *s)
{
    if (virtual_clock_ns() >= s->overflow_time) {
        s->pm1_sts |= PM1_TMR_STS;
        set_overflow_time(s);
    }
}

static void update_sci(AcpiPmState *s)
{
    update_status(s);
    uint16_t wanted = s->pm1_sts & s->pm1_en & (PM1_TMR_STS | PM1_GBL_STS | PM1_PWRBTN_STS);

    irq_set(&s->sci, (s->pm1_cnt & PM1_CNT_SCI_EN) && wanted);
    if ((s->pm1_en & PM1_TMR_STS) && !(s->pm1_sts & PM1_TMR_STS)) {
        timer_mod(&s->tmr, s->overflow_time);
    } else {
        timer_del(&s->tmr);
    }
}

static void tmr_expired(void *opaque)
{
    update_sci(opaque);
}

static void write_control(AcpiPmState *s, uint16_t value)
{
    s->pm1_cnt = value & ~PM1_CNT_SLP_EN;
    if (value & PM1_CNT_SLP_EN) {
        trace_acpi_sleep(SLP_TYP(value));
        if (SLP_TYP(value) == SLP_TYP_S5) {
            system_shutdown_request(SHUTDOWN_CAUSE_GUEST_SHUTDOWN);
        } else if (SLP_TYP(value) == SLP_TYP_S3) {
            system_suspend_request();
        } else {
            log_debug(LOG_UNIMP, "acpi: sleep type %u is not modelled\n", SLP_TYP(value));
        }
    }
    update_sci(s);
}

static void pm_write16(AcpiPmState *s, unsigned reg, uint16_t value)
{
    switch (reg) {
    case 0: /* status bits are cleared by writing ones */
        update_status(s);
        s->pm1_sts &= ~value;
        update_sci(s);
        break;
    case 2:
        s->pm1_en = value;
        update_sci(s);
        break;
    case 4:
        write_control(s, value);
        break;
    default:
        break;
    }
}

static uint16_t pm_read16(AcpiPmState *s, unsigned reg)
{
    switch (reg) {
    case 0:
        update_status(s);
        return s->pm1_sts;
    case 2:
        return s->pm1_en;
    case 4:
        return s->pm1_cnt;
    case 8:
        return pm_ticks(virtual_clock_ns()) & 0xffff;
    case 10:
        return pm_ticks(virtual_clock_ns()) >> 16 & 0xff;
    default:
        return 0;
    }
}

static uint64_t pm_read(void *opaque, uint64_t addr, unsigned size)
{
    AcpiPmState *s = opaque;

    if (addr == 8 && size == 4) {
        return pm_ticks(virtual_clock_ns()) & 0xffffff;
    }
    uint64_t value = pm_read16(s, addr & ~1u) >> 8 * (addr & 1);
    if (size == 4) {
        value |= (uint64_t)pm_read16(s, (addr & ~1u) + 2) << 16;
    }
    return value;
}

static void pm_write(void *opaque, uint64_t addr, uint64_t value, unsigned size)
{
    AcpiPmState *s = opaque;
    unsigned reg = addr & ~1u;

    if (size == 1) { /* the other half keeps what it has; for status that is no ones */
        uint16_t keep = reg == 0 ? 0 : pm_read16(s, reg) & (addr & 1 ? 0x00ff : 0xff00);

        pm_write16(s, reg, keep | value << 8 * (addr & 1));
        return;
    }
    pm_write16(s, reg, value);
    if (size == 4) {
        pm_write16(s, reg + 2, value >> 16);
    }
}

static const IORegionOps pm_ops = { pm_read, pm_write, 1, 4 };

static void power_button(void *opaque)
{
    AcpiPmState *s = opaque;

    s->pm1_sts |= PM1_PWRBTN_STS;
    update_sci(s);
}

/* As if the power button had done it. */
static void woken(void *opaque)
{
    AcpiPmState *s = opaque;

    s->pm1_sts |= PM1_WAK_STS | PM1_PWRBTN_STS;
    update_sci(s);
}

static bool pm_realize(DeviceState *dev, Error **errp)
{
    AcpiPmState *s = (AcpiPmState *)dev;

    s->sci = *x86_gsi(SCI_GSI);
    timer_init(&s->tmr, tmr_expired, s);
    ioport_map(s->iobase, 12, "acpi-pm", &pm_ops, s);
    powerdown_notifier_add(power_button, s);
    system_sleep_register(woken, s);
    return true;
}

static void pm_reset(DeviceState *dev)
{
    AcpiPmState *s = (AcpiPmState *)dev;

    s->pm1_sts = s->pm1_en = 0;
    s->pm1_cnt = PM1_CNT_SCI_EN; /* no SMM to switch ACPI on: it is on */
    set_overflow_time(s);
    update_sci(s);
}

static bool pm_post_load(void *opaque, int version_id, Error **errp)
{
    update_sci(opaque);
    return true;
}

static const VMStateDescription vmstate_pm = {
    .name = "acpi-pm",
    .version_id = 1,
    .minimum_version_id = 1,
    .post_load = pm_post_load,
    .fields = (const VMStateField[]){
        VMSTATE_UINT16(pm1_sts, AcpiPmState),
        VMSTATE_UINT16(pm1_en, AcpiPmState),
        VMSTATE_UINT16(pm1_cnt, AcpiPmState),
        VMSTATE_INT64(overflow_time, AcpiPmState),
        VMSTATE_TIMER(tmr, AcpiPmState),
        VMSTATE_END_OF_LIST(),
    },
};

static const PropertyInfo pm_props[] = {
    { .name = "iobase", .kind = PROP_UINT32, .offset = offsetof(AcpiPmState, iobase),
      .def = "0x600" },
    { .name = NULL },
};

static const DeviceClass pm_class = {
    .desc = "ACPI power management block",
    .bus = "ISA",
    .vmsd = &vmstate_pm,
    .realize = pm_realize,
    .reset = pm_reset,
};

static const TypeInfo pm_type = {
    .name = "acpi-pm",
    .parent = TYPE_DEVICE,
    .instance_size = sizeof(AcpiPmState),
    .props = pm_props,
    .class_data = &pm_class,
};
TYPE_REGISTER(pm_type)
