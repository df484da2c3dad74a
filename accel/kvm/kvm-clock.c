/*
 * The paravirtual clock of KVM guests: section `kvmclock`.
 *
 * The clock is read when the machine stops and put back when it starts, so a guest's
 * clock stands still meanwhile.  Without KVM a value that arrived is only kept and sent
 * on.  Machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <inttypes.h>
#include <string.h>

#include "hw/i386/kvmclock.h"
#include "kvm-int.h"
#include "migration/vmstate.h"
#include "system/runstate.h"
#include "trace/accel_kvm.h"
#include "util/log.h"

typedef struct KvmClock {
    uint64_t clock;         /* ns */
    bool clock_is_reliable; /* the kernel's clock does not jump when it is read */
    bool valid;             /* `clock` is to be put back at the next start */
} KvmClock;

static KvmClock kvmclock;

static void clock_stopped(KvmClock *c)
{
    struct kvm_clock_data data = { 0 };

    if (c->valid) {
        return; /* stopped already: the guest has not seen a later time */
    }
    if (kvm_ioctl(kvm.vm_fd, KVM_GET_CLOCK, &data) < 0) {
        error_report("KVM_GET_CLOCK: %s", g_strerror(errno));
        return;
    }
    c->clock = data.clock;
    c->clock_is_reliable = kvm_check_cap(KVM_CAP_ADJUST_CLOCK) & KVM_CLOCK_TSC_STABLE;
    c->valid = true;
    trace_kvm_clock(0, c->clock);
}

static void clock_started(KvmClock *c)
{
    struct kvm_clock_data data = { .clock = c->clock };

    if (!c->valid) {
        return;
    }
    c->valid = false;
    trace_kvm_clock(1, c->clock);
    if (kvm_ioctl(kvm.vm_fd, KVM_SET_CLOCK, &data) < 0) {
        error_report("KVM_SET_CLOCK: %s", g_strerror(errno));
        return;
    }
    CPU_FOREACH(cpu) {
        /* Tell the guest's watchdogs that it was paused; guests without the clock refuse. */
        if (kvm.has_kvmclock_ctrl && kvm_vcpu(cpu)) {
            kvm_ioctl(kvm_vcpu(cpu)->fd, KVM_KVMCLOCK_CTRL, NULL);
        }
    }
}

static void state_changed(void *opaque, bool running, RunState s)
{
    if (running) {
        clock_started(opaque);
    } else {
        clock_stopped(opaque);
    }
}

static bool kvmclock_needed(void *opaque)
{
    KvmClock *c = opaque;

    return kvm_enabled() || c->valid;
}

static bool kvmclock_pre_save(void *opaque, Error **errp)
{
    if (kvm_enabled()) {
        clock_stopped(opaque); /* never ran: the clock was not read yet */
    }
    return true;
}

static bool kvmclock_post_load(void *opaque, int version_id, Error **errp)
{
    KvmClock *c = opaque;

    c->valid = true;
    return true;
}

static bool reliable_needed(void *opaque)
{
    return true;
}

static const VMStateDescription vmstate_reliable = {
    .name = "kvmclock/clock_is_reliable",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = reliable_needed,
    .fields = (const VMStateField[]){
        VMSTATE_BOOL(clock_is_reliable, KvmClock),
        VMSTATE_END_OF_LIST()
    },
};

static const VMStateDescription vmstate_kvmclock = {
    .name = "kvmclock",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = kvmclock_needed,
    .pre_save = kvmclock_pre_save,
    .post_load = kvmclock_post_load,
    .fields = (const VMStateField[]){
        VMSTATE_UINT64(clock, KvmClock),
        VMSTATE_END_OF_LIST()
    },
    .subsections = (const VMStateDescription *const[]){ &vmstate_reliable, NULL },
};

bool kvmclock_new(Error **errp)
{
    if (kvm_enabled()) {
        vm_state_change_add(state_changed, &kvmclock, 0);
    }
    return vmstate_register(NULL, 0, &vmstate_kvmclock, &kvmclock, errp);
}
