/*
 * Channel over descriptors that are not sockets: pipes and terminals, one descriptor
 * for each direction or the same for both.
 *
 * Belongs to no thread.  The descriptors are made non-blocking, so that IO always waits
 * in poll() together with the eventfd of io_channel_shutdown().
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "io/channel-private.h"
#include "util/util.h"

ssize_t io_channel_fd_readv(IOChannel *ioc, const struct iovec *iov, size_t n, Error **errp)
{
    for (;;) {
        if (io_channel_check_shut(ioc, IO_SHUTDOWN_READ, errp)) {
            return -1;
        }
        ssize_t r = readv(ioc->fd_in, iov, n);
        if (r >= 0) {
            return r;
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK) {
            if (!io_channel_wait_fd(ioc, ioc->fd_in, IO_SHUTDOWN_READ, errp)) {
                return -1;
            }
        } else if (errno != EINTR) {
            error_setg_errno(errp, errno, "%s: cannot read", ioc->name);
            return -1;
        }
    }
}

ssize_t io_channel_fd_writev(IOChannel *ioc, const struct iovec *iov, size_t n, Error **errp)
{
    for (;;) {
        if (io_channel_check_shut(ioc, IO_SHUTDOWN_WRITE, errp)) {
            return -1;
        }
        ssize_t r = writev(ioc->fd_out, iov, n);
        if (r >= 0) {
            return r;
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK) {
            if (!io_channel_wait_fd(ioc, ioc->fd_out, IO_SHUTDOWN_WRITE, errp)) {
                return -1;
            }
        } else if (errno != EINTR) {
            error_setg_errno(errp, errno, "%s: cannot write", ioc->name);
            return -1;
        }
    }
}

static bool close_one(IOChannel *ioc, int *fd, Error **errp)
{
    int f = *fd;

    *fd = -1;
    if (f >= 0 && close(f) < 0 && errno != EINTR) {
        error_setg_errno(errp, errno, "%s: close", ioc->name);
        return false;
    }
    return true;
}

bool io_channel_fd_close(IOChannel *ioc, Error **errp)
{
    bool ok = true;

    if (ioc->fd_out != ioc->fd_in) {
        ok = close_one(ioc, &ioc->fd_out, errp);
    }
    ioc->fd_out = -1;
    return close_one(ioc, &ioc->fd_in, ok ? errp : NULL) && ok;
}

void io_channel_fd_free(IOChannel *ioc)
{
    if (ioc->fd_out != ioc->fd_in) {
        close_fd(&ioc->fd_out);
    }
    close_fd(&ioc->fd_in);
}

static const IOChannelClass fd_class = {
    .name = "fd",
    .readv = io_channel_fd_readv,
    .writev = io_channel_fd_writev,
    .close = io_channel_fd_close,
    .free = io_channel_fd_free,
};

IOChannel *io_channel_fd_new(int fd, Error **errp)
{
    struct stat st;
    int flags, mode;
    IOChannel *ioc;

    if (fstat(fd, &st) < 0 || (flags = fcntl(fd, F_GETFL)) < 0) {
        error_setg_errno(errp, errno, "file descriptor %d", fd);
        return NULL;
    }
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) {
        error_setg_errno(errp, errno, "file descriptor %d: close-on-exec", fd);
        return NULL;
    }
    if (S_ISSOCK(st.st_mode)) {
        return io_channel_socket_new(fd);
    }
    if (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode)) {
        return io_channel_file_new_fd(fd);
    }
    if (!fd_set_blocking(fd, false)) {
        error_setg_errno(errp, errno, "file descriptor %d: cannot make it non-blocking", fd);
        return NULL;
    }
    ioc = g_new0(IOChannel, 1);
    io_channel_init(ioc, &fd_class, "fd");
    mode = flags & O_ACCMODE;
    ioc->fd_in = mode == O_WRONLY ? -1 : fd;
    ioc->fd_out = mode == O_RDONLY ? -1 : fd;
    ioc->two_way = mode == O_RDWR && !S_ISFIFO(st.st_mode);
    return ioc;
}
