/*
 * Making migration channels: outgoing connections and incoming listeners.
 *
 * A connector is made and freed in the main thread, connects in the migration thread and
 * is cancelled from any.  Listeners belong to the main thread (machine lock), acceptors to
 * whoever has them.
 *
 * Every channel of a migration, whatever it is for, comes out of mig_connector_connect() or
 * a listener's accepted(), and has passed through secure_outgoing() or hand_over() there.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "migration/channel.h"

#include <fcntl.h>
#include <glib-unix.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "migration/channel-tls.h"
#include "migration/config.h"
#include "monitor/monitor.h"
#include "system/sandbox.h"
#include "trace/migration.h"
#include "util/util.h"

/* Outgoing. */

struct MigConnector {
    MigrateAddress *addr; /* fixed */
    int fd;               /* descriptor that fd: named, -1: none or passed on */
    int cancel_fd;        /* eventfd, readable once cancelled */
    int cancelled;        /* atomic */
    MigTls *tls;          /* fixed; NULL: none */
    GMutex lock;
    GPtrArray *shaking;   /* lock: channels in a TLS handshake, borrowed */
};

/*
 * Which kinds of descriptor carry a stream: sockets, pipes and files (one way, from where the
 * descriptor stands on); with mapped-ram a file, and nothing else.
 */
static bool check_fd(int fd, const char *name, Error **errp)
{
    struct stat st;
    bool file;

    if (fstat(fd, &st) < 0) {
        error_setg_errno(errp, errno, "fd:%s", name);
        return false;
    }
    file = S_ISREG(st.st_mode) || S_ISBLK(st.st_mode);
    if (!file && mig_settings_cap(MIG_CAP_MAPPED_RAM)) {
        error_setg(errp, "mapped-ram needs a file, and fd:%s is none", name);
        return false;
    }
    if (!file && !S_ISSOCK(st.st_mode) && !S_ISFIFO(st.st_mode) && !S_ISCHR(st.st_mode)) {
        error_setg(errp, "fd:%s is neither a socket nor a pipe nor a file", name);
        return false;
    }
    return true;
}

/* Main thread: before the first thing is done for this address. */
static bool check_exec(const MigrateAddress *a, Error **errp)
{
    return a->transport != MIG_TRANSPORT_EXEC || sandbox_may_exec("exec", errp);
}

MigConnector *mig_connector_new(const MigrateAddress *a, Error **errp)
{
    g_autoptr(MigConnector) c = g_new0(MigConnector, 1);

    c->addr = migrate_address_copy(a);
    c->fd = -1;
    g_mutex_init(&c->lock);
    c->shaking = g_ptr_array_new();
    c->cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (c->cancel_fd < 0) {
        error_setg_errno(errp, errno, "cannot make an eventfd");
        return NULL;
    }
    if (!check_exec(a, errp) || !mig_tls_outgoing(a, &c->tls, errp)) {
        return NULL;
    }
    if (a->transport == MIG_TRANSPORT_SOCKET && a->socket->type == SOCKET_FD) {
        c->fd = monitor_fd_param(a->socket->fd, errp);
        if (c->fd < 0 || !check_fd(c->fd, a->socket->fd, errp)) {
            return NULL;
        }
    }
    return g_steal_pointer(&c);
}

/* TLS, if it is wanted, on a channel that was just opened.  Takes raw. */
static IOChannel *secure_outgoing(MigConnector *c, IOChannel *raw, Error **errp)
{
    IOChannel *ioc;
    bool ok;

    if (!c->tls) {
        return raw;
    }
    ioc = io_channel_tls_new(raw, c->tls->creds, c->tls->hostname, errp);
    if (!ioc) {
        return NULL;
    }
    g_mutex_lock(&c->lock);
    g_ptr_array_add(c->shaking, ioc);
    if (g_atomic_int_get(&c->cancelled)) {
        io_channel_shutdown(ioc, IO_SHUTDOWN_BOTH, NULL);
    }
    g_mutex_unlock(&c->lock);
    ok = io_channel_tls_handshake(ioc, MIG_TLS_TIMEOUT_MS, errp);
    g_mutex_lock(&c->lock);
    g_ptr_array_remove(c->shaking, ioc);
    g_mutex_unlock(&c->lock);
    if (!ok) {
        io_channel_unref(ioc);
        return NULL;
    }
    return ioc;
}

IOChannel *mig_connector_connect(MigConnector *c, Error **errp)
{
    const MigrateAddress *a = c->addr;
    g_autofree char *what = migrate_address_to_str(a);
    IOChannel *ioc = NULL;
    int fd;

    trace_migration_connect(what);
    if (g_atomic_int_get(&c->cancelled)) {
        error_setg(errp, "connecting to %s was cancelled", what);
        return NULL;
    }
    switch (a->transport) {
    case MIG_TRANSPORT_EXEC:
        ioc = io_channel_command_new((const char *const *)a->args, O_RDWR, errp);
        break;
    case MIG_TRANSPORT_FILE:
        ioc = mig_file_open_out(a, errp);
        break;
    case MIG_TRANSPORT_SOCKET:
        if (a->socket->type == SOCKET_FD) {
            ioc = io_channel_fd_new(c->fd, errp);
            c->fd = ioc ? -1 : c->fd;
        } else {
            fd = socket_connect_cancellable(a->socket, c->cancel_fd, errp);
            ioc = fd >= 0 ? io_channel_socket_new(fd) : NULL;
        }
        break;
    }
    if (!ioc) {
        return NULL;
    }
    io_channel_set_name(ioc, "migration channel");
    return secure_outgoing(c, ioc, errp);
}

void mig_connector_cancel(MigConnector *c)
{
    uint64_t one = 1;

    g_mutex_lock(&c->lock);
    g_atomic_int_set(&c->cancelled, 1);
    for (guint i = 0; i < c->shaking->len; i++) {
        io_channel_shutdown(c->shaking->pdata[i], IO_SHUTDOWN_BOTH, NULL);
    }
    g_mutex_unlock(&c->lock);
    if (write(c->cancel_fd, &one, sizeof(one)) < 0) {
        g_assert(errno == EAGAIN); /* it is readable already */
    }
}

void mig_connector_free(MigConnector *c)
{
    if (c) {
        close_fd(&c->fd);
        close_fd(&c->cancel_fd);
        mig_tls_free(c->tls);
        g_ptr_array_unref(c->shaking);
        g_mutex_clear(&c->lock);
        migrate_address_free(c->addr);
        g_free(c);
    }
}

/* Incoming. */

struct MigListener {
    MigAccepted *accepted;
    void *opaque;
    int fd;            /* listening socket, -1 when `ready` is used */
    IOChannel *ready;  /* fd, exec, file: the channel itself, until it is handed over */
    guint source;      /* GLib source, 0: none */
    char *unlink_path; /* of a unix listener */
    SocketAddr *local;
    MigTlsGate *gate;  /* connections that are not let in yet */
    int busy;          /* depth of accepted() calls; freeing waits for them */
    bool in_source;    /* inside on_connection(): its return value removes `source` */
    bool dead;
};

static void listener_release(MigListener *l)
{
    if (l->busy || !l->dead) {
        return;
    }
    io_channel_unref(l->ready);
    socket_addr_free(l->local);
    g_free(l->unlink_path);
    g_free(l);
}

/* A channel that is let in. */
static void pass_on(IOChannel *ioc, void *opaque)
{
    MigListener *l = opaque;

    l->busy++;
    l->accepted(ioc, l->opaque);
    l->busy--;
    listener_release(l);
}

/* A channel that came: through the gate of TLS, if there is one.  l may be gone afterwards. */
static void hand_over(MigListener *l, IOChannel *ioc)
{
    io_channel_set_name(ioc, "migration channel");
    if (!mig_tls_gate_take(l->gate, ioc)) {
        pass_on(ioc, l);
    }
}

static gboolean on_connection(gint fd, GIOCondition cond, gpointer opaque)
{
    MigListener *l = opaque;
    g_autoptr(Error) err = NULL;
    int conn = socket_accept(fd, &err);
    bool dead;

    if (conn < 0) {
        trace_migration_accept_failed(error_get_pretty(err));
        return G_SOURCE_CONTINUE;
    }
    l->busy++;
    l->in_source = true;
    hand_over(l, io_channel_socket_new(conn));
    l->in_source = false;
    dead = l->dead;
    l->busy--;
    listener_release(l);
    return dead ? G_SOURCE_REMOVE : G_SOURCE_CONTINUE;
}

/* fd, exec and file: the channel exists, its first bytes have come. */
static gboolean on_readable(gint fd, GIOCondition cond, gpointer opaque)
{
    MigListener *l = opaque;

    l->source = 0;
    hand_over(l, g_steal_pointer(&l->ready));
    return G_SOURCE_REMOVE;
}

static gboolean on_idle(gpointer opaque)
{
    return on_readable(-1, 0, opaque);
}

static bool listen_socket(MigListener *l, const SocketAddr *a, Error **errp)
{
    l->fd = socket_listen(a, 32, errp);
    if (l->fd < 0) {
        return false;
    }
    l->local = socket_local_addr(l->fd, errp);
    if (!l->local) {
        close_fd(&l->fd);
        return false;
    }
    if (a->type == SOCKET_UNIX && !a->abstract) {
        l->unlink_path = g_strdup(a->path);
    }
    l->source = g_unix_fd_add(l->fd, G_IO_IN, on_connection, l);
    return true;
}

static bool wait_for_channel(MigListener *l, IOChannel *ioc)
{
    if (!ioc) {
        return false;
    }
    l->ready = ioc;
    l->source = ioc->klass->seekable
                    ? g_idle_add(on_idle, l)
                    : g_unix_fd_add(ioc->fd_in, G_IO_IN | G_IO_HUP | G_IO_ERR, on_readable, l);
    return true;
}

static bool is_listening(int fd)
{
    int listening = 0;
    socklen_t len = sizeof(listening);

    return !getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) && listening;
}

static bool listen_fd(MigListener *l, const SocketAddr *a, Error **errp)
{
    int fd = monitor_fd_param(a->fd, errp);
    IOChannel *ioc;

    if (fd < 0) {
        return false;
    }
    if (is_listening(fd)) {
        l->fd = fd;
        l->source = g_unix_fd_add(l->fd, G_IO_IN, on_connection, l);
        return true;
    }
    ioc = check_fd(fd, a->fd, errp) ? io_channel_fd_new(fd, errp) : NULL;
    if (ioc && ioc->fd_in < 0) {
        error_setg(errp, "fd:%s cannot be read", a->fd);
        g_clear_pointer(&ioc, io_channel_unref);
        return false;
    }
    if (!ioc) {
        close(fd);
    }
    return wait_for_channel(l, ioc);
}

static bool listener_start(MigListener *l, const MigrateAddress *a, Error **errp)
{
    switch (a->transport) {
    case MIG_TRANSPORT_EXEC:
        return wait_for_channel(
            l, io_channel_command_new((const char *const *)a->args, O_RDWR, errp));
    case MIG_TRANSPORT_FILE:
        return wait_for_channel(l, mig_file_open_in(a, errp));
    case MIG_TRANSPORT_SOCKET:
        return a->socket->type == SOCKET_FD ? listen_fd(l, a->socket, errp)
                                            : listen_socket(l, a->socket, errp);
    }
    g_assert_not_reached();
}

MigListener *mig_listener_new(const MigrateAddress *a, MigAccepted *accepted, void *opaque,
                              Error **errp)
{
    g_autofree char *what = migrate_address_to_str(a);
    MigListener *l;

    if (!check_exec(a, errp) || !mig_tls_check_incoming(a, errp)) {
        return NULL;
    }
    l = g_new0(MigListener, 1);
    l->accepted = accepted;
    l->opaque = opaque;
    l->fd = -1;
    if (!listener_start(l, a, errp)) {
        g_free(l);
        return NULL;
    }
    l->gate = mig_tls_gate_new(pass_on, l);
    trace_migration_listen(what);
    return l;
}

void mig_listener_free(MigListener *l)
{
    if (!l || l->dead) {
        return;
    }
    l->dead = true;
    /* Inside on_connection() the source goes away with its return value. */
    if (l->source && !l->in_source) {
        g_source_remove(l->source);
    }
    l->source = 0;
    close_fd(&l->fd);
    mig_tls_gate_free(g_steal_pointer(&l->gate));
    if (l->unlink_path) {
        unlink(l->unlink_path);
    }
    listener_release(l);
}

SocketAddress *mig_listener_address(const MigListener *l)
{
    return l->local ? socket_addr_to_qapi(l->local) : NULL;
}

const char *mig_listener_refusal(const MigListener *l)
{
    return mig_tls_gate_refusal(l->gate);
}

/* Accepting in a thread. */

struct MigAcceptor {
    int fd;            /* listening socket, -1: none */
    IOChannel *ready;  /* fd: of a connected socket, until it is taken */
    char *unlink_path; /* of a unix listener */
    SocketAddr *local;
};

static bool acceptor_start_fd(MigAcceptor *acceptor, const SocketAddr *a, Error **errp)
{
    int fd = monitor_fd_param(a->fd, errp);

    if (fd < 0) {
        return false;
    }
    if (is_listening(fd)) {
        acceptor->fd = fd;
        return true;
    }
    acceptor->ready = check_fd(fd, a->fd, errp) ? io_channel_fd_new(fd, errp) : NULL;
    if (!acceptor->ready) {
        close(fd);
        return false;
    }
    if (!acceptor->ready->two_way) {
        error_setg(errp, "fd:%s is one-way: postcopy needs a socket", a->fd);
        return false;
    }
    return true;
}

static bool acceptor_start(MigAcceptor *acceptor, const SocketAddr *a, Error **errp)
{
    if (a->type == SOCKET_FD) {
        return acceptor_start_fd(acceptor, a, errp);
    }
    acceptor->fd = socket_listen(a, 4, errp);
    if (acceptor->fd < 0) {
        return false;
    }
    if (a->type == SOCKET_UNIX && !a->abstract) {
        acceptor->unlink_path = g_strdup(a->path);
    }
    acceptor->local = socket_local_addr(acceptor->fd, errp);
    return acceptor->local != NULL;
}

MigAcceptor *mig_acceptor_new(const MigrateAddress *a, Error **errp)
{
    g_autoptr(MigAcceptor) acceptor = g_new0(MigAcceptor, 1);
    g_autofree char *what = migrate_address_to_str(a);

    acceptor->fd = -1;
    if (a->transport != MIG_TRANSPORT_SOCKET) {
        error_setg(errp, "%s carries bytes one way only: postcopy needs a socket", what);
        return NULL;
    }
    if (!acceptor_start(acceptor, a->socket, errp)) {
        return NULL;
    }
    trace_migration_listen(what);
    return g_steal_pointer(&acceptor);
}

void mig_acceptor_free(MigAcceptor *acceptor)
{
    if (acceptor) {
        close_fd(&acceptor->fd);
        if (acceptor->unlink_path) {
            unlink(acceptor->unlink_path);
        }
        io_channel_unref(acceptor->ready);
        g_free(acceptor->unlink_path);
        socket_addr_free(acceptor->local);
        g_free(acceptor);
    }
}

int mig_acceptor_fd(const MigAcceptor *acceptor)
{
    return acceptor->ready ? acceptor->ready->fd_in : acceptor->fd;
}

IOChannel *mig_acceptor_take(MigAcceptor *acceptor, Error **errp)
{
    struct pollfd pfd = { .fd = mig_acceptor_fd(acceptor), .events = POLLIN };
    int fd;

    if (pfd.fd < 0 || poll(&pfd, 1, 0) <= 0) {
        return NULL;
    }
    if (acceptor->ready) {
        return g_steal_pointer(&acceptor->ready);
    }
    fd = socket_accept(acceptor->fd, errp);
    return fd < 0 ? NULL : io_channel_socket_new(fd);
}

SocketAddress *mig_acceptor_address(const MigAcceptor *acceptor)
{
    return acceptor->local ? socket_addr_to_qapi(acceptor->local) : NULL;
}
