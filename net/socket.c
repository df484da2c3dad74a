/*
 * netdev "socket": the older spelling of "stream" and "dgram".  Main thread, machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <sys/socket.h>

#include "net/netdev.h"
#include "util/util.h"

typedef struct SocketOptions {
    char *fd, *listen, *connect, *mcast, *udp, *localaddr;
} SocketOptions;

static void socket_options_clear(SocketOptions *o)
{
    g_free(o->fd);
    g_free(o->listen);
    g_free(o->connect);
    g_free(o->mcast);
    g_free(o->udp);
    g_free(o->localaddr);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(SocketOptions, socket_options_clear)

static NetClient *from_fd(const char *id, const char *text, Error **errp)
{
    g_autofree char *what = NULL;
    socklen_t len = sizeof(int);
    int fd = net_take_fd(text, errp), type = 0;

    if (fd < 0) {
        return NULL;
    }
    what = g_strdup_printf("fd=%d", fd);
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_STREAM) {
        return net_stream_from_fd(id, fd, what, errp);
    }
    if (type == SOCK_DGRAM) {
        return net_dgram_from_fd(id, fd, what);
    }
    error_setg(errp, "file descriptor %d is not a stream or datagram socket", fd);
    close(fd);
    return NULL;
}

/* mcast=GROUP:PORT[,localaddr=INTERFACE] or udp=HOST:PORT,localaddr=HOST:PORT */
static NetClient *datagrams(const char *id, const SocketOptions *o, Error **errp)
{
    g_autofree char *interface = o->mcast && o->localaddr ? g_strconcat(o->localaddr, ":0", NULL)
                                                          : NULL;
    const char *from = interface ? interface : o->localaddr;
    g_autoptr(SocketAddr) local = from ? net_parse_host_port(from, errp) : NULL;
    g_autoptr(SocketAddr) remote = NULL;

    if (from && !local) {
        return NULL;
    }
    remote = net_parse_host_port(o->mcast ? o->mcast : o->udp, errp);
    return remote ? net_dgram_open(id, local, remote, errp) : NULL;
}

NetClient *net_socket_new(const char *id, JsonObject *opts, Error **errp)
{
    g_auto(SocketOptions) o = { NULL };
    JsonNode *fd = json_object_get_member(opts, "fd");
    g_autoptr(SocketAddr) addr = NULL;

    o.fd = options_value_text(fd);
    if (fd) {
        json_object_remove_member(opts, "fd");
    }
    if (!options_take_str(opts, "listen", &o.listen, errp) ||
        !options_take_str(opts, "connect", &o.connect, errp) ||
        !options_take_str(opts, "mcast", &o.mcast, errp) ||
        !options_take_str(opts, "udp", &o.udp, errp) ||
        !options_take_str(opts, "localaddr", &o.localaddr, errp)) {
        return NULL;
    }
    if (!o.fd + !o.listen + !o.connect + !o.mcast + !o.udp != 4) {
        error_setg(errp, "exactly one of listen=, connect=, mcast=, udp= or fd= is required");
        return NULL;
    }
    if (o.localaddr ? !o.mcast && !o.udp : o.udp != NULL) {
        error_setg(errp, "localaddr= belongs to udp= (where it is required) and mcast=");
        return NULL;
    }
    if (o.fd) {
        return from_fd(id, o.fd, errp);
    }
    if (o.mcast || o.udp) {
        return datagrams(id, &o, errp);
    }
    addr = net_parse_host_port(o.listen ? o.listen : o.connect, errp);
    if (!addr) {
        return NULL;
    }
    return o.listen ? net_stream_listen(id, addr, false, errp)
                    : net_stream_connect(id, addr, false, errp);
}
