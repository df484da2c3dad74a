/*
 * Interrupt lines (GSIs) of a PC and the controllers behind them.  Machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "hw/i386/x86-irq.h"

#include "accel/accel.h"
#include "accel/kvm.h"
#include "hw/core/device.h"
#include "hw/i386/kvmclock.h"
#include "util/util.h"

static IRQLine lines[X86_NUM_GSI]; /* what devices copy; they end in `inputs` */
static DeviceState *inputs;        /* at /machine/ioapic: tests listen to its lines */
static PICPair *pic;
static IOAPICState *ioapic;
static PITState *pit;
static void (*user_msi)(uint64_t addr, uint32_t data);

/* Both controllers see the line; the guest masks it in the one that it does not use. */
static void user_gsi_set(void *opaque, int n, int level)
{
    if (n < 16 && pic->ops->set_irq) {
        pic->ops->set_irq(pic, n, level);
    }
    if (n != 2 && ioapic->ops->set_irq) {
        ioapic->ops->set_irq(ioapic, n == 0 ? 2 : n, level);
    }
}

static const DeviceClass ioapic_class = { .desc = "interrupt inputs of a PC", .category = "Misc" };
static const TypeInfo ioapic_type = {
    .name = "ioapic",
    .parent = TYPE_DEVICE,
    .class_data = &ioapic_class,
    .description = "interrupt inputs of a PC",
};
TYPE_REGISTER(ioapic_type)

static void gsi_set(void *opaque, int n, int level)
{
    irq_set(&inputs->gpio_in[n], level);
}

/* The lines are inputs of an object, so that qtest finds and intercepts them. */
static bool make_inputs(IRQHandler *handler, Error **errp)
{
    inputs = device_new(ioapic_type.name);
    device_init_gpio_in(inputs, handler, X86_NUM_GSI);
    if (!object_add_child(object_container("/machine"), "ioapic", &inputs->obj, errp)) {
        return false;
    }
    object_unref(&inputs->obj); /* the tree holds it */
    for (int i = 0; i < X86_NUM_GSI; i++) {
        lines[i] = (IRQLine){ .handler = gsi_set, .n = i };
    }
    return true;
}

bool x86_irq_init(bool with_pit, Error **errp)
{
    IRQHandler *handler = accel->kernel_irqchip ? kvm_gsi_set : user_gsi_set;

    g_assert(!pic);
    if (!make_inputs(handler, errp)) {
        return false;
    }
    pic = pic_new(errp);
    ioapic = pic ? ioapic_new(errp) : NULL;
    if (!ioapic) {
        return false;
    }
    if (with_pit) {
        pit = pit_new(&lines[0], errp);
        if (!pit) {
            return false;
        }
    }
    return kvmclock_new(errp);
}

IRQLine *x86_gsi(int n)
{
    g_assert(n >= 0 && n < X86_NUM_GSI);
    return &lines[n];
}

PICPair *x86_pic(void)
{
    return pic;
}

IOAPICState *x86_ioapic(void)
{
    return ioapic;
}

PITState *x86_pit(void)
{
    return pit;
}

void x86_msi_set_user_handler(void (*fn)(uint64_t addr, uint32_t data))
{
    user_msi = fn;
}

void x86_msi_send(uint64_t addr, uint32_t data)
{
    if (accel->kernel_irqchip) {
        kvm_msi_send(addr, data);
    } else if (user_msi) {
        user_msi(addr, data);
    }
}
