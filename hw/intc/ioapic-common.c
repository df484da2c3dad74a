/*
 * I/O APIC: state, reset and section `ioapic`, common to both models.  Machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "hw/intc/ioapic.h"

#include <string.h>

#include "accel/accel.h"
#include "accel/kvm.h"
#include "migration/vmstate.h"
#include "system/runstate.h"

static const IOAPICOps no_model = { .name = "ioapic" };
static const IOAPICOps *user_model = &no_model;

void ioapic_set_user_model(const IOAPICOps *ops)
{
    user_model = ops;
}

void ioapic_reset(IOAPICState *s)
{
    s->id = 0;
    s->ioregsel = 0;
    s->irr = 0;
    s->level = 0;
    for (int i = 0; i < IOAPIC_NUM_PINS; i++) {
        s->ioredtbl[i] = IOAPIC_REDIR_MASKED;
    }
    if (s->ops->reset) {
        s->ops->reset(s);
    }
}

static void reset_handler(void *opaque)
{
    ioapic_reset(opaque);
}

static bool ioapic_pre_save(void *opaque, Error **errp)
{
    IOAPICState *s = opaque;

    return !s->ops->pre_save || s->ops->pre_save(s, errp);
}

static bool ioapic_post_load(void *opaque, int version_id, Error **errp)
{
    IOAPICState *s = opaque;

    return !s->ops->post_load || s->ops->post_load(s, errp);
}

const VMStateDescription vmstate_ioapic = {
    .name = "ioapic",
    .version_id = 3,
    .minimum_version_id = 1,
    .pre_save = ioapic_pre_save,
    .post_load = ioapic_post_load,
    .fields = (const VMStateField[]){
        VMSTATE_UINT8(id, IOAPICState),
        VMSTATE_UINT8(ioregsel, IOAPICState),
        VMSTATE_UNUSED_V(2, 8),
        VMSTATE_UINT32_V(irr, IOAPICState, 2),
        VMSTATE_UINT64_ARRAY(ioredtbl, IOAPICState, IOAPIC_NUM_PINS),
        VMSTATE_END_OF_LIST()
    },
};

IOAPICState *ioapic_new(Error **errp)
{
    IOAPICState *s = g_new0(IOAPICState, 1);

    s->ops = accel && accel->kernel_irqchip ? &kvm_ioapic_ops : user_model;
    s->base = IOAPIC_DEFAULT_BASE;
    if (!vmstate_register(NULL, 0, &vmstate_ioapic, s, errp)) {
        g_free(s);
        return NULL;
    }
    if (s->ops->init) {
        s->ops->init(s);
    }
    reset_handler_add(reset_handler, s);
    return s;
}
