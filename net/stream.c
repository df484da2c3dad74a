/*
 * Frames over a stream socket: netdev "stream", and listen=, connect=, fd= of netdev
 * "socket".  Main thread and whoever sends, machine lock.
 *
 * On the wire each frame has its length in front, 4 bytes, big endian.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/uio.h>

#include "net/netdev.h"
#include "qapi/qapi-events.h"
#include "qapi/sockets.h"
#include "util/log.h"
#include "util/util.h"

enum { HEADER = 4, CONNECT_SECONDS = 3 };

typedef struct StreamNetdev {
    NetClient nc;
    SocketAddr *addr;   /* where it listens or connects; NULL: descriptor */
    char *idle_info;    /* info while nobody is connected */
    char *unlink_path;  /* of a unix listener */
    bool events;        /* NETDEV_STREAM_* are emitted */
    int listen_fd, fd;  /* -1: none */
    GSource *listen, *in, *out;
    uint8_t buf[HEADER + NET_FRAME_MAX]; /* what came and is not delivered */
    size_t have;
    GByteArray *rest;   /* of a frame that the socket did not take whole */
} StreamNetdev;

static uint32_t frame_length(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3];
}

static void listen_again(StreamNetdev *s);

static void disconnect(StreamNetdev *s)
{
    if (s->fd < 0) {
        return;
    }
    net_watch_drop(&s->in);
    net_watch_drop(&s->out);
    close_fd(&s->fd);
    s->have = 0;
    g_byte_array_set_size(s->rest, 0);
    net_set_info(&s->nc, g_strdup(s->idle_info));
    if (s->events) {
        qapi_event_send_netdev_stream_disconnected(s->nc.name);
    }
    net_ready(&s->nc); /* the peer need not wait for what is gone */
    listen_again(s);
}

/*
 * Hand over the whole frames in buf, as long as the peer takes them.  False: what came is
 * not a frame.
 */
static bool deliver(StreamNetdev *s)
{
    size_t at = 0;

    while (s->have - at >= HEADER) {
        uint32_t len = frame_length(s->buf + at);

        if (len > NET_FRAME_MAX) {
            warn_report("netdev '%s': disconnected: a frame of %u bytes is too long", s->nc.name,
                        len);
            return false;
        }
        if (s->have - at < HEADER + len || !net_can_send(&s->nc)) {
            break;
        }
        if (len) {
            net_send(&s->nc, s->buf + at + HEADER, len);
        }
        at += HEADER + len;
    }
    s->have -= at;
    memmove(s->buf, s->buf + at, s->have);
    return true;
}

/* Is a frame there that waits for the peer? */
static bool holds_frame(const StreamNetdev *s)
{
    return s->have >= HEADER && s->have - HEADER >= frame_length(s->buf);
}

static gboolean stream_readable(int fd, GIOCondition cond, gpointer opaque)
{
    StreamNetdev *s = opaque;
    ssize_t n = recv(fd, s->buf + s->have, sizeof(s->buf) - s->have, MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return G_SOURCE_CONTINUE;
    }
    if (n > 0) {
        s->have += n;
    }
    if (n <= 0 || !deliver(s)) {
        disconnect(s);
        return G_SOURCE_REMOVE;
    }
    if (holds_frame(s)) {
        net_watch_drop(&s->in); /* until stream_peer_ready() */
        return G_SOURCE_REMOVE;
    }
    return G_SOURCE_CONTINUE;
}

static void stream_peer_ready(NetClient *nc)
{
    StreamNetdev *s = (StreamNetdev *)nc;

    if (s->fd < 0 || s->in) {
        return;
    }
    if (!deliver(s)) {
        disconnect(s);
    } else if (!holds_frame(s)) {
        s->in = net_watch(s->fd, G_IO_IN, stream_readable, s);
    }
}

static gboolean stream_writable(int fd, GIOCondition cond, gpointer opaque)
{
    StreamNetdev *s = opaque;
    ssize_t n = send(fd, s->rest->data, s->rest->len, MSG_DONTWAIT | MSG_NOSIGNAL);

    if (n > 0) {
        g_byte_array_remove_range(s->rest, 0, n);
    }
    if (s->rest->len && (n >= 0 || errno == EAGAIN || errno == EINTR)) {
        return G_SOURCE_CONTINUE;
    }
    g_byte_array_set_size(s->rest, 0); /* a dead connection: the reader meets the end */
    net_watch_drop(&s->out);
    net_ready(&s->nc);
    return G_SOURCE_REMOVE;
}

static bool stream_can_receive(NetClient *nc)
{
    return !((StreamNetdev *)nc)->rest->len;
}

static bool stream_receive(NetClient *nc, const uint8_t *frame, size_t len)
{
    StreamNetdev *s = (StreamNetdev *)nc;
    uint8_t header[HEADER] = { len >> 24, len >> 16, len >> 8, len };
    struct iovec iov[2] = { { header, HEADER }, { (void *)frame, len } };
    struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };
    ssize_t n;

    if (s->fd < 0) {
        return true; /* a cable that ends nowhere */
    }
    n = sendmsg(s->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        return true; /* the reader meets the end */
    }
    n = MAX(n, 0);
    if (n < HEADER) {
        g_byte_array_append(s->rest, header + n, HEADER - n);
    }
    if (n < HEADER + len) {
        size_t sent = n > HEADER ? n - HEADER : 0;
        g_byte_array_append(s->rest, frame + sent, len - sent);
        s->out = net_watch(s->fd, G_IO_OUT, stream_writable, s);
    }
    return true;
}

static void connected(StreamNetdev *s, int fd, char *info)
{
    s->fd = fd;
    net_set_info(&s->nc, info);
    s->in = net_watch(fd, G_IO_IN, stream_readable, s);
    if (s->events) {
        g_autoptr(SocketAddress) addr = socket_addr_to_qapi(s->addr);
        qapi_event_send_netdev_stream_connected(s->nc.name, addr);
    }
}

static gboolean stream_accept(int listen_fd, GIOCondition cond, gpointer opaque)
{
    StreamNetdev *s = opaque;
    int fd = socket_accept(listen_fd, NULL);

    if (fd < 0) {
        return G_SOURCE_CONTINUE; /* the client gave up: wait for the next */
    }
    net_watch_drop(&s->listen);
    connected(s, fd, g_strdup_printf("%s,connected", s->idle_info));
    return G_SOURCE_REMOVE;
}

static void listen_again(StreamNetdev *s)
{
    if (s->listen_fd >= 0) {
        s->listen = net_watch(s->listen_fd, G_IO_IN, stream_accept, s);
    }
}

static void stream_free(NetClient *nc)
{
    StreamNetdev *s = (StreamNetdev *)nc;

    net_watch_drop(&s->listen);
    net_watch_drop(&s->in);
    net_watch_drop(&s->out);
    net_client_exit(nc);
    close_fd(&s->fd);
    close_fd(&s->listen_fd);
    if (s->unlink_path) {
        unlink(s->unlink_path);
        g_free(s->unlink_path);
    }
    socket_addr_free(s->addr);
    g_free(s->idle_info);
    g_byte_array_unref(s->rest);
    g_free(s);
}

static const NetClientOps stream_ops = {
    .type = "stream",
    .can_receive = stream_can_receive,
    .receive = stream_receive,
    .peer_ready = stream_peer_ready,
    .free = stream_free,
};
static const NetClientOps socket_ops = {
    .type = "socket",
    .can_receive = stream_can_receive,
    .receive = stream_receive,
    .peer_ready = stream_peer_ready,
    .free = stream_free,
};

/* info is taken over; events is what tells the two types apart. */
static StreamNetdev *stream_new(const char *id, const SocketAddr *addr, bool events, char *info)
{
    StreamNetdev *s = g_new0(StreamNetdev, 1);

    s->fd = s->listen_fd = -1;
    s->events = events;
    s->addr = addr ? socket_addr_copy(addr) : NULL;
    s->idle_info = info;
    s->rest = g_byte_array_new();
    net_client_init(&s->nc, events ? &stream_ops : &socket_ops, id, g_strdup(info));
    return s;
}

NetClient *net_stream_from_fd(const char *id, int fd, const char *what, Error **errp)
{
    struct sockaddr_storage ss;
    socklen_t len = sizeof(ss);
    StreamNetdev *s;

    if (getpeername(fd, (struct sockaddr *)&ss, &len) < 0) {
        error_setg_errno(errp, errno, "file descriptor %d is not connected", fd);
        close(fd);
        return NULL;
    }
    s = stream_new(id, NULL, false, g_strdup_printf("%s,disconnected", what));
    connected(s, fd, g_strdup(what));
    return &s->nc;
}

NetClient *net_stream_listen(const char *id, const SocketAddr *addr, bool events, Error **errp)
{
    g_autofree char *where = socket_addr_to_str(addr);
    int fd = addr->type == SOCKET_FD ? net_take_fd(addr->fd, errp) : socket_listen(addr, 1, errp);
    StreamNetdev *s;

    if (fd >= 0 && addr->type == SOCKET_FD && listen(fd, 1) < 0) {
        error_setg_errno(errp, errno, "cannot listen on file descriptor %d", fd);
        close_fd(&fd);
    }
    if (fd < 0) {
        return NULL;
    }
    s = stream_new(id, addr, events, g_strdup_printf("listen=%s", where));
    s->listen_fd = fd;
    if (addr->type == SOCKET_UNIX && !addr->abstract) {
        s->unlink_path = g_strdup(addr->path);
    }
    listen_again(s);
    return &s->nc;
}

/* A descriptor that becomes readable after so many seconds, or -1. */
static int alarm_fd(unsigned seconds)
{
    struct itimerspec when = { .it_value.tv_sec = seconds };
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);

    if (fd >= 0) {
        timerfd_settime(fd, 0, &when, NULL);
    }
    return fd;
}

NetClient *net_stream_connect(const char *id, const SocketAddr *addr, bool events, Error **errp)
{
    g_autofree char *where = socket_addr_to_str(addr);
    g_auto(AutoFd) patience = alarm_fd(CONNECT_SECONDS);
    int fd = addr->type == SOCKET_FD ? net_take_fd(addr->fd, errp)
                                     : socket_connect_cancellable(addr, patience, errp);
    StreamNetdev *s;

    if (fd < 0) {
        return NULL;
    }
    s = stream_new(id, addr, events, g_strdup_printf("connect=%s,disconnected", where));
    connected(s, fd, g_strdup_printf("connect=%s", where));
    return &s->nc;
}

NetClient *net_stream_new(const char *id, JsonObject *opts, Error **errp)
{
    Error *err = NULL;
    g_autoptr(SocketAddr) addr = net_take_address(opts, "addr", &err);
    bool server = false;

    if (err) {
        error_propagate(errp, err);
        return NULL;
    }
    if (!addr) {
        error_setg(errp, "Parameter 'addr' is missing");
        return NULL;
    }
    if (!options_take_bool(opts, "server", &server, errp)) {
        return NULL;
    }
    return server ? net_stream_listen(id, addr, true, errp)
                  : net_stream_connect(id, addr, true, errp);
}
