/*
 * Machines "pc" and "q35" and their versioned names: one small PC with two memory
 * layouts.  Main thread at start-up.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "hw/i386/pci-pc.h"
#include "hw/i386/x86-irq.h"
#include "hw/i386/x86.h"
#include "hw/timer/mc146818rtc.h"
#include "util/util.h"

#define FIELD(f) .offset = offsetof(PCMachineState, f)

enum { AUTO, ON, OFF };
static const char *const on_off_auto[] = { "auto", "on", "off", NULL };

/* OnOffAuto property that may not be on; `description` of the row says what is missing. */
static bool refuse_on(Object *obj, const PropertyInfo *p, Error **errp)
{
    int *field = (int *)((char *)obj + p->offset);

    if (*field == ON) {
        *field = AUTO;
        error_setg(errp, "machine property '%s=on' is not supported: there is no %s", p->name,
                   p->description);
        return false;
    }
    return true;
}

static bool refuse_audiodev(Object *obj, const PropertyInfo *p, Error **errp)
{
    error_setg(errp, "machine property 'pcspk-audiodev' is not supported: there is no PC speaker");
    return false;
}

static bool check_below_4g(Object *obj, const PropertyInfo *p, Error **errp)
{
    uint64_t v = ((PCMachineState *)obj)->max_ram_below_4g;

    if (v > 4 * GiB || v < 1 * MiB || !IS_ALIGNED(v, TARGET_PAGE_SIZE)) {
        error_setg(errp, "machine property 'max-ram-below-4g' must be 1M to 4G, in whole pages");
        return false;
    }
    return true;
}

static const PropertyInfo pc_props[] = {
    { .name = "hpet", .kind = PROP_BOOL, FIELD(hpet), .check = machine_refuse_on,
      .description = "HPET" },
    { .name = "smbus", .kind = PROP_BOOL, FIELD(smbus), .check = machine_refuse_on,
      .description = "SMBus" },
    { .name = "sata", .kind = PROP_BOOL, FIELD(sata), .check = machine_refuse_on,
      .description = "SATA controller" },
    { .name = "pit", .kind = PROP_BOOL, FIELD(pit), .def = "on",
      .description = "8254 interval timer" },
    { .name = "i8042", .kind = PROP_BOOL, FIELD(i8042), .def = "on",
      .description = "keyboard controller (reset and A20 only)" },
    { .name = "default-bus-bypass-iommu", .kind = PROP_BOOL, FIELD(default_bus_bypass_iommu),
      .check = machine_refuse_on, .description = "IOMMU" },
    { .name = "vmport", .kind = PROP_ENUM, FIELD(vmport), .type_name = "OnOffAuto",
      .enum_names = on_off_auto, .check = refuse_on, .description = "vmport" },
    { .name = "smm", .kind = PROP_ENUM, FIELD(smm), .type_name = "OnOffAuto",
      .enum_names = on_off_auto, .check = refuse_on, .description = "system management mode" },
    { .name = "acpi", .kind = PROP_ENUM, FIELD(acpi), .type_name = "OnOffAuto",
      .enum_names = on_off_auto, .description = "ACPI power management registers (no tables)" },
    { .name = "max-ram-below-4g", .kind = PROP_SIZE, FIELD(max_ram_below_4g),
      .check = check_below_4g, .description = "most memory below 4 GiB" },
    { .name = "pcspk-audiodev", .kind = PROP_STRING, FIELD(pcspk_audiodev), .type_name = "string",
      .check = refuse_audiodev },
    { .name = NULL },
};

static const TypeInfo pc_machine_type = {
    .name = TYPE_PC_MACHINE,
    .parent = TYPE_MACHINE,
    .abstract = true,
    .instance_size = sizeof(PCMachineState),
    .props = pc_props,
};
TYPE_REGISTER(pc_machine_type)

static void set_cmos16(uint8_t index, uint64_t value)
{
    value = MIN(value, 0xffff);
    rtc_set_cmos(index, value);
    rtc_set_cmos(index + 1, value >> 8);
}

/* Memory sizes where firmware of a PC leaves them. */
static void fill_cmos(MachineState *m, uint64_t below)
{
    uint64_t above = (m->ram_size - below) / (64 * KiB);

    set_cmos16(0x15, MIN(below, 640 * KiB) / KiB);
    set_cmos16(0x17, below > MiB ? (below - MiB) / KiB : 0);
    set_cmos16(0x30, below > MiB ? (below - MiB) / KiB : 0);
    set_cmos16(0x34, below > 16 * MiB ? (below - 16 * MiB) / (64 * KiB) : 0);
    rtc_set_cmos(0x5b, above);
    rtc_set_cmos(0x5c, above >> 8);
    rtc_set_cmos(0x5d, above >> 16);
    rtc_set_cmos(0x5f, m->smp.cpus - 1);
    rtc_set_cmos(0x3d, 0x02); /* boot from hard disk */
}

static bool make_ide(uint32_t iobase, uint32_t iobase2, uint32_t irq, Error **errp)
{
    DeviceState *dev = device_new("isa-ide");
    const struct { const char *name; uint32_t value; } values[] = {
        { "iobase", iobase }, { "iobase2", iobase2 }, { "irq", irq },
    };
    bool ok = true;

    for (size_t i = 0; ok && i < ARRAY_SIZE(values); i++) {
        g_autofree char *text = g_strdup_printf("%u", values[i].value);

        ok = object_property_parse(&dev->obj, values[i].name, text, errp);
    }
    ok = ok && device_realize(dev, errp);
    object_unref(&dev->obj); /* the tree holds it when it was realized */
    return ok;
}

static bool make_devices(PCMachineState *pc, uint64_t below, Error **errp)
{
    bus_new("ISA", "isa.0");
    if (!device_create("mc146818rtc", errp)) {
        return false;
    }
    fill_cmos(&pc->parent, below);
    return device_create("port92", errp) && device_create("reset-control", errp) &&
           (!pc->i8042 || device_create("i8042", errp)) &&
           (pc->acpi == OFF || device_create("acpi-pm", errp)) &&
           make_ide(0x1f0, 0x3f6, 14, errp) && make_ide(0x170, 0x376, 15, errp);
}

static bool check_options(MachineState *m, Error **errp)
{
    if (m->kernel) {
        error_setg(errp, "-kernel is not supported: the machine boots the first disk's boot sector");
        return false;
    }
    if (m->firmware) {
        error_setg(errp, "-bios is not supported: the machine boots the first disk's boot sector");
        return false;
    }
    if (m->ram_size < MiB) {
        error_setg(errp, "machine '%s' needs at least 1 MiB of memory", m->mc->name);
        return false;
    }
    return true;
}

static bool pc_init(MachineState *m, Error **errp)
{
    PCMachineState *pc = (PCMachineState *)m;
    bool q35 = g_str_equal(m->mc->family, "q35");

    if (!check_options(m, errp)) {
        return false;
    }
    uint64_t below = x86_ram_below_4g(m->ram_size, q35, pc->max_ram_below_4g);
    x86_map_ram(m, below);
    if (!x86_irq_init(pc->pit, errp) || !x86_create_cpus(m, errp) ||
        !(q35 ? q35_init : i440fx_init)(below, m->ram_size, errp) ||
        !make_devices(pc, below, errp)) {
        return false;
    }
    x86_boot_init();
    return true;
}

static void register_version(const char *version, bool q35, bool newest)
{
    MachineClass *mc = g_new0(MachineClass, 1);

    mc->name = g_strdup_printf(q35 ? "pc-q35-%s" : "pc-i440fx-%s", version);
    mc->alias = !newest ? NULL : q35 ? "q35" : "pc";
    mc->desc = q35 ? "small PC, memory below 4 GiB as on a Q35"
                   : "small PC, memory below 4 GiB as on an i440FX";
    mc->is_default = newest && !q35;
    mc->max_cpus = 255; /* 8-bit APIC ids, and 255 is everybody */
    mc->default_ram_size = 128 * MiB;
    mc->default_ram_id = "pc.ram";
    mc->default_cpu_type = "qemu64";
    mc->family = q35 ? "q35" : "pc";
    mc->parent_type = TYPE_PC_MACHINE;
    mc->init = pc_init;
    mc->boot_check = x86_boot_check;
    machine_class_register(mc);
}

/* Every name that a peer or a manager may know the machine by; newest first. */
static void __attribute__((constructor)) pc_register(void)
{
    static const char *const versions[] = {
        "11.1", "11.0", "10.2", "10.1", "10.0", "9.2", "9.1", "9.0", "8.2", "8.1", "8.0",
        "7.2", "7.1", "7.0", "6.2", "6.1", "6.0", "5.2", "5.1", "5.0", "4.2",
    };

    for (size_t i = 0; i < ARRAY_SIZE(versions); i++) {
        register_version(versions[i], /* q35= */ false, i == 0);
        register_version(versions[i], /* q35= */ true, i == 0);
    }
}
