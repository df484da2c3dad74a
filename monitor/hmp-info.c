/*
 * Human monitor: the sub-commands of `info`.  Main thread, machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "hw/core/machine.h"
#include "monitor/hmp-internal.h"
#include "qapi/qapi-commands.h"
#include "system/address-space.h"
#include "system/ramblock.h"
#include "target/i386/cpu.h"
#include "trace/control.h"
#include "util/util.h"

static void info_status(HmpSession *s, JsonObject *args)
{
    g_autoptr(StatusInfo) info = qmp_query_status(NULL);

    hmp_printf(s, "VM status: %s", info->running ? "running" : "paused");
    if (!info->running && info->status != RUN_STATE_PAUSED) {
        hmp_printf(s, " (%s)", run_state_str(info->status));
    }
    hmp_puts(s, "\n");
}

static void info_version(HmpSession *s, JsonObject *args)
{
    g_autoptr(VersionInfo) v = qmp_query_version(NULL);

    hmp_printf(s, "%d.%d.%d (%s)\n", (int)v->qemu->major, (int)v->qemu->minor,
               (int)v->qemu->micro, v->package);
}

static void info_name(HmpSession *s, JsonObject *args)
{
    if (vm_name) {
        hmp_printf(s, "%s\n", vm_name);
    }
}

static void info_uuid(HmpSession *s, JsonObject *args)
{
    g_autoptr(UuidInfo) info = qmp_query_uuid(NULL);

    hmp_printf(s, "%s\n", info->UUID);
}

static void info_kvm(HmpSession *s, JsonObject *args)
{
    g_autoptr(KvmInfo) info = qmp_query_kvm(NULL);

    hmp_printf(s, "kvm support: %s\n",
               info->enabled ? "enabled" : info->present ? "disabled" : "not available");
}

static void info_cpus(HmpSession *s, JsonObject *args)
{
    CPU_FOREACH(cpu) {
        hmp_printf(s, "%c CPU #%d: thread_id=%d\n", cpu == hmp_cpu(s) ? '*' : ' ', cpu->index,
                   cpu->host_tid);
    }
}

static void show_registers(HmpSession *s, CPUState *cpu)
{
    g_autofree char *text = NULL;

    cpu_synchronize_state(cpu);
    text = x86_cpu_describe(X86_CPU(cpu));
    hmp_printf(s, "\nCPU#%d\n%s", cpu->index, text);
    if (*text && !g_str_has_suffix(text, "\n")) {
        hmp_puts(s, "\n");
    }
}

static void info_registers(HmpSession *s, JsonObject *args)
{
    CPUState *one = hmp_cpu(s);

    if (json_object_has_member(args, "vcpu")) {
        one = cpu_by_index(hmp_arg_int(args, "vcpu", 0));
    }
    if (!one) {
        hmp_puts(s, "No CPU available\n");
    } else if (hmp_arg_bool(args, "cpustate_all")) {
        CPU_FOREACH(cpu) {
            show_registers(s, cpu);
        }
    } else {
        show_registers(s, one);
    }
}

static void info_mtree(HmpSession *s, JsonObject *args)
{
    g_autofree char *text = memory_map_describe();

    hmp_puts(s, text);
}

static void info_qtree(HmpSession *s, JsonObject *args)
{
    g_autofree char *text = device_tree_describe();

    hmp_puts(s, text);
}

static void show_object(HmpSession *s, Object *obj, int indent)
{
    hmp_printf(s, "%*s/%s (%s)\n", indent, "", obj->name ? obj->name : "", obj->type->name);
    for (guint i = 0; obj->children && i < obj->children->len; i++) {
        show_object(s, g_ptr_array_index(obj->children, i), indent + 2);
    }
}

static void info_qom_tree(HmpSession *s, JsonObject *args)
{
    const char *path = hmp_arg_str(args, "path");
    bool ambiguous = false;
    Object *obj;

    if (!path) {
        obj = current_machine ? &current_machine->obj : object_root();
    } else {
        obj = object_resolve(path, &ambiguous);
    }
    if (!obj) {
        hmp_printf(s, ambiguous ? "Path '%s' is ambiguous.\n" : "Path '%s' could not be resolved.\n",
                   path);
        return;
    }
    show_object(s, obj, 0);
}

static void info_ramblock(HmpSession *s, JsonObject *args)
{
    hmp_printf(s, "%24s %8s  %18s %18s %18s %18s %3s\n", "Block Name", "PSize", "Offset", "Used",
               "Total", "HVA", "RO");
    RAMBLOCK_FOREACH(rb) {
        g_autofree char *psize = size_to_str(rb->page_size);
        hmp_printf(s,
                   "%24s %8s  0x%016" G_GINT64_MODIFIER "x 0x%016" G_GINT64_MODIFIER
                   "x 0x%016" G_GINT64_MODIFIER "x 0x%016" G_GINT64_MODIFIER "x %3s\n",
                   rb->idstr, psize, rb->offset, rb->used_length, rb->max_length,
                   (uint64_t)(uintptr_t)rb->host, rb->readonly ? "ro" : "rw");
    }
}

static void info_chardev(HmpSession *s, JsonObject *args)
{
    g_autoptr(GPtrArray) list = qmp_query_chardev(NULL);

    for (guint i = 0; i < list->len; i++) {
        const ChardevInfo *c = g_ptr_array_index(list, i);
        hmp_printf(s, "%s: filename=%s\n", c->label, c->filename);
    }
}

static void info_trace_events(HmpSession *s, JsonObject *args)
{
    const char *pattern = hmp_arg_str(args, "name");
    g_autoptr(GPatternSpec) spec = g_pattern_spec_new(pattern ? pattern : "*");

    for (TraceEvent *e = trace_event_first(); e; e = e->next) {
        if (g_pattern_spec_match_string(spec, e->name)) {
            hmp_printf(s, "%s : state %d\n", e->name, e->on);
        }
    }
}

static void info_memory_size(HmpSession *s, JsonObject *args)
{
    g_autoptr(MemoryInfo) info = qmp_query_memory_size_summary(NULL);

    hmp_printf(s, "base memory: %" G_GUINT64_FORMAT "\nplugged memory: %" G_GUINT64_FORMAT "\n",
               info->base_memory, info->plugged_memory);
}

static void info_memdev(HmpSession *s, JsonObject *args)
{
    g_autoptr(GPtrArray) list = qmp_query_memdev(NULL);

    for (guint i = 0; i < list->len; i++) {
        const Memdev *m = g_ptr_array_index(list, i);
        hmp_printf(s,
                   "memory backend: %s\n  size:  %" G_GUINT64_FORMAT
                   "\n  merge: %s\n  dump: %s\n  prealloc: %s\n  share: %s\n  reserve: %s\n"
                   "  policy: %s\n\n",
                   m->id, m->size, m->merge ? "true" : "false", m->dump ? "true" : "false",
                   m->prealloc ? "true" : "false", m->share ? "true" : "false",
                   m->reserve ? "true" : "false", host_mem_policy_str(m->policy));
    }
}

static void complete_trace_names(GPtrArray *list, int nr, const char *prefix)
{
    for (TraceEvent *e = trace_event_first(); nr == 0 && e; e = e->next) {
        hmp_complete_add(list, e->name);
    }
}

static const HmpCommand info_commands[] = {
    { "status", "", "", "run state of the machine", info_status },
    { "version", "", "", "version of the emulator", info_version },
    { "name", "", "", "name of the machine", info_name },
    { "uuid", "", "", "identity of the machine", info_uuid },
    { "kvm", "", "", "is KVM in use?", info_kvm },
    { "cpus", "", "", "the CPUs and their threads", info_cpus },
    { "registers", "cpustate_all:-a,vcpu:i?", "[-a|vcpu]", "registers of a CPU (-a: of all)",
      info_registers },
    { "mtree", "", "", "what answers at which guest address", info_mtree },
    { "qtree", "", "", "the devices", info_qtree },
    { "qom-tree", "path:s?", "[path]", "the tree of objects", info_qom_tree },
    { "ramblock", "", "", "pieces of guest memory", info_ramblock },
    { "chardev", "", "", "the character devices", info_chardev },
    { "trace-events", "name:s?", "[name]", "the trace events and which are on", info_trace_events,
      complete_trace_names },
    { "memory_size_summary", "", "", "how much memory the machine has", info_memory_size },
    { "memdev", "", "", "the memory backends", info_memdev },
    { NULL },
};
HMP_INFO(info_commands)
