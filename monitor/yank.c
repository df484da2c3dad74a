/*
 * QMP commands yank and query-yank, and the registry behind them.
 *
 * Any thread, without the machine lock: they must work when the main thread hangs.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "monitor/yank.h"

#include "qapi/qapi-commands.h"

typedef struct Instance {
    YankInstanceType type;
    char *id; /* NULL: migration */
    const YankOps *ops;
    void *opaque;
} Instance;

static GMutex lock;
static GPtrArray *instances; /* lock; of Instance; NULL: none yet */

static void instance_free(gpointer p)
{
    Instance *i = p;

    g_free(i->id);
    g_free(i);
}

void yank_add(const char *type, const char *id, const YankOps *ops, void *opaque)
{
    Instance *i = g_new0(Instance, 1);
    bool known = yank_instance_type_parse(type, &i->type);

    g_assert(known);
    i->id = g_strdup(id);
    i->ops = ops;
    i->opaque = opaque;
    g_mutex_lock(&lock);
    if (!instances) {
        instances = g_ptr_array_new_with_free_func(instance_free);
    }
    g_ptr_array_add(instances, i);
    g_mutex_unlock(&lock);
}

void yank_remove(void *opaque)
{
    g_mutex_lock(&lock);
    for (guint n = instances ? instances->len : 0; n-- > 0;) {
        if (((Instance *)instances->pdata[n])->opaque == opaque) {
            g_ptr_array_remove_index(instances, n);
        }
    }
    g_mutex_unlock(&lock);
}

static bool is_present(const Instance *i)
{
    return !i->ops->present || i->ops->present(i->opaque);
}

/* Lock held. */
static Instance *find(const YankInstance *what)
{
    for (guint n = 0; instances && n < instances->len; n++) {
        Instance *i = instances->pdata[n];

        if (i->type == what->type && is_present(i) &&
            (i->type != YANK_INSTANCE_TYPE_CHARDEV || !g_strcmp0(i->id, what->u.chardev.id))) {
            return i;
        }
    }
    return NULL;
}

/* All of them, or none when one is not there. */
bool qmp_yank(const YankArgs *args, Error **errp)
{
    g_autoptr(GPtrArray) found = g_ptr_array_new();
    bool ok = true;

    g_mutex_lock(&lock);
    for (guint n = 0; n < args->instances->len && ok; n++) {
        Instance *i = find(args->instances->pdata[n]);

        ok = i != NULL;
        g_ptr_array_add(found, i);
    }
    for (guint n = 0; n < found->len && ok; n++) {
        Instance *i = found->pdata[n];

        i->ops->yank(i->opaque);
    }
    g_mutex_unlock(&lock);
    if (!ok) {
        error_set(errp, ERROR_CLASS_DEVICE_NOT_FOUND, "Instance not found");
    }
    return ok;
}

GPtrArray *qmp_query_yank(Error **errp)
{
    GPtrArray *list = yank_instance_list_new();

    g_mutex_lock(&lock);
    for (guint n = 0; instances && n < instances->len; n++) {
        const Instance *i = instances->pdata[n];
        YankInstance *y;

        if (!is_present(i)) {
            continue;
        }
        y = g_new0(YankInstance, 1);
        y->type = i->type;
        if (i->type == YANK_INSTANCE_TYPE_CHARDEV) {
            y->u.chardev.id = g_strdup(i->id);
        }
        g_ptr_array_add(list, y);
    }
    g_mutex_unlock(&lock);
    return list;
}
