/*
 * Backend "socket": unix, TCP or an inherited descriptor; server or client.
 *
 * Thread of the chardev's context, except for the short-lived thread that connects a
 * client again or shakes hands (it touches nothing but its Attempt).
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
#include "chardev/layer.h"
#include "io/channel.h"
#include "monitor/monitor.h"
#include "monitor/yank.h"
#include "system/tls-creds.h"
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
    LayerConfig cover;  /* const after open */
    SocketLayer *layer; /* Chardev.lock to change; NULL: not covered, or nobody there */
    GSource *break_source; /* with layer; woken by its thread */
    GMainContext *break_ctx; /* context that break_source is in */
    unsigned reconnect_ms; /* 0: never */
    char *unlink_path;  /* made by us; NULL: nothing to remove */
    int listen_fd;
    GSource *listen;    /* while nobody is connected */
    GSource *retry;
    Attempt *attempt;   /* running thread, or NULL */
} SocketChardev;

/*
 * One try to connect, or to shake hands, in a thread: given away to it, comes back with an idle
 * source.
 */
struct Attempt {
    SocketChardev *owner; /* context thread; NULL: nobody waits any more */
    GMainContext *ctx;
    SocketAddr *addr;     /* NULL: fd is connected already */
    LayerConfig cover;    /* a copy */
    char *hostname;       /* of the peer, for TLS; NULL: none */
    bool nodelay;
    int fd;
    char *peer;           /* as in SocketChardev */
    SocketLayer *layer;   /* under lock until the thread is done */
    Error *err;           /* why it failed */
    bool refused;         /* ... in a handshake */
    GMutex lock;          /* guards `owner` between close and the idle callback */
};

enum { LINGER_EOF_MS = 100, LINGER_CLOSE_MS = 500 };

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

/* ---- one try ---- */

static const char *tls_hostname(const SocketChardev *s)
{
    return !s->server && s->addr->type == SOCKET_INET && s->addr->host[0] ? s->addr->host : NULL;
}

/* fd: a connection (its ownership passes), or -1: connect. */
static Attempt *attempt_new(SocketChardev *s, int fd)
{
    Attempt *a = g_new0(Attempt, 1);

    a->owner = s;
    a->ctx = s->base.ctx ? g_main_context_ref(s->base.ctx) : NULL;
    a->addr = fd < 0 ? socket_addr_copy(s->addr) : NULL;
    a->cover = (LayerConfig){ s->cover.creds ? tls_creds_ref(s->cover.creds) : NULL,
                              g_strdup(s->cover.authz), s->cover.codec };
    a->hostname = g_strdup(tls_hostname(s));
    a->nodelay = s->nodelay;
    a->fd = fd;
    g_mutex_init(&a->lock);
    return a;
}

static void attempt_free(Attempt *a)
{
    close_fd(&a->fd);
    g_clear_pointer(&a->addr, socket_addr_free);
    layer_config_clear(&a->cover);
    if (a->layer) {
        layer_unref(a->layer);
    }
    if (a->ctx) {
        g_main_context_unref(a->ctx);
    }
    g_clear_error(&a->err);
    g_mutex_clear(&a->lock);
    g_free(a->hostname);
    g_free(a->peer);
    g_free(a);
}

/* Handshakes over the connection.  False with a->err set. */
static bool attempt_cover(Attempt *a)
{
    SocketLayer *layer = layer_new(&a->cover, a->fd, a->hostname, &a->err);
    bool wanted;

    a->fd = -1;
    g_mutex_lock(&a->lock);
    a->layer = layer;
    wanted = a->owner != NULL;
    g_mutex_unlock(&a->lock);
    return layer && wanted && layer_handshake(layer, &a->err);
}

/* May wait; any thread.  What came of it is in a->fd or a->layer, or in a->err. */
static void attempt_work(Attempt *a)
{
    int on = 1;

    if (a->fd < 0) {
        a->fd = socket_connect(a->addr, &a->err);
        if (a->fd < 0) {
            return;
        }
    }
    if (a->nodelay) {
        setsockopt(a->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    }
    a->peer = numeric_name(a->fd, true);
    if (layer_wanted(&a->cover)) {
        a->refused = !attempt_cover(a);
    }
}

/* Thread of the context: what the layer met. */
static gboolean dispatch_break(GSource *src, GSourceFunc fn, gpointer opaque)
{
    SocketChardev *s = opaque;

    g_source_set_ready_time(src, -1);
    if (s->base.ctx == s->break_ctx) {
        chardev_emit(&s->base, CHARDEV_BREAK);
    }
    return G_SOURCE_CONTINUE;
}

/* A thread of the layer: break_source stays until that is gone. */
static void on_break(void *opaque)
{
    g_source_set_ready_time(((SocketChardev *)opaque)->break_source, 0);
}

static int start_layer(SocketChardev *s, SocketLayer *layer, Error **errp)
{
    static GSourceFuncs funcs = { .dispatch = dispatch_break };
    int fd;

    s->break_source = g_source_new(&funcs, sizeof(GSource));
    g_source_set_callback(s->break_source, NULL, s, NULL);
    s->break_ctx = s->base.ctx;
    g_source_attach(s->break_source, s->break_ctx);
    fd = layer_start(layer, on_break, s, errp);
    if (fd < 0) {
        chardev_source_drop(&s->break_source);
        return -1;
    }
    g_mutex_lock(&s->base.lock);
    s->layer = layer_ref(layer);
    g_mutex_unlock(&s->base.lock);
    return fd;
}

/* The engine is stopped: let go of what covers the socket. */
static void drop_layer(SocketChardev *s, int linger_ms)
{
    SocketLayer *layer;

    g_mutex_lock(&s->base.lock);
    layer = g_steal_pointer(&s->layer);
    g_mutex_unlock(&s->base.lock);
    if (layer) {
        layer_finish(layer, linger_ms);
        layer_unref(layer);
        chardev_source_drop(&s->break_source);
    }
}

/* What came of a try becomes the connection.  Thread of the context; consumes a. */
static bool attempt_take(SocketChardev *s, Attempt *a, Error **errp)
{
    int fd = a->fd;
    bool ok = !a->err;

    a->fd = -1;
    if (ok && a->layer) {
        fd = start_layer(s, a->layer, errp);
        ok = fd >= 0;
    } else if (!ok) {
        g_propagate_error(errp, g_steal_pointer(&a->err));
    }
    if (ok) {
        g_free(s->peer);
        s->peer = g_steal_pointer(&a->peer);
        chardev_io_start(&s->base, fd, fd);
    }
    attempt_free(a);
    return ok;
}

/* Wait for the outcome here. */
static bool attempt_now(SocketChardev *s, int fd, Error **errp)
{
    Attempt *a = attempt_new(s, fd);

    attempt_work(a);
    return attempt_take(s, a, errp);
}

/* ---- tries that others wait for ---- */

static void listen_again(SocketChardev *s);
static void retry_later(SocketChardev *s);

static void attempt_call_done(Attempt *a);

/* Whose the chardev is now.  NULL: nobody's; or another thread's, which was called. */
static SocketChardev *attempt_owner(Attempt *a, bool *ret_passed_on)
{
    SocketChardev *s;

    g_mutex_lock(&a->lock);
    s = a->owner;
    *ret_passed_on = s && s->base.ctx != a->ctx;
    if (*ret_passed_on) {
        g_clear_pointer(&a->ctx, g_main_context_unref);
        a->ctx = s->base.ctx ? g_main_context_ref(s->base.ctx) : NULL;
        attempt_call_done(a);
    }
    g_mutex_unlock(&a->lock);
    return *ret_passed_on ? NULL : s;
}

static gboolean attempt_done(gpointer opaque)
{
    Attempt *a = opaque;
    bool passed_on, refused = a->refused;
    SocketChardev *s = attempt_owner(a, &passed_on);
    g_autoptr(Error) err = NULL;

    if (passed_on) {
        return G_SOURCE_REMOVE;
    }
    if (!s) {
        attempt_free(a);
        return G_SOURCE_REMOVE;
    }
    s->attempt = NULL;
    if (!attempt_take(s, a, &err)) {
        if (refused) {
            warn_report("character device '%s': no connection: %s", s->base.id, err->message);
        }
        listen_again(s);
        retry_later(s);
    }
    return G_SOURCE_REMOVE;
}

static void attempt_call_done(Attempt *a)
{
    g_autoptr(GSource) idle = g_idle_source_new();

    g_source_set_priority(idle, G_PRIORITY_DEFAULT);
    g_source_set_callback(idle, attempt_done, a, NULL);
    g_source_attach(idle, a->ctx);
}

static gpointer attempt_run(gpointer opaque)
{
    attempt_work(opaque);
    attempt_call_done(opaque);
    return NULL;
}

/* Resolving a name, connecting or a handshake may take long: never in the main thread. */
static void attempt_start(SocketChardev *s, int fd)
{
    s->attempt = attempt_new(s, fd);
    g_thread_unref(thread_start("chardev-connect", attempt_run, s->attempt));
}

static gboolean on_connection(int listen_fd, GIOCondition cond, gpointer opaque)
{
    SocketChardev *s = opaque;
    int fd = socket_accept(listen_fd, NULL);

    if (fd < 0) {
        return G_SOURCE_CONTINUE; /* the client gave up: wait for the next */
    }
    chardev_source_drop(&s->listen);
    if (layer_wanted(&s->cover)) {
        attempt_start(s, fd);
    } else {
        attempt_now(s, fd, NULL);
    }
    return G_SOURCE_REMOVE;
}

static void listen_again(SocketChardev *s)
{
    if (s->listen_fd >= 0 && !s->listen && !s->attempt && !chardev_connected(&s->base)) {
        s->listen = chardev_watch(&s->base, s->listen_fd, G_IO_IN, on_connection);
    }
}

static gboolean try_connect(gpointer opaque)
{
    SocketChardev *s = opaque;

    chardev_source_drop(&s->retry);
    attempt_start(s, -1);
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
    drop_layer(s, LINGER_EOF_MS);
    g_clear_pointer(&s->peer, g_free);
    if (s->server) {
        listen_again(s);
    } else {
        retry_later(s);
    }
}

/* ---- options ---- */

/* telnet=, websocket=, tls-creds=, tls-authz=; addr and server are known. */
static bool take_cover(SocketChardev *s, JsonObject *opts, Error **errp)
{
    bool telnet = false, websocket = false, tn3270 = false;
    g_autofree char *creds = NULL;

    if (!options_take_bool(opts, "telnet", &telnet, errp) ||
        !options_take_bool(opts, "tn3270", &tn3270, errp) ||
        !options_take_bool(opts, "websocket", &websocket, errp) ||
        !options_take_str(opts, "tls-creds", &creds, errp) ||
        !options_take_str(opts, "tls-authz", &s->cover.authz, errp)) {
        return false;
    }
    if (tn3270) {
        error_setg(errp, "parameter 'tn3270' is not supported: it is for terminals of mainframes");
        return false;
    }
    if (telnet && websocket) {
        error_setg(errp, "'telnet' and 'websocket' exclude each other");
        return false;
    }
    if (websocket && !s->server) {
        error_setg(errp, "'websocket' is for server=on");
        return false;
    }
    if (s->cover.authz && (!creds || !s->server)) {
        error_setg(errp, "'tls-authz' is for server=on with 'tls-creds'");
        return false;
    }
    s->cover.codec = telnet ? &codec_telnet : websocket ? &codec_websocket : NULL;
    if (!creds) {
        return true;
    }
    s->cover.creds = tls_creds_lookup(creds, s->server, errp);
    if (s->cover.creds && tls_creds_wants_hostname(s->cover.creds) && !s->server &&
        !tls_hostname(s)) {
        error_setg(errp, "a client with 'tls-creds' of X.509 needs 'host': the name in the "
                   "server's certificate");
        return false;
    }
    return s->cover.creds != NULL;
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

    if (!options_take_bool(opts, "server", &s->server, errp) ||
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
    return s->addr && take_cover(s, opts, errp);
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

/* One that does not pass the handshake is not the one that is waited for. */
static bool wait_for_peer(SocketChardev *s, Error **errp)
{
    info_report("waiting for a connection on %s", s->local);
    for (;;) {
        g_autoptr(Error) err = NULL;
        int fd = socket_accept(s->listen_fd, errp);

        if (fd < 0) {
            return false;
        }
        if (attempt_now(s, fd, &err)) {
            return true;
        }
        warn_report("character device '%s': no connection: %s", s->base.id, err->message);
    }
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
    if (s->wait && !wait_for_peer(s, errp)) {
        return false;
    }
    fd_set_blocking(s->listen_fd, false);
    listen_again(s);
    return true;
}

static bool open_client(SocketChardev *s, Error **errp)
{
    int fd = -1;

    if (s->reconnect_ms && s->addr->type != SOCKET_FD) {
        s->local = socket_addr_to_str(s->addr);
        try_connect(s);
        return true;
    }
    if (s->addr->type == SOCKET_FD) {
        fd = take_fd_param(s, errp);
        if (fd < 0) {
            return false;
        }
        s->local = numeric_name(fd, false);
    } else {
        s->local = socket_addr_to_str(s->addr);
    }
    return attempt_now(s, fd, errp);
}

/* Any thread: whoever is connected is so no longer; the next may come. */
static void socket_yank(void *opaque)
{
    Chardev *c = opaque;

    g_mutex_lock(&c->lock);
    if (c->fd_in >= 0) {
        shutdown(c->fd_in, SHUT_RDWR);
    }
    if (socket_of(c)->layer) {
        layer_shutdown(socket_of(c)->layer);
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
        if (s->attempt->layer) {
            layer_shutdown(s->attempt->layer);
        }
        g_mutex_unlock(&s->attempt->lock);
    }
    if (s->layer) {
        chardev_io_stop(c);
        drop_layer(s, LINGER_CLOSE_MS);
    }
    layer_config_clear(&s->cover);
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

    const char *kind = s->cover.codec == &codec_telnet ? "telnet:"
                       : s->cover.codec == &codec_websocket ? "websocket:" : "tcp:";
    const char *local = s->local ? s->local : "fd:";
    bool swap = g_str_has_prefix(local, "tcp:");

    return g_strdup_printf("%s%s%s%s%s%s", on ? "" : "disconnected:", swap ? kind : "",
                           swap ? local + strlen("tcp:") : local,
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
