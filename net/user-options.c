/*
 * Options of netdev "user".  Pure.
 *
 * The numbers that are not given are those that guests expect: 10.0.2.0/24 with the router
 * at .2, the name server at .3, guests from .15 on; fec0::/64 with ::2 and ::3.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "net/user.h"
#include "util/util.h"

void user_options_clear(UserOptions *o)
{
    g_free(o->hostname);
    g_free(o->domainname);
    g_strfreev(o->dnssearch);
    if (o->forwards) {
        g_array_unref(o->forwards);
    }
}

static bool parse_port(const char *text, uint16_t min, uint16_t *ret)
{
    uint64_t n;

    if (!parse_u64(text, &n) || n < min || n > UINT16_MAX) {
        return false;
    }
    *ret = n;
    return true;
}

/* "ADDR:PORT" or ":PORT" */
static bool parse_end(const char *text, uint16_t min_port, struct in_addr *addr, uint16_t *port)
{
    const char *colon = strrchr(text, ':');
    g_autofree char *host = colon ? g_strndup(text, colon - text) : NULL;

    addr->s_addr = 0;
    return colon && (!*host || inet_pton(AF_INET, host, addr) == 1) &&
           parse_port(colon + 1, min_port, port);
}

bool host_forward_parse(const char *text, bool without_guest, HostForward *ret, Error **errp)
{
    const char *colon = strchr(text, ':');
    g_autofree char *proto = colon ? g_strndup(text, colon - text) : NULL;
    g_auto(GStrv) ends = colon ? g_strsplit(colon + 1, "-", 2) : NULL;

    *ret = (HostForward){ .udp = !g_strcmp0(proto, "udp") };
    if (!proto || (*proto && strcmp(proto, "tcp") && strcmp(proto, "udp")) || !ends[0] ||
        !parse_end(ends[0], without_guest ? 1 : 0, &ret->host, &ret->host_port) ||
        (without_guest ? ends[1] != NULL
                       : !ends[1] || !parse_end(ends[1], 1, &ret->guest, &ret->guest_port))) {
        error_setg(errp, "'%s' is not [tcp|udp]:[HOSTADDR]:PORT%s", text,
                   without_guest ? "" : "-[GUESTADDR]:PORT");
        return false;
    }
    return true;
}

static bool take_addr(JsonObject *opts, const char *key, struct in_addr *ret, Error **errp)
{
    g_autofree char *text = NULL;

    if (!options_take_str(opts, key, &text, errp)) {
        return false;
    }
    if (text && inet_pton(AF_INET, text, ret) != 1) {
        error_setg(errp, "%s=%s is not an IPv4 address", key, text);
        return false;
    }
    return true;
}

static bool take_addr6(JsonObject *opts, const char *key, struct in6_addr *ret, Error **errp)
{
    g_autofree char *text = NULL;

    if (!options_take_str(opts, key, &text, errp)) {
        return false;
    }
    if (text && inet_pton(AF_INET6, text, ret) != 1) {
        error_setg(errp, "%s=%s is not an IPv6 address", key, text);
        return false;
    }
    return true;
}

/* "ADDR", "ADDR/BITS" or "ADDR/MASK" */
static bool parse_net(const char *text, UserOptions *o, Error **errp)
{
    g_auto(GStrv) parts = g_strsplit(text, "/", 2);
    uint64_t bits = 24;
    bool ok = parts[0] && inet_pton(AF_INET, parts[0], &o->net) == 1;

    if (ok && parts[1] && strchr(parts[1], '.')) {
        ok = inet_pton(AF_INET, parts[1], &o->mask) == 1;
    } else if (ok) {
        ok = !parts[1] || (parse_u64(parts[1], &bits) && bits >= 8 && bits <= 30);
        o->mask.s_addr = htonl(ok ? UINT32_MAX << (32 - bits) : 0);
    }
    /* A mask is ones and then zeros, and leaves room for a router, a server and a guest. */
    uint32_t room = ~ntohl(o->mask.s_addr);
    if (!ok || (room & (room + 1)) || room < 3) {
        error_setg(errp, "net=%s is not ADDRESS/BITS with 8 to 30 bits", text);
        return false;
    }
    o->net.s_addr &= o->mask.s_addr;
    return true;
}

static struct in_addr in_net(const UserOptions *o, uint32_t number)
{
    return (struct in_addr){ o->net.s_addr | (htonl(number) & ~o->mask.s_addr) };
}

static bool check_in_net(const UserOptions *o, const char *key, struct in_addr a, Error **errp)
{
    if ((a.s_addr & o->mask.s_addr) != o->net.s_addr) {
        error_setg(errp, "%s is not in the network", key);
        return false;
    }
    return true;
}

static bool take_ipv4(UserOptions *o, JsonObject *opts, Error **errp)
{
    g_autofree char *net = NULL;

    if (!options_take_str(opts, "net", &net, errp) ||
        !parse_net(net ? net : "10.0.2.0/24", o, errp)) {
        return false;
    }
    /* Where there is no number 15 for a guest it has number 1. */
    bool tiny = ~ntohl(o->mask.s_addr) <= 15;
    o->host = in_net(o, 2);
    o->dns = in_net(o, 3);
    o->dhcp_start = in_net(o, tiny ? 1 : 15);
    if (!take_addr(opts, "host", &o->host, errp) || !take_addr(opts, "dns", &o->dns, errp) ||
        !take_addr(opts, "dhcpstart", &o->dhcp_start, errp)) {
        return false;
    }
    if (o->dhcp_start.s_addr == o->host.s_addr || o->dhcp_start.s_addr == o->dns.s_addr ||
        o->host.s_addr == o->dns.s_addr) {
        error_setg(errp, "host, dns and dhcpstart must be three addresses");
        return false;
    }
    return check_in_net(o, "host", o->host, errp) && check_in_net(o, "dns", o->dns, errp) &&
           check_in_net(o, "dhcpstart", o->dhcp_start, errp);
}

static struct in6_addr in_prefix(const UserOptions *o, uint8_t number)
{
    struct in6_addr a = o->prefix6;

    a.s6_addr[15] |= number;
    return a;
}

static bool take_ipv6(UserOptions *o, JsonObject *opts, Error **errp)
{
    uint64_t len = 64;

    inet_pton(AF_INET6, "fec0::", &o->prefix6);
    if (!take_addr6(opts, "ipv6-prefix", &o->prefix6, errp) ||
        !options_take_u64(opts, "ipv6-prefixlen", 126, &len, errp)) {
        return false;
    }
    o->prefix_len = len;
    o->host6 = in_prefix(o, 2);
    o->dns6 = in_prefix(o, 3);
    return take_addr6(opts, "ipv6-host", &o->host6, errp) &&
           take_addr6(opts, "ipv6-dns", &o->dns6, errp);
}

/* Both unless one is switched off, or one alone is switched on. */
static bool take_families(UserOptions *o, JsonObject *opts, Error **errp)
{
    bool has4 = json_object_has_member(opts, "ipv4"), has6 = json_object_has_member(opts, "ipv6");

    o->ipv4 = o->ipv6 = true;
    if (!options_take_bool(opts, "ipv4", &o->ipv4, errp) ||
        !options_take_bool(opts, "ipv6", &o->ipv6, errp)) {
        return false;
    }
    if (has4 && o->ipv4 && !has6) {
        o->ipv6 = false;
    } else if (has6 && o->ipv6 && !has4) {
        o->ipv4 = false;
    }
    if (!o->ipv4 && !o->ipv6) {
        error_setg(errp, "ipv4 and ipv6 cannot both be off");
        return false;
    }
    return true;
}

/* [{"str": S}, ...] as strings; NULL with errp unset when there is no such member. */
static char **take_strings(JsonObject *opts, const char *key, Error **errp)
{
    JsonNode *node = json_object_get_member(opts, key);
    g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func(g_free);
    JsonArray *array;

    if (!node) {
        return NULL;
    }
    array = JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;
    for (guint i = 0; array && i < json_array_get_length(array); i++) {
        JsonNode *item = json_array_get_element(array, i);
        JsonNode *str = JSON_NODE_HOLDS_OBJECT(item)
                            ? json_object_get_member(json_node_get_object(item), "str") : NULL;
        if (!str || !JSON_NODE_HOLDS_VALUE(str) ||
            json_node_get_value_type(str) != G_TYPE_STRING) {
            array = NULL;
        } else {
            g_ptr_array_add(list, json_node_dup_string(str));
        }
    }
    if (!array) {
        error_setg(errp, "parameter '%s' expects a list of objects with member 'str'", key);
        return NULL;
    }
    g_ptr_array_add(list, NULL);
    json_object_remove_member(opts, key);
    return (char **)g_ptr_array_free(g_steal_pointer(&list), FALSE);
}

static bool take_lists(UserOptions *o, JsonObject *opts, Error **errp)
{
    Error *err = NULL;
    g_auto(GStrv) forwards = take_strings(opts, "hostfwd", &err);

    o->forwards = g_array_new(false, false, sizeof(HostForward));
    for (char **f = forwards; f && *f && !err; f++) {
        HostForward forward;
        if (host_forward_parse(*f, false, &forward, &err)) {
            g_array_append_val(o->forwards, forward);
        } else {
            error_prefix(&err, "hostfwd: ");
        }
    }
    if (!err) {
        o->dnssearch = take_strings(opts, "dnssearch", &err);
    }
    if (err) {
        error_propagate(errp, err);
        return false;
    }
    return true;
}

bool user_options_take(UserOptions *o, JsonObject *opts, Error **errp)
{
    if (!options_take_bool(opts, "restrict", &o->restricted, errp) ||
        !options_take_str(opts, "hostname", &o->hostname, errp) ||
        !options_take_str(opts, "domainname", &o->domainname, errp) ||
        !take_families(o, opts, errp) || !take_ipv4(o, opts, errp) ||
        !take_ipv6(o, opts, errp) || !take_lists(o, opts, errp)) {
        return false;
    }
    if (o->hostname && strlen(o->hostname) > 33) {
        error_setg(errp, "hostname must not be longer than 33 bytes");
        return false;
    }
    return true;
}
