/*
 * QMP commands of the recovery by files, beside migrate and migrate-recover.
 *
 * Those of the destination belong to any thread: its main loop may be asleep over a page that only
 * the file brings.  They look at the migration under its lock, but do IO without it.  Those of the
 * source belong to the main thread, machine lock held.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <inttypes.h>

#include "migration/carry/carry.h"
#include "migration/lifecycle.h"
#include "migration/postcopy-ram/postcopy.h"
#include "migration/state.h"
#include "qapi/qapi-commands.h"

static bool get_guest(Migration *m, void *opaque, Error **errp)
{
    CarryGuest **ret_guest = opaque;

    *ret_guest = carry_guest_of(m, errp);
    return *ret_guest != NULL;
}

/* ---- destination ---- */

static bool feed(Migration *m, void *opaque, Error **errp)
{
    CarryFile **file = opaque;

    postcopy_dest_feed(m, g_steal_pointer(file));
    return true;
}

bool carry_feed(const MigrateAddress *a, Error **errp)
{
    g_autoptr(CarryFile) file = NULL;
    CarryGuest *g;

    if (!migration_call_paused(false, get_guest, &g, errp)) {
        return false;
    }
    file = carry_file_open(a, CARRY_REST, g, errp);
    return file && migration_call_paused(false, feed, &file, errp);
}

typedef struct Received {
    CarryGuest *guest;
    GByteArray *tables;
    uint64_t pages;
} Received;

static bool get_received(Migration *m, void *opaque, Error **errp)
{
    Received *r = opaque;

    r->guest = carry_guest_of(m, errp);
    if (!r->guest) {
        return false;
    }
    r->tables = carry_received_tables(m, r->guest, &r->pages);
    return true;
}

static bool write_received(const MigrateAddress *a, const Received *r, Error **errp)
{
    g_autoptr(CarryOut) out = carry_out_open(a, errp);
    CarryHead h = carry_head_for(r->guest, CARRY_RECEIVED);

    if (!out) {
        return false;
    }
    carry_head_set_tables(&h, r->tables);
    h.pages = r->pages;
    h.file_len = h.pages_at;
    return carry_out_commit(out, &h, r->tables, errp);
}

bool qmp_x_migrate_save_received(const XMigrateSaveReceivedArgs *args, Error **errp)
{
    g_autoptr(MigrateAddress) a = migrate_address_parse(args->uri, errp);
    Received r = { 0 };
    bool ok;

    if (!a || !carry_check_address(a, errp)) {
        return false;
    }
    ok = migration_call_paused(false, get_received, &r, errp) && write_received(a, &r, errp);
    carry_guest_free(r.guest);
    if (r.tables) {
        g_byte_array_unref(r.tables);
    }
    return ok;
}

/* ---- source ---- */

static bool take_received(Migration *m, void *opaque, Error **errp)
{
    carry_take_received(m, opaque);
    /* Only who runs the guest, or is about to, can have written it. */
    __atomic_store_n(&m->unconfirmed, 0, __ATOMIC_RELEASE);
    return true;
}

bool qmp_x_migrate_load_received(const XMigrateLoadReceivedArgs *args, Error **errp)
{
    g_autoptr(MigrateAddress) a = migrate_address_parse(args->uri, errp);
    g_autoptr(CarryFile) file = NULL;
    CarryGuest *g;

    if (!a || !migration_call_paused(true, get_guest, &g, errp)) {
        return false;
    }
    file = carry_file_open(a, CARRY_RECEIVED, g, errp);
    return file && migration_call_paused(true, take_received, file, errp);
}

static bool release(Migration *m, void *opaque, Error **errp)
{
    g_autofree char *receipt = carry_receipt(m->attempt);

    if (!carry_attempt_known(m, errp)) {
        return false;
    }
    if (g_strcmp0(receipt, opaque)) {
        error_setg(errp, "'%s' is not the receipt of this migration; the destination shows it in "
                   "query-migrate (x-receipt) when it has everything", (char *)opaque);
        return false;
    }
    __atomic_store_n(&m->carry.released, 1, __ATOMIC_RELEASE);
    src_wake(m);
    return true;
}

bool qmp_x_migrate_release(const XMigrateReleaseArgs *args, Error **errp)
{
    return migration_call_paused(true, release, args->receipt, errp);
}
