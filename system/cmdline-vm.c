/*
 * Handlers of the options that describe the machine.  Main thread, parsing only:
 * nothing is made here (startup*.c does that), so that order on the command line does
 * not matter where it need not.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <stdlib.h>
#include <string.h>

#include "chardev/chardev.h"
#include "migration/migration.h"
#include "qom/object.h"
#include "system/clock.h"
#include "system/cmdline-private.h"
#include "util/util.h"

static void set_string(char **where, const char *value)
{
    g_free(*where);
    *where = g_strdup(value);
}

static bool keep(GPtrArray *list, const char *arg)
{
    g_ptr_array_add(list, g_strdup(arg));
    return true;
}

/* Members of `from` into `to`, over what is there; groups go to their own option. */
static void merge(JsonObject *to, JsonObject *from)
{
    g_autoptr(GList) names = json_object_get_members(from);

    for (GList *l = names; l; l = l->next) {
        json_object_set_member(to, l->data, json_object_dup_member(from, l->data));
    }
}

/* -machine smp.cpus=2 and {"smp":{"cpus":2}} are the same as -smp cpus=2. */
static void move_group(JsonObject *from, const char *name, JsonObject *to)
{
    JsonNode *node = json_object_get_member(from, name);

    if (node && JSON_NODE_HOLDS_OBJECT(node)) {
        merge(to, json_node_get_object(node));
        json_object_remove_member(from, name);
    }
}

bool opt_machine(Cmdline *c, const char *arg, Error **errp)
{
    g_autoptr(JsonObject) opts = NULL;

    if (cmdline_is_help(arg)) {
        help_machines();
        exit(0);
    }
    opts = options_parse(arg, "type", errp);
    if (!opts) {
        return false;
    }
    if (json_object_has_member(opts, "help")) {
        help_machine_properties(json_object_get_string_member_with_default(opts, "type", NULL));
        exit(0);
    }
    const char *type = json_object_get_string_member_with_default(opts, "type", NULL);
    if (type && cmdline_is_help(type)) {
        help_machines();
        exit(0);
    }
    move_group(opts, "smp", c->smp);
    move_group(opts, "memory", c->memory);
    move_group(opts, "boot", c->boot);
    merge(c->machine, opts);
    return true;
}

bool opt_accel(Cmdline *c, const char *arg, Error **errp)
{
    if (cmdline_is_help(arg)) {
        help_accels();
        exit(0);
    }
    if (g_str_has_prefix(arg, "accel=")) {
        arg += strlen("accel=");
    }
    return keep(c->accels, arg);
}

bool opt_enable_kvm(Cmdline *c, const char *arg, Error **errp)
{
    return keep(c->accels, "kvm");
}

/* Parse into a group; which members there may be is checked where it is used. */
static bool parse_group(JsonObject *group, const char *arg, const char *implied, Error **errp)
{
    g_autoptr(JsonObject) opts = options_parse(arg, implied, errp);

    if (!opts) {
        return false;
    }
    merge(group, opts);
    return true;
}

bool opt_smp(Cmdline *c, const char *arg, Error **errp)
{
    return parse_group(c->smp, arg, "cpus", errp);
}

bool opt_memory(Cmdline *c, const char *arg, Error **errp)
{
    g_autoptr(JsonObject) opts = options_parse(arg, "size", errp);
    uint64_t size;

    if (!opts) {
        return false;
    }
    /* A bare number is MiB here, and bytes in -machine memory.size=. */
    if (json_object_has_member(opts, "size")) {
        const char *text = json_object_get_string_member_with_default(opts, "size", "");
        g_autofree char *bytes = NULL;
        if (!parse_size(text, 'M', &size)) {
            error_setg(errp, "'%s' is not a size of memory such as 512 (MiB), 512M or 2G", text);
            return false;
        }
        bytes = g_strdup_printf("%" G_GUINT64_FORMAT, size);
        json_object_set_string_member(opts, "size", bytes);
    }
    merge(c->memory, opts);
    return true;
}

bool opt_mem_path(Cmdline *c, const char *arg, Error **errp)
{
    set_string(&c->mem_path, arg);
    return true;
}

bool opt_mem_prealloc(Cmdline *c, const char *arg, Error **errp)
{
    c->mem_prealloc = true;
    return true;
}

bool opt_boot(Cmdline *c, const char *arg, Error **errp)
{
    return parse_group(c->boot, arg, "order", errp);
}

bool opt_cpu(Cmdline *c, const char *arg, Error **errp)
{
    if (cmdline_is_help(arg)) {
        help_cpus();
        exit(0);
    }
    set_string(&c->cpu_model, arg);
    return true;
}

bool opt_kernel(Cmdline *c, const char *arg, Error **errp)
{
    set_string(&c->kernel, arg);
    return true;
}

bool opt_initrd(Cmdline *c, const char *arg, Error **errp)
{
    set_string(&c->initrd, arg);
    return true;
}

bool opt_append(Cmdline *c, const char *arg, Error **errp)
{
    set_string(&c->append, arg);
    return true;
}

bool opt_bios(Cmdline *c, const char *arg, Error **errp)
{
    set_string(&c->bios, arg);
    return true;
}

bool opt_no_acpi(Cmdline *c, const char *arg, Error **errp)
{
    json_object_set_string_member(c->machine, "acpi", "off");
    return true;
}

bool opt_no_hpet(Cmdline *c, const char *arg, Error **errp)
{
    json_object_set_string_member(c->machine, "hpet", "off");
    return true;
}

/* "TYPE,help": prints and exits. */
static bool answer_type_help(const char *arg, const char *implied, const char *ancestor,
                             Error **errp)
{
    g_autoptr(JsonObject) opts = options_parse(arg, implied, errp);
    const char *type;

    if (!opts) {
        return false;
    }
    type = json_object_get_string_member_with_default(opts, implied, NULL);
    if (type && (json_object_has_member(opts, "help") || json_object_has_member(opts, "?"))) {
        if (!help_type_properties(type, ancestor, errp)) {
            return false;
        }
        exit(0);
    }
    return true;
}

bool opt_object(Cmdline *c, const char *arg, Error **errp)
{
    if (cmdline_is_help(arg)) {
        help_objects();
        exit(0);
    }
    return answer_type_help(arg, "qom-type", "object", errp) && keep(c->objects, arg);
}

bool opt_device(Cmdline *c, const char *arg, Error **errp)
{
    if (cmdline_is_help(arg)) {
        help_devices();
        exit(0);
    }
    return answer_type_help(arg, "driver", TYPE_DEVICE, errp) && keep(c->devices, arg);
}

bool opt_chardev(Cmdline *c, const char *arg, Error **errp)
{
    if (cmdline_is_help(arg)) {
        help_chardevs();
        exit(0);
    }
    return keep(c->chardevs, arg);
}

static bool keep_block(Cmdline *c, BlockOptionKind kind, int index, const char *arg)
{
    BlockOption *b = g_new0(BlockOption, 1);

    b->kind = kind;
    b->index = index;
    b->arg = g_strdup(arg);
    g_ptr_array_add(c->blocks, b);
    return true;
}

bool opt_drive(Cmdline *c, const char *arg, Error **errp)
{
    return keep_block(c, BLOCK_DRIVE, 0, arg);
}

bool opt_blockdev(Cmdline *c, const char *arg, Error **errp)
{
    return keep_block(c, BLOCK_NODE, 0, arg);
}

bool opt_hda(Cmdline *c, const char *arg, Error **errp)
{
    return keep_block(c, BLOCK_HD, 0, arg);
}

bool opt_hdb(Cmdline *c, const char *arg, Error **errp)
{
    return keep_block(c, BLOCK_HD, 1, arg);
}

bool opt_hdc(Cmdline *c, const char *arg, Error **errp)
{
    return keep_block(c, BLOCK_HD, 2, arg);
}

bool opt_hdd(Cmdline *c, const char *arg, Error **errp)
{
    return keep_block(c, BLOCK_HD, 3, arg);
}

bool opt_serial(Cmdline *c, const char *arg, Error **errp)
{
    if (c->serials->len == 4) {
        error_setg(errp, "there are four serial ports at most");
        return false;
    }
    return keep(c->serials, arg);
}

bool opt_parallel(Cmdline *c, const char *arg, Error **errp)
{
    if (!g_str_equal(arg, "none")) {
        error_setg(errp, "there is no parallel port; 'none' is the only choice");
        return false;
    }
    return true;
}

static MonitorOption *add_monitor(Cmdline *c)
{
    MonitorOption *m = g_new0(MonitorOption, 1);

    g_ptr_array_add(c->monitors, m);
    c->monitor_given = true;
    return m;
}

bool opt_mon(Cmdline *c, const char *arg, Error **errp)
{
    static const char *const modes[] = { "readline", "control", NULL };
    g_autoptr(JsonObject) opts = options_parse(arg, "chardev", errp);
    g_autofree char *chardev = NULL;
    g_autofree char *id = NULL;
    bool pretty = false;
    int mode = 0;

    if (!opts || !options_take_str(opts, "chardev", &chardev, errp) ||
        !options_take_str(opts, "id", &id, errp) ||
        !options_take_enum(opts, "mode", modes, &mode, errp) ||
        !options_take_bool(opts, "pretty", &pretty, errp) || !options_finish(opts, "mon", errp)) {
        return false;
    }
    if (!chardev) {
        error_setg(errp, "parameter 'chardev' is missing");
        return false;
    }
    if (pretty && mode == 0) {
        error_setg(errp, "'pretty' is for mode=control");
        return false;
    }
    MonitorOption *m = add_monitor(c);
    m->chardev = g_steal_pointer(&chardev);
    m->control = mode == 1;
    m->pretty = pretty;
    return true;
}

static bool add_short_monitor(Cmdline *c, const char *arg, bool control, bool pretty)
{
    c->monitor_given = true;
    if (!g_str_equal(arg, "none")) {
        MonitorOption *m = add_monitor(c);
        m->short_form = g_strdup(arg);
        m->control = control;
        m->pretty = pretty;
    }
    return true;
}

bool opt_monitor(Cmdline *c, const char *arg, Error **errp)
{
    return add_short_monitor(c, arg, false, false);
}

bool opt_qmp(Cmdline *c, const char *arg, Error **errp)
{
    return add_short_monitor(c, arg, true, false);
}

bool opt_qmp_pretty(Cmdline *c, const char *arg, Error **errp)
{
    return add_short_monitor(c, arg, true, true);
}

bool opt_qtest(Cmdline *c, const char *arg, Error **errp)
{
    set_string(&c->qtest, arg);
    return true;
}

bool opt_qtest_log(Cmdline *c, const char *arg, Error **errp)
{
    set_string(&c->qtest_log, arg);
    return true;
}

bool opt_nodefaults(Cmdline *c, const char *arg, Error **errp)
{
    c->nodefaults = true;
    return true;
}

bool opt_nographic(Cmdline *c, const char *arg, Error **errp)
{
    c->nographic = true;
    return true;
}

bool opt_echr(Cmdline *c, const char *arg, Error **errp)
{
    uint64_t code;

    if (!parse_u64(arg, &code) || code > 0x7f) {
        error_setg(errp, "'%s' is not the code of a key (0 to 0x7f)", arg);
        return false;
    }
    chardev_set_escape((uint8_t)code);
    return true;
}

/* Options of hardware that Ferry has none of: only the word for "none" is right. */
static bool only(const char *what, const char *arg, Error **errp)
{
    size_t n = strlen("none");

    if (strncmp(arg, "none", n) != 0 || (arg[n] && arg[n] != ',')) {
        error_setg(errp, "%s; 'none' is the only choice", what);
        return false;
    }
    return true;
}

bool opt_display(Cmdline *c, const char *arg, Error **errp)
{
    g_autoptr(JsonObject) opts = options_parse(arg, "type", errp);

    return opts && only("there is no display",
                        json_object_get_string_member_with_default(opts, "type", ""), errp);
}

bool opt_vga(Cmdline *c, const char *arg, Error **errp)
{
    return only("there is no display adapter", arg, errp);
}

bool opt_audio(Cmdline *c, const char *arg, Error **errp)
{
    return only("there is no sound", g_str_has_prefix(arg, "driver=") ? arg + 7 : arg, errp);
}

bool opt_audiodev(Cmdline *c, const char *arg, Error **errp)
{
    g_autoptr(JsonObject) opts = options_parse(arg, "driver", errp);

    return opts && only("there is no sound",
                        json_object_get_string_member_with_default(opts, "driver", ""), errp);
}

bool opt_netdev(Cmdline *c, const char *arg, Error **errp)
{
    return keep(c->netdevs, arg);
}

bool opt_nic(Cmdline *c, const char *arg, Error **errp)
{
    return g_str_equal(arg, "none") || keep(c->nics, arg);
}

bool opt_net(Cmdline *c, const char *arg, Error **errp)
{
    return only("-net is not supported: use -netdev and -device", arg, errp);
}

/* One node that holds all is what there is anyway. */
bool opt_numa(Cmdline *c, const char *arg, Error **errp)
{
    if (!g_str_equal(arg, "node") && !g_str_equal(arg, "node,nodeid=0")) {
        error_setg(errp, "there is one NUMA node that holds all CPUs and memory");
        return false;
    }
    return true;
}

bool opt_global(Cmdline *c, const char *arg, Error **errp)
{
    g_autoptr(JsonObject) opts = NULL;
    g_autofree char *driver = NULL;
    g_autofree char *prop = NULL;
    g_autofree char *value = NULL;
    const char *dot = strchr(arg, '.'), *eq = strchr(arg, '=');

    if (dot && eq && dot < eq && !g_str_has_prefix(arg, "driver=")) {
        return keep(c->globals, arg);
    }
    if (!eq) {
        error_setg(errp, "expected DRIVER.PROPERTY=VALUE");
        return false;
    }
    opts = options_parse_flat(arg, NULL, errp);
    if (!opts || !options_take_str(opts, "driver", &driver, errp) ||
        !options_take_str(opts, "property", &prop, errp) ||
        !options_take_str(opts, "value", &value, errp) || !options_finish(opts, "global", errp)) {
        return false;
    }
    if (!driver || !prop || !value) {
        error_setg(errp, "expected DRIVER.PROPERTY=VALUE or driver=,property=,value=");
        return false;
    }
    g_ptr_array_add(c->globals, g_strdup_printf("%s.%s=%s", driver, prop, value));
    return true;
}

bool opt_rtc(Cmdline *c, const char *arg, Error **errp)
{
    static const char *const drift[] = { "none", "slew", NULL };
    g_autoptr(JsonObject) opts = options_parse(arg, "base", errp);
    int driftfix = 0;

    if (!opts || !options_take_str(opts, "base", &c->rtc_base, errp) ||
        !options_take_str(opts, "clock", &c->rtc_clock, errp) ||
        !options_take_enum(opts, "driftfix", drift, &driftfix, errp) ||
        !options_finish(opts, "rtc", errp)) {
        return false;
    }
    if (driftfix) {
        error_setg(errp, "driftfix=slew is not supported: lost ticks are not injected again");
        return false;
    }
    return true;
}

bool opt_incoming(Cmdline *c, const char *arg, Error **errp)
{
    return keep(c->incoming, arg);
}

bool opt_only_migratable(Cmdline *c, const char *arg, Error **errp)
{
    only_migratable = true;
    return true;
}

bool opt_stopped(Cmdline *c, const char *arg, Error **errp)
{
    c->stopped = true;
    return true;
}

bool opt_uuid(Cmdline *c, const char *arg, Error **errp)
{
    if (!parse_uuid(arg, vm_uuid)) {
        error_setg(errp, "a UUID looks like 12345678-9abc-def0-1234-56789abcdef0");
        return false;
    }
    vm_uuid_set = true;
    return true;
}
