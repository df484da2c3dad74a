/* Weak stand-ins while folders land; removed when all are there. SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include "accel/accel.h"
#include "hw/core/machine.h"
#include "io/channel.h"
#include "migration/migration.h"
#include "monitor/monitor.h"
#include "util/util.h"
#define W __attribute__((weak))
W int ferry_open(const char *path, int flags, int mode, Error **errp)
{
    int fd = open(path, flags | O_CLOEXEC, mode);
    if (fd < 0) {
        error_setg_errno(errp, errno, "cannot open '%s'", path);
    }
    return fd;
}
W int monitor_fd_param(const char *str, Error **errp)
{
    uint64_t v;
    if (!parse_u64(str, &v)) {
        error_setg(errp, "no descriptor '%s'", str);
        return -1;
    }
    return (int)v;
}
W void socket_addr_free(SocketAddr *a) { }
W SocketAddr *socket_addr_copy(const SocketAddr *a) { return NULL; }
W char *socket_addr_to_str(const SocketAddr *a) { return g_strdup("?"); }
W int socket_connect(const SocketAddr *a, Error **errp) { error_setg(errp, "pending"); return -1; }
W int socket_listen(const SocketAddr *a, int backlog, Error **errp) { error_setg(errp, "pending"); return -1; }
W int socket_accept(int fd, Error **errp) { error_setg(errp, "pending"); return -1; }
