/*
 * Networking: frames between a network card and what it is connected to on the host.
 *
 * A NetClient is one end: a card, or a netdev (user, tap, ...).  Two of them are peers.
 * Everything here belongs to the machine lock; callbacks run under it, in the main thread
 * or in the vCPU thread that made the guest's request.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_NET_NET_H
#define FERRY_NET_NET_H

#include <json-glib/json-glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "qapi/qapi-types.h"
#include "util/error.h"

#define ETH_ALEN 6
#define ETH_HLEN 14
/* Longest frame, Ethernet header included, that any end takes. */
#define NET_FRAME_MAX (64 * 1024 + 4096)

typedef struct NetClient NetClient;

typedef struct NetClientOps {
    const char *type;   /* "nic", "user", "tap", ... */
    /* Can a frame be taken now?  NULL: always.  False: net_ready() is called later. */
    bool (*can_receive)(NetClient *nc);
    /* A frame from the peer, at most NET_FRAME_MAX bytes.  False: not now, as above. */
    bool (*receive)(NetClient *nc, const uint8_t *frame, size_t len);
    /* The peer takes frames again, after net_can_send() was false. */
    void (*peer_ready)(NetClient *nc);
    /* Link of this end or of the peer went up or down; NULL: does not care. */
    void (*link_changed)(NetClient *nc);
    /* netdevs: stop, close, free the struct. */
    void (*free)(NetClient *nc);
    /* Cards: ask the guest to announce itself, if it can; NULL: it cannot. */
    void (*announce)(NetClient *nc);
    /* Cards with a filter of received frames (query-rx-filter); NULL: none. */
    RxFilterInfo *(*rx_filter)(NetClient *nc);
} NetClientOps;

/* First member of whatever is an end of a wire. */
struct NetClient {
    const NetClientOps *ops;
    char *name;         /* id of the netdev; a card: its id, or "MODEL.N" */
    char *model;        /* cards: "virtio-net-pci"; netdevs: NULL */
    const uint8_t *mac; /* cards: the address in force, ETH_ALEN bytes; netdevs: NULL */
    char *info;         /* for `info network`: "net=10.0.2.0,restrict=off" */
    NetClient *peer;    /* NULL: none */
    bool link_down;
    bool owes_ready;    /* the peer was told to wait */
    bool filter_unread; /* cards: NIC_RX_FILTER_CHANGED went out, query-rx-filter did not come */
    GQueue waiting;     /* frames (GBytes) from the peer that were not taken yet */
    NetClient *next;    /* all of them, in order of creation */
};

/* What a card needs of its properties. */
typedef struct NICConf {
    char *netdev;           /* property "netdev": id of the peer, or NULL */
    char *mac_text;         /* property "mac", or NULL: the next of 52:54:00:12:34:56 */
    uint8_t mac[ETH_ALEN];  /* set by nic_init() */
} NICConf;

/*
 * Make nc, zeroed but for what the owner keeps in the rest of its struct, a card with the
 * MAC of conf and connect it.  model is a constant; id may be NULL.
 */
bool nic_init(NetClient *nc, const NetClientOps *ops, const char *model, const char *id,
              NICConf *conf, Error **errp);
/* Out of the list, peer disconnected; the struct stays the owner's. */
void net_client_exit(NetClient *nc);

/*
 * May nc send?  True also when frames go nowhere (no peer, link down).  False: the peer is
 * busy, and ops->peer_ready is called when it is not any more.
 */
bool net_can_send(NetClient *nc);
/*
 * Send a frame to the peer.  Never waits: what the peer does not take now is kept for it,
 * up to a few hundred frames; others are dropped, as on any wire.
 */
void net_send(NetClient *nc, const uint8_t *frame, size_t len);
/* nc can receive (again): frames that wait are delivered, the peer may go on. */
void net_ready(NetClient *nc);
/* Frames that wait for nc are dropped (reset). */
void net_purge(NetClient *nc);
void net_info_mac(NetClient *nc); /* sets info of a card from model and MAC */

NetClient *net_client_by_name(const char *name); /* NULL: none */

/* Pull the cable out at this end, or put it in; a card sees its netdev's end, too. */
void net_set_link(NetClient *nc, bool up);

/* -netdev, netdev_add: members as in QMP's Netdev, or texts.  NULL on failure. */
NetClient *netdev_add(JsonObject *opts, Error **errp);
bool netdev_del(const char *id, Error **errp);
/* As options_parse(), for the text of -netdev: hostfwd= and dnssearch= may be repeated. */
JsonObject *netdev_parse(const char *text, Error **errp);
/* Close all netdevs, end all announcements; at exit. */
void net_cleanup(void);

/* A card changed what it receives: event NIC_RX_FILTER_CHANGED unless one is unanswered. */
void net_rx_filter_changed(NetClient *nc, const char *qom_path);

/*
 * Tell the network where the guest is now: RARP frames from every card, and what
 * ops->announce does; the first round at once, others on a timer of the host's clock.
 */
typedef struct NetAnnounce {
    uint64_t initial_ms, max_ms, rounds, step_ms;
} NetAnnounce;
void net_announce(const NetAnnounce *params);
/* Pause in front of round number `round` (1: the second). */
uint64_t net_announce_delay_ms(const NetAnnounce *params, uint64_t round);

/* "52:54:00:12:34:56" (or with '-'). */
bool net_parse_mac(const char *text, uint8_t ret_mac[ETH_ALEN]);
char *net_mac_to_str(const uint8_t mac[ETH_ALEN]); /* g_free() */

#endif
