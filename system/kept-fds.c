/*
 * Descriptors of a former program, by name.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "system/kept-fds.h"

#include <glib.h>

#include "util/util.h"

typedef struct KeptFd {
    char *name;
    int id, fd;
} KeptFd;

static GPtrArray *table; /* of KeptFd; NULL: never any */

static void kept_free(gpointer p)
{
    KeptFd *k = p;

    close_fd(&k->fd);
    g_free(k->name);
    g_free(k);
}

static KeptFd *find(const char *name, int id)
{
    for (guint i = 0; table && i < table->len; i++) {
        KeptFd *k = table->pdata[i];

        if (k->id == id && g_str_equal(k->name, name)) {
            return k;
        }
    }
    return NULL;
}

bool kept_fd_add(const char *name, int id, int fd, Error **errp)
{
    KeptFd *k;

    if (find(name, id)) {
        error_setg(errp, "descriptor '%s' number %d was handed over twice", name, id);
        close(fd);
        return false;
    }
    k = g_new(KeptFd, 1);
    *k = (KeptFd){ g_strdup(name), id, fd };
    if (!table) {
        table = g_ptr_array_new_with_free_func(kept_free);
    }
    g_ptr_array_add(table, k);
    return true;
}

int kept_fd_take(const char *name, int id)
{
    KeptFd *k = find(name, id);
    int fd;

    if (!k) {
        return -1;
    }
    fd = k->fd;
    k->fd = -1;
    g_ptr_array_remove(table, k);
    return fd;
}

const char *kept_fd_left(void)
{
    return table && table->len ? ((KeptFd *)table->pdata[0])->name : NULL;
}

void kept_fds_clear(void)
{
    g_clear_pointer(&table, g_ptr_array_unref);
}
