/*
 * What the files of qom/ share among themselves.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_QOM_OBJECT_PRIVATE_H
#define FERRY_QOM_OBJECT_PRIVATE_H

#include "qom/object.h"

/* type.c */
size_t type_instance_size(const TypeInfo *t);
/* The type and its ancestors, "object" first.  Free with g_ptr_array_unref(). */
GPtrArray *type_lineage(const TypeInfo *t);

/* property.c */
/* Give every plain property of this one type (not its ancestors) its default. */
void property_set_defaults(Object *obj, const TypeInfo *t);
/* Free what the plain properties of this one type own. */
void property_free_values(Object *obj, const TypeInfo *t);

#endif
