/*
 * QMP commands that start and steer migrations, and query-migrate.
 *
 * Belongs to the main thread, machine lock held, but for migrate-pause and migrate-recover.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "carry/carry.h"
#include "config.h"
#include "journey.h"
#include "lifecycle.h"
#include "postcopy-ram/postcopy.h"
#include "qapi/qapi-commands.h"
#include "ram.h"
#include "savevm.h"
#include "stream-internal.h"
#include "system/cpu-throttle.h"
#include "system/dirty-limit.h"
#include "util/util.h"
#include "verify.h"

/* ---- commands ---- */

bool qmp_migrate(const MigrateArgs *args, Error **errp)
{
    g_autoptr(MigrateAddress) cpr = NULL;
    g_autoptr(MigrateAddress) addr = migrate_channels_from_args(args->uri, args->channels, &cpr,
                                                                errp);

    return addr && migration_start(addr, cpr, args->has_resume && args->resume, errp);
}

bool qmp_migrate_incoming(const MigrateIncomingArgs *args, Error **errp)
{
    g_autoptr(MigrateAddress) addr = NULL;

    if (!migration_incoming_deferred()) {
        error_setg(errp, migration_destination_current()
                             ? "The incoming migration has already been started"
                             : "'-incoming' was not specified on the command line");
        return false;
    }
    addr = migrate_address_from_args(args->uri, args->channels, errp);
    return addr && migration_incoming_start(addr, !args->has_exit_on_error || args->exit_on_error,
                                            errp);
}

bool qmp_migrate_cancel(Error **errp)
{
    return migration_cancel(errp);
}

bool qmp_migrate_continue(const MigrateContinueArgs *args, Error **errp)
{
    Migration *m = migration_source_current();
    MigState now = migration_source_state();

    if ((int)now != (int)args->state) {
        error_setg(errp, "Migration not in expected state: %s", mig_state_name(now));
        return false;
    }
    if (!m || now != MIG_STATE_PRE_SWITCHOVER ||
        !state_advance(m->state, MIG_STATE_PRE_SWITCHOVER, MIG_STATE_DEVICE)) {
        error_setg(errp, "a migration in state '%s' does not wait; only 'pre-switchover' does",
                   mig_state_name(now));
        return false;
    }
    return true;
}

/* These two may come without the machine lock (exec-oob). */
bool qmp_migrate_pause(Error **errp)
{
    return migration_pause(errp);
}

static bool recover_paused(Migration *m, void *opaque, Error **errp)
{
    return postcopy_dest_recover(m, opaque, errp);
}

bool qmp_migrate_recover(const MigrateRecoverArgs *args, Error **errp)
{
    g_autoptr(MigrateAddress) addr = migrate_address_parse(args->uri, errp);

    if (addr && addr->transport == MIG_TRANSPORT_FILE) {
        return carry_feed(addr, errp);
    }
    return addr && migration_call_paused(false, recover_paused, addr, errp);
}

GPtrArray *qmp_x_query_migrate_journey(Error **errp)
{
    Migration *m = migration_source_current();
    g_autoptr(GPtrArray) list = migration_journey_list_new();

    if (!m || !m->journeys) {
        error_setg(errp, m ? "the outgoing migration has not ended yet"
                           : "no outgoing migration was started");
        return NULL;
    }
    for (unsigned i = 0; i < m->journeys->len; i++) {
        const PageJourney *from = m->journeys->pdata[i];
        MigrationJourney *j = g_new0(MigrationJourney, 1);

        j->name = g_strdup(from->name);
        j->page_size = TARGET_PAGE_SIZE;
        j->pages = g_base64_encode(from->ways, from->pages);
        g_ptr_array_add(list, j);
    }
    return g_steal_pointer(&list);
}

bool qmp_migrate_start_postcopy(Error **errp)
{
    Migration *m = migration_source_current();

    if (!mig_settings_cap(MIG_CAP_POSTCOPY_RAM)) {
        error_setg(errp, "Enable postcopy with migrate_set_capability before the start of "
                   "migration");
        return false;
    }
    if (!m || migration_source_state() == MIG_STATE_NONE) {
        error_setg(errp, "Postcopy must be started after migration has been started");
        return false;
    }
    stat_set(m->start_postcopy, 1);
    src_wake(m);
    return true;
}

/* ---- query-migrate ---- */

static MigrationRAMStats *ram_stats(Migration *m, MigState state)
{
    MigrationRAMStats *r = g_new0(MigrationRAMStats, 1);
    MigStats *st = &m->stats;
    bool over = state == MIG_STATE_COMPLETED;

    r->total = stat_get(st->total_bytes);
    r->remaining = over || !m->ram ? 0 : ram_dirty_bytes(m->ram);
    r->precopy_bytes = stat_get(st->precopy_bytes);
    r->downtime_bytes = stat_get(st->downtime_bytes);
    r->postcopy_bytes = stat_get(st->postcopy_bytes);
    r->transferred = r->precopy_bytes + r->downtime_bytes + r->postcopy_bytes;
    r->duplicate = stat_get(st->zero_pages);
    r->normal = stat_get(st->normal_pages);
    r->normal_bytes = r->normal * TARGET_PAGE_SIZE;
    r->dirty_pages_rate = over ? 0 : stat_get(st->dirty_pages_rate);
    r->mbps = stat_get(st->mbps_x1000) / 1000.0;
    r->dirty_sync_count = stat_get(st->dirty_sync_count);
    r->multifd_bytes = stat_get(st->multifd_bytes);
    r->postcopy_requests = stat_get(st->postcopy_requests);
    r->page_size = TARGET_PAGE_SIZE;
    r->pages_per_second = stat_get(st->pages_per_second);
    return r;
}

static void limit_info(MigrationInfo *info, Migration *m)
{
    uint64_t limit, rate;

    if (m->config->cap[MIG_CAP_DIRTY_LIMIT] && dirty_limit_get(0, &limit, &rate)) {
        info->has_dirty_limit_throttle_time_per_round = true;
        info->has_dirty_limit_ring_full_time = true;
        dirty_limit_stats(&info->dirty_limit_throttle_time_per_round,
                          &info->dirty_limit_ring_full_time);
    }
}

static XBZRLECacheStats *xbzrle_stats(Migration *m)
{
    XBZRLECacheStats *x = g_new0(XBZRLECacheStats, 1);
    MigStats *st = &m->stats;
    uint64_t packed = stat_get(st->xbzrle_pages) + stat_get(st->xbzrle_overflow);

    x->cache_size = stat_get(st->xbzrle_cache_size);
    x->bytes = stat_get(st->xbzrle_bytes);
    x->pages = stat_get(st->xbzrle_pages);
    x->cache_miss = stat_get(st->xbzrle_cache_miss);
    x->overflow = stat_get(st->xbzrle_overflow);
    x->cache_miss_rate = x->cache_miss ? (double)x->cache_miss / (x->cache_miss + packed) : 0;
    x->encoding_rate = x->bytes ? (double)x->pages * TARGET_PAGE_SIZE / x->bytes : 0;
    return x;
}

static void source_info(MigrationInfo *info, Migration *m, MigState state)
{
    MigStats *st = &m->stats;
    int64_t end = stat_get(st->end_ms);

    info->has_status = true;
    info->status = (MigrationStatus)state;
    info->x_verify = verify_query(m);
    if (!mig_state_has_ram_info(state)) {
        return;
    }
    info->ram = ram_stats(m, state);
    if (!info->x_carry) {
        info->x_carry = carry_report_get(m);
    }
    if (m->config->cap[MIG_CAP_XBZRLE]) {
        info->xbzrle_cache = xbzrle_stats(m);
    }
    info->has_total_time = info->has_setup_time = true;
    info->cpu_throttle_percentage = cpu_throttle_percent();
    info->has_cpu_throttle_percentage = info->cpu_throttle_percentage > 0;
    limit_info(info, m);
    info->total_time = (end ? end : host_clock_ms()) - stat_get(st->start_ms);
    info->setup_time = MAX(stat_get(st->setup_end_ms) - stat_get(st->start_ms), 0);
    if (state != MIG_STATE_COMPLETED) {
        info->has_remaining = true;
        info->remaining = info->ram->remaining;
    }
    if (state == MIG_STATE_COMPLETED || mig_state_is_postcopy(state)) {
        info->has_downtime = true;
        info->downtime = MAX(stat_get(st->downtime_ms), 0);
    } else {
        info->has_expected_downtime = true;
        info->expected_downtime = stat_get(st->dirty_sync_count) > 1
                                      ? stat_get(st->expected_downtime_ms)
                                      : mig_live(MIG_PARAM_DOWNTIME_LIMIT);
    }
}

/* What postcopy knows of waiting, as members of MigrationInfo. */
static MigrationInfo *destination_report(Migration *m, Error **errp)
{
    g_autoptr(JsonBuilder) b = json_builder_new();
    g_autoptr(JsonNode) node = NULL;

    json_builder_begin_object(b);
    postcopy_dest_query(m, b);
    json_builder_end_object(b);
    node = json_builder_get_root(b);
    return migration_info_from_json(node, errp);
}

static bool destination_info(MigrationInfo **info, Migration *m, MigState state, Error **errp)
{
    if (state == MIG_STATE_COMPLETED && m->config->cap[MIG_CAP_POSTCOPY_BLOCKTIME]) {
        migration_info_free(*info);
        *info = destination_report(m, errp);
        if (!*info) {
            return false;
        }
    }
    if (state != MIG_STATE_NONE) {
        (*info)->has_status = true;
        (*info)->status = (MigrationStatus)state;
    }
    (*info)->x_carry = carry_report_get(m);
    (*info)->x_receipt = carry_receipt_of(m, state == MIG_STATE_COMPLETED);
    (*info)->x_verify = verify_query(m);
    if (m->listener && mig_listener_refusal(m->listener)) {
        (*info)->error_desc = g_strdup(mig_listener_refusal(m->listener));
    }
    SocketAddress *listening = m->listener ? mig_listener_address(m->listener)
                                           : postcopy_dest_listening(m);
    if (listening) {
        (*info)->socket_address = socket_address_list_new();
        g_ptr_array_add((*info)->socket_address, listening);
    }
    return true;
}

static void blocked_info(MigrationInfo *info)
{
    const GPtrArray *blockers = migration_blockers();
    g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(Error) err = NULL;

    if (!save_registry_migratable(save_registry(), &err)) {
        g_ptr_array_add(list, g_strdup(error_get_pretty(err)));
    }
    for (guint i = 0; i < blockers->len; i++) {
        g_ptr_array_add(list, g_strdup(error_get_pretty((Error *)blockers->pdata[i])));
    }
    if (list->len) {
        info->blocked_reasons = g_steal_pointer(&list);
    }
}

static void error_info(MigrationInfo *info, Migration *m)
{
    g_autoptr(Error) err = m ? migration_get_error(m) : NULL;

    if (err) {
        g_free(info->error_desc);
        info->error_desc = g_strdup(error_get_pretty(err));
    }
}

MigrationInfo *qmp_query_migrate(Error **errp)
{
    Migration *src = migration_source_current(), *dst = migration_destination_current();
    g_autoptr(MigrationInfo) info = g_new0(MigrationInfo, 1);

    if (dst && !destination_info(&info, dst, migration_destination_state(), errp)) {
        return NULL;
    }
    error_info(info, dst);
    if (src && migration_source_state() != MIG_STATE_NONE) {
        source_info(info, src, migration_source_state());
        error_info(info, src);
    }
    blocked_info(info);
    return g_steal_pointer(&info);
}
