/*
 * Saving device state with its JSON description, for the writer of sections, and what
 * the vmstate files share.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_MIGRATION_VMSTATE_INTERNAL_H
#define FERRY_MIGRATION_VMSTATE_INTERNAL_H

#include <json-glib/json-glib.h>

#include "migration/vmstate.h"

/*
 * As vmstate_save(); adds the members vmsd_name, version, fields and, if there are any,
 * subsections to the object that is open in json (NULL: none).
 */
bool vmstate_save_described(Stream *s, const VMStateDescription *vmsd, const void *opaque,
                            JsonBuilder *json, Error **errp);

/* vmstate.c: is the field there when `version` is saved or loaded? */
bool vmstate_field_exists(const VMStateField *f, const void *opaque, int version);

/* vmstate-desc.c; json may be NULL, then they do nothing. */
void vmstate_desc_begin(JsonBuilder *json, const VMStateDescription *vmsd);
void vmstate_desc_end_fields(JsonBuilder *json);
void vmstate_desc_subsections_begin(JsonBuilder *json, bool *ret_open);
void vmstate_desc_subsections_end(JsonBuilder *json, bool open);
/* Element i of n: opens its object (and "struct"); end closes it with the size. */
void vmstate_desc_field_begin(JsonBuilder *json, const VMStateDescription *vmsd,
                              const VMStateField *f, size_t i, size_t n, bool null_pointer);
void vmstate_desc_field_end(JsonBuilder *json, const VMStateField *f, bool null_pointer,
                            size_t size);
/* Are all elements of the array of the same shape, so that one description does? */
bool vmstate_desc_can_compress(const VMStateField *f);

#endif
