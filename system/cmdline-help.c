/*
 * Answers to -help and to "help" as the value of an option, on standard output.
 * Main thread, during parsing; the registries it reads were filled by constructors.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <stdio.h>
#include <string.h>

#include "chardev/chardev.h"
#include "system/cmdline-private.h"
#include "target/i386/cpu.h"
#include "trace/control.h"
#include "util/fault.h"
#include "util/log.h"

void help_options(void)
{
    printf("Ferry %s: an emulator for moving running machines\n"
           "usage: ferry-system-x86_64 [OPTION]...\n\n", FERRY_VERSION);
    for (const CmdlineOption *o = cmdline_table; o->name; o++) {
        if (o->help) {
            g_autofree char *head = g_strdup_printf("-%s%s%s", o->name, o->arg ? " " : "",
                                                    o->arg ? o->arg : "");
            if (strlen(head) < 24) {
                printf("%-24s%s\n", head, o->help);
            } else {
                printf("%s\n%-24s%s\n", head, "", o->help);
            }
        }
    }
    printf("\nEvery option may be written with one dash or two.  With -nographic, C-a h shows the "
           "keys.\n");
}

void help_machines(void)
{
    const GPtrArray *list = machine_classes();

    printf("Supported machines are:\n");
    for (guint i = 0; list && i < list->len; i++) {
        const MachineClass *mc = g_ptr_array_index(list, i);
        if (mc->alias) {
            printf("%-20s %s (alias of %s)\n", mc->alias, mc->desc, mc->name);
        }
        printf("%-20s %s%s%s\n", mc->name, mc->desc, mc->is_default ? " (default)" : "",
               mc->deprecated ? " (deprecated)" : "");
    }
}

void help_cpus(void)
{
    printf("Available CPUs:\n");
    for (const X86CPUModel *m = x86_cpu_models(); m->name; m++) {
        printf("x86 %-20s %s\n", m->name, m->desc ? m->desc : "");
    }
}

void help_accels(void)
{
    printf("Accelerators supported by this program:\n"
           "kvm     virtual CPUs of the host's kernel (/dev/kvm)\n"
           "interp  software x86 for hosts without KVM; also called tcg\n"
           "qtest   no CPU runs; the clock moves by qtest commands\n");
}

void help_objects(void)
{
    g_autoptr(GPtrArray) types = type_list(NULL, false);

    printf("List of user creatable objects:\n");
    for (guint i = 0; i < types->len; i++) {
        const TypeInfo *t = g_ptr_array_index(types, i);
        if (t->user_creatable) {
            printf("  %-24s%s\n", t->name, t->description ? t->description : "");
        }
    }
}

void help_devices(void)
{
    g_autoptr(GPtrArray) types = type_list(TYPE_DEVICE, false);
    g_autoptr(GPtrArray) headings = g_ptr_array_new();

    for (guint i = 0; i < types->len; i++) {
        const DeviceClass *dc = type_class_data(g_ptr_array_index(types, i));
        const char *heading = dc && dc->category ? dc->category : "Misc";
        if (dc && dc->user_creatable &&
            !g_ptr_array_find_with_equal_func(headings, heading, g_str_equal, NULL)) {
            g_ptr_array_add(headings, (gpointer)heading);
        }
    }
    for (guint h = 0; h < headings->len; h++) {
        printf("%s%s devices:\n", h ? "\n" : "", (char *)g_ptr_array_index(headings, h));
        for (guint i = 0; i < types->len; i++) {
            const TypeInfo *t = g_ptr_array_index(types, i);
            const DeviceClass *dc = type_class_data(t);
            if (dc && dc->user_creatable &&
                g_str_equal(dc->category ? dc->category : "Misc", g_ptr_array_index(headings, h))) {
                printf("name \"%s\"", t->name);
                printf(dc->bus ? ", bus %s" : "%s", dc->bus ? dc->bus : "");
                printf(dc->desc ? ", desc \"%s\"\n" : "%s\n", dc->desc ? dc->desc : "");
            }
        }
    }
}

static void print_properties(const TypeInfo *t)
{
    g_autoptr(GPtrArray) props = type_properties(t);

    for (guint i = 0; i < props->len; i++) {
        const PropertyInfo *p = g_ptr_array_index(props, i);
        if (p->readonly) {
            continue;
        }
        g_autofree char *head = g_strdup_printf("  %s=<%s>", p->name, property_type_name(p));
        printf("%-32s", head);
        printf(p->description ? " - %s" : "%s", p->description ? p->description : "");
        printf(p->def ? " (default: %s)\n" : "%s\n", p->def ? p->def : "");
    }
}

bool help_type_properties(const char *type, const char *ancestor, Error **errp)
{
    const TypeInfo *t = type_by_name(type);
    bool device = g_str_equal(ancestor, TYPE_DEVICE);

    if (!t || (device ? !type_is_a(t, TYPE_DEVICE) : !t->user_creatable)) {
        error_setg(errp, "there is no %s type '%s'", device ? "device" : "object", type);
        return false;
    }
    printf("%s options:\n", type);
    print_properties(t);
    return true;
}

void help_machine_properties(const char *machine)
{
    const MachineClass *mc = machine ? machine_class_by_name(machine) : NULL;
    g_autofree char *type = mc ? g_strconcat(mc->name, "-machine", NULL) : NULL;
    const TypeInfo *t = type_by_name(type ? type : TYPE_MACHINE);

    printf("%s options:\n", machine ? machine : "machine");
    if (t) {
        print_properties(t);
    }
}

void help_log_items(void)
{
    printf("Log items (comma separated):\n");
    for (const LogItem *i = log_items; i->mask; i++) {
        printf("%-16s%s\n", i->name, i->help);
    }
}

void help_trace(void)
{
    for (TraceEvent *e = trace_event_first(); e; e = e->next) {
        printf("%s\n", e->name);
    }
}

void help_faults(void)
{
    for (int p = 0; p < FAULT__MAX; p++) {
        printf("%-20s%s\n", fault_name(p), fault_what(p));
    }
}

void help_chardevs(void)
{
    printf("Available chardev backend types:\n");
    for (const char *const *n = chardev_backend_names; *n; n++) {
        printf("  %s\n", *n);
    }
}
