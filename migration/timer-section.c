/*
 * Section `timer`: the virtual clock of the machine.
 *
 * No thread of its own: machine lock, machine stopped.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "timer-section.h"

#include "system/clock.h"

static bool timer_pre_save(void *opaque, Error **errp)
{
    TimerSection *t = opaque;

    t->clock_offset = virtual_clock_get_offset();
    return true;
}

static bool timer_post_load(void *opaque, int version_id, Error **errp)
{
    TimerSection *t = opaque;

    if (version_id >= 2) {
        virtual_clock_set_offset(t->clock_offset);
    }
    return true;
}

const VMStateDescription vmstate_timer = {
    .name = "timer", .version_id = 2, .minimum_version_id = 1,
    .pre_save = timer_pre_save, .post_load = timer_post_load,
    .fields = (const VMStateField[]) {
        { .name = "cpu_ticks_offset", .info = &vmstate_info_int64, .size = 8,
          .offset = vmstate_offset(TimerSection, ticks_offset, int64_t) },
        VMSTATE_UNUSED(8),
        { .name = "cpu_clock_offset", .info = &vmstate_info_int64, .size = 8, .version_id = 2,
          .offset = vmstate_offset(TimerSection, clock_offset, int64_t) },
        VMSTATE_END_OF_LIST()
    },
};
