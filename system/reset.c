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
static GArray *late; /* run after all of those */

static void add(GArray **list, void (*fn)(void *opaque), void *opaque)
{
    ResetEntry e = { fn, opaque };

    if (!*list) {
        *list = g_array_new(false, false, sizeof(ResetEntry));
    }
    g_array_append_val(*list, e);
}

void reset_handler_add(void (*fn)(void *opaque), void *opaque)
{
    add(&entries, fn, opaque);
}

void reset_handler_add_late(void (*fn)(void *opaque), void *opaque)
{
    add(&late, fn, opaque);
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

static void run(const GArray *list)
{
    for (guint i = 0; list && i < list->len; i++) {
        ResetEntry *e = &g_array_index(list, ResetEntry, i);
        e->fn(e->opaque);
    }
}

void reset_handlers_run(void)
{
    g_assert(machine_locked());
    run(entries);
    run(late);
}
