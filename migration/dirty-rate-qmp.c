/*
 * Monitor commands about the dirty rate: measuring it, limiting it.
 *
 * Belongs to the main thread, machine lock held.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <inttypes.h>

#include "config.h"
#include "dirty-rate.h"
#include "migration/migration.h"
#include "monitor/hmp.h"
#include "qapi/qapi-commands.h"
#include "system/dirty-limit.h"
#include "util/util.h"

#define SECOND_MS 1000

/* ---- measuring ---- */

bool qmp_calc_dirty_rate(const CalcDirtyRateArgs *args, Error **errp)
{
    DirtyRateMeasureMode mode = args->has_mode ? args->mode : DIRTY_RATE_MEASURE_MODE_PAGE_SAMPLING;
    int64_t unit = args->has_calc_time_unit && args->calc_time_unit == TIME_UNIT_MILLISECOND
                       ? 1 : SECOND_MS;

    if (args->has_sample_pages && mode != DIRTY_RATE_MEASURE_MODE_PAGE_SAMPLING) {
        error_setg(errp, "sample-pages is for mode page-sampling only");
        return false;
    }
    if (args->calc_time < 1 || args->calc_time > DIRTY_RATE_MS_MAX / unit) {
        error_setg(errp, "calc-time must be from 1 to %" PRId64 " %s, not %" PRId64,
                   DIRTY_RATE_MS_MAX / unit, unit == 1 ? "ms" : "s", args->calc_time);
        return false;
    }
    return dirty_rate_start(mode, args->calc_time * unit,
                            args->has_sample_pages ? args->sample_pages : DIRTY_RATE_SAMPLES, errp);
}

static void add_vcpus(DirtyRateInfo *info, const GArray *vcpus)
{
    info->vcpu_dirty_rate = dirty_rate_vcpu_list_new();
    for (guint i = 0; i < vcpus->len; i++) {
        DirtyRateVcpu *v = g_new0(DirtyRateVcpu, 1);

        v->id = i;
        v->dirty_rate = g_array_index(vcpus, int64_t, i);
        g_ptr_array_add(info->vcpu_dirty_rate, v);
    }
}

DirtyRateInfo *qmp_query_dirty_rate(const QueryDirtyRateArgs *args, Error **errp)
{
    const DirtyRate *d = dirty_rate_last();
    DirtyRateInfo *info = g_new0(DirtyRateInfo, 1);

    info->status = d->status;
    info->mode = d->mode;
    info->start_time = d->start_s;
    info->sample_pages = d->sample_pages;
    info->calc_time_unit = args->has_calc_time_unit ? args->calc_time_unit : TIME_UNIT_SECOND;
    info->calc_time = info->calc_time_unit == TIME_UNIT_SECOND ? d->ms / SECOND_MS : d->ms;
    if (d->status == DIRTY_RATE_STATUS_MEASURED) {
        info->has_dirty_rate = true;
        info->dirty_rate = d->rate;
        if (d->vcpus) {
            add_vcpus(info, d->vcpus);
        }
    }
    return info;
}

static void hmp_calc_dirty_rate(HmpSession *s, JsonObject *args)
{
    bool ring = hmp_arg_bool(args, "dirty_ring"), bitmap = hmp_arg_bool(args, "dirty_bitmap");
    CalcDirtyRateArgs qargs = {
        .calc_time = hmp_arg_int(args, "second", 0),
        .has_mode = true,
        .mode = ring ? DIRTY_RATE_MEASURE_MODE_DIRTY_RING
                     : bitmap ? DIRTY_RATE_MEASURE_MODE_DIRTY_BITMAP
                              : DIRTY_RATE_MEASURE_MODE_PAGE_SAMPLING,
        .has_sample_pages = json_object_has_member(args, "sample_pages_per_GB"),
        .sample_pages = hmp_arg_int(args, "sample_pages_per_GB", 0),
    };
    Error *err = NULL;

    if (ring && bitmap) {
        error_setg(&err, "only one of -r (dirty ring) and -b (dirty bitmap) can be given");
    } else {
        qmp_calc_dirty_rate(&qargs, &err);
    }
    if (!hmp_error(s, err)) {
        hmp_printf(s, "Measuring the dirty rate for %" PRId64 " seconds\n"
                   "['info dirty_rate' has the result]\n", qargs.calc_time);
    }
}

static void hmp_info_dirty_rate(HmpSession *s, JsonObject *args)
{
    QueryDirtyRateArgs qargs = { 0 };
    g_autoptr(DirtyRateInfo) info = qmp_query_dirty_rate(&qargs, NULL);

    hmp_printf(s, "Status: %s\n", dirty_rate_status_str(info->status));
    hmp_printf(s, "Start Time: %" PRId64 " (s)\n", info->start_time);
    if (info->mode == DIRTY_RATE_MEASURE_MODE_PAGE_SAMPLING) {
        hmp_printf(s, "Sample Pages: %" PRIu64 " (per GB)\n", info->sample_pages);
    }
    hmp_printf(s, "Period: %" PRId64 " (sec)\n", info->calc_time);
    hmp_printf(s, "Mode: %s\n", dirty_rate_measure_mode_str(info->mode));
    if (!info->has_dirty_rate) {
        hmp_puts(s, "Dirty rate: (not ready)\n");
        return;
    }
    hmp_printf(s, "Dirty rate: %" PRId64 " (MB/s)\n", info->dirty_rate);
    for (guint i = 0; info->vcpu_dirty_rate && i < info->vcpu_dirty_rate->len; i++) {
        const DirtyRateVcpu *v = info->vcpu_dirty_rate->pdata[i];

        hmp_printf(s, "vcpu[%" PRId64 "], Dirty rate: %" PRId64 " (MB/s)\n", v->id, v->dirty_rate);
    }
}

/* ---- limiting ---- */

static bool limit_allowed(bool has_index, int64_t index, Error **errp)
{
    if (!dirty_limit_supported(errp)) {
        return false;
    }
    if (has_index && (index < 0 || !cpu_by_index(index))) {
        error_setg(errp, "there is no vCPU %" PRId64, index);
        return false;
    }
    if (migration_in_progress() && mig_settings_cap(MIG_CAP_DIRTY_LIMIT)) {
        error_setg(errp, "a migration with the capability dirty-limit sets the limits now");
        return false;
    }
    return true;
}

bool qmp_set_vcpu_dirty_limit(const SetVcpuDirtyLimitArgs *args, Error **errp)
{
    if (!limit_allowed(args->has_cpu_index, args->cpu_index, errp)) {
        return false;
    }
    return dirty_limit_set(args->has_cpu_index ? args->cpu_index : -1, args->dirty_rate, errp);
}

bool qmp_cancel_vcpu_dirty_limit(const CancelVcpuDirtyLimitArgs *args, Error **errp)
{
    if (!limit_allowed(args->has_cpu_index, args->cpu_index, errp)) {
        return false;
    }
    return dirty_limit_set(args->has_cpu_index ? args->cpu_index : -1, 0, errp);
}

GPtrArray *qmp_query_vcpu_dirty_limit(Error **errp)
{
    GPtrArray *list = dirty_limit_info_list_new();

    CPU_FOREACH(cpu) {
        uint64_t limit, rate;

        if (dirty_limit_get(cpu->index, &limit, &rate)) {
            DirtyLimitInfo *info = g_new0(DirtyLimitInfo, 1);

            info->cpu_index = cpu->index;
            info->limit_rate = limit;
            info->current_rate = rate;
            g_ptr_array_add(list, info);
        }
    }
    return list;
}

static void hmp_set_vcpu_dirty_limit(HmpSession *s, JsonObject *args)
{
    SetVcpuDirtyLimitArgs qargs = {
        .dirty_rate = hmp_arg_int(args, "dirty_rate", 0),
        .has_cpu_index = json_object_has_member(args, "cpu_index"),
        .cpu_index = hmp_arg_int(args, "cpu_index", 0),
    };
    Error *err = NULL;

    if (hmp_arg_int(args, "dirty_rate", 0) < 0) {
        error_setg(&err, "the limit must not be negative");
    } else {
        qmp_set_vcpu_dirty_limit(&qargs, &err);
    }
    if (!hmp_error(s, err)) {
        hmp_puts(s, "['info vcpu_dirty_limit' shows the limits]\n");
    }
}

static void hmp_cancel_vcpu_dirty_limit(HmpSession *s, JsonObject *args)
{
    CancelVcpuDirtyLimitArgs qargs = {
        .has_cpu_index = json_object_has_member(args, "cpu_index"),
        .cpu_index = hmp_arg_int(args, "cpu_index", 0),
    };
    Error *err = NULL;

    qmp_cancel_vcpu_dirty_limit(&qargs, &err);
    hmp_error(s, err);
}

static void hmp_info_vcpu_dirty_limit(HmpSession *s, JsonObject *args)
{
    g_autoptr(GPtrArray) list = qmp_query_vcpu_dirty_limit(NULL);

    if (!list->len) {
        hmp_puts(s, "No vCPU has a dirty limit\n");
    }
    for (guint i = 0; i < list->len; i++) {
        const DirtyLimitInfo *info = list->pdata[i];

        hmp_printf(s, "vcpu[%" PRId64 "], limit rate %" PRIu64 " (MB/s), current rate %" PRIu64
                   " (MB/s)\n", info->cpu_index, info->limit_rate, info->current_rate);
    }
}

static const HmpCommand commands[] = {
    { "calc_dirty_rate", "dirty_ring:-r,dirty_bitmap:-b,second:l,sample_pages_per_GB:l?",
      "[-r] [-b] second [sample_pages_per_GB]",
      "measure how fast the guest dirties memory (-r: dirty ring, -b: dirty bitmap)",
      hmp_calc_dirty_rate },
    { "set_vcpu_dirty_limit", "dirty_rate:l,cpu_index:l?", "dirty_rate [cpu_index]",
      "hold up vCPUs that dirty more MiB a second", hmp_set_vcpu_dirty_limit },
    { "cancel_vcpu_dirty_limit", "cpu_index:l?", "[cpu_index]", "end the limit",
      hmp_cancel_vcpu_dirty_limit },
    { NULL }
};
HMP_COMMANDS(commands)

static const HmpCommand infos[] = {
    { "dirty_rate", "", "", "show the last measurement of the dirty rate", hmp_info_dirty_rate },
    { "vcpu_dirty_limit", "", "", "show the vCPUs that have a dirty limit",
      hmp_info_vcpu_dirty_limit },
    { NULL }
};
HMP_INFO(infos)
