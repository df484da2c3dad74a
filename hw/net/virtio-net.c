/*
 * virtio-net: a network card (virtio 1.1, 5.1), one pair of queues, no offloads.
 * Machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "hw/net/virtio-net.h"

#include <string.h>

#include "util/util.h"

enum {
    QUEUE_SIZE = 256, CTRL_QUEUE_SIZE = 64,
    CONFIG_SIZE = 8,    /* mac, status */
    TX_BURST = 256,     /* frames in one turn */
    HEADER_MAX = 12, NUM_BUFFERS_AT = 10,
};

static VirtIONet *net_of(NetClient *nc)
{
    return container_of(nc, VirtIONet, nc);
}

/* Bytes of the header in front of each frame. */
static size_t header_size(const VirtIONet *n)
{
    return virtio_has_feature(&n->vdev, VIRTIO_NET_F_MRG_RXBUF) ||
           virtio_has_feature(&n->vdev, VIRTIO_F_VERSION_1) ? HEADER_MAX : NUM_BUFFERS_AT;
}

/* ---- to the guest ---- */

/* Frames for a driver that is not there yet wait, as for one whose buffers are full. */
static bool net_can_receive(NetClient *nc)
{
    return virtqueue_ready(net_of(nc)->rx);
}

/*
 * Pop buffers for `total` bytes, at most `max` chains.  How many; 0: there is no room now, or
 * the device is broken.
 */
static unsigned take_buffers(VirtIONet *n, VirtQueueElement **elems, unsigned max, size_t total)
{
    size_t room = 0;
    unsigned count = 0;

    if (!virtqueue_avail_bytes(n->rx, total, 0)) {
        virtqueue_set_notification(n->rx, true); /* a kick for the next buffer, not the first */
        if (!virtqueue_avail_bytes(n->rx, total, 0)) {
            return 0;
        }
    }
    while (room < total && count < max && (elems[count] = virtqueue_pop(n->rx))) {
        room += elems[count++]->in_size;
    }
    if (room < total || elems[0]->in_size < header_size(n)) {
        virtio_error(&n->vdev, "receive buffers of %zu bytes for a frame of %zu", room, total);
        for (unsigned i = 0; i < count; i++) {
            virtqueue_element_free(elems[i]);
        }
        return 0;
    }
    return count;
}

/* Header and frame into the chains, which become used together. */
static void fill_buffers(VirtIONet *n, VirtQueueElement **elems, unsigned count,
                         const uint8_t *frame, size_t len)
{
    uint8_t header[HEADER_MAX] = { [NUM_BUFFERS_AT] = count, count >> 8 };
    size_t at = 0;

    for (unsigned i = 0; i < count; i++) {
        VirtQueueElement *e = elems[i];
        size_t skip = i ? 0 : iov_from_buf(e->in_sg, e->in_num, 0, header, header_size(n));
        size_t part = iov_from_buf(e->in_sg, e->in_num, skip, frame + at, len - at);

        at += part;
        virtqueue_fill(n->rx, e, skip + part, i);
    }
    virtqueue_flush(n->rx, count);
    virtio_notify(&n->vdev, n->rx);
}

/* One chain must hold the frame; a longer frame is lost, as on a card with short buffers. */
static bool receive_plain(VirtIONet *n, const uint8_t *frame, size_t len)
{
    VirtQueueElement *e = virtqueue_pop(n->rx);

    if (!e) {
        return n->vdev.broken;
    }
    if (e->in_size < header_size(n)) {
        virtio_error(&n->vdev, "a receive buffer of %zu bytes", e->in_size);
        virtqueue_element_free(e);
        return true;
    }
    if (e->in_size < header_size(n) + len) {
        virtqueue_unpop(n->rx, e);
        return true;
    }
    fill_buffers(n, &e, 1, frame, len);
    return true;
}

static bool net_receive(NetClient *nc, const uint8_t *frame, size_t len)
{
    VirtIONet *n = net_of(nc);
    static VirtQueueElement *elems[QUEUE_SIZE]; /* machine lock */
    unsigned count;

    if (len < ETH_HLEN || !rx_filter_match(n, frame, len)) {
        return true;
    }
    if (!virtio_has_feature(&n->vdev, VIRTIO_NET_F_MRG_RXBUF)) {
        return receive_plain(n, frame, len);
    }
    count = take_buffers(n, elems, ARRAY_SIZE(elems), header_size(n) + len);
    if (!count) {
        return n->vdev.broken; /* else the driver kicks when it has given buffers */
    }
    fill_buffers(n, elems, count, frame, len);
    return true;
}

static void handle_rx(VirtIODevice *vdev, VirtQueue *vq)
{
    net_ready(&((VirtIONet *)vdev)->nc);
}

/* ---- from the guest ---- */

/* False breaks the device. */
static bool send_one(VirtIONet *n, VirtQueueElement *e)
{
    static uint8_t frame[NET_FRAME_MAX]; /* machine lock */
    size_t header = header_size(n);

    if (!e->out_num || e->in_num || e->out_size < header) {
        virtio_error(&n->vdev, "a frame to send in %u buffers of %zu bytes, %u to write",
                     e->out_num, e->out_size, e->in_num);
        return false;
    }
    size_t len = e->out_size - header;
    if (len >= ETH_HLEN && len <= NET_FRAME_MAX) { /* others are not frames */
        iov_to_buf(e->out_sg, e->out_num, header, frame, len);
        net_send(&n->nc, frame, len);
    }
    return true;
}

static void handle_tx(VirtIODevice *vdev, VirtQueue *vq)
{
    VirtIONet *n = (VirtIONet *)vdev;
    VirtQueueElement *e;
    unsigned sent = 0;

    while (sent < TX_BURST && net_can_send(&n->nc) && (e = virtqueue_pop(vq))) {
        if (!send_one(n, e)) {
            virtqueue_element_free(e);
            return;
        }
        virtqueue_push(vq, e, 0);
        sent++;
    }
    if (sent) {
        virtio_notify(vdev, vq);
    }
    if (sent == TX_BURST) {
        timer_mod(&n->tx_more, virtual_clock_ns());
    }
}

static void tx_more(void *opaque)
{
    VirtIONet *n = opaque;

    if (virtqueue_ready(n->tx)) {
        handle_tx(&n->vdev, n->tx);
    }
}

static void net_peer_ready(NetClient *nc)
{
    tx_more(net_of(nc));
}

/* ---- link ---- */

static void net_link_changed(NetClient *nc)
{
    VirtIONet *n = net_of(nc);
    uint16_t old = n->status;

    n->status = nc->link_down ? old & ~VIRTIO_NET_S_LINK_UP : old | VIRTIO_NET_S_LINK_UP;
    if (n->status != old) {
        virtio_notify_config(&n->vdev);
    }
}

/* The guest announces itself (gratuitous ARP and what else it knows), if it can. */
static void net_announce_guest(NetClient *nc)
{
    VirtIONet *n = net_of(nc);

    if ((n->vdev.status & VIRTIO_STATUS_DRIVER_OK) &&
        virtio_has_feature(&n->vdev, VIRTIO_NET_F_GUEST_ANNOUNCE) &&
        virtio_has_feature(&n->vdev, VIRTIO_NET_F_CTRL_VQ) && !nc->link_down) {
        n->status |= VIRTIO_NET_S_ANNOUNCE;
        virtio_notify_config(&n->vdev);
    }
}

static const NetClientOps virtio_net_ops = {
    .type = "nic",
    .can_receive = net_can_receive,
    .receive = net_receive,
    .peer_ready = net_peer_ready,
    .link_changed = net_link_changed,
    .announce = net_announce_guest,
    .rx_filter = virtio_net_rx_filter,
};

/* ---- the device ---- */

static uint64_t net_features(VirtIODevice *vdev)
{
    return VIRTIO_FEATURE(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS) | VIRTIO_FEATURE(VIRTIO_NET_F_MAC) |
           VIRTIO_FEATURE(VIRTIO_NET_F_MRG_RXBUF) | VIRTIO_FEATURE(VIRTIO_NET_F_STATUS) |
           VIRTIO_FEATURE(VIRTIO_NET_F_CTRL_VQ) | VIRTIO_FEATURE(VIRTIO_NET_F_CTRL_RX) |
           VIRTIO_FEATURE(VIRTIO_NET_F_CTRL_VLAN) | VIRTIO_FEATURE(VIRTIO_NET_F_CTRL_RX_EXTRA) |
           VIRTIO_FEATURE(VIRTIO_NET_F_GUEST_ANNOUNCE) |
           VIRTIO_FEATURE(VIRTIO_NET_F_CTRL_MAC_ADDR);
}

static void net_get_config(VirtIODevice *vdev, uint8_t *config)
{
    VirtIONet *n = (VirtIONet *)vdev;

    memcpy(config, n->mac, ETH_ALEN);
    config[6] = n->status;
    config[7] = n->status >> 8;
}

/* Drivers of old set their address here. */
static void net_set_config(VirtIODevice *vdev, const uint8_t *config)
{
    VirtIONet *n = (VirtIONet *)vdev;

    if (!virtio_has_feature(vdev, VIRTIO_NET_F_CTRL_MAC_ADDR) &&
        !virtio_has_feature(vdev, VIRTIO_F_VERSION_1)) {
        memcpy(n->mac, config, ETH_ALEN);
        net_info_mac(&n->nc);
    }
}

static void net_reset(VirtIODevice *vdev)
{
    VirtIONet *n = (VirtIONet *)vdev;

    timer_del(&n->tx_more);
    net_purge(&n->nc);
    rx_filter_reset(&n->filter);
    n->status &= ~VIRTIO_NET_S_ANNOUNCE;
    memcpy(n->mac, n->conf.mac, ETH_ALEN);
    net_info_mac(&n->nc);
}

static bool net_realize(VirtIODevice *vdev, Error **errp)
{
    VirtIONet *n = (VirtIONet *)vdev;
    Object *card = vdev->dev.obj.parent; /* the transport has the id */

    if (!nic_init(&n->nc, &virtio_net_ops, "virtio-net-pci", ((DeviceState *)card)->id, &n->conf,
                  errp)) {
        return false;
    }
    n->nc.mac = n->mac;
    n->status = n->nc.link_down ? 0 : VIRTIO_NET_S_LINK_UP;
    virtio_init(vdev, CONFIG_SIZE);
    n->rx = virtio_add_queue(vdev, QUEUE_SIZE, handle_rx);
    n->tx = virtio_add_queue(vdev, QUEUE_SIZE, handle_tx);
    n->ctrl = virtio_add_queue(vdev, CTRL_QUEUE_SIZE, virtio_net_handle_ctrl);
    timer_init(&n->tx_more, tx_more, n);
    net_reset(vdev);
    return true;
}

static void net_unrealize(VirtIODevice *vdev)
{
    VirtIONet *n = (VirtIONet *)vdev;

    timer_del(&n->tx_more);
    net_client_exit(&n->nc);
}

/* ---- saved state, in the layout observed on the wire ---- */

static const uint8_t all_vlans[VIRTIO_NET_VLANS / 8] = { [0 ... VIRTIO_NET_VLANS / 8 - 1] = 0xff };

static void net_save(VirtIODevice *vdev, Stream *s)
{
    const VirtIONet *n = (const VirtIONet *)vdev;
    const RxFilter *f = &n->filter;
    bool filters_vlans = virtio_has_feature(vdev, VIRTIO_NET_F_CTRL_VLAN);

    stream_put_bytes(s, n->mac, ETH_ALEN);
    stream_put_be32(s, 0); /* nothing is being sent: what is left is in the queue */
    stream_put_be32(s, virtio_has_feature(vdev, VIRTIO_NET_F_MRG_RXBUF));
    stream_put_be16(s, n->status);
    stream_put_u8(s, f->promisc);
    stream_put_u8(s, f->allmulti);
    stream_put_be32(s, f->in_use);
    stream_put_bytes(s, f->macs, f->in_use * ETH_ALEN);
    stream_put_bytes(s, filters_vlans ? f->vlans : all_vlans, sizeof(f->vlans));
    stream_put_be32(s, 0); /* no headers of offloads */
    stream_put_u8(s, f->multi_overflow);
    stream_put_u8(s, f->uni_overflow);
    stream_put_u8(s, f->alluni);
    stream_put_u8(s, f->nomulti);
    stream_put_u8(s, f->nouni);
    stream_put_u8(s, f->nobcast);
    stream_put_u8(s, 0); /* no UDP fragmentation offload */
    if (virtio_has_feature(vdev, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS)) {
        stream_put_be64(s, 0);
    }
}

static bool load_filter(RxFilter *f, Stream *s, Error **errp)
{
    f->promisc = stream_get_u8(s);
    f->allmulti = stream_get_u8(s);
    f->in_use = stream_get_be32(s);
    if (stream_error(s, errp)) {
        return false;
    }
    if (f->in_use > VIRTIO_NET_MACS) {
        error_setg(errp, "a table of %u addresses, this one has %d", f->in_use, VIRTIO_NET_MACS);
        f->in_use = 0;
        return false;
    }
    stream_get_bytes(s, f->macs, f->in_use * ETH_ALEN);
    stream_get_bytes(s, f->vlans, sizeof(f->vlans));
    f->first_multi = 0;
    while (f->first_multi < f->in_use && !(f->macs[f->first_multi][0] & 1)) {
        f->first_multi++;
    }
    return true;
}

static bool net_load(VirtIODevice *vdev, Stream *s, Error **errp)
{
    VirtIONet *n = (VirtIONet *)vdev;
    RxFilter *f = &n->filter;
    uint32_t headers;
    uint8_t ufo;
    uint64_t offloads = 0;

    stream_get_bytes(s, n->mac, ETH_ALEN);
    stream_skip(s, 4 + 4); /* sending, mergeable buffers: queue and features say the same */
    n->status = stream_get_be16(s);
    if (!load_filter(f, s, errp)) {
        return false;
    }
    headers = stream_get_be32(s);
    f->multi_overflow = stream_get_u8(s);
    f->uni_overflow = stream_get_u8(s);
    f->alluni = stream_get_u8(s);
    f->nomulti = stream_get_u8(s);
    f->nouni = stream_get_u8(s);
    f->nobcast = stream_get_u8(s);
    ufo = stream_get_u8(s);
    if (virtio_has_feature(vdev, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS)) {
        offloads = stream_get_be64(s);
    }
    if (stream_error(s, errp)) {
        return false;
    }
    if (headers || ufo || offloads) {
        error_setg(errp, "the card at the source uses offloads, which this one has not: connect it "
                   "there without (tap: vnet_hdr=off)");
        return false;
    }
    return true;
}

static bool net_post_load(VirtIODevice *vdev, Error **errp)
{
    VirtIONet *n = (VirtIONet *)vdev;

    n->nc.link_down = !(n->status & VIRTIO_NET_S_LINK_UP);
    net_info_mac(&n->nc);
    return true;
}

static const VMStateDescription vmstate_net = {
    .name = "virtio-net",
    .version_id = 11,
    .minimum_version_id = 11,
    .fields = (const VMStateField[]){ VMSTATE_VIRTIO_DEVICE, VMSTATE_END_OF_LIST() },
};

static const PropertyInfo net_props[] = {
    { .name = "netdev", .kind = PROP_STRING, .offset = offsetof(VirtIONet, conf.netdev),
      .description = "ID of a netdev to use as a backend" },
    { .name = "mac", .kind = PROP_STRING, .offset = offsetof(VirtIONet, conf.mac_text),
      .description = "Ethernet 6-byte MAC Address, example: 52:54:00:12:34:56" },
    { .name = NULL },
};

static const VirtIODeviceClass net_class = {
    VIRTIO_DEVICE_CLASS(&vmstate_net, .desc = "network card"),
    .device_id = VIRTIO_ID_NET,
    .get_features = net_features,
    .realize = net_realize,
    .unrealize = net_unrealize,
    .reset = net_reset,
    .get_config = net_get_config,
    .set_config = net_set_config,
    .save = net_save,
    .load = net_load,
    .post_load = net_post_load,
};

static const TypeInfo net_type = {
    .name = "virtio-net-device",
    .parent = TYPE_VIRTIO_DEVICE,
    .instance_size = sizeof(VirtIONet),
    .props = net_props,
    .class_data = &net_class,
};
TYPE_REGISTER(net_type)
VIRTIO_PCI_TYPE(net, "virtio-net-pci", net_type, 0x0200, 4, "network card", "Network devices")
