/*
 * The kernel's 8254 behind the shared state of hw/timer/i8254-common.c.
 *
 * The kernel counts in the host's monotonic time, the section in virtual time; the
 * difference is taken when the machine stops or starts.  Machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "kvm-int.h"
#include "system/clock.h"
#include "system/runstate.h"
#include "util/log.h"
#include "util/util.h"

typedef struct KvmPit {
    int64_t clock_offset; /* host monotonic minus virtual clock, ns */
    bool stopped;         /* state here is the current one */
} KvmPit;

#define PIT_FIELDS(X)                                                                  \
    X(count) X(latched_count) X(count_latched) X(status_latched) X(status)             \
    X(read_state) X(write_state) X(write_latch) X(rw_mode) X(mode) X(bcd) X(gate)

static void update_offset(KvmPit *p)
{
    p->clock_offset = host_clock_ns() - virtual_clock_ns();
}

static bool pit_pull(PITState *s, Error **errp)
{
    KvmPit *p = s->model;
    struct kvm_pit_state2 k = { 0 };

    if (p->stopped) {
        return true;
    }
    if (kvm_ioctl(kvm.vm_fd, KVM_GET_PIT2, &k) < 0) {
        error_setg_errno(errp, errno, "KVM_GET_PIT2");
        return false;
    }
    for (int i = 0; i < 3; i++) {
        PITChannel *c = &s->channels[i];

#define X(f) c->f = k.channels[i].f;
        PIT_FIELDS(X)
#undef X
        c->count_load_time = k.channels[i].count_load_time - p->clock_offset;
    }
    s->channels[0].irq_disabled = k.flags & KVM_PIT_FLAGS_HPET_LEGACY;
    s->channels[0].next_transition_time =
        pit_next_transition(&s->channels[0], s->channels[0].count_load_time);
    return true;
}

static bool pit_push(PITState *s, Error **errp)
{
    KvmPit *p = s->model;
    struct kvm_pit_state2 k = { 0 };

    for (int i = 0; i < 3; i++) {
        const PITChannel *c = &s->channels[i];

#define X(f) k.channels[i].f = c->f;
        PIT_FIELDS(X)
#undef X
        k.channels[i].count_load_time = c->count_load_time + p->clock_offset;
    }
    k.flags = s->channels[0].irq_disabled ? KVM_PIT_FLAGS_HPET_LEGACY : 0;
    if (kvm_ioctl(kvm.vm_fd, KVM_SET_PIT2, &k) < 0) {
        error_setg_errno(errp, errno, "KVM_SET_PIT2");
        return false;
    }
    return true;
}

static void state_changed(void *opaque, bool running, RunState rs)
{
    PITState *s = opaque;
    KvmPit *p = s->model;
    g_autoptr(Error) err = NULL;

    update_offset(p);
    if (running) {
        p->stopped = false;
        pit_push(s, &err);
    } else {
        pit_pull(s, &err);
        p->stopped = true;
    }
    if (err) {
        error_report("interval timer: %s", error_get_pretty(err));
    }
}

static bool kvm_pit_init(PITState *s, Error **errp)
{
    struct kvm_pit_config config = { .flags = KVM_PIT_SPEAKER_DUMMY };
    KvmPit *p;

    if (kvm_ioctl(kvm.vm_fd, KVM_CREATE_PIT2, &config) < 0) {
        error_setg_errno(errp, errno, "KVM cannot make its interval timer");
        return false;
    }
    p = g_new0(KvmPit, 1);
    p->stopped = true;
    update_offset(p);
    s->model = p;
    vm_state_change_add(state_changed, s, 0);
    return true;
}

static bool kvm_pit_post_load(PITState *s, Error **errp)
{
    return pit_push(s, errp);
}

static void kvm_pit_reset(PITState *s)
{
    g_autoptr(Error) err = NULL;

    if (!pit_push(s, &err)) {
        error_report("reset of the interval timer: %s", error_get_pretty(err));
    }
}

const PITOps kvm_pit_ops = {
    .name = "kvm-pit",
    .init = kvm_pit_init,
    .pre_save = pit_pull,
    .post_load = kvm_pit_post_load,
    .reset = kvm_pit_reset,
};
