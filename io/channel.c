/*
 * Channels: what all classes have in common.
 *
 * Belongs to no thread: one reader and one writer at a time, shutdown from anywhere.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "io/channel.h"

#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>

#include "io/channel-private.h"
#include "trace/io.h"
#include "util/fault.h"
#include "util/util.h"

void io_channel_init(IOChannel *ioc, const IOChannelClass *klass, const char *name)
{
    ioc->klass = klass;
    ioc->ref = 1;
    ioc->name = g_strdup(name);
    ioc->fd_in = ioc->fd_out = -1;
    ioc->two_way = klass->two_way;
    ioc->shut = 0;
    for (int i = 0; i < 2; i++) {
        ioc->quit_fd[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (ioc->quit_fd[i] < 0) {
            g_error("cannot make an eventfd: %s", g_strerror(errno));
        }
    }
}

IOChannel *io_channel_ref(IOChannel *ioc)
{
    g_atomic_int_inc(&ioc->ref);
    return ioc;
}

void io_channel_unref(IOChannel *ioc)
{
    if (!ioc || !g_atomic_int_dec_and_test(&ioc->ref)) {
        return;
    }
    trace_io_channel_free(ioc, ioc->name);
    if (ioc->klass->free) {
        ioc->klass->free(ioc);
    }
    close_fd(&ioc->quit_fd[0]);
    close_fd(&ioc->quit_fd[1]);
    g_free(ioc->name);
    g_free(ioc);
}

void io_channel_set_name(IOChannel *ioc, const char *name)
{
    g_free(ioc->name);
    ioc->name = g_strdup(name);
}

bool io_channel_check_shut(IOChannel *ioc, IOShutdown how, Error **errp)
{
    if (g_atomic_int_get(&ioc->shut) & (1 << how)) {
        error_setg(errp, "%s: the channel was shut down", ioc->name);
        return true;
    }
    return false;
}

bool io_channel_wait_fd(IOChannel *ioc, int fd, IOShutdown how, Error **errp)
{
    struct pollfd pfd[2] = {
        { .fd = fd, .events = how == IO_SHUTDOWN_READ ? POLLIN : POLLOUT },
        { .fd = ioc->quit_fd[how], .events = POLLIN },
    };

    for (;;) {
        if (io_channel_check_shut(ioc, how, errp)) {
            return false;
        }
        int n = poll(pfd, 2, -1);
        if (n < 0 && errno != EINTR) {
            error_setg_errno(errp, errno, "%s: poll", ioc->name);
            return false;
        }
        if (n > 0 && pfd[0].revents && !pfd[1].revents) {
            return true;
        }
    }
}

/* poll() that goes on after a signal with what is left of timeout_ms (-1: no limit). */
static int poll_again(struct pollfd *fds, nfds_t n, int timeout_ms)
{
    int64_t end = timeout_ms > 0 ? host_clock_ms() + timeout_ms : 0;
    int ready;

    while ((ready = poll(fds, n, timeout_ms)) < 0 && errno == EINTR) {
        if (timeout_ms > 0) {
            timeout_ms = MAX(end - host_clock_ms(), 0);
        }
    }
    return ready;
}

static void count_moved(IOChannel *ioc, ssize_t n)
{
    if (n > 0) {
        __atomic_fetch_add(&ioc->moved, n, __ATOMIC_RELAXED);
    }
}

uint64_t io_channel_moved(const IOChannel *ioc)
{
    return __atomic_load_n(&ioc->moved, __ATOMIC_RELAXED);
}

uint64_t io_channel_unsent(const IOChannel *ioc)
{
    int fd = __atomic_load_n(&(ioc->inner ? ioc->inner : ioc)->fd_out, __ATOMIC_RELAXED);
    int n = 0;

    return fd >= 0 && (!ioctl(fd, TIOCOUTQ, &n) || !ioctl(fd, FIONREAD, &n)) ? n : 0;
}

/* Bytes that can be read although no descriptor says so. */
static bool has_pending(IOChannel *ioc)
{
    return ioc->fd_in < 0 || (ioc->klass->pending && ioc->klass->pending(ioc));
}

bool io_channel_wait_readable(IOChannel *ioc, int timeout_ms)
{
    struct pollfd pfd[2] = {
        { .fd = ioc->fd_in, .events = POLLIN },
        { .fd = ioc->quit_fd[IO_SHUTDOWN_READ], .events = POLLIN },
    };

    return has_pending(ioc) || poll_again(pfd, 2, timeout_ms) != 0;
}

static void add_poll(struct pollfd *pfd, unsigned *means, unsigned *n, int fd, short events,
                     unsigned ready)
{
    pfd[*n] = (struct pollfd){ .fd = fd, .events = events };
    means[(*n)++] = ready;
}

unsigned io_channel_poll(IOChannel *ioc, unsigned want, int other_fd, int timeout_ms)
{
    struct pollfd pfd[5];
    unsigned means[5], n = 0;
    unsigned ready = (want & IO_READY_READ) && has_pending(ioc) ? IO_READY_READ : 0;

    if (other_fd >= 0) {
        add_poll(pfd, means, &n, other_fd, POLLIN, IO_READY_OTHER);
    }
    if (want & IO_READY_READ) {
        add_poll(pfd, means, &n, ioc->fd_in, POLLIN, IO_READY_READ);
    }
    if (want & IO_READY_WRITE) {
        ready |= ioc->fd_out < 0 ? IO_READY_WRITE : 0;
        add_poll(pfd, means, &n, ioc->fd_out, POLLOUT, IO_READY_WRITE);
    }
    for (int i = 0; i < 2 && !ioc->klass->shutdown_wakes; i++) {
        if (want & (1 << i)) {
            add_poll(pfd, means, &n, ioc->quit_fd[i], POLLIN, 1 << i);
        }
    }
    if (poll_again(pfd, n, ready ? 0 : timeout_ms) > 0) {
        for (unsigned i = 0; i < n; i++) {
            ready |= pfd[i].revents ? means[i] : 0;
        }
    }
    return ready;
}

ssize_t io_channel_try_readv(IOChannel *ioc, const struct iovec *iov, size_t n, Error **errp)
{
    ssize_t r;

    if (!ioc->klass->try_readv) {
        return io_channel_wait_readable(ioc, 0) ? io_channel_readv(ioc, iov, n, errp)
                                                : IO_WOULD_BLOCK;
    }
    r = ioc->klass->try_readv(ioc, iov, MIN(n, IOV_MAX), errp);
    count_moved(ioc, r);
    if (r != IO_WOULD_BLOCK) {
        trace_io_channel_read(ioc, n, r);
    }
    return r;
}

ssize_t io_channel_readv(IOChannel *ioc, const struct iovec *iov, size_t n, Error **errp)
{
    ssize_t r = ioc->klass->readv(ioc, iov, MIN(n, IOV_MAX), errp);

    count_moved(ioc, r);
    trace_io_channel_read(ioc, n, r);
    return r;
}

/* A failure that was ordered for a write. */
static bool ordered_failure(IOChannel *ioc, Error **errp)
{
    int code = fault_point(FAULT_CHANNEL_WRITE) ? EPIPE
               : fault_point(FAULT_CHANNEL_NO_SPACE) ? ENOSPC : 0;

    if (!code) {
        return false;
    }
    if (code == EPIPE) {
        io_channel_shutdown(ioc, IO_SHUTDOWN_BOTH, NULL);
    }
    error_setg_errno(errp, code, "%s: cannot write", ioc->name);
    return true;
}

ssize_t io_channel_writev(IOChannel *ioc, const struct iovec *iov, size_t n, Error **errp)
{
    struct iovec byte;
    ssize_t r;

    if (!ioc->klass->writev) {
        error_setg(errp, "%s: the channel cannot be written", ioc->name);
        return -1;
    }
    if (ordered_failure(ioc, errp)) {
        return -1;
    }
    if (n && iov->iov_len && fault_point(FAULT_CHANNEL_SHORT)) {
        byte = (struct iovec){ iov->iov_base, 1 };
        iov = &byte;
        n = 1;
    }
    r = ioc->klass->writev(ioc, iov, MIN(n, IOV_MAX), errp);
    count_moved(ioc, r);
    trace_io_channel_write(ioc, n, r);
    return r;
}

ssize_t io_channel_peek(IOChannel *ioc, void *buf, size_t len, Error **errp)
{
    g_assert(ioc->klass->peek && len > 0 && len <= IO_PEEK_MAX);
    return ioc->klass->peek(ioc, buf, len, errp);
}

int io_channel_read_all(IOChannel *ioc, void *buf, size_t len, Error **errp)
{
    size_t done = 0;

    while (done < len) {
        struct iovec iov = { (char *)buf + done, len - done };
        ssize_t r = io_channel_readv(ioc, &iov, 1, errp);
        if (r < 0) {
            return -1;
        }
        if (r == 0) {
            if (!done) {
                return 0;
            }
            error_setg(errp, "%s: ended after %zu of %zu bytes", ioc->name, done, len);
            return -1;
        }
        done += r;
    }
    return 1;
}

bool io_channel_writev_all(IOChannel *ioc, const struct iovec *iov, size_t n, Error **errp)
{
    g_autofree struct iovec *rest = NULL; /* copy, made when a write ends inside an entry */
    struct iovec *cur = NULL;

    while (n > 0) {
        ssize_t r = io_channel_writev(ioc, cur ? cur : iov, n, errp);
        if (r < 0) {
            return false;
        }
        if (!cur) {
            size_t whole = 0;
            for (size_t i = 0; i < n; i++) {
                whole += iov[i].iov_len;
            }
            if ((size_t)r == whole) {
                return true;
            }
            rest = g_new(struct iovec, n);
            memcpy(rest, iov, n * sizeof(*iov));
            cur = rest;
        }
        while (n > 0 && (size_t)r >= cur->iov_len) {
            r -= cur->iov_len;
            cur++;
            n--;
        }
        if (n > 0) {
            cur->iov_base = (char *)cur->iov_base + r;
            cur->iov_len -= r;
        }
    }
    return true;
}

bool io_channel_shutdown(IOChannel *ioc, IOShutdown how, Error **errp)
{
    int bits = how == IO_SHUTDOWN_BOTH ? 3 : 1 << how;
    bool ok = true;

    trace_io_channel_shutdown(ioc, ioc->name, how);
    g_atomic_int_or((guint *)&ioc->shut, bits);
    if (ioc->klass->shutdown) {
        ok = ioc->klass->shutdown(ioc, how, errp);
    }
    for (int i = 0; i < 2; i++) {
        if (bits & (1 << i)) {
            uint64_t one = 1;
            ssize_t r = write(ioc->quit_fd[i], &one, sizeof(one));
            g_assert(r == sizeof(one) || errno == EAGAIN);
        }
    }
    return ok;
}

bool io_channel_close(IOChannel *ioc, Error **errp)
{
    trace_io_channel_close(ioc, ioc->name);
    return !ioc->klass->close || ioc->klass->close(ioc, errp);
}

static bool check_seekable(IOChannel *ioc, Error **errp)
{
    if (!ioc->klass->seekable) {
        error_setg(errp, "%s: a %s channel has no positions; a file has", ioc->name,
                   ioc->klass->name);
        return false;
    }
    return true;
}

int64_t io_channel_seek(IOChannel *ioc, int64_t offset, int whence, Error **errp)
{
    return check_seekable(ioc, errp) ? ioc->klass->seek(ioc, offset, whence, errp) : -1;
}

ssize_t io_channel_pread(IOChannel *ioc, void *buf, size_t len, uint64_t offset, Error **errp)
{
    return check_seekable(ioc, errp) ? ioc->klass->pread(ioc, buf, len, offset, errp) : -1;
}

ssize_t io_channel_pwrite(IOChannel *ioc, const void *buf, size_t len, uint64_t offset,
                          Error **errp)
{
    return check_seekable(ioc, errp) && !ordered_failure(ioc, errp)
               ? ioc->klass->pwrite(ioc, buf, len, offset, errp)
               : -1;
}

bool io_channel_pread_all(IOChannel *ioc, void *buf, size_t len, uint64_t offset, Error **errp)
{
    size_t done = 0;

    while (done < len) {
        ssize_t r = io_channel_pread(ioc, (char *)buf + done, len - done, offset + done, errp);

        if (r <= 0) {
            if (r == 0) {
                error_setg(errp, "%s: it ends at offset %" PRIu64 ", %zu bytes early", ioc->name,
                           offset + done, len - done);
            }
            return false;
        }
        done += r;
    }
    return true;
}

bool io_channel_pwrite_all(IOChannel *ioc, const void *buf, size_t len, uint64_t offset,
                           Error **errp)
{
    size_t done = 0;

    while (done < len) {
        ssize_t r = io_channel_pwrite(ioc, (const char *)buf + done, len - done, offset + done,
                                      errp);

        if (r < 0) {
            return false;
        }
        done += r;
    }
    return true;
}
