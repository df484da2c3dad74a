/*
 * Monitor commands about networking.  Main thread, machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "monitor/hmp.h"
#include "net/netdev.h"
#include "net/user.h"
#include "qapi/qapi-commands.h"
#include "qapi/qapi-events.h"

bool qmp_netdev_add(JsonObject *args, Error **errp)
{
    return netdev_add(args, errp) != NULL;
}

bool qmp_netdev_del(const NetdevDelArgs *args, Error **errp)
{
    return netdev_del(args->id, errp);
}

bool qmp_set_link(const SetLinkArgs *args, Error **errp)
{
    NetClient *nc = net_client_by_name(args->name);

    if (!nc) {
        error_set(errp, ERROR_CLASS_DEVICE_NOT_FOUND, "Device '%s' not found", args->name);
        return false;
    }
    net_set_link(nc, args->up);
    return true;
}

GPtrArray *qmp_query_rx_filter(const QueryRxFilterArgs *args, Error **errp)
{
    g_autoptr(GPtrArray) list = rx_filter_info_list_new();
    NetClient *only = args->name ? net_client_by_name(args->name) : NULL;

    if (args->name && !only) {
        error_setg(errp, "invalid net client name: %s", args->name);
        return NULL;
    }
    if (only && !only->ops->rx_filter) {
        error_setg(errp, "net client(%s) %s", args->name,
                   only->model ? "doesn't support rx-filter querying" : "isn't a NIC");
        return NULL;
    }
    for (NetClient *nc = net_client_first(); nc; nc = nc->next) {
        if (nc->ops->rx_filter && (!only || nc == only)) {
            g_ptr_array_add(list, nc->ops->rx_filter(nc));
            nc->filter_unread = false;
        }
    }
    return g_steal_pointer(&list);
}

void net_rx_filter_changed(NetClient *nc, const char *qom_path)
{
    if (!nc->filter_unread) {
        nc->filter_unread = true;
        qapi_event_send_nic_rx_filter_changed(nc->name, qom_path);
    }
}

/* ---- HMP ---- */

static void print_client(HmpSession *s, const NetClient *nc, const char *indent)
{
    hmp_printf(s, "%s%s: index=0,type=%s,%s\n", indent, nc->name, nc->ops->type, nc->info);
}

static void info_network(HmpSession *s, JsonObject *args)
{
    for (NetClient *nc = net_client_first(); nc; nc = nc->next) {
        if (nc->model || !nc->peer) {
            print_client(s, nc, "");
        }
        if (nc->model && nc->peer) {
            print_client(s, nc->peer, " \\ ");
        }
    }
}

static void hmp_set_link(HmpSession *s, JsonObject *args)
{
    SetLinkArgs qargs = { .name = (char *)hmp_arg_str(args, "name"),
                          .up = hmp_arg_bool(args, "up") };
    Error *err = NULL;

    qmp_set_link(&qargs, &err);
    hmp_error(s, err);
}

static void hmp_netdev_add(HmpSession *s, JsonObject *args)
{
    Error *err = NULL;
    g_autoptr(JsonObject) opts = netdev_parse(hmp_arg_str(args, "netdev"), &err);

    if (opts) {
        netdev_add(opts, &err);
    }
    hmp_error(s, err);
}

static void hmp_netdev_del(HmpSession *s, JsonObject *args)
{
    Error *err = NULL;

    netdev_del(hmp_arg_str(args, "id"), &err);
    hmp_error(s, err);
}

static void complete_clients(GPtrArray *list, int nr, const char *prefix)
{
    for (NetClient *nc = net_client_first(); nc && nr == 0; nc = nc->next) {
        hmp_complete_add(list, nc->name);
    }
}

static void complete_netdevs(GPtrArray *list, int nr, const char *prefix)
{
    for (NetClient *nc = net_client_first(); nc && nr == 0; nc = nc->next) {
        if (!nc->model) {
            hmp_complete_add(list, nc->name);
        }
    }
}

static const HmpCommand net_commands[] = {
    { "set_link", "name:s,up:b", "name on|off", "pull a network card's cable out, or put it in",
      hmp_set_link, complete_clients },
    { "netdev_add", "netdev:s", "[user|tap|socket|stream|dgram],id=ID[,prop=value][,...]",
      "make a netdev", hmp_netdev_add },
    { "netdev_del", "id:s", "id", "remove a netdev", hmp_netdev_del, complete_netdevs },
    { NULL },
};
HMP_COMMANDS(net_commands)

static const HmpCommand net_info[] = {
    { "network", "", "", "network cards and netdevs", info_network },
    { NULL },
};
HMP_INFO(net_info)

#if CONFIG_SLIRP

/* The arguments are "[NETDEV] RULE". */
static NetClient *forward_args(JsonObject *args, bool without_guest, HostForward *ret, Error **errp)
{
    const char *first = hmp_arg_str(args, "first"), *second = hmp_arg_str(args, "second");
    NetClient *nc = net_user_find(second ? first : NULL, errp);

    return nc && host_forward_parse(second ? second : first, without_guest, ret, errp) ? nc : NULL;
}

static void hostfwd_add(HmpSession *s, JsonObject *args)
{
    Error *err = NULL;
    HostForward f;
    NetClient *nc = forward_args(args, false, &f, &err);

    if (nc) {
        net_user_forward(nc, &f, &err);
    }
    hmp_error(s, err);
}

static void hostfwd_remove(HmpSession *s, JsonObject *args)
{
    Error *err = NULL;
    HostForward f;
    NetClient *nc = forward_args(args, true, &f, &err);

    if (nc) {
        net_user_unforward(nc, &f, &err);
    }
    hmp_error(s, err);
}

static void info_usernet(HmpSession *s, JsonObject *args)
{
    for (NetClient *nc = net_client_first(); nc; nc = nc->next) {
        g_autofree char *text = net_user_connections(nc);
        if (text) {
            hmp_printf(s, "%s:\n%s", nc->name, text);
        }
    }
}

static const HmpCommand user_commands[] = {
    { "hostfwd_add", "first:s,second:s?", "[netdev] [tcp|udp]:[hostaddr]:hostport-[guestaddr]:guestport",
      "let a port of the host lead to the guest", hostfwd_add },
    { "hostfwd_remove", "first:s,second:s?", "[netdev] [tcp|udp]:[hostaddr]:hostport",
      "end that", hostfwd_remove },
    { NULL },
};
HMP_COMMANDS(user_commands)

static const HmpCommand user_info[] = {
    { "usernet", "", "", "connections of netdevs of type user", info_usernet },
    { NULL },
};
HMP_INFO(user_info)

#endif
