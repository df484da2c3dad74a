/*
 * Machines: what -machine can choose, and the one that was chosen.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_HW_CORE_MACHINE_H
#define FERRY_HW_CORE_MACHINE_H

#include "hw/core/device.h"
#include "system/ramblock.h"

#define TYPE_MACHINE "machine"

typedef struct SMPConfig {
    unsigned cpus, max_cpus, sockets, dies, cores, threads;
} SMPConfig;

typedef struct MachineState MachineState;

typedef struct MachineClass {
    const char *name;           /* "pc-q35-7.2", "none": goes on the wire */
    const char *alias;          /* "q35", or NULL */
    const char *desc;
    bool is_default;
    bool deprecated;
    unsigned max_cpus;
    uint64_t default_ram_size;  /* bytes; 0: no memory unless -m */
    const char *default_ram_id; /* RAMBlock name when no backend is given: "pc.ram", "ram" */
    const char *default_cpu_type; /* CPU model name, NULL: machine has no CPU by default */
    bool numa_mem_supported;
    bool (*init)(MachineState *m, Error **errp);
    /* After the first reset: is there something to run?  NULL: nothing runs on it. */
    bool (*boot_check)(MachineState *m, Error **errp);
    const char *family;         /* "pc", "q35", "none" */
    const char *parent_type;    /* QOM type of the family, NULL: TYPE_MACHINE */
} MachineClass;

/* Object at /machine.  Properties are the ones a manager passes with -machine. */
struct MachineState {
    Object obj;
    const MachineClass *mc;
    uint64_t ram_size;          /* -m; 0: not given, machine_create() settles it */
    RAMBlock *ram;              /* from the backend or made by default; NULL when ram_size 0 */
    SMPConfig smp;
    const char *cpu_model;      /* -cpu, NULL: default */
    char *memory_backend;       /* property memory-backend */
    char *kernel, *initrd, *append, *firmware;
    bool usb, dump_guest_core, mem_merge, graphics, suppress_vmdesc, nvdimm, hmat;
    int kernel_irqchip;         /* index into on, off, split */
    bool created;               /* machine_done() was called: what comes now is hotplug */
    char *boot_order;
    bool boot_strict;
};

/* Also registers the QOM type "NAME-machine".  Before main(), or at least before use. */
void machine_class_register(const MachineClass *mc);
/* QOM type name of the class; free with g_free(). */
char *machine_type_name(const MachineClass *mc);
const MachineClass *machine_class_by_name(const char *name); /* name or alias */
/* All classes, in registration order: of const MachineClass*.  Belongs to the registry. */
const GPtrArray *machine_classes(void);
extern MachineState *current_machine; /* NULL before -machine is processed */

/*
 * Make /machine for the class; then properties are set; then machine_create() makes
 * RAM, CPUs and devices.
 */
MachineState *machine_new(const MachineClass *mc);
bool machine_create(MachineState *m, Error **errp);
/* -serial: the next serial port, on this chardev.  After machine_create(). */
bool machine_add_serial(MachineState *m, const char *chardev_id, Error **errp);
/*
 * After every -serial, -drive and -device: warns of -global that nothing used and
 * resets the machine for the first time.  will_start: the guest is to run at once,
 * fail when there is nothing to boot.
 */
bool machine_done(MachineState *m, bool will_start, Error **errp);
/*
 * For PropertyInfo.check: a bool property that may only be off, because the machine
 * does not have what `description` of the row names.
 */
bool machine_refuse_on(Object *obj, const PropertyInfo *p, Error **errp);
/* "key=value" of -machine; refuses unknown names and values by name. */
bool machine_set_property(MachineState *m, const char *name, const char *value, Error **errp);

/* VM identity. */
extern uint8_t vm_uuid[16];
extern bool vm_uuid_set;
extern char *vm_name; /* -name guest=..., or NULL */

#endif
