/*
 * netdev "user": a network in this process (libslirp).  The guest reaches what this
 * process reaches; nothing reaches the guest but through hostfwd.
 *
 * libslirp has no lock of its own: everything runs under the machine lock.  Its descriptors
 * are polled by the main loop (UserSource), never waited for; its timers are on the virtual
 * clock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <libslirp.h>
#include <string.h>

#include "net/user.h"
#include "system/clock.h"
#include "util/log.h"
#include "util/util.h"

typedef struct UserSource {
    GSource base;
    struct UserNetdev *owner;
    GArray *fds;      /* of GPollFD*: watched now */
    GArray *wanted;   /* of GPollFD: asked for in this round */
    int64_t deadline; /* monotonic us; -1: none */
    bool due;         /* a frame came in, or waits, since the last round */
} UserSource;

typedef struct UserTimer {
    Timer timer;
    SlirpTimerCb cb;
    void *opaque;
} UserTimer;

typedef struct UserNetdev {
    NetClient nc;
    Slirp *slirp;
    UserSource *source;
    /* Saved state: as libslirp writes it, of this size. */
    VMStateDescription vmsd;
    uint8_t *state;
    uint32_t state_size;
    bool registered;
} UserNetdev;

/* ---- what libslirp asks for ---- */

static ssize_t send_packet(const void *buf, size_t len, void *opaque)
{
    UserNetdev *u = opaque;

    if (len <= NET_FRAME_MAX) {
        net_send(&u->nc, buf, len);
    }
    return len;
}

static void guest_error(const char *msg, void *opaque)
{
    log_debug(LOG_GUEST_ERROR, "netdev '%s': %s\n", ((UserNetdev *)opaque)->nc.name, msg);
}

static int64_t clock_get_ns(void *opaque)
{
    return virtual_clock_ns();
}

static void timer_expired(void *opaque)
{
    UserTimer *t = opaque;

    t->cb(t->opaque);
}

static void *timer_new(SlirpTimerCb cb, void *cb_opaque, void *opaque)
{
    UserTimer *t = g_new0(UserTimer, 1);

    t->cb = cb;
    t->opaque = cb_opaque;
    timer_init(&t->timer, timer_expired, t);
    return t;
}

static void timer_free(void *timer, void *opaque)
{
    timer_del(&((UserTimer *)timer)->timer);
    g_free(timer);
}

static void timer_set(void *timer, int64_t expire_ms, void *opaque)
{
    timer_mod(&((UserTimer *)timer)->timer, expire_ms * 1000000);
}

static void poll_fd_unused(int fd, void *opaque)
{
}

/* There may be other descriptors to wait for than those that poll() waits for now. */
static void notify(void *opaque)
{
    g_main_context_wakeup(NULL);
}

static const SlirpCb callbacks = {
    .send_packet = send_packet,
    .guest_error = guest_error,
    .clock_get_ns = clock_get_ns,
    .timer_new = timer_new,
    .timer_free = timer_free,
    .timer_mod = timer_set,
    .register_poll_fd = poll_fd_unused,
    .unregister_poll_fd = poll_fd_unused,
    .notify = notify,
};

/* ---- polling ---- */

static const struct {
    int slirp;
    gushort glib;
} events[] = {
    { SLIRP_POLL_IN, G_IO_IN },   { SLIRP_POLL_OUT, G_IO_OUT }, { SLIRP_POLL_PRI, G_IO_PRI },
    { SLIRP_POLL_ERR, G_IO_ERR }, { SLIRP_POLL_HUP, G_IO_HUP },
};

static int add_poll(int fd, int want, void *opaque)
{
    UserSource *src = opaque;
    GPollFD p = { .fd = fd };

    for (size_t i = 0; i < ARRAY_SIZE(events); i++) {
        p.events |= want & events[i].slirp ? events[i].glib : 0;
    }
    g_array_append_val(src->wanted, p);
    return src->wanted->len - 1;
}

static int get_revents(int index, void *opaque)
{
    const GPollFD *p = g_array_index(((UserSource *)opaque)->fds, GPollFD *, index);
    int got = 0;

    for (size_t i = 0; i < ARRAY_SIZE(events); i++) {
        got |= p->revents & events[i].glib ? events[i].slirp : 0;
    }
    return got;
}

/*
 * Make the main context watch `wanted`.  A descriptor that is added wakes the context up, so
 * nothing is added or removed while the descriptors stay the same.
 */
static void watch_wanted(UserSource *src)
{
    guint same = 0;

    while (same < src->fds->len && same < src->wanted->len &&
           g_array_index(src->fds, GPollFD *, same)->fd ==
               g_array_index(src->wanted, GPollFD, same).fd) {
        g_array_index(src->fds, GPollFD *, same)->events =
            g_array_index(src->wanted, GPollFD, same).events;
        same++;
    }
    while (src->fds->len > same) {
        GPollFD *p = g_array_index(src->fds, GPollFD *, src->fds->len - 1);
        g_source_remove_poll(&src->base, p);
        g_free(p);
        g_array_set_size(src->fds, src->fds->len - 1);
    }
    while (src->fds->len < src->wanted->len) {
        GPollFD *p = g_memdup2(&g_array_index(src->wanted, GPollFD, src->fds->len), sizeof(*p));
        g_array_append_val(src->fds, p);
        g_source_add_poll(&src->base, p);
    }
}

static gboolean source_prepare(GSource *base, gint *timeout)
{
    UserSource *src = (UserSource *)base;
    uint32_t ms = UINT32_MAX;

    g_array_set_size(src->wanted, 0);
    slirp_pollfds_fill(src->owner->slirp, &ms, add_poll, src);
    watch_wanted(src);
    *timeout = ms == UINT32_MAX ? -1 : (gint)MIN(ms, G_MAXINT);
    src->deadline = ms == UINT32_MAX ? -1 : g_source_get_time(base) + (int64_t)ms * 1000;
    return src->due;
}

static gboolean source_check(GSource *base)
{
    UserSource *src = (UserSource *)base;

    for (guint i = 0; i < src->fds->len; i++) {
        if (g_array_index(src->fds, GPollFD *, i)->revents) {
            return TRUE;
        }
    }
    return src->due || (src->deadline >= 0 && g_source_get_time(base) >= src->deadline);
}

static gboolean source_dispatch(GSource *base, GSourceFunc fn, gpointer opaque)
{
    UserSource *src = (UserSource *)base;

    src->due = false;
    net_ready(&src->owner->nc);
    slirp_pollfds_poll(src->owner->slirp, 0, get_revents, base);
    return G_SOURCE_CONTINUE;
}

static void source_finalize(GSource *base)
{
    UserSource *src = (UserSource *)base;

    for (guint i = 0; i < src->fds->len; i++) {
        g_free(g_array_index(src->fds, GPollFD *, i));
    }
    g_array_unref(src->fds);
    g_array_unref(src->wanted);
}

static GSourceFuncs source_funcs = {
    .prepare = source_prepare,
    .check = source_check,
    .dispatch = source_dispatch,
    .finalize = source_finalize,
};

static void start_polling(UserNetdev *u)
{
    u->source = (UserSource *)g_source_new(&source_funcs, sizeof(UserSource));
    u->source->owner = u;
    u->source->fds = g_array_new(false, false, sizeof(GPollFD *));
    u->source->wanted = g_array_new(false, false, sizeof(GPollFD));
    g_source_attach(&u->source->base, NULL);
}

/* ---- saved state ---- */

static ssize_t save_bytes(const void *buf, size_t len, void *opaque)
{
    g_byte_array_append(opaque, buf, len);
    return len;
}

static bool user_pre_save(void *opaque, Error **errp)
{
    UserNetdev *u = opaque;
    g_autoptr(GByteArray) bytes = g_byte_array_new();

    slirp_state_save(u->slirp, save_bytes, bytes);
    if (bytes->len != u->state_size) {
        error_setg(errp, "netdev '%s': libslirp saves %u bytes, not %u", u->nc.name, bytes->len,
                   u->state_size);
        return false;
    }
    memcpy(u->state, bytes->data, bytes->len);
    return true;
}

typedef struct Cursor {
    const uint8_t *at;
    size_t left;
} Cursor;

static ssize_t load_bytes(void *buf, size_t len, void *opaque)
{
    Cursor *c = opaque;
    size_t n = MIN(len, c->left);

    memcpy(buf, c->at, n);
    memset((uint8_t *)buf + n, 0, len - n);
    c->at += n;
    c->left -= n;
    return n;
}

static bool user_post_load(void *opaque, int version_id, Error **errp)
{
    UserNetdev *u = opaque;
    Cursor c = { u->state, u->state_size };

    /* The first byte says whether a connection follows; those to guestfwd alone are saved. */
    if (u->state[0]) {
        error_setg(errp, "netdev '%s': the stream has a connection to guestfwd=, which is not "
                   "supported", u->nc.name);
        return false;
    }
    if (slirp_state_load(u->slirp, version_id, load_bytes, &c) < 0) {
        error_setg(errp, "netdev '%s': libslirp does not take its state", u->nc.name);
        return false;
    }
    return true;
}

/* What libslirp keeps of a guest (addresses that it gave out) is of a fixed size. */
static bool register_state(UserNetdev *u, Error **errp)
{
    static const VMStateField fields[] = {
        VMSTATE_VBUFFER_ALLOC_UINT32(state, UserNetdev, 0, state_size, 4096),
        VMSTATE_END_OF_LIST()
    };
    g_autoptr(GByteArray) bytes = g_byte_array_new();

    slirp_state_save(u->slirp, save_bytes, bytes);
    if (!bytes->len || bytes->len > 4096) {
        error_setg(errp, "libslirp saves %u bytes, which is not expected", bytes->len);
        return false;
    }
    u->state_size = bytes->len;
    u->state = g_malloc0(bytes->len);
    u->vmsd = (VMStateDescription){
        .name = "slirp",
        .version_id = slirp_state_version(),
        .minimum_version_id = slirp_state_version(),
        .pre_save = user_pre_save,
        .post_load = user_post_load,
        .fields = fields,
    };
    u->registered = vmstate_register(NULL, VMSTATE_INSTANCE_ID_ANY, &u->vmsd, u, errp);
    return u->registered;
}

/* ---- the end of a wire ---- */

/*
 * libslirp opens sockets, which a vCPU thread may not do under -sandbox: its frames wait for the
 * next round of the main loop.  What libslirp makes of a frame (connections, answers that wait for
 * an address) is for that round, too.
 */
static bool user_receive(NetClient *nc, const uint8_t *frame, size_t len)
{
    UserNetdev *u = (UserNetdev *)nc;
    bool mine = g_main_context_is_owner(NULL);

    if (mine) {
        slirp_input(u->slirp, frame, len);
    }
    if (!u->source->due) {
        u->source->due = true;
        g_main_context_wakeup(NULL);
    }
    return mine;
}

/* Frames for a busy card wait in its queue; a slow card slows TCP down by itself. */
static void user_peer_ready(NetClient *nc)
{
}

static void user_free(NetClient *nc)
{
    UserNetdev *u = (UserNetdev *)nc;

    if (u->registered) {
        vmstate_unregister(&u->vmsd, u);
    }
    if (u->source) {
        g_source_destroy(&u->source->base);
        g_source_unref(&u->source->base);
    }
    net_client_exit(nc);
    slirp_cleanup(u->slirp);
    g_free(u->state);
    g_free(u);
}

static const NetClientOps user_ops = {
    .type = "user",
    .receive = user_receive,
    .peer_ready = user_peer_ready,
    .free = user_free,
};

static Slirp *slirp_of(NetClient *nc)
{
    return nc && nc->ops == &user_ops ? ((UserNetdev *)nc)->slirp : NULL;
}

static NetClient *first_user(void)
{
    NetClient *nc = net_client_first();

    while (nc && nc->ops != &user_ops) {
        nc = nc->next;
    }
    return nc;
}

NetClient *net_user_find(const char *id, Error **errp)
{
    NetClient *nc = id ? net_client_by_name(id) : first_user();

    if (!slirp_of(nc)) {
        error_setg(errp, id ? "'%s' is not a netdev of type user" : "there is no netdev of type user",
                   id);
        return NULL;
    }
    return nc;
}

char *net_user_connections(NetClient *nc)
{
    return slirp_of(nc) ? slirp_connection_info(slirp_of(nc)) : NULL;
}

bool net_user_forward(NetClient *nc, const HostForward *f, Error **errp)
{
    if (slirp_add_hostfwd(slirp_of(nc), f->udp, f->host, f->host_port, f->guest,
                          f->guest_port) < 0) {
        error_setg_errno(errp, errno, "cannot forward host port %u", f->host_port);
        return false;
    }
    return true;
}

bool net_user_unforward(NetClient *nc, const HostForward *f, Error **errp)
{
    if (slirp_remove_hostfwd(slirp_of(nc), f->udp, f->host, f->host_port) < 0) {
        error_setg(errp, "host port %u is not forwarded", f->host_port);
        return false;
    }
    return true;
}

NetClient *net_user_new(const char *id, JsonObject *opts, Error **errp)
{
    g_auto(UserOptions) o = { 0 };
    UserNetdev *u;

    if (!user_options_take(&o, opts, errp)) {
        return NULL;
    }
    SlirpConfig config = {
        .version = 1, /* of the members that are used */
        .restricted = o.restricted,
        .in_enabled = o.ipv4,
        .vnetwork = o.net, .vnetmask = o.mask, .vhost = o.host,
        .in6_enabled = o.ipv6,
        .vprefix_addr6 = o.prefix6, .vprefix_len = o.prefix_len, .vhost6 = o.host6,
        .vhostname = o.hostname, .vdomainname = o.domainname,
        .vdhcp_start = o.dhcp_start, .vnameserver = o.dns, .vnameserver6 = o.dns6,
        .vdnssearch = (const char **)o.dnssearch,
    };
    u = g_new0(UserNetdev, 1);
    u->slirp = slirp_new(&config, &callbacks, u);
    if (!u->slirp) {
        error_setg(errp, "libslirp takes no network like this");
        g_free(u);
        return NULL;
    }
    g_autofree char *net = g_strdup(inet_ntoa(o.net));
    net_client_init(&u->nc, &user_ops, id,
                    g_strdup_printf("net=%s,restrict=%s", net, o.restricted ? "on" : "off"));
    bool ok = register_state(u, errp);
    for (guint i = 0; ok && i < o.forwards->len; i++) {
        ok = net_user_forward(&u->nc, &g_array_index(o.forwards, HostForward, i), errp);
    }
    if (!ok) {
        user_free(&u->nc);
        return NULL;
    }
    start_polling(u);
    return &u->nc;
}
