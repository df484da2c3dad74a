/*
 * Start-up of the machine: class, memory, CPUs, properties, disks, devices.  Main
 * thread, machine lock held.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include <sys/mman.h>

#include "chardev/chardev.h"
#include "hw/block/block.h"
#include "migration/migration.h"
#include "net/net.h"
#include "system/clock.h"
#include "system/cmdline-private.h"
#include "util/log.h"
#include "util/util.h"

static JsonObject *copy_object(JsonObject *from)
{
    JsonObject *to = json_object_new();
    g_autoptr(GList) names = json_object_get_members(from);

    for (GList *l = names; l; l = l->next) {
        json_object_set_member(to, l->data, json_object_dup_member(from, l->data));
    }
    return to;
}

const MachineClass *cmdline_machine_class(const Cmdline *c, Error **errp)
{
    const char *name = json_object_get_string_member_with_default(c->machine, "type", NULL);
    const GPtrArray *list = machine_classes();
    const MachineClass *mc = name ? machine_class_by_name(name) : NULL;

    if (name && !mc) {
        error_setg(errp, "-machine %s: there is no such machine type (try -machine help)", name);
        return NULL;
    }
    for (guint i = 0; list && i < list->len && !mc; i++) {
        const MachineClass *candidate = g_ptr_array_index(list, i);
        mc = candidate->is_default ? candidate : NULL;
    }
    if (!mc) {
        error_setg(errp, "no machine type is given and there is no default (try -machine help)");
    }
    return mc;
}

typedef struct Topology {
    uint64_t cpus, maxcpus, sockets, dies, cores, threads, clusters, modules;
} Topology;

static bool take_topology(JsonObject *opts, Topology *t, Error **errp)
{
    const struct {
        const char *name;
        uint64_t *field;
    } fields[] = {
        { "cpus", &t->cpus },       { "maxcpus", &t->maxcpus }, { "sockets", &t->sockets },
        { "dies", &t->dies },       { "cores", &t->cores },     { "threads", &t->threads },
        { "clusters", &t->clusters }, { "modules", &t->modules },
    };

    for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
        bool given = json_object_has_member(opts, fields[i].name);
        if (!options_take_u64(opts, fields[i].name, 65535, fields[i].field, errp)) {
            return false;
        }
        if (given && *fields[i].field == 0) {
            error_setg(errp, "parameter '%s' must not be 0", fields[i].name);
            return false;
        }
    }
    if (t->clusters > 1 || t->modules > 1) {
        error_setg(errp, "this machine has no '%s'", t->clusters > 1 ? "clusters" : "modules");
        return false;
    }
    return options_finish(opts, "smp", errp);
}

/* Fill in what is not given: cores first, then sockets, then threads. */
static void complete_topology(Topology *t)
{
    uint64_t total = t->maxcpus ? t->maxcpus : t->cpus;

    t->dies = t->dies ? t->dies : 1;
    if (total == 0) {
        t->sockets = t->sockets ? t->sockets : 1;
        t->cores = t->cores ? t->cores : 1;
        t->threads = t->threads ? t->threads : 1;
    } else if (!t->cores) {
        t->sockets = t->sockets ? t->sockets : 1;
        t->threads = t->threads ? t->threads : 1;
        t->cores = total / (t->sockets * t->dies * t->threads);
    } else if (!t->sockets) {
        t->threads = t->threads ? t->threads : 1;
        t->sockets = total / (t->dies * t->cores * t->threads);
    } else if (!t->threads) {
        t->threads = total / (t->sockets * t->dies * t->cores);
    }
    t->maxcpus = total ? total : t->sockets * t->dies * t->cores * t->threads;
    t->cpus = t->cpus ? t->cpus : t->maxcpus;
}

bool cmdline_smp_config(const Cmdline *c, const MachineClass *mc, SMPConfig *ret, Error **errp)
{
    g_autoptr(JsonObject) opts = copy_object(c->smp);
    Topology t = { 0 };

    if (!take_topology(opts, &t, errp)) {
        error_prefix(errp, "-smp: ");
        return false;
    }
    complete_topology(&t);
    if (t.sockets * t.dies * t.cores * t.threads != t.maxcpus) {
        error_setg(errp, "-smp: sockets (%d) * dies (%d) * cores (%d) * threads (%d) is not "
                   "maxcpus (%d)", (int)t.sockets, (int)t.dies, (int)t.cores, (int)t.threads,
                   (int)t.maxcpus);
        return false;
    }
    if (t.cpus > t.maxcpus) {
        error_setg(errp, "-smp: maxcpus (%d) must not be less than cpus (%d)", (int)t.maxcpus,
                   (int)t.cpus);
        return false;
    }
    if (t.maxcpus > MAX(mc->max_cpus, 1)) {
        error_setg(errp, "-smp: %d CPUs are more than machine '%s' supports (%u)",
                   (int)t.maxcpus, mc->name, MAX(mc->max_cpus, 1));
        return false;
    }
    *ret = (SMPConfig){ (unsigned)t.cpus,  (unsigned)t.maxcpus, (unsigned)t.sockets,
                        (unsigned)t.dies, (unsigned)t.cores,   (unsigned)t.threads };
    return true;
}

bool cmdline_ram_size(const Cmdline *c, const MachineClass *mc, uint64_t *ret, Error **errp)
{
    g_autoptr(JsonObject) opts = copy_object(c->memory);
    uint64_t size = 0, max = 0, slots = 0;

    if (!options_take_size(opts, "size", 'B', &size, errp) ||
        !options_take_size(opts, "maxmem", 'M', &max, errp) ||
        !options_take_size(opts, "max-size", 'B', &max, errp) ||
        !options_take_u64(opts, "slots", 256, &slots, errp) ||
        !options_finish(opts, "m", errp)) {
        error_prefix(errp, "-m: ");
        return false;
    }
    uint64_t base = size ? size : mc->default_ram_size;
    if (max && max < base) {
        error_setg(errp, "-m: maxmem is less than the size of memory");
        return false;
    }
    if (max > base || slots) {
        error_setg(errp, "-m: memory cannot be added later: 'maxmem' and 'slots' are not "
                   "supported");
        return false;
    }
    if (json_object_has_member(c->memory, "size") && size == 0) {
        error_setg(errp, "-m: the size of memory must not be 0");
        return false;
    }
    *ret = size;
    return true;
}

/* -mem-path, -mem-prealloc: the memory backend that they stand for. */
static bool make_memory_backend(const Cmdline *c, MachineState *m, Error **errp)
{
    g_autoptr(JsonObject) props = json_object_new();
    g_autofree char *size = NULL;
    const char *id = m->mc->default_ram_id ? m->mc->default_ram_id : "ram";
    uint64_t bytes = m->ram_size ? m->ram_size : m->mc->default_ram_size;

    if ((!c->mem_path && !c->mem_prealloc) || !bytes) {
        return true;
    }
    if (m->memory_backend) {
        if (c->mem_path) {
            error_setg(errp, "-mem-path and -machine memory-backend= exclude each other");
        }
        return !c->mem_path;
    }
    size = g_strdup_printf("%" G_GUINT64_FORMAT, bytes);
    json_object_set_string_member(props, "size", size);
    json_object_set_string_member(props, "prealloc", c->mem_prealloc ? "on" : "off");
    if (c->mem_path) {
        json_object_set_string_member(props, "mem-path", c->mem_path);
    }
    return object_create_user(c->mem_path ? "memory-backend-file" : "memory-backend-ram", id,
                              props, errp) &&
           machine_set_property(m, "memory-backend", id, errp);
}

static bool apply_boot(const Cmdline *c, MachineState *m, Error **errp)
{
    g_autoptr(JsonObject) opts = copy_object(c->boot);
    g_autofree char *order = NULL;
    g_autofree char *once = NULL;
    bool menu = false;

    if (!options_take_str(opts, "order", &order, errp) ||
        !options_take_str(opts, "once", &once, errp) ||
        !options_take_bool(opts, "menu", &menu, errp) ||
        !options_take_bool(opts, "strict", &m->boot_strict, errp) ||
        !options_finish(opts, "boot", errp)) {
        error_prefix(errp, "-boot: ");
        return false;
    }
    if (menu || once) {
        error_setg(errp, "-boot: '%s' is not supported: there is no firmware menu and one disk "
                   "to boot from", menu ? "menu=on" : "once");
        return false;
    }
    for (const char *d = order; d && *d; d++) {
        if (*d < 'a' || *d > 'p' || strchr(d + 1, *d)) {
            error_setg(errp, "-boot: '%s' is not an order of boot drives (letters a to p, each "
                       "once)", order);
            return false;
        }
    }
    m->boot_order = g_steal_pointer(&order);
    return true;
}

static bool apply_properties(const Cmdline *c, MachineState *m, Error **errp)
{
    const struct {
        const char *name, *value;
    } shorthands[] = {
        { "kernel", c->kernel }, { "initrd", c->initrd },
        { "append", c->append }, { "firmware", c->bios },
    };
    g_autoptr(GList) names = json_object_get_members(c->machine);

    for (GList *l = names; l; l = l->next) {
        g_autofree char *value = options_value_text(json_object_get_member(c->machine, l->data));
        if (g_str_equal(l->data, "type") || g_str_equal(l->data, "accel")) {
            continue;
        }
        if (!value) {
            error_setg(errp, "-machine: property '%s' is not a group", (const char *)l->data);
            return false;
        }
        if (!machine_set_property(m, l->data, value, errp)) {
            error_prefix(errp, "-machine: ");
            return false;
        }
    }
    for (size_t i = 0; i < ARRAY_SIZE(shorthands); i++) {
        if (shorthands[i].value &&
            !machine_set_property(m, shorthands[i].name, shorthands[i].value, errp)) {
            return false;
        }
    }
    return apply_boot(c, m, errp);
}

static bool apply_global(const char *arg, Error **errp)
{
    const char *dot = strchr(arg, '.'), *eq = strchr(arg, '=');
    g_autofree char *driver = NULL;
    g_autofree char *prop = NULL;
    const TypeInfo *type;

    if (!dot || !eq || eq < dot) {
        error_setg(errp, "expected DRIVER.PROPERTY=VALUE");
        return false;
    }
    driver = g_strndup(arg, dot - arg);
    prop = g_strndup(dot + 1, eq - dot - 1);
    if (g_str_equal(driver, "migration")) {
        return migration_global_property(prop, eq + 1, errp);
    }
    /* Of a device that is not there nobody can say what properties it would have. */
    type = type_by_name(driver);
    if (type && !type_find_property(type, prop)) {
        error_setg(errp, "Property '%s.%s' not found", driver, prop);
        return false;
    }
    global_property_add(driver, prop, eq + 1);
    return true;
}

bool startup_machine(const Cmdline *c, Error **errp)
{
    const MachineClass *mc = cmdline_machine_class(c, errp);
    MachineState *m;

    if (!mc) {
        return false;
    }
    for (guint i = 0; i < c->globals->len; i++) {
        const char *arg = g_ptr_array_index(c->globals, i);
        if (!apply_global(arg, errp)) {
            g_autofree char *prefix = g_strdup_printf("-global %s: ", arg);
            error_prefix(errp, "%s", prefix);
            return false;
        }
    }
    if (!rtc_configure(c->rtc_base ? c->rtc_base : "utc", c->rtc_clock ? c->rtc_clock : "host",
                       errp)) {
        error_prefix(errp, "-rtc: ");
        return false;
    }
    m = machine_new(mc);
    m->cpu_model = c->cpu_model;
    if (!cmdline_smp_config(c, mc, &m->smp, errp) || !apply_properties(c, m, errp)) {
        return false;
    }
    if (!cmdline_ram_size(c, mc, &m->ram_size, errp)) {
        return false;
    }
    if (c->mem_lock && mlockall(MCL_CURRENT | MCL_FUTURE) < 0) {
        error_setg_errno(errp, errno, "-overcommit mem-lock=on: cannot lock memory");
        return false;
    }
    return make_memory_backend(c, m, errp) && machine_create(m, errp);
}

static bool add_block(const BlockOption *b, Error **errp)
{
    g_autoptr(JsonObject) opts = NULL;

    switch (b->kind) {
    case BLOCK_NODE:
        opts = options_parse(b->arg, "driver", errp);
        return opts && blockdev_add(opts, errp);
    case BLOCK_DRIVE:
        opts = options_parse(b->arg, NULL, errp);
        return opts && drive_add(opts, errp);
    case BLOCK_HD:
        opts = json_object_new();
        json_object_set_string_member(opts, "file", b->arg);
        json_object_set_string_member(opts, "if", "ide");
        json_object_set_int_member(opts, "index", b->index);
        return drive_add(opts, errp);
    }
    g_assert_not_reached();
}

/* Serial port number i with the character device `id`; machines number ports in order. */
static bool add_serial_port(unsigned i, unsigned made, const char *id, Error **errp)
{
    g_autoptr(JsonObject) props = NULL;

    if (made == i) {
        return machine_add_serial(current_machine, id, errp);
    }
    /* "-serial none" came before: the number must be said. */
    props = json_object_new();
    json_object_set_string_member(props, "driver", "isa-serial");
    json_object_set_string_member(props, "chardev", id);
    json_object_set_int_member(props, "index", i);
    return device_add(props, errp) != NULL;
}

static bool add_serial_ports(const Cmdline *c, Error **errp)
{
    bool has_ports = g_strcmp0(current_machine->mc->family, "none") != 0;
    unsigned made = 0;

    if (c->serials->len == 0) {
        return c->nodefaults || !has_ports || add_serial_port(0, 0, "serial0", errp);
    }
    for (unsigned i = 0; i < c->serials->len; i++) {
        const char *arg = g_ptr_array_index(c->serials, i);
        g_autofree char *own = g_strdup_printf("serial%u", i);
        const char *id = g_str_has_prefix(arg, "chardev:") ? arg + strlen("chardev:") : own;

        /* Without ports "mon:" still gives a monitor, and null is nothing anyway. */
        if (g_str_equal(arg, "none") ||
            (!has_ports && (g_str_equal(arg, "null") || chardev_short_has_monitor(arg)))) {
            continue;
        }
        if (!add_serial_port(i, made, id, errp)) {
            return false;
        }
        made++;
    }
    return true;
}

static bool add_netdevs(const Cmdline *c, Error **errp)
{
    for (guint i = 0; i < c->netdevs->len; i++) {
        const char *arg = g_ptr_array_index(c->netdevs, i);
        g_autoptr(JsonObject) opts = netdev_parse(arg, errp);
        if (!opts || !netdev_add(opts, errp)) {
            g_autofree char *prefix = g_strdup_printf("-netdev %s: ", arg);
            error_prefix(errp, "%s", prefix);
            return false;
        }
    }
    return true;
}

/* -nic: a netdev and a card in one. */
static bool add_nic(const char *arg, unsigned n, Error **errp)
{
    g_autoptr(JsonObject) opts = netdev_parse(arg, errp);
    g_autoptr(JsonObject) card = json_object_new();
    g_autofree char *model = g_strdup("virtio-net-pci");
    g_autofree char *mac = NULL;
    g_autofree char *id = g_strdup_printf("nic%u", n);

    if (!opts || !options_take_str(opts, "model", &model, errp) ||
        !options_take_str(opts, "mac", &mac, errp) || !options_take_str(opts, "id", &id, errp)) {
        return false;
    }
    json_object_set_string_member(opts, "id", id);
    json_object_set_string_member(card, "driver",
                                  g_str_equal(model, "virtio") ? "virtio-net-pci" : model);
    json_object_set_string_member(card, "netdev", id);
    if (mac) {
        json_object_set_string_member(card, "mac", mac);
    }
    return netdev_add(opts, errp) && device_add(card, errp);
}

static bool add_nics(const Cmdline *c, Error **errp)
{
    for (guint i = 0; i < c->nics->len; i++) {
        const char *arg = g_ptr_array_index(c->nics, i);
        if (!add_nic(arg, i, errp)) {
            g_autofree char *prefix = g_strdup_printf("-nic %s: ", arg);
            error_prefix(errp, "%s", prefix);
            return false;
        }
    }
    return true;
}

bool startup_devices(const Cmdline *c, Error **errp)
{
    if (!add_serial_ports(c, errp) || !add_netdevs(c, errp)) {
        return false;
    }
    for (guint i = 0; i < c->blocks->len; i++) {
        const BlockOption *b = g_ptr_array_index(c->blocks, i);
        if (!add_block(b, errp)) {
            g_autofree char *prefix =
                g_strdup_printf("-%s %s: ", b->kind == BLOCK_NODE ? "blockdev" :
                                b->kind == BLOCK_HD ? "hda" : "drive", b->arg);
            error_prefix(errp, "%s", prefix);
            return false;
        }
    }
    for (guint i = 0; i < c->devices->len; i++) {
        const char *arg = g_ptr_array_index(c->devices, i);
        g_autoptr(JsonObject) props = options_parse(arg, "driver", errp);
        if (!props || !device_add(props, errp)) {
            g_autofree char *prefix = g_strdup_printf("-device %s: ", arg);
            error_prefix(errp, "%s", prefix);
            return false;
        }
    }
    return add_nics(c, errp);
}
