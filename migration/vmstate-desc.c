/*
 * JSON description of device state: what the VMDESCRIPTION element holds of each
 * section.
 *
 * Belongs to the thread that saves (machine lock held).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "migration/vmstate-internal.h"

static void member_string(JsonBuilder *json, const char *name, const char *value)
{
    json_builder_set_member_name(json, name);
    json_builder_add_string_value(json, value);
}

static void member_int(JsonBuilder *json, const char *name, int64_t value)
{
    json_builder_set_member_name(json, name);
    json_builder_add_int_value(json, value);
}

void vmstate_desc_begin(JsonBuilder *json, const VMStateDescription *vmsd)
{
    if (json) {
        member_string(json, "vmsd_name", vmsd->name);
        member_int(json, "version", vmsd->version_id);
        json_builder_set_member_name(json, "fields");
        json_builder_begin_array(json);
    }
}

void vmstate_desc_end_fields(JsonBuilder *json)
{
    if (json) {
        json_builder_end_array(json);
    }
}

void vmstate_desc_subsections_begin(JsonBuilder *json, bool *ret_open)
{
    if (!json) {
        return;
    }
    if (!*ret_open) {
        json_builder_set_member_name(json, "subsections");
        json_builder_begin_array(json);
        *ret_open = true;
    }
    json_builder_begin_object(json);
}

void vmstate_desc_subsections_end(JsonBuilder *json, bool open)
{
    if (json && open) {
        json_builder_end_array(json);
    }
}

bool vmstate_desc_can_compress(const VMStateField *f)
{
    if (f->field_exists || (f->flags & VMS_ARRAY_OF_POINTER)) {
        return false;
    }
    if (f->flags & VMS_STRUCT) {
        if (f->vmsd->subsections) {
            return false;
        }
        for (const VMStateField *g = f->vmsd->fields; g->name; g++) {
            if (!vmstate_desc_can_compress(g)) {
                return false;
            }
        }
    }
    return true;
}

/* Fields of one name in one description are told apart by [n]. */
static char *unique_name(const VMStateDescription *vmsd, const VMStateField *f)
{
    unsigned before = 0, same = 0;

    for (const VMStateField *g = vmsd->fields; g->name; g++) {
        if (!strcmp(g->name, f->name)) {
            same++;
            before += g < f;
        }
    }
    return same > 1 ? g_strdup_printf("%s[%u]", f->name, before) : g_strdup(f->name);
}

void vmstate_desc_field_begin(JsonBuilder *json, const VMStateDescription *vmsd,
                              const VMStateField *f, size_t i, size_t n, bool null_pointer)
{
    g_autofree char *name = NULL;

    if (!json) {
        return;
    }
    name = unique_name(vmsd, f);
    json_builder_begin_object(json);
    member_string(json, "name", name);
    if (n > 1) {
        if (vmstate_desc_can_compress(f)) {
            member_int(json, "array_len", n);
        } else {
            member_int(json, "index", i);
        }
    }
    if (null_pointer) {
        member_string(json, "type", "ptr-marker");
    } else if (f->flags & VMS_STRUCT) {
        member_string(json, "type", "struct");
        json_builder_set_member_name(json, "struct");
        json_builder_begin_object(json);
    } else {
        member_string(json, "type", f->info->name);
    }
}

void vmstate_desc_field_end(JsonBuilder *json, const VMStateField *f, bool null_pointer,
                            size_t size)
{
    if (!json) {
        return;
    }
    if ((f->flags & VMS_STRUCT) && !null_pointer) {
        json_builder_end_object(json);
    }
    member_int(json, "size", size);
    json_builder_end_object(json);
}
