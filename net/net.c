/*
 * The ends of wires: their list, pairs, and how a frame goes from one to the other.
 * Machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "net/net.h"

#include <string.h>

#include "net/netdev.h"
#include "trace/net.h"
#include "util/util.h"

enum { WAITING_MAX = 256 }; /* frames that are kept for an end that is busy */

static NetClient *clients; /* in order of creation */

NetClient *net_client_first(void)
{
    return clients;
}

void net_client_init(NetClient *nc, const NetClientOps *ops, const char *name, char *info)
{
    NetClient **tail = &clients;

    nc->ops = ops;
    nc->name = g_strdup(name);
    nc->info = info;
    g_queue_init(&nc->waiting);
    while (*tail) {
        tail = &(*tail)->next;
    }
    *tail = nc;
}

void net_set_info(NetClient *nc, char *info)
{
    g_free(nc->info);
    nc->info = info;
}

void net_purge(NetClient *nc)
{
    g_queue_clear_full(&nc->waiting, (GDestroyNotify)g_bytes_unref);
}

void net_client_exit(NetClient *nc)
{
    NetClient **p = &clients;
    NetClient *peer = nc->peer;

    while (*p && *p != nc) {
        p = &(*p)->next;
    }
    if (!*p) {
        return; /* never was in the list */
    }
    *p = nc->next;
    net_purge(nc);
    if (peer) {
        peer->peer = NULL;
        net_purge(peer);
        if (!peer->model) {
            net_ready(peer);
        } else if (!peer->link_down) {
            peer->link_down = true; /* a card without a cable */
            peer->ops->link_changed(peer);
        }
    }
    g_free(nc->name);
    g_free(nc->model);
    g_free(nc->info);
}

NetClient *net_client_by_name(const char *name)
{
    for (NetClient *nc = clients; nc; nc = nc->next) {
        if (!strcmp(nc->name, name)) {
            return nc;
        }
    }
    return NULL;
}

/* ---- frames ---- */

static bool takes_frames(NetClient *nc)
{
    return !nc->ops->can_receive || nc->ops->can_receive(nc);
}

static bool connected(const NetClient *nc)
{
    return nc->peer && !nc->link_down && !nc->peer->link_down;
}

bool net_can_send(NetClient *nc)
{
    if (connected(nc) && (!g_queue_is_empty(&nc->peer->waiting) || !takes_frames(nc->peer))) {
        nc->peer->owes_ready = true;
        return false;
    }
    return true;
}

void net_send(NetClient *nc, const uint8_t *frame, size_t len)
{
    NetClient *to = nc->peer;

    g_assert(len <= NET_FRAME_MAX);
    if (!connected(nc)) {
        return;
    }
    trace_net_frame(nc->name, to->name, len);
    if (g_queue_is_empty(&to->waiting) && takes_frames(to) && to->ops->receive(to, frame, len)) {
        return;
    }
    if (g_queue_get_length(&to->waiting) >= WAITING_MAX) {
        trace_net_drop(to->name, len);
        return;
    }
    g_queue_push_tail(&to->waiting, g_bytes_new(frame, len));
}

void net_ready(NetClient *nc)
{
    GBytes *frame;

    while ((frame = g_queue_peek_head(&nc->waiting))) {
        size_t len;
        const uint8_t *data = g_bytes_get_data(frame, &len);

        if (!takes_frames(nc) || !nc->ops->receive(nc, data, len)) {
            return;
        }
        g_queue_pop_head(&nc->waiting);
        g_bytes_unref(frame);
    }
    if (nc->owes_ready && takes_frames(nc)) {
        nc->owes_ready = false;
        if (nc->peer) {
            nc->peer->ops->peer_ready(nc->peer);
        }
    }
}

void net_set_link(NetClient *nc, bool up)
{
    NetClient *peer = nc->peer;

    nc->link_down = !up;
    if (peer && peer->model) {
        peer->link_down = !up;
    }
    net_purge(nc);
    if (peer) {
        net_purge(peer);
    }
    if (nc->ops->link_changed) {
        nc->ops->link_changed(nc);
    }
    if (peer && peer->ops->link_changed) {
        peer->ops->link_changed(peer);
    }
    /* Whoever waited for room waits no more: frames go through, or nowhere. */
    net_ready(nc);
    if (peer) {
        net_ready(peer);
    }
}

/* ---- cards ---- */

bool net_parse_mac(const char *text, uint8_t ret_mac[ETH_ALEN])
{
    for (int i = 0; i < ETH_ALEN; i++) {
        const char *end = i < ETH_ALEN - 1 ? ":-" : "";

        if (!g_ascii_isxdigit(text[0]) || !g_ascii_isxdigit(text[1]) ||
            (*end ? !text[2] || !strchr(end, text[2]) : text[2] != '\0')) {
            return false;
        }
        ret_mac[i] = g_ascii_xdigit_value(text[0]) << 4 | g_ascii_xdigit_value(text[1]);
        text += 3;
    }
    return true;
}

char *net_mac_to_str(const uint8_t mac[ETH_ALEN])
{
    return g_strdup_printf("%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3],
                           mac[4], mac[5]);
}

static bool mac_in_use(const uint8_t mac[ETH_ALEN])
{
    for (NetClient *nc = clients; nc; nc = nc->next) {
        if (nc->mac && !memcmp(nc->mac, mac, ETH_ALEN)) {
            return true;
        }
    }
    return false;
}

/* The first of the usual row that no card has. */
static void default_mac(uint8_t ret_mac[ETH_ALEN])
{
    static const uint8_t first[ETH_ALEN] = { 0x52, 0x54, 0x00, 0x12, 0x34, 0x56 };

    memcpy(ret_mac, first, ETH_ALEN);
    while (mac_in_use(ret_mac) && ret_mac[5] != 0x55) {
        ret_mac[5]++;
    }
}

static bool choose_mac(NICConf *conf, Error **errp)
{
    if (!conf->mac_text) {
        default_mac(conf->mac);
        return true;
    }
    if (!net_parse_mac(conf->mac_text, conf->mac)) {
        error_setg(errp, "mac=%s is not an address such as 52:54:00:12:34:56", conf->mac_text);
        return false;
    }
    if (conf->mac[0] & 1) {
        error_setg(errp, "mac=%s is the address of a group, not of one card", conf->mac_text);
        return false;
    }
    return true;
}

static char *nic_name(const char *model, const char *id)
{
    unsigned n = 0;

    for (NetClient *nc = clients; nc && !id; nc = nc->next) {
        n += nc->model && !strcmp(nc->model, model);
    }
    return id ? g_strdup(id) : g_strdup_printf("%s.%u", model, n);
}

bool nic_init(NetClient *nc, const NetClientOps *ops, const char *model, const char *id,
              NICConf *conf, Error **errp)
{
    NetClient *peer = conf->netdev ? net_client_by_name(conf->netdev) : NULL;
    g_autofree char *name = NULL;

    if (conf->netdev && (!peer || peer->model)) {
        error_setg(errp, "Property '%s.netdev' can't find value '%s'", model, conf->netdev);
        return false;
    }
    if (peer && peer->peer) {
        error_setg(errp, "netdev '%s' is in use by '%s'", peer->name, peer->peer->name);
        return false;
    }
    if (!choose_mac(conf, errp)) {
        return false;
    }
    name = nic_name(model, id);
    net_client_init(nc, ops, name, NULL);
    nc->model = g_strdup(model);
    nc->mac = conf->mac;
    net_info_mac(nc);
    if (peer) {
        nc->peer = peer;
        peer->peer = nc;
        nc->link_down = peer->link_down;
        net_purge(peer);
    }
    return true;
}

void net_info_mac(NetClient *nc)
{
    g_autofree char *mac = net_mac_to_str(nc->mac);

    net_set_info(nc, g_strdup_printf("model=%s,macaddr=%s", nc->model, mac));
}
