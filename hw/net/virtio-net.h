/*
 * Private to hw/net: virtio-net, the card and its filter of received frames.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_HW_NET_VIRTIO_NET_H
#define FERRY_HW_NET_VIRTIO_NET_H

#include "hw/virtio/virtio.h"
#include "net/net.h"
#include "system/clock.h"

/* Features (virtio 1.1, 5.1.3). */
#define VIRTIO_NET_F_CTRL_GUEST_OFFLOADS 2
#define VIRTIO_NET_F_MAC 5
#define VIRTIO_NET_F_MRG_RXBUF 15
#define VIRTIO_NET_F_STATUS 16
#define VIRTIO_NET_F_CTRL_VQ 17
#define VIRTIO_NET_F_CTRL_RX 18
#define VIRTIO_NET_F_CTRL_VLAN 19
#define VIRTIO_NET_F_CTRL_RX_EXTRA 20
#define VIRTIO_NET_F_GUEST_ANNOUNCE 21
#define VIRTIO_NET_F_CTRL_MAC_ADDR 23

/* Member `status` of the configuration. */
#define VIRTIO_NET_S_LINK_UP 1
#define VIRTIO_NET_S_ANNOUNCE 2

#define VIRTIO_NET_MACS 64      /* addresses in the table */
#define VIRTIO_NET_VLANS 4096

/* What is received.  After a reset: everything. */
typedef struct RxFilter {
    uint8_t promisc, allmulti, alluni, nomulti, nouni, nobcast;
    uint8_t multi_overflow, uni_overflow; /* more addresses than the table has room for */
    uint32_t in_use;            /* addresses in macs: single ones, then groups */
    uint32_t first_multi;
    uint8_t macs[VIRTIO_NET_MACS][ETH_ALEN];
    uint8_t vlans[VIRTIO_NET_VLANS / 8]; /* one bit each */
} RxFilter;

typedef struct VirtIONet {
    VirtIODevice vdev;
    NetClient nc;
    NICConf conf;               /* mac: the one of the properties */
    uint8_t mac[ETH_ALEN];      /* in force; the guest may change it */
    uint16_t status;            /* VIRTIO_NET_S_... */
    VirtQueue *rx, *tx, *ctrl;
    Timer tx_more;              /* more to send than one turn may */
    RxFilter filter;
} VirtIONet;

/* virtio-net-filter.c; machine lock */
void rx_filter_reset(RxFilter *f);
/* Is the frame, of ETH_HLEN bytes at least, to be received? */
bool rx_filter_match(const VirtIONet *n, const uint8_t *frame, size_t len);
/* A chain of the control queue came. */
void virtio_net_handle_ctrl(VirtIODevice *vdev, VirtQueue *vq);
RxFilterInfo *virtio_net_rx_filter(NetClient *nc);

#endif
