/*
 * netdevs: making and removing them, their options, and what they share.
 * Main thread, machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "net/netdev.h"

#include <fcntl.h>
#include <string.h>

#include "monitor/monitor.h"
#include "qom/object.h"
#include "util/util.h"

static const struct {
    const char *type;
    NetdevNew *make;
} kinds[] = {
#if CONFIG_SLIRP
    { "user", net_user_new },
#endif
    { "tap", net_tap_new },
    { "socket", net_socket_new },
    { "stream", net_stream_new },
    { "dgram", net_dgram_new },
};

/* What other emulators have besides, and why it is not here. */
static const struct {
    const char *type, *member, *why; /* member NULL: the type itself */
} refused[] = {
#if !CONFIG_SLIRP
    { "user", NULL, "this program was built without libslirp" },
#endif
    { "hubport", NULL, "there are no hubs; connect the card to one netdev" },
    { "nic", NULL, "use -device, with netdev=ID" },
    { "bridge", NULL, "make a tap device and use tap,ifname=NAME" },
    { "l2tpv3", NULL, "use dgram" },
    { "vde", NULL, "use tap or stream" },
    { "netmap", NULL, "use tap" },
    { "vhost-user", NULL, "virtqueues are served by Ferry itself" },
    { "vhost-vdpa", NULL, "virtqueues are served by Ferry itself" },
    { "tap", "vhost", "virtqueues are served by Ferry itself" },
    { "tap", "vhostfd", "virtqueues are served by Ferry itself" },
    { "tap", "vhostfds", "virtqueues are served by Ferry itself" },
    { "tap", "vhostforce", "virtqueues are served by Ferry itself" },
    { "tap", "poll-us", "it is an option of vhost" },
    { "tap", "fds", "a card has one pair of queues; give one descriptor as fd=" },
    { "tap", "queues", "a card has one pair of queues" },
    { "tap", "helper", "no programs are run; make the tap device beforehand" },
    { "tap", "br", "no programs are run; put the tap device into the bridge beforehand" },
    { "user", "smb", "no programs are run" },
    { "user", "smbserver", "no programs are run" },
    { "user", "guestfwd", "what the guest sends goes to the network only" },
    { "user", "tftp", "the guest boots from its disk" },
    { "user", "bootfile", "the guest boots from its disk" },
    { "user", "tftp-server-name", "the guest boots from its disk" },
    { "stream", "reconnect", "a connection that ended is not made again" },
    { "stream", "reconnect-ms", "a connection that ended is not made again" },
};

/* "off" asks for nothing, and managers like to say it. */
static bool asks_for_nothing(JsonNode *node)
{
    g_autofree char *text = options_value_text(node);
    bool on = true;

    return text && parse_bool(text, &on) && !on;
}

static bool refuse_known(const char *type, JsonObject *opts, Error **errp)
{
    for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
        const char *member = refused[i].member;
        JsonNode *node = member ? json_object_get_member(opts, member) : NULL;

        if (strcmp(refused[i].type, type) || (member && !node)) {
            continue;
        }
        if (member && asks_for_nothing(node)) {
            json_object_remove_member(opts, member);
            continue;
        }
        error_setg(errp, "netdev %s%s%s is not supported: %s", type, member ? ": " : "",
                   member ? member : "", refused[i].why);
        return false;
    }
    return true;
}

static NetdevNew *find_kind(const char *type, Error **errp)
{
    GString *names = g_string_new(NULL);

    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        if (!strcmp(kinds[i].type, type)) {
            g_string_free(names, TRUE);
            return kinds[i].make;
        }
        g_string_append_printf(names, "%s%s", i ? ", " : "", kinds[i].type);
    }
    error_setg(errp, "there is no netdev type '%s'; there are %s", type, names->str);
    g_string_free(names, TRUE);
    return NULL;
}

static NetClient *netdev_new(const char *type, const char *id, JsonObject *opts, Error **errp)
{
    NetdevNew *make;
    NetClient *nc;

    if (!refuse_known(type, opts, errp) || !(make = find_kind(type, errp))) {
        return NULL;
    }
    nc = make(id, opts, errp);
    if (!nc) {
        error_prefix(errp, "netdev '%s': ", id);
        return NULL;
    }
    if (!options_finish(opts, type, errp)) {
        error_prefix(errp, "netdev '%s': ", id);
        nc->ops->free(nc);
        return NULL;
    }
    return nc;
}

NetClient *netdev_add(JsonObject *opts, Error **errp)
{
    g_autofree char *type = NULL;
    g_autofree char *id = NULL;

    if (!options_take_str(opts, "type", &type, errp) || !options_take_str(opts, "id", &id, errp)) {
        return NULL;
    }
    if (!type || !id) {
        error_setg(errp, "Parameter '%s' is missing", type ? "id" : "type");
        return NULL;
    }
    if (!object_id_wellformed(id)) {
        error_setg(errp, "Parameter 'id' expects an identifier, not '%s'", id);
        return NULL;
    }
    if (net_client_by_name(id)) {
        error_setg(errp, "Duplicate ID '%s' for netdev", id);
        return NULL;
    }
    return netdev_new(type, id, opts, errp);
}

bool netdev_del(const char *id, Error **errp)
{
    NetClient *nc = net_client_by_name(id);

    if (!nc) {
        error_set(errp, ERROR_CLASS_DEVICE_NOT_FOUND, "Device '%s' not found", id);
        return false;
    }
    if (nc->model) {
        error_setg(errp, "Device '%s' is not a netdev", id);
        return false;
    }
    nc->ops->free(nc);
    return true;
}

void net_cleanup(void)
{
    NetClient *nc = net_client_first();

    net_announce_cleanup();
    while (nc) {
        if (nc->model) {
            nc = nc->next;
        } else {
            nc->ops->free(nc);
            nc = net_client_first();
        }
    }
}

/* ---- options ---- */

/* One item of "a=b,c=d,,e": up to a comma that is not doubled. */
static size_t item_length(const char *p)
{
    size_t n = 0;

    while (p[n] && (p[n] != ',' || p[n + 1] == ',')) {
        n += p[n] == ',' ? 2 : 1;
    }
    return n;
}

JsonObject *netdev_parse(const char *text, Error **errp)
{
    static const char *const lists[] = { "hostfwd", "guestfwd", "dnssearch" };
    unsigned count[ARRAY_SIZE(lists)] = { 0 };
    g_autoptr(GString) out = g_string_new(NULL);

    if (*text == '{') {
        return options_parse(text, "type", errp);
    }
    while (*text) {
        size_t n = item_length(text), skip = 0;

        for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
            size_t len = strlen(lists[i]);
            if (!strncmp(text, lists[i], len) && text[len] == '=') {
                g_string_append_printf(out, "%s.%u.str", lists[i], count[i]++);
                skip = len;
            }
        }
        g_string_append_len(out, text + skip, n - skip);
        text += n;
        if (*text) {
            g_string_append_c(out, *text++);
        }
    }
    return options_parse(out->str, "type", errp);
}

static bool take_inet(SocketAddr *a, JsonObject *opts, Error **errp)
{
    JsonNode *port = json_object_get_member(opts, "port");
    uint64_t to = 0;

    a->has_ipv4 = json_object_has_member(opts, "ipv4");
    a->has_ipv6 = json_object_has_member(opts, "ipv6");
    a->port = options_value_text(port);
    if (port) {
        json_object_remove_member(opts, "port");
    }
    if (!options_take_str(opts, "host", &a->host, errp) ||
        !options_take_u64(opts, "to", UINT16_MAX, &to, errp) ||
        !options_take_bool(opts, "ipv4", &a->ipv4, errp) ||
        !options_take_bool(opts, "ipv6", &a->ipv6, errp) ||
        !options_take_bool(opts, "keep-alive", &a->keep_alive, errp)) {
        return false;
    }
    a->to = to;
    if (!a->host || !a->port) {
        error_setg(errp, "an address of type inet needs host and port");
        return false;
    }
    return true;
}

static bool take_members(SocketAddr *a, JsonObject *opts, Error **errp)
{
    JsonNode *str;

    switch (a->type) {
    case SOCKET_INET:
        return take_inet(a, opts, errp);
    case SOCKET_UNIX:
        if (!options_take_str(opts, "path", &a->path, errp) ||
            !options_take_bool(opts, "abstract", &a->abstract, errp) ||
            !options_take_bool(opts, "tight", &a->tight, errp)) {
            return false;
        }
        if (!a->path) {
            error_setg(errp, "an address of type unix needs a path");
        }
        return a->path != NULL;
    default:
        str = json_object_get_member(opts, "str");
        a->fd = options_value_text(str);
        if (!a->fd) {
            error_setg(errp, "an address of type fd needs str, a number or a name");
            return false;
        }
        json_object_remove_member(opts, "str");
        return true;
    }
}

SocketAddr *net_take_address(JsonObject *opts, const char *key, Error **errp)
{
    static const char *const types[] = { "inet", "unix", "fd", NULL };
    static const SocketType socket_types[] = { SOCKET_INET, SOCKET_UNIX, SOCKET_FD };
    g_autoptr(SocketAddr) a = g_new0(SocketAddr, 1);
    JsonNode *node = json_object_get_member(opts, key);
    g_autoptr(JsonObject) members = NULL;
    int type = -1;

    if (!node) {
        return NULL;
    }
    if (!JSON_NODE_HOLDS_OBJECT(node)) {
        error_setg(errp, "parameter '%s' expects a socket address (%s.type=inet|unix|fd, ...)",
                   key, key);
        return NULL;
    }
    members = json_object_ref(json_node_get_object(node));
    json_object_remove_member(opts, key);
    if (!options_take_enum(members, "type", types, &type, errp)) {
        return NULL;
    }
    if (type < 0) {
        error_setg(errp, "parameter '%s.type' is missing", key);
        return NULL;
    }
    a->type = socket_types[type];
    a->tight = true;
    if (!take_members(a, members, errp) || !options_finish(members, key, errp)) {
        return NULL;
    }
    return g_steal_pointer(&a);
}

SocketAddr *net_parse_host_port(const char *text, Error **errp)
{
    g_autofree char *uri = g_strconcat("tcp:", text, NULL);

    return socket_addr_parse(uri, errp);
}

/* ---- descriptors ---- */

GSource *net_watch(int fd, GIOCondition cond, GUnixFDSourceFunc fn, void *opaque)
{
    GSource *s = g_unix_fd_source_new(fd, cond);

    g_source_set_callback(s, G_SOURCE_FUNC(fn), opaque, NULL);
    g_source_attach(s, NULL);
    return s;
}

void net_watch_drop(GSource **source)
{
    if (*source) {
        g_source_destroy(*source);
        g_source_unref(*source);
        *source = NULL;
    }
}

int net_take_fd(const char *text, Error **errp)
{
    int fd = monitor_fd_param(text, errp);

    if (fd < 0) {
        return -1;
    }
    if (!fd_set_blocking(fd, false) || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) {
        error_setg_errno(errp, errno, "file descriptor %d", fd);
        return -1;
    }
    return fd;
}
