/*
 * A second QMP monitor with out-of-band commands.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "oob.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void oob_line(Oob *o, const char *contains)
{
    char buf[1024];
    ssize_t n;

    while (!strstr(o->got->str, contains)) {
        n = recv(o->fd, buf, sizeof(buf), 0);
        g_assert_cmpint(n, >, 0);
        g_string_append_len(o->got, buf, n);
    }
    g_string_truncate(o->got, 0);
}

void oob_send(Oob *o, const char *text)
{
    g_assert_cmpint(send(o->fd, text, strlen(text), MSG_NOSIGNAL), ==, strlen(text));
}

Oob oob_open(const char *path)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    Oob o = { .fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), .got = g_string_new(NULL) };

    g_strlcpy(a.sun_path, path, sizeof(a.sun_path));
    g_assert_cmpint(connect(o.fd, (struct sockaddr *)&a, sizeof(a)), ==, 0);
    oob_line(&o, "QMP");
    oob_send(&o, "{'execute': 'qmp_capabilities', 'arguments': {'enable': ['oob']}}\n");
    oob_line(&o, "return");
    return o;
}

void oob_close(Oob *o)
{
    close(o->fd);
    g_string_free(o->got, TRUE);
}
