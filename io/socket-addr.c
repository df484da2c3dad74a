/*
 * Socket addresses as text: parse, copy, print.
 *
 * Pure.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "io/channel.h"
#include "util/util.h"

void socket_addr_free(SocketAddr *a)
{
    if (!a) {
        return;
    }
    g_free(a->host);
    g_free(a->port);
    g_free(a->path);
    g_free(a->fd);
    g_free(a);
}

SocketAddr *socket_addr_copy(const SocketAddr *a)
{
    SocketAddr *c = g_memdup2(a, sizeof(*a));

    c->host = g_strdup(a->host);
    c->port = g_strdup(a->port);
    c->path = g_strdup(a->path);
    c->fd = g_strdup(a->fd);
    return c;
}

/* "on" may be left out: ",ipv4" is ",ipv4=on". */
static bool parse_flag(const char *key, const char *value, bool *ret_has, bool *ret_value,
                       Error **errp)
{
    if (!parse_bool(value ? value : "on", ret_value)) {
        error_setg(errp, "%s must be on or off, not '%s'", key, value);
        return false;
    }
    *ret_has = true;
    return true;
}

static bool parse_inet_option(SocketAddr *a, const char *opt, Error **errp)
{
    g_auto(GStrv) kv = g_strsplit(opt, "=", 2);
    bool unused;
    uint64_t n;

    if (!kv[0]) {
        error_setg(errp, "an option is missing after a comma");
        return false;
    }
    if (!strcmp(kv[0], "to")) {
        if (!kv[1] || !parse_u64(kv[1], &n) || n < 1 || n > 65535) {
            error_setg(errp, "to must be a port from 1 to 65535, not '%s'", kv[1] ? kv[1] : "");
            return false;
        }
        a->to = n;
        return true;
    }
    if (!strcmp(kv[0], "ipv4")) {
        return parse_flag("ipv4", kv[1], &a->has_ipv4, &a->ipv4, errp);
    }
    if (!strcmp(kv[0], "ipv6")) {
        return parse_flag("ipv6", kv[1], &a->has_ipv6, &a->ipv6, errp);
    }
    if (!strcmp(kv[0], "keep-alive")) {
        return parse_flag("keep-alive", kv[1], &unused, &a->keep_alive, errp);
    }
    error_setg(errp, "unknown option '%s'; there are to, ipv4, ipv6, keep-alive", kv[0]);
    return false;
}

static bool parse_inet(SocketAddr *a, const char *str, Error **errp)
{
    g_auto(GStrv) parts = g_strsplit(str, ",", -1);
    const char *hp = parts[0] ? parts[0] : "";
    const char *colon;

    if (hp[0] == '[') {
        const char *end = strchr(hp, ']');
        if (!end || end[1] != ':') {
            error_setg(errp, "'%s' is not [IPV6-ADDRESS]:PORT", hp);
            return false;
        }
        a->host = g_strndup(hp + 1, end - hp - 1);
        colon = end + 1;
    } else {
        colon = strrchr(hp, ':');
        if (!colon) {
            error_setg(errp, "'%s' is not HOST:PORT", hp);
            return false;
        }
        a->host = g_strndup(hp, colon - hp);
    }
    if (!colon[1]) {
        error_setg(errp, "'%s' has no port; HOST:PORT is needed", hp);
        return false;
    }
    a->port = g_strdup(colon + 1);
    for (int i = 1; parts[0] && parts[i]; i++) {
        if (!parse_inet_option(a, parts[i], errp)) {
            return false;
        }
    }
    return true;
}

static bool parse_unix(SocketAddr *a, const char *str, Error **errp)
{
    g_auto(GStrv) parts = g_strsplit(str, ",", -1);

    if (!parts[0] || !parts[0][0]) {
        error_setg(errp, "a unix address needs a path: unix:PATH");
        return false;
    }
    a->path = g_strdup(parts[0]);
    a->tight = true;
    for (int i = 1; parts[i]; i++) {
        g_auto(GStrv) kv = g_strsplit(parts[i], "=", 2);
        bool unused;
        if (kv[0] && !strcmp(kv[0], "abstract")) {
            if (!parse_flag("abstract", kv[1], &unused, &a->abstract, errp)) {
                return false;
            }
        } else if (kv[0] && !strcmp(kv[0], "tight")) {
            if (!parse_flag("tight", kv[1], &unused, &a->tight, errp)) {
                return false;
            }
        } else {
            error_setg(errp, "unknown option '%s'; there are abstract, tight", parts[i]);
            return false;
        }
    }
    return true;
}

static bool parse_vsock(SocketAddr *a, const char *str, Error **errp)
{
    const char *colon = strchr(str, ':');
    uint64_t cid, port;

    if (!colon) {
        error_setg(errp, "'%s' is not CID:PORT", str);
        return false;
    }
    a->host = g_strndup(str, colon - str);
    a->port = g_strdup(colon + 1);
    if (!parse_u64(a->host, &cid) || cid > UINT32_MAX || !parse_u64(a->port, &port) ||
        port > UINT32_MAX) {
        error_setg(errp, "'%s' is not CID:PORT in numbers of 32 bits", str);
        return false;
    }
    return true;
}

SocketAddr *socket_addr_parse(const char *str, Error **errp)
{
    g_autoptr(SocketAddr) a = g_new0(SocketAddr, 1);
    bool ok;

    if (g_str_has_prefix(str, "tcp:")) {
        a->type = SOCKET_INET;
        ok = parse_inet(a, str + 4, errp);
    } else if (g_str_has_prefix(str, "unix:")) {
        a->type = SOCKET_UNIX;
        ok = parse_unix(a, str + 5, errp);
    } else if (g_str_has_prefix(str, "vsock:")) {
        a->type = SOCKET_VSOCK;
        ok = parse_vsock(a, str + 6, errp);
    } else if (g_str_has_prefix(str, "fd:") && str[3]) {
        a->type = SOCKET_FD;
        a->fd = g_strdup(str + 3);
        ok = true;
    } else {
        error_setg(errp, "a socket address is tcp:HOST:PORT, unix:PATH, vsock:CID:PORT or fd:FD");
        ok = false;
    }
    if (!ok) {
        error_prefix(errp, "address '%s': ", str);
        return NULL;
    }
    return g_steal_pointer(&a);
}

char *socket_addr_to_str(const SocketAddr *a)
{
    switch (a->type) {
    case SOCKET_INET:
        return g_strdup_printf(strchr(a->host, ':') ? "tcp:[%s]:%s" : "tcp:%s:%s", a->host,
                               a->port);
    case SOCKET_UNIX:
        return g_strdup_printf("unix:%s%s", a->path, a->abstract ? ",abstract=on" : "");
    case SOCKET_VSOCK:
        return g_strdup_printf("vsock:%s:%s", a->host, a->port);
    case SOCKET_FD:
        return g_strdup_printf("fd:%s", a->fd);
    }
    g_assert_not_reached();
}
