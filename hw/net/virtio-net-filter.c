/*
 * virtio-net: which frames a card receives, and the control queue through which the guest
 * says so (virtio 1.1, 5.1.6.5).  Machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "hw/net/virtio-net.h"
#include "util/util.h"

enum { CLASS_RX, CLASS_MAC, CLASS_VLAN, CLASS_ANNOUNCE, CLASS_MQ, CLASS_GUEST_OFFLOADS };
enum { CTRL_OK, CTRL_ERR };
enum { ETH_TYPE_AT = 12, VLAN_TAG_AT = 14, ETH_TYPE_VLAN = 0x8100 };

static const uint8_t broadcast[ETH_ALEN] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

void rx_filter_reset(RxFilter *f)
{
    *f = (RxFilter){ .promisc = 1 };
}

static bool in_table(const RxFilter *f, const uint8_t *mac, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++) {
        if (!memcmp(f->macs[i], mac, ETH_ALEN)) {
            return true;
        }
    }
    return false;
}

static bool vlan_wanted(const VirtIONet *n, unsigned vid)
{
    return !virtio_has_feature(&n->vdev, VIRTIO_NET_F_CTRL_VLAN) ||
           n->filter.vlans[vid / 8] & 1 << vid % 8;
}

bool rx_filter_match(const VirtIONet *n, const uint8_t *frame, size_t len)
{
    const RxFilter *f = &n->filter;

    if (f->promisc) {
        return true;
    }
    if (len > VLAN_TAG_AT + 1 &&
        (frame[ETH_TYPE_AT] << 8 | frame[ETH_TYPE_AT + 1]) == ETH_TYPE_VLAN &&
        !vlan_wanted(n, (frame[VLAN_TAG_AT] << 8 | frame[VLAN_TAG_AT + 1]) & 0xfff)) {
        return false;
    }
    if (!memcmp(frame, broadcast, ETH_ALEN)) {
        return !f->nobcast;
    }
    if (frame[0] & 1) {
        return !f->nomulti && (f->allmulti || f->multi_overflow ||
                               in_table(f, frame, f->first_multi, f->in_use));
    }
    return !f->nouni && (f->alluni || f->uni_overflow || !memcmp(frame, n->mac, ETH_ALEN) ||
                         in_table(f, frame, 0, f->first_multi));
}

/* ---- commands ---- */

/* The rest of a command: buffers that the guest owns, read once. */
typedef struct Reader {
    const struct iovec *iov;
    unsigned n;
    size_t at, size;
} Reader;

static bool take(Reader *r, void *buf, size_t len)
{
    if (len > r->size - r->at) {
        return false;
    }
    iov_to_buf(r->iov, r->n, r->at, buf, len);
    r->at += len;
    return true;
}

static bool set_mode(VirtIONet *n, uint8_t cmd, Reader *r)
{
    RxFilter *f = &n->filter;
    uint8_t *const modes[] = { &f->promisc, &f->allmulti, &f->alluni, &f->nomulti, &f->nouni,
                               &f->nobcast };
    uint8_t on;

    if (cmd >= ARRAY_SIZE(modes) || !take(r, &on, 1)) {
        return false;
    }
    *modes[cmd] = on != 0;
    return true;
}

/* A list of addresses behind those in f; *overflow when there is no room for all. */
static bool take_addresses(RxFilter *f, Reader *r, uint8_t *overflow)
{
    uint32_t count;

    if (!take(r, &count, sizeof(count))) {
        return false;
    }
    count = GUINT32_FROM_LE(count);
    if (count > (r->size - r->at) / ETH_ALEN) {
        return false;
    }
    *overflow = count > VIRTIO_NET_MACS - f->in_use;
    if (*overflow) {
        r->at += count * ETH_ALEN;
        return true;
    }
    take(r, f->macs[f->in_use], count * ETH_ALEN);
    f->in_use += count;
    return true;
}

/* Single addresses, then groups: both lists or none. */
static bool set_table(VirtIONet *n, Reader *r)
{
    RxFilter f = n->filter;

    f.in_use = 0;
    if (!take_addresses(&f, r, &f.uni_overflow)) {
        return false;
    }
    f.first_multi = f.in_use;
    if (!take_addresses(&f, r, &f.multi_overflow) || r->at != r->size) {
        return false;
    }
    n->filter = f;
    return true;
}

static bool set_mac(VirtIONet *n, uint8_t cmd, Reader *r)
{
    uint8_t mac[ETH_ALEN];

    if (cmd == 0) {
        return set_table(n, r);
    }
    if (cmd != 1 || r->size - r->at != ETH_ALEN || !take(r, mac, ETH_ALEN)) {
        return false;
    }
    memcpy(n->mac, mac, ETH_ALEN);
    net_info_mac(&n->nc);
    return true;
}

static bool set_vlan(VirtIONet *n, uint8_t cmd, Reader *r)
{
    uint16_t vid;

    if (cmd > 1 || !take(r, &vid, sizeof(vid)) || GUINT16_FROM_LE(vid) >= VIRTIO_NET_VLANS) {
        return false;
    }
    vid = GUINT16_FROM_LE(vid);
    if (cmd == 0) {
        n->filter.vlans[vid / 8] |= 1 << vid % 8;
    } else {
        n->filter.vlans[vid / 8] &= ~(1 << vid % 8);
    }
    return true;
}

static bool announced(VirtIONet *n, uint8_t cmd)
{
    if (cmd != 0 || !(n->status & VIRTIO_NET_S_ANNOUNCE)) {
        return false;
    }
    n->status &= ~VIRTIO_NET_S_ANNOUNCE;
    return true;
}

/* There are none that could be switched on. */
static bool set_offloads(uint8_t cmd, Reader *r)
{
    uint64_t offloads;

    return cmd == 0 && take(r, &offloads, sizeof(offloads)) && offloads == 0;
}

static bool run_command(VirtIONet *n, Reader *r)
{
    uint8_t head[2]; /* class, command */
    bool ok = false;

    if (!take(r, head, sizeof(head))) {
        return false;
    }
    switch (head[0]) {
    case CLASS_RX:
        ok = set_mode(n, head[1], r);
        break;
    case CLASS_MAC:
        ok = set_mac(n, head[1], r);
        break;
    case CLASS_VLAN:
        ok = set_vlan(n, head[1], r);
        break;
    case CLASS_ANNOUNCE:
        return announced(n, head[1]);
    case CLASS_GUEST_OFFLOADS:
        return set_offloads(head[1], r);
    }
    if (ok) {
        g_autofree char *path = object_path(&n->vdev.dev.obj);
        net_rx_filter_changed(&n->nc, path);
    }
    return ok;
}

void virtio_net_handle_ctrl(VirtIODevice *vdev, VirtQueue *vq)
{
    VirtIONet *n = (VirtIONet *)vdev;
    VirtQueueElement *e;

    while ((e = virtqueue_pop(vq))) {
        Reader r = { e->out_sg, e->out_num, 0, e->out_size };
        uint8_t ack;

        if (!e->in_size || e->out_size < 2) {
            virtio_error(vdev, "a command of %zu bytes with %zu for its answer", e->out_size,
                         e->in_size);
            virtqueue_element_free(e);
            return;
        }
        ack = run_command(n, &r) ? CTRL_OK : CTRL_ERR;
        iov_from_buf(e->in_sg, e->in_num, 0, &ack, 1);
        virtqueue_push(vq, e, 1);
        virtio_notify(vdev, vq);
    }
}

/* ---- query-rx-filter ---- */

static RxState rx_state(bool none, bool all)
{
    return none ? RX_STATE_NONE : all ? RX_STATE_ALL : RX_STATE_NORMAL;
}

static GPtrArray *mac_list(const RxFilter *f, unsigned from, unsigned to)
{
    GPtrArray *list = g_ptr_array_new_with_free_func(g_free);

    for (unsigned i = from; i < to; i++) {
        g_ptr_array_add(list, net_mac_to_str(f->macs[i]));
    }
    return list;
}

RxFilterInfo *virtio_net_rx_filter(NetClient *nc)
{
    const VirtIONet *n = container_of(nc, VirtIONet, nc);
    const RxFilter *f = &n->filter;
    bool vlans = virtio_has_feature(&n->vdev, VIRTIO_NET_F_CTRL_VLAN);
    RxFilterInfo *info = g_new0(RxFilterInfo, 1);

    info->name = g_strdup(nc->name);
    info->promiscuous = f->promisc;
    info->multicast = rx_state(f->nomulti, f->allmulti);
    info->unicast = rx_state(f->nouni, f->alluni);
    info->vlan = vlans ? RX_STATE_NORMAL : RX_STATE_ALL;
    info->broadcast_allowed = !f->nobcast;
    info->multicast_overflow = f->multi_overflow;
    info->unicast_overflow = f->uni_overflow;
    info->main_mac = net_mac_to_str(n->mac);
    info->unicast_table = mac_list(f, 0, f->first_multi);
    info->multicast_table = mac_list(f, f->first_multi, f->in_use);
    info->vlan_table = g_array_new(false, false, sizeof(int64_t));
    for (int64_t vid = 0; vlans && vid < VIRTIO_NET_VLANS; vid++) {
        if (f->vlans[vid / 8] & 1 << vid % 8) {
            g_array_append_val(info->vlan_table, vid);
        }
    }
    return info;
}
