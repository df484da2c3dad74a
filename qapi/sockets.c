/*
 * Socket addresses of QMP, to and from those of io/.
 *
 * Pure.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qapi/sockets.h"

static bool inet_from_qapi(SocketAddr *s, const InetSocketAddress *in, Error **errp)
{
    s->type = SOCKET_INET;
    s->host = g_strdup(in->host);
    s->port = g_strdup(in->port);
    s->to = in->has_to ? in->to : 0;
    s->has_ipv4 = in->has_ipv4;
    s->ipv4 = in->ipv4;
    s->has_ipv6 = in->has_ipv6;
    s->ipv6 = in->ipv6;
    s->keep_alive = in->has_keep_alive && in->keep_alive;
    return true;
}

SocketAddr *socket_addr_from_qapi(const SocketAddress *a, Error **errp)
{
    g_autoptr(SocketAddr) s = g_new0(SocketAddr, 1);

    switch (a->type) {
    case SOCKET_ADDRESS_TYPE_INET:
        if (!inet_from_qapi(s, &a->u.inet, errp)) {
            return NULL;
        }
        break;
    case SOCKET_ADDRESS_TYPE_UNIX:
        s->type = SOCKET_UNIX;
        s->path = g_strdup(a->u.q_unix.path);
        s->abstract = a->u.q_unix.has_abstract && a->u.q_unix.abstract;
        s->tight = !a->u.q_unix.has_tight || a->u.q_unix.tight;
        break;
    case SOCKET_ADDRESS_TYPE_VSOCK:
        s->type = SOCKET_VSOCK;
        s->host = g_strdup(a->u.vsock.cid);
        s->port = g_strdup(a->u.vsock.port);
        break;
    case SOCKET_ADDRESS_TYPE_FD:
        s->type = SOCKET_FD;
        s->fd = g_strdup(a->u.fd.str);
        break;
    default:
        g_assert_not_reached();
    }
    return g_steal_pointer(&s);
}

SocketAddress *socket_addr_to_qapi(const SocketAddr *a)
{
    SocketAddress *q = g_new0(SocketAddress, 1);

    switch (a->type) {
    case SOCKET_INET:
        q->type = SOCKET_ADDRESS_TYPE_INET;
        q->u.inet.host = g_strdup(a->host);
        q->u.inet.port = g_strdup(a->port);
        q->u.inet.has_ipv4 = a->has_ipv4;
        q->u.inet.ipv4 = a->ipv4;
        q->u.inet.has_ipv6 = a->has_ipv6;
        q->u.inet.ipv6 = a->ipv6;
        break;
    case SOCKET_UNIX:
        q->type = SOCKET_ADDRESS_TYPE_UNIX;
        q->u.q_unix.path = g_strdup(a->path);
        q->u.q_unix.has_abstract = a->abstract;
        q->u.q_unix.abstract = a->abstract;
        q->u.q_unix.has_tight = a->abstract;
        q->u.q_unix.tight = a->tight;
        break;
    case SOCKET_VSOCK:
        q->type = SOCKET_ADDRESS_TYPE_VSOCK;
        q->u.vsock.cid = g_strdup(a->host);
        q->u.vsock.port = g_strdup(a->port);
        break;
    case SOCKET_FD:
        q->type = SOCKET_ADDRESS_TYPE_FD;
        q->u.fd.str = g_strdup(a->fd);
        break;
    }
    return q;
}
