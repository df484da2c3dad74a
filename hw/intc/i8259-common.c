/*
 * 8259 pair: state, reset and section `i8259`, common to both models.  Machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "hw/intc/i8259.h"

#include <string.h>

#include "accel/accel.h"
#include "accel/kvm.h"
#include "migration/vmstate.h"
#include "system/runstate.h"

static const PICOps no_model = { .name = "isa-i8259" };
static const PICOps *user_model = &no_model;

void pic_set_user_model(const PICOps *ops)
{
    user_model = ops;
}

static void chip_reset(PICState *s)
{
    PICState fresh = { .pair = s->pair, .master = s->master, .elcr_mask = s->elcr_mask };

    *s = fresh;
    if (s->pair->ops->reset) {
        s->pair->ops->reset(s);
    }
}

void pic_reset(PICPair *p)
{
    chip_reset(&p->chip[0]);
    chip_reset(&p->chip[1]);
}

/* Right after a reset: the kernel's model takes the whole chip. */
void pic_set_elcr(PICPair *p, uint16_t lines)
{
    for (int i = 0; i < 2; i++) {
        p->chip[i].elcr = lines >> 8 * i & p->chip[i].elcr_mask;
        if (p->ops->reset) {
            p->ops->reset(&p->chip[i]);
        }
    }
}

static void reset_handler(void *opaque)
{
    pic_reset(opaque);
}

static bool pic_pre_save(void *opaque, Error **errp)
{
    PICState *s = opaque;

    return !s->pair->ops->pre_save || s->pair->ops->pre_save(s, errp);
}

static bool pic_post_load(void *opaque, int version_id, Error **errp)
{
    PICState *s = opaque;

    if (s->priority_add > 7 || s->init_state > 3) {
        error_setg(errp, "impossible state: priority_add %u, init_state %u", s->priority_add,
                   s->init_state);
        return false;
    }
    return !s->pair->ops->post_load || s->pair->ops->post_load(s, errp);
}

const VMStateDescription vmstate_i8259 = {
    .name = "i8259",
    .version_id = 1,
    .minimum_version_id = 1,
    .pre_save = pic_pre_save,
    .post_load = pic_post_load,
    .fields = (const VMStateField[]){
        VMSTATE_UINT8(last_irr, PICState),
        VMSTATE_UINT8(irr, PICState),
        VMSTATE_UINT8(imr, PICState),
        VMSTATE_UINT8(isr, PICState),
        VMSTATE_UINT8(priority_add, PICState),
        VMSTATE_UINT8(irq_base, PICState),
        VMSTATE_UINT8(read_reg_select, PICState),
        VMSTATE_UINT8(poll, PICState),
        VMSTATE_UINT8(special_mask, PICState),
        VMSTATE_UINT8(init_state, PICState),
        VMSTATE_UINT8(auto_eoi, PICState),
        VMSTATE_UINT8(rotate_on_auto_eoi, PICState),
        VMSTATE_UINT8(special_fully_nested_mode, PICState),
        VMSTATE_UINT8(init4, PICState),
        VMSTATE_UINT8(single_mode, PICState),
        VMSTATE_UINT8(elcr, PICState),
        VMSTATE_END_OF_LIST()
    },
};

PICPair *pic_new(Error **errp)
{
    PICPair *p = g_new0(PICPair, 1);

    p->ops = accel && accel->kernel_irqchip ? &kvm_pic_ops : user_model;
    for (int i = 0; i < 2; i++) {
        p->chip[i].pair = p;
        p->chip[i].master = i == 0;
        /* Lines 0, 1, 2 (timer, keyboard, cascade), 8 and 13 are always edge-triggered. */
        p->chip[i].elcr_mask = i == 0 ? 0xf8 : 0xde;
        if (!vmstate_register(NULL, i, &vmstate_i8259, &p->chip[i], errp)) {
            if (i == 1) {
                vmstate_unregister(&vmstate_i8259, &p->chip[0]);
            }
            g_free(p);
            return NULL;
        }
    }
    if (p->ops->init) {
        p->ops->init(p);
    }
    reset_handler_add(reset_handler, p);
    return p;
}
