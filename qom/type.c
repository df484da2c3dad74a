/*
 * The table of types.  Filled by constructors before main() and by the machine table;
 * afterwards only read, under the machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qom/object-private.h"

static GHashTable *type_table(void)
{
    static GHashTable *table;

    if (!table) {
        table = g_hash_table_new(g_str_hash, g_str_equal);
    }
    return table;
}

void type_register(const TypeInfo *info)
{
    if (!g_hash_table_insert(type_table(), (gpointer)info->name, (gpointer)info)) {
        g_error("type '%s' is registered twice", info->name);
    }
}

const TypeInfo *type_by_name(const char *name)
{
    return name ? g_hash_table_lookup(type_table(), name) : NULL;
}

static const TypeInfo *type_parent(const TypeInfo *t)
{
    if (t->parent) {
        const TypeInfo *parent = type_by_name(t->parent);

        if (!parent) {
            g_error("type '%s' has the unknown parent '%s'", t->name, t->parent);
        }
        return parent;
    }
    return g_str_equal(t->name, "object") ? NULL : type_by_name("object");
}

bool type_is_a(const TypeInfo *t, const char *ancestor)
{
    for (; t; t = type_parent(t)) {
        if (g_str_equal(t->name, ancestor)) {
            return true;
        }
    }
    return false;
}

static int compare_names(gconstpointer a, gconstpointer b)
{
    return g_strcmp0((*(const TypeInfo *const *)a)->name, (*(const TypeInfo *const *)b)->name);
}

GPtrArray *type_list(const char *ancestor, bool include_abstract)
{
    GPtrArray *list = g_ptr_array_new();
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, type_table());
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const TypeInfo *t = value;

        if ((include_abstract || !t->abstract) && (!ancestor || type_is_a(t, ancestor))) {
            g_ptr_array_add(list, (gpointer)t);
        }
    }
    g_ptr_array_sort(list, compare_names);
    return list;
}

const void *type_class_data(const TypeInfo *t)
{
    for (; t; t = type_parent(t)) {
        if (t->class_data) {
            return t->class_data;
        }
    }
    return NULL;
}

GPtrArray *type_properties(const TypeInfo *t)
{
    GPtrArray *list = g_ptr_array_new();

    for (; t; t = type_parent(t)) {
        for (const PropertyInfo *p = t->props; p && p->name; p++) {
            g_ptr_array_add(list, (gpointer)p);
        }
    }
    return list;
}

size_t type_instance_size(const TypeInfo *t)
{
    for (; t; t = type_parent(t)) {
        if (t->instance_size) {
            return t->instance_size;
        }
    }
    g_assert_not_reached();
}

GPtrArray *type_lineage(const TypeInfo *t)
{
    GPtrArray *list = g_ptr_array_new();

    for (; t; t = type_parent(t)) {
        g_ptr_array_insert(list, 0, (gpointer)t);
    }
    return list;
}
