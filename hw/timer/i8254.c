/*
 * 8254 interval timer in user space: three counters, channel 0 drives an interrupt.
 *
 * Facts: Intel 8254 data sheet.  Machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "hw/timer/i8254.h"

#include "system/address-space.h"
#include "util/util.h"

enum { RW_LATCH, RW_LSB, RW_MSB, RW_WORD };
/* read_state/write_state of RW_WORD: which byte comes next. */
enum { BYTE_LSB = 1, BYTE_MSB = 2, BYTE_WORD0 = 3, BYTE_WORD1 = 4 };

/* a * b / c without losing bits; all positive. */
static int64_t muldiv(int64_t a, int64_t b, int64_t c)
{
    return (int64_t)((__int128)a * b / c);
}

static int64_t elapsed_ticks(const PITChannel *c, int64_t now)
{
    return muldiv(now - c->count_load_time, PIT_FREQ, NS_PER_SEC);
}

static int output(const PITChannel *c, int64_t now)
{
    int64_t d = elapsed_ticks(c, now);

    switch (c->mode) {
    case 2: /* one tick low where a period begins */
        return d == 0 || d % c->count != 0;
    case 3:
        return d % c->count < (c->count + 1) / 2;
    case 4:
    case 5:
        return d != c->count;
    default: /* 0 and 1: low until the count runs out */
        return d >= c->count;
    }
}

static uint16_t counter_value(const PITChannel *c)
{
    int64_t d = elapsed_ticks(c, virtual_clock_ns());

    switch (c->mode) {
    case 2:
        return c->count - d % c->count;
    case 3:
        return c->count - (2 * d) % c->count;
    default:
        return (uint16_t)(c->count - d);
    }
}

static void channel0_update(PITState *s, int64_t now)
{
    PITChannel *c = &s->channels[0];

    irq_set(s->irq, output(c, now));
    c->next_transition_time = c->irq_disabled ? -1 : pit_next_transition(c, now);
    if (c->next_transition_time >= 0) {
        timer_mod(&s->timer, c->next_transition_time);
    } else {
        timer_del(&s->timer);
    }
}

static void timer_fired(void *opaque)
{
    PITState *s = opaque;

    channel0_update(s, MAX(s->channels[0].next_transition_time, virtual_clock_ns()));
}

static void load_count(PITState *s, int n, int value)
{
    PITChannel *c = &s->channels[n];

    c->count = value ? value : 0x10000;
    c->count_load_time = virtual_clock_ns();
    if (n == 0) {
        channel0_update(s, c->count_load_time);
    }
}

static void latch_count(PITChannel *c)
{
    if (!c->count_latched) {
        c->latched_count = counter_value(c);
        c->count_latched = c->rw_mode;
    }
}

static void latch_status(PITChannel *c)
{
    if (!c->status_latched) {
        c->status = output(c, virtual_clock_ns()) << 7 | c->rw_mode << 4 | c->mode << 1 | c->bcd;
        c->status_latched = 1;
    }
}

static void read_back(PITState *s, uint8_t val)
{
    for (int n = 0; n < 3; n++) {
        if (val & 2u << n) {
            if (!(val & 0x20)) {
                latch_count(&s->channels[n]);
            }
            if (!(val & 0x10)) {
                latch_status(&s->channels[n]);
            }
        }
    }
}

static void write_control(PITState *s, uint8_t val)
{
    int n = val >> 6, access = val >> 4 & 3;

    if (n == 3) {
        read_back(s, val);
        return;
    }
    PITChannel *c = &s->channels[n];
    if (access == RW_LATCH) {
        latch_count(c);
        return;
    }
    c->rw_mode = access;
    c->read_state = c->write_state = access == RW_WORD ? BYTE_WORD0 : access;
    c->mode = val >> 1 & 7;
    if (c->mode > 5) {
        c->mode -= 4; /* bit 2 of modes 2 and 3 is not decoded */
    }
    c->bcd = val & 1;
    if (n == 0) {
        channel0_update(s, virtual_clock_ns());
    }
}

static void write_counter(PITState *s, int n, uint8_t val)
{
    PITChannel *c = &s->channels[n];

    switch (c->write_state) {
    case BYTE_MSB:
        load_count(s, n, val << 8);
        break;
    case BYTE_WORD0:
        c->write_latch = val;
        c->write_state = BYTE_WORD1;
        break;
    case BYTE_WORD1:
        load_count(s, n, c->write_latch | val << 8);
        c->write_state = BYTE_WORD0;
        break;
    default:
        load_count(s, n, val);
        break;
    }
}

static uint8_t read_latched(PITChannel *c)
{
    switch (c->count_latched) {
    case RW_MSB:
        c->count_latched = 0;
        return c->latched_count >> 8;
    case RW_WORD:
        c->count_latched = RW_MSB;
        return c->latched_count & 0xff;
    default:
        c->count_latched = 0;
        return c->latched_count & 0xff;
    }
}

static uint8_t read_counter(PITChannel *c)
{
    uint16_t count;

    if (c->status_latched) {
        c->status_latched = 0;
        return c->status;
    }
    if (c->count_latched) {
        return read_latched(c);
    }
    count = counter_value(c);
    switch (c->read_state) {
    case BYTE_MSB:
        return count >> 8;
    case BYTE_WORD0:
        c->read_state = BYTE_WORD1;
        return count & 0xff;
    case BYTE_WORD1:
        c->read_state = BYTE_WORD0;
        return count >> 8;
    default:
        return count & 0xff;
    }
}

static uint64_t port_read(void *opaque, uint64_t offset, unsigned size)
{
    PITState *s = opaque;

    return offset == 3 ? 0 : read_counter(&s->channels[offset]);
}

static void port_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    PITState *s = opaque;

    if (offset == 3) {
        write_control(s, value);
    } else {
        write_counter(s, offset, value);
    }
}

/* Port 0x61: bit 0 gate of channel 2, bit 1 speaker, bit 4 refresh toggle, bit 5 output 2. */
static uint64_t speaker_read(void *opaque, uint64_t offset, unsigned size)
{
    PITState *s = opaque;
    int64_t now = virtual_clock_ns();

    return s->channels[2].gate | output(&s->channels[2], now) << 5 | (now / 15000 & 1) << 4;
}

static void set_gate2(PITState *s, int level)
{
    PITChannel *c = &s->channels[2];

    /* A rising gate restarts the counter in modes 1, 2, 3 and 5. */
    if (level && !c->gate && c->mode != 0 && c->mode != 4) {
        c->count_load_time = virtual_clock_ns();
    }
    c->gate = level;
}

static void speaker_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    set_gate2(opaque, value & 1);
}

static bool user_init(PITState *s, Error **errp)
{
    static const IORegionOps ops = { port_read, port_write, 1, 1 };
    static const IORegionOps speaker_ops = { speaker_read, speaker_write, 1, 1 };

    timer_init(&s->timer, timer_fired, s);
    ioport_map(0x40, 4, "pit", &ops, s);
    ioport_map(0x61, 1, "pcspk", &speaker_ops, s);
    return true;
}

static bool user_post_load(PITState *s, Error **errp)
{
    int64_t next = s->channels[0].next_transition_time;

    for (int n = 0; n < 3; n++) {
        s->channels[n].count = s->channels[n].count ? s->channels[n].count : 0x10000;
    }
    if (next >= 0) {
        timer_mod(&s->timer, next);
    } else {
        timer_del(&s->timer);
    }
    return true;
}

static void user_reset(PITState *s)
{
    timer_del(&s->timer);
}

static const PITOps user_ops = {
    .name = "isa-pit",
    .init = user_init,
    .post_load = user_post_load,
    .reset = user_reset,
};

static void __attribute__((constructor)) register_user_pit(void)
{
    pit_set_user_model(&user_ops);
}
