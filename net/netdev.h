/*
 * Private to net/: what a kind of netdev is.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_NET_NETDEV_H
#define FERRY_NET_NETDEV_H

#include <glib-unix.h>

#include "io/channel.h"
#include "net/net.h"
#include "util/options.h"

/*
 * Make a netdev called id from its options; members that are left in opts are refused by
 * the caller.  NULL on failure.
 */
typedef NetClient *NetdevNew(const char *id, JsonObject *opts, Error **errp);
NetdevNew net_user_new, net_tap_new, net_socket_new, net_stream_new, net_dgram_new;

NetClient *net_client_first(void);
/* Put a zeroed nc into the list; cannot fail.  `info` passes to it. */
void net_client_init(NetClient *nc, const NetClientOps *ops, const char *name, char *info);
void net_set_info(NetClient *nc, char *info);

void net_announce_cleanup(void);

/* Watch a descriptor in the main loop; drop with net_watch_drop(), which takes NULL. */
GSource *net_watch(int fd, GIOCondition cond, GUnixFDSourceFunc fn, void *opaque);
void net_watch_drop(GSource **source);
/* Number of a descriptor, or name given to getfd.  Non-blocking and close-on-exec then. */
int net_take_fd(const char *text, Error **errp);

/* A SocketAddress in member `key`; NULL with errp unset when it is absent. */
SocketAddr *net_take_address(JsonObject *opts, const char *key, Error **errp);
/* "HOST:PORT" of -netdev socket; an empty host is any. */
SocketAddr *net_parse_host_port(const char *text, Error **errp);

/* stream.c: frames over a stream socket.  fd passes to it in any case. */
NetClient *net_stream_from_fd(const char *id, int fd, const char *what, Error **errp);
NetClient *net_stream_listen(const char *id, const SocketAddr *addr, bool events, Error **errp);
NetClient *net_stream_connect(const char *id, const SocketAddr *addr, bool events, Error **errp);
/* dgram.c */
NetClient *net_dgram_from_fd(const char *id, int fd, const char *what);
/* remote NULL: only to whoever the socket is connected to. */
NetClient *net_dgram_open(const char *id, const SocketAddr *local, const SocketAddr *remote,
                          Error **errp);

#endif
