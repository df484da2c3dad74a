/*
 * Sockets: connect, listen, accept.
 *
 * Belongs to no thread; connecting blocks (a name look-up also).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <linux/vm_sockets.h>

#include "io/channel.h"
#include "trace/io.h"
#include "util/util.h"

/* A native address, whichever family. */
typedef struct NativeAddr {
    struct sockaddr_storage ss;
    socklen_t len;
} NativeAddr;

static bool native_unix(const SocketAddr *a, NativeAddr *ret, Error **errp)
{
    struct sockaddr_un *un = (struct sockaddr_un *)&ret->ss;
    size_t len = strlen(a->path);
    size_t room = sizeof(un->sun_path) - 1;

    if (len > room) {
        error_setg(errp, "socket path '%s' is longer than %zu bytes", a->path, room);
        return false;
    }
    memset(un, 0, sizeof(*un));
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path + (a->abstract ? 1 : 0), a->path, len);
    ret->len = sizeof(*un);
    if (a->abstract && a->tight) {
        ret->len = offsetof(struct sockaddr_un, sun_path) + 1 + len;
    }
    return true;
}

static bool native_vsock(const SocketAddr *a, NativeAddr *ret, Error **errp)
{
    struct sockaddr_vm *vm = (struct sockaddr_vm *)&ret->ss;
    uint64_t cid, port;

    if (!parse_u64(a->host, &cid) || cid > UINT32_MAX) {
        error_setg(errp, "vsock cid '%s' is not a number of 32 bits", a->host);
        return false;
    }
    if (!parse_u64(a->port, &port) || port > UINT32_MAX) {
        error_setg(errp, "vsock port '%s' is not a number of 32 bits", a->port);
        return false;
    }
    memset(vm, 0, sizeof(*vm));
    vm->svm_family = AF_VSOCK;
    vm->svm_cid = cid;
    vm->svm_port = port;
    ret->len = sizeof(*vm);
    return true;
}

/* Address family wanted by ipv4= and ipv6=; -1 with errp set when both are off. */
static int inet_family(const SocketAddr *a, Error **errp)
{
    bool v4 = a->has_ipv4 ? a->ipv4 : !(a->has_ipv6 && a->ipv6);
    bool v6 = a->has_ipv6 ? a->ipv6 : !(a->has_ipv4 && a->ipv4);

    if (!v4 && !v6) {
        error_setg(errp, "ipv4 and ipv6 cannot both be off");
        return -1;
    }
    return v4 && v6 ? AF_UNSPEC : v4 ? AF_INET : AF_INET6;
}

static struct addrinfo *resolve(const SocketAddr *a, bool passive, Error **errp)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
                              .ai_flags = passive ? AI_PASSIVE : AI_ADDRCONFIG };
    struct addrinfo *list = NULL;
    const char *host = a->host[0] ? a->host : NULL;
    uint64_t number;
    int r;

    /* getaddrinfo() takes a larger one modulo 65536. */
    if (parse_u64(a->port, &number) && number > 65535) {
        error_setg(errp, "port %s is not below 65536", a->port);
        return NULL;
    }
    hints.ai_family = inet_family(a, errp);
    if (hints.ai_family < 0) {
        return NULL;
    }
    r = getaddrinfo(host, a->port, &hints, &list);
    if (r && !passive) {
        hints.ai_flags = 0; /* loopback on a host without other interfaces */
        r = getaddrinfo(host, a->port, &hints, &list);
    }
    if (r) {
        error_setg(errp, "cannot resolve '%s' port '%s': %s", a->host, a->port, gai_strerror(r));
        return NULL;
    }
    return list;
}

/* Wait for a pending connect; 0 or an errno (ECANCELED). */
static int wait_connected(int fd, int cancel_fd)
{
    struct pollfd pfd[2] = { { .fd = fd, .events = POLLOUT },
                             { .fd = cancel_fd, .events = POLLIN } };
    socklen_t len = sizeof(int);
    int err = 0;

    while (poll(pfd, 2, -1) < 0) {
        if (errno != EINTR) {
            return errno;
        }
    }
    if (pfd[1].revents) {
        return ECANCELED;
    }
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0 ? errno : err;
}

/* A unix listener with a full backlog answers EAGAIN: look again soon. */
static int pause_or_cancel(int cancel_fd)
{
    struct pollfd pfd = { .fd = cancel_fd, .events = POLLIN };

    return poll(&pfd, 1, 10) > 0 ? ECANCELED : 0;
}

/* Connected descriptor in blocking mode, or -1 with errno set. */
static int connect_native(int family, const struct sockaddr *sa, socklen_t len, int cancel_fd)
{
    g_auto(AutoFd) fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int err = 0;

    if (fd < 0) {
        return -1;
    }
    while (connect(fd, sa, len) < 0) {
        if (errno == EAGAIN && family == AF_UNIX) {
            err = pause_or_cancel(cancel_fd);
        } else if (errno == EINPROGRESS || errno == EINTR) {
            err = wait_connected(fd, cancel_fd);
            if (!err) {
                break;
            }
        } else if (errno == EISCONN) {
            break;
        } else {
            err = errno;
        }
        if (err) {
            errno = err;
            return -1;
        }
    }
    if (!fd_set_blocking(fd, true)) {
        return -1;
    }
    int done = fd;
    fd = -1;
    return done;
}

static int connect_inet(const SocketAddr *a, int cancel_fd, Error **errp)
{
    struct addrinfo *list = resolve(a, false, errp);
    int fd = -1, err = 0, on = 1;

    if (!list) {
        return -1;
    }
    for (struct addrinfo *ai = list; ai && fd < 0 && err != ECANCELED; ai = ai->ai_next) {
        fd = connect_native(ai->ai_family, ai->ai_addr, ai->ai_addrlen, cancel_fd);
        err = errno;
    }
    freeaddrinfo(list);
    if (fd < 0) {
        error_setg_errno(errp, err, "cannot connect to %s port %s", a->host, a->port);
        return -1;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (a->keep_alive) {
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    }
    return fd;
}

static int fd_of_addr(const SocketAddr *a, Error **errp)
{
    uint64_t n;

    if (!parse_u64(a->fd, &n) || n > INT32_MAX) {
        error_setg(errp, "'%s' is not a file descriptor number", a->fd);
        return -1;
    }
    return n;
}

int socket_connect_cancellable(const SocketAddr *a, int cancel_fd, Error **errp)
{
    g_autofree char *what = socket_addr_to_str(a);
    NativeAddr na;
    int fd = -1;

    switch (a->type) {
    case SOCKET_INET:
        fd = connect_inet(a, cancel_fd, errp);
        break;
    case SOCKET_FD:
        fd = fd_of_addr(a, errp);
        break;
    case SOCKET_UNIX:
    case SOCKET_VSOCK:
        if (!(a->type == SOCKET_UNIX ? native_unix : native_vsock)(a, &na, errp)) {
            return -1;
        }
        fd = connect_native(na.ss.ss_family, (struct sockaddr *)&na.ss, na.len, cancel_fd);
        if (fd < 0) {
            error_setg_errno(errp, errno, "cannot connect to %s", what);
        }
        break;
    }
    trace_io_socket_connect(what, fd);
    return fd;
}

int socket_connect(const SocketAddr *a, Error **errp)
{
    return socket_connect_cancellable(a, -1, errp);
}

static int listen_native(const struct sockaddr *sa, socklen_t len, int backlog, bool dual)
{
    g_auto(AutoFd) fd = socket(sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1, only6 = !dual, done;

    if (fd < 0) {
        return -1;
    }
    if (sa->sa_family == AF_INET || sa->sa_family == AF_INET6) {
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    }
    if (sa->sa_family == AF_INET6) {
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only6, sizeof(only6));
    }
    if (sa->sa_family == AF_UNIX) {
        /* Nobody but owner and group, as umask allows; not by umask(), which is everybody's. */
        fchmod(fd, 0770);
    }
    if (bind(fd, sa, len) < 0 || listen(fd, backlog) < 0) {
        return -1;
    }
    done = fd;
    fd = -1;
    return done;
}

static void set_port(struct sockaddr *sa, uint16_t port)
{
    if (sa->sa_family == AF_INET) {
        ((struct sockaddr_in *)sa)->sin_port = htons(port);
    } else {
        ((struct sockaddr_in6 *)sa)->sin6_port = htons(port);
    }
}

static uint16_t get_port(const struct sockaddr *sa)
{
    return ntohs(sa->sa_family == AF_INET ? ((const struct sockaddr_in *)sa)->sin_port
                                          : ((const struct sockaddr_in6 *)sa)->sin6_port);
}

static int listen_inet(const SocketAddr *a, int backlog, Error **errp)
{
    struct addrinfo *list = resolve(a, true, errp);
    int fd = -1, err = 0;
    unsigned first, last;
    bool dual = !(a->has_ipv4 && !a->ipv4) && !(a->has_ipv6 && a->ipv6 && !a->has_ipv4);

    if (!list) {
        return -1;
    }
    first = get_port(list->ai_addr);
    last = a->to ? a->to : first;
    if (last < first) {
        error_setg(errp, "to=%u is below port %u", last, first);
        freeaddrinfo(list);
        return -1;
    }
    for (unsigned port = first; port <= last && fd < 0; port++) {
        for (struct addrinfo *ai = list; ai && fd < 0; ai = ai->ai_next) {
            set_port(ai->ai_addr, port);
            fd = listen_native(ai->ai_addr, ai->ai_addrlen, backlog, dual);
            err = errno;
        }
    }
    freeaddrinfo(list);
    if (fd < 0) {
        error_setg_errno(errp, err, "cannot listen on '%s' port %s", a->host, a->port);
    }
    return fd;
}

int socket_listen(const SocketAddr *a, int backlog, Error **errp)
{
    g_autofree char *what = socket_addr_to_str(a);
    NativeAddr na;
    int fd = -1;

    switch (a->type) {
    case SOCKET_INET:
        fd = listen_inet(a, backlog, errp);
        break;
    case SOCKET_FD:
        fd = fd_of_addr(a, errp);
        if (fd >= 0 && listen(fd, backlog) < 0) {
            error_setg_errno(errp, errno, "cannot listen on file descriptor %d", fd);
            fd = -1;
        }
        break;
    case SOCKET_UNIX:
    case SOCKET_VSOCK:
        if (!(a->type == SOCKET_UNIX ? native_unix : native_vsock)(a, &na, errp)) {
            return -1;
        }
        if (a->type == SOCKET_UNIX && !a->abstract && unlink(a->path) < 0 && errno != ENOENT) {
            error_setg_errno(errp, errno, "cannot replace '%s'", a->path);
            return -1;
        }
        fd = listen_native((struct sockaddr *)&na.ss, na.len, backlog, false);
        if (fd < 0) {
            error_setg_errno(errp, errno, "cannot listen on %s", what);
        }
        break;
    }
    trace_io_socket_listen(what, fd);
    return fd;
}

static void local_unix(SocketAddr *a, const struct sockaddr_un *un, socklen_t len)
{
    size_t n = len - offsetof(struct sockaddr_un, sun_path);

    a->type = SOCKET_UNIX;
    a->tight = true;
    if (n && !un->sun_path[0]) {
        a->abstract = true;
        a->tight = n < sizeof(un->sun_path);
        a->path = g_strndup(un->sun_path + 1, n - 1);
    } else {
        a->path = g_strndup(un->sun_path, n);
    }
}

SocketAddr *socket_local_addr(int fd, Error **errp)
{
    g_autoptr(SocketAddr) a = g_new0(SocketAddr, 1);
    struct sockaddr_storage ss;
    socklen_t len = sizeof(ss);
    char host[NI_MAXHOST], port[NI_MAXSERV];

    if (getsockname(fd, (struct sockaddr *)&ss, &len) < 0) {
        error_setg_errno(errp, errno, "file descriptor %d has no socket address", fd);
        return NULL;
    }
    switch (ss.ss_family) {
    case AF_UNIX:
        local_unix(a, (struct sockaddr_un *)&ss, len);
        break;
    case AF_VSOCK:
        a->type = SOCKET_VSOCK;
        a->host = g_strdup_printf("%u", ((struct sockaddr_vm *)&ss)->svm_cid);
        a->port = g_strdup_printf("%u", ((struct sockaddr_vm *)&ss)->svm_port);
        break;
    case AF_INET:
    case AF_INET6:
        a->type = SOCKET_INET;
        if (getnameinfo((struct sockaddr *)&ss, len, host, sizeof(host), port, sizeof(port),
                        NI_NUMERICHOST | NI_NUMERICSERV)) {
            error_setg(errp, "cannot print the address of file descriptor %d", fd);
            return NULL;
        }
        a->host = g_strdup(host);
        a->port = g_strdup(port);
        break;
    default:
        error_setg(errp, "file descriptor %d has a socket of unknown family %d", fd, ss.ss_family);
        return NULL;
    }
    return g_steal_pointer(&a);
}

int socket_accept(int listen_fd, Error **errp)
{
    int on = 1, fd;

    do {
        fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
    } while (fd < 0 && (errno == EINTR || errno == ECONNABORTED));
    if (fd < 0) {
        error_setg_errno(errp, errno, "cannot accept a connection");
        return -1;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    trace_io_socket_accept(listen_fd, fd);
    return fd;
}
