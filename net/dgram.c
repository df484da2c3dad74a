/*
 * Frames over a datagram socket, one each: netdev "dgram", and udp=, mcast=, fd= of netdev
 * "socket".  Main thread and whoever sends, machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "net/netdev.h"
#include "util/util.h"

typedef struct DgramNetdev {
    NetClient nc;
    int fd;
    GSource *in;
    struct sockaddr_storage remote; /* len 0: whoever the socket is connected to */
    socklen_t remote_len;
    char *unlink_path;  /* of a unix socket that we bound */
} DgramNetdev;

static gboolean dgram_readable(int fd, GIOCondition cond, gpointer opaque)
{
    DgramNetdev *d = opaque;
    static uint8_t buf[NET_FRAME_MAX]; /* machine lock */

    for (int i = 0; i < 64; i++) {
        if (!net_can_send(&d->nc)) {
            net_watch_drop(&d->in); /* until dgram_peer_ready() */
            return G_SOURCE_REMOVE;
        }
        ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
        if (n < 0) {
            break; /* nothing, or news that a frame was not delivered: that is not ours to mend */
        }
        if (n > 0) {
            net_send(&d->nc, buf, n);
        }
    }
    return G_SOURCE_CONTINUE;
}

static void dgram_peer_ready(NetClient *nc)
{
    DgramNetdev *d = (DgramNetdev *)nc;

    if (!d->in) {
        d->in = net_watch(d->fd, G_IO_IN, dgram_readable, d);
    }
}

/* What the socket does not take is lost, as datagrams are. */
static bool dgram_receive(NetClient *nc, const uint8_t *frame, size_t len)
{
    DgramNetdev *d = (DgramNetdev *)nc;
    ssize_t ignored G_GNUC_UNUSED =
        sendto(d->fd, frame, len, MSG_DONTWAIT | MSG_NOSIGNAL,
               d->remote_len ? (struct sockaddr *)&d->remote : NULL, d->remote_len);

    return true;
}

static void dgram_free(NetClient *nc)
{
    DgramNetdev *d = (DgramNetdev *)nc;

    net_watch_drop(&d->in);
    net_client_exit(nc);
    close_fd(&d->fd);
    if (d->unlink_path) {
        unlink(d->unlink_path);
        g_free(d->unlink_path);
    }
    g_free(d);
}

static const NetClientOps dgram_ops = {
    .type = "dgram",
    .receive = dgram_receive,
    .peer_ready = dgram_peer_ready,
    .free = dgram_free,
};

static DgramNetdev *dgram_new(const char *id, int fd, char *info)
{
    DgramNetdev *d = g_new0(DgramNetdev, 1);

    d->fd = fd;
    net_client_init(&d->nc, &dgram_ops, id, info);
    dgram_peer_ready(&d->nc);
    return d;
}

NetClient *net_dgram_from_fd(const char *id, int fd, const char *what)
{
    return &dgram_new(id, fd, g_strdup(what))->nc;
}

typedef struct NativeAddr {
    struct sockaddr_storage ss;
    socklen_t len;
} NativeAddr;

static bool native_inet(const SocketAddr *a, NativeAddr *ret, Error **errp)
{
    struct addrinfo hints = { .ai_family = AF_INET, .ai_socktype = SOCK_DGRAM };
    struct addrinfo *list = NULL;
    int r = getaddrinfo(a->host[0] ? a->host : "0.0.0.0", a->port, &hints, &list);

    if (r) {
        error_setg(errp, "cannot resolve '%s' port '%s' (IPv4): %s", a->host, a->port,
                   gai_strerror(r));
        return false;
    }
    memcpy(&ret->ss, list->ai_addr, list->ai_addrlen);
    ret->len = list->ai_addrlen;
    freeaddrinfo(list);
    return true;
}

static bool native_unix(const SocketAddr *a, NativeAddr *ret, Error **errp)
{
    struct sockaddr_un *un = (struct sockaddr_un *)&ret->ss;

    if (a->abstract || strlen(a->path) >= sizeof(un->sun_path)) {
        error_setg(errp, "'%s' is not the path of a datagram socket: it must be a file name "
                   "shorter than %zu bytes", a->path, sizeof(un->sun_path));
        return false;
    }
    *un = (struct sockaddr_un){ .sun_family = AF_UNIX };
    strcpy(un->sun_path, a->path);
    ret->len = sizeof(*un);
    return true;
}

static bool native(const SocketAddr *a, NativeAddr *ret, Error **errp)
{
    memset(ret, 0, sizeof(*ret));
    return !a || (a->type == SOCKET_INET ? native_inet : native_unix)(a, ret, errp);
}

static bool is_group(const NativeAddr *a)
{
    return a->ss.ss_family == AF_INET &&
           IN_MULTICAST(ntohl(((const struct sockaddr_in *)&a->ss)->sin_addr.s_addr));
}

/* Take part in a multicast group; local only says through which interface. */
static bool join_group(int fd, const NativeAddr *local, const NativeAddr *group, Error **errp)
{
    const struct sockaddr_in *g = (const struct sockaddr_in *)&group->ss;
    const struct sockaddr_in *l = (const struct sockaddr_in *)&local->ss;
    struct ip_mreq mreq = { .imr_multiaddr = g->sin_addr };
    int on = 1;

    if (local->len) {
        mreq.imr_interface = l->sin_addr;
    }
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
        bind(fd, (const struct sockaddr *)g, group->len) < 0 ||
        setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &mreq, sizeof(mreq)) < 0 ||
        setsockopt(fd, IPPROTO_IP, IP_MULTICAST_LOOP, &on, sizeof(on)) < 0 ||
        (local->len && setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &mreq.imr_interface,
                                  sizeof(mreq.imr_interface)) < 0)) {
        error_setg_errno(errp, errno, "cannot join the multicast group");
        return false;
    }
    return true;
}

static bool bind_local(int fd, const SocketAddr *local, const NativeAddr *addr, Error **errp)
{
    g_autofree char *what = socket_addr_to_str(local);
    int on = 1;

    if (local->type == SOCKET_UNIX && unlink(local->path) < 0 && errno != ENOENT) {
        error_setg_errno(errp, errno, "cannot replace '%s'", local->path);
        return false;
    }
    if (local->type == SOCKET_INET) {
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    }
    if (bind(fd, (const struct sockaddr *)&addr->ss, addr->len) < 0) {
        error_setg_errno(errp, errno, "cannot bind to %s", what);
        return false;
    }
    return true;
}

NetClient *net_dgram_open(const char *id, const SocketAddr *local, const SocketAddr *remote,
                          Error **errp)
{
    g_autofree char *from = local ? socket_addr_to_str(local) : NULL;
    g_autofree char *to = socket_addr_to_str(remote);
    g_auto(AutoFd) fd = -1;
    NativeAddr l, r;
    bool ok;

    if (!native(local, &l, errp) || !native(remote, &r, errp)) {
        return NULL;
    }
    fd = socket(r.ss.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        error_setg_errno(errp, errno, "cannot make a datagram socket");
        return NULL;
    }
    if (is_group(&r)) {
        ok = join_group(fd, &l, &r, errp);
    } else if (local) {
        ok = bind_local(fd, local, &l, errp);
    } else {
        error_setg(errp, "a local address is missing: it may be left out for a multicast group only");
        ok = false;
    }
    if (!ok) {
        return NULL;
    }
    DgramNetdev *d = dgram_new(id, fd, g_strdup_printf("%s%s%sremote=%s", from ? "local=" : "",
                                                     from ? from : "", from ? "," : "", to));
    fd = -1;
    d->remote = r.ss;
    d->remote_len = r.len;
    d->unlink_path = r.ss.ss_family == AF_UNIX ? g_strdup(local->path) : NULL;
    return &d->nc;
}

/* A datagram socket that is open already. */
static NetClient *dgram_given(const char *id, const SocketAddr *local, const SocketAddr *remote,
                              Error **errp)
{
    int type = 0, fd;
    socklen_t len = sizeof(type);

    if (remote) {
        error_setg(errp, "with a local file descriptor there is no remote address");
        return NULL;
    }
    fd = net_take_fd(local->fd, errp);
    if (fd < 0) {
        return NULL;
    }
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0 || type != SOCK_DGRAM) {
        error_setg(errp, "file descriptor %d is not a datagram socket", fd);
        close(fd);
        return NULL;
    }
    g_autofree char *what = g_strdup_printf("fd=%d", fd);
    return net_dgram_from_fd(id, fd, what);
}

NetClient *net_dgram_new(const char *id, JsonObject *opts, Error **errp)
{
    Error *err = NULL;
    g_autoptr(SocketAddr) local = net_take_address(opts, "local", &err);
    g_autoptr(SocketAddr) remote = err ? NULL : net_take_address(opts, "remote", &err);

    if (err) {
        error_propagate(errp, err);
        return NULL;
    }
    if (local && local->type == SOCKET_FD) {
        return dgram_given(id, local, remote, errp);
    }
    if (!remote) {
        error_setg(errp, "Parameter 'remote' is missing");
        return NULL;
    }
    if (remote->type == SOCKET_FD || (local && local->type != remote->type)) {
        error_setg(errp, "local and remote are both inet or both unix, or local alone is fd");
        return NULL;
    }
    return net_dgram_open(id, local, remote, errp);
}
