/*
 * Socket addresses of QMP, to and from those of io/.  Pure.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_QAPI_SOCKETS_H
#define FERRY_QAPI_SOCKETS_H

#include "io/channel.h"
#include "qapi/qapi-types.h"

SocketAddr *socket_addr_from_qapi(const SocketAddress *a, Error **errp);
SocketAddress *socket_addr_to_qapi(const SocketAddr *a); /* free with socket_address_free() */

#endif
