/*
 * Reset: the list of what is reset with the machine.  Machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "system/machine-lock.h"
#include "system/runstate.h"

typedef struct ResetEntry {
    void (*fn)(void *opaque);
    void *opaque;
} ResetEntry;

static GArray *entries;

void reset_handler_add(void (*fn)(void *opaque), void *opaque)
{
    ResetEntry e = { fn, opaque };

    if (!entries) {
        entries = g_array_new(false, false, sizeof(ResetEntry));
    }
    g_array_append_val(entries, e);
}

void reset_handler_remove(void (*fn)(void *opaque), void *opaque)
{
    for (guint i = 0; entries && i < entries->len; i++) {
        ResetEntry *e = &g_array_index(entries, ResetEntry, i);
        if (e->fn == fn && e->opaque == opaque) {
            g_array_remove_index(entries, i);
            return;
        }
    }
}

void reset_handlers_run(void)
{
    g_assert(machine_locked());
    for (guint i = 0; entries && i < entries->len; i++) {
        ResetEntry *e = &g_array_index(entries, ResetEntry, i);
        e->fn(e->opaque);
    }
}
