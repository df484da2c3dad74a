/*
 * HMP commands that start and steer migrations, and `info migrate`.
 *
 * Belongs to the main thread, machine lock held.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "monitor/hmp.h"

#include <inttypes.h>

#include "config.h"
#include "lifecycle.h"
#include "migration/migration.h"
#include "qapi/qapi-commands.h"
#include "util/util.h"

#define PROGRESS_MS 200

/* ---- migrate, and its view of progress on a terminal ---- */

typedef struct Progress {
    HmpSession *s;
    Migration *m;
} Progress;

static void show_progress(HmpSession *s, const MigrationInfo *info)
{
    g_autofree char *left = NULL, *total = NULL;

    if (!info->ram) {
        return;
    }
    left = size_to_str(info->ram->remaining);
    total = size_to_str(info->ram->total);
    hmp_printf(s, "\r%s: %s of %s left, %.0f Mbit/s, pass %" PRId64 "\033[K",
               mig_state_name((MigState)info->status), left, total, info->ram->mbps,
               info->ram->dirty_sync_count);
    hmp_flush(s);
}

static gboolean progress_tick(gpointer opaque)
{
    Progress *p = opaque;
    MigState state = migration_source_state();

    if (migration_source_current() == p->m && mig_state_is_running(state) &&
        state != MIG_STATE_POSTCOPY_PAUSED) {
        g_autoptr(MigrationInfo) info = qmp_query_migrate(NULL);

        if (info) {
            show_progress(p->s, info);
        }
        return G_SOURCE_CONTINUE;
    }
    g_autoptr(Error) err = migration_source_current() == p->m ? migration_get_error(p->m) : NULL;
    hmp_printf(p->s, "\r\033[Kmigration %s%s%s\n", mig_state_name(state), err ? ": " : "",
               err ? error_get_pretty(err) : "");
    hmp_resume(p->s);
    return G_SOURCE_REMOVE;
}

static void hmp_migrate(HmpSession *s, JsonObject *args)
{
    MigrateArgs qargs = {
        .uri = (char *)hmp_arg_str(args, "uri"),
        .has_resume = true, .resume = hmp_arg_bool(args, "resume"),
    };
    Error *err = NULL;

    qmp_migrate(&qargs, &err);
    if (hmp_error(s, err) || hmp_arg_bool(args, "detach")) {
        return;
    }
    if (!hmp_suspend(s)) {
        hmp_printf(s, "terminal does not allow synchronous migration, continuing detached\n");
        return;
    }
    Progress *p = g_new(Progress, 1);
    *p = (Progress){ s, migration_source_current() };
    g_timeout_add_full(G_PRIORITY_DEFAULT, PROGRESS_MS, progress_tick, p, g_free);
}

static void hmp_migrate_incoming(HmpSession *s, JsonObject *args)
{
    MigrateIncomingArgs qargs = {
        .uri = (char *)hmp_arg_str(args, "uri"), .has_exit_on_error = true,
    };
    Error *err = NULL;

    qmp_migrate_incoming(&qargs, &err);
    hmp_error(s, err);
}

static void hmp_migrate_cancel(HmpSession *s, JsonObject *args)
{
    Error *err = NULL;

    qmp_migrate_cancel(&err);
    hmp_error(s, err);
}

static void hmp_announce_self(HmpSession *s, JsonObject *args)
{
    const MigConfig *c = mig_settings_get(mig_settings());
    AnnounceParameters params = {
        .initial = c->announce_initial, .max = c->announce_max, .rounds = c->announce_rounds,
        .step = c->announce_step,
    };
    g_auto(GStrv) names = g_strsplit(hmp_arg_str(args, "interfaces") ?: "", ",", -1);
    Error *err = NULL;

    params.id = (char *)hmp_arg_str(args, "id");
    if (names[0]) {
        params.interfaces = g_ptr_array_new();
        for (char **n = names; *n; n++) {
            g_ptr_array_add(params.interfaces, *n);
        }
    }
    qmp_announce_self(&params, &err);
    if (params.interfaces) {
        g_ptr_array_unref(params.interfaces);
    }
    hmp_error(s, err);
}

static void hmp_migrate_continue(HmpSession *s, JsonObject *args)
{
    const char *name = hmp_arg_str(args, "state");
    MigState state;
    Error *err = NULL;

    if (!mig_state_from_name(name, &state)) {
        error_setg(&err, "'%s' is not a migration state", name);
    } else {
        MigrateContinueArgs qargs = { .state = (MigrationStatus)state };

        qmp_migrate_continue(&qargs, &err);
    }
    hmp_error(s, err);
}

static void hmp_migrate_start_postcopy(HmpSession *s, JsonObject *args)
{
    Error *err = NULL;

    qmp_migrate_start_postcopy(&err);
    hmp_error(s, err);
}

static void hmp_migrate_pause(HmpSession *s, JsonObject *args)
{
    Error *err = NULL;

    qmp_migrate_pause(&err);
    hmp_error(s, err);
}

static void hmp_migrate_recover(HmpSession *s, JsonObject *args)
{
    MigrateRecoverArgs qargs = { .uri = (char *)hmp_arg_str(args, "uri") };
    Error *err = NULL;

    qmp_migrate_recover(&qargs, &err);
    hmp_error(s, err);
}

static void hmp_save_received(HmpSession *s, JsonObject *args)
{
    XMigrateSaveReceivedArgs qargs = { .uri = (char *)hmp_arg_str(args, "uri") };
    Error *err = NULL;

    qmp_x_migrate_save_received(&qargs, &err);
    hmp_error(s, err);
}

static void hmp_load_received(HmpSession *s, JsonObject *args)
{
    XMigrateLoadReceivedArgs qargs = { .uri = (char *)hmp_arg_str(args, "uri") };
    Error *err = NULL;

    qmp_x_migrate_load_received(&qargs, &err);
    hmp_error(s, err);
}

static void hmp_release(HmpSession *s, JsonObject *args)
{
    XMigrateReleaseArgs qargs = { .receipt = (char *)hmp_arg_str(args, "receipt") };
    Error *err = NULL;

    qmp_x_migrate_release(&qargs, &err);
    hmp_error(s, err);
}

static void complete_state(GPtrArray *list, int nr, const char *prefix)
{
    if (nr == 0) {
        hmp_complete_add(list, mig_state_name(MIG_STATE_PRE_SWITCHOVER));
    }
}

/* ---- info migrate ---- */

static void show_blocked(HmpSession *s, const MigrationInfo *info)
{
    if (!info->blocked_reasons) {
        return;
    }
    hmp_printf(s, "Outgoing migration blocked:\n");
    for (guint i = 0; i < info->blocked_reasons->len; i++) {
        hmp_printf(s, "  %s\n", (const char *)info->blocked_reasons->pdata[i]);
    }
}

static void show_status(HmpSession *s, const MigrationInfo *info)
{
    bool with_error = info->error_desc && (info->status == MIGRATION_STATUS_FAILED ||
                                           info->status == MIGRATION_STATUS_POSTCOPY_PAUSED);

    hmp_printf(s, "Status: \t\t%s", migration_status_str(info->status));
    if (with_error) {
        hmp_printf(s, " (%s)", info->error_desc);
    }
    hmp_puts(s, "\n");
    if (info->has_total_time) {
        hmp_printf(s, "Time (ms): \t\ttotal=%" PRId64, info->total_time);
        if (info->has_setup_time) {
            hmp_printf(s, ", setup=%" PRId64, info->setup_time);
        }
        if (info->has_expected_downtime) {
            hmp_printf(s, ", exp_down=%" PRId64, info->expected_downtime);
        }
        if (info->has_downtime) {
            hmp_printf(s, ", down=%" PRId64, info->downtime);
        }
        hmp_puts(s, "\n");
    }
}

static void show_carry(HmpSession *s, const MigrationInfo *info)
{
    const MigrationCarry *c = info->x_carry;

    if (c) {
        hmp_printf(s, "Carried by file: \t%s: %s, %" PRIu64 " of %" PRIu64 " pages\n",
                   migration_carry_status_str(c->status), c->filename, c->pages, c->total_pages);
    }
    if (info->x_receipt) {
        hmp_printf(s, "Receipt: \t\t%s\n", info->x_receipt);
    }
}

static void show_size(HmpSession *s, const char *label, uint64_t bytes)
{
    g_autofree char *text = size_to_str(bytes);

    hmp_printf(s, "%s%s", label, text);
}

static void show_sockets(HmpSession *s, const MigrationInfo *info)
{
    if (!info->socket_address) {
        return;
    }
    hmp_puts(s, "Sockets: [\n");
    for (guint i = 0; i < info->socket_address->len; i++) {
        g_autoptr(SocketAddr) a = socket_addr_from_qapi(info->socket_address->pdata[i], NULL);
        g_autofree char *text = a ? socket_addr_to_str(a) : NULL;

        hmp_printf(s, "\t%s\n", text ? text : "?");
    }
    hmp_puts(s, "]\n");
}

static void show_ram(HmpSession *s, const MigrationRAMStats *r)
{
    hmp_printf(s, "RAM info:\n  Throughput (Mbps): \t%0.2f\n", r->mbps);
    show_size(s, "  Sizes: \t\tpagesize=", r->page_size);
    show_size(s, ", total=", r->total);
    show_size(s, "\n  Transfers: \t\ttransferred=", r->transferred);
    show_size(s, ", remain=", r->remaining);
    show_size(s, "\n    Channels: \t\tprecopy=", r->precopy_bytes);
    show_size(s, ", multifd=", r->multifd_bytes);
    show_size(s, ", postcopy=", r->postcopy_bytes);
    hmp_printf(s, "\n    Page Types: \tnormal=%" PRId64 ", zero=%" PRId64, r->normal,
               r->duplicate);
    hmp_printf(s, "\n  Page Rates (pps): \ttransfer=%" PRIu64, r->pages_per_second);
    if (r->dirty_pages_rate) {
        hmp_printf(s, ", dirty=%" PRId64, r->dirty_pages_rate);
    }
    hmp_printf(s, "\n  Others: \t\tdirty_syncs=%" PRId64, r->dirty_sync_count);
    if (r->postcopy_requests) {
        hmp_printf(s, ", postcopy_req=%" PRId64, r->postcopy_requests);
    }
    if (r->downtime_bytes) {
        hmp_printf(s, ", downtime_bytes=%" PRIu64, r->downtime_bytes);
    }
    hmp_puts(s, "\n");
}

static void show_globals(HmpSession *s)
{
    const MigConfig *c = mig_settings_get(mig_settings());

    hmp_puts(s, "Globals:\n");
    hmp_printf(s, "  store-global-state: %s\n", c->store_global_state ? "on" : "off");
    hmp_printf(s, "  only-migratable: %s\n", only_migratable ? "on" : "off");
    hmp_printf(s, "  send-configuration: %s\n", c->send_configuration ? "on" : "off");
    hmp_printf(s, "  send-section-footer: %s\n", c->send_section_footer ? "on" : "off");
    hmp_printf(s, "  send-switchover-start: %s\n", c->send_switchover_start ? "on" : "off");
    hmp_printf(s, "  clear-bitmap-shift: %u\n", (unsigned)c->clear_bitmap_shift);
}

static void show_numbers(HmpSession *s, const char *label, const GArray *list, bool wide)
{
    hmp_puts(s, label);
    for (guint i = 0; i < list->len; i++) {
        hmp_printf(s, "%s%" PRIu64, i ? ", " : "",
                   wide ? g_array_index(list, uint64_t, i)
                        : (uint64_t)g_array_index(list, uint32_t, i));
    }
    hmp_puts(s, "\n");
}

static void show_blocktime(HmpSession *s, const MigrationInfo *info)
{
    if (info->has_postcopy_blocktime) {
        hmp_printf(s, "Postcopy Blocktime (ms): %u\n", info->postcopy_blocktime);
    }
    if (info->postcopy_vcpu_blocktime) {
        show_numbers(s, "Postcopy vCPU Blocktime (ms): ", info->postcopy_vcpu_blocktime, false);
    }
    if (info->has_postcopy_latency) {
        hmp_printf(s, "Postcopy Latency (ns): %" PRIu64 "\n", info->postcopy_latency);
    }
    if (info->has_postcopy_non_vcpu_latency) {
        hmp_printf(s, "Postcopy non-vCPU Latencies (ns): %" PRIu64 "\n",
                   info->postcopy_non_vcpu_latency);
    }
    if (info->postcopy_vcpu_latency) {
        show_numbers(s, "Postcopy vCPU Latencies (ns): ", info->postcopy_vcpu_latency, true);
    }
    if (info->postcopy_latency_dist) {
        show_numbers(s, "Postcopy Latency Distribution (1 us, 2 us, 4 us, ...): ",
                     info->postcopy_latency_dist, true);
    }
}

static void hmp_info_migrate(HmpSession *s, JsonObject *args)
{
    Error *err = NULL;
    g_autoptr(MigrationInfo) info = qmp_query_migrate(&err);

    if (hmp_error(s, err)) {
        return;
    }
    show_blocked(s, info);
    if (info->has_status) {
        show_status(s, info);
        show_carry(s, info);
    }
    if (info->has_remaining) {
        show_size(s, "Remaining: \t\t", info->remaining);
        hmp_puts(s, "\n");
    }
    show_sockets(s, info);
    if (info->ram) {
        show_ram(s, info->ram);
    }
    if (info->x_verify) {
        hmp_printf(s, "Verify: \t\t%s (%" PRIu64 " of %" PRIu64 " pages differ)\n",
                   MigrationVerifyStatus_names[info->x_verify->status], info->x_verify->bad_pages,
                   info->x_verify->pages);
    }
    if (hmp_arg_bool(args, "all")) {
        show_globals(s);
        if (info->has_cpu_throttle_percentage) {
            hmp_printf(s, "CPU Throttle (%%): %" PRId64 "\n", info->cpu_throttle_percentage);
        }
        if (info->has_dirty_limit_throttle_time_per_round) {
            hmp_printf(s, "Dirty-limit Throttle (us): %" PRIu64 "\n",
                       info->dirty_limit_throttle_time_per_round);
            hmp_printf(s, "Dirty-limit Ring Full (us): %" PRIu64 "\n",
                       info->dirty_limit_ring_full_time);
        }
        show_blocktime(s, info);
    }
}

static const HmpCommand commands[] = {
    { "migrate", "detach:-d,resume:-r,uri:s", "[-d] [-r] uri",
      "migrate to uri (-d: do not wait; -r: continue a paused postcopy migration)", hmp_migrate },
    { "migrate_incoming", "uri:s", "uri", "come from uri, after -incoming defer",
      hmp_migrate_incoming },
    { "migrate_cancel", "", "", "cancel the running migration", hmp_migrate_cancel },
    { "migrate_continue", "state:s", "state", "go on from the state in which migration waits",
      hmp_migrate_continue, complete_state },
    { "migrate_start_postcopy", "", "", "switch the running migration to postcopy",
      hmp_migrate_start_postcopy },
    { "migrate_pause", "", "", "break the connection of a running postcopy migration",
      hmp_migrate_pause },
    { "announce_self", "interfaces:s?,id:s?", "[interfaces] [id]",
      "announce the guest's network cards", hmp_announce_self },
    { "migrate_recover", "uri:s", "uri",
      "listen at uri for the source of a paused postcopy migration to connect again, or take the "
      "rest from file:NAME", hmp_migrate_recover },
    { "x_migrate_save_received", "uri:s", "uri",
      "write down which pages of a paused postcopy migration have come", hmp_save_received },
    { "x_migrate_load_received", "uri:s", "uri",
      "the destination of a paused postcopy migration has these pages", hmp_load_received },
    { "x_migrate_release", "receipt:s", "receipt",
      "the destination of a paused postcopy migration has everything", hmp_release },
    { NULL }
};
HMP_COMMANDS(commands)

static const HmpCommand infos[] = {
    { "migrate", "all:-a", "[-a]", "show how the migration is doing (-a: everything)",
      hmp_info_migrate },
    { NULL }
};
HMP_INFO(infos)
