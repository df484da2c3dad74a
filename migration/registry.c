/*
 * The registry of saved things: device state and live things, with their identities,
 * in the order in which they are sent.
 *
 * No thread of its own: machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "savevm.h"

#include <string.h>

#include "trace/migration.h"

static void save_entry_free(gpointer p)
{
    SaveEntry *e = p;

    g_free(e->idstr);
    g_free(e->compat_idstr);
    g_free(e);
}

SaveRegistry *save_registry_new(void)
{
    SaveRegistry *reg = g_new0(SaveRegistry, 1);

    reg->entries = g_ptr_array_new_with_free_func(save_entry_free);
    return reg;
}

void save_registry_free(SaveRegistry *reg)
{
    if (reg) {
        g_ptr_array_unref(reg->entries);
        g_free(reg);
    }
}

/* One more than the highest instance of idstr, counting compat names as well. */
static uint32_t next_instance(const SaveRegistry *reg, const char *idstr)
{
    uint32_t next = 0;

    for (guint i = 0; i < reg->entries->len; i++) {
        const SaveEntry *e = g_ptr_array_index(reg->entries, i);

        if (!strcmp(e->idstr, idstr)) {
            next = MAX(next, e->instance_id + 1);
        }
        if (e->compat_idstr && !strcmp(e->compat_idstr, idstr)) {
            next = MAX(next, e->compat_instance_id + 1);
        }
    }
    return next;
}

/* Behind every entry of the same or a higher priority. */
static void insert(SaveRegistry *reg, SaveEntry *e)
{
    guint i = 0;

    if (e->priority == MIG_PRI_UNSET) {
        e->priority = MIG_PRI_DEFAULT;
    }
    while (i < reg->entries->len &&
           ((SaveEntry *)g_ptr_array_index(reg->entries, i))->priority >= e->priority) {
        i++;
    }
    e->section_id = reg->next_section_id++;
    trace_savevm_register(e->idstr, e->instance_id, e->section_id);
    g_ptr_array_insert(reg->entries, i, e);
}

bool save_registry_add(SaveRegistry *reg, const char *path, int instance_id,
                       const VMStateDescription *vmsd, void *opaque, Error **errp)
{
    g_autofree char *idstr = path && *path ? g_strdup_printf("%s/%s", path, vmsd->name)
                                           : g_strdup(vmsd->name);
    SaveEntry *e;

    if (strlen(idstr) > 255) {
        error_setg(errp, "the name of saved state '%s' is longer than 255 bytes", idstr);
        return false;
    }
    e = g_new0(SaveEntry, 1);
    e->vmsd = vmsd;
    e->opaque = opaque;
    e->version_id = vmsd->version_id;
    e->priority = vmsd->priority;
    if (path && *path) {
        e->compat_idstr = g_strdup(vmsd->name);
        e->compat_instance_id = instance_id == VMSTATE_INSTANCE_ID_ANY
                                    ? next_instance(reg, vmsd->name)
                                    : (uint32_t)instance_id;
        instance_id = VMSTATE_INSTANCE_ID_ANY;
    }
    e->instance_id = instance_id == VMSTATE_INSTANCE_ID_ANY ? next_instance(reg, idstr)
                                                            : (uint32_t)instance_id;
    e->idstr = g_steal_pointer(&idstr);
    if (save_registry_find(reg, e->idstr, e->instance_id)) {
        error_setg(errp, "saved state '%s' instance %u is registered twice", e->idstr,
                   e->instance_id);
        save_entry_free(e);
        return false;
    }
    insert(reg, e);
    return true;
}

void save_registry_add_live(SaveRegistry *reg, const char *idstr, int version_id,
                            const LiveOps *ops)
{
    SaveEntry *e = g_new0(SaveEntry, 1);

    e->idstr = g_strdup(idstr);
    e->version_id = version_id;
    e->live = ops;
    insert(reg, e);
}

void save_registry_skip_id(SaveRegistry *reg)
{
    reg->next_section_id++;
}

void save_registry_remove(SaveRegistry *reg, const VMStateDescription *vmsd, void *opaque)
{
    for (guint i = 0; i < reg->entries->len; i++) {
        const SaveEntry *e = g_ptr_array_index(reg->entries, i);

        if (e->vmsd == vmsd && e->opaque == opaque) {
            g_ptr_array_remove_index(reg->entries, i);
            return;
        }
    }
}

SaveEntry *save_registry_find(SaveRegistry *reg, const char *idstr, uint32_t instance_id)
{
    SaveEntry *compat = NULL;

    for (guint i = 0; i < reg->entries->len; i++) {
        SaveEntry *e = g_ptr_array_index(reg->entries, i);

        if (!strcmp(e->idstr, idstr) && e->instance_id == instance_id) {
            return e;
        }
        if (e->compat_idstr && !strcmp(e->compat_idstr, idstr) &&
            e->compat_instance_id == instance_id) {
            compat = e;
        }
    }
    return compat;
}

bool save_registry_migratable(SaveRegistry *reg, Error **errp)
{
    for (guint i = 0; i < reg->entries->len; i++) {
        const SaveEntry *e = g_ptr_array_index(reg->entries, i);

        if (e->vmsd && e->vmsd->unmigratable) {
            error_setg(errp, "State blocked by non-migratable device '%s'", e->idstr);
            return false;
        }
    }
    return true;
}
