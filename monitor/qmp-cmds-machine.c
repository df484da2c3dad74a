/*
 * QMP commands about the machine: run state, CPUs, memory, identity.
 * Main thread, machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "accel/accel.h"
#include "hw/block/block.h"
#include "hw/core/machine.h"
#include "qapi/qapi-commands.h"
#include "system/cpus.h"
#include "system/dump.h"
#include "system/hostmem.h"
#include "system/runstate.h"
#include "target/i386/cpu.h"
#include "util/util.h"

StatusInfo *qmp_query_status(Error **errp)
{
    StatusInfo *info = g_new0(StatusInfo, 1);

    info->status = runstate_get();
    info->running = runstate_is_running();
    return info;
}

bool qmp_stop(Error **errp)
{
    if (runstate_check(RUN_STATE_INMIGRATE)) {
        autostart = false;
    } else {
        vm_stop(RUN_STATE_PAUSED);
    }
    return true;
}

bool qmp_cont(Error **errp)
{
    if (dump_in_progress()) {
        error_setg(errp, "a dump of the memory is in progress: the guest goes on afterwards");
        return false;
    }
    switch (runstate_get()) {
    case RUN_STATE_INTERNAL_ERROR:
    case RUN_STATE_SHUTDOWN:
        error_setg(errp, "Resetting the Virtual Machine is required");
        return false;
    case RUN_STATE_FINISH_MIGRATE:
        error_setg(errp, "Migration is not finalized yet");
        return false;
    case RUN_STATE_SUSPENDED:
        return true;
    case RUN_STATE_INMIGRATE:
        autostart = true;
        return true;
    default:
        if (!block_backends_activate(errp)) {
            return false;
        }
        vm_start();
        return true;
    }
}

bool qmp_system_reset(Error **errp)
{
    system_reset_request(SHUTDOWN_CAUSE_HOST_QMP_SYSTEM_RESET);
    return true;
}

bool qmp_system_powerdown(Error **errp)
{
    system_powerdown_request();
    return true;
}

bool qmp_system_wakeup(Error **errp)
{
    return system_wakeup(errp);
}

bool qmp_set_action(const SetActionArgs *args, Error **errp)
{
    if (args->has_reboot) {
        reboot_action = args->reboot;
    }
    if (args->has_shutdown) {
        shutdown_action = args->shutdown;
    }
    if (args->has_panic) {
        panic_action = args->panic;
    }
    return true;
}

bool qmp_inject_nmi(Error **errp)
{
    if (!cpu_first()) {
        error_setg(errp, "the machine has no CPU to interrupt");
        return false;
    }
    CPU_FOREACH(cpu) {
        x86_cpu_interrupt(X86_CPU(cpu), CPU_INT_NMI);
    }
    return true;
}

KvmInfo *qmp_query_kvm(Error **errp)
{
    KvmInfo *info = g_new0(KvmInfo, 1);

    info->enabled = accel && !strcmp(accel->name, "kvm");
    info->present = accel_kvm_available();
    return info;
}

TargetInfo *qmp_query_target(Error **errp)
{
    TargetInfo *info = g_new0(TargetInfo, 1);

    info->arch = SYS_EMU_TARGET_X86_64;
    return info;
}

NameInfo *qmp_query_name(Error **errp)
{
    NameInfo *info = g_new0(NameInfo, 1);

    info->name = g_strdup(vm_name);
    return info;
}

UuidInfo *qmp_query_uuid(Error **errp)
{
    UuidInfo *info = g_new0(UuidInfo, 1);

    info->UUID = uuid_to_str(vm_uuid);
    return info;
}

GPtrArray *qmp_query_machines(Error **errp)
{
    GPtrArray *list = machine_info_list_new();
    const GPtrArray *classes = machine_classes();

    for (guint i = 0; i < classes->len; i++) {
        const MachineClass *mc = g_ptr_array_index(classes, i);
        MachineInfo *info = g_new0(MachineInfo, 1);

        info->name = g_strdup(mc->name);
        info->alias = g_strdup(mc->alias);
        info->has_is_default = info->is_default = mc->is_default;
        info->cpu_max = mc->max_cpus ? mc->max_cpus : 1;
        info->numa_mem_supported = mc->numa_mem_supported;
        info->deprecated = mc->deprecated;
        info->default_cpu_type = mc->default_cpu_type
                                     ? g_strdup_printf("%s-x86_64-cpu", mc->default_cpu_type)
                                     : NULL;
        info->default_ram_id = g_strdup(mc->default_ram_id);
        g_ptr_array_add(list, info);
    }
    return list;
}

CurrentMachineParams *qmp_query_current_machine(Error **errp)
{
    CurrentMachineParams *params = g_new0(CurrentMachineParams, 1);

    params->wakeup_suspend_support = system_can_sleep();
    return params;
}

/* CPU number `index` in sockets of dies of cores of threads. */
static CpuInstanceProperties *cpu_props(int index)
{
    CpuInstanceProperties *p = g_new0(CpuInstanceProperties, 1);
    const SMPConfig *smp = &current_machine->smp;
    unsigned threads = MAX(smp->threads, 1), cores = MAX(smp->cores, 1), dies = MAX(smp->dies, 1);

    p->has_thread_id = p->has_core_id = p->has_die_id = p->has_socket_id = true;
    p->thread_id = index % threads;
    p->core_id = index / threads % cores;
    p->die_id = index / (threads * cores) % dies;
    p->socket_id = index / (threads * cores * dies);
    return p;
}

GPtrArray *qmp_query_cpus_fast(Error **errp)
{
    GPtrArray *list = cpu_info_fast_list_new();

    CPU_FOREACH(cpu) {
        CpuInfoFast *info = g_new0(CpuInfoFast, 1);
        info->cpu_index = cpu->index;
        info->qom_path = object_path(&cpu->obj);
        info->thread_id = cpu->host_tid;
        info->props = cpu_props(cpu->index);
        info->target = SYS_EMU_TARGET_X86_64;
        g_ptr_array_add(list, info);
    }
    return list;
}

GPtrArray *qmp_query_hotpluggable_cpus(Error **errp)
{
    GPtrArray *list = hotpluggable_cpu_list_new();

    CPU_FOREACH(cpu) {
        HotpluggableCPU *slot = g_new0(HotpluggableCPU, 1);
        slot->type = g_strdup(cpu->obj.type->name);
        slot->vcpus_count = 1;
        slot->props = cpu_props(cpu->index);
        slot->qom_path = object_path(&cpu->obj);
        g_ptr_array_add(list, slot);
    }
    return list;
}

MemoryInfo *qmp_query_memory_size_summary(Error **errp)
{
    MemoryInfo *info = g_new0(MemoryInfo, 1);

    info->base_memory = current_machine ? current_machine->ram_size : 0;
    info->has_plugged_memory = true;
    return info;
}

GPtrArray *qmp_query_memory_devices(Error **errp)
{
    /* No machine has a place for memory that is plugged in. */
    return memory_device_info_list_new();
}

static void add_memdev(HostMemoryBackend *b, void *opaque)
{
    Memdev *m = g_new0(Memdev, 1);

    m->id = g_strdup(b->obj.name);
    m->size = b->size;
    m->merge = b->merge;
    m->dump = b->dump;
    m->prealloc = b->prealloc;
    m->share = b->share;
    m->has_reserve = true;
    m->reserve = b->reserve;
    m->host_nodes = g_array_new(FALSE, FALSE, sizeof(uint16_t));
    host_mem_policy_parse(host_memory_policies[b->policy], &m->policy);
    g_ptr_array_add(opaque, m);
}

GPtrArray *qmp_query_memdev(Error **errp)
{
    GPtrArray *list = memdev_list_new();

    host_memory_backend_foreach(add_memdev, list);
    return list;
}

GPtrArray *qmp_query_iothreads(Error **errp)
{
    return io_thread_info_list_new();
}
