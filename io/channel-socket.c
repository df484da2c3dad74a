/*
 * Channel over a connected stream socket.
 *
 * Belongs to no thread.  The descriptor's blocking mode is left as it was found (it may
 * be shared with another process); IO waits on either kind.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "io/channel-private.h"
#include "util/util.h"

static ssize_t receive(IOChannel *ioc, const struct iovec *iov, size_t n, int flags, Error **errp)
{
    struct msghdr msg = { .msg_iov = (struct iovec *)iov, .msg_iovlen = n };

    for (;;) {
        if (io_channel_check_shut(ioc, IO_SHUTDOWN_READ, errp)) {
            return -1;
        }
        ssize_t r = recvmsg(ioc->fd_in, &msg, MSG_CMSG_CLOEXEC | flags);
        if (r > 0) {
            return r;
        }
        if (r == 0) {
            return io_channel_check_shut(ioc, IO_SHUTDOWN_READ, errp) ? -1 : 0;
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK) {
            if (flags & MSG_DONTWAIT) {
                return IO_WOULD_BLOCK;
            }
            if (!io_channel_wait_fd(ioc, ioc->fd_in, IO_SHUTDOWN_READ, errp)) {
                return -1;
            }
        } else if (errno != EINTR) {
            error_setg_errno(errp, errno, "%s: cannot read from the socket", ioc->name);
            return -1;
        }
    }
}

static ssize_t socket_readv(IOChannel *ioc, const struct iovec *iov, size_t n, Error **errp)
{
    return receive(ioc, iov, n, 0, errp);
}

static ssize_t socket_try_readv(IOChannel *ioc, const struct iovec *iov, size_t n, Error **errp)
{
    return receive(ioc, iov, n, MSG_DONTWAIT, errp);
}

static ssize_t socket_peek(IOChannel *ioc, void *buf, size_t len, Error **errp)
{
    struct iovec iov = { buf, len };

    return receive(ioc, &iov, 1, MSG_PEEK | MSG_DONTWAIT, errp);
}

static ssize_t socket_writev(IOChannel *ioc, const struct iovec *iov, size_t n, Error **errp)
{
    struct msghdr msg = { .msg_iov = (struct iovec *)iov, .msg_iovlen = n };

    for (;;) {
        if (io_channel_check_shut(ioc, IO_SHUTDOWN_WRITE, errp)) {
            return -1;
        }
        ssize_t r = sendmsg(ioc->fd_out, &msg, MSG_NOSIGNAL);
        if (r >= 0) {
            return r;
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK) {
            if (!io_channel_wait_fd(ioc, ioc->fd_out, IO_SHUTDOWN_WRITE, errp)) {
                return -1;
            }
        } else if (errno != EINTR) {
            int err = errno;
            if (!io_channel_check_shut(ioc, IO_SHUTDOWN_WRITE, errp)) {
                error_setg_errno(errp, err, "%s: cannot write to the socket", ioc->name);
            }
            return -1;
        }
    }
}

static bool socket_shutdown(IOChannel *ioc, IOShutdown how, Error **errp)
{
    static const int native[] = {
        [IO_SHUTDOWN_READ] = SHUT_RD,
        [IO_SHUTDOWN_WRITE] = SHUT_WR,
        [IO_SHUTDOWN_BOTH] = SHUT_RDWR,
    };

    if (ioc->fd_in >= 0 && shutdown(ioc->fd_in, native[how]) < 0 && errno != ENOTCONN) {
        error_setg_errno(errp, errno, "%s: cannot shut the socket down", ioc->name);
        return false;
    }
    return true;
}

static const IOChannelClass socket_class = {
    .name = "socket",
    .two_way = true,
    .shutdown_wakes = true,
    .readv = socket_readv,
    .try_readv = socket_try_readv,
    .writev = socket_writev,
    .peek = socket_peek,
    .shutdown = socket_shutdown,
    .close = io_channel_fd_close,
    .free = io_channel_fd_free,
};

IOChannel *io_channel_socket_new(int fd)
{
    IOChannel *ioc = g_new0(IOChannel, 1);
    /* A host that is gone is noticed after a minute also by who only listens. */
    const int on = 1, idle = 30, interval = 10, count = 3;

    io_channel_init(ioc, &socket_class, "socket");
    ioc->fd_in = ioc->fd_out = fd;
    /* These fail on sockets that are not TCP, which have no such delay and no lost hosts. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    return ioc;
}

bool io_channel_is_socket(const IOChannel *ioc)
{
    return (ioc->inner ? ioc->inner : ioc)->klass == &socket_class;
}

static void set_buffer(int fd, int force, int option, size_t bytes)
{
    int n = MIN(bytes, (size_t)INT32_MAX / 2);

    if (setsockopt(fd, SOL_SOCKET, force, &n, sizeof(n)) < 0) {
        setsockopt(fd, SOL_SOCKET, option, &n, sizeof(n));
    }
}

void io_channel_set_send_buffer(IOChannel *ioc, size_t bytes)
{
    if (io_channel_is_socket(ioc)) {
        ioc = ioc->inner ? ioc->inner : ioc;
        set_buffer(ioc->fd_out, SO_SNDBUFFORCE, SO_SNDBUF, bytes);
    }
}

void io_channel_set_recv_buffer(IOChannel *ioc, size_t bytes)
{
    if (io_channel_is_socket(ioc)) {
        ioc = ioc->inner ? ioc->inner : ioc;
        set_buffer(ioc->fd_in, SO_RCVBUFFORCE, SO_RCVBUF, bytes);
    }
}
