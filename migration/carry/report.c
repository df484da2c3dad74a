/*
 * What query-migrate says of files that carry the rest of a postcopy.  Any thread: counters are
 * atomic, the name is guarded by Migration.error_lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "migration/carry/carry.h"

#include "migration/stats.h"

void carry_report_start(Migration *m, const char *filename)
{
    g_mutex_lock(&m->error_lock);
    g_free(m->carry.filename);
    m->carry.filename = g_strdup(filename);
    g_mutex_unlock(&m->error_lock);
    stat_set(m->carry.status, MIGRATION_CARRY_STATUS_ACTIVE);
    stat_set(m->carry.pages, 0);
    carry_report_total(m, 0, 0);
}

void carry_report_total(Migration *m, uint64_t pages, uint64_t bytes)
{
    stat_set(m->carry.total, pages);
    stat_set(m->carry.bytes, bytes);
}

void carry_report_pages(Migration *m, uint64_t pages)
{
    stat_add(m->carry.pages, pages);
}

void carry_report_end(Migration *m, bool good)
{
    stat_set(m->carry.status, good ? MIGRATION_CARRY_STATUS_DONE : MIGRATION_CARRY_STATUS_FAILED);
}

MigrationCarry *carry_report_get(Migration *m)
{
    MigrationCarry *c = NULL;

    g_mutex_lock(&m->error_lock);
    if (m->carry.filename) {
        c = g_new0(MigrationCarry, 1);
        c->filename = g_strdup(m->carry.filename);
        c->status = stat_get(m->carry.status);
        c->pages = stat_get(m->carry.pages);
        c->total_pages = stat_get(m->carry.total);
        c->bytes = stat_get(m->carry.bytes);
    }
    g_mutex_unlock(&m->error_lock);
    return c;
}

char *carry_receipt_of(Migration *m, bool completed)
{
    return completed && m->postcopy_dest && carry_attempt_known(m, NULL)
               ? carry_receipt(m->attempt)
               : NULL;
}
