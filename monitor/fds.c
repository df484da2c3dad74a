/*
 * File descriptors that clients hand over: getfd names, add-fd sets, and open(2) of
 * /dev/fdset/N.  Main thread and whoever holds the machine lock; its own lock lets
 * migration threads ask as well.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "monitor/monitor-internal.h"
#include "qapi/qapi-commands.h"
#include "util/util.h"

enum { MAX_RECEIVED = 64 };

typedef struct FdsetFd {
    int fd;
    char *opaque;
} FdsetFd;

typedef struct Fdset {
    int64_t id;
    GPtrArray *fds; /* of FdsetFd */
} Fdset;

static GMutex lock;
static GQueue received = G_QUEUE_INIT; /* fd + 1 each; lock */
static GHashTable *named;              /* name -> fd; lock */
static GPtrArray *fdsets;              /* of Fdset, ascending id; lock */

void monitor_fd_received(int fd)
{
    g_mutex_lock(&lock);
    if (g_queue_get_length(&received) >= MAX_RECEIVED) {
        close(GPOINTER_TO_INT(g_queue_pop_head(&received)) - 1);
    }
    g_queue_push_tail(&received, GINT_TO_POINTER(fd + 1));
    g_mutex_unlock(&lock);
}

static int take_received(Error **errp)
{
    int fd;

    g_mutex_lock(&lock);
    fd = GPOINTER_TO_INT(g_queue_pop_head(&received)) - 1;
    g_mutex_unlock(&lock);
    if (fd < 0) {
        error_setg(errp, "No file descriptor supplied via SCM_RIGHTS");
    }
    return fd;
}

static void close_boxed(gpointer p)
{
    close(GPOINTER_TO_INT(p));
}

bool qmp_getfd(const GetfdArgs *args, Error **errp)
{
    int fd = take_received(errp);

    if (fd < 0) {
        return false;
    }
    if (g_ascii_isdigit(args->fdname[0])) {
        close(fd);
        error_setg(errp, "Parameter 'fdname' expects a name not starting with a digit");
        return false;
    }
    g_mutex_lock(&lock);
    if (!named) {
        named = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, close_boxed);
    }
    g_hash_table_insert(named, g_strdup(args->fdname), GINT_TO_POINTER(fd));
    g_mutex_unlock(&lock);
    return true;
}

int monitor_take_fd(const char *name, Error **errp)
{
    gpointer key = NULL, value = NULL;
    bool found;

    g_mutex_lock(&lock);
    found = named && g_hash_table_steal_extended(named, name, &key, &value);
    g_mutex_unlock(&lock);
    g_free(key);
    if (!found) {
        error_setg(errp, "File descriptor named '%s' has not been found", name);
        return -1;
    }
    return GPOINTER_TO_INT(value);
}

bool qmp_closefd(const ClosefdArgs *args, Error **errp)
{
    bool found;

    g_mutex_lock(&lock);
    found = named && g_hash_table_remove(named, args->fdname);
    g_mutex_unlock(&lock);
    if (!found) {
        error_setg(errp, "File descriptor named '%s' not found", args->fdname);
    }
    return found;
}

int monitor_fd_param(const char *str, Error **errp)
{
    uint64_t n;

    if (!g_ascii_isdigit(str[0])) {
        return monitor_take_fd(str, errp);
    }
    if (!parse_u64(str, &n) || n > INT_MAX) {
        error_setg(errp, "Invalid file descriptor number '%s'", str);
        return -1;
    }
    if (fcntl(n, F_GETFD) < 0) {
        error_setg_errno(errp, errno, "File descriptor %d", (int)n);
        return -1;
    }
    return n;
}

/* Sets */

static void fdset_fd_free(gpointer p)
{
    FdsetFd *f = p;

    close(f->fd);
    g_free(f->opaque);
    g_free(f);
}

static void fdset_free(gpointer p)
{
    Fdset *s = p;

    g_ptr_array_unref(s->fds);
    g_free(s);
}

static Fdset *fdset_find(int64_t id)
{
    for (guint i = 0; fdsets && i < fdsets->len; i++) {
        Fdset *s = g_ptr_array_index(fdsets, i);
        if (s->id == id) {
            return s;
        }
    }
    return NULL;
}

static gint compare_fdset(gconstpointer a, gconstpointer b)
{
    const Fdset *x = *(Fdset *const *)a, *y = *(Fdset *const *)b;

    return x->id < y->id ? -1 : x->id > y->id;
}

static Fdset *fdset_new(int64_t id)
{
    Fdset *s = g_new0(Fdset, 1);

    s->id = id;
    s->fds = g_ptr_array_new_with_free_func(fdset_fd_free);
    if (!fdsets) {
        fdsets = g_ptr_array_new_with_free_func(fdset_free);
    }
    g_ptr_array_add(fdsets, s);
    g_ptr_array_sort(fdsets, compare_fdset);
    return s;
}

static int64_t first_free_id(void)
{
    int64_t id = 0;

    while (fdset_find(id)) {
        id++;
    }
    return id;
}

int64_t monitor_fdset_add(int fd, int64_t id, const char *opaque)
{
    FdsetFd *f = g_new0(FdsetFd, 1);
    Fdset *s;

    g_mutex_lock(&lock);
    if (id < 0) {
        id = first_free_id();
    }
    s = fdset_find(id);
    if (!s) {
        s = fdset_new(id);
    }
    f->fd = fd;
    f->opaque = g_strdup(opaque);
    g_ptr_array_add(s->fds, f);
    g_mutex_unlock(&lock);
    return id;
}

AddfdInfo *qmp_add_fd(const AddFdArgs *args, Error **errp)
{
    AddfdInfo *info;
    int fd = take_received(errp);

    if (fd < 0) {
        return NULL;
    }
    if (args->has_fdset_id && args->fdset_id < 0) {
        close(fd);
        error_setg(errp, "Parameter 'fdset-id' expects a non-negative value");
        return NULL;
    }
    info = g_new0(AddfdInfo, 1);
    info->fd = fd;
    info->fdset_id = monitor_fdset_add(fd, args->has_fdset_id ? args->fdset_id : -1, args->opaque);
    return info;
}

bool qmp_remove_fd(const RemoveFdArgs *args, Error **errp)
{
    bool found = false;

    g_mutex_lock(&lock);
    Fdset *s = fdset_find(args->fdset_id);
    for (guint i = s ? s->fds->len : 0; i-- > 0;) {
        FdsetFd *f = g_ptr_array_index(s->fds, i);
        if (!args->has_fd || f->fd == args->fd) {
            g_ptr_array_remove_index(s->fds, i);
            found = true;
        }
    }
    if (s && !s->fds->len) {
        g_ptr_array_remove(fdsets, s);
        found = found || !args->has_fd;
    }
    g_mutex_unlock(&lock);
    if (!found && args->has_fd) {
        error_setg(errp, "File descriptor named 'fdset-id:%" G_GINT64_FORMAT ", fd:%" G_GINT64_FORMAT
                   "' not found", args->fdset_id, args->fd);
    } else if (!found) {
        error_setg(errp, "File descriptor named 'fdset-id:%" G_GINT64_FORMAT "' not found",
                   args->fdset_id);
    }
    return found;
}

GPtrArray *qmp_query_fdsets(Error **errp)
{
    GPtrArray *list = fdset_info_list_new();

    g_mutex_lock(&lock);
    for (guint i = 0; fdsets && i < fdsets->len; i++) {
        Fdset *s = g_ptr_array_index(fdsets, i);
        FdsetInfo *info = g_new0(FdsetInfo, 1);
        info->fdset_id = s->id;
        info->fds = fdset_fd_info_list_new();
        for (guint k = 0; k < s->fds->len; k++) {
            FdsetFd *f = g_ptr_array_index(s->fds, k);
            FdsetFdInfo *fi = g_new0(FdsetFdInfo, 1);
            fi->fd = f->fd;
            fi->opaque = g_strdup(f->opaque);
            g_ptr_array_add(info->fds, fi);
        }
        g_ptr_array_add(list, info);
    }
    g_mutex_unlock(&lock);
    return list;
}

/*
 * How well a descriptor of a set serves who opens with these flags: 0, not at all.  One with
 * O_DIRECT is for those who ask for it; others take it only when there is no better one.
 */
static int fdset_fd_fits(int fd, int flags)
{
    int have = fcntl(fd, F_GETFL);

    if (have < 0 || ((have & O_ACCMODE) != (flags & O_ACCMODE) && (have & O_ACCMODE) != O_RDWR) ||
        (flags & O_DIRECT && !(have & O_DIRECT))) {
        return 0;
    }
    return 1 + 2 * ((have & O_DIRECT) == (flags & O_DIRECT)) +
           ((have & O_ACCMODE) == (flags & O_ACCMODE));
}

int monitor_fdset_dup(int64_t fdset_id, int flags, Error **errp)
{
    int fd = -1, best = 0;
    bool any = false;

    g_mutex_lock(&lock);
    Fdset *s = fdset_find(fdset_id);
    for (guint i = 0; s && i < s->fds->len; i++) {
        FdsetFd *f = g_ptr_array_index(s->fds, i);
        int fits = fdset_fd_fits(f->fd, flags);

        any = true;
        if (fits > best) {
            best = fits;
            fd = f->fd;
        }
    }
    fd = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
    g_mutex_unlock(&lock);
    if (fd < 0 && any) {
        error_setg(errp, "file descriptor set %" G_GINT64_FORMAT " has no descriptor with that "
                   "access mode%s", fdset_id, flags & O_DIRECT ? " and O_DIRECT" : "");
    } else if (fd < 0) {
        error_setg(errp, "there is no file descriptor in set %" G_GINT64_FORMAT, fdset_id);
    }
    return fd;
}

int ferry_open(const char *path, int flags, int mode, Error **errp)
{
    static const char prefix[] = "/dev/fdset/";
    uint64_t id;
    int fd;

    if (g_str_has_prefix(path, prefix)) {
        if (!parse_u64(path + strlen(prefix), &id) || id > INT64_MAX) {
            error_setg(errp, "'%s' does not name a file descriptor set (/dev/fdset/NUMBER)", path);
            return -1;
        }
        return monitor_fdset_dup(id, flags, errp);
    }
    fd = open(path, flags | O_CLOEXEC, mode);
    if (fd < 0) {
        error_setg_errno(errp, errno, "Could not open '%s'", path);
    }
    return fd;
}

void monitor_fds_disconnected(void)
{
    gpointer p;

    g_mutex_lock(&lock);
    while ((p = g_queue_pop_head(&received))) {
        close(GPOINTER_TO_INT(p) - 1);
    }
    g_mutex_unlock(&lock);
}
