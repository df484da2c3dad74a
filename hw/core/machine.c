/*
 * The table of machines, the machine object, its memory and the -machine properties
 * that every machine has.  Main thread at start-up, then machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "hw/core/machine.h"

#include <string.h>

#include "system/hostmem.h"
#include "system/runstate.h"
#include "util/util.h"

MachineState *current_machine;
uint8_t vm_uuid[16];
bool vm_uuid_set;
char *vm_name;

static GPtrArray *classes; /* of const MachineClass *, registration order */

char *machine_type_name(const MachineClass *mc)
{
    return g_strconcat(mc->name, "-machine", NULL);
}

void machine_class_register(const MachineClass *mc)
{
    TypeInfo *type = g_new0(TypeInfo, 1);

    type->name = machine_type_name(mc);
    type->parent = mc->parent_type ? mc->parent_type : TYPE_MACHINE;
    type->class_data = mc;
    type->description = mc->desc;
    type_register(type);
    if (!classes) {
        classes = g_ptr_array_new();
    }
    g_ptr_array_add(classes, (gpointer)mc);
}

const GPtrArray *machine_classes(void)
{
    return classes;
}

const MachineClass *machine_class_by_name(const char *name)
{
    for (guint i = 0; classes && i < classes->len; i++) {
        const MachineClass *mc = classes->pdata[i];

        if (g_str_equal(mc->name, name) || g_strcmp0(mc->alias, name) == 0) {
            return mc;
        }
    }
    return NULL;
}

bool machine_refuse_on(Object *obj, const PropertyInfo *p, Error **errp)
{
    bool *field = (bool *)((char *)obj + p->offset);

    if (*field) {
        *field = false;
        error_setg(errp, "machine property '%s=on' is not supported: there is no %s", p->name,
                   p->description);
        return false;
    }
    return true;
}

static const char *const irqchip_names[] = { "on", "off", "split", NULL };

static bool check_irqchip(Object *obj, const PropertyInfo *p, Error **errp)
{
    MachineState *m = (MachineState *)obj;

    if (m->kernel_irqchip != 0) {
        error_setg(errp, "machine property 'kernel-irqchip=%s' is not supported: with KVM the "
                   "interrupt controllers are always the kernel's", irqchip_names[m->kernel_irqchip]);
        return false;
    }
    return true;
}

#define FIELD(f) .offset = offsetof(MachineState, f)

static const PropertyInfo machine_props[] = {
    { .name = "memory-backend", .kind = PROP_STRING, FIELD(memory_backend), .type_name = "string",
      .description = "id of the -object that is the machine's memory" },
    { .name = "kernel", .kind = PROP_STRING, FIELD(kernel), .type_name = "string" },
    { .name = "initrd", .kind = PROP_STRING, FIELD(initrd), .type_name = "string" },
    { .name = "append", .kind = PROP_STRING, FIELD(append), .type_name = "string" },
    { .name = "firmware", .kind = PROP_STRING, FIELD(firmware), .type_name = "string" },
    { .name = "dump-guest-core", .kind = PROP_BOOL, FIELD(dump_guest_core), .def = "on",
      .description = "guest memory is part of a core dump" },
    { .name = "mem-merge", .kind = PROP_BOOL, FIELD(mem_merge), .def = "on",
      .description = "the host may merge equal pages" },
    { .name = "graphics", .kind = PROP_BOOL, FIELD(graphics), .def = "on",
      .description = "accepted for managers: no machine has graphics" },
    { .name = "suppress-vmdesc", .kind = PROP_BOOL, FIELD(suppress_vmdesc),
      .description = "no description after the migration stream" },
    { .name = "usb", .kind = PROP_BOOL, FIELD(usb), .check = machine_refuse_on,
      .description = "USB controller" },
    { .name = "nvdimm", .kind = PROP_BOOL, FIELD(nvdimm), .check = machine_refuse_on,
      .description = "NVDIMM" },
    { .name = "hmat", .kind = PROP_BOOL, FIELD(hmat), .check = machine_refuse_on,
      .description = "ACPI HMAT table" },
    { .name = "kernel-irqchip", .kind = PROP_ENUM, FIELD(kernel_irqchip),
      .type_name = "on|off|split", .enum_names = irqchip_names, .check = check_irqchip },
    { .name = NULL },
};

static void machine_finalize(Object *obj)
{
    MachineState *m = (MachineState *)obj;

    g_free(m->boot_order);
}

static const TypeInfo machine_type = {
    .name = TYPE_MACHINE,
    .abstract = true,
    .instance_size = sizeof(MachineState),
    .props = machine_props,
    .finalize = machine_finalize,
};
TYPE_REGISTER(machine_type)

MachineState *machine_new(const MachineClass *mc)
{
    g_autofree char *type = machine_type_name(mc);
    MachineState *m = (MachineState *)object_new(type);
    static const char *const containers[] = { "peripheral", "peripheral-anon", "unattached" };

    m->mc = mc;
    m->smp = (SMPConfig){ 1, 1, 1, 1, 1, 1 };
    g_assert(object_add_child(object_root(), "machine", &m->obj, NULL));
    for (size_t i = 0; i < ARRAY_SIZE(containers); i++) {
        g_autofree char *path = g_strconcat("/machine/", containers[i], NULL);

        object_container(path);
    }
    object_unref(&m->obj); /* the tree holds it */
    current_machine = m;
    return m;
}

bool machine_set_property(MachineState *m, const char *name, const char *value, Error **errp)
{
    g_autofree char *dashed = g_strdelimit(g_strdup(name), "_", '-');

    return object_property_parse(&m->obj, dashed, value, errp);
}

static bool take_backend(MachineState *m, Error **errp)
{
    Object *obj = object_user_by_id(m->memory_backend);
    g_autofree char *have = NULL;
    g_autofree char *want = NULL;

    if (!object_is(obj, TYPE_MEMORY_BACKEND)) {
        error_setg(errp, "memory-backend=%s: no memory backend has this id", m->memory_backend);
        return false;
    }
    HostMemoryBackend *b = (HostMemoryBackend *)obj;
    if (!m->ram_size) {
        m->ram_size = b->size;
    }
    if (m->ram_size != b->size) {
        have = size_to_str(b->size);
        want = size_to_str(m->ram_size);
        error_setg(errp, "machine memory size (%s) does not match the size of the memory backend "
                   "'%s' (%s)", want, m->memory_backend, have);
        return false;
    }
    if (!host_memory_backend_map(b, errp)) {
        return false;
    }
    m->ram = b->rb;
    return true;
}

static bool make_ram(MachineState *m, Error **errp)
{
    RAMBlockOptions opts = { .fd = -1, .merge = m->mem_merge, .dump = m->dump_guest_core };

    if (m->memory_backend && *m->memory_backend) {
        return take_backend(m, errp);
    }
    if (!m->ram_size) {
        m->ram_size = m->mc->default_ram_size;
    }
    if (!m->ram_size) {
        return true;
    }
    if (!IS_ALIGNED(m->ram_size, TARGET_PAGE_SIZE)) {
        error_setg(errp, "memory size %" G_GUINT64_FORMAT " is not a multiple of the page size %lu",
                   m->ram_size, TARGET_PAGE_SIZE);
        return false;
    }
    m->ram = ramblock_new(m->mc->default_ram_id, m->ram_size, &opts, errp);
    return m->ram != NULL;
}

bool machine_create(MachineState *m, Error **errp)
{
    if (m->smp.max_cpus > m->mc->max_cpus || m->smp.cpus > m->mc->max_cpus) {
        error_setg(errp, "Invalid SMP CPUs %u. The max CPUs supported by machine '%s' is %u",
                   MAX(m->smp.max_cpus, m->smp.cpus), m->mc->name, m->mc->max_cpus);
        return false;
    }
    if (!m->kernel && (m->initrd || m->append)) {
        error_setg(errp, "-%s is for the kernel of -kernel, which is not given",
                   m->initrd ? "initrd" : "append");
        return false;
    }
    if (!make_ram(m, errp) || !m->mc->init(m, errp)) {
        return false;
    }
    m->obj.realized = true;
    return true;
}

bool machine_add_serial(MachineState *m, const char *chardev_id, Error **errp)
{
    if (!bus_by_type("ISA")) {
        error_setg(errp, "-serial: machine '%s' has no serial ports", m->mc->name);
        return false;
    }
    DeviceState *dev = device_new("isa-serial");
    bool ok = object_property_parse(&dev->obj, "chardev", chardev_id, errp) &&
              device_realize(dev, errp);

    object_unref(&dev->obj); /* the tree holds it when it was realized */
    return ok;
}

bool machine_done(MachineState *m, bool will_start, Error **errp)
{
    m->created = true;
    global_properties_warn_unused();
    system_reset(SHUTDOWN_CAUSE_NONE);
    return !will_start || !m->mc->boot_check || m->mc->boot_check(m, errp);
}
