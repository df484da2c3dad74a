/*
 * Descriptor engine of the backends: reads with a GSource, writes through a queue.
 *
 * Service with its own lock (Chardev.lock).  Handlers are called from the thread of
 * the chardev's context only, never under the lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "chardev/backend.h"
#include "trace/chardev.h"
#include "util/util.h"

enum {
    READ_SIZE = 16 * 1024,
    QUEUE_LIMIT = 16 * 1024 * 1024,
    MAX_FDS_PER_MESSAGE = 16,
    MAX_FDS_WAITING = 64,
};

GSource *chardev_watch(Chardev *c, int fd, GIOCondition cond, GUnixFDSourceFunc fn)
{
    GSource *s = g_unix_fd_source_new(fd, cond);

    g_source_set_callback(s, G_SOURCE_FUNC(fn), c, NULL);
    g_source_attach(s, c->ctx);
    return s;
}

GSource *chardev_timer(Chardev *c, unsigned ms, GSourceFunc fn)
{
    GSource *s = g_timeout_source_new(ms);

    g_source_set_callback(s, fn, c, NULL);
    g_source_attach(s, c->ctx);
    return s;
}

void chardev_source_drop(GSource **s)
{
    if (*s) {
        g_source_destroy(*s);
        g_source_unref(*s);
        *s = NULL;
    }
}

/* Keep the descriptors that came with a message; too many are closed. */
static void keep_fds(Chardev *c, struct msghdr *msg)
{
    for (struct cmsghdr *cm = CMSG_FIRSTHDR(msg); cm; cm = CMSG_NXTHDR(msg, cm)) {
        if (cm->cmsg_level != SOL_SOCKET || cm->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        size_t n = (cm->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(cm) + i * sizeof(int), sizeof(int));
            g_mutex_lock(&c->lock);
            if (g_queue_get_length(&c->fds) < MAX_FDS_WAITING) {
                g_queue_push_tail(&c->fds, GINT_TO_POINTER(fd));
                fd = -1;
            }
            g_mutex_unlock(&c->lock);
            close_fd(&fd);
        }
    }
}

static ssize_t receive(Chardev *c, void *buf, size_t len)
{
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof(int) * MAX_FDS_PER_MESSAGE)];
    } control;
    struct iovec iov = { .iov_base = buf, .iov_len = len };
    struct msghdr msg = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control.space,
        .msg_controllen = sizeof(control.space),
    };
    ssize_t got;

    if (!c->is_socket) {
        return read(c->fd_in, buf, len);
    }
    got = recvmsg(c->fd_in, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (got >= 0) {
        keep_fds(c, &msg);
    }
    return got;
}

static void end_of_input(Chardev *c)
{
    trace_chardev_eof(c->id);
    if (c->klass->eof) {
        c->klass->eof(c);
    } else {
        chardev_io_stop(c);
    }
}

static gboolean on_hangup(int fd, GIOCondition cond, gpointer opaque)
{
    end_of_input(opaque);
    return G_SOURCE_REMOVE;
}

/* The front end is full: look for nothing but the end of the connection. */
static void pause_input(Chardev *c)
{
    g_mutex_lock(&c->lock);
    chardev_source_drop(&c->in);
    c->input_paused = true;
    if (c->is_socket) {
        c->in = chardev_watch(c, c->fd_in, G_IO_HUP | G_IO_ERR, on_hangup);
    }
    g_mutex_unlock(&c->lock);
}

static gboolean on_readable(int fd, GIOCondition cond, gpointer opaque)
{
    Chardev *c = opaque;
    uint8_t buf[READ_SIZE];
    int room = c->h.can_read ? c->h.can_read(c->h.opaque) : READ_SIZE;
    ssize_t got;

    if (room <= 0) {
        pause_input(c);
        return G_SOURCE_REMOVE;
    }
    got = receive(c, buf, MIN(room, READ_SIZE));
    if (got > 0) {
        trace_chardev_read(c->id, got);
        c->h.read(c->h.opaque, buf, got);
    } else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
        end_of_input(c);
    }
    /* A source that a handler dropped meanwhile stays dropped. */
    return G_SOURCE_CONTINUE;
}

void chardev_io_update(Chardev *c)
{
    g_mutex_lock(&c->lock);
    chardev_source_drop(&c->in);
    c->input_paused = false;
    if (c->fd_in >= 0 && c->attached) {
        c->in = chardev_watch(c, c->fd_in, G_IO_IN | G_IO_HUP | G_IO_ERR, on_readable);
    }
    g_mutex_unlock(&c->lock);
}

static bool is_socket(int fd)
{
    int type;
    socklen_t len = sizeof(type);

    return fd >= 0 && getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0;
}

void chardev_io_start(Chardev *c, int fd_in, int fd_out)
{
    g_mutex_lock(&c->lock);
    c->fd_in = fd_in;
    c->fd_out = fd_out;
    c->is_socket = is_socket(fd_in);
    c->broken = false;
    if (fd_in >= 0) {
        fd_set_blocking(fd_in, false);
    }
    if (fd_out >= 0) {
        fd_set_blocking(fd_out, false);
    }
    g_mutex_unlock(&c->lock);
    chardev_set_connected(c, true);
    chardev_io_update(c);
}

void chardev_io_stop(Chardev *c)
{
    gpointer fd;

    g_mutex_lock(&c->lock);
    chardev_source_drop(&c->in);
    chardev_source_drop(&c->out);
    if (c->fd_out == c->fd_in) {
        c->fd_out = -1;
    }
    close_fd(&c->fd_in);
    close_fd(&c->fd_out);
    g_byte_array_set_size(c->queue, 0);
    c->queue_pos = 0;
    while (g_queue_get_length(&c->fds) > 0) {
        fd = g_queue_pop_head(&c->fds);
        close(GPOINTER_TO_INT(fd));
    }
    g_mutex_unlock(&c->lock);
    chardev_set_connected(c, false);
}

/* Lock held.  Bytes written (0: would wait), -1 when the other side is gone. */
static ssize_t write_some(Chardev *c, const void *buf, size_t len)
{
    ssize_t n;

    do {
        n = c->is_socket ? send(c->fd_out, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL)
                         : write(c->fd_out, buf, len);
    } while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN) {
        return 0;
    }
    return n;
}

/* Lock held.  The reader sees the end of a socket and closes; others only lose output. */
static void output_failed(Chardev *c)
{
    trace_chardev_write_failed(c->id, errno);
    c->broken = true;
    g_byte_array_set_size(c->queue, 0);
    c->queue_pos = 0;
    if (c->is_socket) {
        shutdown(c->fd_out, SHUT_RDWR);
    }
}

/* Lock held.  Write what waits. */
static void drain(Chardev *c)
{
    while (!c->broken && c->queue_pos < c->queue->len) {
        ssize_t n = write_some(c, c->queue->data + c->queue_pos, c->queue->len - c->queue_pos);
        if (n < 0) {
            output_failed(c);
            return;
        }
        if (n == 0) {
            return;
        }
        c->queue_pos += n;
    }
    g_byte_array_set_size(c->queue, 0);
    c->queue_pos = 0;
}

static gboolean on_writable(int fd, GIOCondition cond, gpointer opaque)
{
    Chardev *c = opaque;

    g_mutex_lock(&c->lock);
    if (c->out && c->fd_out >= 0) {
        drain(c);
        if (c->queue->len == 0) {
            chardev_source_drop(&c->out);
        }
    }
    g_mutex_unlock(&c->lock);
    return G_SOURCE_CONTINUE;
}

/* Lock held.  Put bytes behind the queue; returns how many fit. */
static size_t enqueue(Chardev *c, const uint8_t *buf, size_t len)
{
    size_t waiting = c->queue->len - c->queue_pos;
    size_t fits = waiting < QUEUE_LIMIT ? MIN(len, QUEUE_LIMIT - waiting) : 0;

    if (c->queue_pos > c->queue->len / 2) {
        g_byte_array_remove_range(c->queue, 0, c->queue_pos);
        c->queue_pos = 0;
    }
    g_byte_array_append(c->queue, buf, fits);
    if (!c->out) {
        c->out = chardev_watch(c, c->fd_out, G_IO_OUT | G_IO_HUP | G_IO_ERR, on_writable);
    }
    if (fits < len) {
        trace_chardev_queue_full(c->id, len - fits);
    }
    return fits;
}

size_t chardev_io_write(Chardev *c, const void *buf, size_t len)
{
    const uint8_t *p = buf;
    size_t done = 0;

    g_mutex_lock(&c->lock);
    if (c->fd_out < 0 || c->broken) {
        done = len;
    } else if (c->queue->len == 0) {
        ssize_t n = write_some(c, p, len);
        if (n < 0) {
            output_failed(c);
            n = len;
        }
        done = n;
    }
    if (done < len) {
        done += enqueue(c, p + done, len - done);
    }
    g_mutex_unlock(&c->lock);
    return done;
}

void chardev_io_flush(Chardev *c, int64_t deadline_us)
{
    g_mutex_lock(&c->lock);
    while (c->fd_out >= 0 && !c->broken && c->queue->len > 0) {
        int64_t left = deadline_us - g_get_monotonic_time();
        struct pollfd pfd = { .fd = c->fd_out, .events = POLLOUT };
        if (left <= 0 || poll(&pfd, 1, (int)(left / 1000) + 1) == 0) {
            break;
        }
        drain(c);
    }
    g_mutex_unlock(&c->lock);
}

void chardev_io_move_sources(Chardev *c)
{
    g_mutex_lock(&c->lock);
    if (c->out) {
        chardev_source_drop(&c->out);
        c->out = chardev_watch(c, c->fd_out, G_IO_OUT | G_IO_HUP | G_IO_ERR, on_writable);
    }
    g_mutex_unlock(&c->lock);
    chardev_io_update(c);
}
