/*
 * Backend "socket": unix, TCP or an inherited descriptor; server or client.
 *
 * Thread of the chardev's context, except for the short-lived thread that connects a
 * client again (it touches nothing but its Attempt).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "chardev/backend.h"
#include "io/channel.h"
#include "monitor/monitor.h"
#include "monitor/yank.h"
#include "util/log.h"
#include "util/options.h"
#include "util/util.h"

typedef struct Attempt Attempt;

typedef struct SocketChardev {
    Chardev base;
    SocketAddr *addr;
    char *local;        /* address as text, for query-chardev */
    char *peer;         /* of the connection, inet only; NULL: none */
    bool server, wait, nodelay;
    unsigned reconnect_ms; /* 0: never */
    char *unlink_path;  /* made by us; NULL: nothing to remove */
    int listen_fd;
    GSource *listen;    /* while nobody is connected */
    GSource *retry;
    Attempt *attempt;   /* running thread, or NULL */
} SocketChardev;

/* One try to connect, in a thread: given away to it, comes back with an idle source. */
struct Attempt {
    SocketChardev *owner; /* context thread; NULL: nobody waits any more */
    GMainContext *ctx;
    SocketAddr *addr;
    int fd;
    GMutex lock;          /* guards `owner` between close and the idle callback */
};

static SocketChardev *socket_of(const Chardev *c)
{
    return (SocketChardev *)c;
}

static char *numeric_name(int fd, bool peer)
{
    struct sockaddr_storage ss;
    socklen_t len = sizeof(ss);
    char host[NI_MAXHOST], port[NI_MAXSERV];
    int rc = peer ? getpeername(fd, (struct sockaddr *)&ss, &len)
                  : getsockname(fd, (struct sockaddr *)&ss, &len);

    if (rc < 0) {
        return NULL;
    }
    if (ss.ss_family == AF_UNIX) {
        const struct sockaddr_un *un = (const struct sockaddr_un *)&ss;
        size_t n = len > offsetof(struct sockaddr_un, sun_path)
                       ? len - offsetof(struct sockaddr_un, sun_path) : 0;
        g_autofree char *path = g_strndup(un->sun_path, n);
        return g_strdup_printf("unix:%s", path);
    }
    if (getnameinfo((struct sockaddr *)&ss, len, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV)) {
        return NULL;
    }
    return g_strdup_printf(ss.ss_family == AF_INET6 ? "tcp:[%s]:%s" : "tcp:%s:%s", host, port);
}

static void connected(SocketChardev *s, int fd)
{
    int on = 1;

    if (s->nodelay) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    }
    g_free(s->peer);
    s->peer = numeric_name(fd, true);
    chardev_io_start(&s->base, fd, fd);
}

static gboolean on_connection(int listen_fd, GIOCondition cond, gpointer opaque)
{
    SocketChardev *s = opaque;
    g_autoptr(Error) err = NULL;
    int fd = socket_accept(listen_fd, &err);

    if (fd < 0) {
        return G_SOURCE_CONTINUE; /* the client gave up: wait for the next */
    }
    chardev_source_drop(&s->listen);
    connected(s, fd);
    return G_SOURCE_REMOVE;
}

static void listen_again(SocketChardev *s)
{
    if (s->listen_fd >= 0 && !s->listen && !chardev_connected(&s->base)) {
        s->listen = chardev_watch(&s->base, s->listen_fd, G_IO_IN, on_connection);
    }
}

static void retry_later(SocketChardev *s);

static void attempt_free(Attempt *a)
{
    close_fd(&a->fd);
    socket_addr_free(a->addr);
    if (a->ctx) {
        g_main_context_unref(a->ctx);
    }
    g_mutex_clear(&a->lock);
    g_free(a);
}

static gboolean attempt_done(gpointer opaque)
{
    Attempt *a = opaque;
    SocketChardev *s;

    g_mutex_lock(&a->lock);
    s = a->owner;
    g_mutex_unlock(&a->lock);
    if (s) {
        s->attempt = NULL;
        if (a->fd >= 0) {
            int fd = a->fd;
            a->fd = -1;
            connected(s, fd);
        } else {
            retry_later(s);
        }
    }
    attempt_free(a);
    return G_SOURCE_REMOVE;
}

static gpointer attempt_run(gpointer opaque)
{
    Attempt *a = opaque;
    g_autoptr(GSource) idle = g_idle_source_new();

    a->fd = socket_connect(a->addr, NULL);
    g_source_set_priority(idle, G_PRIORITY_DEFAULT);
    g_source_set_callback(idle, attempt_done, a, NULL);
    g_source_attach(idle, a->ctx);
    return NULL;
}

/* Resolving a name or connecting may take long: never in the main thread. */
static gboolean try_connect(gpointer opaque)
{
    SocketChardev *s = opaque;
    Attempt *a = g_new0(Attempt, 1);

    chardev_source_drop(&s->retry);
    a->owner = s;
    a->ctx = s->base.ctx ? g_main_context_ref(s->base.ctx) : NULL;
    a->addr = socket_addr_copy(s->addr);
    a->fd = -1;
    g_mutex_init(&a->lock);
    s->attempt = a;
    g_thread_unref(thread_start("chardev-connect", attempt_run, a));
    return G_SOURCE_REMOVE;
}

static void retry_later(SocketChardev *s)
{
    if (s->reconnect_ms && !s->retry && !s->attempt) {
        s->retry = chardev_timer(&s->base, s->reconnect_ms, try_connect);
    }
}

static void socket_eof(Chardev *c)
{
    SocketChardev *s = socket_of(c);

    chardev_io_stop(c);
    g_clear_pointer(&s->peer, g_free);
    if (s->server) {
        listen_again(s);
    } else {
        retry_later(s);
    }
}

static bool refuse_unsupported(JsonObject *opts, Error **errp)
{
    static const char *const flags[] = { "telnet", "tn3270", "websocket", NULL };
    bool on = false;

    for (const char *const *f = flags; *f; f++) {
        if (!options_take_bool(opts, *f, &on, errp)) {
            return false;
        }
        if (on) {
            error_setg(errp, "parameter '%s' is not supported", *f);
            return false;
        }
    }
    if (json_object_has_member(opts, "tls-creds") || json_object_has_member(opts, "tls-authz")) {
        error_setg(errp, "TLS is not supported for character devices");
        return false;
    }
    return true;
}

static bool take_inet(SocketAddr *a, JsonObject *opts, Error **errp)
{
    uint64_t to = 0;

    a->type = SOCKET_INET;
    a->has_ipv4 = json_object_has_member(opts, "ipv4");
    a->has_ipv6 = json_object_has_member(opts, "ipv6");
    if (!options_take_str(opts, "host", &a->host, errp) ||
        !options_take_u64(opts, "to", UINT16_MAX, &to, errp) ||
        !options_take_bool(opts, "ipv4", &a->ipv4, errp) ||
        !options_take_bool(opts, "ipv6", &a->ipv6, errp) ||
        !options_take_bool(opts, "keep-alive", &a->keep_alive, errp)) {
        return false;
    }
    a->to = (uint16_t)to;
    if (!a->host) {
        a->host = g_strdup("");
    }
    return true;
}

/* path=, host=/port= or fd=: exactly one of them. */
static SocketAddr *take_addr(JsonObject *opts, Error **errp)
{
    g_autoptr(SocketAddr) a = g_new0(SocketAddr, 1);

    a->tight = true;
    if (!options_take_str(opts, "path", &a->path, errp)) {
        return NULL;
    }
    JsonNode *port = json_object_get_member(opts, "port");
    a->port = options_value_text(port);
    JsonNode *fd = json_object_get_member(opts, "fd");
    a->fd = options_value_text(fd);
    if (port) {
        json_object_remove_member(opts, "port");
    }
    if (fd) {
        json_object_remove_member(opts, "fd");
    }
    if (!a->path + !a->port + !a->fd != 2) {
        error_setg(errp, "a socket needs one of path=PATH, port=PORT (with host=HOST) or fd=FD");
        return NULL;
    }
    if (a->path) {
        a->type = SOCKET_UNIX;
        if (!options_take_bool(opts, "abstract", &a->abstract, errp) ||
            !options_take_bool(opts, "tight", &a->tight, errp)) {
            return NULL;
        }
    } else if (a->port) {
        if (!take_inet(a, opts, errp)) {
            return NULL;
        }
    } else {
        a->type = SOCKET_FD;
    }
    return g_steal_pointer(&a);
}

static bool take_options(SocketChardev *s, JsonObject *opts, Error **errp)
{
    bool has_wait = json_object_has_member(opts, "wait");
    bool delay = false;
    uint64_t seconds = 0, ms = 0;

    if (!refuse_unsupported(opts, errp) || !options_take_bool(opts, "server", &s->server, errp) ||
        !options_take_bool(opts, "wait", &s->wait, errp) ||
        !options_take_bool(opts, "nodelay", &s->nodelay, errp)) {
        return false;
    }
    if (json_object_has_member(opts, "delay")) {
        if (!options_take_bool(opts, "delay", &delay, errp)) {
            return false;
        }
        s->nodelay = !delay;
    }
    if (!options_take_u64(opts, "reconnect", 1000000, &seconds, errp) ||
        !options_take_u64(opts, "reconnect-ms", 1000000000, &ms, errp)) {
        return false;
    }
    if (seconds && ms) {
        error_setg(errp, "'reconnect' and 'reconnect-ms' exclude each other");
        return false;
    }
    s->reconnect_ms = (unsigned)(seconds ? seconds * 1000 : ms);
    if (s->server && s->reconnect_ms) {
        error_setg(errp, "'reconnect' is for clients, not for server=on");
        return false;
    }
    if (!s->server && has_wait && s->wait) {
        error_setg(errp, "'wait' is for server=on");
        return false;
    }
    if (s->server && !has_wait) {
        s->wait = true;
    }
    s->addr = take_addr(opts, errp);
    return s->addr != NULL;
}

static bool is_listening(int fd)
{
    int on = 0;
    socklen_t len = sizeof(on);

    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &len) == 0 && on;
}

/* Descriptor handed over by fd=: it is ours now, and no child's. */
static int take_fd_param(SocketChardev *s, Error **errp)
{
    int fd = monitor_fd_param(s->addr->fd, errp);

    if (fd >= 0 && fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) {
        error_setg_errno(errp, errno, "descriptor %s", s->addr->fd);
        return -1;
    }
    return fd;
}

static bool open_server(SocketChardev *s, Error **errp)
{
    if (s->addr->type == SOCKET_FD) {
        s->listen_fd = take_fd_param(s, errp);
        if (s->listen_fd < 0) {
            return false;
        }
        if (!is_listening(s->listen_fd)) {
            error_setg(errp, "descriptor %s is not a listening socket", s->addr->fd);
            return false;
        }
    } else {
        s->listen_fd = socket_listen(s->addr, 1, errp);
        if (s->listen_fd < 0) {
            return false;
        }
        if (s->addr->type == SOCKET_UNIX && !s->addr->abstract) {
            s->unlink_path = g_strdup(s->addr->path);
        }
    }
    s->local = numeric_name(s->listen_fd, false);
    if (s->wait) {
        info_report("waiting for a connection on %s", s->local);
        int fd = socket_accept(s->listen_fd, errp);
        if (fd < 0) {
            return false;
        }
        connected(s, fd);
    }
    fd_set_blocking(s->listen_fd, false);
    listen_again(s);
    return true;
}

static bool open_client(SocketChardev *s, Error **errp)
{
    int fd;

    if (s->reconnect_ms && s->addr->type != SOCKET_FD) {
        s->local = socket_addr_to_str(s->addr);
        try_connect(s);
        return true;
    }
    fd = s->addr->type == SOCKET_FD ? take_fd_param(s, errp)
                                    : socket_connect(s->addr, errp);
    if (fd < 0) {
        return false;
    }
    s->local = s->addr->type == SOCKET_FD ? numeric_name(fd, false) : socket_addr_to_str(s->addr);
    connected(s, fd);
    return true;
}

/* Any thread: whoever is connected is so no longer; the next may come. */
static void socket_yank(void *opaque)
{
    Chardev *c = opaque;

    g_mutex_lock(&c->lock);
    if (c->fd_in >= 0) {
        shutdown(c->fd_in, SHUT_RDWR);
    }
    g_mutex_unlock(&c->lock);
}

static const YankOps yank_ops = { .yank = socket_yank };

static bool socket_open(Chardev *c, JsonObject *opts, Error **errp)
{
    SocketChardev *s = socket_of(c);

    s->listen_fd = -1;
    if (!take_options(s, opts, errp) || !options_finish(opts, "socket", errp)) {
        return false;
    }
    if (!(s->server ? open_server(s, errp) : open_client(s, errp))) {
        return false;
    }
    yank_add("chardev", c->id, &yank_ops, c);
    return true;
}

static void socket_close(Chardev *c)
{
    SocketChardev *s = socket_of(c);

    yank_remove(c);
    if (s->attempt) {
        g_mutex_lock(&s->attempt->lock);
        s->attempt->owner = NULL;
        g_mutex_unlock(&s->attempt->lock);
    }
    chardev_source_drop(&s->listen);
    chardev_source_drop(&s->retry);
    if (s->unlink_path) {
        unlink(s->unlink_path);
        g_clear_pointer(&s->unlink_path, g_free);
    }
    if (s->listen_fd >= 0) {
        close_fd(&s->listen_fd);
    }
    g_clear_pointer(&s->addr, socket_addr_free);
    g_clear_pointer(&s->local, g_free);
    g_clear_pointer(&s->peer, g_free);
}

static char *socket_filename(const Chardev *c)
{
    const SocketChardev *s = socket_of(c);
    bool on = chardev_connected(c);
    bool inet = on && s->peer && g_str_has_prefix(s->peer, "tcp:");

    return g_strdup_printf("%s%s%s%s%s", on ? "" : "disconnected:", s->local ? s->local : "fd:",
                           s->server ? ",server=on" : "", inet ? " <-> " : "",
                           inet ? s->peer + strlen("tcp:") : "");
}

static void socket_context_changed(Chardev *c)
{
    SocketChardev *s = socket_of(c);

    if (s->listen) {
        chardev_source_drop(&s->listen);
        listen_again(s);
    }
    if (s->retry) {
        chardev_source_drop(&s->retry);
        retry_later(s);
    }
}

const ChardevClass chardev_socket = {
    .name = "socket",
    .size = sizeof(SocketChardev),
    .open = socket_open,
    .close = socket_close,
    .filename = socket_filename,
    .eof = socket_eof,
    .context_changed = socket_context_changed,
};
