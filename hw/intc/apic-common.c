/*
 * Local APIC: state, reset and section `apic`, common to the kernel's model and the
 * userspace one.  Machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "hw/intc/apic.h"

#include <string.h>

#include "accel/accel.h"
#include "accel/kvm.h"
#include "migration/vmstate.h"
#include "target/i386/cpu.h"

/* A model that keeps the registers and does nothing: accelerators that run no code. */
static const APICOps no_model = { .name = "apic" };
static const APICOps *user_model = &no_model;

void apic_set_user_model(const APICOps *ops)
{
    user_model = ops;
}

int apic_divide_shift(uint32_t divide_conf)
{
    /* Bits 3, 1, 0; 7 means "divide by 1". */
    int v = (divide_conf & 3) | ((divide_conf >> 1) & 4);

    return (v + 1) & 7;
}

bool apic_next_timer(APICState *s, int64_t now_ns)
{
    uint32_t lvt = s->lvt[APIC_LVT_TIMER];
    int mode = (lvt >> APIC_LVT_TIMER_MODE_SHIFT) & 3;
    int64_t period = (int64_t)s->initial_count + 1;
    int64_t ticks = (now_ns - s->initial_count_load_time) >> s->count_shift;

    if ((lvt & APIC_LVT_MASKED) || mode > 1 || s->initial_count == 0) {
        return false;
    }
    if (mode == 0) {
        if (ticks >= s->initial_count) {
            return false;
        }
        ticks = period;
    } else {
        ticks = (ticks / period + 1) * period;
    }
    s->next_time = s->initial_count_load_time + (ticks << s->count_shift);
    return true;
}

void apic_init_reset(APICState *s)
{
    s->tpr = 0;
    s->spurious_vec = 0xff;
    s->log_dest = 0;
    s->dest_mode = 0xf;
    memset(s->isr, 0, sizeof(s->isr));
    memset(s->tmr, 0, sizeof(s->tmr));
    memset(s->irr, 0, sizeof(s->irr));
    for (int i = 0; i < APIC_LVT_NB; i++) {
        s->lvt[i] = APIC_LVT_MASKED;
    }
    s->esr = 0;
    memset(s->icr, 0, sizeof(s->icr));
    s->divide_conf = 0;
    s->count_shift = 0;
    s->initial_count = 0;
    s->initial_count_load_time = 0;
    s->next_time = 0;
    s->timer_expiry = -1;
    s->sipi_vector = 0;
    s->wait_for_sipi = !s->cpu->is_bsp;
    timer_del(&s->timer);
    if (s->ops->reset) {
        s->ops->reset(s);
    }
}

void apic_reset(APICState *s)
{
    s->apicbase = APIC_DEFAULT_BASE | APICBASE_ENABLE | (s->cpu->is_bsp ? APICBASE_BSP : 0);
    s->id = s->initial_apic_id;
    s->arb_id = 0;
    apic_init_reset(s);
    /* Without firmware the 8259 reaches the boot processor as after its set-up. */
    if (s->cpu->is_bsp) {
        s->lvt[APIC_LVT_LINT0] = 0x700;
        if (s->ops->reset) {
            s->ops->reset(s);
        }
    }
}

static bool apic_pre_save(void *opaque, Error **errp)
{
    APICState *s = opaque;

    return !s->ops->pre_save || s->ops->pre_save(s, errp);
}

static bool apic_pre_load(void *opaque, Error **errp)
{
    APICState *s = opaque;

    s->wait_for_sipi = 0;
    s->sipi_vector = 0;
    return true;
}

static bool apic_post_load(void *opaque, int version_id, Error **errp)
{
    APICState *s = opaque;

    if ((uint32_t)s->count_shift > 7) {
        error_setg(errp, "timer shift %d is not between 0 and 7", s->count_shift);
        return false;
    }
    return !s->ops->post_load || s->ops->post_load(s, errp);
}

static bool sipi_needed(void *opaque)
{
    APICState *s = opaque;

    return s->wait_for_sipi != 0;
}

static const VMStateDescription vmstate_apic_sipi = {
    .name = "apic_sipi",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = sipi_needed,
    .fields = (const VMStateField[]){
        VMSTATE_INT32(sipi_vector, APICState),
        VMSTATE_INT32(wait_for_sipi, APICState),
        VMSTATE_END_OF_LIST()
    },
};

const VMStateDescription vmstate_apic = {
    .name = "apic",
    .version_id = 3,
    .minimum_version_id = 3,
    .priority = MIG_PRI_APIC,
    .pre_load = apic_pre_load,
    .pre_save = apic_pre_save,
    .post_load = apic_post_load,
    .fields = (const VMStateField[]){
        VMSTATE_UINT32(apicbase, APICState),
        VMSTATE_UINT8(id, APICState),
        VMSTATE_UINT8(arb_id, APICState),
        VMSTATE_UINT8(tpr, APICState),
        VMSTATE_UINT32(spurious_vec, APICState),
        VMSTATE_UINT8(log_dest, APICState),
        VMSTATE_UINT8(dest_mode, APICState),
        VMSTATE_UINT32_ARRAY(isr, APICState, 8),
        VMSTATE_UINT32_ARRAY(tmr, APICState, 8),
        VMSTATE_UINT32_ARRAY(irr, APICState, 8),
        VMSTATE_UINT32_ARRAY(lvt, APICState, APIC_LVT_NB),
        VMSTATE_UINT32(esr, APICState),
        VMSTATE_UINT32_ARRAY(icr, APICState, 2),
        VMSTATE_UINT32(divide_conf, APICState),
        VMSTATE_INT32(count_shift, APICState),
        VMSTATE_UINT32(initial_count, APICState),
        VMSTATE_INT64(initial_count_load_time, APICState),
        VMSTATE_INT64(next_time, APICState),
        VMSTATE_INT64(timer_expiry, APICState),
        VMSTATE_END_OF_LIST()
    },
    .subsections = (const VMStateDescription *const[]){ &vmstate_apic_sipi, NULL },
};

APICState *apic_new(struct X86CPU *cpu, Error **errp)
{
    APICState *s = g_new0(APICState, 1);

    s->ops = accel && accel->kernel_irqchip ? &kvm_apic_ops : user_model;
    s->cpu = cpu;
    s->initial_apic_id = cpu->apic_id;
    if (!vmstate_register(NULL, cpu->apic_id, &vmstate_apic, s, errp)) {
        g_free(s);
        return NULL;
    }
    timer_init(&s->timer, NULL, NULL);
    if (s->ops->init) {
        s->ops->init(s);
    }
    return s;
}

void apic_free(APICState *s)
{
    if (s) {
        timer_del(&s->timer);
        vmstate_unregister(&vmstate_apic, s);
        g_free(s);
    }
}
