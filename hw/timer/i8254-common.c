/*
 * 8254: state, reset and section `i8254`, common to both models.  Machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "hw/timer/i8254.h"

#include <inttypes.h>
#include <string.h>

#include "accel/accel.h"
#include "accel/kvm.h"
#include "migration/vmstate.h"
#include "system/runstate.h"

/* What the clock may have shown when a count was loaded: a century either way. */
#define LOAD_TIME_MAX (NS_PER_SEC * 100 * 366 * 24 * 3600)

static const PITOps no_model = { .name = "isa-pit" };
static const PITOps *user_model = &no_model;

void pit_set_user_model(const PITOps *ops)
{
    user_model = ops;
}

/* a * b / c without losing bits. */
static int64_t scale(int64_t a, int64_t b, int64_t c)
{
    return (__int128)a * b / c;
}

/* Tick after the load at which the output changes next, given `d` ticks have passed; -1: never. */
static int64_t next_change(const PITChannel *c, int64_t d)
{
    int64_t count = c->count > 0 ? c->count : 0x10000;
    int64_t base = d / count * count;

    switch (c->mode) {
    case 0:
    case 1:
        return d < count ? count : -1;
    case 2:
        return d == base && d != 0 ? base + 1 : base + count;
    case 3:
        return d - base < (count + 1) / 2 ? base + (count + 1) / 2 : base + count;
    default:
        return d < count ? count : d == count ? count + 1 : -1;
    }
}

int64_t pit_next_transition(const PITChannel *c, int64_t now)
{
    int64_t d = scale(now - c->count_load_time, PIT_FREQ, NS_PER_SEC);
    int64_t next = next_change(c, d < 0 ? 0 : d);
    int64_t ns;

    if (next < 0) {
        return -1;
    }
    ns = c->count_load_time + scale(next, NS_PER_SEC, PIT_FREQ);
    return ns > now ? ns : now + scale(1, NS_PER_SEC, PIT_FREQ);
}

void pit_reset(PITState *s)
{
    for (int i = 0; i < 3; i++) {
        s->channels[i] = (PITChannel){
            .mode = 3,
            .gate = i != 2,
            .count = 0x10000,
            .count_load_time = virtual_clock_ns(),
            .next_transition_time = -1,
        };
    }
    s->channels[0].next_transition_time =
        pit_next_transition(&s->channels[0], s->channels[0].count_load_time);
    if (s->ops->reset) {
        s->ops->reset(s);
    }
}

static void reset_handler(void *opaque)
{
    pit_reset(opaque);
}

static bool pit_pre_save(void *opaque, Error **errp)
{
    PITState *s = opaque;

    return !s->ops->pre_save || s->ops->pre_save(s, errp);
}

static bool pit_post_load(void *opaque, int version_id, Error **errp)
{
    PITState *s = opaque;

    for (int i = 0; i < 3; i++) {
        PITChannel *c = &s->channels[i];

        if (c->count < 0 || c->count > 0x10000 || c->mode > 7 || c->rw_mode > 4 ||
            c->count_load_time < -LOAD_TIME_MAX || c->count_load_time > LOAD_TIME_MAX) {
            error_setg(errp, "impossible state of channel %d: count %d, mode %u, rw_mode %u, "
                       "loaded at %" PRId64 " ns", i, c->count, c->mode, c->rw_mode,
                       c->count_load_time);
            return false;
        }
        if (!c->count) {
            c->count = 0x10000; /* another way to say it */
        }
    }
    return !s->ops->post_load || s->ops->post_load(s, errp);
}

static const VMStateDescription vmstate_channel = {
    .name = "pit channel",
    .version_id = 2,
    .minimum_version_id = 2,
    .fields = (const VMStateField[]){
        VMSTATE_INT32(count, PITChannel),
        VMSTATE_UINT16_V(latched_count, PITChannel, 0),
        VMSTATE_UINT8(count_latched, PITChannel),
        VMSTATE_UINT8(status_latched, PITChannel),
        VMSTATE_UINT8(status, PITChannel),
        VMSTATE_UINT8(read_state, PITChannel),
        VMSTATE_UINT8(write_state, PITChannel),
        VMSTATE_UINT8(write_latch, PITChannel),
        VMSTATE_UINT8(rw_mode, PITChannel),
        VMSTATE_UINT8(mode, PITChannel),
        VMSTATE_UINT8(bcd, PITChannel),
        VMSTATE_UINT8(gate, PITChannel),
        VMSTATE_INT64(count_load_time, PITChannel),
        VMSTATE_INT64(next_transition_time, PITChannel),
        VMSTATE_END_OF_LIST()
    },
};

const VMStateDescription vmstate_i8254 = {
    .name = "i8254",
    .version_id = 3,
    .minimum_version_id = 2,
    .pre_save = pit_pre_save,
    .post_load = pit_post_load,
    .fields = (const VMStateField[]){
        VMSTATE_UINT32_V(channels[0].irq_disabled, PITState, 3),
        VMSTATE_STRUCT_ARRAY(channels, PITState, 3, 2, vmstate_channel, PITChannel),
        VMSTATE_INT64(channels[0].next_transition_time, PITState),
        VMSTATE_END_OF_LIST()
    },
};

PITState *pit_new(const IRQLine *irq, Error **errp)
{
    PITState *s = g_new0(PITState, 1);

    s->ops = accel && accel->kernel_irqchip ? &kvm_pit_ops : user_model;
    s->irq = irq;
    timer_init(&s->timer, NULL, NULL);
    if ((s->ops->init && !s->ops->init(s, errp)) ||
        !vmstate_register(NULL, 0, &vmstate_i8254, s, errp)) {
        g_free(s);
        return NULL;
    }
    reset_handler_add(reset_handler, s);
    return s;
}
