/*
 * Private to net/: netdev "user", in two parts, and what the monitor asks of it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_NET_USER_H
#define FERRY_NET_USER_H

#include <arpa/inet.h>
#include <netinet/in.h>

#include "migration/vmstate.h"
#include "net/netdev.h"

/* A port of the host whose connections go to the guest. */
typedef struct HostForward {
    bool udp;
    struct in_addr host, guest; /* guest 0: the address that the first guest is given */
    uint16_t host_port, guest_port;
} HostForward;

/* What the options say, defaults filled in. */
typedef struct UserOptions {
    bool restricted, ipv4, ipv6;
    struct in_addr net, mask, host, dhcp_start, dns;
    struct in6_addr prefix6, host6, dns6;
    uint8_t prefix_len;
    char *hostname, *domainname;
    char **dnssearch;       /* NULL: none */
    GArray *forwards;       /* of HostForward */
} UserOptions;

/* user-options.c; pure */
bool user_options_take(UserOptions *o, JsonObject *opts, Error **errp);
void user_options_clear(UserOptions *o);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(UserOptions, user_options_clear)
/* "[tcp|udp]:[HOSTADDR]:PORT-[GUESTADDR]:PORT"; without_guest: up to the first port. */
bool host_forward_parse(const char *text, bool without_guest, HostForward *ret, Error **errp);

/* user.c */
/* The netdev of this id (NULL: the first of its type). */
NetClient *net_user_find(const char *id, Error **errp);
/* nc is what net_user_find() gave. */
bool net_user_forward(NetClient *nc, const HostForward *f, Error **errp);
bool net_user_unforward(NetClient *nc, const HostForward *f, Error **errp);
/* For `info usernet`; NULL when nc is of another type.  g_free(). */
char *net_user_connections(NetClient *nc);

#endif
